//! The last stage: a language model decides between the first few candidates, where the local stage is not sure.
//!
//! It is asked once for a pick and within its own time. Whatever goes wrong leaves the local decision as it was.

mod answer;
mod memory;
mod question;
mod tally;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

pub use tally::JudgeReport;

use super::decision::{AgentRef, Decision, Outcome, Strategy};
use super::score::round;
use super::{DispatchRequest, Index, OnAmbiguous, OnNone, Settings, local};
use crate::chat::{ChatEvent, ChatRequest, FinishReason, Money, Usage};
use crate::provider::{
    Attempt, AttemptOutcome, CallMode, ModelCall, Providers, ResolvedModel, Target,
};
use crate::registry::Agent;
use answer::Verdict;
use memory::{Memory, Said};
use tally::Tally;

/// Most candidates that the judge is shown. The roster never goes to a model whole.
pub(super) const MAX_SHORTLIST: usize = 8;

/// How likely the judge is right. Where it agrees with the local stage, both would have to be wrong.
const JUDGE_IS_RIGHT: f64 = 0.9;

/// No pick is surer, named ones aside.
const MOST_CONFIDENCE: f64 = 0.99;

/// Longest answer that is read. The schema asks for less than a hundred bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// Who judges, how long it may take, and when it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgeSettings {
    /// An alias, a model's id, or `provider/model`.
    pub model: String,
    pub timeout: Duration,
    /// A margin between the first two candidates that is too small to go by.
    pub margin_below: f64,
}

/// Whether a request wants the judge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Judging {
    /// As the settings say.
    #[default]
    IfClose,
    /// Whatever the margin.
    Always,
    Never,
}

/// What came of asking the judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JudgeOutcome {
    /// It picked what the local stage had picked.
    Agreed,
    /// It picked another one, or one where the local stage had picked none.
    Changed,
    /// It says that none of the candidates fits.
    None,
    /// It took too long. The local decision stands.
    TimedOut,
    /// It gave no answer that could be used. The local decision stands.
    Failed,
}

/// How the judge was asked, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Judgement {
    /// The model that was asked last, as `provider/model`.
    pub model: String,
    pub outcome: JudgeOutcome,
    pub ms: u64,
    /// As far as the provider counted them, over all requests that it took.
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// US dollars; `null` if the price is not known, or nothing was counted.
    pub cost_usd: Option<f64>,
}

/// The judge, if one is configured, and the count of what it did.
#[derive(Debug)]
pub(super) struct Judge {
    providers: Providers,
    settings: Option<JudgeSettings>,
    tally: Tally,
    memory: Memory,
}

/// What is put before the judge.
pub(super) struct Case {
    shortlist: Vec<Arc<Agent>>,
    /// The operator's default agent, for the case that none fits.
    stand_in: Option<Arc<Agent>>,
    question: ChatRequest,
}

/// One call to the model, over.
struct Asked {
    verdict: Result<Verdict, JudgeOutcome>,
    judgement: Judgement,
}

impl Judge {
    pub fn new(providers: Providers, settings: Option<JudgeSettings>) -> Self {
        Self { providers, settings, tally: Tally::default(), memory: Memory::default() }
    }

    pub fn report(&self) -> JudgeReport {
        self.tally.report(self.settings.is_some())
    }

    pub fn count_dispatch(&self) {
        self.tally.count_dispatch();
    }

    /// What the judge has to decide of a decision whose ranking is not cut yet, if it is wanted. A conversation that
    /// goes on stays with what the judge said when it began.
    pub fn consider(
        &self,
        index: &Index,
        request: &DispatchRequest,
        settings: &Settings,
        decision: &mut Decision,
    ) -> Option<Case> {
        let judge = self.settings.as_ref().filter(|_| request.judging != Judging::Never)?;
        // A named agent needs no judge.
        if !matches!(decision.strategy, Strategy::Local | Strategy::Sticky | Strategy::Default) {
            return None;
        }
        let stand_in = local::default_agent(index, request, settings);
        if request.is_under_way && self.recall(index, request, stand_in.as_ref(), decision) {
            return None;
        }
        if !is_wanted(judge, request, settings, decision) {
            return None;
        }
        let ranked = decision.ranked.iter().take(MAX_SHORTLIST);
        let shortlist: Vec<Arc<Agent>> = ranked
            .filter(|candidate| candidate.agent != answer::NO_AGENT)
            .filter_map(|candidate| index.find(&candidate.agent).cloned())
            .collect();
        let question = question::compose(&request.input, &shortlist);
        (!shortlist.is_empty()).then_some(Case { shortlist, stand_in, question })
    }

    /// Asks, and makes the decision what the judge says. Dropping the future ends the call.
    pub async fn decide(&self, case: Case, request: &DispatchRequest, decision: &mut Decision) {
        let Some(settings) = &self.settings else { return };
        let Case { shortlist, stand_in, question } = case;
        self.tally.count_asked();
        let Asked { verdict, mut judgement } = self.ask(settings, &shortlist, question).await;
        judgement.outcome = match verdict {
            Ok(verdict) => {
                let agent = verdict.agent(&shortlist);
                let said =
                    agent.map_or(Said::NoAgent, |agent| Said::Agent(agent.name().to_string()));
                self.memory.keep(request, said);
                apply(agent, stand_in.as_ref(), Strategy::Judge, decision)
            }
            Err(outcome) => outcome,
        };
        self.tally.count(&judgement);
        tracing::info!(
            dispatch.id = %decision.id,
            judge.model = %judgement.model,
            judge.outcome = ?judgement.outcome,
            judge.ms = judgement.ms,
            "the judge was asked"
        );
        decision.judge = Some(judgement);
    }

    /// Makes the decision what the judge said when the conversation began, if it is remembered.
    fn recall(
        &self,
        index: &Index,
        request: &DispatchRequest,
        stand_in: Option<&Arc<Agent>>,
        decision: &mut Decision,
    ) -> bool {
        let agent = match self.memory.find(request) {
            None => return false,
            Some(Said::NoAgent) => None,
            Some(Said::Agent(name)) => {
                let is_ranked = decision.ranked.iter().any(|candidate| candidate.agent == name);
                // The roster may have changed since: who is gone cannot go on.
                let Some(agent) = index.find(&name).filter(|_| is_ranked) else { return false };
                Some(agent)
            }
        };
        apply(agent, stand_in, Strategy::Sticky, decision);
        true
    }

    async fn ask(
        &self,
        settings: &JudgeSettings,
        shortlist: &[Arc<Agent>],
        question: ChatRequest,
    ) -> Asked {
        let model = self.providers.catalog().resolve(Some(&settings.model));
        let started = Instant::now();
        if model.first().is_offline() {
            return Asked::new(Err(JudgeOutcome::Failed), &model, &[], None, started);
        }
        // Nobody sees the answer before it is whole, so that a cut one may be asked for again.
        let deadline = tokio::time::Instant::now() + settings.timeout;
        let mode = CallMode { can_restart: true, deadline: Some(deadline), ..CallMode::default() };
        let mut call = self.providers.call(&model.targets, question, mode);
        let mut usage = None;
        let answer = tokio::time::timeout_at(deadline, read_answer(&mut call, &mut usage)).await;
        let verdict = match answer {
            Ok(text) => {
                text.and_then(|text| answer::read(&text, shortlist)).ok_or(JudgeOutcome::Failed)
            }
            Err(_) => Err(JudgeOutcome::TimedOut),
        };
        // The connection first: nobody reads on.
        call.finish(AttemptOutcome::TimedOut);
        Asked::new(verdict, &model, call.attempts(), usage, started)
    }
}

impl Asked {
    /// `usage` is that of the last request, if its answer was whole.
    fn new(
        verdict: Result<Verdict, JudgeOutcome>,
        model: &ResolvedModel,
        attempts: &[Attempt],
        usage: Option<Usage>,
        started: Instant,
    ) -> Self {
        let counted =
            |attempt: &Attempt| attempt.usage.or_else(|| usage.filter(|_| attempt.is_ok()));
        let (mut input_tokens, mut output_tokens) = (0, 0);
        let mut cost_usd = None;
        let mut is_price_known = true;
        for attempt in attempts {
            let Some(usage) = counted(attempt) else { continue };
            input_tokens += usage.input_tokens;
            output_tokens += usage.output_tokens;
            match price(model, attempt, usage) {
                Some(price) => cost_usd = Some(cost_usd.unwrap_or(0.0) + price),
                None => is_price_known = false,
            }
        }
        let asked_last = attempts.last().map_or_else(
            || model.first().full_name(),
            |attempt| format!("{}/{}", attempt.provider, attempt.model),
        );
        let judgement = Judgement {
            model: asked_last,
            outcome: JudgeOutcome::Failed,
            ms: started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
            input_tokens,
            output_tokens,
            cost_usd: cost_usd.filter(|_| is_price_known),
        };
        Self { verdict, judgement }
    }
}

/// Only what the local stage decided is judged, and no conversation that goes on with the agent it has.
fn is_wanted(
    judge: &JudgeSettings,
    request: &DispatchRequest,
    settings: &Settings,
    decision: &Decision,
) -> bool {
    if !matches!(decision.strategy, Strategy::Local | Strategy::Default) {
        return false;
    }
    let has_two = decision.ranked.len() > 1;
    match (request.judging, decision.outcome) {
        (Judging::Never, _) => false,
        (Judging::Always, _) => true,
        _ if decision.strategy == Strategy::Default => false,
        (Judging::IfClose, Outcome::None) => settings.on_none == OnNone::Judge,
        (Judging::IfClose, outcome) => {
            let is_close = has_two && decision.margin < judge.margin_below;
            let is_ambiguous =
                outcome == Outcome::Ambiguous && settings.on_ambiguous == OnAmbiguous::Judge;
            is_close || is_ambiguous
        }
    }
}

/// The whole text of an answer; nothing if there is none that may be read.
async fn read_answer(call: &mut ModelCall, usage: &mut Option<Usage>) -> Option<String> {
    let mut text = String::new();
    let mut is_refused = false;
    loop {
        match call.next().await {
            Ok(Some(ChatEvent::Text(piece))) if text.len() + piece.len() <= MAX_ANSWER_BYTES => {
                text.push_str(&piece);
            }
            Ok(Some(ChatEvent::Text(_))) => return None,
            Ok(Some(ChatEvent::Usage(sums))) => *usage = Some(sums),
            Ok(Some(ChatEvent::Finished(reason))) => is_refused = reason == FinishReason::Refusal,
            Ok(Some(ChatEvent::Restarted)) => {
                text.clear();
                *usage = None;
            }
            Ok(Some(_)) => {}
            Ok(None) => return Some(text).filter(|_| !is_refused),
            Err(error) => {
                // Its source may hold an address and never a text of the provider.
                tracing::warn!(%error, "the judge gave no answer");
                return None;
            }
        }
    }
}

/// US dollars.
fn price(model: &ResolvedModel, attempt: &Attempt, usage: Usage) -> Option<f64> {
    let is_asked = |target: &&Arc<Target>| {
        target.provider == attempt.provider && target.model == attempt.model
    };
    let target = model.targets.iter().find(is_asked)?;
    target.price(usage).map(Money::to_usd)
}

/// Makes a decision what the judge says. Scores stay as they are: the order of `ranked` says what was decided.
fn apply(
    agent: Option<&Arc<Agent>>,
    stand_in: Option<&Arc<Agent>>,
    strategy: Strategy,
    decision: &mut Decision,
) -> JudgeOutcome {
    let Some(agent) = agent else {
        decision.confidence = round(decision.confidence.min(1.0 - JUDGE_IS_RIGHT));
        // The operator's default agent stands in for none, whoever says that none fits.
        (decision.outcome, decision.strategy) = match stand_in {
            Some(_) => (Outcome::Picked, Strategy::Default),
            None => (Outcome::None, strategy),
        };
        decision.agent = stand_in.map(|agent| AgentRef::to(agent));
        decision.picked = stand_in.cloned();
        return JudgeOutcome::None;
    };
    let name = agent.name().as_str();
    let was = decision.agent.as_ref().map(|agent| agent.name.as_str());
    let is_agreed = was == Some(name);
    decision.confidence = if is_agreed {
        let both_wrong = (1.0 - JUDGE_IS_RIGHT) * (1.0 - decision.confidence);
        round((1.0 - both_wrong).min(MOST_CONFIDENCE))
    } else {
        JUDGE_IS_RIGHT
    };
    if let Some(place) = decision.ranked.iter().position(|candidate| candidate.agent == name) {
        decision.ranked[..=place].rotate_right(1);
    }
    (decision.outcome, decision.strategy) = (Outcome::Picked, strategy);
    decision.agent = Some(AgentRef::to(agent));
    decision.picked = Some(Arc::clone(agent));
    if is_agreed { JudgeOutcome::Agreed } else { JudgeOutcome::Changed }
}
