//! What must be right before a run begins: who answers, on which model, with which tools, and what the model is given.

use std::collections::HashSet;
use std::sync::Arc;

use super::NewRun;
use super::error::ConversationError;
use super::required::Required;
use super::stored::{self, Before, History};
use super::tool_loop::ToolLoop;
use super::waiting::Beginning;
use super::{Conversations, Warning};
use crate::chat::{ChatRequest, Parameter, Tool, ToolChoice};
use crate::dispatch::{Decision, DispatchRequest, Judging, OnAmbiguous, Outcome};
use crate::prompt::{self, PromptInput};
use crate::provider::{ResolutionRule, ResolvedModel};
use crate::registry::Agent;
use crate::telemetry::traces;
use crate::tools::{Offer, ServerTool, Wanted};

/// A run that is decided on but not begun.
pub(super) struct Prepared {
    pub decision: Decision,
    pub agent: Arc<Agent>,
    pub model: ResolvedModel,
    pub request: ChatRequest,
    pub tools: ToolLoop,
    /// See [`Execution`](super::execution::Execution).
    pub beginning: Option<Beginning>,
    pub warnings: Vec<Warning>,
}

impl Conversations {
    pub(super) async fn prepare(
        &self,
        new: NewRun,
        before: Option<Before>,
        judging: Judging,
    ) -> Result<Prepared, ConversationError> {
        let history = self.read_history(before, &new.prompt.messages).await?;
        // An unknown model is refused before anything is put on record.
        if let Some(model) = &new.model {
            self.check_model(model)?;
        }
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
        let waiting_agents = &self.inner.waiting_agents;
        let may_call = new.prompt.has_tools() && history.is_none();
        let beginning = may_call.then(|| waiting_agents.beginning(new.key_id, &dispatch.input));
        dispatch.waiting_agent =
            beginning.and_then(|beginning| waiting_agents.find(beginning, &new.prompt.messages));
        let decision = self.inner.dispatcher.pick(dispatch, new.key_id).await?;
        let Some(agent) = self.agent_to_run(&decision) else {
            self.inner.ledger.try_secure().await?;
            return Err(ConversationError::NoMatchingAgent(Box::new(decision)));
        };
        let requested = new.model.as_deref().or(agent.definition.model.as_deref());
        let model = self.inner.providers.catalog().resolve(requested);
        let prepared = self.equip(decision, agent, model, new.prompt, history)?;
        Ok(Prepared { beginning, ..prepared })
    }

    /// The agent that was picked, unless the operator wants none to run that is not clearly the best.
    fn agent_to_run(&self, decision: &Decision) -> Option<Arc<Agent>> {
        let is_refused = decision.outcome == Outcome::Ambiguous
            && self.inner.dispatcher.settings().on_ambiguous == OnAmbiguous::Refuse;
        decision.picked.clone().filter(|_| !is_refused)
    }

    /// Gives an agent its tools, and its model the request.
    fn equip(
        &self,
        decision: Decision,
        agent: Arc<Agent>,
        model: ResolvedModel,
        mut prompt: PromptInput,
        history: Option<History>,
    ) -> Result<Prepared, ConversationError> {
        let offer = self.inner.tool_servers.offer(&Wanted::from(&*agent.definition));
        let callers = callers_tools(&prompt, &offer)?;
        let is_stored = history.as_ref().is_some_and(|history| !history.is_empty());
        let mut is_shortened = history.as_ref().is_some_and(|history| history.is_cut);
        if let Some(history) = history {
            put_before(&mut prompt, history, &agent);
        }
        let required = self.required(&agent, &offer, &prompt);
        let mut warnings = warnings(&model, &offer);
        warnings.extend(self.dropped_tools(&model, &prompt).map(Warning::ToolDropped));
        let span = traces::begin("prompt");
        let must_call = prompt.parameters.forces_call();
        let mut request = prompt::compose(&agent.definition, offered_tools(&offer), prompt);
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
        Ok(Prepared { decision, agent, model, request, tools, beginning: None, warnings })
    }

    /// The tools that only the vendor of the caller's protocol has, if another one is to answer.
    fn dropped_tools(
        &self,
        model: &ResolvedModel,
        prompt: &PromptInput,
    ) -> impl Iterator<Item = String> {
        let inbound = prompt.inbound.as_deref();
        let others =
            inbound.filter(|inbound| !self.inner.providers.speaks(model.first(), inbound.protocol));
        others.into_iter().flat_map(|inbound| inbound.own_tools.clone())
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
}

/// Puts what was said before in front of what is asked now.
fn put_before(prompt: &mut PromptInput, history: History, agent: &Agent) {
    let shown = history.shown_to(agent.name().as_str(), &prompt.messages);
    if let Some(inbound) = &mut prompt.inbound {
        Arc::make_mut(inbound).first_message = shown.len();
    }
    prompt.messages.splice(..0, shown);
}

/// What the caller should know of the model and of the tools.
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
