//! `rolecall serve`

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rolecall::access::FirstKey;
use rolecall::app::{App, admin_key_path};
use rolecall::config::Config;
use rolecall::db::{Database, Opener};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let shutdown = shutdown_token()?;
    raise_file_limit();
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    // The port first: a port in use is a mistake that should be told before anything is started.
    let listener = TcpListener::bind(&config.listen)
        .await
        .with_context(|| format!("failed to listen on {}", config.listen))?;
    let database = tokio::select! {
        database = Database::open(&config.db, Opener::Service) => database?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    tracing::info!("database: {}", database.description);
    let result = serve(config, listener, &database, shutdown).await;
    database.close().await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(
    config: Config,
    listener: TcpListener,
    database: &Database,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    database.migrate().await?;
    let data_dir = config.data_dir.clone();
    std::fs::create_dir_all(&data_dir)
        .with_context(|| format!("failed to create the data directory {}", data_dir.display()))?;
    let agents_dir = config.registry.agents_dir.display().to_string();
    let has_admin_key = config.admin_key.is_some();
    let app = App::build(config, database).await?;
    let key_path = admin_key_path(&data_dir);
    if let FirstKey::Made(key) = &app.first_key {
        tracing::info!("the first admin key is in {}", key_path.display());
        // A log that is kept is no place for a key.
        if std::io::stderr().is_terminal() {
            eprintln!("admin key: {}", key.expose_secret());
        }
    }
    if matches!(app.first_key, FirstKey::NotNeeded) && !has_admin_key && !key_path.exists() {
        tracing::info!(
            "an admin key was made before and its file is gone; \
             `rolecall key create --name NAME --scope admin` makes another"
        );
    }
    if app.is_offline() {
        tracing::warn!(
            "no model is configured: the offline provider answers; \
             set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY, or name a provider in rolecall.yaml"
        );
    }
    tracing::info!("agents: {agents_dir}");
    tracing::info!("listening on http://{}", listener.local_addr()?);
    app.serve(listener, shutdown).await
}

/// Every run has two connections. Many systems allow a process 1,024 open files and let it ask for more.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_soft, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Cancelled by the first SIGINT or SIGTERM; the second ends the process at once.
fn shutdown_token() -> anyhow::Result<CancellationToken> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if cancelled.is_cancelled() {
                tracing::warn!("second signal: ending at once");
                std::process::exit(130);
            }
            cancelled.cancel();
        }
    });
    Ok(token)
}
