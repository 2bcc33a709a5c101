//! The operator's tool servers: who may use which tool, and asking for one.
//!
//! A server speaks MCP, as a child process or at a URL. Only the operator names servers; definitions and callers
//! choose among them. What a model does with the tools is known to `conversation`.

mod connection;
mod error;
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
mod stored;
mod tool;
mod wire_name;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use error::ToolServerError;
pub use guard::{GUARD_VERB, guard};
pub use offer::{Offer, Wanted};
pub use outcome::{ToolContent, ToolOutcome};
pub use settings::{Connection, MAX_SERVERS, Secrets, ServerSettings, Settings, check_name};
pub use state::{Condition, ServerState, Source, ToolSummary, Transport};
pub use stored::{NewServer, Put, StoredToolServers};
pub use tool::ServerTool;

use offer::Candidate;
use process::Spawner;
use server::{Server, Surroundings};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two pieces of a server's answer; a stream that waits for news is kept alive by it or opened anew.
const READ_TIMEOUT: Duration = Duration::from_mins(5);

/// A cheap handle to the operator's tool servers.
#[derive(Debug, Clone)]
pub struct ToolServers {
    inner: Arc<Inner>,
}

type Servers = BTreeMap<String, Arc<Server>>;

#[derive(Debug)]
struct Inner {
    /// By name. Those of the configuration stay; those that are stored come and go.
    servers: ArcSwap<Servers>,
    surroundings: Arc<Surroundings>,
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
        let stop = CancellationToken::new();
        let inner = Inner {
            servers: ArcSwap::default(),
            surroundings,
            call_timeout: settings.call_timeout,
            result_bytes: settings.result_bytes,
            renamed: settings.renamed,
            tasks: TaskTracker::new(),
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
        };
        let servers = settings.servers.into_iter();
        let servers = servers.map(|settings| inner.start(settings, Source::Config));
        inner.servers.store(Arc::new(servers.collect()));
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes the stored servers those that are given. What has not changed goes on undisturbed, and what the
    /// configuration names comes first.
    fn set_stored(&self, stored: Vec<ServerSettings>) {
        let before = self.inner.servers.load_full();
        let mut servers: Servers = before
            .iter()
            .filter(|(_, server)| server.source == Source::Config)
            .map(|(name, server)| (name.clone(), Arc::clone(server)))
            .collect();
        for settings in stored {
            if self.is_configured(&settings.name) {
                continue;
            }
            let same = before.get(&settings.name).filter(|server| server.settings == settings);
            let (name, server) = match same {
                Some(server) => (settings.name, Arc::clone(server)),
                None => self.inner.start(settings, Source::Api),
            };
            servers.insert(name, server);
        }
        for (name, server) in before.iter() {
            if !servers.get(name).is_some_and(|kept| Arc::ptr_eq(kept, server)) {
                server.stop.cancel();
            }
        }
        self.inner.servers.store(Arc::new(servers));
    }

    /// Whether the configuration names a server, whatever its case.
    fn is_configured(&self, name: &str) -> bool {
        let servers = self.inner.servers.load();
        let mut configured = servers.values().filter(|server| server.source == Source::Config);
        configured.any(|server| server.settings.name.eq_ignore_ascii_case(name))
    }

    fn count_configured(&self) -> usize {
        let servers = self.inner.servers.load();
        servers.values().filter(|server| server.source == Source::Config).count()
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
        let servers = self.inner.servers.load();
        let views: Vec<_> = servers.values().map(|server| server.view()).collect();
        let candidates: Vec<Candidate<'_>> = servers
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
        let server = self.inner.servers.load().get(&tool.server).cloned();
        let Some(server) = server else {
            return ToolOutcome::error(format!(
                "There is no tool server `{}` any more.",
                tool.server
            ));
        };
        server.call(tool, arguments, self.inner.call_timeout, self.inner.result_bytes).await
    }

    /// One server with its condition.
    pub fn find_state(&self, name: &str) -> Option<ServerState> {
        self.inner.servers.load().get(name).map(|server| server.state())
    }

    /// Every server with its condition, by name.
    pub fn states(&self) -> Vec<ServerState> {
        self.inner.servers.load().values().map(|server| server.state()).collect()
    }
}

impl Inner {
    /// Starts a server's task, which ends with the server or with all of them.
    fn start(&self, settings: ServerSettings, source: Source) -> (String, Arc<Server>) {
        let server = Arc::new(Server::new(settings, source, self.stop.child_token()));
        self.tasks.spawn(Arc::clone(&server).run(Arc::clone(&self.surroundings)));
        (server.settings.name.clone(), server)
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
