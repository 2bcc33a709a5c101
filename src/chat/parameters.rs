//! What a request asks of the model besides words: how long, how varied, and whether a tool is a must.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Protocol;

/// Settings of a model call. What is `None` is left to the provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    /// Most tokens of the answer.
    pub max_tokens: Option<u32>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u32>,
    /// Texts that end the answer before they are written.
    pub stop: Vec<String>,
    /// Equal requests of one seed are to be answered alike, as far as the model can.
    pub seed: Option<i64>,
    pub tool_choice: Option<ToolChoice>,
    /// Whether a turn may hold more than one call.
    pub parallel_tool_calls: Option<bool>,
    /// The answer is JSON and nothing else.
    pub answer_format: Option<AnswerFormat>,
}

/// What JSON an answer must be.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerFormat {
    /// Any object.
    Object,
    /// What only this protocol knows, in the words that a request in it has.
    Own(Protocol),
    Schema {
        /// How the caller calls it.
        name: Option<String>,
        /// JSON Schema.
        schema: Value,
        /// Whether the schema keeps to the subset that providers can guarantee.
        is_strict: bool,
    },
}

impl AnswerFormat {
    /// JSON Schema, if there is one.
    pub fn schema(&self) -> Option<&Value> {
        match self {
            Self::Object | Self::Own(_) => None,
            Self::Schema { schema, .. } => Some(schema),
        }
    }
}

/// Whether the model may, must or must not call a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    None,
    Required,
    /// It must call the tool of this name.
    Tool(String),
}

/// A parameter that some models or protocols do not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    Temperature,
    TopP,
    TopK,
    Stop,
    Seed,
    /// A tool choice that forces a call; `auto` and `none` are taken by all.
    ToolChoice,
    AnswerSchema,
}

impl Parameter {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::Stop => "stop",
            Self::Seed => "seed",
            Self::ToolChoice => "tool_choice",
            Self::AnswerSchema => "answer_schema",
        }
    }
}

impl Parameters {
    /// Whether the model must call a tool.
    pub fn forces_call(&self) -> bool {
        matches!(self.tool_choice, Some(ToolChoice::Required | ToolChoice::Tool(_)))
    }

    /// Takes a parameter out; true if it was there.
    pub fn remove(&mut self, parameter: Parameter) -> bool {
        match parameter {
            Parameter::Temperature => self.temperature.take().is_some(),
            Parameter::TopP => self.top_p.take().is_some(),
            Parameter::TopK => self.top_k.take().is_some(),
            Parameter::Stop => !std::mem::take(&mut self.stop).is_empty(),
            Parameter::ToolChoice => self.forces_call() && self.tool_choice.take().is_some(),
            Parameter::Seed => self.seed.take().is_some(),
            Parameter::AnswerSchema => self.answer_format.take().is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Parameter, Parameters, ToolChoice};

    #[test]
    fn only_a_choice_that_forces_a_call_is_removed() {
        let mut parameters =
            Parameters { tool_choice: Some(ToolChoice::Auto), ..Parameters::default() };
        assert!(!parameters.remove(Parameter::ToolChoice));
        parameters.tool_choice = Some(ToolChoice::Tool("search".to_owned()));
        assert!(parameters.remove(Parameter::ToolChoice) && parameters.tool_choice.is_none());
    }
}
