//! The service as it is released, with agents and a data directory of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::processes::Process;
use crate::{Outcome, START, cases};

pub(crate) const KEY: &str = "a key for measurements";

pub(crate) struct Service {
    process: Process,
    pub address: String,
    _folder: TempDir,
}

impl Service {
    /// Starts the service; returns how long it took until it was ready.
    pub async fn start(provider: &str) -> Outcome<(Self, Duration)> {
        let folder = tempfile::tempdir()?;
        // Apart from the agents' folder, whose surroundings the service watches.
        let log = folder.path().join("log");
        fs::create_dir_all(&log)?;
        let log = log.join("rolecall.log");
        write_agents(&folder.path().join("agents"))?;
        let config = folder.path().join("rolecall.yaml");
        fs::write(
            &config,
            format!(
                "default_model: openai/fast-1\nproviders:\n  \
                 openai: {{dialect: openai, base_url: \"http://{provider}/v1\", api_key: x}}\n  \
                 anthropic: {{dialect: anthropic, base_url: \"http://{provider}\", api_key: x}}\n"
            ),
        )?;
        let address = free_address()?;
        let began = Instant::now();
        let child = Command::new(program())
            .arg("serve")
            .env("ROLECALL_LISTEN", &address)
            .env("ROLECALL_DATA_DIR", folder.path().join("data"))
            .env("ROLECALL_AGENTS_DIR", folder.path().join("agents"))
            .env("ROLECALL_CONFIG", &config)
            .env("ROLECALL_ADMIN_KEY", KEY)
            .env_remove("ROLECALL_LOG")
            .stdout(Stdio::null())
            // The log is written, as in production, and kept to tell why a start failed.
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let process = Process::following(child, address.clone());
        while !is_ready(&address).await {
            if began.elapsed() > START {
                let log = fs::read_to_string(&log)?;
                return Err(format!("the service did not start:\n{log}").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok((Self { process, address, _folder: folder }, began.elapsed()))
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// `ROLECALL_PROGRAM` measures another build.
fn program() -> PathBuf {
    std::env::var_os("ROLECALL_PROGRAM")
        .map_or_else(|| PathBuf::from("target/release/rolecall"), PathBuf::from)
}

fn write_agents(folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    for (name, model) in cases::AGENTS {
        let text = format!(
            "---\nname: {name}\ndescription: Use for measurements of {name}\nmodel: {model}\n---\nAnswer briefly.\n"
        );
        fs::write(folder.join(format!("{name}.md")), text)?;
    }
    Ok(())
}

fn free_address() -> Outcome<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

async fn is_ready(address: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask.await.unwrap_or(false)
}
