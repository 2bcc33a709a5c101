//! Model providers: which model answers, and the conversation with it over HTTP.
//!
//! [`Providers::call`] is the one way to a model; each protocol is a `Dialect` of pure functions.

mod anthropic;
mod attempt;
mod breaker;
mod call;
mod catalog;
mod decoding;
mod dialect;
mod endpoint;
mod error;
mod further;
mod gemini;
#[cfg(test)]
mod golden_tests;
mod lenient;
mod offline;
mod open_attempt;
mod openai;
mod openai_error;
mod openai_words;
mod passing_on;
mod random;
mod request_body;
mod request_usage;
mod responses;
mod retry_after;
mod settings;
mod signatures;
mod silence;
mod spans;
mod sse;
mod stream;
mod strict_tools;
mod transport;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub use attempt::{Attempt, AttemptOutcome};
pub use breaker::{BreakerHealth, BreakerSettings, BreakerState};
pub use call::{CallMode, ModelCall, RetrySettings};
pub use catalog::{Catalog, ResolutionRule, ResolvedModel, Target};
pub use error::ProviderError;
pub use request_usage::RequestUsage;
pub use responses::{foreign_call, foreign_result};
pub use settings::{Clocks, DialectName, ProviderSettings, Settings};
pub use silence::SilenceTimer;

use breaker::Breakers;
use dialect::Dialect;
use endpoint::Endpoint;
use retry_after::retry_after;
use sse::{SseEvent, SseParser};
use stream::ChatStream;
use transport::Transport;

use crate::chat::{ChatRequest, Parameter, Parameters, Protocol};

/// A cheap handle to every configured provider.
#[derive(Debug, Clone)]
pub struct Providers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    catalog: Catalog,
    endpoints: BTreeMap<String, Endpoint>,
    transport: Transport,
    breakers: Arc<Breakers>,
    clocks: Clocks,
    retry: RetrySettings,
    is_offline_allowed: bool,
}

/// How a provider is doing.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProviderHealth {
    pub name: String,
    #[schema(value_type = String)]
    pub dialect: DialectName,
    /// Without its user and its query, which can hold secrets, and without what variables gave to its path.
    pub base_url: String,
    /// The models that have failed since their last whole answer.
    pub breakers: Vec<BreakerHealth>,
}

impl Providers {
    /// # Errors
    /// A text that names the setting which cannot be used.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let names = settings.providers.iter().map(|provider| provider.name.clone()).collect();
        let catalog = Catalog::new(names, settings.models, settings.default_model)?;
        let endpoints = settings
            .providers
            .into_iter()
            .map(|provider| (provider.name.clone(), Endpoint::new(provider)))
            .collect();
        let transport = Transport::new(settings.clocks.connect)
            .map_err(|error| format!("the machine's root certificates cannot be read: {error}"))?;
        let inner = Inner {
            catalog,
            endpoints,
            transport,
            breakers: Breakers::new(settings.breaker),
            clocks: settings.clocks,
            retry: settings.retry,
            is_offline_allowed: settings.is_offline_allowed,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// Every configured provider, in order of names.
    pub fn health(&self) -> Vec<ProviderHealth> {
        let breakers = self.inner.breakers.health();
        let of = |(name, endpoint): (&String, &Endpoint)| ProviderHealth {
            name: name.clone(),
            dialect: endpoint.dialect_name,
            base_url: endpoint.public_url(),
            breakers: breakers
                .iter()
                .filter(|breaker| breaker.target.split_once('/').is_some_and(|(of, _)| of == name))
                .cloned()
                .collect(),
        };
        self.inner.endpoints.iter().map(of).collect()
    }

    /// Whether the target is asked in this protocol.
    pub fn speaks(&self, target: &Target, protocol: Protocol) -> bool {
        let endpoint = self.inner.endpoints.get(&target.provider);
        endpoint.is_some_and(|endpoint| endpoint.dialect.protocol() == Some(protocol))
    }

    /// The models that figures are kept of, each with whether its breaker is closed (0), half open (1) or open (2).
    pub fn breaker_levels(&self) -> Vec<(&Target, u8)> {
        let health = self.inner.breakers.health();
        let level = |target: &Target| {
            let name = target.full_name();
            let found = health.iter().find(|breaker| breaker.target == name);
            found.map_or(0, |breaker| breaker.state.level())
        };
        self.catalog().listed().map(|target| (target, level(target))).collect()
    }

    /// The body that a [`call`](Self::call) would send to its first target, and the parameters that it would leave
    /// out.
    pub fn encode(&self, target: &Target, request: &ChatRequest) -> (Value, Vec<Parameter>) {
        let (parameters, dropped) = self.adapt(target, &request.parameters);
        let request = ChatRequest { parameters, ..request.clone() };
        let body = match self.inner.endpoints.get(&target.provider) {
            Some(endpoint) => endpoint.encode(target, &request),
            None => offline::encode(&request),
        };
        (body, dropped)
    }

    /// Asks a model, over as many targets and requests as it takes.
    pub fn call(&self, targets: &[Arc<Target>], request: ChatRequest, mode: CallMode) -> ModelCall {
        ModelCall::new(self.clone(), targets, request, mode)
    }

    /// One request to one target.
    async fn open(
        &self,
        target: &Target,
        request: &ChatRequest,
    ) -> Result<ChatStream, ProviderError> {
        match self.inner.endpoints.get(&target.provider) {
            Some(endpoint) => {
                endpoint.open(&self.inner.transport, self.inner.clocks, target, request).await
            }
            None if self.inner.is_offline_allowed => {
                Ok(ChatStream::ready(offline::answer(request)))
            }
            None => Err(ProviderError::OfflineNotAllowed),
        }
    }

    /// The parameters that a target takes, and those that are left out for it. A length beyond the model's limit
    /// is lowered to it, and so is a temperature beyond the protocol's.
    fn adapt(&self, target: &Target, parameters: &Parameters) -> (Parameters, Vec<Parameter>) {
        let dialect = self.inner.endpoints.get(&target.provider).map(|endpoint| endpoint.dialect);
        let of_dialect = dialect.map_or(&[][..], Dialect::unknown_parameters);
        let mut adapted = parameters.clone();
        let refused = target.refused_parameters().iter().chain(of_dialect).copied();
        let dropped = refused.filter(|parameter| adapted.remove(*parameter)).collect();
        adapted.max_tokens = match (adapted.max_tokens, target.output_tokens) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, _) => asked,
        };
        if let Some(highest) = dialect.and_then(Dialect::highest_temperature) {
            adapted.temperature = adapted.temperature.map(|asked| asked.min(highest));
        }
        (adapted, dropped)
    }

    fn redact(&self, target: &Target, error: &mut ProviderError) {
        if let Some(endpoint) = self.inner.endpoints.get(&target.provider)
            && let Some(message) = error.message_mut()
        {
            endpoint.redact(message);
        }
    }

    fn breakers(&self) -> &Arc<Breakers> {
        &self.inner.breakers
    }

    fn retry_settings(&self) -> RetrySettings {
        self.inner.retry
    }
}

/// Names the error of an HTTP status. `message` is the provider's text, shown only where the caller can act on it.
fn error_status(status: StatusCode, headers: &HeaderMap, message: String) -> ProviderError {
    let retry_after = retry_after(headers);
    match status.as_u16() {
        429 => ProviderError::RateLimited { retry_after },
        503 | 529 => ProviderError::Overloaded { retry_after },
        401..=403 => ProviderError::CredentialsRefused { status: status.as_u16() },
        // What is over in a moment: a time-out, a conflict, a replay that is refused.
        status @ (408 | 409 | 425) => ProviderError::Failed { status, retry_after },
        status @ 400..=499 => ProviderError::request_refused(status, message),
        status => ProviderError::Failed { status, retry_after },
    }
}
