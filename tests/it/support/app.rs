//! The service in this process, on a free port.

use std::path::Path;
use std::time::Duration;

use rolecall::app::App;
use rolecall::config::{Config, Flags};
use rolecall::db::Database;
use rolecall::provider::{DialectName, ProviderSettings, Target};
use rolecall::tools::{Connection, Secrets, ServerSettings};
use secrecy::SecretString;
use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::fake_tool_server::FakeToolServer;
use super::files::{AgentFolder, shipped_agents};
use super::vendor::{FakeProvider, Wire};

pub const ADMIN_KEY: &str = "an admin key for tests";

pub struct TestApp {
    pub admin: Caller,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
    _files: tempfile::TempDir,
}

pub struct TestAppBuilder {
    pool: PgPool,
    config: Config,
    files: tempfile::TempDir,
}

impl TestApp {
    /// The service with the shipped agents and no model.
    pub async fn start(pool: PgPool) -> Self {
        Self::builder(pool).start().await
    }

    pub fn builder(pool: PgPool) -> TestAppBuilder {
        // A second test in one process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let files = tempfile::tempdir().expect("a temporary folder");
        let no_settings = files.path().join("rolecall.yaml");
        std::fs::write(&no_settings, "").expect("is written");
        let flags = Flags { config: Some(no_settings), ..Flags::default() };
        let mut config = Config::load(&flags).expect("the defaults are valid");
        // Whatever keys the developer's shell holds, no test may use them.
        config.provider.providers.clear();
        config.traces = None;
        config.data_dir = files.path().into();
        config.registry.agents_dir = shipped_agents();
        config.admin_key = Some(SecretString::from(ADMIN_KEY));
        // Most tests say themselves when the folder is read.
        config.follows_folder = false;
        TestAppBuilder { pool, config, files }
    }

    /// A caller with a new key.
    pub async fn caller(&self, scopes: &[&str]) -> Caller {
        self.caller_for(json!({"name": "test", "scopes": scopes})).await
    }

    pub async fn caller_for(&self, key: serde_json::Value) -> Caller {
        let answer = self.admin.post("/admin/v1/keys", key).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        self.admin.with_key(answer.body["key"].as_str().expect("a key is shown"))
    }

    /// Waits until an agent is offered tools, and returns their names.
    pub async fn wait_for_tools(&self, agent: &str) -> Vec<String> {
        for _ in 0..500 {
            let body = json!({"agent": agent, "input": "Which tools are there?"});
            let request = self.admin.post("/v1/prompts", body).await.body["request"].clone();
            let tools = request["tools"].as_array().into_iter().flatten();
            // Gemini has them one level deeper.
            let tools = tools.flat_map(|tool| match tool["functionDeclarations"].as_array() {
                Some(declarations) => declarations.clone(),
                None => vec![tool.clone()],
            });
            let names: Vec<String> = tools
                .filter_map(|tool| {
                    let name = tool["name"].as_str().or(tool["function"]["name"].as_str())?;
                    Some(name.to_owned())
                })
                .collect();
            if !names.is_empty() {
                return names;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("`{agent}` is offered no tools");
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.expect("the server does not panic").expect("the server stops cleanly");
    }
}

impl TestAppBuilder {
    pub fn agents(mut self, folder: &AgentFolder) -> Self {
        self.config.registry.agents_dir = folder.path();
        self
    }

    /// The root of the agents, which may be missing, a link or a file, and is followed.
    pub fn follows(mut self, agents_dir: &Path) -> Self {
        self.config.registry.agents_dir = agents_dir.into();
        self.config.follows_folder = true;
        self
    }

    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Configures a provider whose name is that of its dialect.
    pub fn provider(mut self, provider: &FakeProvider, dialect: DialectName) -> Self {
        let (name, path) = (Wire(dialect).name(), Wire(dialect).base_path());
        self.config.provider.providers.push(ProviderSettings {
            name: name.to_owned(),
            dialect,
            base_url: format!("{}{path}", provider.url).parse().expect("a URL"),
            base_url_secrets: Vec::new(),
            api_key: Some(SecretString::from("upstream-secret")),
            headers: Vec::new(),
        });
        self
    }

    /// Configures a tool server that agents have by default.
    pub fn tool_server(mut self, name: &str, server: &FakeToolServer) -> Self {
        let url = server.url.parse().expect("a URL");
        self.config.tools.servers.push(ServerSettings {
            name: name.to_owned(),
            is_default: true,
            connection: Connection::Url { url, headers: Vec::new() },
            secrets: Secrets::default(),
        });
        self
    }

    pub fn alias(mut self, alias: &str, targets: impl Into<Vec<Target>>) -> Self {
        self.config.provider.models.insert(alias.to_owned(), targets.into());
        self
    }

    /// One request to the provider for each run: what it answers is what the caller is told.
    pub fn without_retries(mut self) -> Self {
        self.config.provider.retry.attempts = 1;
        self
    }

    pub fn default_model(mut self, model: &str) -> Self {
        self.config.provider.default_model = Target::parse(model);
        self
    }

    pub async fn start(self) -> TestApp {
        let database = Database::of_pool(self.pool.clone());
        let app = App::build(self.config, &database).await.expect("the service is put together");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("has an address"));
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(app.serve(listener, shutdown.clone()));
        let admin = Caller::new(&url, ADMIN_KEY);
        for _ in 0..200 {
            if admin.get("/readyz").await.status == 200 {
                return TestApp { admin, shutdown, server, _files: self.files };
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the service does not become ready");
    }
}
