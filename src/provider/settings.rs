//! Settings of the providers: who they are, and how long each phase of a call may be silent.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::breaker::BreakerSettings;
use super::call::RetrySettings;
use super::catalog::Target;

/// The wire protocol that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialectName {
    Anthropic,
    /// Chat Completions.
    #[serde(alias = "openai_chat", alias = "openai-chat", alias = "chat_completions")]
    Openai,
    /// Responses.
    #[serde(alias = "openai-responses", alias = "responses")]
    OpenaiResponses,
    Gemini,
}

/// One provider.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    pub name: String,
    pub dialect: DialectName,
    /// Without the dialect's own path; a slash at its end makes no difference.
    pub base_url: Uri,
    /// What the environment gave to the base URL, to be shown nowhere.
    pub base_url_secrets: Vec<SecretString>,
    pub api_key: Option<SecretString>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// How long each phase of a provider call may last without a sign of life.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    pub connect: Duration,
    pub response_header: Duration,
    pub first_token: Duration,
    pub idle: Duration,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// In order of preference: the first one's default model is the default model.
    pub providers: Vec<ProviderSettings>,
    pub models: BTreeMap<String, Vec<Target>>,
    pub default_model: Option<Target>,
    pub is_offline_allowed: bool,
    pub clocks: Clocks,
    pub retry: RetrySettings,
    pub breaker: BreakerSettings,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::DialectName;

    #[test]
    fn both_dialects_of_openai_go_by_several_names() {
        let read = |name: &str| {
            serde_json::from_value::<DialectName>(json!(name)).expect("is a dialect's name")
        };
        for name in ["openai", "openai_chat", "openai-chat", "chat_completions"] {
            assert_eq!(read(name), DialectName::Openai);
        }
        for name in ["openai_responses", "openai-responses", "responses"] {
            assert_eq!(read(name), DialectName::OpenaiResponses);
        }
        assert_eq!(json!(DialectName::OpenaiResponses), json!("openai_responses"));
    }
}
