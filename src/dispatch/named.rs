//! The first stage: the caller names the agent.

use uuid::Uuid;

use super::decision::{AgentRef, Decision, Outcome, Ranked, Reason, ReasonKind, Strategy};
use super::{DispatchError, Index};
use crate::registry::AgentState;

pub(super) fn decide(
    index: &Index,
    name: &str,
    permitted: Option<&[String]>,
) -> Result<Decision, DispatchError> {
    if permitted.is_some_and(|permitted| !permitted.iter().any(|allowed| allowed == name)) {
        return Err(DispatchError::AgentNotPermitted(name.to_owned()));
    }
    let agent = index.find(name).ok_or_else(|| DispatchError::AgentNotFound(name.to_owned()))?;
    if agent.state == AgentState::Disabled {
        return Err(DispatchError::AgentDisabled(name.to_owned()));
    }
    let text = agent.definition.display_name.clone();
    let reason = Reason { kind: ReasonKind::Name, text, words: Vec::new(), share: 1.0 };
    Ok(Decision {
        id: Uuid::now_v7(),
        outcome: Outcome::Picked,
        agent: Some(AgentRef::to(agent)),
        confidence: 1.0,
        margin: 1.0,
        strategy: Strategy::Named,
        roster_revision: index.roster_revision(),
        elapsed_us: 0,
        ranked: vec![Ranked { agent: name.to_owned(), score: 1.0, reasons: vec![reason] }],
        judge: None,
        picked: Some(agent.clone()),
    })
}
