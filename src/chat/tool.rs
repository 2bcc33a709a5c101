//! Tools a model may call, and its calls.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Protocol, WrittenJson};

/// A tool that is offered to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: Value,
    /// Whether the model is held to the schema, by providers that can do so. The schema must be one that they can guarantee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub strict: Option<bool>,
    /// A cache breakpoint in the provider's own words; sent to providers that know the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<Value>,
}

/// The model asks for a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// As the model has written them: who gives the call back gives back the same bytes, which prompt caches and signatures
    /// go by.
    #[schema(value_type = Value)]
    pub arguments: WrittenJson,
    /// What the provider signed the call with. A caller who gives the call back gives it back unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// What the provider says of the call besides. A caller who gives the call back gives it back unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub further: Option<Box<FurtherWords>>,
}

/// What a provider says of a call and has no neutral word. It is for callers who speak the provider's protocol, and goes back
/// to the model that said it: some models refuse to go on without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FurtherWords {
    #[schema(value_type = String)]
    pub protocol: Protocol,
    /// The model, as `provider/model`. Empty as it comes from a dialect, which knows no names of providers.
    pub model: String,
    /// Fields of the call in the protocol's words.
    #[schema(value_type = Object)]
    pub fields: FurtherFields,
}

/// Fields by their names, as they are written.
pub type FurtherFields = IndexMap<String, WrittenJson>;

impl ToolCall {
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<WrittenJson>,
    ) -> Self {
        let (id, name, arguments) = (id.into(), name.into(), arguments.into());
        Self { id, name, arguments, signature: None, further: None }
    }

    /// What else callers are told of it who speak this protocol.
    pub fn further_for_callers(&self, protocol: Protocol) -> Option<&FurtherFields> {
        let further = self.further.as_deref()?;
        (further.protocol == protocol).then_some(&further.fields)
    }

    /// What else goes back with it, if that model has said it.
    pub fn further_for_model(&self, protocol: Protocol, full_name: &str) -> Option<&FurtherFields> {
        let is_its_own = self.further.as_deref().is_some_and(|it| it.model == full_name);
        self.further_for_callers(protocol).filter(|_| is_its_own)
    }
}

/// The model asks for a tool with arguments that are no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenCall {
    pub id: String,
    pub name: String,
    /// What is wrong with the arguments.
    pub reason: String,
}
