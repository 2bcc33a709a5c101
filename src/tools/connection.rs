//! One connection to a server: made in either era of the protocol, asked for its tools, closed.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientRequest, Implementation, ListToolsRequest,
    PaginatedRequestParams, ProtocolVersion, ServerResult, SubscriptionFilter, Tool,
};
use rmcp::service::{
    ClientLifecycleMode, NotificationContext, Peer, PeerRequestOptions, QuitReason, RoleClient,
    ServiceError, Subscription, serve_client_with_lifecycle_and_ct as serve,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::failure;
use super::process::{Process, Spawner};
use super::redaction::Redaction;
use super::{Connection as Address, ServerSettings, ServerTool};

/// `npx` may have to install a server first.
const START_TIMEOUT: Duration = Duration::from_mins(2);
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Of a server that lists more tools, the first are taken; no model can choose among so many.
const MAX_TOOLS: usize = 500;
const MAX_PAGES: usize = 50;

/// A larger schema is none that a model could be given.
const SCHEMA_BYTES: usize = 256 * 1024;

/// Largest message of a server: more than a result may have, less than would do harm.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Calls to one server over HTTP that may be under way.
pub(super) const MAX_CALLS: usize = 64;

/// An established connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub peer: Peer<RoleClient>,
    pub link: Link,
    pub news: News,
}

/// What keeps a connection up, and ends with it.
#[derive(Debug)]
pub(super) struct Link {
    serving: JoinHandle<Option<QuitReason>>,
    cancel: CancellationToken,
    process: Option<Process>,
}

/// What a server tells unasked.
#[derive(Debug)]
pub(super) struct News {
    lists: Arc<Notify>,
    subscription: Option<Subscription>,
}

/// What the service says of itself, and hears unasked.
#[derive(Debug)]
struct Client {
    lists: Arc<Notify>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        // No capabilities: nobody here samples, answers questions or has folders.
        let own = Implementation::new("rolecall", env!("CARGO_PKG_VERSION"));
        // The version is that of the handshake: the newer era has none, and names its own in each request.
        ClientConfig::new(ClientCapabilities::default(), own)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.lists.notify_one();
    }
}

/// Which era of the protocol is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// Ask which versions the server speaks, and fall back to the handshake of older ones.
    Discover,
    /// The handshake alone, for a server that ends when it is asked something before.
    Handshake,
}

impl Opening {
    fn lifecycle(self) -> ClientLifecycleMode {
        match self {
            Self::Discover => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
            },
            Self::Handshake => ClientLifecycleMode::Initialize,
        }
    }

    /// What is tried next, if this has failed.
    pub fn other(self) -> Self {
        match self {
            Self::Discover => Self::Handshake,
            Self::Handshake => Self::Discover,
        }
    }
}

impl Connection {
    /// Starts a server, or reaches it.
    pub async fn open(
        settings: &ServerSettings,
        opening: Opening,
        spawner: &Spawner,
        http: &reqwest::Client,
    ) -> Result<Self, String> {
        let opened = Self::open_now(settings, opening, spawner, http);
        tokio::time::timeout(START_TIMEOUT, opened)
            .await
            .unwrap_or_else(|_| Err("the server does not answer".to_owned()))
    }

    async fn open_now(
        settings: &ServerSettings,
        opening: Opening,
        spawner: &Spawner,
        http: &reqwest::Client,
    ) -> Result<Self, String> {
        let lists = Arc::new(Notify::new());
        let client = Client { lists: Arc::clone(&lists) };
        let (lifecycle, cancel) = (opening.lifecycle(), CancellationToken::new());
        let mut process = None;
        let opened = match &settings.connection {
            Address::Command { command, args, env } => {
                let redaction = Redaction::of(settings);
                let (started, stdout, stdin) = spawner
                    .spawn(&settings.name, command, args, env, redaction)
                    .await
                    .map_err(|error| format!("the server cannot be started: {error}"))?;
                let started = process.insert(started);
                let transport =
                    AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MESSAGE_BYTES);
                tokio::select! {
                    biased;
                    opened = serve(client, transport, lifecycle, cancel.clone()) => match opened {
                        Ok(opened) => Ok(opened),
                        // The end of its output comes before the end of the process, which says more.
                        Err(error) => match tokio::time::timeout(CLOSE_TIMEOUT, started.ended()).await {
                            Ok(status) => return Err(end_at_start(status, started)),
                            Err(_) => Err(error),
                        },
                    },
                    status = started.ended() => return Err(end_at_start(status, started)),
                }
            }
            Address::Url { url, headers } => {
                let config = StreamableHttpClientTransportConfig::with_uri(url.to_string())
                    .custom_headers(headers.iter().cloned().collect())
                    .max_concurrent_requests(MAX_CALLS)
                    .max_sse_event_size(MESSAGE_BYTES)
                    .max_json_response_size(MESSAGE_BYTES);
                let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
                serve(client, transport, lifecycle, cancel.clone()).await
            }
        };
        let running = opened.map_err(|error| failure::of_start(&error))?;
        let peer = running.peer().clone();
        let serving = tokio::spawn(async move { running.waiting().await.ok() });
        let news = News { lists, subscription: subscribe(&peer).await };
        Ok(Self { peer, link: Link { serving, cancel, process }, news })
    }

    /// Ends the connection, and the process if the server is one.
    pub async fn close(self) {
        let Self { peer, link, news } = self;
        drop((peer, news));
        link.cancel.cancel();
        if !link.serving.is_finished() {
            // A session that the server keeps is ended by a last request.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, link.serving).await;
        }
        if let Some(process) = link.process {
            process.end().await;
        }
    }
}

impl Link {
    /// Waits for the end of the connection, and tells why.
    pub async fn ended(&mut self) -> String {
        let Some(process) = &self.process else {
            let _ = (&mut self.serving).await;
            return "the server ended the connection".to_owned();
        };
        tokio::select! {
            _ = &mut self.serving => {
                let ended = tokio::time::timeout(CLOSE_TIMEOUT, process.ended()).await;
                ended.map_or_else(|_| "the server closed its output".to_owned(), end)
            }
            status = process.ended() => end(status),
        }
    }
}

impl News {
    /// Waits for the server to say that its tools have changed.
    pub async fn tools_changed(&mut self) {
        if let Some(subscription) = &mut self.subscription {
            let heard = tokio::select! {
                heard = subscription.next() => matches!(heard, Ok(Some(_))),
                () = self.lists.notified() => true,
            };
            if heard {
                return;
            }
            // It has ended. What changes now is found by the next probe.
            self.subscription = None;
        }
        self.lists.notified().await;
    }
}

/// Asks a server of the newer era to say when its tools change. One of the older era does so unasked.
async fn subscribe(peer: &Peer<RoleClient>) -> Option<Subscription> {
    let info = peer.peer_info()?;
    let tells = info.capabilities.tools.as_ref().and_then(|tools| tools.list_changed);
    if info.protocol_version.has_initialize() || !tells.unwrap_or(false) {
        return None;
    }
    let filter = SubscriptionFilter::builder().tools_list_changed().build();
    // Without it changes are found by the next probe.
    tokio::time::timeout(LIST_TIMEOUT, peer.listen(filter)).await.ok()?.ok()
}

/// What a server has, in its order. Whatever is as it was is taken from `known`.
pub(super) async fn list_tools(
    peer: &Peer<RoleClient>,
    server: &str,
    known: &[Arc<ServerTool>],
) -> Result<Vec<Arc<ServerTool>>, String> {
    let listed = tokio::time::timeout(LIST_TIMEOUT, list_pages(peer)).await;
    let listed = listed.map_err(|_| "the server does not answer".to_owned())?;
    let listed = listed.map_err(|error| failure::of_request(&error))?;
    let mut tools: Vec<Arc<ServerTool>> = Vec::new();
    for tool in listed.into_iter().take(MAX_TOOLS) {
        let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
        let size = serde_json::to_string(&tool.input_schema).map_or(usize::MAX, |text| text.len());
        let is_again = tools.iter().any(|other| *other.tool == *tool.name);
        if size > SCHEMA_BYTES || is_again || tool.name.is_empty() {
            tracing::debug!(server.name = server, tool.name = %tool.name, "a tool is left out");
            continue;
        }
        let schema = Arc::unwrap_or_clone(tool.input_schema);
        let same = known.iter().find(|known| known.is_as(&tool.name, description, &schema));
        tools.push(
            same.cloned().unwrap_or_else(|| {
                Arc::new(ServerTool::new(server, &tool.name, description, schema))
            }),
        );
    }
    Ok(tools)
}

/// Asks the server itself: what the library remembers of an earlier answer would be no probe.
async fn list_pages(peer: &Peer<RoleClient>) -> Result<Vec<Tool>, ServiceError> {
    let mut tools = Vec::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let params = PaginatedRequestParams::default().with_cursor(cursor.take());
        let request = ListToolsRequest::with_param(params);
        let options = PeerRequestOptions::with_timeout(LIST_TIMEOUT);
        let request = ClientRequest::ListToolsRequest(request);
        let answer =
            peer.send_request_with_option(request, options).await?.await_response().await?;
        let ServerResult::ListToolsResult(page) = answer else {
            return Err(ServiceError::UnexpectedResponse);
        };
        tools.extend(page.tools);
        cursor = page.next_cursor;
        if cursor.is_none() || tools.len() >= MAX_TOOLS {
            break;
        }
    }
    Ok(tools)
}

fn end(status: ExitStatus) -> String {
    format!("the server ended by itself ({status})")
}

/// Why it could not start is mostly what it said last.
fn end_at_start(status: ExitStatus, process: &Process) -> String {
    let last = process.last_words();
    if last.is_empty() { end(status) } else { format!("{}: {last}", end(status)) }
}
