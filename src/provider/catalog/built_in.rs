//! What is known of models without any configuration, as of November 2026. Configuration overrides each line. What a
//! vendor does not say plainly is left out, never guessed.

use super::target::Facts;
use crate::chat::Parameter;

/// Aliases: name, provider, model.
pub(super) const ALIASES: &[(&str, &str, &str)] = &[
    ("opus", "anthropic", "claude-opus-5-5"),
    ("sonnet", "anthropic", "claude-sonnet-5-5"),
    ("haiku", "anthropic", "claude-haiku-5-5"),
    ("fable", "anthropic", "claude-fable-5-1"),
    // Ids that are retired, as public agent files still name them.
    ("claude-3-opus-20240229", "anthropic", "claude-opus-5-5"),
    ("claude-3-sonnet-20240229", "anthropic", "claude-sonnet-5-5"),
    ("claude-3-haiku-20240307", "anthropic", "claude-haiku-5-5"),
    ("claude-3-5-sonnet-20240620", "anthropic", "claude-sonnet-5-5"),
    ("claude-3-5-sonnet-20241022", "anthropic", "claude-sonnet-5-5"),
    ("claude-3-5-haiku-20241022", "anthropic", "claude-haiku-5-5"),
    ("claude-3-7-sonnet-20250219", "anthropic", "claude-sonnet-5-5"),
];

/// What a built-in provider answers with if nobody names a model.
pub(super) const DEFAULTS: &[(&str, &str)] =
    &[("anthropic", "claude-sonnet-5-5"), ("openai", "gpt-5.5"), ("gemini", "gemini-3.5-flash")];

/// Prefixes of model ids, and the provider that serves them.
pub(super) const ID_PREFIXES: &[(&str, &str)] = &[
    ("claude-", "anthropic"),
    ("gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("gemini-", "gemini"),
];

const SAMPLING: &[Parameter] = &[Parameter::Temperature, Parameter::TopP, Parameter::TopK];

const SAMPLING_AND_FORCED_TOOLS: &[Parameter] =
    &[Parameter::Temperature, Parameter::TopP, Parameter::TopK, Parameter::ToolChoice];

/// <https://platform.openai.com/docs/guides/reasoning>
const REASONING: &[Parameter] = &[Parameter::Temperature, Parameter::TopP, Parameter::Stop];

const NOTHING: Facts = Facts {
    context_tokens: None,
    output_tokens: None,
    input_price: None,
    output_price: None,
    cached_input_price: None,
    cache_write_price: None,
    hour_cache_write_price: None,
    priced_prompt_tokens: None,
    refuses: &[],
};

/// Facts by the beginning of a model's id; the longest one that fits counts. Vendors date their ids at the end.
///
/// Anthropic: <https://platform.claude.com/docs/en/about-claude/models/overview>. Google:
/// <https://ai.google.dev/gemini-api/docs/models>. Of prices that depend on a prompt's length those of short ones are
/// there.
pub(super) const FACTS: &[(&str, Facts)] = &[
    ("claude-fable-5-1", claude(1_000_000, 128_000, [10.0, 50.0, 0.25], SAMPLING_AND_FORCED_TOOLS)),
    ("claude-opus-5-5", claude(1_000_000, 128_000, [4.0, 20.0, 0.20], SAMPLING_AND_FORCED_TOOLS)),
    ("claude-opus-5", claude(1_000_000, 128_000, [5.0, 25.0, 0.50], SAMPLING)),
    ("claude-sonnet-5-5", claude(1_000_000, 128_000, [2.0, 10.0, 0.20], SAMPLING_AND_FORCED_TOOLS)),
    ("claude-sonnet-5", claude(1_000_000, 128_000, [2.0, 10.0, 0.20], SAMPLING)),
    (
        "claude-haiku-5-5",
        Facts {
            input_price: Some(0.10),
            output_price: Some(0.50),
            cached_input_price: Some(0.01),
            cache_write_price: Some(0.125),
            hour_cache_write_price: Some(0.20),
            priced_prompt_tokens: Some(100_000),
            refuses: SAMPLING,
            ..NOTHING
        },
    ),
    ("claude-haiku-4-5", claude(200_000, 64_000, [1.0, 5.0, 0.10], &[])),
    ("gpt-5.5-pro", Facts { refuses: REASONING, ..NOTHING }),
    (
        "gpt-5.5",
        Facts {
            input_price: Some(5.0),
            output_price: Some(30.0),
            cached_input_price: Some(0.50),
            priced_prompt_tokens: Some(272_000),
            refuses: REASONING,
            ..NOTHING
        },
    ),
    ("gpt-5", Facts { refuses: REASONING, ..NOTHING }),
    ("o1", Facts { refuses: REASONING, ..NOTHING }),
    ("o3", Facts { refuses: REASONING, ..NOTHING }),
    ("o4", Facts { refuses: REASONING, ..NOTHING }),
    ("gemini-3", gemini(1_048_576, 65_536)),
    ("gemini-2.5", gemini(1_048_576, 65_536)),
];

/// Prices are of the prompt, of the answer, and of what is read from the cache. Writing to it costs a quarter more than
/// the prompt, and twice as much if it is to keep that for an hour:
/// <https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing>
const fn claude(
    context_tokens: u32,
    output_tokens: u32,
    [input_price, output_price, cached_input_price]: [f64; 3],
    refuses: &'static [Parameter],
) -> Facts {
    Facts {
        context_tokens: Some(context_tokens),
        output_tokens: Some(output_tokens),
        input_price: Some(input_price),
        output_price: Some(output_price),
        cached_input_price: Some(cached_input_price),
        cache_write_price: Some(input_price * 1.25),
        hour_cache_write_price: Some(input_price * 2.0),
        priced_prompt_tokens: None,
        refuses,
    }
}

const fn gemini(context_tokens: u32, output_tokens: u32) -> Facts {
    Facts { context_tokens: Some(context_tokens), output_tokens: Some(output_tokens), ..NOTHING }
}

/// The facts of the model with this id.
pub(super) fn facts(model: &str) -> Facts {
    FACTS
        .iter()
        .filter(|(prefix, _)| model.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map_or(NOTHING, |(_, facts)| *facts)
}

#[cfg(test)]
mod tests {
    use super::facts;
    use crate::chat::Parameter;

    #[test]
    fn the_longest_beginning_counts() {
        assert_eq!(facts("claude-opus-5-5-20261001").input_price, Some(4.0));
        assert_eq!(facts("claude-opus-5-20260724").input_price, Some(5.0));
        assert_eq!(facts("qwen3").context_tokens, None);
    }

    #[test]
    fn new_models_refuse_sampling_and_some_refuse_forced_tools() {
        assert!(facts("claude-sonnet-5-5").refuses.contains(&Parameter::ToolChoice));
        assert!(!facts("claude-sonnet-5").refuses.contains(&Parameter::ToolChoice));
        assert!(facts("claude-haiku-5-5").refuses.contains(&Parameter::Temperature));
    }
}
