//! What a run may use of its key's limits: reserved before each of its turns, settled with what was used.

use std::sync::Arc;

use crate::chat::{ChatRequest, Money, Usage};
use crate::limits::{Amounts, Hold, LimitError};
use crate::prompt::{ANSWER_TOKENS, estimate_tokens};
use crate::provider::{Charge, ModelCall, Target};

/// What is told of a run whose model has no known price, where the key has a budget.
pub(super) const PRICE_UNKNOWN: &str = "price_unknown";

/// What is told of a run that a budget has ended between two turns.
pub(super) const BUDGET_EXCEEDED: &str = "budget_exceeded";

#[derive(Debug)]
pub(super) struct Funds {
    hold: Hold,
    targets: Vec<Arc<Target>>,
    /// Of the turn that is under way, roughly.
    prompt_tokens: u64,
}

impl Funds {
    /// Reserves the first turn of a run.
    pub fn reserve(
        mut hold: Hold,
        request: &ChatRequest,
        targets: &[Arc<Target>],
    ) -> Result<Self, LimitError> {
        let turn = turn_usage(request, targets);
        hold.reserve(amounts(turn, dearest(turn, targets)))?;
        Ok(Self { hold, targets: targets.to_vec(), prompt_tokens: turn.input_tokens })
    }

    /// Reserves a further turn, beside what was used so far. False if the key's budget does not allow it.
    pub fn reserve_turn(&mut self, call: &ModelCall) -> bool {
        let Some(request) = call.request() else { return true };
        let (used, _) = self.used(call.charges());
        let turn = turn_usage(request, &self.targets);
        let next = amounts(turn, dearest(turn, &self.targets));
        self.prompt_tokens = turn.input_tokens;
        let wanted = Amounts { tokens: used.tokens + next.tokens, cost: used.cost + next.cost };
        self.hold.change(wanted).is_ok()
    }

    /// Ends the reservation with what was used. True if a part of it should be counted against a budget and has no
    /// known price.
    pub fn settle(&mut self, charges: &[Charge]) -> bool {
        let (used, is_priced) = self.used(charges);
        self.hold.settle(used);
        self.hold.has_budget() && !is_priced
    }

    /// What was used of each model, request by request.
    pub fn usages<'a>(
        &self,
        charges: &'a [Charge],
    ) -> impl Iterator<Item = (&'a Target, Usage)> + use<'a> {
        let prompt_tokens = self.prompt_tokens;
        charges.iter().map(move |charge| (&*charge.target, charge.used(prompt_tokens)))
    }

    /// What was used, and whether the price of all of it is known.
    fn used(&self, charges: &[Charge]) -> (Amounts, bool) {
        let mut used = Amounts::default();
        let mut is_priced = true;
        for (target, usage) in self.usages(charges) {
            let price = target.price(usage);
            is_priced &= price.is_some();
            let this = amounts(usage, price.unwrap_or_default());
            used = Amounts { tokens: used.tokens + this.tokens, cost: used.cost + this.cost };
        }
        (used, is_priced)
    }
}

/// The most that a turn is thought to use. An estimate of a prompt is wrong by some.
fn turn_usage(request: &ChatRequest, targets: &[Arc<Target>]) -> Usage {
    let prompt = estimate_tokens(request);
    let longest = targets.iter().filter_map(|target| target.output_tokens).max();
    let assumed = longest.unwrap_or(ANSWER_TOKENS).min(ANSWER_TOKENS);
    Usage {
        input_tokens: u64::try_from(prompt + prompt / 4).unwrap_or(u64::MAX),
        output_tokens: u64::from(request.parameters.max_tokens.unwrap_or(assumed)),
        ..Usage::default()
    }
}

/// The price on the dearest of the models that may answer, as far as prices are known.
fn dearest(usage: Usage, targets: &[Arc<Target>]) -> Money {
    targets.iter().filter_map(|target| target.price(usage)).max().unwrap_or_default()
}

fn amounts(usage: Usage, cost: Money) -> Amounts {
    Amounts { tokens: usage.input_tokens.saturating_add(usage.output_tokens), cost }
}
