//! Tool servers for tests: the real packages of `tests/mcp/`, and one that fails on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rolecall::tools::{
    Condition, Connection, Offer, Secrets, ServerSettings, ServerState, Settings, ToolOutcome,
    ToolServers, Wanted,
};
use serde_json::Value;

/// Installing nothing, a server is up within seconds; the machine may be busy.
const UP_WITHIN: Duration = Duration::from_mins(1);

/// A script of `tests/mcp/`, or a package's program below it.
pub fn mcp_path(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp").join(name);
    assert!(path.exists(), "{} is missing: `make mcp-servers` installs it", path.display());
    path
}

/// A default server that is a child process.
pub fn stdio_server(
    name: &str,
    script: &str,
    args: &[&str],
    env: &[(&str, &str)],
) -> ServerSettings {
    let script = mcp_path(script).display().to_string();
    let args = std::iter::once(script).chain(args.iter().map(|arg| (*arg).to_owned()));
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let connection = Connection::Command {
        command: "node".to_owned(),
        args: args.collect(),
        env: env.collect(),
    };
    ServerSettings {
        name: name.to_owned(),
        is_default: true,
        connection,
        secrets: Secrets::default(),
    }
}

/// The server that fails on demand, as a child process.
pub fn fault_server(name: &str, args: &[&str]) -> ServerSettings {
    stdio_server(name, "fault-server.mjs", args, &[])
}

/// A default server at a URL.
pub fn http_server(name: &str, url: &str) -> ServerSettings {
    let connection = Connection::Url { url: url.parse().expect("a URL"), headers: Vec::new() };
    ServerSettings {
        name: name.to_owned(),
        is_default: true,
        connection,
        secrets: Secrets::default(),
    }
}

/// The settings of servers whose guard is the program, not the test.
pub fn tool_settings(servers: impl Into<Vec<ServerSettings>>) -> Settings {
    let path = std::env::var_os("PATH").expect("is set").to_string_lossy().into_owned();
    Settings {
        servers: servers.into(),
        environment: BTreeMap::from([("PATH".to_owned(), path)]),
        guard: PathBuf::from(env!("CARGO_BIN_EXE_rolecall")),
        ..Settings::default()
    }
}

/// Tool servers without a service around them.
pub struct TestServers {
    pub servers: ToolServers,
}

impl TestServers {
    pub fn start(settings: Settings) -> Self {
        // A second test in one process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self { servers: ToolServers::start(settings).expect("tool servers start") }
    }

    /// Starts servers and waits until all are up.
    pub async fn up(servers: impl Into<Vec<ServerSettings>>) -> Self {
        Self::up_with(tool_settings(servers)).await
    }

    pub async fn up_with(settings: Settings) -> Self {
        let names: Vec<String> =
            settings.servers.iter().map(|server| server.name.clone()).collect();
        let servers = Self::start(settings);
        for name in names {
            servers.wait_for(&name, |server| server.state == Condition::Up).await;
        }
        servers
    }

    pub async fn wait_for(&self, name: &str, is_so: impl Fn(&ServerState) -> bool) -> ServerState {
        let deadline = Instant::now() + UP_WITHIN;
        loop {
            let state = self.servers.find_state(name).expect("is configured");
            if is_so(&state) {
                return state;
            }
            assert!(Instant::now() < deadline, "{state:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What an agent is offered that names nothing.
    pub fn offer(&self) -> Offer {
        self.servers.offer(&Wanted::default())
    }

    /// Asks a tool by the name that models use.
    pub async fn call(&self, name: &str, arguments: Value) -> ToolOutcome {
        let offer = self.offer();
        let tool = offer.find(name).unwrap_or_else(|| panic!("no tool {name}"));
        self.servers.call(tool, &arguments).await
    }
}

/// A tool server that a test runs itself, reached at a URL.
pub struct HttpToolServer {
    child: Child,
    pub url: String,
}

impl HttpToolServer {
    /// The server that fails on demand.
    pub fn faulty() -> Self {
        let mut command = Command::new("node");
        command.arg(mcp_path("fault-server.mjs")).arg("--http");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("node starts");
        let mut port = String::new();
        let stdout = child.stdout.take().expect("is piped");
        BufReader::new(stdout).read_line(&mut port).expect("is told");
        Self { child, url: format!("http://127.0.0.1:{}", port.trim()) }
    }

    /// A package's program that listens on a port that it is given.
    pub async fn package(script: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let port = free_port().to_string();
        let args = args.iter().map(|arg| arg.replace("PORT", &port));
        let mut command = Command::new("node");
        command.arg(mcp_path(script)).args(args).env("PORT", &port).envs(env.iter().copied());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        let server = Self { child, url: format!("http://127.0.0.1:{port}") };
        let deadline = Instant::now() + UP_WITHIN;
        while tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err() {
            assert!(Instant::now() < deadline, "{script} does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }
}

impl Drop for HttpToolServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("has an address").port()
}
