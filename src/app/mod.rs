//! The service as a whole: its components put together, its life from start to stop.

mod background;
mod connections;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, FirstKey};
use crate::audit::Audit;
use crate::config::Config;
use crate::conversation::Conversations;
use crate::db::Database;
use crate::dispatch::{Dispatcher, Evaluations, Feedback};
use crate::http::{self, AppState, Handles, Readiness};
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::provider::Providers;
use crate::registry::Registry;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use crate::tools::{StoredToolServers, ToolServers};

use background::Background;

/// How long open connections and unwritten records may hold up a stop, once the runs have ended.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// The service, put together and not yet listening.
#[derive(Debug)]
pub struct App {
    state: AppState,
    drain: Duration,
    shutdown_grace: Duration,
    retention_days: Option<u32>,
    follows_folder: bool,
    traces: Option<Traces>,
    pool: PgPool,
    /// The admin key, if this start has made the first one.
    pub first_key: FirstKey,
}

impl App {
    /// Puts the components together over a migrated database.
    pub async fn build(config: Config, database: &Database) -> anyhow::Result<Self> {
        let pool = database.pool.clone();
        let traces = config.traces.as_ref().map(Traces::start).transpose()?;
        let access = Access::open(pool.clone()).await?;
        let first_key =
            access.ensure_admin_key(config.admin_key.as_ref(), &config.data_dir).await?;
        let registry = Registry::open(pool.clone(), config.registry).await?;
        let providers = Providers::new(config.provider).map_err(anyhow::Error::msg)?;
        let (data_dir, is_exclusive) = (&config.data_dir, database.is_exclusive());
        let ledger = Ledger::open(pool.clone(), data_dir, config.ledger, is_exclusive).await?;
        let limits =
            Limits::open(pool.clone(), ledger.instance_id(), access.clone(), config.limits).await?;
        let feedback = Feedback::open(pool.clone()).await?;
        let tool_servers = ToolServers::start(config.tools).map_err(anyhow::Error::msg)?;
        let dispatcher = Dispatcher::new(
            registry.clone(),
            ledger.clone(),
            feedback.clone(),
            providers.clone(),
            tool_servers.clone(),
            config.dispatch,
        );
        let stored_tool_servers =
            StoredToolServers::open(pool.clone(), tool_servers.clone()).await?;
        let conversations = Conversations::new(
            dispatcher.clone(),
            providers.clone(),
            tool_servers.clone(),
            ledger.clone(),
            limits.clone(),
            pool.clone(),
            config.conversation,
        );
        let state = AppState::new(Handles {
            access,
            audit: Audit::new(pool.clone()),
            conversations,
            evaluations: Evaluations::new(dispatcher.clone()),
            dispatcher,
            feedback,
            ledger,
            limits,
            metrics: Metrics::install(),
            providers,
            registry,
            tool_servers,
            stored_tool_servers,
            readiness: Readiness::default(),
            settings: config.http,
        });
        let Config { drain, shutdown_grace, retention_days, follows_folder, .. } = config;
        Ok(Self {
            state,
            drain,
            shutdown_grace,
            retention_days,
            follows_folder,
            traces,
            pool,
            first_key,
        })
    }

    /// Whether no model is configured.
    pub fn is_offline(&self) -> bool {
        self.state.providers.catalog().is_offline()
    }

    /// Serves until `shutdown` is cancelled, then stops: it is not ready any more, and once whoever sends requests may have
    /// noticed there are no new ones, runs get their grace, records are written.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let background = Background::start(&self.state, &self.pool);
        if let Some(days) = self.retention_days {
            background.remove_old(&self.state, days);
        }
        let state = self.state.clone();
        let syncing = tokio::spawn(async move { first_sync(&state).await });

        let stop = connections::Stop::default();
        let mut server = tokio::spawn(connections::serve(
            listener,
            http::router(self.state.clone()),
            self.state.settings.request_timeout,
            stop.clone(),
        ));

        let first_sync = async {
            match syncing.await.context("the first sync panicked") {
                Ok(Ok(())) => {
                    if self.follows_folder {
                        background.follow_folder(self.state.registry.clone());
                    }
                    // From here on only a signal ends the service.
                    std::future::pending().await
                }
                Ok(Err(error)) | Err(error) => error,
            }
        };
        let result = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            error = first_sync => Err(error.context("failed to load the agents")),
            stopped = &mut server => stopped.context("the server panicked"),
        };

        self.state.readiness.set_stopping();
        // Who had no time to be ready is sent nothing, and what failed has nobody to wait for.
        if result.is_ok() && !self.drain.is_zero() && self.state.readiness.has_synced() {
            tracing::info!(milliseconds = self.drain.as_millis(), "not ready any more: draining");
            tokio::select! {
                () = tokio::time::sleep(self.drain) => {}
                _ = &mut server => {}
            }
        }
        tracing::info!("stopping");
        stop.accepting.cancel();
        self.state.evaluations.stop();
        self.state.conversations.stop(self.shutdown_grace).await;
        let answered = async {
            self.state.conversations.ended().await;
            if !server.is_finished() {
                // What it has panicked of is on the log.
                let _ = (&mut server).await;
            }
        };
        if tokio::time::timeout(CLOSE_PATIENCE, answered).await.is_err() {
            let runs = self.state.conversations.count_live();
            tracing::warn!(runs, "closing connections that callers keep open");
            stop.answering.cancel();
            if !server.is_finished() {
                let _ = server.await;
            }
        }
        background.stop().await;
        // From here on nobody is told anything. Records come first: what else waits takes none of their time.
        let sending = async {
            if let Some(traces) = self.traces {
                traces.stop(CLOSE_PATIENCE).await;
            }
        };
        tokio::join!(
            self.state.ledger.close(CLOSE_PATIENCE),
            self.state.tool_servers.stop(),
            sending
        );
        result
    }
}

/// Makes the roster what the agents folder says, then says that the service is ready.
async fn first_sync(state: &AppState) -> anyhow::Result<()> {
    let report = state.registry.take_over_folder("start").await?;
    state.dispatcher.prepare().await;
    state.readiness.set_synced();
    if let Some(name) = &state.dispatcher.settings().default_agent
        && !state.dispatcher.knows_agent(name)
    {
        tracing::warn!(agent.name = %name, "the default agent is not in the roster");
    }
    let agents = state.registry.roster().live().count();
    tracing::info!(agents, files = report.map_or(0, |report| report.files.len()), "ready");
    Ok(())
}

/// Where the first admin key is written.
pub fn admin_key_path(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("admin-key")
}
