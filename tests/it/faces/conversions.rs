//! Every face over every provider's protocol: what a caller is told, and what a provider is sent.

use std::fmt::Write;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ANTHROPIC, OPENAI, RESPONSES, app, fixture, helper, pretty, told};
use crate::support::{Answer, FakeProvider, Refusal, Reply, Wire};

/// What a provider answers, by the name of the case.
type Case = (&'static str, fn(Wire) -> Reply);

const CASES: [Case; 7] = [
    ("text", |wire| Reply::events(&[fixture(wire, "plain_text_is_read")])),
    ("parallel tools", |wire| {
        Reply::events(&[fixture(wire, "parallel_tool_calls_keep_their_order")])
    }),
    ("thinking", |wire| Reply::events(&[fixture(wire, "thinking_is_kept_apart_from_text")])),
    ("refusal", |wire| Reply::events(&[fixture(wire, "a_refusal_is_a_finish_reason")])),
    ("length stop", |wire| Reply::events(&[fixture(wire, "a_length_stop_is_named")])),
    ("error in the middle", |wire| {
        Reply::events(&[wire.start("served"), wire.text("served", "Half an ans")]).then_cut()
    }),
    ("error before the first byte", |wire| {
        let (status, body) = wire.refusal(Refusal::RateLimited, "slow down");
        Reply::json(status, &body).with_header("retry-after", "7")
    }),
];

/// A face as these tests use it.
struct Spoken {
    path: &'static str,
    /// A request with a tool.
    request: Value,
    /// A request with everything that has a neutral word.
    rich: Value,
}

impl Spoken {
    /// What a caller is told in each case, in one piece and streamed.
    async fn answers(&self, pool: &PgPool, wire: Wire) -> String {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(pool, &provider, wire, &folder).start().await;
        let mut text = String::new();
        for (name, reply) in CASES {
            let mut streamed = self.request.clone();
            streamed["stream"] = json!(true);
            for (form, body) in [("in one piece", &self.request), ("streamed", &streamed)] {
                provider.replies(reply(wire));
                let answer = app.admin.post(self.path, body.clone()).await;
                check_headers(&answer);
                writeln!(text, "# {name}, {form}\n{}\n", told(&answer)).expect("a String");
            }
        }
        app.stop().await;
        text
    }

    /// What a provider is sent.
    async fn request(&self, pool: &PgPool, wire: Wire) -> String {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(pool, &provider, wire, &folder).start().await;
        provider.says(wire, "Yes.");
        let answer = app.admin.post(self.path, self.rich.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let sent = provider.received()[0].body.to_string();
        app.stop().await;
        pretty(&sent)
    }
}

#[track_caller]
fn check_headers(answer: &Answer) {
    assert!(!answer.header("x-request-id").is_empty());
    assert_eq!(answer.header("x-rolecall-agent"), "helper", "{}", answer.text);
    if answer.status == 429 {
        assert_eq!((answer.header("retry-after"), answer.header("x-should-retry")), ("7", "false"));
    }
}

const PNG: &str = "iVBORw0KGgo=";

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": false,
    })
}

/// The native protocol, which is in the table with the others.
fn runs() -> Spoken {
    let parameters = json!({"type": "object", "properties": {"location": {"type": "string"}}});
    let tools =
        json!([{"name": "get_weather", "description": "The weather.", "parameters": parameters}]);
    let call = |id: &str, arguments: Value| json!({"id": id, "name": "get_weather", "arguments": arguments});
    Spoken {
        path: "/v1/runs",
        request: json!({"agent": "helper", "input": "How is the weather?", "tools": tools}),
        rich: json!({
            "agent": "helper",
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "Where is this?"},
                    {"type": "image", "media_type": "image/png", "data": PNG},
                    {"type": "image_url", "url": "https://example.com/a.png"},
                ]},
                {"role": "assistant", "content": "Let me look.", "tool_calls": [
                    call("call_1", json!({"location": "Oslo"})), call("call_2", json!({})),
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "3 °C"},
                {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "19 °C"}]},
                {"role": "user", "content": "Go on"},
            ],
            "tools": tools,
            "tool_choice": {"name": "get_weather"},
            "max_tokens": 99,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 40,
            "stop": ["END"],
        }),
    }
}

fn chat_completions() -> Spoken {
    let parameters = json!({"type": "object", "properties": {"location": {"type": "string"}}});
    let function =
        json!({"name": "get_weather", "description": "The weather.", "parameters": parameters});
    let tools = json!([{"type": "function", "function": function}]);
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}});
    Spoken {
        path: "/v1/chat/completions",
        request: json!({
            "model": "helper",
            "messages": [{"role": "user", "content": "How is the weather?"}],
            "tools": tools,
            "stream_options": {"include_usage": true},
        }),
        rich: json!({
            "model": "helper",
            "messages": [
                {"role": "developer", "content": "Answer in French."},
                {"role": "user", "content": [
                    {"type": "text", "text": "Where is this?"},
                    {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                ]},
                {"role": "assistant", "content": null, "tool_calls": [
                    call("call_1", "{\"location\":\"Oslo\"}"), call("call_2", ""),
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "3 °C"},
                {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "19 °C"}]},
                {"role": "user", "content": "Go on"},
            ],
            "tools": tools,
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
            "parallel_tool_calls": false,
            "max_completion_tokens": 99,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 7,
            "stop": "END",
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "place", "strict": true, "schema": schema()},
            },
        }),
    }
}

fn responses() -> Spoken {
    let parameters = json!({"type": "object", "properties": {"location": {"type": "string"}}});
    let tools = json!([{
        "type": "function", "name": "get_weather", "description": "The weather.",
        "parameters": parameters, "strict": true,
    }]);
    let call = |id: &str, arguments: &str| json!({"type": "function_call", "call_id": id, "name": "get_weather", "arguments": arguments});
    let result = |id: &str, output: Value| json!({"type": "function_call_output", "call_id": id, "output": output});
    Spoken {
        path: "/v1/responses",
        request: json!({"model": "helper", "input": "How is the weather?", "tools": tools}),
        rich: json!({
            "model": "helper",
            "instructions": "Answer in French.",
            "input": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "input_text", "text": "Where is this?"},
                    {"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}")},
                    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
                ]},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "code"},
                {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "Hm."}]},
                {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                 "content": [{"type": "output_text", "text": "Let me look.", "annotations": []}]},
                call("call_1", "{\"location\":\"Oslo\"}"), call("call_2", ""),
                result("call_1", json!("3 °C")),
                result("call_2", json!([{"type": "input_text", "text": "19 °C"}])),
                {"role": "user", "content": "Go on"},
            ],
            "tools": tools,
            "tool_choice": {"type": "function", "name": "get_weather"},
            "parallel_tool_calls": false,
            "max_output_tokens": 99,
            "temperature": 0.5,
            "top_p": 0.9,
            "text": {
                "format": {"type": "json_schema", "name": "place", "strict": true, "schema": schema()},
                "verbosity": "low",
            },
            "reasoning": {"effort": "low"},
            "store": false,
        }),
    }
}

fn messages() -> Spoken {
    let input_schema = json!({"type": "object", "properties": {"location": {"type": "string"}}});
    let tools = json!([{
        "name": "get_weather", "description": "The weather.", "input_schema": input_schema,
        "cache_control": {"type": "ephemeral"},
    }]);
    let call = |id: &str, input: Value| json!({"type": "tool_use", "id": id, "name": "get_weather", "input": input});
    let result = |id: &str, content: Value| json!({"type": "tool_result", "tool_use_id": id, "content": content});
    let text = |text: &str| json!({"type": "text", "text": text});
    let mut failed = result("call_2", json!([text("no such place")]));
    failed["is_error"] = json!(true);
    Spoken {
        path: "/v1/messages",
        request: json!({
            "model": "helper",
            "max_tokens": 1000,
            "messages": [{"role": "user", "content": "How is the weather?"}],
            "tools": tools,
            "thinking": {"type": "enabled", "budget_tokens": 500},
        }),
        rich: json!({
            "model": "helper",
            "max_tokens": 99,
            "system": [
                {"type": "text", "text": "Answer in French.", "cache_control": {"type": "ephemeral"}},
                text("Be brief."),
            ],
            "messages": [
                {"role": "user", "content": [
                    text("Where is this?"),
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                ]},
                {"role": "system", "content": "It is late."},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "signed"},
                    {"type": "thinking", "thinking": "Of another model.", "signature": ""},
                    call("call_1", json!({"location": "Oslo"})), call("call_2", json!({})),
                ]},
                {"role": "user", "content": [result("call_1", json!("3 °C")), failed, text("Go on")]},
            ],
            "tools": tools,
            "tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": true},
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 40,
            "stop_sequences": ["END"],
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema()}},
        }),
    }
}

#[sqlx::test]
async fn messages_over_every_protocol(pool: PgPool) {
    for wire in Wire::ALL {
        let name = format!("messages_over_{}", wire.name());
        insta::assert_snapshot!(name, messages().answers(&pool, wire).await);
        let name = format!("message_sent_to_{}", wire.name());
        insta::assert_snapshot!(name, messages().request(&pool, wire).await);
    }
}

#[sqlx::test]
async fn chat_completions_over_every_protocol(pool: PgPool) {
    for wire in Wire::ALL {
        let name = format!("chat_completions_over_{}", wire.name());
        insta::assert_snapshot!(name, chat_completions().answers(&pool, wire).await);
        let name = format!("chat_completion_sent_to_{}", wire.name());
        insta::assert_snapshot!(name, chat_completions().request(&pool, wire).await);
    }
}

#[sqlx::test]
async fn responses_over_every_protocol(pool: PgPool) {
    for wire in Wire::ALL {
        let name = format!("responses_over_{}", wire.name());
        insta::assert_snapshot!(name, responses().answers(&pool, wire).await);
        let name = format!("response_sent_to_{}", wire.name());
        insta::assert_snapshot!(name, responses().request(&pool, wire).await);
    }
}

#[sqlx::test]
async fn runs_over_every_protocol(pool: PgPool) {
    for wire in Wire::ALL {
        let name = format!("runs_over_{}", wire.name());
        insta::assert_snapshot!(name, runs().answers(&pool, wire).await);
        let name = format!("run_sent_to_{}", wire.name());
        insta::assert_snapshot!(name, runs().request(&pool, wire).await);
    }
}

#[sqlx::test]
async fn what_a_caller_has_written_goes_to_the_same_protocol_byte_for_byte(pool: PgPool) {
    // Numbers beyond 64 bits, escapes that need none, and spaces.
    let unknown = r#"[1.50, 1E3,{"\u0061":  -0.0}]"#;
    let user = r#"{ "role" : "user",  "content" : "h\u00e9\/ \u0041", "n": 123456789012345678901234567890 }"#;
    let thinking = r#"{"role":"assistant", "content":[{"type":"thinking","thinking":"h\u00e9","signature":"s"}, {"type":"text","text":"A"}]}"#;
    let developer = r#"{"role": "developer", "content": "Be kind."}"#;
    let faces = [
        (OPENAI, "/v1/chat/completions", "messages", [developer, user]),
        (RESPONSES, "/v1/responses", "input", [user, r#"{ "type":"of_the_future", "n": 1.0 }"#]),
        (ANTHROPIC, "/v1/messages", "messages", [thinking, user]),
    ];
    for (wire, path, name, messages) in faces {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.says(wire, "Yes.");
        let body = format!(
            r#"{{"odd": {unknown}, "model": "helper","max_tokens": 9,"{name}":[{} , {}]}}"#,
            messages[0], messages[1]
        );
        let request = app.admin.request(reqwest::Method::POST, path).body(body);
        assert_eq!(Answer::read(request).await.status, 200, "{path}");
        let sent = &provider.received()[0];
        assert!(sent.text.contains(&format!(r#""odd":{unknown}"#)), "{}", sent.text);
        for message in messages.iter().filter(|message| **message != developer) {
            assert!(sent.text.contains(message), "{}", sent.text);
        }
        // Instructions at the beginning are joined with the agent's.
        assert_eq!(sent.body[name].as_array().map(Vec::len), Some(2), "{path}");
        app.stop().await;
    }
}

#[sqlx::test]
async fn texts_and_images_keep_their_order_over_every_protocol(pool: PgPool) {
    let text = |text: &str| json!({"type": "text", "text": text});
    let image = |name: &str| {
        let url = format!("https://example.com/{name}");
        json!({"type": "image", "source": {"type": "url", "url": url}})
    };
    let content = json!([
        text("Image 1:"),
        image("one.png"),
        text("Image 2:"),
        image("two.png"),
        text("Compare"),
    ]);
    for wire in Wire::ALL {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.says(wire, "Yes.");
        let messages = json!([{"role": "user", "content": content}]);
        let body = json!({"model": "helper", "max_tokens": 9, "messages": messages});
        assert_eq!(app.admin.post("/v1/messages", body).await.status, 200);
        let sent = provider.received()[0].text.clone();
        let words = ["Image 1:", "one.png", "Image 2:", "two.png", "Compare"];
        let places = words.map(|word| sent.find(word).expect("is sent"));
        assert!(places.is_sorted(), "{}: {sent}", wire.name());
        app.stop().await;
    }
}

#[sqlx::test]
async fn how_hard_to_think_is_said_in_either_of_openais_protocols(pool: PgPool) {
    let chat = json!({"model": "helper", "messages": [{"role": "user", "content": "Hello"}],
        "reasoning_effort": "high"});
    let response = json!({"model": "helper", "input": "Hello",
        "reasoning": {"effort": "high", "summary": "auto"}});
    for (path, body) in [("/v1/chat/completions", chat), ("/v1/responses", response)] {
        for (wire, model) in [(OPENAI, "gpt-5.5"), (RESPONSES, "gpt-5.5"), (OPENAI, "qwen3")] {
            let (provider, folder) = (FakeProvider::start().await, helper());
            let app = app(&pool, &provider, wire, &folder);
            let app = app.default_model(&format!("{}/{model}", wire.name())).start().await;
            provider.says(wire, "Yes.");
            assert_eq!(app.admin.post(path, body.clone()).await.status, 200);
            let sent = &provider.received()[0].body;
            let effort = if wire == OPENAI {
                &sent["reasoning_effort"]
            } else {
                &sent["reasoning"]["effort"]
            };
            // Models that are not known to think would refuse what another protocol's caller says to all.
            let is_said = model != "qwen3" || path == "/v1/chat/completions";
            assert_eq!(effort == "high", is_said, "{path} to {model}: {sent}");
            app.stop().await;
        }
    }
}

#[sqlx::test]
async fn what_is_no_object_says_nothing_of_how_hard_to_think(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).default_model("openai/gpt-5.5").start().await;
    provider.says(OPENAI, "Yes.");
    let odd = json!({"model": "helper", "input": "Hello", "reasoning": "high"});
    assert_eq!(app.admin.post("/v1/responses", odd).await.status, 200);
    assert_eq!(provider.received()[0].body.get("reasoning_effort"), None);
    app.stop().await;
}
