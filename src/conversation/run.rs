//! A run as callers see it: its states and its result.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{RunFailure, Turn, Warning};
use crate::chat::{FinishReason, ToolCall, Usage};
use crate::dispatch::{AgentRef, Decision, HandOver};
use crate::provider::{Attempt, ResolutionRule, ResolvedModel};
use crate::registry::Agent;

/// Where a run stands. The last four are ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It waits until fewer runs are under way.
    Queued,
    /// The agent is picked, and nothing sent yet.
    Picked,
    /// A provider is asked, and there is no content yet.
    Connecting,
    Streaming,
    Completed,
    Failed,
    Cancelled,
    /// The answer ended without a finish reason: what there is of it may be incomplete.
    Truncated,
}

impl RunStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Picked => "picked",
            Self::Connecting => "connecting",
            Self::Streaming => "streaming",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Truncated => "truncated",
        }
    }

    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Truncated)
    }
}

/// The model that was asked for and the one that is used.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ModelUse {
    /// What the caller, or else the agent, names.
    pub requested: Option<String>,
    /// `provider/model`.
    pub resolved: String,
    #[schema(value_type = String)]
    pub rule: ResolutionRule,
}

impl From<&ResolvedModel> for ModelUse {
    fn from(model: &ResolvedModel) -> Self {
        let resolved = model.first().full_name();
        Self { requested: model.requested.clone(), resolved, rule: model.rule }
    }
}

/// A run and, once it has ended, its result.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Run {
    pub id: Uuid,
    pub status: RunStatus,
    pub agent: AgentRef,
    pub dispatch_id: Uuid,
    /// The stored conversation that it is a part of.
    pub conversation_id: Option<Uuid>,
    /// There if the conversation had another agent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub handed_over: Option<HandOver>,
    pub model: ModelUse,
    /// The text of the answer so far; null if texts are not kept.
    #[serde(default)]
    pub output: Option<String>,
    /// Calls that the caller is to answer.
    #[serde(default)]
    pub tool_calls: Vec<ToolCall>,
    /// Every model call that answered, in order, with the calls of tools that were executed here.
    #[serde(default)]
    pub turns: Vec<Turn>,
    #[schema(value_type = Option<String>)]
    pub finish_reason: Option<FinishReason>,
    /// Whether the model has refused in words of its own, which its provider tells as such, and no filter for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused_in_words: bool,
    /// Of all turns.
    pub usage: Usage,
    /// What that cost in US dollars when the run ended; null before, and if any of it is not known.
    #[serde(default)]
    pub cost_usd: Option<f64>,
    /// Every request to a provider, in order.
    pub attempts: Vec<Attempt>,
    #[schema(value_type = Vec<String>)]
    pub warnings: Vec<Warning>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunFailure>,
    pub metadata: Option<Value>,
    /// There if the run can be found again as a response of OpenAI's protocol: what the response repeats of its request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub asked_as_response: Option<Value>,
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "time_or_null")]
    pub ended_at: Option<DateTime<Utc>>,
}

/// A time as it is written by itself, but at once: a run is written for each request, and a character at a time takes eight
/// times as long.
fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[expect(clippy::ref_option, reason = "the field's own type")]
fn time_or_null<S: Serializer>(
    when: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match when {
        Some(when) => time(when, serializer),
        None => serializer.serialize_none(),
    }
}

impl Run {
    /// A run whose agent and model are decided on, and that has not begun.
    pub(super) fn picked(
        id: Uuid,
        decision: &Decision,
        agent: &Agent,
        model: &ResolvedModel,
    ) -> Self {
        Self {
            id,
            status: RunStatus::Picked,
            agent: decision.agent.clone().unwrap_or_else(|| AgentRef::to(agent)),
            dispatch_id: decision.id,
            conversation_id: decision.conversation_id,
            handed_over: decision.handed_over.clone(),
            model: ModelUse::from(model),
            output: None,
            tool_calls: Vec::new(),
            turns: Vec::new(),
            finish_reason: None,
            refused_in_words: false,
            usage: Usage::default(),
            cost_usd: None,
            attempts: Vec::new(),
            warnings: Vec::new(),
            error: None,
            metadata: None,
            asked_as_response: None,
            created_at: Utc::now(),
            ended_at: None,
        }
    }

    /// How many requests were sent to providers, the one under way included.
    pub fn request_count(&self) -> usize {
        let over = self.attempts.iter().filter(|attempt| attempt.was_sent()).count();
        let is_under_way = matches!(self.status, RunStatus::Connecting | RunStatus::Streaming);
        over + usize::from(is_under_way)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use crate::conversation::Run;

    #[test]
    fn times_are_written_as_they_are_by_themselves() {
        for nanoseconds in [0, 5_000_000, 5_000, 5] {
            let time = DateTime::from_timestamp(1_800_000_000, nanoseconds).expect("is a time");
            let run =
                Run { created_at: time, ended_at: Some(time), ..crate::conversation::tests::run() };
            let written = json!(run);
            assert_eq!(
                [&written["created_at"], &written["ended_at"]],
                [&json!(time), &json!(time)]
            );
        }
        assert!(json!(crate::conversation::tests::run())["ended_at"].is_null());
    }
}
