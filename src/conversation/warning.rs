//! What a run tells besides its answer: what is not as it was asked for, or as it should be.

use serde::{Deserialize, Serialize};

use crate::chat::Parameter;

/// Something that the caller of a run should know. It is written as one word, with a name behind a colon where it is
/// about something that has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Another model answers than the one that was asked for.
    ModelFallback,
    /// The offline provider answers.
    NoModelConfigured,
    /// The model was not shown all of the conversation.
    ConversationShortened,
    /// The run is no part of a conversation, since that could not be written.
    ConversationNotKept,
    /// The answer came without a tool that the agent must use.
    RequiredToolSkipped,
    /// The model called tools, and the run could have no turn in which it would have seen what they return.
    MaxTurnsReached,
    /// A budget has ended the run between two turns or two requests.
    BudgetExceeded,
    /// The key has a budget, and the model no known price.
    PriceUnknown,
    /// A parameter was asked for, and is left out.
    #[serde(untagged, with = "parameter_dropped")]
    ParameterDropped(Parameter),
    /// A tool was offered that only the vendor of the caller's protocol has, and another one answers.
    #[serde(untagged, with = "tool_dropped")]
    ToolDropped(String),
    /// The agent wants tools of a server that is not there.
    #[serde(untagged, with = "tool_server_unavailable")]
    ToolServerUnavailable(String),
    /// What another version of the service has put on record.
    #[serde(untagged)]
    Other(String),
}

mod parameter_dropped {
    use serde::de::IntoDeserializer;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::name_behind;
    use crate::chat::Parameter;

    const PREFIX: &str = "parameter_dropped:";

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub fn serialize<S: Serializer>(
        parameter: &Parameter,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{PREFIX}{}", parameter.as_str()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Parameter, D::Error> {
        Parameter::deserialize(name_behind(PREFIX, deserializer)?.into_deserializer())
    }
}

/// How a warning is written that has a name behind its word.
macro_rules! with_name {
    ($word:ident) => {
        mod $word {
            use serde::{Deserializer, Serializer};

            use super::name_behind;

            const PREFIX: &str = concat!(stringify!($word), ":");

            pub fn serialize<S: Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("{PREFIX}{name}"))
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<String, D::Error> {
                name_behind(PREFIX, deserializer)
            }
        }
    };
}

with_name!(tool_dropped);
with_name!(tool_server_unavailable);

fn name_behind<'de, D: serde::Deserializer<'de>>(
    prefix: &'static str,
    deserializer: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let name = text.strip_prefix(prefix).map(str::to_owned);
    name.ok_or_else(|| serde::de::Error::custom("another warning"))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::Warning;
    use crate::chat::Parameter;

    #[test]
    fn warnings_are_words_and_are_read_as_they_are_written() {
        for (warning, word) in [
            (Warning::RequiredToolSkipped, "required_tool_skipped"),
            (Warning::ParameterDropped(Parameter::TopK), "parameter_dropped:top_k"),
            (Warning::ToolDropped("web_search".to_owned()), "tool_dropped:web_search"),
            (Warning::ToolServerUnavailable("a:b".to_owned()), "tool_server_unavailable:a:b"),
            (Warning::Other("parameter_dropped:haste".to_owned()), "parameter_dropped:haste"),
            (Warning::Other("of_tomorrow".to_owned()), "of_tomorrow"),
        ] {
            assert_eq!(json!(warning), json!(word));
            assert_eq!(from_value::<Warning>(json!(word)).expect("is a warning"), warning);
        }
    }
}
