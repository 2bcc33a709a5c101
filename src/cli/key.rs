//! `rolecall key`

use std::process::ExitCode;

use anyhow::bail;
use chrono::{DateTime, Utc};
use rolecall::access::{Access, ApiKey, KeyLimits, NewKey, Scope};
use rolecall::audit::Author;
use rolecall::config::Config;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{open_database, print_json, print_text};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Make a key; its text is shown this once
    Create {
        /// What the key is for
        #[arg(long)]
        name: String,
        /// What it permits: admin, run, dispatch or read
        #[arg(long = "scope", required = true, value_parser = parse_scope)]
        scopes: Vec<Scope>,
        /// An agent that it may use; all if none is named
        #[arg(long = "agent")]
        agents: Vec<String>,
        /// When it ends, as in 2027-01-31T00:00:00Z
        #[arg(long)]
        expires_at: Option<DateTime<Utc>>,
    },
    /// List keys that are not revoked
    List,
    /// Revoke a key
    Revoke { id: Uuid },
}

/// Who changes keys, as the audit names it.
const AUTHOR: &str = "rolecall key";

/// Keys in one page of `key list`.
const PAGE: i64 = 1_000;

pub(super) async fn run(args: Args, config: Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let database = open_database(&config).await?;
    let result = async {
        let access = Access::open(database.pool.clone()).await?;
        match args {
            Args::Create { name, scopes, agents, expires_at } => {
                let agents = (!agents.is_empty()).then_some(agents);
                let limits = KeyLimits::default();
                let new = NewKey { name, scopes, agents, expires_at, limits };
                create(&access, new, as_json).await
            }
            Args::List => list(&access, as_json).await,
            Args::Revoke { id } => revoke(&access, id, as_json).await,
        }
    }
    .await;
    database.close().await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn create(access: &Access, new: NewKey, as_json: bool) -> anyhow::Result<()> {
    let (key, text) = access.create_key(new, &Author::without_key(AUTHOR)).await?;
    if as_json {
        let mut value = describe(&key);
        value["key"] = json!(text.expose_secret());
        return print_json(&value);
    }
    print_text(text.expose_secret())
}

async fn list(access: &Access, as_json: bool) -> anyhow::Result<()> {
    let mut keys = Vec::new();
    loop {
        let after = keys.last().map(|key: &ApiKey| key.id);
        let page = access.list_keys(after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        keys.extend(page);
    }
    if as_json {
        return print_json(&keys.iter().map(describe).collect::<Vec<_>>());
    }
    let lines: Vec<String> = keys
        .iter()
        .map(|key| {
            let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
            format!("{}  {:<20} {}", key.id, scopes.join(","), key.name)
        })
        .collect();
    print_text(&lines.join("\n"))
}

async fn revoke(access: &Access, id: Uuid, as_json: bool) -> anyhow::Result<()> {
    if !access.revoke_key(id, &Author::without_key(AUTHOR)).await? {
        bail!("there is no key {id}");
    }
    if as_json {
        return print_json(&json!({"id": id, "revoked": true}));
    }
    print_text("revoked")
}

fn describe(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "agents": key.agents,
        "expires_at": key.expires_at,
        "created_at": key.created_at,
        "limits": key.limits,
    })
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "must be admin, run, dispatch or read".to_owned())
}
