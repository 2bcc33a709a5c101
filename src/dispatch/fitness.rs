//! Whether agents have the tool servers that they need.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::definition::AgentDefinition;
use crate::registry::Roster;
use crate::tools::{ToolServers, Wanted};

/// How long it is taken for true which agents of a roster are degraded: servers come and go without notice.
const TRUE_FOR: Duration = Duration::from_secs(1);

/// What happens with agents that lack a tool server, unless they are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDegraded {
    /// They are picked like all others.
    #[default]
    Pick,
    /// They are not picked.
    Skip,
}

impl<'a> From<&'a AgentDefinition> for Wanted<'a> {
    fn from(definition: &'a AgentDefinition) -> Self {
        Self {
            tools: definition.tools.as_deref(),
            disallowed: &definition.disallowed_tools,
            servers: &definition.tool_servers,
            possible_servers: &definition.possible_servers,
        }
    }
}

/// Compares what agents need with the servers that are up.
#[derive(Debug)]
pub(super) struct Fitness {
    servers: ToolServers,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    roster_revision: i64,
    degraded: Arc<HashSet<String>>,
}

impl Fitness {
    pub fn new(servers: ToolServers) -> Self {
        Self { servers, known: Mutex::default() }
    }

    /// The servers that an agent needs and that are missing or down.
    pub fn missing(&self, definition: &AgentDefinition) -> Vec<String> {
        self.servers.offer(&Wanted::from(definition)).missing
    }

    /// The names of the live agents that lack a server, as of a moment ago.
    pub fn degraded(&self, roster: &Roster) -> Arc<HashSet<String>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref()
            && known.roster_revision == roster.revision
            && known.since.elapsed() < TRUE_FOR
        {
            return Arc::clone(&known.degraded);
        }
        let lacking = roster.live().filter(|agent| !self.missing(&agent.definition).is_empty());
        let degraded = Arc::new(lacking.map(|agent| agent.name().to_string()).collect());
        *known = Some(Known {
            since: Instant::now(),
            roster_revision: roster.revision,
            degraded: Arc::clone(&degraded),
        });
        degraded
    }
}
