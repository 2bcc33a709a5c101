//! The model calls of one run, one behind the other, each over however many requests it takes: over several targets,
//! with retries, until an answer begins.
//!
//! What the caller has been shown is never asked for again: after the first content that is told, an error is the end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Attempt, AttemptOutcome};
use super::catalog::full_name;
use super::error::Remedy;
use super::open_attempt::OpenAttempt;
use super::random::random_unit;
use super::request_usage::{RequestUsage, answer_bytes};
use super::spans;
use super::{ProviderError, Providers, Target};
use crate::chat::{
    ChatEvent, ChatRequest, Message, Parameter, Parameters, Protocol, SealedThought,
};
use crate::telemetry::metrics;

/// How long the first retry on a target waits if the provider does not say; each further one waits twice as long.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// How many requests a call may take, and for how long it may try again.
#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// Requests of one call in all, over all targets. A call that goes on may send one more for each further turn.
    pub attempts: u32,
    /// No retry on the same target begins later than this after the turn began.
    pub budget: Duration,
}

/// How a call is used.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallMode {
    /// Whether nobody sees the answer before it is whole, so that one which was cut may be asked for again.
    pub can_restart: bool,
    /// Whether the model may be asked again with more messages, see [`ModelCall::go_on`].
    pub can_go_on: bool,
    /// When the answer is of no use any more: no retry waits as long.
    pub deadline: Option<Instant>,
    /// The protocol of the face that tells the answer, if one does.
    pub face: Option<Protocol>,
}

/// A model call under way. Dropping it closes the provider's connection.
#[derive(Debug)]
pub struct ModelCall {
    providers: Providers,
    /// Given up once no further request can follow.
    request: Option<ChatRequest>,
    /// As they were asked for; an attempt leaves out what its model refuses.
    parameters: Parameters,
    /// All that may be asked.
    all_targets: Vec<Arc<Target>>,
    /// Those not tried yet, behind the present one.
    targets: VecDeque<Arc<Target>>,
    mode: CallMode,
    began: Instant,
    /// When the next attempt is due, while none is open.
    due: Instant,
    open: Option<OpenAttempt>,
    attempts: Vec<Attempt>,
    request_usages: Vec<RequestUsage>,
    requests_left: u32,
    retries_here: u32,
    has_content: bool,
    /// Whether the caller has been told content that cannot be taken back.
    is_shown: bool,
    is_over: bool,
    dropped: Vec<Parameter>,
    /// What went wrong with the target that was tried first.
    first_error: Option<(Arc<Target>, ProviderError)>,
}

impl ModelCall {
    pub(super) fn new(
        providers: Providers,
        targets: &[Arc<Target>],
        request: ChatRequest,
        mode: CallMode,
    ) -> Self {
        let now = Instant::now();
        Self {
            requests_left: providers.retry_settings().attempts.max(1),
            providers,
            parameters: request.parameters.clone(),
            request: Some(request),
            all_targets: targets.to_vec(),
            targets: targets.iter().cloned().collect(),
            mode,
            began: now,
            due: now,
            open: None,
            attempts: Vec::new(),
            request_usages: Vec::new(),
            retries_here: 0,
            has_content: false,
            is_shown: false,
            is_over: false,
            dropped: Vec::new(),
            first_error: None,
        }
    }

    /// The next event; `None` after a whole answer.
    ///
    /// Each attempt that is accepted begins with a [`ChatEvent::Model`], and models are named `provider/model`. Each that
    /// fails ends with a [`ChatEvent::Restarted`], if another one follows.
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
            let result = result.and_then(|event| match event {
                Some(event) => self.take(event).map(Some),
                None => Ok(None),
            });
            match result {
                Ok(Some(Some(event))) => return Ok(Some(event)),
                // It says nothing.
                Ok(Some(None)) => {}
                Ok(None) => {
                    if let Some(open) = &mut self.open {
                        open.admission.succeed();
                    }
                    self.finish(AttemptOutcome::Ok);
                    return Ok(None);
                }
                Err(error) => {
                    self.recover(error)?;
                    return Ok(Some(ChatEvent::Restarted));
                }
            }
        }
    }

    /// Asks again, behind a whole answer, with what has come of it. The target that answered is asked first: thinking
    /// and signatures are its own. The retries that are left are the same as before.
    ///
    /// # Panics
    /// If the call was made for one answer alone.
    pub fn go_on(&mut self, messages: Vec<Message>, can_restart: bool) {
        let request = self.request.as_mut().expect("a call that can go on keeps its request");
        request.messages.extend(messages);
        // A model that must call a tool every time never answers.
        self.parameters.remove(Parameter::ToolChoice);
        let present = self.targets.front().cloned();
        let others = self.all_targets.iter().filter(|target| Some(*target) != present.as_ref());
        self.targets = present.iter().chain(others).cloned().collect();
        self.mode.can_restart = can_restart;
        self.requests_left += 1;
        (self.began, self.due) = (Instant::now(), Instant::now());
        (self.is_over, self.has_content, self.is_shown) = (false, false, false);
        (self.retries_here, self.first_error) = (0, None);
    }

    /// Ends the call for a reason of the caller's, and closes the provider's connection.
    pub fn finish(&mut self, outcome: AttemptOutcome) {
        self.is_over = true;
        let is_ok = outcome == AttemptOutcome::Ok;
        self.request.take_if(|_| !is_ok || !self.mode.can_go_on);
        if let Some(open) = self.open.take() {
            self.request_usages.extend(open.request_usage(is_ok));
            self.note(open.told(outcome, None));
        }
    }

    /// Ends the call where it would ask again, and returns the reason for which it would have.
    pub fn give_up(&mut self) -> ProviderError {
        self.is_over = true;
        self.request = None;
        self.first_error.take().map_or(ProviderError::Truncated, |(_, error)| error)
    }

    /// The requests so far, the one under way aside.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// What the requests that are over have used.
    pub fn request_usages(&self) -> &[RequestUsage] {
        &self.request_usages
    }

    /// The request, as long as it may be sent again.
    pub fn request(&self) -> Option<&ChatRequest> {
        self.request.as_ref()
    }

    /// Parameters that were left out because the model or the protocol does not take them.
    pub fn dropped_parameters(&self) -> &[Parameter] {
        &self.dropped
    }

    /// Sends the request to the present target, when it is time.
    async fn begin(&mut self) -> Result<ChatEvent, ProviderError> {
        // A sleep takes until the next millisecond, also one that is over.
        if self.due > Instant::now() {
            tokio::time::sleep_until(self.due).await;
        }
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
            model: target.model.clone(),
            usage: None,
            answer_bytes: 0,
            admission,
            span: spans::begin(&target, &request.parameters),
            stream: None,
        });
        let opening = open.span.around(self.providers.open(&target, request));
        open.stream = Some(opening.await?);
        Ok(ChatEvent::Model(target.model.clone()))
    }

    fn take(&mut self, event: ChatEvent) -> Result<Option<ChatEvent>, ProviderError> {
        let open = self.open.as_mut().expect("events come from an open attempt");
        let is_content = event.is_content();
        let is_told = is_content && event.is_for(self.mode.face);
        open.answer_bytes += answer_bytes(&event);
        let event = match event {
            ChatEvent::Model(model) if model.is_empty() => return Ok(None),
            // Only a model that is asked again can be told what is wrong with it.
            ChatEvent::BrokenCall(broken) if !self.mode.can_go_on => {
                let reason = format!("arguments of a tool call: {}", broken.reason);
                return Err(ProviderError::Malformed(reason));
            }
            ChatEvent::Thought(thought) => {
                let model = open.target.full_name();
                ChatEvent::Thought(SealedThought { model, ..thought })
            }
            ChatEvent::ToolCall(mut call) => {
                if let Some(further) = &mut call.further {
                    further.model = open.target.full_name();
                }
                ChatEvent::ToolCall(call)
            }
            ChatEvent::Model(model) => {
                open.model = model;
                ChatEvent::Model(full_name(&open.target.provider, &open.model))
            }
            ChatEvent::Usage(usage) => {
                let usage = usage.bounded();
                open.usage = Some(usage);
                ChatEvent::Usage(usage)
            }
            ChatEvent::Finished(reason) => {
                spans::tell_finish(&open.span, reason);
                event
            }
            event => event,
        };
        if is_content && !self.has_content {
            self.has_content = true;
            open.admission.end_probe();
        }
        if is_told && !self.mode.can_restart {
            self.is_shown = true;
            self.request.take_if(|_| !self.mode.can_go_on);
        }
        Ok(Some(event))
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
                self.request_usages.extend(open.request_usage(false));
                self.note(open.told(error.outcome(), Some(error.to_string())));
            }
            // It was spared the request.
            None => self.note(Attempt {
                provider: target.provider.clone(),
                model: target.model.clone(),
                outcome: error.outcome(),
                detail: Some(error.to_string()),
                ms: 0,
                usage: None,
            }),
        }
        let remedy = error.remedy();
        if !self.is_shown && self.arrange(remedy) {
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

    fn note(&mut self, attempt: Attempt) {
        let model = self.providers.catalog().label(&attempt.provider, &attempt.model);
        let took = Duration::from_millis(attempt.ms);
        let outcome = attempt.outcome.as_str();
        metrics::provider_answered(&attempt.provider, &model, outcome, took);
        self.attempts.push(attempt);
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
            let is_in_budget = due <= self.began + self.providers.retry_settings().budget;
            if is_in_budget && self.mode.deadline.is_none_or(|deadline| due < deadline) {
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

/// Twice as long each time, and never the same for all who wait.
fn backoff(retries: u32) -> Duration {
    let full = FIRST_BACKOFF.saturating_mul(1 << retries.min(16)).min(LONGEST_BACKOFF);
    full.mul_f64(0.8 + 0.4 * random_unit())
}
