//! Servers that have gone without a word: nothing tells whoever waits for their answer.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::ACQUIRE_TIMEOUT;

/// How long the answer to a short question is waited for.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// The same where it may be much: the server lets no statement take longer.
pub const READ_PATIENCE: Duration = Duration::from_mins(1);

/// Waits for what is asked of the database, for `patience` at most: for what must go on, or holds up others.
///
/// What was asked is dropped then. It is safe to: its connection comes back to the pool only if the server still
/// answers, and whoever drops a beginning uses [`begin`](super::begin).
pub async fn in_time<T, E: From<sqlx::Error>>(
    patience: Duration,
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(patience, asking).await.unwrap_or_else(|_| Err(silence().into()))
}

/// Whether a connection may go back to the pool. The pool itself would wait without end for what was asked last, and the
/// place of the connection would be gone with it. <https://github.com/launchbadge/sqlx/issues/4349>
pub(super) async fn may_come_back(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    timeout(ACQUIRE_TIMEOUT, connection.ping()).await.unwrap_or_else(|_| Err(silence()))?;
    Ok(true)
}

fn silence() -> sqlx::Error {
    sqlx::Error::Io(Error::new(ErrorKind::TimedOut, "the database does not answer"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::postgres::{PgConnectOptions, PgSslMode};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;

    use super::in_time;
    use crate::db::{MAX_CONNECTIONS, connect};

    /// [What a server says](https://www.postgresql.org/docs/current/protocol-message-formats.html): that a client may come
    /// in, that it has done what it was told, that it is ready.
    const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    const DONE: &[u8] = b"C\0\0\0\x08SET\0";
    const READY: &[u8] = b"Z\0\0\0\x05I";

    /// Answers a client until the server falls silent.
    async fn answer(mut stream: TcpStream, silent: watch::Receiver<bool>) -> std::io::Result<()> {
        let length = stream.read_u32().await?;
        let mut startup = vec![0; length as usize - 4];
        stream.read_exact(&mut startup).await?;
        stream.write_all(&[WELCOME, READY].concat()).await?;
        loop {
            let kind = stream.read_u8().await?;
            let length = stream.read_u32().await?;
            let mut body = vec![0; length as usize - 4];
            stream.read_exact(&mut body).await?;
            if *silent.borrow() {
                std::future::pending::<()>().await;
            }
            if kind == b'Q' {
                stream.write_all(DONE).await?;
            }
            stream.write_all(READY).await?;
        }
    }

    #[tokio::test]
    async fn connections_that_fell_silent_give_their_places_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("has an address").port();
        let (falls_silent, silent) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, silent.clone()));
            }
        });
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
        let pool =
            connect(options.username("u").ssl_mode(PgSslMode::Disable)).await.expect("connects");
        let mut connections = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            connections.push(pool.acquire().await.expect("there is a place"));
        }
        falls_silent.send_replace(true);
        for mut connection in connections {
            let asking = sqlx::raw_sql("SELECT 1").execute(&mut *connection);
            let asked = in_time(Duration::from_millis(20), asking).await;
            assert!(asked.expect_err("nobody answers").to_string().contains("does not answer"));
        }
        falls_silent.send_replace(false);
        // The first attempts may come before the places are there.
        for _ in 0..3 {
            if pool.acquire().await.is_ok() {
                return;
            }
        }
        panic!("all places are gone");
    }
}
