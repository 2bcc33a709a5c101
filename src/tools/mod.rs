//! The operator's tool servers: who may use which tool, and asking for one.
//!
//! A server speaks MCP, as a child process or at a URL. Only the operator names servers; definitions and callers
//! choose among them. What a model does with the tools is known to `conversation`.

mod connection;
mod failure;
mod guard;
mod offer;
mod outcome;
mod process;
mod redaction;
mod selection;
mod server;
mod settings;
mod state;
mod tool;
mod wire_name;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use guard::{GUARD_VERB, guard};
pub use offer::{Offer, Wanted};
pub use outcome::{ToolContent, ToolOutcome};
pub use settings::{Connection, MAX_SERVERS, ServerSettings, Settings, check_name};
pub use state::{Condition, ServerState, ToolSummary};
pub use tool::ServerTool;

use offer::Candidate;
use process::Spawner;
use server::{Server, Source, Surroundings};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two pieces of a server's answer; a stream that waits for news is kept alive by it or opened anew.
const READ_TIMEOUT: Duration = Duration::from_mins(5);

/// A cheap handle to the operator's tool servers.
#[derive(Debug, Clone)]
pub struct ToolServers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    servers: BTreeMap<String, Arc<Server>>,
    call_timeout: Duration,
    result_bytes: usize,
    renamed: &'static [(&'static str, &'static str, &'static str)],
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl ToolServers {
    /// Starts every server and what watches over it. None is waited for: until it is up it is `starting`.
    ///
    /// # Errors
    /// If this process can make no HTTP client, because the system's certificates cannot be read.
    pub fn start(settings: Settings) -> Result<Self, String> {
        let surroundings = Arc::new(Surroundings {
            spawner: Spawner::start(settings.guard, settings.environment),
            http: http_client()?,
            probe_interval: settings.probe_interval,
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut servers = BTreeMap::new();
        for settings in settings.servers {
            let server = Arc::new(Server::new(settings, Source::Config));
            servers.insert(server.settings.name.clone(), Arc::clone(&server));
            tasks.spawn(server.run(Arc::clone(&surroundings), stop.child_token()));
        }
        let inner = Inner {
            servers,
            call_timeout: settings.call_timeout,
            result_bytes: settings.result_bytes,
            renamed: settings.renamed,
            tasks,
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Ends every connection and every child process.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// The tools that an agent may use as of now, and the servers that it needs and cannot have.
    ///
    /// The order is the same for the same servers and definition, so that providers can cache the prompt.
    pub fn offer(&self, wanted: &Wanted<'_>) -> Offer {
        let views: Vec<_> = self.inner.servers.values().map(|server| server.view()).collect();
        let candidates: Vec<Candidate<'_>> = self
            .inner
            .servers
            .values()
            .zip(&views)
            .map(|(server, view)| Candidate {
                name: &server.settings.name,
                is_default: server.settings.is_default,
                condition: view.condition,
                tools: &view.tools,
            })
            .collect();
        Offer::choose(wanted, &candidates, self.inner.renamed)
    }

    /// Asks a tool, within the deadline of the settings. Whatever goes wrong is an outcome that the model can read.
    ///
    /// Dropping the future cancels the call, and the server is told so.
    pub async fn call(&self, tool: &ServerTool, arguments: &Value) -> ToolOutcome {
        let Some(server) = self.inner.servers.get(&tool.server) else {
            return ToolOutcome::error(format!(
                "There is no tool server `{}` any more.",
                tool.server
            ));
        };
        server.call(tool, arguments, self.inner.call_timeout, self.inner.result_bytes).await
    }

    /// One server with its condition.
    pub fn find_state(&self, name: &str) -> Option<ServerState> {
        self.inner.servers.get(name).map(|server| server.state())
    }

    /// Every server with its condition, by name.
    pub fn states(&self) -> Vec<ServerState> {
        self.inner.servers.values().map(|server| server.state()).collect()
    }
}

/// One client for all servers at URLs. It goes where the operator has pointed it and nowhere else: no redirect is
/// followed, and no proxy is taken from the environment.
fn http_client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| format!("failed to make an HTTP client for tool servers: {error}"))
}
