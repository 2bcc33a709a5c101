//! What a stored conversation means for the next run of it: what goes before, who has it, what is waited for. Pure.

use uuid::Uuid;

use super::message::{read, retain_calls, without_thoughts};
use super::store::ReadConversation;
use crate::chat::{Message, Role, has_answer, opening_request};
use crate::conversation::ConversationError;
use crate::dispatch::{DispatchRequest, Sticky};

/// The messages that go before a request.
#[derive(Debug)]
pub(in crate::conversation) struct History {
    id: Uuid,
    /// The agent that has the conversation.
    agent: Option<String>,
    messages: Vec<KeptMessage>,
    /// Whether older ones were not read.
    pub is_cut: bool,
}

#[derive(Debug)]
struct KeptMessage {
    /// Who said it, or was told it.
    agent: Option<String>,
    message: Message,
}

impl History {
    pub(super) fn new(id: Uuid, read_conversation: ReadConversation) -> Self {
        let ReadConversation { agent_name, messages, is_cut } = read_conversation;
        let messages = messages.into_iter();
        let messages: Vec<KeptMessage> = messages
            .filter_map(|(agent, stored)| Some(KeptMessage { agent, message: read(&stored)? }))
            .collect();
        let mut messages = without_loose_ends(messages);
        if is_cut {
            // It begins in the middle of an exchange, perhaps with a result whose call is missing.
            let is_user = |kept: &KeptMessage| kept.message.role == Role::User;
            let first = messages.iter().position(is_user).unwrap_or(messages.len());
            messages.drain(..first);
        }
        Self { id, agent: agent_name, messages, is_cut }
    }

    /// Nothing goes before.
    pub(super) fn none(id: Uuid) -> Self {
        Self { id, agent: None, messages: Vec::new(), is_cut: false }
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The calls whose results the conversation waits for.
    fn walk(&self) -> Walk<'_> {
        let mut walk = Walk::default();
        for kept in &self.messages {
            // What is stored has been checked.
            let _ = walk.step(&kept.message);
        }
        walk
    }

    /// Refuses messages that cannot follow.
    pub fn check(&self, new: &[Message]) -> Result<(), ConversationError> {
        let mut walk = self.walk();
        for message in new {
            walk.step(message).map_err(ConversationError::CannotFollow)?;
        }
        if let Some(call) = walk.outstanding.first() {
            return Err(ConversationError::CannotFollow(format!(
                "the result of the call `{call}` is missing"
            )));
        }
        match new.last() {
            Some(last) if last.role != Role::Assistant => Ok(()),
            _ => Err(ConversationError::CannotFollow(
                "the last message must be the user's, or the result of a call".to_owned(),
            )),
        }
    }

    /// Tells the dispatcher what is asked now, and whose conversation it is.
    pub fn complete(&self, request: &mut DispatchRequest, new: &[Message]) {
        let all: Vec<&Message> =
            self.messages.iter().map(|kept| &kept.message).chain(new).collect();
        let opening = opening_request(all.iter().copied());
        request.is_under_way = has_answer(all.iter().copied());
        let behind_answer = new.iter().rev().take_while(|message| message.role == Role::User);
        let mut asked: Vec<_> = behind_answer.map(Message::text).collect();
        asked.reverse();
        request.input = match self.agent {
            Some(_) if !asked.is_empty() => asked.join("\n"),
            _ => opening.clone(),
        };
        request.sticky = Some(Sticky {
            conversation_id: self.id,
            agent: self.agent.clone(),
            opening,
            is_in_tool_loop: !self.walk().outstanding.is_empty()
                || new.first().is_some_and(|first| first.role == Role::Tool),
        });
    }

    /// The messages that go before `new` as `agent` is shown them. Thinking is for who thought it; that of another model its
    /// provider's dialect leaves out.
    pub fn shown_to(mut self, agent: &str, new: &[Message]) -> Vec<Message> {
        self.leave_out_unanswered(new);
        let shown = self.messages.into_iter().map(|kept| {
            let is_own = kept.agent.as_deref() == Some(agent);
            if is_own { kept.message } else { without_thoughts(kept.message) }
        });
        shown.collect()
    }

    /// Leaves out the calls at the end that need no result and get none.
    fn leave_out_unanswered(&mut self, new: &[Message]) {
        let Self { messages, .. } = self;
        let is_result = |message: &Message| message.role == Role::Tool;
        let Some(last) = messages.iter().rposition(|kept| !is_result(&kept.message)) else {
            return;
        };
        let (calling, results) = messages[last..].split_at_mut(1);
        let before = results.iter().map(|kept| &kept.message);
        let answered: Vec<&str> = before
            .chain(new.iter().take_while(|message| is_result(message)))
            .filter_map(|result| result.tool_call_id.as_deref())
            .collect();
        retain_calls(&mut calling[0].message, |id| answered.contains(&id));
        let is_empty = calling[0].message.is_empty() && calling[0].message.tool_calls.is_empty();
        if is_empty {
            messages.remove(last);
        }
    }
}

/// Leaves out results without their calls and calls without their results: what stood between may have been deleted. Calls
/// at the end may wait for their results.
fn without_loose_ends(messages: Vec<KeptMessage>) -> Vec<KeptMessage> {
    let mut kept: Vec<KeptMessage> = Vec::with_capacity(messages.len());
    let mut messages = messages.into_iter().peekable();
    while let Some(mut next) = messages.next() {
        let mut results: Vec<KeptMessage> = Vec::new();
        while let Some(result) = messages.next_if(|kept| kept.message.role == Role::Tool) {
            results.push(result);
        }
        let id = |result: &KeptMessage| result.message.tool_call_id.clone();
        if messages.peek().is_some() {
            let answered: Vec<Option<String>> = results.iter().map(id).collect();
            retain_calls(&mut next.message, |call| {
                answered.iter().any(|id| id.as_deref() == Some(call))
            });
        }
        let calls = &next.message.tool_calls;
        results.retain(|result| calls.iter().any(|call| id(result).as_deref() == Some(&*call.id)));
        let is_result = next.message.role == Role::Tool;
        if !is_result && (!next.message.is_empty() || !next.message.tool_calls.is_empty()) {
            kept.push(next);
            kept.extend(results);
        }
    }
    kept
}

/// Refuses messages that a conversation cannot begin with. Calls at their end may wait for their results.
pub(super) fn check_opening(messages: &[Message]) -> Result<(), ConversationError> {
    let mut walk = Walk::default();
    messages
        .iter()
        .try_for_each(|message| walk.step(message))
        .map_err(ConversationError::CannotFollow)
}

/// Follows calls and their results: providers want the results right behind the calls, and all of them.
#[derive(Debug, Default)]
struct Walk<'a> {
    outstanding: Vec<&'a str>,
    /// Those that only a protocol has words for: whether it wants their results is not known here.
    foreign: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn step(&mut self, message: &'a Message) -> Result<(), String> {
        if message.role == Role::Tool {
            let id = message.tool_call_id.as_deref().unwrap_or_default();
            for calls in [&mut self.outstanding, &mut self.foreign] {
                if let Some(place) = calls.iter().position(|call| *call == id) {
                    calls.remove(place);
                    return Ok(());
                }
            }
            return Err(format!("no call `{id}` waits for a result"));
        }
        if let Some(call) = self.outstanding.first() {
            return Err(format!("the result of the call `{call}` is missing"));
        }
        let calls = message.tool_calls.iter().map(|call| &*call.id);
        (self.foreign, self.outstanding) = calls.partition(|id| message.is_foreign_call(id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::{History, check_opening};
    use crate::chat::{ForeignItem, Message, Part, Protocol, SealedThought, ToolCall};
    use crate::conversation::stored::message::write;
    use crate::conversation::stored::store::ReadConversation;
    use crate::dispatch::DispatchRequest;

    fn calls(ids: &[&str]) -> Message {
        let call = |id: &&str| ToolCall::new(*id, "look", json!({}));
        Message::assistant(Vec::new(), ids.iter().map(call).collect())
    }

    fn result(id: &str) -> Message {
        Message::tool_result(id.to_owned(), vec![Part::text("found")], false)
    }

    fn says(text: &str) -> Message {
        Message::assistant(vec![Part::text(text)], Vec::new())
    }

    fn history(messages: &[Message], is_cut: bool) -> History {
        let messages = messages.iter().map(|message| (Some("a".into()), write(message.clone())));
        let (agent_name, messages) = (Some("a".to_owned()), messages.collect());
        History::new(Uuid::nil(), ReadConversation { agent_name, messages, is_cut })
    }

    #[test]
    fn results_follow_their_calls_and_nothing_else_does() {
        let waits = history(&[Message::user("Do it"), calls(&["1", "2"]), result("1")], false);
        assert!(waits.check(&[result("2")]).is_ok());
        assert!(waits.check(&[result("2"), Message::user("And now?")]).is_ok());
        for new in [&[Message::user("Hello?")][..], &[result("3")], &[result("1")], &[]] {
            assert!(waits.check(new).is_err(), "{new:?}");
        }
        let answered = history(&[Message::user("Do it"), says("Done")], false);
        assert!(answered.check(&[Message::user("Thanks")]).is_ok());
        for new in [&[result("1")][..], &[Message::user("a"), says("b")], &[calls(&["1"])]] {
            assert!(answered.check(new).is_err(), "{new:?}");
        }
        assert!(check_opening(&[Message::user("Do it"), calls(&["1"])]).is_ok());
        let abandoned = [Message::user("Do it"), calls(&["1"]), Message::user("Well?")];
        assert!(check_opening(&abandoned).is_err());
    }

    #[test]
    fn a_pick_knows_what_is_asked_now_and_what_was_asked_first() {
        let mut request = DispatchRequest::default();
        let history = history(&[Message::user("A login"), says("Here"), result("x")], false);
        history.complete(&mut request, &[Message::user("And now"), Message::user("a test")]);
        assert_eq!(request.input, "And now\na test");
        let sticky = request.sticky.expect("is stored");
        assert_eq!((sticky.opening.as_str(), sticky.is_in_tool_loop), ("A login", false));
    }

    #[test]
    fn a_conversation_that_is_not_read_whole_begins_with_the_user() {
        let cut = history(&[result("1"), says("Done"), Message::user("Thanks")], true);
        assert_eq!(cut.shown_to("a", &[]), [Message::user("Thanks")]);
    }

    #[test]
    fn what_stood_between_may_be_gone() {
        let calls_are_gone = [Message::user("Do it"), result("1"), says("Done")];
        let shown = history(&calls_are_gone, false).shown_to("a", &[]);
        assert_eq!(shown, [Message::user("Do it"), says("Done")]);
        let a_result_is_gone =
            [Message::user("Do it"), calls(&["1", "2"]), result("2"), says("Done")];
        let shown = history(&a_result_is_gone, false).shown_to("a", &[]);
        assert_eq!(shown[1..], [calls(&["2"]), result("2"), says("Done")]);
        let all_are_gone = [Message::user("Do it"), calls(&["1"]), Message::user("Well?")];
        let shown = history(&all_are_gone, false).shown_to("a", &[]);
        assert_eq!(shown, [Message::user("Do it"), Message::user("Well?")]);
    }

    #[test]
    fn a_call_that_only_its_protocol_knows_may_go_without_a_result() {
        let item = ForeignItem {
            protocol: Protocol::Responses,
            item: "{}".into(),
            call_id: Some("1".into()),
            meaning: Vec::new(),
        };
        let calling =
            Message { content: vec![Part::Foreign(item), Part::text("So:")], ..calls(&["1"]) };
        let asked = [Message::user("Do it"), calling.clone()];
        let answered = [&asked[..], &[result("1"), says("Done")]].concat();
        assert_eq!(history(&answered, false).shown_to("a", &[]), answered);
        let waits = history(&asked, false);
        assert!(waits.check(&[result("1")]).is_ok() && waits.check(&[result("2")]).is_err());
        assert!(waits.check(&[Message::user("Well?")]).is_ok());
        assert_eq!(history(&asked, false).shown_to("a", &[result("1")]), asked);
        let left_out = [Message::user("Do it"), says("So:")];
        assert_eq!(waits.shown_to("a", &[Message::user("Well?")]), left_out);
        let passed_over = [&asked[..], &[Message::user("Well?")]].concat();
        assert_eq!(history(&passed_over, false).shown_to("a", &[])[..2], left_out);
    }

    #[test]
    fn thinking_is_for_who_thought_it() {
        let thought = Part::Thought(SealedThought { model: "p/m".into(), block: json!({}) });
        let said = Message::assistant(vec![thought, Part::text("Done")], Vec::new());
        let shown = |agent| history(std::slice::from_ref(&said), false).shown_to(agent, &[]);
        assert_eq!(shown("a"), std::slice::from_ref(&said));
        assert_eq!(shown("b"), [says("Done")]);
    }
}
