//! One model of one provider, and what is known of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::built_in;
use crate::chat::Parameter;
use crate::provider::offline;

/// A model of one provider. What is `None` is as the built-in table has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub provider: String,
    pub model: String,
    /// Targets are tried in this order; `None` is the place in the list. Equal ones share load by `weight`.
    #[serde(default)]
    pub order: Option<u32>,
    #[serde(default = "one")]
    pub weight: u32,
    /// Whether the model can stream its answer.
    #[serde(default = "yes")]
    pub stream: bool,
    /// Most tokens of prompt and answer together.
    #[serde(default)]
    pub context_tokens: Option<u32>,
    /// Most tokens of an answer.
    #[serde(default)]
    pub output_tokens: Option<u32>,
    /// US dollars for a million tokens of the prompt.
    #[serde(default)]
    pub input_price: Option<f64>,
    /// US dollars for a million tokens of the answer.
    #[serde(default)]
    pub output_price: Option<f64>,
    /// The same for tokens of the prompt that are read from the provider's cache.
    #[serde(default)]
    pub cached_input_price: Option<f64>,
    /// The same for tokens of the prompt that are written to it.
    #[serde(default)]
    pub cache_write_price: Option<f64>,
    /// The same for those of them that it is to keep for an hour.
    #[serde(default)]
    pub hour_cache_write_price: Option<f64>,
    /// The prices are those of prompts up to so many tokens; `None`: of all.
    #[serde(default)]
    pub priced_prompt_tokens: Option<u32>,
    /// Parameters that the model answers with an error. They are left out, and the run says so.
    #[serde(default)]
    pub refuses: Option<Vec<Parameter>>,
}

/// `provider/model`. At once: it is made for each request, some times.
pub(in crate::provider) fn full_name(provider: &str, model: &str) -> String {
    [provider, "/", model].concat()
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

/// What a table knows of a model. Prices are US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Facts {
    pub context_tokens: Option<u32>,
    pub output_tokens: Option<u32>,
    pub input_price: Option<f64>,
    pub output_price: Option<f64>,
    pub cached_input_price: Option<f64>,
    pub cache_write_price: Option<f64>,
    pub hour_cache_write_price: Option<f64>,
    pub priced_prompt_tokens: Option<u32>,
    pub refuses: &'static [Parameter],
}

impl Target {
    pub fn new(provider: &str, model: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            model: model.to_owned(),
            order: None,
            weight: 1,
            stream: true,
            context_tokens: None,
            output_tokens: None,
            input_price: None,
            output_price: None,
            cached_input_price: None,
            cache_write_price: None,
            hour_cache_write_price: None,
            priced_prompt_tokens: None,
            refuses: None,
        }
    }

    /// The same with everything that the built-in table knows of it.
    #[must_use]
    pub fn with_known_facts(mut self) -> Self {
        let facts = built_in::facts(&self.model);
        self.context_tokens = self.context_tokens.or(facts.context_tokens);
        self.output_tokens = self.output_tokens.or(facts.output_tokens);
        self = self.with_known_prices(&facts);
        self.refuses = self.refuses.or_else(|| Some(facts.refuses.to_vec()));
        self
    }

    /// Prices go together: whoever gives some of their own is not charged others by the table.
    fn with_known_prices(self, facts: &Facts) -> Self {
        if self.input_price.is_some() || self.output_price.is_some() {
            return self;
        }
        Self {
            input_price: facts.input_price,
            output_price: facts.output_price,
            cached_input_price: self.cached_input_price.or(facts.cached_input_price),
            cache_write_price: self.cache_write_price.or(facts.cache_write_price),
            hour_cache_write_price: self.hour_cache_write_price.or(facts.hour_cache_write_price),
            priced_prompt_tokens: self.priced_prompt_tokens.or(facts.priced_prompt_tokens),
            ..self
        }
    }

    /// Whether it is the built-in provider that stands in when none is configured.
    pub fn is_offline(&self) -> bool {
        self.provider == offline::NAME
    }

    /// `provider/model`.
    pub fn full_name(&self) -> String {
        full_name(&self.provider, &self.model)
    }

    /// Parameters that the model answers with an error.
    pub fn refused_parameters(&self) -> &[Parameter] {
        self.refuses.as_deref().unwrap_or_default()
    }

    /// Whether it is known to take a longer conversation than `other` does.
    pub fn has_larger_context_than(&self, other: &Self) -> bool {
        self.context_tokens.zip(other.context_tokens).is_some_and(|(own, others)| own > others)
    }

    /// Reads `provider/model`; the model may hold further slashes.
    pub fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.split_once('/')?;
        (!provider.is_empty() && !model.is_empty()).then(|| Self::new(provider, model))
    }
}
