//! Tools that an agent must have called before it answers.
//!
//! Models refuse to be forced to a tool, so nothing is forced: an answer that comes without the call is held back, and
//! the model is told once.

use crate::chat::{Message, Role};
use crate::tools::{Offer, ServerTool};

/// The tools that are required of a run and not called yet.
#[derive(Debug, Default)]
pub(super) struct Required {
    outstanding: Vec<String>,
    /// Whether one is required that cannot be had.
    is_impossible: bool,
    was_reminded: bool,
}

impl Required {
    /// `wanted` names servers, or tools by any of their names. Calls of the same exchange count: those behind the
    /// user's last message, which a caller gives back who has answered calls of its own.
    pub fn new(wanted: Vec<String>, offer: &Offer, messages: &[Message]) -> Self {
        let asked = messages.iter().rev().take_while(|message| message.role != Role::User);
        let called: Vec<&ServerTool> = asked
            .flat_map(|message| &message.tool_calls)
            .filter_map(|call| offer.find(&call.name).map(|tool| &**tool))
            .collect();
        let is_offered = |entry: &String| offer.tools.iter().any(|tool| means(entry, tool));
        let (mut outstanding, impossible): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(is_offered);
        outstanding.retain(|entry| !called.iter().any(|tool| means(entry, tool)));
        Self { outstanding, is_impossible: !impossible.is_empty(), was_reminded: false }
    }

    /// Whether the model may still come to call what it has to.
    pub fn is_outstanding(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// Whether the run ends without something that was required.
    pub fn is_skipped(&self) -> bool {
        self.is_impossible || self.is_outstanding()
    }

    pub fn note_call(&mut self, tool: &ServerTool) {
        self.outstanding.retain(|entry| !means(entry, tool));
    }

    /// Tells the model what is missing, the first time.
    pub fn remind(&mut self, offer: &Offer) -> Option<Message> {
        let is_due = self.is_outstanding() && !std::mem::replace(&mut self.was_reminded, true);
        is_due.then(|| Message::user(self.reminder(offer)))
    }

    fn reminder(&self, offer: &Offer) -> String {
        let of_entry = |entry: &String| {
            let tools = offer.tools.iter().filter(|tool| means(entry, tool));
            let names: Vec<String> = tools.map(|tool| format!("`{}`", tool.name)).collect();
            format!("- {entry}: {}", names.join(", "))
        };
        let entries: Vec<String> = self.outstanding.iter().map(of_entry).collect();
        format!(
            "Your answer has not been shown to the user, because it came without a tool that you must use before you \
             answer. Call the missing tools now, then give your whole answer. They are:\n{}",
            entries.join("\n")
        )
    }
}

/// Whether an entry names a tool: by its server, with or without the marks of a wildcard, or by a name of its own.
fn means(entry: &str, tool: &ServerTool) -> bool {
    let server = entry.strip_prefix("mcp__").unwrap_or(entry);
    let server = server.strip_suffix("__*").unwrap_or(server);
    server.eq_ignore_ascii_case(&tool.server) || entry == tool.name || entry == tool.tool
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::Required;
    use crate::chat::{Message, ToolCall};
    use crate::tools::{Offer, ServerTool};

    fn offer() -> Offer {
        let tool = |tool| Arc::new(ServerTool::new("context7", tool, "", serde_json::Map::new()));
        let mut offer = Offer::default();
        offer.tools = vec![tool("resolve-library-id"), tool("query-docs")];
        offer
    }

    fn required(wanted: &str, messages: &[Message]) -> Required {
        Required::new(vec![wanted.to_owned()], &offer(), messages)
    }

    #[test]
    fn any_tool_of_a_required_server_will_do() {
        for wanted in ["context7", "Context7", "mcp__context7__*", "query-docs"] {
            let mut required = required(wanted, &[]);
            assert!(required.is_outstanding(), "{wanted}");
            required.note_call(&offer().tools[1]);
            assert!(!required.is_skipped(), "{wanted}");
        }
    }

    #[test]
    fn a_tool_is_not_its_neighbour() {
        let mut required = required("mcp__context7__query-docs", &[]);
        required.note_call(&offer().tools[0]);
        assert!(required.is_outstanding());
    }

    #[test]
    fn the_model_is_told_once() {
        let mut required = required("context7", &[]);
        let reminder = required.remind(&offer()).expect("is due");
        assert!(reminder.text().contains("`mcp__context7__query-docs`"), "{}", reminder.text());
        assert!(required.remind(&offer()).is_none() && required.is_skipped());
    }

    #[test]
    fn what_cannot_be_had_is_skipped_and_not_asked_for() {
        let mut required = required("linear", &[]);
        assert!(!required.is_outstanding() && required.is_skipped());
        assert!(required.remind(&offer()).is_none());
    }

    #[test]
    fn calls_of_the_same_exchange_count() {
        let name = "mcp__context7__query-docs".to_owned();
        let call = ToolCall::new("1", name, json!({}));
        let asked = Message::assistant(vec![], vec![call]);
        let result = Message::tool_result("1".into(), vec![], false);
        let same = [Message::user("Do it"), asked.clone(), result.clone()];
        assert!(!required("context7", &same).is_outstanding());
        let next = [Message::user("Do it"), asked, result, Message::user("And that?")];
        assert!(required("context7", &next).is_outstanding());
    }
}
