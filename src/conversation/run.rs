//! A run as callers see it: its states, its events, its result.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::RunFailure;
use crate::chat::{FinishReason, ToolCall, Usage};
use crate::dispatch::{AgentRef, Outcome};
use crate::provider::{Attempt, ResolutionRule, ResolvedModel};

/// Where a run stands. The last four are ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
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
            Self::Connecting => "connecting",
            Self::Streaming => "streaming",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Truncated => "truncated",
        }
    }
}

/// The model that was asked for and the one that is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
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
        Self {
            requested: model.requested.clone(),
            resolved: model.first().full_name(),
            rule: model.rule,
        }
    }
}

/// A run and, once it has ended, its result.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Run {
    pub id: Uuid,
    pub status: RunStatus,
    pub agent: AgentRef,
    pub dispatch_id: Uuid,
    pub conversation_id: Option<Uuid>,
    pub model: ModelUse,
    /// The text of the answer.
    pub output: String,
    /// Calls that the caller is to answer.
    pub tool_calls: Vec<ToolCall>,
    #[schema(value_type = Option<String>)]
    pub finish_reason: Option<FinishReason>,
    pub usage: Usage,
    pub attempts: Vec<Attempt>,
    pub warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunFailure>,
    pub metadata: Option<Value>,
    pub created_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// One event of a run. The last one is [`RunEvent::Ended`], always and once.
#[derive(Debug, Clone)]
pub enum RunEvent {
    Started {
        id: Uuid,
    },
    AgentSelected {
        agent: AgentRef,
        dispatch_id: Uuid,
        outcome: Outcome,
        confidence: f64,
    },
    /// The model that really answers, as `provider/model`.
    ModelServed(String),
    TextDelta(String),
    /// The model thinks: a sign of life that is not shown.
    Thinking,
    ToolCall(ToolCall),
    Usage(Usage),
    Ended(Box<Run>),
}

impl RunEvent {
    /// Whether it is what a caller waits for.
    pub fn is_content(&self) -> bool {
        matches!(self, Self::TextDelta(_) | Self::Thinking | Self::ToolCall(_))
    }
}
