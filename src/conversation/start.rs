//! From a request to a run under way.

use std::mem;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::error::ConversationError;
use super::execution::Execution;
use super::figures::RunClock;
use super::funds::Funds;
use super::handle::RunHandle;
use super::idempotency::Idempotency;
use super::live_run::LiveRun;
use super::places::Place;
use super::preparation::Prepared;
use super::records::RecordedRun;
use super::spans;
use super::stored::{Exchange, InConversation, Joined};
use super::turn::OpenTurn;
use super::{Conversations, Registration, Run, RunStatus, Warning};
use crate::chat::{Message, Parameter, Protocol, Usage};
use crate::dispatch::{AgentRef, Candidates, Decision, Judging};
use crate::prompt::{self, PromptInput};
use crate::provider::{CallMode, ResolvedModel};

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub agent: Option<String>,
    pub candidates: Candidates,
    /// The only agents that the caller's key permits; `None` means all.
    pub permitted: Option<Vec<String>>,
    pub model: Option<String>,
    /// Of a stored conversation, what comes behind it.
    pub prompt: PromptInput,
    pub conversation: InConversation,
    /// Whether the default agent stands in where none fits, whatever `on_none` says: clients of faces know no other
    /// outcome than an answer.
    pub needs_answer: bool,
    /// Whether the caller is shown the answer while it is written.
    pub is_streaming: bool,
    /// Whether the run outlives its caller.
    pub is_background: bool,
    pub idempotency: Option<Idempotency>,
    pub metadata: Option<Value>,
    /// There if the run can be found again as a response: see [`Run`].
    pub asked_as_response: Option<Value>,
    /// The caller's key.
    pub key_id: Uuid,
}

/// What came of a request for a run.
#[derive(Debug)]
pub enum StartedRun {
    New(RunHandle),
    /// The run that the same request has made before, and that has ended.
    Repeated(Box<Run>),
}

/// What a run would send.
#[derive(Debug)]
pub struct PromptPreview {
    pub agent: AgentRef,
    pub dispatch_id: Uuid,
    pub model: ResolvedModel,
    /// The provider's own request body.
    pub request: Value,
    /// What was asked for and is left out of it.
    pub dropped_parameters: Vec<Parameter>,
    pub estimated_tokens: usize,
    pub warnings: Vec<Warning>,
}

/// What a run is made under, whichever agent answers.
struct Terms {
    key_id: Uuid,
    is_background: bool,
    /// Who is shown nothing before the end sees nothing of an answer that begins anew.
    is_held_back: bool,
    names_model: bool,
    /// The protocol that the caller speaks, unless it is the native one.
    face: Option<Protocol>,
    metadata: Option<Value>,
    asked_as_response: Option<Value>,
    idempotency: Option<Idempotency>,
}

impl Terms {
    /// Takes out of a request what its preparation does not need.
    fn take(new: &mut NewRun) -> Self {
        Self {
            key_id: new.key_id,
            is_background: new.is_background,
            is_held_back: !new.is_streaming && !new.is_background,
            names_model: new.model.is_some(),
            face: new.prompt.inbound.as_ref().map(|inbound| inbound.protocol),
            metadata: new.metadata.take(),
            asked_as_response: new.asked_as_response.take(),
            idempotency: new.idempotency.take(),
        }
    }

    /// The run that becomes of the request, with all that is told of it so far.
    fn live_run(&mut self, id: Uuid, status: RunStatus, prepared: &mut Prepared) -> Arc<LiveRun> {
        let Prepared { decision, agent, model, .. } = &*prepared;
        let picked = Run::picked(id, decision, agent, model);
        let (sha256, idempotency) = (agent.sha256.clone(), self.idempotency.take());
        let recorded = RecordedRun::new(picked.agent.clone(), sha256, decision.id, idempotency);
        let run = Run {
            status,
            warnings: mem::take(&mut prepared.warnings),
            metadata: self.metadata.take(),
            asked_as_response: self.asked_as_response.take(),
            ..picked
        };
        LiveRun::new(run, recorded, self.key_id, self.is_background)
    }
}

impl Conversations {
    /// Picks an agent and lets it answer. Dropping the handle cancels the run, unless it is a background run.
    pub async fn start_run(&self, new: NewRun) -> Result<StartedRun, ConversationError> {
        // Boxed: the future of a handler is moved several times before it begins, and this would be most of it.
        Box::pin(self.begin_run(new)).await
    }

    async fn begin_run(&self, mut new: NewRun) -> Result<StartedRun, ConversationError> {
        if self.inner.closing.is_cancelled() {
            return Err(ConversationError::Stopping);
        }
        if let Some(run) = self.find_earlier(&new).await? {
            return Ok(StartedRun::Repeated(Box::new(run)));
        }
        let id = Uuid::now_v7();
        let joined = self.join(new.conversation, id, new.key_id).await?;
        // The run that was waited for may have been the same request's.
        if joined.may_have_waited()
            && let Some(run) = self.find_earlier(&new).await?
        {
            return Ok(StartedRun::Repeated(Box::new(run)));
        }
        let asked = joined.keeping.is_some().then(|| new.prompt.messages.clone());
        // Behind the conversation: who has a place must not wait for who waits for one.
        let place = self.inner.places.take(new.is_background).ok_or(ConversationError::Busy)?;
        let hold = self.inner.limits.begin_run(new.key_id)?;
        let (clock, span) = (RunClock::start(), spans::begin());
        let mut terms = Terms::take(&mut new);
        let mut prepared = span
            .around(self.prepare(new, joined.before, Judging::IfClose))
            .await
            .inspect_err(|_| span.fail("not_begun"))?;
        let funds = Funds::reserve(hold, &prepared.request, &prepared.model.targets)
            .inspect_err(|_| span.fail("not_begun"))?;
        let status = if place.is_waiting() { RunStatus::Queued } else { RunStatus::Picked };
        let live = terms.live_run(id, status, &mut prepared);
        if let Some(run) = self.claim_key(&live).await? {
            return Ok(StartedRun::Repeated(Box::new(run)));
        }
        if terms.is_background {
            self.note(&live);
        }
        let exchange = self.begin_exchange(id, joined, asked, &prepared);
        let Prepared { decision, model, request, tools, beginning, .. } = prepared;
        let is_turn_held_back = terms.is_held_back || tools.is_tool_outstanding();
        let mode = CallMode {
            can_restart: is_turn_held_back,
            can_go_on: tools.is_on(),
            face: terms.face,
            ..CallMode::default()
        };
        // Boxed: it is moved several times before it begins.
        let execution = Box::new(Execution {
            conversations: self.clone(),
            live,
            call: self.inner.providers.call(&model.targets, request, mode),
            tools,
            funds,
            clock,
            span,
            turn: OpenTurn::begin(false, is_turn_held_back),
            is_held_back: terms.is_held_back,
            names_model: terms.names_model,
            face: terms.face,
            usage: Usage::default(),
            exchange,
            beginning,
        });
        let handle = self.set_off(execution, place, decision);
        if terms.is_background {
            // Its caller is told of it at once.
            self.inner.ledger.secure().await;
        }
        Ok(StartedRun::New(handle))
    }

    /// What a run adds to its conversation, if it keeps that: first what is asked.
    fn begin_exchange(
        &self,
        run_id: Uuid,
        joined: Joined,
        asked: Option<Vec<Message>>,
        prepared: &Prepared,
    ) -> Option<Exchange> {
        let conversation_id = joined.before?.conversation_id;
        let keeping = joined.keeping?;
        let full_name = prepared.model.first().full_name();
        let asked =
            asked?.into_iter().map(|message| message.with_thoughts_of(&full_name)).collect();
        let pool = self.inner.claims.pool.clone();
        let agent = prepared.agent.name().as_str();
        Some(Exchange::begin(pool, run_id, keeping, conversation_id, agent, asked))
    }

    /// Has a run go on: by itself in the background, or else carried along by whoever waits for it.
    fn set_off(&self, execution: Box<Execution>, place: Place, decision: Decision) -> RunHandle {
        let live = Arc::clone(&execution.live);
        let handle = RunHandle::new(Arc::clone(&live), decision.roster_revision);
        let registration = Registration::new(self, &live);
        let rest = Box::pin(self.inner.tasks.track_future(async move {
            let span = Arc::clone(&execution.span);
            span.around(execution.run(place, decision)).await;
            drop(registration);
        }));
        if live.is_background {
            tokio::spawn(rest);
        } else {
            handle.carry(rest);
        }
        handle
    }

    /// Builds what a run would send, and sends nothing.
    pub async fn preview(&self, new: NewRun) -> Result<PromptPreview, ConversationError> {
        // The judge would be sent something.
        let before = self.find_before(new.conversation).await?;
        let span = spans::begin_preview();
        let prepared = span
            .around(self.prepare(new, before, Judging::Never))
            .await
            .inspect_err(|_| span.fail("not_begun"))?;
        self.inner.ledger.try_secure().await?;
        let (request, dropped_parameters) =
            self.inner.providers.encode(prepared.model.first(), &prepared.request);
        let mut warnings = prepared.warnings;
        warnings.extend(dropped_parameters.iter().copied().map(Warning::ParameterDropped));
        Ok(PromptPreview {
            agent: AgentRef::to(&prepared.agent),
            dispatch_id: prepared.decision.id,
            estimated_tokens: prompt::estimate_tokens(&prepared.request),
            request,
            dropped_parameters,
            warnings,
            model: prepared.model,
        })
    }
}
