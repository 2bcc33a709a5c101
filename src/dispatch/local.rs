//! The local stage: the request's words and meaning against the roster's, in memory, without a model call.

use std::sync::Arc;

use super::confidence::{Said, Signals, confidence, outcome};
use super::corrections::Correction;
use super::decision::{Decision, Outcome, Ranked, Strategy};
use super::document::Document;
use super::reasons;
use super::request::part_that_is_read;
use super::score::{Query, Scored, round, score};
use super::{Candidates, DispatchError, DispatchRequest, Index, OnNone, Settings};
use crate::registry::Agent;

/// How far the right agent of a request that was corrected is before the others, when the same is asked again.
const CORRECTED_AHEAD: f32 = 0.2;

pub(super) fn decide(
    index: &Index,
    request: &DispatchRequest,
    settings: &Settings,
) -> Result<Decision, DispatchError> {
    check_names(index, request)?;
    let Judged { query, mut scored, confidence, mut outcome } =
        judge(index, &request.input, candidates(request));
    let first = scored.first().map(|first| first.document.agent.clone());
    let mut picked = first.filter(|_| outcome != Outcome::None);
    let mut strategy = Strategy::Local;
    if picked.is_none()
        && let Some(default) = default_agent(index, request, settings)
    {
        (picked, outcome, strategy) = (Some(default), Outcome::Picked, Strategy::Default);
    }
    let margin = margin(&scored);
    scored.truncate(request.ranked_count(settings));
    Ok(Decision {
        outcome,
        confidence,
        margin: round(margin),
        strategy,
        ranked: scored.iter().map(|candidate| rank(index, &query, candidate)).collect(),
        unknown_technologies: query.unknown_technologies,
        ..Decision::of(picked.as_ref(), index.roster_revision())
    })
}

/// What a request's scores say, before any policy and without explanations.
pub(super) struct Judged<'a> {
    pub query: Query,
    /// The best first.
    pub scored: Vec<Scored<'a>>,
    pub confidence: f64,
    pub outcome: Outcome,
}

/// Compares a request with the candidates. Picks and measurements of picks both come by here.
pub(super) fn judge<'a>(
    index: &'a Index,
    input: &str,
    is_candidate: impl Fn(&Document) -> bool,
) -> Judged<'a> {
    let input = part_that_is_read(input);
    let query = Query::new(index, &input);
    let fit = index.fit();
    let mut scored = score(index, &query, fit.trust, is_candidate);
    let said = match index.corrected(&input) {
        Some(Correction { agent: None, .. }) => Said::Nobodys,
        Some(Correction { agent: Some(agent), .. }) if prefer(&mut scored, agent) => Said::Agents,
        _ => Said::Nothing,
    };
    let mut signals = Signals::of(index, &query, &scored);
    signals.said = said;
    let confidence = round(confidence(&signals, fit));
    Judged { query, scored, confidence, outcome: outcome(&signals, fit) }
}

/// Puts a candidate clearly before all others. False if it is none.
fn prefer(scored: &mut Vec<Scored<'_>>, agent: &str) -> bool {
    let is_it = |scored: &Scored<'_>| scored.document.agent.name().as_str() == agent;
    let Some(place) = scored.iter().position(is_it) else { return false };
    let mut preferred = scored.remove(place);
    let others = scored.first().map_or(f32::MIN, |best| best.total);
    preferred.total = preferred.total.max(others + CORRECTED_AHEAD);
    scored.insert(0, preferred);
    true
}

pub(super) fn check_names(index: &Index, request: &DispatchRequest) -> Result<(), DispatchError> {
    for name in &request.candidates.names {
        if !is_permitted(request, name) {
            return Err(DispatchError::AgentNotPermitted(name.clone()));
        }
        if index.find(name).is_none() {
            return Err(DispatchError::AgentNotFound(name.clone()));
        }
    }
    Ok(())
}

fn is_permitted(request: &DispatchRequest, name: &str) -> bool {
    request
        .permitted
        .as_ref()
        .is_none_or(|permitted| permitted.iter().any(|allowed| allowed == name))
}

/// Which documents may be picked for a request. A request that narrows nothing looks at no name: each lies somewhere
/// else in memory, and to fetch ten thousand takes longer than all the rest of a pick.
pub(super) fn candidates(request: &DispatchRequest) -> impl Fn(&Document) -> bool + '_ {
    let Candidates { names, labels, exclude } = &request.candidates;
    let narrows = request.permitted.is_some()
        || !(names.is_empty() && labels.is_empty() && exclude.is_empty())
        || !request.unfit.is_empty();
    move |document| !narrows || is_candidate(&document.agent, request)
}

fn is_candidate(agent: &Agent, request: &DispatchRequest) -> bool {
    is_wanted(agent, request) && !request.unfit.contains(agent.name().as_str())
}

/// Whether the caller takes an agent, whatever it lacks.
pub(super) fn is_wanted(agent: &Agent, request: &DispatchRequest) -> bool {
    let Candidates { names, labels, exclude } = &request.candidates;
    let name = agent.name().as_str();
    is_permitted(request, name)
        && (names.is_empty() || names.iter().any(|wanted| wanted == name))
        && (labels.is_empty() || agent.labels.iter().any(|label| labels.contains(label)))
        && !exclude.iter().any(|excluded| excluded == name)
}

pub(super) fn default_agent(
    index: &Index,
    request: &DispatchRequest,
    settings: &Settings,
) -> Option<Arc<Agent>> {
    let stands_in = settings.on_none == OnNone::DefaultAgent || request.falls_to_default;
    let name = settings.default_agent.as_deref().filter(|_| stands_in)?;
    let agent = index.find(name).filter(|agent| agent.is_live() && is_candidate(agent, request))?;
    Some(agent.clone())
}

/// How far the first candidate's score is ahead of the second's.
pub(super) fn margin(scored: &[Scored<'_>]) -> f64 {
    let score = |place: usize| scored.get(place).map_or(0.0, Scored::score);
    score(0) - score(1)
}

pub(super) fn rank(index: &Index, query: &Query, candidate: &Scored<'_>) -> Ranked {
    Ranked {
        agent: candidate.document.agent.name().to_string(),
        score: round(candidate.score()),
        reasons: reasons::explain(index, query, candidate),
    }
}
