//! Builds what a model is given: the agent's instructions first, then the conversation. Pure.

use serde_json::Value;

use crate::chat::{ChatRequest, Message, Parameters, Tool};
use crate::definition::AgentDefinition;

/// What comes with a request, besides the agent.
#[derive(Debug, Clone, Default)]
pub struct PromptInput {
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub parameters: Parameters,
}

/// Composes the request to a model.
///
/// The system prompt is the agent's body and nothing else, so that all requests to one revision begin with the
/// same bytes and the provider's prompt cache holds.
pub fn compose(definition: &AgentDefinition, input: PromptInput) -> ChatRequest {
    let mut parameters = input.parameters;
    parameters.temperature = parameters.temperature.or_else(|| number(definition, "temperature"));
    parameters.top_p = parameters.top_p.or_else(|| number(definition, "top_p"));
    // Providers refuse a choice among no tools.
    parameters.tool_choice.take_if(|_| input.tools.is_empty());
    ChatRequest {
        agent: definition.name.to_string(),
        system: definition.prompt.clone(),
        messages: input.messages,
        tools: input.tools,
        parameters,
    }
}

/// A number that some formats of agent files have. A file that is read by line holds it as a text.
fn number(definition: &AgentDefinition, field: &str) -> Option<f64> {
    match definition.other_fields.get(field)? {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    }
}

/// Roughly how many tokens a request has: a quarter of its characters, which suits English and code.
pub fn estimate_tokens(request: &ChatRequest) -> usize {
    let messages: usize =
        request.messages.iter().map(|message| message.text().chars().count()).sum();
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| tool.description.len() + tool.parameters.to_string().len())
        .sum();
    (request.system.chars().count() + messages + tools).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::{PromptInput, compose};
    use crate::chat::Message;
    use crate::definition::{Origin, parse};

    #[test]
    fn the_system_prompt_is_the_same_for_every_request() {
        let parsed = parse(b"---\nname: a\ndescription: b\n---\n\nBe brief.\n", &Origin::default());
        let definition = parsed.expect("is valid").definition;
        let request = |text: &str| {
            let messages = vec![Message::user(text)];
            compose(&definition, PromptInput { messages, ..PromptInput::default() })
        };
        assert_eq!(request("one").system, "Be brief.");
        assert_eq!(request("one").system, request("two").system);
    }
}
