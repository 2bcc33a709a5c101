//! What a run may use of its key's limits: reserved before each of its turns, settled with what was used.

use std::sync::Arc;

use crate::chat::{ChatRequest, Money, Protocol, Usage};
use crate::limits::{Amounts, Hold, LimitError};
use crate::prompt::{ANSWER_TOKENS, estimate_tokens};
use crate::provider::{ModelCall, RequestUsage, Target};

/// What a turn has used, and what that has cost; `None` if the price is not known.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnUse {
    pub usage: Usage,
    pub cost: Option<Money>,
}

#[derive(Debug)]
pub(super) struct Funds {
    hold: Hold,
    targets: Vec<Arc<Target>>,
    /// Of each turn, how many requests came before it, and about how many tokens its prompt has.
    turns: Vec<(usize, u64)>,
}

impl Funds {
    /// Reserves the first turn of a run.
    pub fn reserve(
        mut hold: Hold,
        request: &ChatRequest,
        targets: &[Arc<Target>],
    ) -> Result<Self, LimitError> {
        let turn = turn_usage(request, targets);
        hold.reserve(amounts(turn, dearest(turn, may_cache_for_an_hour(request), targets)))?;
        Ok(Self { hold, targets: targets.to_vec(), turns: vec![(0, turn.input_tokens)] })
    }

    /// Reserves a further turn, or the present one once more, beside what was used so far. False if the key's budget does
    /// not allow it.
    pub fn reserve_turn(&mut self, call: &ModelCall) -> bool {
        let Some(request) = call.request() else { return true };
        let (used, _) = self.used(call.request_usages());
        let turn = turn_usage(request, &self.targets);
        let price = dearest(turn, may_cache_for_an_hour(request), &self.targets);
        let next = amounts(turn, price);
        let wanted = Amounts { tokens: used.tokens + next.tokens, cost: used.cost + next.cost };
        if self.hold.change(wanted).is_err() {
            return false;
        }
        self.turns.push((call.request_usages().len(), turn.input_tokens));
        true
    }

    /// Whether what the run costs is counted against a budget.
    pub fn has_budget(&self) -> bool {
        self.hold.has_budget()
    }

    /// Ends the reservation with what was used. Returns what that has cost, and whether the price of all of it is known.
    pub fn settle(&mut self, requests: &[RequestUsage]) -> (Money, bool) {
        let (used, is_priced) = self.used(requests);
        self.hold.settle(used);
        (used.cost, is_priced)
    }

    /// What was used of each model, request by request.
    pub fn usages<'a>(
        &'a self,
        requests: &'a [RequestUsage],
    ) -> impl Iterator<Item = (&'a Target, Usage)> {
        requests.iter().enumerate().map(|(place, request)| {
            let mut latest = self.turns.iter().rev();
            let turn = latest.find(|(first, _)| *first <= place);
            (&*request.target, request.used(turn.map_or(0, |(_, prompt_tokens)| *prompt_tokens)))
        })
    }

    /// What the last answer has used, if it is one of the turn that was reserved last. What nobody has begun to answer
    /// costs nothing.
    pub fn used_in_turn(&self, requests: &[RequestUsage]) -> TurnUse {
        let first = self.turns.last().map_or(0, |(first, _)| *first);
        let last = self.usages(requests).skip(first).last();
        let nothing = TurnUse { usage: Usage::default(), cost: Some(Money::ZERO) };
        last.map_or(nothing, |(target, usage)| TurnUse { usage, cost: target.price(usage) })
    }

    /// What was used, and whether the price of all of it is known.
    fn used(&self, requests: &[RequestUsage]) -> (Amounts, bool) {
        let mut used = Amounts::default();
        let mut is_priced = true;
        for (target, usage) in self.usages(requests) {
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

/// The price on the dearest of the models that may answer, as far as prices are known. All of the prompt may have to be
/// written to the provider's cache, which costs more than to read it, and most if it is kept for an hour.
fn dearest(usage: Usage, may_be_for_an_hour: bool, targets: &[Arc<Target>]) -> Money {
    let written = Usage { cache_write_input_tokens: usage.input_tokens, ..usage };
    let for_an_hour = Usage { hour_cache_write_input_tokens: usage.input_tokens, ..written };
    let ways = [usage, written, if may_be_for_an_hour { for_an_hour } else { written }];
    let prices = targets.iter().flat_map(|target| ways.map(|as_used| target.price(as_used)));
    prices.flatten().max().unwrap_or_default()
}

/// Whether a request may ask a cache to keep it for an hour. It does not have to: where it says so is not looked at.
fn may_cache_for_an_hour(request: &ChatRequest) -> bool {
    // No other protocol has words for it, and looking for them takes time.
    let inbound = request.inbound.iter().filter(|inbound| inbound.protocol == Protocol::Messages);
    inbound.flat_map(|inbound| inbound.body.values()).any(|field| field.contains("\"1h\""))
}

fn amounts(usage: Usage, cost: Money) -> Amounts {
    Amounts { tokens: usage.input_tokens.saturating_add(usage.output_tokens), cost }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::dearest;
    use crate::chat::{Money, Usage};
    use crate::provider::Target;

    #[test]
    fn a_prompt_may_have_to_be_written_to_a_cache() {
        let usage = Usage { input_tokens: 1_000_000, output_tokens: 100_000, ..Usage::default() };
        let target = Target {
            input_price: Some(2.0),
            output_price: Some(10.0),
            cache_write_price: Some(2.5),
            hour_cache_write_price: Some(4.0),
            ..Target::new("a", "m")
        };
        let cheaper = Target {
            input_price: Some(1.0),
            cache_write_price: None,
            hour_cache_write_price: None,
            ..target.clone()
        };
        let price = |targets: &[&Target], may_be_for_an_hour| {
            let targets: Vec<_> =
                targets.iter().map(|target| Arc::new(Target::clone(target))).collect();
            dearest(usage, may_be_for_an_hour, &targets)
        };
        assert_eq!(price(&[&cheaper, &target], false), Money::from_usd(3.5));
        assert_eq!(price(&[&cheaper, &target], true), Money::from_usd(5.0));
        assert_eq!(price(&[&cheaper], true), Money::from_usd(2.0));
    }
}
