//! From a request to a run under way: what must be right before it begins.

use std::collections::HashSet;
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
use super::records::RecordedRun;
use super::required::Required;
use super::spans;
use super::stored::{self, Before, Exchange, InConversation};
use super::tool_loop::ToolLoop;
use super::turn::OpenTurn;
use super::{Conversations, Registration, Run, RunStatus, Warning};
use crate::chat::{ChatRequest, Message, Parameter, Tool, ToolChoice, Usage};
use crate::dispatch::{
    AgentRef, Candidates, Decision, DispatchRequest, Judging, OnAmbiguous, Outcome,
};
use crate::prompt::{self, PromptInput};
use crate::provider::{CallMode, ResolutionRule, ResolvedModel};
use crate::registry::Agent;
use crate::telemetry::traces;
use crate::tools::{Offer, ServerTool, Wanted};

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

/// The name that asks for a pick where protocols have a model's.
pub const AUTO: &str = "auto";

/// Who is to answer: what is `None` is left to the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressee {
    pub agent: Option<String>,
    pub model: Option<String>,
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

/// A run that is decided on but not begun.
struct Prepared {
    decision: Decision,
    agent: Arc<Agent>,
    model: ResolvedModel,
    request: ChatRequest,
    tools: ToolLoop,
    warnings: Vec<Warning>,
}

impl Conversations {
    /// Picks an agent and lets it answer. Dropping the handle cancels the run, unless it is a background run.
    pub async fn start_run(&self, new: NewRun) -> Result<StartedRun, ConversationError> {
        // Boxed: the future of a handler is moved several times before it begins, and this would be most of it.
        Box::pin(self.begin_run(new)).await
    }

    async fn begin_run(&self, new: NewRun) -> Result<StartedRun, ConversationError> {
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
        let (key_id, is_background) = (new.key_id, new.is_background);
        let (metadata, idempotency) = (new.metadata.clone(), new.idempotency.clone());
        let asked_as_response = new.asked_as_response.clone();
        let face = new.prompt.inbound.as_ref().map(|inbound| inbound.protocol);
        // Who is shown nothing before the end sees nothing of an answer that begins anew.
        let is_held_back = !new.is_streaming && !is_background;
        let names_model = new.model.is_some();
        let Prepared { decision, agent, model, request, tools, warnings } = span
            .around(self.prepare(new, joined.before, Judging::IfClose))
            .await
            .inspect_err(|_| span.fail("not_begun"))?;
        let funds = Funds::reserve(hold, &request, &model.targets)
            .inspect_err(|_| span.fail("not_begun"))?;
        let status = if place.is_waiting() { RunStatus::Queued } else { RunStatus::Picked };
        let run = Run {
            status,
            warnings,
            metadata,
            asked_as_response,
            ..Run::picked(id, &decision, &agent, &model)
        };
        let sha256 = agent.sha256.clone();
        let recorded = RecordedRun::new(run.agent.clone(), sha256, decision.id, idempotency);
        let live = LiveRun::new(run, recorded, key_id, is_background);
        if let Some(run) = self.claim_key(&live).await? {
            return Ok(StartedRun::Repeated(Box::new(run)));
        }
        if is_background {
            self.note(&live);
        }
        let handle = RunHandle::new(Arc::clone(&live), decision.roster_revision);
        let registration = Registration::new(self, &live);
        let is_turn_held_back = is_held_back || tools.is_tool_outstanding();
        let mode = CallMode { can_restart: is_turn_held_back, can_go_on: tools.is_on(), face };
        let conversation_id = joined.before.map(|before| before.conversation_id);
        let exchange = joined.keeping.zip(conversation_id).zip(asked).map(|(kept, asked)| {
            let pool = self.inner.claims.pool.clone();
            let full_name = model.first().full_name();
            let asked: Vec<Message> =
                asked.into_iter().map(|message| message.with_thoughts_of(&full_name)).collect();
            Exchange::begin(pool, id, kept, agent.name().as_str(), asked)
        });
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
            is_held_back,
            names_model,
            face,
            usage: Usage::default(),
            exchange,
        });
        let rest = Box::pin(self.inner.tasks.track_future(async move {
            let span = Arc::clone(&execution.span);
            span.around(execution.run(place, decision)).await;
            drop(registration);
        }));
        if is_background {
            tokio::spawn(rest);
        } else {
            handle.carry(rest);
        }
        if is_background {
            // Its caller is told of it at once.
            self.inner.ledger.secure().await;
        }
        Ok(StartedRun::New(handle))
    }

    /// Builds what a run would send, and sends nothing.
    pub async fn preview(&self, new: NewRun) -> Result<PromptPreview, ConversationError> {
        // The judge would be sent something.
        let before = self.find_before(new.conversation).await?;
        let prepared = self.prepare(new, before, Judging::Never).await?;
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

    async fn prepare(
        &self,
        mut new: NewRun,
        before: Option<Before>,
        judging: Judging,
    ) -> Result<Prepared, ConversationError> {
        let history = self.read_history(before, &new.prompt.messages).await?;
        let mut dispatch = DispatchRequest {
            agent: new.agent,
            candidates: new.candidates,
            permitted: new.permitted,
            top_k: None,
            judging,
            falls_to_default: new.needs_answer,
            ..DispatchRequest::default()
        };
        stored::complete(&mut dispatch, &new.prompt.messages, history.as_ref());
        // An unknown model is refused before anything is put on record.
        if let Some(model) = new.model.as_deref().filter(|model| !self.can_resolve(model)) {
            return Err(ConversationError::ModelNotFound(model.to_owned()));
        }
        let decision = self.inner.dispatcher.pick(dispatch, new.key_id).await?;
        let is_refused = decision.outcome == Outcome::Ambiguous
            && self.inner.dispatcher.settings().on_ambiguous == OnAmbiguous::Refuse;
        let Some(agent) = decision.picked.clone().filter(|_| !is_refused) else {
            self.inner.ledger.try_secure().await?;
            return Err(ConversationError::NoMatchingAgent(Box::new(decision)));
        };
        let requested = new.model.as_deref().or(agent.definition.model.as_deref());
        let model = self.inner.providers.catalog().resolve(requested);
        let offer = self.inner.tool_servers.offer(&Wanted::from(&*agent.definition));
        let callers = callers_tools(&new.prompt, &offer)?;
        let mut is_shortened = history.as_ref().is_some_and(|history| history.is_cut);
        let is_stored = history.as_ref().is_some_and(|history| !history.is_empty());
        if let Some(history) = history {
            let shown = history.shown_to(agent.name().as_str(), &new.prompt.messages);
            if let Some(inbound) = &mut new.prompt.inbound {
                Arc::make_mut(inbound).first_message = shown.len();
            }
            new.prompt.messages.splice(..0, shown);
        }
        let required = self.required(&agent, &offer, &new.prompt);
        let mut warnings = warnings(&model, &offer);
        let span = traces::begin("prompt");
        let must_call = new.prompt.parameters.forces_call();
        let mut request = prompt::compose(&agent.definition, offered_tools(&offer), new.prompt);
        if must_call && !request.parameters.forces_call() {
            warnings.push(Warning::ParameterDropped(Parameter::ToolChoice));
        }
        if is_stored {
            let assumed = self.inner.settings.stored.context_tokens;
            is_shortened |=
                prompt::shorten(&mut request, model.first().context_tokens.unwrap_or(assumed));
        }
        drop(span);
        if is_shortened {
            warnings.push(Warning::ConversationShortened);
        }
        let servers = self.inner.tool_servers.clone();
        let max_turns = agent.definition.max_turns;
        let tools = ToolLoop::new(servers, offer, callers, required, max_turns);
        Ok(Prepared { decision, agent, model, request, tools, warnings })
    }

    /// What the definition and the operator require of an agent. A caller who forbids every call has it skipped.
    fn required(&self, agent: &Agent, offer: &Offer, prompt: &PromptInput) -> Required {
        let of_operator = self.inner.settings.required_tools.get(agent.name().as_str());
        let of_definition = agent.definition.required_tools.iter().chain(&offer.commanded);
        let wanted = of_definition.chain(of_operator.into_iter().flatten()).cloned();
        let is_forbidden = prompt.parameters.tool_choice == Some(ToolChoice::None);
        let nothing = Offer::default();
        let offer = if is_forbidden { &nothing } else { offer };
        Required::new(wanted.collect(), offer, &prompt.messages)
    }

    /// Who is meant by the `model` of a request in a provider's protocol: nobody in particular, an agent, or whoever fits
    /// on a model of that name.
    pub fn find_addressee(&self, name: &str) -> Result<Addressee, ConversationError> {
        if name == AUTO {
            return Ok(Addressee::default());
        }
        if self.inner.dispatcher.knows_agent(name) {
            return Ok(Addressee { agent: Some(name.to_owned()), model: None });
        }
        // Natively no model at all means the default one; these protocols must have it.
        if name.is_empty() || !self.can_resolve(name) {
            return Err(ConversationError::ModelNotFound(name.to_owned()));
        }
        Ok(Addressee { agent: None, model: Some(name.to_owned()) })
    }

    fn can_resolve(&self, model: &str) -> bool {
        let catalog = self.inner.providers.catalog();
        catalog.knows(model) || catalog.resolve(Some(model)).rule != ResolutionRule::Fallback
    }
}

fn warnings(model: &ResolvedModel, offer: &Offer) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if model.rule == ResolutionRule::Fallback {
        warnings.push(Warning::ModelFallback);
    }
    if model.first().is_offline() {
        warnings.push(Warning::NoModelConfigured);
    }
    warnings.extend(offer.missing.iter().cloned().map(Warning::ToolServerUnavailable));
    warnings
}

/// The names of the caller's tools. None may be a server's: a call must have one owner.
fn callers_tools(
    prompt: &PromptInput,
    offer: &Offer,
) -> Result<HashSet<String>, ConversationError> {
    let tools = &prompt.tools;
    let is_servers = |tool: &Tool| offer.tools.iter().any(|offered| offered.name == tool.name);
    if let Some(index) = tools.iter().position(is_servers) {
        let name = tools[index].name.clone();
        return Err(ConversationError::ToolNameTaken { index, name });
    }
    let own = prompt.inbound.iter().flat_map(|inbound| &inbound.own_tools);
    Ok(tools.iter().map(|tool| &tool.name).chain(own).cloned().collect())
}

fn offered_tools(offer: &Offer) -> Vec<Tool> {
    let tool = |tool: &Arc<ServerTool>| Tool {
        name: tool.name.clone(),
        description: tool.description.clone(),
        parameters: tool.parameters.clone(),
        strict: None,
        cache_control: None,
    };
    offer.tools.iter().map(tool).collect()
}
