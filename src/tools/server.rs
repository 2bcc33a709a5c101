//! One server: kept up by a task of its own, looked at, asked.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use rmcp::model::{CallToolRequestParams, CallToolResponse, RequestParamsMeta};
use rmcp::service::{Peer, RoleClient, ServiceError};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, MAX_CALLS, News, Opening, list_tools};
use super::process::Spawner;
use super::redaction::Redaction;
use super::{
    Condition, ServerSettings, ServerState, ServerTool, Source, ToolOutcome, ToolSummary,
    Transport, failure,
};
use crate::telemetry::traces;

/// How long a server that is down is left alone: doubled each time, until it has stayed up for a while.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
const STEADY: Duration = Duration::from_mins(1);

/// A server that calls its list changed all the time is asked so often.
const LIST_PAUSE: Duration = Duration::from_millis(50);

/// A process is not ended for one probe that it was too busy to answer.
const FAILED_PROBES: u32 = 2;

/// A server, its task and what is known of it.
#[derive(Debug)]
pub(super) struct Server {
    pub settings: ServerSettings,
    pub source: Source,
    /// Ends its task.
    pub stop: CancellationToken,
    redaction: Redaction,
    view: ArcSwap<View>,
    /// Somebody has reason to believe that the server is not well.
    doubted: Notify,
    places: Semaphore,
}

/// What a server's task needs of its surroundings.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub spawner: Spawner,
    pub http: reqwest::Client,
    pub probe_interval: Duration,
}

/// A server as of a moment.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub condition: Condition,
    pub since: DateTime<Utc>,
    pub error: Option<String>,
    /// Those it had last, while it is down.
    pub tools: Vec<Arc<ServerTool>>,
    peer: Option<Peer<RoleClient>>,
}

impl Server {
    pub fn new(settings: ServerSettings, source: Source, stop: CancellationToken) -> Self {
        let view = View {
            condition: Condition::Starting,
            since: Utc::now(),
            error: None,
            tools: Vec::new(),
            peer: None,
        };
        Self {
            redaction: Redaction::of(&settings),
            settings,
            source,
            stop,
            view: ArcSwap::from_pointee(view),
            doubted: Notify::new(),
            places: Semaphore::new(MAX_CALLS),
        }
    }

    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub fn state(&self) -> ServerState {
        let view = self.view();
        let info = view.peer.as_ref().and_then(Peer::peer_info);
        let server = info.as_ref().and_then(|info| info.server_info.as_ref());
        let tools = view.tools.iter().map(|tool| ToolSummary {
            name: tool.tool.clone(),
            offered_as: tool.name.clone(),
            description: tool.description.clone(),
        });
        ServerState {
            name: self.settings.name.clone(),
            transport: self.settings.connection.transport(),
            default: self.settings.is_default,
            source: self.source,
            state: view.condition,
            since: view.since,
            error: view.error.clone(),
            server: server.map(|server| format!("{} {}", server.name, server.version)),
            protocol_version: info.as_ref().map(|info| info.protocol_version.to_string()),
            tools: tools.collect(),
        }
    }

    /// Keeps the server up until it is stopped.
    pub async fn run(self: Arc<Self>, surroundings: Arc<Surroundings>) {
        let stop = &self.stop;
        let mut opening = Opening::Discover;
        let mut pause = SHORTEST_PAUSE;
        loop {
            let opened = Connection::open(
                &self.settings, opening, &surroundings.spawner, &surroundings.http,
            );
            let Some(opened) = stop.run_until_cancelled(opened).await else { break };
            match opened {
                Ok(mut connection) => {
                    let opened_at = Instant::now();
                    let attended = self.attend(&mut connection, surroundings.probe_interval);
                    let error = stop.run_until_cancelled(attended).await;
                    let is_stopped = error.is_none();
                    self.set_down(error.as_deref().unwrap_or("it has been stopped"));
                    connection.close().await;
                    if is_stopped {
                        break;
                    }
                    if opened_at.elapsed() >= STEADY {
                        pause = SHORTEST_PAUSE;
                    }
                }
                Err(error) => {
                    opening = opening.other();
                    self.set_down(&error);
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Looks after a connection until it is of no use, and tells why.
    async fn attend(&self, connection: &mut Connection, probe_interval: Duration) -> String {
        let Connection { peer, link, news } = connection;
        tokio::select! {
            error = link.ended() => error,
            error = self.probe(peer, news, probe_interval) => error,
        }
    }

    async fn probe(
        &self,
        peer: &Peer<RoleClient>,
        news: &mut News,
        probe_interval: Duration,
    ) -> String {
        let mut failed = 0;
        loop {
            let known = self.view().tools.clone();
            match list_tools(peer, &self.settings.name, &known).await {
                Ok(tools) => {
                    failed = 0;
                    self.set_up(peer, tools);
                }
                Err(error) => {
                    failed += 1;
                    let is_up = self.view().condition == Condition::Up;
                    if !is_up
                        || failed >= FAILED_PROBES
                        || self.settings.connection.transport() == Transport::Http
                    {
                        return error;
                    }
                }
            }
            tokio::time::sleep(LIST_PAUSE).await;
            tokio::select! {
                () = news.tools_changed() => {}
                () = self.doubted.notified() => {}
                () = tokio::time::sleep(probe_interval) => {}
            }
        }
    }

    fn set_up(&self, peer: &Peer<RoleClient>, tools: Vec<Arc<ServerTool>>) {
        let before = self.view();
        let is_new = before.condition != Condition::Up;
        if is_new {
            tracing::info!(
                server.name = self.settings.name,
                tools = tools.len(),
                "a tool server is up"
            );
        }
        self.view.store(Arc::new(View {
            condition: Condition::Up,
            since: if is_new { Utc::now() } else { before.since },
            error: None,
            tools,
            peer: Some(peer.clone()),
        }));
    }

    fn set_down(&self, error: &str) {
        let before = self.view();
        let error = self.redaction.apply(error);
        let is_new = before.condition != Condition::Down;
        // A server that stays down is told of once.
        if before.error.as_ref() != Some(&error) {
            tracing::warn!(server.name = self.settings.name, "a tool server is down: {error}");
        }
        self.view.store(Arc::new(View {
            condition: Condition::Down,
            since: if is_new { Utc::now() } else { before.since },
            error: Some(error),
            tools: before.tools.clone(),
            peer: None,
        }));
    }

    /// Asks a tool. The deadline holds for all of it, waiting for a place included.
    pub async fn call(
        &self,
        tool: &ServerTool,
        arguments: &Value,
        timeout: Duration,
        result_bytes: usize,
    ) -> ToolOutcome {
        let arguments = match tool.accept(arguments) {
            Ok(arguments) => arguments,
            Err(mistakes) => {
                return ToolOutcome::error(format!(
                    "The arguments do not suit the tool's schema, so that it was not called:\n{mistakes}"
                ));
            }
        };
        let view = self.view();
        let name = &self.settings.name;
        let Some(peer) = &view.peer else {
            let error = view.error.as_deref().unwrap_or("it is starting");
            return ToolOutcome::error(format!(
                "The tool server `{name}` cannot be asked: {error}"
            ));
        };
        let mut request = CallToolRequestParams::new(tool.tool.clone());
        request.arguments = Some(arguments);
        // <https://modelcontextprotocol.io/seps/414-request-meta>: over HTTP and to processes alike.
        if let Some(traceparent) = traces::traceparent() {
            request.set_traceparent(&traceparent);
        }
        let call = async {
            // The semaphore is never closed.
            let _place = self.places.acquire().await;
            // A future that is dropped here tells the server that the call is cancelled.
            peer.call_tool_once(request).await
        };
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(CallToolResponse::Complete(result))) => ToolOutcome::of(result, result_bytes),
            Ok(Ok(_)) => ToolOutcome::error(format!(
                "The tool server `{name}` asks for something in return, which nobody here can give."
            )),
            Ok(Err(error)) => self.failed(&error),
            Err(_) => {
                self.doubted.notify_one();
                ToolOutcome::error(format!(
                    "The tool server `{name}` gave no answer within {} ms, so that the call was cancelled.",
                    timeout.as_millis()
                ))
            }
        }
    }

    fn failed(&self, error: &ServiceError) -> ToolOutcome {
        if failure::is_of_connection(error) {
            self.doubted.notify_one();
        }
        let text = self.redaction.apply(&failure::of_request(error));
        ToolOutcome::error(format!(
            "The call of the tool server `{}` failed: {text}",
            self.settings.name
        ))
    }
}
