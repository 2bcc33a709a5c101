//! Where a request to Anthropic says that what goes before is to be cached: how many places there are, and what ours may be.
//! <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Inbound, Part};
use crate::provider::request_body::read_if_it_says;

/// The API refuses more.
const MOST: usize = 4;

/// Those that a request has from its caller.
#[derive(Debug, Default)]
pub(super) struct Breakpoints {
    count: usize,
    /// Whether one behind the tools lasts for an hour. The API refuses one that lasts less before it.
    last_an_hour: bool,
    /// Whether the API itself is to set one, at the end of the messages. It refuses to if another stands there that
    /// lasts for another time.
    is_automatic: bool,
}

impl Breakpoints {
    /// All of a request in the protocol's words, wherever they stand.
    pub fn of_inbound(inbound: &Inbound) -> Self {
        let mut breakpoints = Self::default();
        for name in ["tools", "system", "messages"] {
            let field = inbound.field(name);
            if let Some(value) = field.and_then(|field| read_if_it_says(field, "cache_control")) {
                breakpoints.add_those_in(&value, name != "tools");
            }
        }
        if let Some(automatic) = inbound.value("cache_control") {
            breakpoints.add(&automatic, true);
            breakpoints.is_automatic = true;
        }
        breakpoints
    }

    pub fn of(request: &ChatRequest) -> Self {
        let mut breakpoints = Self::default();
        let tools = request.tools.iter().filter_map(|tool| tool.cache_control.as_ref());
        tools.for_each(|one| breakpoints.add(one, false));
        for part in request.messages.iter().flat_map(|message| &message.content) {
            if let Part::Text { cache_control: Some(one), .. } = part {
                breakpoints.add(one, true);
            }
        }
        breakpoints
    }

    /// The one behind the agent's instructions, if there is room for it.
    pub fn for_instructions(&self) -> Option<Value> {
        let lasting = if self.last_an_hour {
            json!({"type": "ephemeral", "ttl": "1h"})
        } else {
            json!({"type": "ephemeral"})
        };
        (self.count < MOST).then_some(lasting)
    }

    /// Whether there is room for another one at the end of the messages.
    pub fn have_room_for_results(&self) -> bool {
        !self.is_automatic && self.count + 1 < MOST
    }

    fn add(&mut self, cache_control: &Value, is_behind_tools: bool) {
        self.count += 1;
        self.last_an_hour |= is_behind_tools && cache_control["ttl"] == "1h";
    }

    fn add_those_in(&mut self, value: &Value, is_behind_tools: bool) {
        match value {
            Value::Array(items) => {
                for item in items {
                    self.add_those_in(item, is_behind_tools);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    match name.as_str() {
                        "cache_control" if member.is_object() => self.add(member, is_behind_tools),
                        // What a model or a tool has written is data.
                        "input" | "input_schema" => {}
                        _ => self.add_those_in(member, is_behind_tools),
                    }
                }
            }
            _ => {}
        }
    }
}
