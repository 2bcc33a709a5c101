//! Which agents wait for results of tools where nothing is stored of their conversations.
//!
//! A caller who posts all messages each time has the agent picked anew, on what the conversation began with. Between a call
//! and its result the roster may have changed, or somebody may have corrected the pick: the result belongs to the agent that
//! called all the same.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use foldhash::quality::RandomState;
use uuid::Uuid;

use crate::chat::{Message, Role, ToolCall};

/// Calls that are remembered in all; the oldest are forgotten first, and their conversations picked for anew.
const MAX_CALLS: usize = 10_000;

/// Conversations of callers that are told apart by what they began with: ids of calls alone are not unique with every
/// provider.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning(u64);

/// The agents of this instance that wait for results.
#[derive(Debug, Default)]
pub(super) struct WaitingAgents {
    hasher: RandomState,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    agents: HashMap<u64, String>,
    /// The oldest first.
    order: VecDeque<u64>,
}

impl WaitingAgents {
    pub fn beginning(&self, key_id: Uuid, opening: &str) -> Beginning {
        Beginning(self.hasher.hash_one((key_id, opening)))
    }

    /// Remembers that `agent` waits for the results of these calls.
    pub fn remember(&self, beginning: Beginning, calls: &[ToolCall], agent: &str) {
        let mut known = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        for call in calls {
            let call = self.call(beginning, &call.id);
            if known.agents.insert(call, agent.to_owned()).is_none() {
                known.order.push_back(call);
            }
            if known.order.len() > MAX_CALLS
                && let Some(oldest) = known.order.pop_front()
            {
                known.agents.remove(&oldest);
            }
        }
    }

    /// The agent that waits for a result which stands behind the last answer; `None` if there is none, or if it is not known
    /// here who called.
    pub fn find(&self, beginning: Beginning, messages: &[Message]) -> Option<String> {
        let behind_answer =
            messages.iter().rev().take_while(|message| message.role != Role::Assistant);
        let mut results = behind_answer.filter_map(|message| message.tool_call_id.as_deref());
        let known = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        results.find_map(|id| known.agents.get(&self.call(beginning, id))).cloned()
    }

    fn call(&self, Beginning(beginning): Beginning, id: &str) -> u64 {
        self.hasher.hash_one((beginning, id))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::{MAX_CALLS, WaitingAgents};
    use crate::chat::{Message, Part, ToolCall};

    fn call(id: &str) -> ToolCall {
        serde_json::from_value(json!({"id": id, "name": "read", "arguments": {}})).expect("a call")
    }

    fn result(id: &str) -> Message {
        Message::tool_result(id.to_owned(), vec![Part::text("7")], false)
    }

    #[test]
    fn a_result_finds_the_agent_that_called() {
        let (agents, key) = (WaitingAgents::default(), Uuid::now_v7());
        let beginning = agents.beginning(key, "review my diff");
        agents.remember(beginning, &[call("a"), call("b")], "reviewer");
        let found = |messages: &[Message]| agents.find(beginning, messages);
        assert_eq!(found(&[result("a"), result("b")]).as_deref(), Some("reviewer"));
        assert_eq!(found(&[result("c")]), None);
        let answer = Message::assistant(vec![Part::text("It is 7.")], Vec::new());
        assert_eq!(found(&[result("a"), Message::user("quickly")]).as_deref(), Some("reviewer"));
        assert_eq!(found(&[result("a"), answer, Message::user("and now?")]), None);
        assert_eq!(found(&[]), None);
        for other in [(key, "fix my layout"), (Uuid::now_v7(), "review my diff")] {
            assert_eq!(agents.find(agents.beginning(other.0, other.1), &[result("a")]), None);
        }
    }

    #[test]
    fn the_oldest_calls_are_forgotten() {
        let agents = WaitingAgents::default();
        let beginning = agents.beginning(Uuid::nil(), "review my diff");
        for number in 0..=MAX_CALLS {
            agents.remember(beginning, &[call(&number.to_string())], "reviewer");
        }
        let is_known =
            |number: usize| agents.find(beginning, &[result(&number.to_string())]).is_some();
        assert!(!is_known(0) && is_known(1) && is_known(MAX_CALLS));
    }
}
