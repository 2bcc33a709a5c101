//! What a run has used and what that cost, model by model. Pure.

use super::{Run, Turn};
use crate::chat::{Money, Usage};
use crate::ledger;

/// What the turns of a run have used of one model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Charge {
    /// `provider/model`.
    pub model: String,
    pub usage: Usage,
    /// `None` if the price of any of it is not known.
    pub cost_usd: Option<f64>,
}

impl From<Charge> for ledger::Charge {
    fn from(Charge { model, usage, cost_usd }: Charge) -> Self {
        Self {
            model,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            cache_write_input_tokens: usage.cache_write_input_tokens,
            cost_usd,
        }
    }
}

/// The charges of a run that has ended; the first is of the model that it is told to have used.
pub(super) fn of_run(run: &Run) -> Vec<Charge> {
    let none = |model: &str| Charge {
        model: model.to_owned(),
        usage: Usage::default(),
        cost_usd: Some(0.0),
    };
    let mut charges = vec![none(&run.model.resolved)];
    for turn in &run.turns {
        let place = charges.iter().position(|charge| charge.model == turn.model);
        let place = place.unwrap_or_else(|| {
            charges.push(none(&turn.model));
            charges.len() - 1
        });
        let charge = &mut charges[place];
        charge.usage = charge.usage + turn.usage;
        charge.cost_usd = sum([charge.cost_usd, turn.cost_usd]);
    }
    charges
}

/// What all turns cost, if all of it is known.
pub(super) fn total(turns: &[Turn]) -> Option<f64> {
    sum(turns.iter().map(|turn| turn.cost_usd))
}

fn sum(costs: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let sum: Option<Money> = costs.into_iter().map(|cost| cost.map(Money::from_usd)).sum();
    sum.map(Money::to_usd)
}

#[cfg(test)]
mod tests {
    use super::{of_run, total};
    use crate::chat::Usage;
    use crate::conversation::{Run, Turn};

    fn turn(model: &str, cost_usd: Option<f64>) -> Turn {
        Turn {
            model: model.to_owned(),
            usage: Usage { input_tokens: 10, output_tokens: 1, ..Usage::default() },
            cost_usd,
            ms: 1,
            finish_reason: None,
            tool_calls: Vec::new(),
            held_back: false,
        }
    }

    fn run(turns: Vec<Turn>) -> Run {
        Run { turns, ..crate::conversation::tests::run() }
    }

    #[test]
    fn each_model_has_its_own() {
        let turns =
            vec![turn("a/x", Some(0.1)), turn("local/m", Some(0.2)), turn("a/x", Some(0.2))];
        assert_eq!(total(&turns), Some(0.5));
        let charges = of_run(&run(turns));
        let told: Vec<_> =
            charges.iter().map(|one| (one.model.as_str(), one.usage.input_tokens)).collect();
        assert_eq!(told, [("local/m", 10), ("a/x", 20)]);
    }

    #[test]
    fn one_unknown_price_makes_the_sum_unknown() {
        let turns = vec![turn("local/m", Some(0.1)), turn("a/x", None)];
        assert_eq!(total(&turns), None);
        let charges = of_run(&run(turns));
        assert_eq!((charges[0].cost_usd, charges[1].cost_usd), (Some(0.1), None));
    }

    #[test]
    fn a_run_that_no_model_answered_costs_nothing() {
        assert_eq!(total(&[]), Some(0.0));
        assert_eq!(of_run(&run(Vec::new()))[0].cost_usd, Some(0.0));
    }
}
