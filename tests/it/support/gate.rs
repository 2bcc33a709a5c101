//! A way to the database that can be shut: nobody gets through then, and who is through is cut off.

use std::path::PathBuf;

use sqlx::PgPool;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

pub struct Gate {
    pub url: String,
    port: u16,
    target: Target,
    /// Cancelled when the gate is shut.
    open: CancellationToken,
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
        tokio::spawn(open.clone().run_until_cancelled_owned(serve(
            listener,
            target.clone(),
            open.clone(),
        )));
        Self { url, port, target, open }
    }

    pub fn shut(&self) {
        self.open.cancel();
    }

    pub async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the port is ours");
        self.open = CancellationToken::new();
        let serving = serve(listener, self.target.clone(), self.open.clone());
        tokio::spawn(self.open.clone().run_until_cancelled_owned(serving));
    }
}

async fn serve(listener: TcpListener, target: Target, open: CancellationToken) {
    while let Ok((stream, _)) = listener.accept().await {
        let passing = pass(stream, target.clone());
        tokio::spawn(open.clone().run_until_cancelled_owned(passing));
    }
}

async fn pass(mut stream: TcpStream, target: Target) {
    // An end by either side is the end of both.
    let _ = match target {
        Target::Socket(path) => match UnixStream::connect(path).await {
            Ok(mut server) => copy_bidirectional(&mut stream, &mut server).await,
            Err(error) => Err(error),
        },
        Target::Address(host, port) => match TcpStream::connect((host, port)).await {
            Ok(mut server) => copy_bidirectional(&mut stream, &mut server).await,
            Err(error) => Err(error),
        },
    };
}
