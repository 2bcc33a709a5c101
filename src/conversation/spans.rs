//! What a trace says of a run and of its calls of tools, in the words of the conventions for generative AI.
//! <https://github.com/open-telemetry/semantic-conventions-genai>

use std::sync::Arc;

use super::run::{Run, RunStatus};
use crate::chat::ToolCall;
use crate::telemetry::traces::{self, Span};

/// A run's, whose agent is not known yet.
pub(super) fn begin() -> Arc<Span> {
    let span = traces::begin("invoke_agent");
    span.set("gen_ai.operation.name", "invoke_agent");
    Arc::new(span)
}

/// That of a prompt that is built and not sent.
pub(super) fn begin_preview() -> Span {
    traces::begin("preview_prompt")
}

/// Says what has come of a run.
pub(super) fn tell(span: &Span, run: &Run) {
    if !span.is_recorded() {
        return;
    }
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    span.rename(format!("invoke_agent {}", run.agent.name));
    span.set("gen_ai.agent.name", run.agent.name.clone());
    span.set("gen_ai.agent.version", run.agent.revision.to_string());
    if let Some(id) = run.conversation_id {
        span.set("gen_ai.conversation.id", id.to_string());
    }
    if let Some(model) = &run.model.requested {
        span.set("gen_ai.request.model", model.clone());
    }
    // The conventions want the model's own name, as the spans of its requests have it.
    let model = run.model.resolved.split_once('/').map_or("", |(_provider, model)| model);
    span.set("gen_ai.response.model", model.to_owned());
    span.set("gen_ai.usage.input_tokens", count(run.usage.input_tokens));
    span.set("gen_ai.usage.output_tokens", count(run.usage.output_tokens));
    span.set("rolecall.run.id", run.id.to_string());
    span.set("rolecall.run.status", run.status.as_str());
    if run.status != RunStatus::Completed {
        span.fail(run.status.as_str());
    }
}

/// The span of a tool's call. A tool that is none has a name that the model has made up, which is told nowhere.
pub(super) fn begin_tool(call: &ToolCall, server: Option<&str>) -> Span {
    let name = if server.is_some() { call.name.as_str() } else { "unknown" };
    let span = traces::begin(format!("execute_tool {name}"));
    span.set("gen_ai.operation.name", "execute_tool");
    span.set("gen_ai.tool.name", name.to_owned());
    span.set("gen_ai.tool.call.id", call.id.clone());
    if let Some(server) = server {
        span.set("rolecall.tool_server.name", server.to_owned());
    }
    span
}
