//! Measuring dispatch: the roster's own requests, given cases, or decisions on record.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use super::messages::{MessageBody, read_messages};
use crate::chat::opening_request;
use crate::definition::AgentName;
use crate::dispatch::{
    Case, DEFAULT_WRONG_LIMIT, DecisionFilter, EvaluationReport, EvaluationRequest, Evaluations,
    MAX_CASES, OtherFile, RosterChange,
};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::extract::{ApiJson, NoQuery};

/// Decisions that are asked again if nobody says how many.
const DEFAULT_DECISIONS: usize = 1_000;

/// What to measure. With neither `cases` nor `decisions` the roster's own requests are asked, each while the roster
/// does not hold it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDispatchEval {
    /// Requests whose right agent is known, 1 to 10,000.
    cases: Option<Vec<CaseBody>>,
    /// Decisions on record are asked again.
    decisions: Option<DecisionsBody>,
    /// Another roster: the live one with changes. The report is about it, and says what differs from the live one.
    roster: Option<RosterBody>,
    /// Wrong cases to list, 10,000 at most; 100 if left out.
    wrong_limit: Option<usize>,
}

/// A request with its right agent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CaseBody {
    /// What is asked for. Either this or `messages`.
    input: Option<String>,
    messages: Option<Vec<MessageBody>>,
    /// Null if it belongs to nobody.
    // A case that leaves it out is a mistake, and would be taken for a stranger.
    #[serde(deserialize_with = "Option::deserialize")]
    agent: Option<String>,
}

/// Which decisions, the newest first. Those with a named agent are left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DecisionsBody {
    /// 1 to 10,000; 1,000 if left out.
    limit: Option<usize>,
    /// Not those before this time.
    since: Option<DateTime<Utc>>,
    /// Only those for which this agent was picked.
    agent: Option<String>,
}

/// How another roster differs from the live one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RosterBody {
    /// Agent files that are put first.
    #[serde(default)]
    put: Vec<FileBody>,
    /// Agents that are then taken out.
    #[serde(default)]
    remove: Vec<String>,
    /// If there are any, all other agents are taken out.
    #[serde(default)]
    only: Vec<String>,
}

/// An agent file, as it would be put.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FileBody {
    name: String,
    /// Its text, in any format that a put takes.
    source: String,
}

/// Measures how well requests find their agents. Nothing is changed by it.
#[utoipa::path(
    post, path = "/admin/v1/evals/dispatch", tag = "admin",
    request_body = CreateDispatchEval,
    responses(
        (status = 200, description = "The figures, and where they come from", body = EvaluationReport),
        (status = 404, description = "There is no such agent", body = ProblemBody, content_type = "application/problem+json"),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Another evaluation is under way", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_dispatch_eval(
    State(evaluations): State<Evaluations>,
    NoQuery: NoQuery,
    ApiJson(body): ApiJson<CreateDispatchEval>,
) -> Result<Json<EvaluationReport>, ApiError> {
    if body.cases.is_some() && body.decisions.is_some() {
        let detail = "give `cases` or `decisions`, not both";
        return Err(ApiError::invalid_field("/decisions", detail));
    }
    let request = EvaluationRequest {
        cases: body.cases.map(read_cases).transpose()?,
        decisions: body.decisions.map(DecisionsBody::read).transpose()?,
        roster: body.roster.map(RosterBody::into),
        wrong_limit: body.wrong_limit.unwrap_or(DEFAULT_WRONG_LIMIT),
    };
    check_limit("/wrong_limit", request.wrong_limit, 0)?;
    Ok(Json(evaluations.evaluate(request).await?))
}

fn read_cases(cases: Vec<CaseBody>) -> Result<Vec<Case>, ApiError> {
    check_limit("/cases", cases.len(), 1)?;
    let read = |(number, case): (usize, CaseBody)| {
        let messages = read_messages(case.input, case.messages, false)
            .map_err(|error| error.within(&format!("/cases/{number}")))?;
        Ok(Case { input: opening_request(&messages), agent: case.agent })
    };
    cases.into_iter().enumerate().map(read).collect()
}

fn check_limit(pointer: &str, count: usize, least: usize) -> Result<(), ApiError> {
    if (least..=MAX_CASES).contains(&count) {
        return Ok(());
    }
    Err(ApiError::invalid_field(pointer, format!("must be {least} to {MAX_CASES}, not {count}")))
}

impl DecisionsBody {
    fn read(self) -> Result<DecisionFilter, ApiError> {
        let limit = self.limit.unwrap_or(DEFAULT_DECISIONS);
        check_limit("/decisions/limit", limit, 1)?;
        if self.agent.as_deref().is_some_and(|agent| AgentName::parse(agent).is_none()) {
            return Err(ApiError::invalid_field("/decisions/agent", "must be an agent's name"));
        }
        // Times before it need not be ones that PostgreSQL can hold.
        let since = self.since.map(|since| since.max(DateTime::UNIX_EPOCH));
        Ok(DecisionFilter { limit, since, agent: self.agent })
    }
}

impl From<RosterBody> for RosterChange {
    fn from(body: RosterBody) -> Self {
        let put = body.put.into_iter();
        let put = put.map(|FileBody { name, source }| OtherFile { name, source });
        Self { put: put.collect(), remove: body.remove, only: body.only }
    }
}
