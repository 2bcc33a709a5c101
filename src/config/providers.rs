//! The configured providers: those of the file, in its order, then those that the environment gives a key for.

use http::{HeaderName, HeaderValue, Uri};
use secrecy::SecretString;

use super::ConfigError;
use super::file::{ConfigFile, ProviderEntry};
use super::variables::{Expanded, Variables};
use crate::provider::{DialectName, ProviderSettings};

/// A provider that needs nothing but a key.
struct BuiltIn {
    name: &'static str,
    dialect: DialectName,
    base_url: &'static str,
    key_variable: &'static str,
    base_url_variable: &'static str,
}

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "anthropic",
        dialect: DialectName::Anthropic,
        base_url: "https://api.anthropic.com",
        key_variable: "ANTHROPIC_API_KEY",
        base_url_variable: "ANTHROPIC_BASE_URL",
    },
    BuiltIn {
        name: "openai",
        dialect: DialectName::Openai,
        base_url: "https://api.openai.com/v1",
        key_variable: "OPENAI_API_KEY",
        base_url_variable: "OPENAI_BASE_URL",
    },
    BuiltIn {
        name: "gemini",
        dialect: DialectName::Gemini,
        base_url: "https://generativelanguage.googleapis.com",
        key_variable: "GEMINI_API_KEY",
        base_url_variable: "GEMINI_BASE_URL",
    },
];

pub(super) fn configured(
    file: &ConfigFile,
    variables: &Variables,
) -> Result<Vec<ProviderSettings>, ConfigError> {
    let mut providers = Vec::new();
    for (name, entry) in &file.providers {
        providers.extend(from_file(name, entry, variables)?);
    }
    for built_in in BUILT_IN {
        let Some(key) = variables.get(built_in.key_variable) else { continue };
        if file.providers.contains_key(built_in.name) {
            continue;
        }
        let base_url = variables.get(built_in.base_url_variable).unwrap_or(built_in.base_url);
        providers.push(ProviderSettings {
            name: built_in.name.to_owned(),
            dialect: built_in.dialect,
            base_url: parse_base_url(built_in.name, base_url)?,
            base_url_secrets: Vec::new(),
            api_key: Some(SecretString::from(key)),
            headers: Vec::new(),
        });
    }
    Ok(providers)
}

/// Refuses a name that no provider has, configured or not.
pub(super) fn check_known(file: &ConfigFile, name: &str) -> Result<(), ConfigError> {
    let is_built_in = BUILT_IN.iter().any(|built_in| built_in.name == name);
    if is_built_in || file.providers.contains_key(name) {
        return Ok(());
    }
    Err(ConfigError::UnknownProvider(name.to_owned()))
}

/// `None` if the entry refers to an optional variable that is not set.
fn from_file(
    name: &str,
    entry: &ProviderEntry,
    variables: &Variables,
) -> Result<Option<ProviderSettings>, ConfigError> {
    let built_in = BUILT_IN.iter().find(|built_in| built_in.name == name);
    let refuse = |message: String| ConfigError::Provider { provider: name.to_owned(), message };
    let dialect = entry.dialect.or(built_in.map(|built_in| built_in.dialect)).ok_or_else(|| {
        let dialects = "`anthropic`, `openai`, `openai_responses` or `gemini`";
        refuse(format!("`dialect` is missing: {dialects}"))
    })?;
    // What the environment says of a built-in provider comes before what the file says.
    let from_environment = |variable: fn(&BuiltIn) -> &'static str| {
        built_in.and_then(|built_in| variables.get(variable(built_in)))
    };
    let mut base_url_secrets = Vec::new();
    let base_url = match from_environment(|built_in| built_in.base_url_variable) {
        Some(base_url) => base_url.to_owned(),
        None => match &entry.base_url {
            Some(text) => match variables.expand(text) {
                Expanded::Text(expanded) => {
                    let given = variables.given_to(text);
                    base_url_secrets.extend(given.map(|(_, value)| SecretString::from(value)));
                    expanded
                }
                Expanded::NotConfigured => return Ok(None),
            },
            None => BUILT_IN
                .iter()
                .find(|built_in| built_in.dialect == of_vendor(dialect))
                .map(|built_in| built_in.base_url.to_owned())
                .unwrap_or_default(),
        },
    };
    let api_key = match from_environment(|built_in| built_in.key_variable) {
        Some(key) => Some(SecretString::from(key)),
        None => match entry.api_key.as_deref().map(|text| variables.expand(text)) {
            Some(Expanded::NotConfigured) => return Ok(None),
            Some(Expanded::Text(key)) => Some(SecretString::from(key)),
            None => None,
        },
    };
    let mut headers = Vec::new();
    for (header, value) in &entry.headers {
        let Expanded::Text(value) = variables.expand(value) else { return Ok(None) };
        let parsed = HeaderName::try_from(header).ok().zip(HeaderValue::try_from(value).ok());
        let (header, mut value) =
            parsed.ok_or_else(|| refuse(format!("`{header}` cannot be sent as a header")))?;
        value.set_sensitive(true);
        headers.push((header, value));
    }
    let base_url = parse_base_url(name, &base_url)?;
    Ok(Some(ProviderSettings {
        name: name.to_owned(),
        dialect,
        base_url,
        base_url_secrets,
        api_key,
        headers,
    }))
}

/// The dialect of the built-in provider whose vendor speaks the given one too.
fn of_vendor(dialect: DialectName) -> DialectName {
    match dialect {
        DialectName::OpenaiResponses => DialectName::Openai,
        own => own,
    }
}

fn parse_base_url(provider: &str, text: &str) -> Result<Uri, ConfigError> {
    text.parse::<Uri>()
        .ok()
        .filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
        .ok_or_else(|| ConfigError::Provider {
            provider: provider.to_owned(),
            message: "the base URL must be `http://…` or `https://…`".to_owned(),
        })
}
