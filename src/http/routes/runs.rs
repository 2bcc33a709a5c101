//! Runs: making one, streamed or not, and looking one up.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::messages::{CandidatesBody, MessageBody, read_messages, refuse_conversation};
use crate::access::Caller;
use crate::chat::{Parameters, Tool, ToolChoice};
use crate::conversation::{Conversations, NewRun, Run, RunHandle, RunStatus};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::roster_revision::ROSTER_REVISION;
use crate::http::sse;
use crate::http::state::Settings;
use crate::prompt::PromptInput;

/// A request for an answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRun {
    /// What is asked for. Either this or `messages`.
    #[schema(example = "I need an API route for user login with JWT")]
    input: Option<String>,
    messages: Option<Vec<MessageBody>>,
    /// The agent, if it is known; else one is picked.
    agent: Option<String>,
    candidates: Option<CandidatesBody>,
    conversation_id: Option<Uuid>,
    /// The caller's own tools.
    #[serde(default)]
    tools: Vec<Tool>,
    /// A model alias, a model id, or `provider/model`, in place of the agent's own.
    model: Option<String>,
    /// Most tokens of the answer.
    max_tokens: Option<u32>,
    /// A parameter that the model refuses is left out, and the run's `warnings` say so.
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u32>,
    /// Texts that end the answer before they are written.
    #[serde(default)]
    stop: Vec<String>,
    /// `auto`, `none`, `required`, or `{"name": "…"}`: the tool that must be called.
    #[schema(value_type = Option<Value>)]
    tool_choice: Option<ToolChoiceBody>,
    /// Kept with the run and given back.
    #[schema(value_type = Option<Value>)]
    metadata: Option<serde_json::Map<String, Value>>,
    /// Server-sent events instead of one JSON answer.
    #[serde(default)]
    stream: bool,
}

/// Whether a tool must be called.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected `auto`, `none`, `required` or {\"name\": \"…\"}")]
enum ToolChoiceBody {
    Word(ToolChoiceWord),
    Tool(NamedTool),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ToolChoiceWord {
    Auto,
    None,
    Required,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedTool {
    name: String,
}

impl From<ToolChoiceBody> for ToolChoice {
    fn from(body: ToolChoiceBody) -> Self {
        match body {
            ToolChoiceBody::Word(ToolChoiceWord::Auto) => Self::Auto,
            ToolChoiceBody::Word(ToolChoiceWord::None) => Self::None,
            ToolChoiceBody::Word(ToolChoiceWord::Required) => Self::Required,
            ToolChoiceBody::Tool(NamedTool { name }) => Self::Tool(name),
        }
    }
}

impl CreateRun {
    pub(super) fn read(self, caller: &Caller) -> Result<NewRun, ApiError> {
        refuse_conversation(self.conversation_id)?;
        if self.max_tokens == Some(0) {
            return Err(ApiError::invalid_field("/max_tokens", "must be 1 or more"));
        }
        Ok(NewRun {
            agent: self.agent,
            candidates: self.candidates.unwrap_or_default().into(),
            permitted: caller.permitted_agents(),
            model: self.model,
            prompt: PromptInput {
                messages: read_messages(self.input, self.messages)?,
                tools: self.tools,
                parameters: Parameters {
                    max_tokens: self.max_tokens,
                    temperature: self.temperature,
                    top_p: self.top_p,
                    top_k: self.top_k,
                    stop: self.stop,
                    tool_choice: self.tool_choice.map(ToolChoice::from),
                },
            },
            is_streaming: self.stream,
            metadata: self.metadata.map(Value::Object),
            key_id: caller.key_id(),
        })
    }
}

/// Picks an agent, unless one is named, and lets it answer.
///
/// With `stream: true` the answer is a stream of events, each with a sequence `id`: `run.started`,
/// `agent.selected`, `text.delta`, `tool.call`, `usage`, and one of `run.completed`, `run.failed`,
/// `run.cancelled`, `run.truncated`, whose data is the run.
#[utoipa::path(
    post, path = "/v1/runs", tag = "runs",
    responses(
        (status = 200, description = "The run", content(
            (Run = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 422, description = "No agent fits", body = ProblemBody, content_type = "application/problem+json"),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_run(
    State(conversations): State<Conversations>,
    State(settings): State<Settings>,
    Extension(caller): Extension<Caller>,
    ApiJson(body): ApiJson<CreateRun>,
) -> Result<Response, ApiError> {
    let is_streaming = body.stream;
    let handle = conversations.start_run(body.read(&caller)?).await?;
    let roster_revision = handle.roster_revision;
    if is_streaming {
        return Ok(stream(handle, &settings).await);
    }
    let began = handle.run.clone();
    let Some(run) = handle.finish().await else {
        let error = ApiError::new(ErrorCode::Internal, "the run ended without a result");
        return Ok((run_headers(&began, roster_revision), error).into_response());
    };
    let headers = run_headers(&run, roster_revision);
    Ok(match run.status {
        RunStatus::Completed => (headers, Json(run)).into_response(),
        _ => (headers, ApiError::of_run(&run)).into_response(),
    })
}

/// The status waits for the first content, so that a failure before it has its own.
async fn stream(mut handle: RunHandle, settings: &Settings) -> Response {
    let ended = handle.wait_for_content(settings.hold).await;
    let roster_revision = handle.roster_revision;
    let run = ended.as_deref().unwrap_or(&handle.run);
    let headers = run_headers(run, roster_revision);
    match ended.filter(|run| run.status != RunStatus::Completed) {
        Some(run) => (headers, ApiError::of_run(&run)).into_response(),
        None => (headers, sse::stream_run(handle, settings)).into_response(),
    }
}

/// Which agent, revision and model answer.
fn run_headers(run: &Run, roster_revision: i64) -> HeaderMap {
    [
        ("x-rolecall-agent", run.agent.name.clone()),
        ("x-rolecall-revision", run.agent.revision.to_string()),
        ("x-rolecall-dispatch", run.dispatch_id.to_string()),
        ("x-rolecall-run", run.id.to_string()),
        ("x-rolecall-model", run.model.resolved.clone()),
        (ROSTER_REVISION, roster_revision.to_string()),
    ]
    .into_iter()
    .filter_map(|(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
    })
    .collect()
}

/// The state of a run and, once it has ended, its result.
#[utoipa::path(
    get, path = "/v1/runs/{id}", tag = "runs",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The run", body = Run),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_run(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Json<Value>, ApiError> {
    let record = conversations.find_run(id).await?;
    record
        .filter(|record| caller.may_see(record.key_id))
        .map(|record| Json(record.record.clone()))
        .ok_or_else(|| ApiError::new(ErrorCode::RunNotFound, format!("there is no run `{id}`")))
}
