//! Saying what was right about a decision, and forgetting what was said: the next pick knows it.

use serde::Deserialize;
use uuid::Uuid;

use super::feedback::{Forgotten, NewFeedback, was_right};
use super::request::part_that_is_read;
use super::{DispatchError, Dispatcher};
use crate::audit::Author;
use crate::ledger::DispatchRecord;

/// What a caller says of a decision.
#[derive(Debug, Clone)]
pub struct CorrectionRequest {
    /// The right agent; `None`: it belongs to nobody.
    pub agent: Option<String>,
    /// The only agents that the caller's key permits; `None` means all.
    pub permitted: Option<Vec<String>>,
    pub key_id: Uuid,
}

/// A correction that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrected {
    /// Whether the first of `ranked` was the right one; false if it belongs to nobody.
    pub was_right: bool,
    /// The feedback's revision with it.
    pub revision: i64,
}

/// What is read of a decision on record.
#[derive(Debug, Deserialize)]
struct Answered {
    confidence: f64,
    ranked: Vec<RankedAgent>,
}

#[derive(Debug, Deserialize)]
struct RankedAgent {
    agent: String,
}

impl Dispatcher {
    /// Keeps what was right about a decision, in place of what was said of it before.
    ///
    /// # Errors
    /// If the agent does not exist or is not permitted; if the decision's text was not kept; if it cannot be stored.
    pub async fn correct(
        &self,
        decision: &DispatchRecord,
        request: &CorrectionRequest,
    ) -> Result<Corrected, DispatchError> {
        let agent = request.agent.as_deref();
        if let Some(name) = agent {
            self.check_correct_agent(name, request.permitted.as_deref())?;
        }
        // An operator who keeps no texts any more wants no further copies of old ones either.
        let input = decision.input.as_deref().filter(|_| self.inner.settings.stores_content);
        let input = input.ok_or(DispatchError::ContentNotKept)?;
        let answered: Answered =
            serde_json::from_str(&decision.decision).map_err(DispatchError::UnreadableDecision)?;
        let first_agent = answered.ranked.first().map(|first| first.agent.as_str());
        let revision = self
            .inner
            .feedback
            .record(&NewFeedback {
                dispatch_id: decision.id,
                key_id: request.key_id,
                agent,
                input: &part_that_is_read(input),
                confidence: answered.confidence,
                first_agent,
            })
            .await?;
        self.prepare().await;
        Ok(Corrected { was_right: was_right(agent, first_agent), revision })
    }

    /// Forgets what was said; of one agent if it is given, which need not exist any more.
    pub async fn forget_corrections(
        &self,
        agent: Option<&str>,
        author: &Author,
    ) -> Result<Forgotten, DispatchError> {
        let forgotten = self.inner.feedback.reset(agent, author).await?;
        self.prepare().await;
        Ok(forgotten)
    }

    /// A disabled agent may be right: that it does not answer at the moment says nothing of what it is for.
    fn check_correct_agent(
        &self,
        name: &str,
        permitted: Option<&[String]>,
    ) -> Result<(), DispatchError> {
        if permitted.is_some_and(|permitted| !permitted.iter().any(|allowed| allowed == name)) {
            return Err(DispatchError::AgentNotPermitted(name.to_owned()));
        }
        match self.inner.registry.roster().find(name) {
            Some(_) => Ok(()),
            None => Err(DispatchError::AgentNotFound(name.to_owned())),
        }
    }
}
