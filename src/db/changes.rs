//! Hearing at once of what other processes change, over a connection of its own.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{ACQUIRE_TIMEOUT, prepare_session};

/// A trigger notifies this channel of every change of the roster, of keys, of feedback and of tool servers; of
/// wishes to cancel a run, and of conversations that are free again.
const LISTEN: &str = "LISTEN rolecall_changes";

const SHORTEST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// How long it may take to connect and to ask for what is to be heard.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a silent connection is believed to be alive.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// Tells `changed` of each change, and after each connect: what changed without a connection was not heard of.
/// Several changes may be one notification. Ends when the pool is closed.
pub async fn listen_for_changes(pool: &PgPool, changed: &watch::Sender<()>) {
    let _ = pool.close_event().do_until(listen(pool, changed)).await;
}

async fn listen(pool: &PgPool, changed: &watch::Sender<()>) {
    let mut delay = SHORTEST_DELAY;
    let mut is_known_to_fail = false;
    loop {
        let started = Instant::now();
        match timeout(CONNECT_PATIENCE, connect(pool))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        {
            Ok(listener) => {
                if is_known_to_fail {
                    tracing::info!("changes by other processes are heard of again");
                }
                is_known_to_fail = false;
                changed.send_replace(());
                let error = follow(listener, changed).await;
                tracing::debug!(%error, "the connection that hears of changes is lost");
            }
            Err(error) if is_known_to_fail => {
                tracing::debug!(%error, "failed to listen for changes by other processes");
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "failed to listen for changes by other processes: they are looked for every second"
                );
                is_known_to_fail = true;
            }
        }
        // A connection that was good for a while is not what the delay is for.
        if started.elapsed() > LONGEST_DELAY {
            delay = SHORTEST_DELAY;
        }
        sleep(delay).await;
        delay = LONGEST_DELAY.min(delay * 2);
    }
}

/// Connects apart from the pool, whose connections are few.
async fn connect(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(prepare_session(connection)))
        .connect_lazy_with(pool.connect_options().as_ref().clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.eager_reconnect(false);
    sqlx::raw_sql(LISTEN).execute(&mut listener).await?;
    Ok(listener)
}

/// Reads until the connection is lost, and says why it is.
async fn follow(mut listener: PgListener, changed: &watch::Sender<()>) -> sqlx::Error {
    loop {
        match timeout(LONGEST_SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(_))) => changed.send_replace(()),
            Ok(Ok(None)) => return std::io::Error::from(ErrorKind::UnexpectedEof).into(),
            Ok(Err(error)) => return error,
            Err(_silence) => {
                // Whoever only reads never notices that a peer is gone without a word. Asking the same again
                // changes nothing else.
                let question = sqlx::raw_sql(LISTEN).execute(&mut listener);
                match timeout(ACQUIRE_TIMEOUT, question).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return error,
                    Err(_silence) => return sqlx::Error::PoolTimedOut,
                }
            }
        }
    }
}
