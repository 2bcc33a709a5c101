//! What a trace says of one request to a model, in the words of the conventions for generative AI, which still develop.
//! <https://github.com/open-telemetry/semantic-conventions-genai>

use opentelemetry::{Array, StringValue, Value};

use super::Target;
use crate::chat::{FinishReason, Parameters, Usage};
use crate::telemetry::traces::{self, Span};

pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";

pub(super) fn begin(target: &Target, parameters: &Parameters) -> Span {
    let span = traces::begin_request("chat");
    if !span.is_recorded() {
        return span;
    }
    span.rename(format!("chat {}", target.model));
    span.set("gen_ai.operation.name", "chat");
    span.set("gen_ai.provider.name", provider_name(&target.provider).to_owned());
    span.set("gen_ai.request.model", target.model.clone());
    if let Some(max_tokens) = parameters.max_tokens {
        span.set("gen_ai.request.max_tokens", i64::from(max_tokens));
    }
    if let Some(temperature) = parameters.temperature {
        span.set("gen_ai.request.temperature", temperature);
    }
    span
}

pub(super) fn tell_finish(span: &Span, reason: FinishReason) {
    if !span.is_recorded() {
        return;
    }
    let reasons = Array::String(vec![StringValue::from(reason.as_str())]);
    span.set("gen_ai.response.finish_reasons", Value::Array(reasons));
}

pub(super) fn tell_usage(span: &Span, usage: Option<Usage>) {
    let Some(usage) = usage else { return };
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    span.set("gen_ai.usage.input_tokens", count(usage.input_tokens));
    span.set("gen_ai.usage.output_tokens", count(usage.output_tokens));
    span.set("gen_ai.usage.cache_read.input_tokens", count(usage.cached_input_tokens));
    span.set("gen_ai.usage.cache_creation.input_tokens", count(usage.cache_write_input_tokens));
}

/// The conventions' own name where they have one.
fn provider_name(provider: &str) -> &str {
    match provider {
        "gemini" => "gcp.gemini",
        other => other,
    }
}
