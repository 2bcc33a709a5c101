//! One model call, however many requests it takes: over several targets, with retries, until an answer begins.
//!
//! What the caller has been shown is never asked for again: after the first content an error is the end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::Attempt;
use super::breaker::Admission;
use super::error::Remedy;
use super::random::random_unit;
use super::{ChatStream, ProviderError, Providers, Target};
use crate::chat::{ChatEvent, ChatRequest, Parameter, Parameters, Usage};

/// How long the first retry on a target waits if the provider does not say; each further one waits twice as long.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// How many requests a call may take, and for how long it may try again.
#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// Requests of one call in all, over all targets.
    pub attempts: u32,
    /// No retry on the same target begins later than this after the call began.
    pub budget: Duration,
}

/// A model call under way. Dropping it closes the provider's connection.
#[derive(Debug)]
pub struct ModelCall {
    providers: Providers,
    /// Given up once no further attempt can follow.
    request: Option<ChatRequest>,
    /// As they were asked for; an attempt leaves out what its model refuses.
    parameters: Parameters,
    /// Those not tried yet, behind the present one.
    targets: VecDeque<Arc<Target>>,
    /// Whether nobody sees the answer before it is whole, so that it may begin anew after content.
    can_restart: bool,
    began: Instant,
    /// When the next attempt is due, while none is open.
    due: Instant,
    open: Option<OpenAttempt>,
    attempts: Vec<Attempt>,
    requests_left: u32,
    retries_here: u32,
    has_content: bool,
    is_over: bool,
    dropped: Vec<Parameter>,
    /// What went wrong with the target that was tried first.
    first_error: Option<(Arc<Target>, ProviderError)>,
}

/// The request that is under way.
#[derive(Debug)]
struct OpenAttempt {
    target: Arc<Target>,
    started: Instant,
    usage: Option<Usage>,
    admission: Admission,
    /// There once the provider has accepted the request.
    stream: Option<ChatStream>,
}

impl ModelCall {
    pub(super) fn new(
        providers: Providers,
        targets: &[Arc<Target>],
        request: ChatRequest,
        can_restart: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            requests_left: providers.retry_settings().attempts.max(1),
            providers,
            parameters: request.parameters.clone(),
            request: Some(request),
            targets: targets.iter().cloned().collect(),
            can_restart,
            began: now,
            due: now,
            open: None,
            attempts: Vec::new(),
            retries_here: 0,
            has_content: false,
            is_over: false,
            dropped: Vec::new(),
            first_error: None,
        }
    }

    /// The next event; `None` after a whole answer.
    ///
    /// Each attempt that is accepted begins with a [`ChatEvent::Model`], and models are named `provider/model`.
    ///
    /// # Errors
    /// The reason why there is no answer, once nothing is left to be tried.
    pub async fn next(&mut self) -> Result<Option<ChatEvent>, ProviderError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            let result = match &mut self.open {
                Some(OpenAttempt { stream: Some(stream), .. }) => stream.next().await,
                _ => self.begin().await.map(Some),
            };
            match result {
                Ok(Some(event)) => {
                    if let Some(event) = self.take(event) {
                        return Ok(Some(event));
                    }
                }
                Ok(None) => {
                    if let Some(open) = &mut self.open {
                        open.admission.succeed();
                    }
                    self.finish("ok");
                    return Ok(None);
                }
                Err(error) => {
                    let had_content = self.has_content;
                    self.recover(error)?;
                    if had_content {
                        return Ok(Some(ChatEvent::Restarted));
                    }
                }
            }
        }
    }

    /// Ends the call for a reason of the caller's, and closes the provider's connection.
    pub fn finish(&mut self, outcome: &str) {
        self.is_over = true;
        self.request = None;
        if let Some(open) = self.open.take() {
            self.attempts.push(open.told(outcome, None));
        }
    }

    /// The requests so far, the one under way aside.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// How many requests have been sent, the one under way included.
    pub fn request_count(&self) -> u32 {
        self.providers.retry_settings().attempts.max(1) - self.requests_left
    }

    /// Parameters that were left out because the model or the protocol does not take them.
    pub fn dropped_parameters(&self) -> &[Parameter] {
        &self.dropped
    }

    /// Sends the request to the present target, when it is time.
    async fn begin(&mut self) -> Result<ChatEvent, ProviderError> {
        tokio::time::sleep_until(self.due).await;
        let target =
            Arc::clone(self.targets.front().expect("a call has a target until it is over"));
        let admission = self.providers.breakers().admit(&target);
        let admission =
            admission.map_err(|retry_after| ProviderError::BreakerOpen { retry_after })?;
        let request = self.request.as_mut().expect("it is kept until no attempt can follow");
        let (parameters, dropped) = self.providers.adapt(&target, &self.parameters);
        request.parameters = parameters;
        self.dropped = dropped;
        self.requests_left -= 1;
        let open = self.open.insert(OpenAttempt {
            target: Arc::clone(&target),
            started: Instant::now(),
            usage: None,
            admission,
            stream: None,
        });
        open.stream = Some(self.providers.open(&target, request).await?);
        Ok(ChatEvent::Model(target.model.clone()))
    }

    fn take(&mut self, event: ChatEvent) -> Option<ChatEvent> {
        let open = self.open.as_mut().expect("events come from an open attempt");
        let is_content = event.is_content();
        let event = match event {
            ChatEvent::Model(model) if model.is_empty() => return None,
            ChatEvent::Model(model) => {
                ChatEvent::Model(format!("{}/{model}", open.target.provider))
            }
            ChatEvent::Usage(usage) => {
                open.usage = Some(usage);
                event
            }
            event => event,
        };
        if is_content && !self.has_content {
            self.has_content = true;
            open.admission.end_probe();
            if !self.can_restart {
                self.request = None;
            }
        }
        Some(event)
    }

    /// Arranges the next attempt, or returns the error that ends the call.
    fn recover(&mut self, mut error: ProviderError) -> Result<(), ProviderError> {
        let target =
            Arc::clone(self.targets.front().expect("a call has a target until it is over"));
        self.providers.redact(&target, &mut error);
        match self.open.take() {
            Some(mut open) => {
                if error.is_targets_fault() {
                    open.admission.fail();
                }
                self.attempts.push(open.told(error.word(), Some(error.to_string())));
            }
            // It was spared the request.
            None => self.attempts.push(Attempt {
                provider: target.provider.clone(),
                model: target.model.clone(),
                outcome: error.word().to_owned(),
                detail: Some(error.to_string()),
                ms: 0,
                usage: None,
            }),
        }
        let remedy = error.remedy();
        let is_shown = self.has_content && !self.can_restart;
        if !is_shown && self.arrange(remedy) {
            self.has_content = false;
            let is_first = self.first_error.as_ref().is_none_or(|(first, _)| *first == target);
            if is_first && !matches!(error, ProviderError::BreakerOpen { .. }) {
                self.first_error = Some((target, error));
            }
            return Ok(());
        }
        self.is_over = true;
        self.request = None;
        // A stand-in that cannot stand in hides nothing: what it was needed for is told.
        let first =
            self.first_error.take().filter(|(first, _)| *first != target && error.is_unfit());
        Err(first.map_or(error, |(_, error)| error))
    }

    /// Whether there is a next attempt, and which. Each target behind the present one keeps a request.
    fn arrange(&mut self, remedy: Remedy) -> bool {
        let behind = u32::try_from(self.targets.len()).unwrap_or(u32::MAX) - 1;
        if self.requests_left == 0 {
            return false;
        }
        if let Remedy::Again { after } = remedy
            && self.requests_left > behind
        {
            let due = Instant::now() + after.unwrap_or_else(|| backoff(self.retries_here));
            if due <= self.began + self.providers.retry_settings().budget {
                self.retries_here += 1;
                self.due = due;
                return true;
            }
        }
        let present = self.targets.front().cloned();
        let fits = |target: &Target| match remedy {
            Remedy::Again { .. } | Remedy::OtherTarget => true,
            Remedy::LargerContext => {
                present.as_ref().is_some_and(|present| target.has_larger_context_than(present))
            }
            Remedy::None => false,
        };
        let Some(next) = self.targets.iter().skip(1).position(|target| fits(target)) else {
            return false;
        };
        self.targets.drain(..=next);
        self.retries_here = 0;
        self.due = Instant::now();
        true
    }
}

impl OpenAttempt {
    fn told(self, outcome: &str, detail: Option<String>) -> Attempt {
        Attempt {
            provider: self.target.provider.clone(),
            model: self.target.model.clone(),
            usage: self.usage.filter(|_| outcome != "ok"),
            outcome: outcome.to_owned(),
            detail,
            ms: self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
        }
    }
}

/// Twice as long each time, and never the same for all who wait.
fn backoff(retries: u32) -> Duration {
    let full = FIRST_BACKOFF.saturating_mul(1 << retries.min(16)).min(LONGEST_BACKOFF);
    full.mul_f64(0.8 + 0.4 * random_unit())
}
