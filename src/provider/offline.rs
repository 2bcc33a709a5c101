//! The answer when no model is configured: a plain statement, over the same events as a model's answer.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::chat::{ChatEvent, ChatRequest, FinishReason, Usage};

pub(super) const NAME: &str = "offline";

/// What a run would have sent, in neutral words.
pub(super) fn encode(request: &ChatRequest) -> Value {
    json!({
        "model": NAME,
        "system": request.system,
        "messages": request.messages,
        "tools": request.tools,
        "max_tokens": request.parameters.max_tokens,
    })
}

/// Says that nothing was asked of a model, which agent was picked, and the prompt it would have been given.
pub(super) fn answer(request: &ChatRequest) -> Vec<ChatEvent> {
    let mut events = vec![ChatEvent::Model(NAME.to_owned())];
    events
        .extend(statement(request).split_inclusive('\n').map(|line| ChatEvent::Text(line.into())));
    events.push(ChatEvent::Usage(Usage::default()));
    events.push(ChatEvent::Finished(FinishReason::Stop));
    events
}

fn statement(request: &ChatRequest) -> String {
    let mut text = format!(
        "No model is configured, so this is not an answer: it is what would have been sent.\n\
         Set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY, or name a provider in rolecall.yaml, to get answers.\n\n\
         Agent: {}\n\nSystem prompt:\n{}\n\nMessages:\n",
        request.agent, request.system
    );
    for message in &request.messages {
        let role = serde_json::to_value(message.role).unwrap_or_default();
        let role = role.as_str().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{role}: {}", message.text());
    }
    text
}
