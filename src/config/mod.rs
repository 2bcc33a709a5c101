//! The configuration: every component's settings, from flags, environment, `rolecall.yaml` and defaults, in
//! that order. Nothing else reads the environment.

mod entries;
mod error;
mod file;
mod flags;
mod limits;
mod models;
mod place;
mod providers;
#[cfg(test)]
mod tests;
mod tool_servers;
mod variables;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ::http::Uri;
use secrecy::SecretString;

pub use error::ConfigError;
pub use flags::Flags;

use crate::definition::{KnownWorld, RENAMED_SERVER_TOOLS};
use crate::dispatch::{DEFAULT_HAND_OVER_MARGIN, JudgeSettings};
use crate::provider::{BreakerSettings, Catalog, Clocks, ProviderSettings, RetrySettings, Target};
use crate::telemetry::traces;
use crate::tools::ServerSettings;
use crate::{
    conversation, db, dispatch, http, ledger, limits as key_limits, provider, registry, tools,
};
use error::Origin;
use file::ConfigFile;
use variables::Variables;

/// Every component's settings.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: String,
    pub data_dir: PathBuf,
    pub admin_key: Option<SecretString>,
    /// How long requests are taken behind the signal to stop, with `/readyz` saying no.
    pub drain: Duration,
    pub shutdown_grace: Duration,
    /// How many days records and conversations are kept; `None` is for ever.
    pub retention_days: Option<u32>,
    /// Whether changes in the agents folder are taken over by themselves. No setting: always, but for tests that
    /// sync step by step.
    pub follows_folder: bool,
    pub db: db::Settings,
    pub registry: registry::Settings,
    pub provider: provider::Settings,
    pub tools: tools::Settings,
    pub dispatch: dispatch::Settings,
    pub conversation: conversation::Settings,
    pub limits: key_limits::Settings,
    pub ledger: ledger::Settings,
    pub http: http::Settings,
    /// Where traces go, if anywhere.
    pub traces: Option<traces::Settings>,
    /// What the operator should know of the configuration, said at start.
    pub notices: Vec<String>,
}

impl Config {
    /// Reads the configuration of this process.
    ///
    /// # Errors
    /// A text that names the setting, the file and the line, and never a secret.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::build(flags, &Variables::of_process())
    }

    fn build(flags: &Flags, variables: &Variables) -> Result<Self, ConfigError> {
        let file = ConfigFile::read(flags.config.as_deref(), variables)?;
        let mut notices = Vec::new();
        let providers = providers::configured(&file, variables)?;
        models::check_aliases(&file)?;
        let default_model = models::default_model(flags, &file, &providers, &mut notices)?;
        let catalog = models::catalog(&file, &providers, default_model.as_ref())?;
        let judge = models::judge(&file, &catalog, &mut notices)?;
        let servers = tool_servers::configured(&file, variables, &mut notices)?;
        let data_dir = flags.data_dir.clone().unwrap_or_else(|| PathBuf::from("./.rolecall"));
        Ok(Self {
            listen: flags.listen.clone().unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            // No flag: a process list would show it.
            admin_key: variables.get("ROLECALL_ADMIN_KEY").map(SecretString::from),
            drain: Duration::from_millis(file.limits.drain_ms),
            shutdown_grace: Duration::from_millis(file.limits.shutdown_grace_ms),
            retention_days: file.storage.retention_days.map(NonZeroU32::get),
            follows_folder: true,
            db: db::Settings {
                url: flags.database_url.clone().map(SecretString::from),
                data_dir: data_dir.clone(),
            },
            registry: registry::Settings {
                agents_dir: flags.agents_dir.clone().unwrap_or_else(|| PathBuf::from("./agents")),
                definition_bytes: file.limits.definition_bytes.get(),
                known_world: known_world(&catalog, &servers),
            },
            provider: provider_settings(&file, providers, default_model),
            tools: tools_settings(&file, variables, servers),
            dispatch: dispatch_settings(&file, judge),
            conversation: conversation_settings(&file),
            limits: key_limits::Settings { for_all: file.limits.keys.applied() },
            ledger: ledger::Settings { journal_bytes: file.storage.journal_bytes },
            http: http_settings(&file),
            traces: traces_settings(&file, variables)?,
            notices,
            data_dir,
        })
    }
}

/// A URL of a service that is spoken to over HTTP.
fn http_url(text: &str) -> Option<Uri> {
    let is_usable =
        |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    text.parse().ok().filter(is_usable)
}

fn provider_settings(
    file: &ConfigFile,
    providers: Vec<ProviderSettings>,
    default_model: Option<Target>,
) -> provider::Settings {
    let limits = &file.limits;
    provider::Settings {
        providers,
        models: file.model_targets(),
        default_model,
        is_offline_allowed: file.allow_offline,
        clocks: Clocks {
            connect: Duration::from_millis(limits.connect_timeout_ms),
            response_header: Duration::from_millis(limits.response_header_timeout_ms),
            first_token: Duration::from_millis(limits.first_token_timeout_ms),
            idle: Duration::from_millis(limits.idle_timeout_ms),
        },
        retry: RetrySettings {
            attempts: limits.retry_attempts.max(1),
            budget: Duration::from_millis(limits.retry_budget_ms),
        },
        breaker: BreakerSettings {
            failures: limits.breaker_failures.max(1),
            open: Duration::from_millis(limits.breaker_open_ms),
        },
    }
}

fn tools_settings(
    file: &ConfigFile,
    variables: &Variables,
    servers: Vec<ServerSettings>,
) -> tools::Settings {
    tools::Settings {
        servers,
        call_timeout: Duration::from_millis(file.limits.tool_call_timeout_ms.max(1)),
        result_bytes: file.limits.tool_result_bytes,
        renamed: RENAMED_SERVER_TOOLS,
        environment: tool_servers::inherited(variables),
        ..tools::Settings::default()
    }
}

fn dispatch_settings(file: &ConfigFile, judge: Option<JudgeSettings>) -> dispatch::Settings {
    let of_file = &file.dispatch;
    dispatch::Settings {
        on_none: of_file.on_none,
        on_ambiguous: of_file.on_ambiguous,
        default_agent: of_file.default_agent.clone(),
        judge,
        on_degraded: of_file.degraded,
        hand_over_margin: of_file.hand_over_margin.unwrap_or(DEFAULT_HAND_OVER_MARGIN),
        stores_content: file.storage.content,
    }
}

/// By the names that OpenTelemetry gives the variables.
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
fn traces_settings(
    file: &ConfigFile,
    variables: &Variables,
) -> Result<Option<traces::Settings>, ConfigError> {
    let is_disabled = variables.get("OTEL_SDK_DISABLED").map(str::trim);
    if is_disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let set = |name| {
        let value = variables.get(name).filter(|value| !value.is_empty());
        value.map(|value| (Origin::Variable(name), value))
    };
    let in_file = || {
        let endpoint = file.telemetry.otlp_endpoint.as_deref()?;
        Some((file.origin(&["telemetry", "otlp_endpoint"]), endpoint))
    };
    let below = |base: &str| format!("{}/v1/traces", base.trim_end_matches('/'));
    let whole = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let whole = whole.map(|(origin, endpoint)| (origin, endpoint.to_owned()));
    let base = || set("OTEL_EXPORTER_OTLP_ENDPOINT").or_else(in_file);
    let endpoint = whole.or_else(|| base().map(|(origin, base)| (origin, below(base))));
    let Some((origin, endpoint)) = endpoint else { return Ok(None) };
    if http_url(&endpoint).is_none() {
        return Err(ConfigError::OtlpEndpoint(origin));
    }
    let service_name = variables.get("OTEL_SERVICE_NAME").filter(|name| !name.is_empty());
    let service_name = service_name.unwrap_or("rolecall").to_owned();
    Ok(Some(traces::Settings { endpoint, service_name }))
}

fn http_settings(file: &ConfigFile) -> http::Settings {
    http::Settings {
        body_bytes: file.limits.body_bytes.get(),
        request_timeout: Duration::from_millis(file.limits.request_timeout_ms.get()),
        hold: Duration::from_millis(file.limits.hold_ms),
        keep_alive_interval: Duration::from_millis(file.limits.keep_alive_interval_ms.get()),
        metrics_require_key: file.metrics.require_key,
    }
}

fn conversation_settings(file: &ConfigFile) -> conversation::Settings {
    conversation::Settings {
        run_timeout: Duration::from_millis(file.limits.run_timeout_ms),
        concurrent_runs: file.limits.concurrent_runs,
        stores_content: file.storage.content,
        required_tools: file.tools.required.clone(),
        stored: conversation::StoredSettings {
            when_busy: file.conversations.when_busy,
            wait: Duration::from_millis(file.conversations.wait_ms),
            context_tokens: file.conversations.context_tokens.get(),
        },
    }
}

fn known_world(catalog: &Catalog, servers: &[ServerSettings]) -> KnownWorld {
    KnownWorld {
        tool_servers: servers.iter().map(|server| server.name.to_ascii_lowercase()).collect(),
        models: catalog.known_names().map(str::to_owned).collect(),
        model_prefixes: catalog.known_prefixes().collect(),
    }
}
