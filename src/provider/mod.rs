//! Model providers: which model answers, and the conversation with it over HTTP.
//!
//! [`Providers::stream`] is the one way to a model; each protocol is a `Dialect` of pure functions.

mod anthropic;
mod catalog;
mod dialect;
mod error;
#[cfg(test)]
mod golden_tests;
mod offline;
mod openai;
mod settings;
mod sse;
mod stream;
mod transport;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::Value;

pub use catalog::{Catalog, ResolutionRule, ResolvedModel, Target};
pub use error::ProviderError;
pub use settings::{Clocks, DialectName, ProviderSettings, Settings};
pub use stream::ChatStream;

use dialect::Dialect;
use sse::{SseEvent, SseParser};
use transport::Transport;

use crate::chat::ChatRequest;

/// How long the body of an error may pause.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// A cheap handle to every configured provider.
#[derive(Debug, Clone)]
pub struct Providers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    catalog: Catalog,
    providers: BTreeMap<String, Provider>,
    transport: Transport,
    clocks: Clocks,
    is_offline_allowed: bool,
}

#[derive(Debug)]
struct Provider {
    dialect: &'static dyn Dialect,
    uri: Uri,
    headers: HeaderMap,
}

impl Providers {
    /// # Errors
    /// A text that names the setting which cannot be used.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let names = settings.providers.iter().map(|provider| provider.name.clone()).collect();
        let catalog = Catalog::new(names, settings.models, settings.default_model)?;
        let providers = settings
            .providers
            .into_iter()
            .map(|provider| Ok((provider.name.clone(), Provider::new(provider)?)))
            .collect::<Result<_, String>>()?;
        let transport = Transport::new(settings.clocks.connect)
            .map_err(|error| format!("the machine's root certificates cannot be read: {error}"))?;
        let inner = Inner {
            catalog,
            providers,
            transport,
            clocks: settings.clocks,
            is_offline_allowed: settings.is_offline_allowed,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// The body that [`stream`](Self::stream) would send.
    pub fn encode(&self, target: &Target, request: &ChatRequest) -> Value {
        match self.inner.providers.get(&target.provider) {
            Some(provider) => provider.dialect.encode(request),
            None => offline::encode(request),
        }
    }

    /// Sends a request and returns its answer as it comes, once the provider has accepted it.
    /// Dropping the stream ends the provider call.
    pub async fn stream(
        &self,
        target: &Target,
        request: &ChatRequest,
    ) -> Result<ChatStream, ProviderError> {
        let Some(provider) = self.inner.providers.get(&target.provider) else {
            if !self.inner.is_offline_allowed {
                return Err(ProviderError::OfflineNotAllowed);
            }
            return Ok(ChatStream::ready(offline::answer(request)));
        };
        let clocks = self.inner.clocks;
        let body = Bytes::from(provider.dialect.encode(request).to_string());
        let mut answer = self
            .inner
            .transport
            .post(provider.uri.clone(), provider.headers.clone(), body, clocks.response_header)
            .await?;
        if !answer.status.is_success() {
            let body = answer.read_whole(ERROR_BODY_TIMEOUT).await.unwrap_or_default();
            return Err(provider.dialect.decode_error(answer.status, &answer.headers, &body));
        }
        if answer.is_event_stream() {
            return Ok(ChatStream::following(answer, provider.dialect.decoder(), clocks));
        }
        let body = answer.read_whole(clocks.idle.max(clocks.first_token)).await?;
        Ok(ChatStream::ready(provider.dialect.decode_answer(&body)?))
    }
}

impl Provider {
    fn new(settings: ProviderSettings) -> Result<Self, String> {
        let dialect: &'static dyn Dialect = match settings.dialect {
            DialectName::Anthropic => &anthropic::Anthropic,
            DialectName::Openai => &openai::OpenAi,
        };
        let base = settings.base_url.to_string();
        let uri = format!("{}{}", base.trim_end_matches('/'), dialect.path());
        let uri = uri
            .parse()
            .map_err(|error| format!("the base_url of provider `{}`: {error}", settings.name))?;
        let mut headers = dialect.headers(settings.api_key.as_ref());
        headers.extend(settings.headers);
        Ok(Self { dialect, uri, headers })
    }
}

/// Names the error of an HTTP status. `message` is the provider's text, shown only where the caller can act on it.
fn error_status(
    status: StatusCode,
    headers: &HeaderMap,
    message: String,
    is_too_long: bool,
) -> ProviderError {
    if is_too_long {
        return ProviderError::ContextTooLong;
    }
    let retry_after = retry_after(headers);
    match status.as_u16() {
        429 => ProviderError::RateLimited { retry_after },
        503 | 529 => ProviderError::Overloaded { retry_after },
        401..=403 => ProviderError::CredentialsRefused { status: status.as_u16() },
        status @ 400..=499 => ProviderError::RequestRefused { status, message },
        status => ProviderError::Failed { status },
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
