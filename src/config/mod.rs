//! The configuration: every component's settings, from flags, environment, `rolecall.yaml` and defaults, in
//! that order. Nothing else reads the environment.

mod entries;
mod error;
mod file;
mod flags;
mod limits;
mod place;
mod providers;
#[cfg(test)]
mod tests;
mod tool_servers;
mod variables;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

pub use error::ConfigError;
pub use flags::Flags;

use crate::definition::{KnownWorld, RENAMED_SERVER_TOOLS};
use crate::dispatch::{DEFAULT_HAND_OVER_MARGIN, JudgeSettings};
use crate::provider::{BreakerSettings, Catalog, Clocks, ResolutionRule, RetrySettings, Target};
use crate::telemetry::traces;
use crate::tools::ServerSettings;
use crate::{
    conversation, db, dispatch, http, ledger, limits as key_limits, provider, registry, tools,
};
use file::ConfigFile;
use variables::Variables;

/// Every component's settings.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: String,
    pub data_dir: PathBuf,
    pub admin_key: Option<SecretString>,
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
        let limits = &file.limits;
        let milliseconds = Duration::from_millis;
        let data_dir = flags.data_dir.clone().unwrap_or_else(|| PathBuf::from("./.rolecall"));
        let default_model = flags
            .default_model
            .as_ref()
            .or(file.default_model.as_ref())
            .filter(|text| !text.is_empty());
        let mut default_model = default_model
            .map(|text| Target::parse(text).ok_or_else(|| ConfigError::DefaultModel(text.clone())))
            .transpose()?;
        let providers = providers::configured(&file, variables)?;
        let mut notices = Vec::new();
        for target in file.models.values().flat_map(|model| &model.targets) {
            providers::check_known(&file, &target.provider)?;
        }
        if let Some(target) = &default_model {
            providers::check_known(&file, &target.provider)?;
            if !providers.iter().any(|provider| provider.name == target.provider) {
                notices.push(format!(
                    "the provider of the default model `{}/{}` is not configured, so another answers",
                    target.provider, target.model
                ));
                default_model = None;
            }
        }
        let names = providers.iter().map(|provider| provider.name.clone()).collect();
        let catalog = Catalog::new(names, file.model_targets(), default_model.clone())
            .map_err(ConfigError::Models)?;
        let provider = provider::Settings {
            providers,
            models: file.model_targets(),
            default_model,
            is_offline_allowed: file.allow_offline,
            clocks: Clocks {
                connect: milliseconds(limits.connect_timeout_ms),
                response_header: milliseconds(limits.response_header_timeout_ms),
                first_token: milliseconds(limits.first_token_timeout_ms),
                idle: milliseconds(limits.idle_timeout_ms),
            },
            retry: RetrySettings {
                attempts: limits.retry_attempts.max(1),
                budget: milliseconds(limits.retry_budget_ms),
            },
            breaker: BreakerSettings {
                failures: limits.breaker_failures.max(1),
                open: milliseconds(limits.breaker_open_ms),
            },
        };
        let judge = configured_judge(&file, &catalog, &mut notices)?;
        let servers = tool_servers::configured(&file, variables, &mut notices)?;
        let stores_content = file.storage.content;
        Ok(Self {
            listen: flags.listen.clone().unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            // No flag: a process list would show it.
            admin_key: variables.get("ROLECALL_ADMIN_KEY").map(SecretString::from),
            shutdown_grace: milliseconds(limits.shutdown_grace_ms),
            retention_days: file.storage.retention_days.map(NonZeroU32::get),
            follows_folder: true,
            db: db::Settings {
                url: flags.database_url.clone().map(SecretString::from),
                data_dir: data_dir.clone(),
            },
            registry: registry::Settings {
                agents_dir: flags.agents_dir.clone().unwrap_or_else(|| PathBuf::from("./agents")),
                definition_bytes: limits.definition_bytes.get(),
                known_world: known_world(&catalog, &servers),
            },
            provider,
            tools: tools::Settings {
                servers,
                call_timeout: milliseconds(limits.tool_call_timeout_ms.max(1)),
                result_bytes: limits.tool_result_bytes,
                renamed: RENAMED_SERVER_TOOLS,
                environment: tool_servers::inherited(variables),
                ..tools::Settings::default()
            },
            dispatch: dispatch::Settings {
                on_none: file.dispatch.on_none,
                on_ambiguous: file.dispatch.on_ambiguous,
                default_agent: file.dispatch.default_agent.clone(),
                judge,
                on_degraded: file.dispatch.degraded,
                hand_over_margin: file
                    .dispatch
                    .hand_over_margin
                    .unwrap_or(DEFAULT_HAND_OVER_MARGIN),
                stores_content,
            },
            conversation: conversation_settings(&file),
            limits: key_limits::Settings { for_all: limits.keys.applied() },
            ledger: ledger::Settings { journal_bytes: file.storage.journal_bytes },
            http: http_settings(&file),
            traces: traces_settings(&file, variables)?,
            notices,
            data_dir,
        })
    }
}

/// By the names that OpenTelemetry gives the variables.
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
fn traces_settings(
    file: &ConfigFile,
    variables: &Variables,
) -> Result<Option<traces::Settings>, ConfigError> {
    let set = |name| variables.get(name).filter(|value| !value.is_empty());
    let whole = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").map(str::to_owned);
    let base = set("OTEL_EXPORTER_OTLP_ENDPOINT").or(file.telemetry.otlp_endpoint.as_deref());
    let below = |base: &str| format!("{}/v1/traces", base.trim_end_matches('/'));
    let Some(endpoint) = whole.or_else(|| base.map(below)) else { return Ok(None) };
    let is_usable = endpoint.parse::<::http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if !is_usable {
        return Err(ConfigError::OtlpEndpoint);
    }
    let service_name = set("OTEL_SERVICE_NAME").unwrap_or("rolecall").to_owned();
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

/// The judge's settings. Its model is looked up now, so that a misspelt one does not wait for the first close pick.
fn configured_judge(
    file: &ConfigFile,
    catalog: &Catalog,
    notices: &mut Vec<String>,
) -> Result<Option<JudgeSettings>, ConfigError> {
    let Some(entry) = &file.dispatch.judge else { return Ok(None) };
    let model = &entry.model;
    if !catalog.knows(model) {
        let target = Target::parse(model).ok_or_else(|| ConfigError::JudgeModel(model.clone()))?;
        providers::check_known(file, &target.provider)?;
    }
    let resolved = catalog.resolve(Some(model));
    if resolved.first().is_offline() {
        notices
            .push("a judge is set and no provider to ask it of, so nothing is judged".to_owned());
    } else if resolved.rule == ResolutionRule::Fallback {
        notices.push(format!(
            "the provider of the judge's model `{model}` is not configured, so `{}` judges",
            resolved.first().full_name()
        ));
    }
    Ok(Some(JudgeSettings {
        model: model.clone(),
        timeout: Duration::from_millis(entry.timeout_ms.get()),
        margin_below: entry.margin_below,
    }))
}

fn known_world(catalog: &Catalog, servers: &[ServerSettings]) -> KnownWorld {
    KnownWorld {
        tool_servers: servers.iter().map(|server| server.name.to_ascii_lowercase()).collect(),
        models: catalog.known_names().map(str::to_owned).collect(),
        model_prefixes: catalog.known_prefixes().collect(),
    }
}
