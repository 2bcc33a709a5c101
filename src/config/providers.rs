//! The configured providers: those of the file, in its order, then those that the environment gives a key for.

use http::{HeaderName, HeaderValue, Uri};
use secrecy::SecretString;

use super::error::{ConfigError, Origin};
use super::file::{ConfigFile, ProviderEntry};
use super::http_url;
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
        let built_in = BUILT_IN.iter().find(|built_in| built_in.name == name);
        providers.extend(InFile { file, name, entry, built_in, variables }.read()?);
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
            base_url: http_url(base_url).ok_or_else(|| {
                let origin = Origin::Variable(built_in.base_url_variable);
                bad_base_url(origin, built_in.name)
            })?,
            base_url_secrets: Vec::new(),
            api_key: Some(SecretString::from(key)),
            headers: Vec::new(),
        });
    }
    Ok(providers)
}

/// Refuses a name that no provider has, configured or not. `origin` is where it is named.
pub(super) fn check_known(
    file: &ConfigFile,
    name: &str,
    origin: impl FnOnce() -> Origin,
) -> Result<(), ConfigError> {
    let is_built_in = BUILT_IN.iter().any(|built_in| built_in.name == name);
    if is_built_in || file.providers.contains_key(name) {
        return Ok(());
    }
    Err(ConfigError::UnknownProvider { origin: origin(), provider: name.to_owned() })
}

/// A provider that the file names.
struct InFile<'a> {
    file: &'a ConfigFile,
    name: &'a str,
    entry: &'a ProviderEntry,
    /// The built-in provider of its name: what the environment says of that comes before what the file says.
    built_in: Option<&'static BuiltIn>,
    variables: &'a Variables,
}

/// A base URL as it is given, and by which variable if by one.
struct BaseUrl {
    text: String,
    secrets: Vec<SecretString>,
    variable: Option<&'static str>,
}

impl InFile<'_> {
    /// `None` if the entry refers to an optional variable that is not set.
    fn read(&self) -> Result<Option<ProviderSettings>, ConfigError> {
        let dialect = self.dialect()?;
        let Some(base_url) = self.base_url(dialect) else { return Ok(None) };
        let key_variable = self.built_in.map(|built_in| built_in.key_variable);
        let api_key = match key_variable.and_then(|name| self.variables.get(name)) {
            Some(key) => Some(SecretString::from(key)),
            None => match self.entry.api_key.as_deref().map(|text| self.variables.expand(text)) {
                Some(Expanded::NotConfigured) => return Ok(None),
                Some(Expanded::Text(key)) => Some(SecretString::from(key)),
                None => None,
            },
        };
        let Some(headers) = self.headers()? else { return Ok(None) };
        Ok(Some(ProviderSettings {
            name: self.name.to_owned(),
            dialect,
            base_url: self.parse(&base_url)?,
            base_url_secrets: base_url.secrets,
            api_key,
            headers,
        }))
    }

    fn dialect(&self) -> Result<DialectName, ConfigError> {
        let dialect = self.entry.dialect.or(self.built_in.map(|built_in| built_in.dialect));
        dialect.ok_or_else(|| {
            let dialects = "`anthropic`, `openai`, `openai_responses` or `gemini`";
            self.refuse(&["dialect"], format!("is missing: {dialects}"))
        })
    }

    fn base_url(&self, dialect: DialectName) -> Option<BaseUrl> {
        let variable = self.built_in.map(|built_in| built_in.base_url_variable);
        if let Some(value) = variable.and_then(|name| self.variables.get(name)) {
            return Some(BaseUrl { text: value.to_owned(), secrets: Vec::new(), variable });
        }
        let Some(written) = &self.entry.base_url else {
            let mut of_vendor =
                BUILT_IN.iter().filter(|built_in| built_in.dialect == of_vendor(dialect));
            let text = of_vendor.next().map(|built_in| built_in.base_url.to_owned());
            return Some(BaseUrl {
                text: text.unwrap_or_default(),
                secrets: Vec::new(),
                variable: None,
            });
        };
        let Expanded::Text(text) = self.variables.expand(written) else { return None };
        let given = self.variables.given_to(written);
        let secrets = given.map(|(_, value)| SecretString::from(value)).collect();
        Some(BaseUrl { text, secrets, variable: None })
    }

    fn parse(&self, base_url: &BaseUrl) -> Result<Uri, ConfigError> {
        http_url(&base_url.text).ok_or_else(|| {
            let origin = match base_url.variable {
                Some(name) => Origin::Variable(name),
                None => self.origin(&["base_url"]),
            };
            bad_base_url(origin, self.name)
        })
    }

    /// `None` if one refers to an optional variable that is not set.
    fn headers(&self) -> Result<Option<Vec<(HeaderName, HeaderValue)>>, ConfigError> {
        let mut headers = Vec::new();
        for (header, value) in &self.entry.headers {
            let Expanded::Text(value) = self.variables.expand(value) else { return Ok(None) };
            let parsed = HeaderName::try_from(header).ok().zip(HeaderValue::try_from(value).ok());
            let (name, mut value) = parsed.ok_or_else(|| {
                self.refuse(&["headers", header], "cannot be sent as a header".to_owned())
            })?;
            value.set_sensitive(true);
            headers.push((name, value));
        }
        Ok(Some(headers))
    }

    fn refuse(&self, keys: &[&str], message: String) -> ConfigError {
        let origin = self.origin(keys);
        ConfigError::Provider { origin, provider: self.name.to_owned(), message }
    }

    /// Where a key of the entry stands.
    fn origin(&self, keys: &[&str]) -> Origin {
        self.file.origin(&[&["providers", self.name], keys].concat())
    }
}

fn bad_base_url(origin: Origin, provider: &str) -> ConfigError {
    let message = "must be `http://…` or `https://…`".to_owned();
    ConfigError::Provider { origin, provider: provider.to_owned(), message }
}

/// The dialect of the built-in provider whose vendor speaks the given one too.
fn of_vendor(dialect: DialectName) -> DialectName {
    match dialect {
        DialectName::OpenaiResponses => DialectName::Openai,
        own => own,
    }
}
