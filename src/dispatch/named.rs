//! The first stage: the caller names the agent.

use super::decision::{Decision, Ranked, Reason, ReasonKind, Strategy};
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
        strategy: Strategy::Named,
        ranked: vec![Ranked { agent: name.to_owned(), score: 1.0, reasons: vec![reason] }],
        ..Decision::of(Some(agent), index.roster_revision())
    })
}
