//! A way to the database that can be shut: nobody gets through then, and who is through is cut off. Or it falls silent for
//! those who are through, as a network does in which a machine has gone.

use std::path::PathBuf;

use sqlx::PgPool;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub struct Gate {
    pub url: String,
    port: u16,
    target: Target,
    /// Cancelled when the gate is shut.
    open: CancellationToken,
    silence: watch::Sender<()>,
}

#[derive(Clone)]
enum Target {
    Socket(PathBuf),
    Address(String, u16),
}

impl Gate {
    /// Opens a way to the database of a pool.
    pub async fn open_to(pool: &PgPool) -> Self {
        let options = pool.connect_options();
        let target = match options.get_socket() {
            Some(folder) => Target::Socket(folder.join(format!(".s.PGSQL.{}", options.get_port()))),
            None => Target::Address(options.get_host().to_owned(), options.get_port()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("has an address").port();
        let database = options.get_database().expect("a test has a database of its own");
        let url = format!("postgres://{}@127.0.0.1:{port}/{database}", options.get_username());
        let open = CancellationToken::new();
        let gate = Self { url, port, target, open, silence: watch::Sender::new(()) };
        gate.serve(listener);
        gate
    }

    pub fn shut(&self) {
        self.open.cancel();
    }

    /// Those who are through hear nothing any more, not even that. Others come through.
    pub fn fall_silent(&self) {
        self.silence.send_replace(());
    }

    pub async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the port is ours");
        self.open = CancellationToken::new();
        self.serve(listener);
    }

    fn serve(&self, listener: TcpListener) {
        let serving = serve(listener, self.target.clone(), self.open.clone(), self.silence.clone());
        tokio::spawn(self.open.clone().run_until_cancelled_owned(serving));
    }
}

async fn serve(
    listener: TcpListener,
    target: Target,
    open: CancellationToken,
    silence: watch::Sender<()>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let passing = pass(stream, target.clone(), silence.subscribe());
        tokio::spawn(open.clone().run_until_cancelled_owned(passing));
    }
}

async fn pass(stream: TcpStream, target: Target, silence: watch::Receiver<()>) {
    match target {
        Target::Socket(path) => {
            if let Ok(server) = UnixStream::connect(path).await {
                exchange(stream, server, silence).await;
            }
        }
        Target::Address(host, port) => {
            if let Ok(server) = TcpStream::connect((host, port)).await {
                exchange(stream, server, silence).await;
            }
        }
    }
}

/// An end by either side is the end of both, until they fall silent.
async fn exchange(
    mut stream: TcpStream,
    mut server: impl AsyncRead + AsyncWrite + Unpin,
    mut silence: watch::Receiver<()>,
) {
    tokio::select! {
        _ = copy_bidirectional(&mut stream, &mut server) => return,
        _ = silence.changed() => {}
    }
    // Both stay open.
    std::future::pending::<()>().await;
}
