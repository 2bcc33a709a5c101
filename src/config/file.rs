//! `rolecall.yaml` as it is written. Unknown keys are errors.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::Target;
use super::entries::distinct;
use super::error::{ConfigError, Origin};
use super::limits::Limits;
use super::place::Place;
use super::variables::Variables;
use crate::conversation::WhenBusy;
use crate::dispatch::{OnAmbiguous, OnDegraded, OnNone};
use crate::http::without_values;
use crate::provider::DialectName;

/// Read if no other file is named, and only if it is there.
const DEFAULT_PATH: &str = "./rolecall.yaml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConfigFile {
    pub default_model: Option<String>,
    #[serde(deserialize_with = "distinct")]
    pub providers: IndexMap<String, ProviderEntry>,
    #[serde(deserialize_with = "distinct")]
    pub models: IndexMap<String, ModelEntry>,
    #[serde(deserialize_with = "distinct")]
    pub mcp_servers: IndexMap<String, McpServerEntry>,
    /// A file of tool servers in the common `mcpServers` shape.
    pub mcp_config: Option<PathBuf>,
    pub dispatch: DispatchEntry,
    pub storage: StorageEntry,
    pub conversations: ConversationsEntry,
    pub allow_offline: bool,
    pub limits: Limits,
    pub tools: ToolsEntry,
    pub metrics: MetricsEntry,
    pub telemetry: TelemetryEntry,
    /// Where the file is, and what is written in it.
    #[serde(skip)]
    pub path: PathBuf,
    #[serde(skip)]
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderEntry {
    pub dialect: Option<DialectName>,
    pub base_url: Option<String>,
    pub api_key: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelEntry {
    #[serde(deserialize_with = "usable_targets")]
    pub targets: Vec<Target>,
}

fn usable_targets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Target>, D::Error> {
    let targets: Vec<UsableTarget> = Vec::deserialize(deserializer)?;
    if targets.is_empty() {
        return Err(D::Error::custom("`targets` must name one model at least"));
    }
    Ok(targets.into_iter().map(|target| target.0).collect())
}

/// A target with prices that something can cost.
struct UsableTarget(Target);

impl<'de> Deserialize<'de> for UsableTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let target = Target::deserialize(deserializer)?;
        let prices = [
            ("input_price", target.input_price),
            ("output_price", target.output_price),
            ("cached_input_price", target.cached_input_price),
            ("cache_write_price", target.cache_write_price),
            ("hour_cache_write_price", target.hour_cache_write_price),
        ];
        let is_price = |price: f64| price.is_finite() && price >= 0.0;
        let mut bad = prices.iter().filter(|(_, price)| !price.is_none_or(is_price));
        match bad.next() {
            Some((key, _)) => {
                let Target { provider, model, .. } = &target;
                Err(D::Error::custom(format!("{key} of {provider}/{model} must be 0 or more")))
            }
            None => Ok(Self(target)),
        }
    }
}

/// A tool server: a command that the operator trusts, or a URL.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct McpServerEntry {
    pub command: Option<String>,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub url: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether agents that name no tools have it.
    #[serde(default)]
    pub default: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DispatchEntry {
    pub on_none: OnNone,
    pub on_ambiguous: OnAmbiguous,
    pub default_agent: Option<String>,
    pub judge: Option<JudgeEntry>,
    pub degraded: OnDegraded,
    #[serde(deserialize_with = "some_share")]
    pub hand_over_margin: Option<f64>,
}

impl DispatchEntry {
    /// The key that leaves a decision to a judge, if there is none.
    fn key_without_judge(&self) -> Option<&'static str> {
        let asks = [
            ("on_none", self.on_none == OnNone::Judge),
            ("on_ambiguous", self.on_ambiguous == OnAmbiguous::Judge),
        ];
        let mut asks = asks.into_iter().filter(|(_, is_judge)| *is_judge);
        asks.next().filter(|_| self.judge.is_none()).map(|(key, _)| key)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JudgeEntry {
    pub model: String,
    #[serde(default = "JudgeEntry::default_timeout_ms")]
    pub timeout_ms: NonZeroU64,
    #[serde(default = "JudgeEntry::default_margin_below", deserialize_with = "share")]
    pub margin_below: f64,
}

impl JudgeEntry {
    fn default_timeout_ms() -> NonZeroU64 {
        const { NonZeroU64::new(2_000).expect("is not zero") }
    }

    fn default_margin_below() -> f64 {
        0.1
    }
}

/// Scores are 0 to 1, and so is what lies between two of them.
fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(D::Error::custom("margin_below and hand_over_margin must be 0 to 1"))
    }
}

fn some_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    share(deserializer).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StorageEntry {
    pub content: bool,
    pub retention_days: Option<NonZeroU32>,
    pub journal_bytes: u64,
}

impl Default for StorageEntry {
    fn default() -> Self {
        Self { content: true, retention_days: None, journal_bytes: 1024 * 1024 * 1024 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConversationsEntry {
    pub when_busy: WhenBusy,
    pub wait_ms: u64,
    pub context_tokens: NonZeroU32,
}

impl Default for ConversationsEntry {
    fn default() -> Self {
        Self {
            when_busy: WhenBusy::Wait,
            wait_ms: 30_000,
            context_tokens: const { NonZeroU32::new(128_000).expect("is not zero") },
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MetricsEntry {
    pub require_key: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TelemetryEntry {
    pub otlp_endpoint: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ToolsEntry {
    pub required: BTreeMap<String, Vec<String>>,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            default_model: None,
            providers: IndexMap::new(),
            models: IndexMap::new(),
            mcp_servers: IndexMap::new(),
            mcp_config: None,
            dispatch: DispatchEntry::default(),
            storage: StorageEntry::default(),
            conversations: ConversationsEntry::default(),
            allow_offline: true,
            limits: Limits::default(),
            tools: ToolsEntry::default(),
            metrics: MetricsEntry::default(),
            telemetry: TelemetryEntry::default(),
            path: PathBuf::new(),
            text: String::new(),
        }
    }
}

impl ConfigFile {
    pub fn read(path: Option<&Path>, variables: &Variables) -> Result<Self, ConfigError> {
        let default = PathBuf::from(DEFAULT_PATH);
        let path = match path {
            Some(path) => path,
            None if default.exists() => &default,
            None => return Ok(Self::default()),
        };
        let yaml = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        // A file of comments alone is no document to YAML.
        let is_empty =
            yaml.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        if is_empty {
            return Ok(Self::default());
        }
        let mut file: Self = serde_yaml::from_str(&yaml).map_err(|error| ConfigError::Invalid {
            path: path.to_owned(),
            message: describe(&error),
        })?;
        variables.check(path, &yaml)?;
        if let Some(key) = file.dispatch.key_without_judge() {
            let place = Place::in_yaml(path, &yaml, &["dispatch", key]);
            return Err(ConfigError::NoJudge { place, key });
        }
        if file.dispatch.on_none == OnNone::DefaultAgent && file.dispatch.default_agent.is_none() {
            let place = Place::in_yaml(path, &yaml, &["dispatch", "on_none"]);
            return Err(ConfigError::NoDefaultAgent { place });
        }
        (file.path, file.text) = (path.to_owned(), yaml);
        Ok(file)
    }

    /// The line of a key, see [`Place::in_yaml`].
    pub fn place(&self, keys: &[&str]) -> Place {
        Place::in_yaml(&self.path, &self.text, keys)
    }

    /// A key of it, as errors name it.
    pub fn origin(&self, keys: &[&str]) -> Origin {
        let key = keys.last().copied().unwrap_or_default().to_owned();
        Origin::Key { place: self.place(keys), key }
    }

    pub fn model_targets(&self) -> BTreeMap<String, Vec<Target>> {
        let targets =
            |(alias, entry): (&String, &ModelEntry)| (alias.clone(), entry.targets.clone());
        self.models.iter().map(targets).collect()
    }
}

fn describe(error: &serde_yaml::Error) -> String {
    // A value in the wrong place may be a secret.
    let message = without_values(&error.to_string());
    match error.location() {
        // The library leaves this one out.
        Some(place) if (place.line(), place.column()) == (1, 1) => {
            format!("{message} at line 1 column 1")
        }
        _ => message,
    }
}
