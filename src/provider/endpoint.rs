//! One configured provider: where its requests go, with which headers, in which words.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::dialect::Dialect;
use super::transport::Transport;
use super::{
    ChatStream, Clocks, DialectName, ProviderError, ProviderSettings, Target, anthropic, gemini,
    openai, responses,
};
use crate::chat::{AnswerFormat, ChatRequest, Protocol};
use crate::telemetry::traces;

/// How long the body of an error is waited for in all, and how much of it is read.
const ERROR_BODY_TIME: Duration = Duration::from_secs(3);
const ERROR_BODY_BYTES: usize = 256 * 1024;

/// Most bytes of an answer that is not streamed.
const ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// How much of a provider's own text is told.
const MESSAGE_BYTES: usize = 2_000;

/// A secret that is shorter would be found in innocent words.
const SHORTEST_SECRET: usize = 8;

#[derive(Debug)]
pub(super) struct Endpoint {
    pub dialect_name: DialectName,
    pub dialect: &'static dyn Dialect,
    base_url: Uri,
    base_url_secrets: Vec<SecretString>,
    /// Where requests go, if the model is not a part of it; `None` if that is no URL.
    uri_for_all: OnceLock<Option<Uri>>,
    headers: HeaderMap,
    /// Texts that must not come back in what the provider says.
    secrets: Vec<SecretString>,
}

impl Endpoint {
    pub fn new(settings: ProviderSettings) -> Self {
        let dialect: &'static dyn Dialect = match settings.dialect {
            DialectName::Anthropic => &anthropic::Anthropic,
            DialectName::Openai => &openai::OpenAi,
            DialectName::Gemini => &gemini::Gemini::WITH_UNIQUE_IDS,
            DialectName::OpenaiResponses => &responses::Responses,
        };
        let mut headers = dialect.headers(settings.api_key.as_ref());
        let of_headers =
            settings.headers.iter().filter_map(|(_, value)| value.to_str().ok().map(String::from));
        let secrets = of_headers
            .map(SecretString::from)
            .chain(settings.api_key)
            .filter(|secret| secret.expose_secret().len() >= SHORTEST_SECRET)
            .collect();
        headers.extend(settings.headers);
        Self {
            dialect_name: settings.dialect,
            dialect,
            base_url: settings.base_url,
            base_url_secrets: settings.base_url_secrets,
            uri_for_all: OnceLock::new(),
            headers,
            secrets,
        }
    }

    /// Sends a request and returns its answer as it comes, once the provider has accepted it.
    /// Dropping the stream ends the provider call.
    pub async fn open(
        &self,
        transport: &Transport,
        clocks: Clocks,
        target: &Target,
        request: &ChatRequest,
    ) -> Result<ChatStream, ProviderError> {
        let uri = self.uri(target)?;
        self.check_format(request)?;
        self.check_tools(request)?;
        let body = self.dialect.encode(target, request).to_bytes();
        // An answer in one piece comes when it is written: its headers tell nothing before.
        let header_timeout = if target.stream {
            clocks.response_header
        } else {
            clocks.response_header.max(clocks.first_token)
        };
        let mut headers = self.headers_for(request);
        traces::name_in(&mut headers);
        let mut answer = transport.post(uri, headers, body, header_timeout).await?;
        if !answer.status.is_success() {
            let body = answer.read_for(ERROR_BODY_TIME, ERROR_BODY_BYTES).await;
            return Err(self.dialect.decode_error(answer.status, &answer.headers, &body));
        }
        if answer.is_event_stream() {
            return Ok(ChatStream::following(answer, self.dialect.decoder(), clocks));
        }
        let body = answer.read_whole(clocks.idle.max(clocks.first_token), ANSWER_BYTES).await?;
        Ok(ChatStream::ready(self.dialect.decode_answer(&body)?))
    }

    /// Refuses a format that has no words here: an answer of another one would not be what was asked for.
    fn check_format(&self, request: &ChatRequest) -> Result<(), ProviderError> {
        match request.parameters.answer_format {
            Some(AnswerFormat::Own(protocol)) if self.dialect.protocol() != Some(protocol) => {
                let message = "the provider has no such format of an answer".to_owned();
                Err(ProviderError::request_refused(400, message))
            }
            _ => Ok(()),
        }
    }

    /// Refuses tools that have no words here: those of a caller of Chat Completions are all the caller's own, and an answer
    /// that could not call them would not be what was asked for. Callers of the other protocols offer the vendor's tools
    /// wherever they ask, and are answered without them.
    fn check_tools(&self, request: &ChatRequest) -> Result<(), ProviderError> {
        let protocol = Protocol::ChatCompletions;
        let inbound = request.inbound.as_deref().filter(|inbound| inbound.protocol == protocol);
        match inbound.and_then(|inbound| inbound.own_tools.first()) {
            Some(name) if self.dialect.protocol() != Some(protocol) => {
                Err(ProviderError::RequestRefused {
                    status: 400,
                    message: format!(
                        "`tools`: the provider knows no tool of the type of `{name}`; functions are known to all"
                    ),
                    code: None,
                    param: Some("tools".to_owned()),
                })
            }
            _ => Ok(()),
        }
    }

    /// Our headers, and those that came with a request of the same protocol: each value once.
    fn headers_for(&self, request: &ChatRequest) -> HeaderMap {
        let mut headers = self.headers.clone();
        let inbound = request
            .inbound
            .iter()
            .filter(|inbound| self.dialect.protocol() == Some(inbound.protocol));
        for (name, callers) in inbound.flat_map(|inbound| &inbound.headers) {
            let own = headers.get_all(name).iter().chain([callers]);
            if let Some(joined) = join_values(own) {
                headers.insert(name, joined);
            }
        }
        headers
    }

    /// The base URL without what may be secret in it.
    pub fn public_url(&self) -> String {
        let base = &self.base_url;
        let host = base.host().unwrap_or_default();
        let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{host}{port}{}", base.scheme_str().unwrap_or("http"), self.public_path())
    }

    fn public_path(&self) -> String {
        let hidden = self.base_url_secrets.iter().map(ExposeSecret::expose_secret);
        hidden.fold(self.base_url.path().to_owned(), |path, secret| {
            // It is more than a part of the path: the URL, or its host too.
            if secret.contains('/') { "/…".to_owned() } else { path.replace(secret, "…") }
        })
    }

    /// The body that is sent.
    pub fn encode(&self, target: &Target, request: &ChatRequest) -> Value {
        let body = self.dialect.encode(target, request).to_bytes();
        serde_json::from_slice(&body).expect("a body is JSON")
    }

    fn uri(&self, target: &Target) -> Result<Uri, ProviderError> {
        let same_for_all = match self.dialect.path(target) {
            Cow::Borrowed(path) => path,
            Cow::Owned(path) => return self.uri_of(&path).ok_or_else(|| unusable(target)),
        };
        let uri = self.uri_for_all.get_or_init(|| self.uri_of(same_for_all));
        uri.clone().ok_or_else(|| unusable(target))
    }

    /// The dialect's path below the base URL. Either may have a query: Azure's base URL does, Gemini's path does.
    fn uri_of(&self, path: &str) -> Option<Uri> {
        let base = &self.base_url;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let base_path = base.path().trim_end_matches('/');
        let path = below(base_path, path);
        let queries = [base.query().unwrap_or_default(), query];
        let queries: Vec<&str> = queries.into_iter().filter(|query| !query.is_empty()).collect();
        let mut path_and_query = format!("{base_path}{path}");
        if !queries.is_empty() {
            path_and_query = format!("{path_and_query}?{}", queries.join("&"));
        }
        let mut parts = base.clone().into_parts();
        parts.path_and_query = Some(path_and_query.parse().ok()?);
        Uri::from_parts(parts).ok()
    }

    /// Takes our secrets out of a provider's own text: some repeat the key that they refuse, and headers.
    pub fn redact(&self, message: &mut String) {
        for secret in &self.secrets {
            *message = message.replace(secret.expose_secret(), "[redacted]");
        }
        if message.len() > MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
            message.push('…');
        }
    }
}

/// The path without its version, if the base URL ends in one: vendors' documents name it in either.
fn below<'a>(base_path: &str, path: &'a str) -> &'a str {
    let is_version = |segment: &str| {
        segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let has_version = base_path.rsplit('/').next().is_some_and(is_version);
    let first = path.split('/').nth(1).unwrap_or_default();
    if has_version && is_version(first) { &path[1 + first.len()..] } else { path }
}

/// One value of several that are lists with commas, without repeats.
fn join_values<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Option<HeaderValue> {
    let mut joined: Vec<&str> = Vec::new();
    for value in values {
        for item in value.to_str().ok()?.split(',').map(str::trim) {
            if !item.is_empty() && !joined.contains(&item) {
                joined.push(item);
            }
        }
    }
    HeaderValue::from_str(&joined.join(",")).ok().filter(|value| !value.is_empty())
}

fn unusable(target: &Target) -> ProviderError {
    let message = format!("the model's name `{}` cannot be asked for", target.model);
    ProviderError::request_refused(404, message)
}

#[cfg(test)]
mod tests {
    use super::Endpoint;
    use crate::provider::{DialectName, ProviderSettings, Target};

    fn endpoint(dialect: DialectName, base_url: &str) -> Endpoint {
        Endpoint::new(ProviderSettings {
            name: "azure".to_owned(),
            dialect,
            base_url: base_url.parse().expect("a URL"),
            base_url_secrets: Vec::new(),
            api_key: Some("sk-very-secret".to_owned().into()),
            headers: vec![(
                "api-key".parse().expect("a name"),
                "another-secret".parse().expect("a value"),
            )],
        })
    }

    fn uri(dialect: DialectName, base_url: &str, model: &str) -> String {
        let target = Target::new("azure", model);
        endpoint(dialect, base_url).uri(&target).expect("is valid").to_string()
    }

    #[test]
    fn the_query_of_a_base_url_stays_behind_the_path() {
        let base = "https://x.openai.azure.com/openai/deployments/d?api-version=2024-10-21";
        let expected = "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21";
        assert_eq!(uri(DialectName::Openai, base, "d"), expected);
    }

    #[test]
    fn a_version_in_the_base_url_is_not_followed_by_another() {
        let anthropic = |base| uri(DialectName::Anthropic, base, "claude-x");
        assert_eq!(anthropic("http://x"), "http://x/v1/messages");
        assert_eq!(anthropic("http://x/v1/"), "http://x/v1/messages");
        assert_eq!(anthropic("http://x/proxy"), "http://x/proxy/v1/messages");
        assert_eq!(anthropic("http://x/vendor"), "http://x/vendor/v1/messages");
        assert_eq!(uri(DialectName::Openai, "http://x/v1", "m"), "http://x/v1/chat/completions");
        let gemini = |base| uri(DialectName::Gemini, base, "models/gemini-x");
        let method = "models/gemini-x:streamGenerateContent?alt=sse";
        assert_eq!(gemini("http://x"), format!("http://x/v1beta/{method}"));
        assert_eq!(gemini("http://x/v1beta"), format!("http://x/v1beta/{method}"));
        assert_eq!(gemini("http://x/google/v1/"), format!("http://x/google/v1/{method}"));
        assert_eq!(
            gemini("http://x?a=b"),
            format!("http://x/v1beta/{}", method.replace('?', "?a=b&"))
        );
    }

    #[test]
    fn secrets_and_endless_texts_are_not_repeated() {
        let mut message = format!("no sk-very-secret, no another-secret {}", "é".repeat(2_000));
        endpoint(DialectName::Openai, "http://x").redact(&mut message);
        assert!(!message.contains("secret") && message.len() < 2_010, "{message}");
    }
}
