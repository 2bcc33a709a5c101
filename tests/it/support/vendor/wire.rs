//! The wire formats of the vendors: a plain answer, whole and streamed, and their errors.

use rolecall::provider::DialectName;
use serde_json::{Value, json};

/// What a vendor counts for each of its answers here.
pub const INPUT_TOKENS: u64 = 12;
pub const OUTPUT_TOKENS: u64 = 7;

/// One vendor's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire(pub DialectName);

/// A result as a vendor is sent it: its call's id, what came out, and whether that is marked as an error.
pub type SentResult = (String, String, bool);

/// A tool that a vendor's model asks for.
#[derive(Clone, Debug)]
pub struct AskedTool {
    pub id: String,
    pub name: String,
    pub arguments: Value,
}

impl AskedTool {
    pub fn new(id: &str, name: &str, arguments: Value) -> Self {
        Self { id: id.to_owned(), name: name.to_owned(), arguments }
    }
}

/// Why a vendor refuses.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    RateLimited,
    Failed,
    Overloaded,
    ContextTooLong,
    ContentFiltered,
    BadRequest,
    BadKey,
}

impl Wire {
    pub const ALL: [Self; 4] = [
        Self(DialectName::Anthropic),
        Self(DialectName::Openai),
        Self(DialectName::OpenaiResponses),
        Self(DialectName::Gemini),
    ];

    /// The name of a provider that speaks it.
    pub fn name(self) -> &'static str {
        match self.0 {
            DialectName::Anthropic => "anthropic",
            DialectName::Openai => "openai",
            DialectName::OpenaiResponses => "responses",
            DialectName::Gemini => "gemini",
        }
    }

    /// What its base URL ends in.
    pub fn base_path(self) -> &'static str {
        match self.0 {
            DialectName::Anthropic | DialectName::Gemini => "",
            DialectName::Openai | DialectName::OpenaiResponses => "/v1",
        }
    }

    /// What comes before the first word.
    pub fn start(self, model: &str) -> String {
        match self.0 {
            DialectName::Anthropic => anthropic::start_of(model),
            DialectName::OpenaiResponses => responses::start_of(model),
            DialectName::Gemini => gemini::chunk_of(model, &json!({"text": ""}), None),
            DialectName::Openai => {
                openai::chunk_of(model, &json!({"role": "assistant", "content": ""}), None)
            }
        }
    }

    pub fn text(self, model: &str, text: &str) -> String {
        match self.0 {
            DialectName::Anthropic => anthropic::text(text),
            DialectName::OpenaiResponses => responses::text(text),
            DialectName::Gemini => gemini::chunk_of(model, &json!({"text": text}), None),
            DialectName::Openai => openai::chunk_of(model, &json!({"content": text}), None),
        }
    }

    /// The finish reason and the usage.
    pub fn finish(self, model: &str) -> String {
        match self.0 {
            DialectName::Anthropic => anthropic::finish(),
            DialectName::OpenaiResponses => responses::end_of(model),
            DialectName::Gemini => gemini::chunk_of(model, &json!({"text": ""}), Some("STOP")),
            DialectName::Openai => openai::finish_of(model),
        }
    }

    /// The protocol's last marker, if it has one.
    pub fn last(self) -> String {
        match self.0 {
            DialectName::Anthropic => anthropic::last(),
            DialectName::OpenaiResponses | DialectName::Gemini => String::new(),
            DialectName::Openai => openai::last(),
        }
    }

    /// A whole streamed answer.
    pub fn frames(self, model: &str, texts: &[&str]) -> Vec<String> {
        let mut frames = vec![self.start(model)];
        frames.extend(texts.iter().map(|text| self.text(model, text)));
        frames.extend([self.finish(model), self.last()]);
        frames
    }

    /// A whole streamed answer that says something and asks for tools.
    pub fn tool_frames(self, model: &str, text: &str, calls: &[AskedTool]) -> Vec<String> {
        let mut frames = vec![self.start(model)];
        if !text.is_empty() {
            frames.push(self.text(model, text));
        }
        frames.extend(calls.iter().enumerate().map(|(index, call)| self.call(model, index, call)));
        frames.extend([self.finish_with_calls(model), self.last()]);
        frames
    }

    fn call(self, model: &str, index: usize, call: &AskedTool) -> String {
        match self.0 {
            DialectName::Anthropic => anthropic::tool_use(index + 1, call),
            DialectName::OpenaiResponses => responses::function_call(index, call),
            DialectName::Gemini => {
                let call = json!({"id": call.id, "name": call.name, "args": call.arguments});
                gemini::chunk_of(model, &json!({"functionCall": call}), None)
            }
            DialectName::Openai => {
                let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
                let call = json!({
                    "index": index, "id": call.id, "type": "function", "function": function,
                });
                openai::chunk_of(model, &json!({"tool_calls": [call]}), None)
            }
        }
    }

    fn finish_with_calls(self, model: &str) -> String {
        let finish = self.finish(model);
        match self.0 {
            DialectName::Anthropic => finish.replace("end_turn", "tool_use"),
            DialectName::Openai => finish.replace(r#":"stop""#, r#":"tool_calls""#),
            DialectName::OpenaiResponses | DialectName::Gemini => finish,
        }
    }

    /// The results of tools in a request.
    pub fn results(self, body: &Value) -> Vec<SentResult> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let results = |list: &Value, found: &dyn Fn(&Value) -> Option<SentResult>| {
            list.as_array().into_iter().flatten().filter_map(found).collect::<Vec<_>>()
        };
        match self.0 {
            DialectName::Anthropic => {
                let messages = body["messages"].as_array().expect("messages");
                let blocks = messages.iter().flat_map(|message| {
                    results(&message["content"], &|block| {
                        (block["type"] == "tool_result").then(|| {
                            let is_error = block["is_error"] == json!(true);
                            (text(&block["tool_use_id"]), text(&block["content"]), is_error)
                        })
                    })
                });
                blocks.collect()
            }
            DialectName::Openai => results(&body["messages"], &|message| {
                let content = text(&message["content"]);
                let is_error = content.starts_with("Error: ");
                (message["role"] == "tool")
                    .then(|| (text(&message["tool_call_id"]), content, is_error))
            }),
            DialectName::OpenaiResponses => results(&body["input"], &|item| {
                let output = text(&item["output"]);
                let is_error = output.starts_with("Error: ");
                (item["type"] == "function_call_output")
                    .then(|| (text(&item["call_id"]), output, is_error))
            }),
            DialectName::Gemini => {
                let contents = body["contents"].as_array().expect("contents");
                let parts = contents.iter().flat_map(|content| {
                    results(&content["parts"], &|part| {
                        let response = part.get("functionResponse")?;
                        let is_error = response["response"].get("error").is_some();
                        Some((text(&response["id"]), text(&response["response"]), is_error))
                    })
                });
                parts.collect()
            }
        }
    }

    /// A whole answer in one piece.
    pub fn message(self, model: &str, text: &str) -> Value {
        match self.0 {
            DialectName::Anthropic => anthropic::message_of(model, text),
            DialectName::OpenaiResponses => responses::answer_of(model, text),
            DialectName::Gemini => gemini::answer_of(model, &json!({"text": text}), Some("STOP")),
            DialectName::Openai => json!({
                "id": "chatcmpl-1", "object": "chat.completion", "model": model,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS},
            }),
        }
    }

    /// An event of a stream that is no JSON.
    pub fn malformed(self) -> String {
        match self.0 {
            DialectName::Anthropic => {
                "event: content_block_delta\ndata: {\"type\": \"content_block_delta\", \"delta\n\n"
                    .to_owned()
            }
            _ => "data: {\"id\": \"x\", \"choices\": [{\"delta\n\n".to_owned(),
        }
    }

    /// Status and body of a refusal.
    pub fn refusal(self, refusal: Refusal, words: &str) -> (u16, Value) {
        match self.0 {
            DialectName::Anthropic => anthropic::refusal(refusal, words),
            DialectName::Gemini => gemini::refusal(refusal, words),
            DialectName::Openai | DialectName::OpenaiResponses => openai::refusal(refusal, words),
        }
    }
}

/// Anthropic's wire format.
pub mod anthropic {
    use serde_json::{Value, json};

    use super::{INPUT_TOKENS, OUTPUT_TOKENS, Refusal};

    const MODEL: &str = "claude-sonnet-5-5-served";

    pub fn frame(data: &Value) -> String {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("has a type"))
    }

    pub fn start() -> String {
        start_of(MODEL)
    }

    pub fn start_of(model: &str) -> String {
        frame(&json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [], "stop_reason": null, "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1},
        }})) + &frame(&json!({
            "type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""},
        }))
    }

    pub fn text(text: &str) -> String {
        frame(&json!({
            "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text},
        }))
    }

    pub fn tool_use(index: usize, call: &super::AskedTool) -> String {
        frame(&json!({"type": "content_block_start", "index": index, "content_block": {
            "type": "tool_use", "id": call.id, "name": call.name, "input": {},
        }})) + &frame(&json!({"type": "content_block_delta", "index": index, "delta": {
            "type": "input_json_delta", "partial_json": call.arguments.to_string(),
        }})) + &frame(&json!({"type": "content_block_stop", "index": index}))
    }

    pub fn finish() -> String {
        frame(&json!({"type": "content_block_stop", "index": 0}))
            + &frame(&json!({
                "type": "message_delta", "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": OUTPUT_TOKENS},
            }))
    }

    pub fn last() -> String {
        frame(&json!({"type": "message_stop"}))
    }

    pub fn end() -> String {
        finish() + &last()
    }

    pub fn message(text: &str) -> Value {
        let mut message = message_of(MODEL, text);
        message["usage"]["cache_read_input_tokens"] = json!(100);
        message
    }

    pub fn message_of(model: &str, text: &str) -> Value {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
        })
    }

    pub fn error(kind: &str, message: &str) -> Value {
        json!({"type": "error", "error": {"type": kind, "message": message}})
    }

    pub fn refusal(refusal: Refusal, words: &str) -> (u16, Value) {
        let (status, kind, message) = match refusal {
            Refusal::RateLimited => (429, "rate_limit_error", words.to_owned()),
            Refusal::Failed => (500, "api_error", words.to_owned()),
            Refusal::Overloaded => (529, "overloaded_error", words.to_owned()),
            Refusal::ContextTooLong => {
                (400, "invalid_request_error", format!("prompt is too long: {words}"))
            }
            Refusal::ContentFiltered => (
                400,
                "invalid_request_error",
                format!("Output blocked by content filtering policy: {words}"),
            ),
            Refusal::BadRequest => (400, "invalid_request_error", words.to_owned()),
            Refusal::BadKey => (401, "authentication_error", words.to_owned()),
        };
        (status, error(kind, &message))
    }
}

/// The wire format of OpenAI's Chat Completions.
pub mod openai {
    use serde_json::{Value, json};

    use super::{INPUT_TOKENS, OUTPUT_TOKENS, Refusal};

    const MODEL: &str = "gpt-served";

    pub fn frame(data: &Value) -> String {
        format!("data: {data}\n\n")
    }

    pub fn chunk_of(model: &str, delta: &Value, finish_reason: Option<&str>) -> String {
        frame(&json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }))
    }

    pub fn text(text: &str) -> String {
        chunk_of(MODEL, &json!({"content": text}), None)
    }

    pub fn finish_of(model: &str) -> String {
        chunk_of(model, &json!({}), Some("stop"))
            + &frame(&json!({
                "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": [],
                "usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS},
            }))
    }

    pub fn last() -> String {
        "data: [DONE]\n\n".to_owned()
    }

    pub fn end() -> String {
        finish_of(MODEL) + &last()
    }

    pub fn refusal(refusal: Refusal, words: &str) -> (u16, Value) {
        let (status, kind, code) = match refusal {
            Refusal::RateLimited => (429, "requests", json!("rate_limit_exceeded")),
            Refusal::Failed => (500, "server_error", Value::Null),
            Refusal::Overloaded => (503, "server_error", json!("overloaded")),
            Refusal::ContextTooLong => {
                (400, "invalid_request_error", json!("context_length_exceeded"))
            }
            Refusal::ContentFiltered => {
                (400, "invalid_request_error", json!("content_policy_violation"))
            }
            Refusal::BadRequest => (400, "invalid_request_error", Value::Null),
            Refusal::BadKey => (401, "invalid_request_error", json!("invalid_api_key")),
        };
        (status, json!({"error": {"message": words, "type": kind, "param": null, "code": code}}))
    }
}

/// The wire format of OpenAI's Responses.
pub mod responses {
    use serde_json::{Value, json};

    use super::anthropic::frame;
    use super::{INPUT_TOKENS, OUTPUT_TOKENS};

    const MODEL: &str = "gpt-served";

    fn response(model: &str, status: &str, output: &Value) -> Value {
        json!({
            "id": "resp_1", "object": "response", "status": status, "model": model, "output": output,
            "error": null, "incomplete_details": null,
            "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
        })
    }

    pub fn start_of(model: &str) -> String {
        let created = response(model, "in_progress", &json!([]));
        frame(&json!({"type": "response.created", "response": created}))
    }

    pub fn text(text: &str) -> String {
        frame(&json!({
            "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": text,
        }))
    }

    pub fn function_call(index: usize, call: &super::AskedTool) -> String {
        frame(&json!({"type": "response.output_item.done", "output_index": index, "item": {
            "type": "function_call", "id": format!("fc_{index}"), "status": "completed",
            "call_id": call.id, "name": call.name, "arguments": call.arguments.to_string(),
        }}))
    }

    pub fn end_of(model: &str) -> String {
        let completed = response(model, "completed", &json!([]));
        frame(&json!({"type": "response.completed", "response": completed}))
    }

    pub fn end() -> String {
        end_of(MODEL)
    }

    pub fn answer_of(model: &str, text: &str) -> Value {
        let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
        let message = json!({
            "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": content,
        });
        response(model, "completed", &json!([message]))
    }
}

/// The wire format of Gemini.
pub mod gemini {
    use serde_json::{Value, json};

    use super::{INPUT_TOKENS, OUTPUT_TOKENS, Refusal};

    const MODEL: &str = "gemini-served";

    pub fn answer_of(model: &str, part: &Value, finish_reason: Option<&str>) -> Value {
        json!({
            "candidates": [{
                "content": {"parts": [part], "role": "model"},
                "finishReason": finish_reason, "index": 0,
            }],
            "usageMetadata": {"promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS},
            "modelVersion": model,
        })
    }

    pub fn chunk_of(model: &str, part: &Value, finish_reason: Option<&str>) -> String {
        format!("data: {}\n\n", answer_of(model, part, finish_reason))
    }

    pub fn chunk(part: &Value, finish_reason: Option<&str>) -> String {
        chunk_of(MODEL, part, finish_reason)
    }

    pub fn text(text: &str) -> String {
        chunk(&json!({"text": text}), None)
    }

    pub fn end() -> String {
        chunk(&json!({"text": ""}), Some("STOP"))
    }

    /// A prompt that the filter blocks is answered with 200.
    pub fn refusal(refusal: Refusal, words: &str) -> (u16, Value) {
        let error = |code: u16, status: &str, message: &str| {
            (code, json!({"error": {"code": code, "message": message, "status": status}}))
        };
        match refusal {
            Refusal::RateLimited => error(429, "RESOURCE_EXHAUSTED", words),
            Refusal::Failed => error(500, "INTERNAL", words),
            Refusal::Overloaded => error(503, "UNAVAILABLE", words),
            Refusal::ContextTooLong => {
                let message = format!(
                    "The input token count (9000) exceeds the maximum number of tokens allowed (8000). {words}"
                );
                error(400, "INVALID_ARGUMENT", &message)
            }
            Refusal::ContentFiltered => (
                200,
                json!({
                    "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
                    "usageMetadata": {"promptTokenCount": INPUT_TOKENS},
                }),
            ),
            Refusal::BadRequest => error(400, "INVALID_ARGUMENT", words),
            Refusal::BadKey => error(403, "PERMISSION_DENIED", words),
        }
    }
}
