//! What a model's tokens cost. Pure.

use super::Target;
use crate::chat::{Money, Usage};

/// Prices are for so many tokens.
const PRICED_TOKENS: f64 = 1e6;

impl Target {
    /// What the tokens of one request cost; `None` if the provider did not count, or a price that is needed is not known.
    pub fn price(&self, usage: Usage) -> Option<Money> {
        // Nobody is asked, and nobody is paid.
        if self.is_offline() {
            return Some(Money::ZERO);
        }
        let is_beyond = |most: u32| usage.input_tokens > u64::from(most);
        if usage == Usage::default() || self.priced_prompt_tokens.is_some_and(is_beyond) {
            return None;
        }
        let cached = usage.cached_input_tokens + usage.cache_write_input_tokens;
        let written_for_minutes =
            usage.cache_write_input_tokens.saturating_sub(usage.hour_cache_write_input_tokens);
        let parts = [
            (usage.input_tokens.saturating_sub(cached), self.input_price),
            (usage.cached_input_tokens, self.cached_input_price),
            (written_for_minutes, self.cache_write_price),
            (usage.hour_cache_write_input_tokens, self.hour_cache_write_price),
            (usage.output_tokens, self.output_price),
        ];
        let used = parts.into_iter().filter(|(tokens, _)| *tokens > 0);
        used.map(dollars).sum::<Option<f64>>().map(Money::from_usd)
    }
}

fn dollars((tokens, price): (u64, Option<f64>)) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "an answer has far fewer than 2^52 tokens")]
    let tokens = tokens as f64;
    price.map(|price| tokens * price / PRICED_TOKENS)
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::chat::{Money, Usage};

    const USAGE: Usage = Usage {
        input_tokens: 1_000,
        output_tokens: 200,
        cached_input_tokens: 500,
        cache_write_input_tokens: 100,
        hour_cache_write_input_tokens: 0,
    };

    fn cost(model: &str, usage: Usage) -> Option<f64> {
        Target::new("anthropic", model).with_known_facts().price(usage).map(Money::to_usd)
    }

    #[test]
    fn cached_tokens_have_prices_of_their_own() {
        // 400 × 4, 500 × 0.2, 100 × 5 and 200 × 20 dollars for a million.
        assert_eq!(cost("claude-opus-5-5", USAGE), Some(0.0062));
    }

    #[test]
    fn what_the_cache_keeps_for_an_hour_costs_more_than_what_it_keeps_for_minutes() {
        let in_part = Usage { hour_cache_write_input_tokens: 60, ..USAGE };
        // Of the 100 tokens written, 40 × 5 and 60 × 8 dollars for a million.
        assert_eq!(cost("claude-opus-5-5", in_part), Some(0.00638));
        let all = Usage { hour_cache_write_input_tokens: 100, ..USAGE };
        assert_eq!(cost("claude-haiku-5-5", all), Some(0.000_165));
        let own_prices = Target {
            input_price: Some(1.0),
            output_price: Some(1.0),
            cached_input_price: Some(1.0),
            cache_write_price: Some(1.0),
            ..Target::new("anthropic", "claude-opus-5-5")
        };
        let own_prices = own_prices.with_known_facts();
        assert!(own_prices.price(USAGE).is_some());
        assert_eq!(own_prices.price(in_part), None, "nobody has said what an hour costs");
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        assert_eq!(cost("qwen3", USAGE), None);
        assert_eq!(cost("claude-opus-5-5", Usage::default()), None, "nothing was counted");
        let without_writes = Target { cache_write_price: None, ..Target::new("a", "m") };
        assert_eq!(without_writes.price(USAGE), None);
    }

    #[test]
    fn a_price_for_short_prompts_is_none_for_long_ones() {
        let long = Usage { input_tokens: 100_001, output_tokens: 1, ..Usage::default() };
        assert_eq!(cost("claude-haiku-5-5", long), None);
        assert!(cost("claude-haiku-5-5", Usage { input_tokens: 100_000, ..long }).is_some());
    }
}
