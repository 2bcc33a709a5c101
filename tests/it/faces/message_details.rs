//! What Anthropic says beside the words that all protocols have, to a caller of its own protocol.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ANTHROPIC, app, frames, helper};
use crate::support::{FakeProvider, Reply, TestApp, anthropic};

const PATH: &str = "/v1/messages";

fn request(is_streaming: bool) -> Value {
    json!({
        "model": "helper",
        "max_tokens": 100,
        "stream": is_streaming,
        "messages": [{"role": "user", "content": "Hello"}],
    })
}

fn start(usage: &Value) -> String {
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage});
    anthropic::frame(&json!({"type": "message_start", "message": message}))
}

/// A block, from its start over its pieces to its end.
fn block(index: u64, start: &Value, deltas: &[Value]) -> String {
    let pieces = deltas.iter().map(|delta| {
        anthropic::frame(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
    });
    let start = json!({"type": "content_block_start", "index": index, "content_block": start});
    let stop = json!({"type": "content_block_stop", "index": index});
    std::iter::once(anthropic::frame(&start))
        .chain(pieces)
        .chain([anthropic::frame(&stop)])
        .collect()
}

fn text_block(index: u64, text: &str, cited: Option<&str>) -> String {
    let citation =
        cited.map(|cited| json!({"type": "citations_delta", "citation": {"cited_text": cited}}));
    let deltas: Vec<Value> =
        [json!({"type": "text_delta", "text": text})].into_iter().chain(citation).collect();
    block(index, &json!({"type": "text", "text": ""}), &deltas)
}

fn end(usage: &Value) -> String {
    let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
    let applied = json!({"applied_edits": []});
    anthropic::frame(
        &json!({"type": "message_delta", "delta": delta, "usage": usage, "context_management": applied}),
    )
}

/// The message that a caller has of these events, and the events that another one has.
async fn told(app: &TestApp, provider: &FakeProvider, events: &[String]) -> (Value, Vec<Value>) {
    provider.replies(Reply::events(events));
    let whole = app.admin.post(PATH, request(false)).await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    provider.replies(Reply::events(events));
    let streamed = app.admin.post(PATH, request(true)).await.text;
    let streamed = frames(&streamed)
        .into_iter()
        .map(|(_, data)| serde_json::from_str(&data).expect("is JSON"))
        .collect();
    (whole.body, streamed)
}

#[sqlx::test]
async fn texts_stay_apart_with_what_each_goes_back_to(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, ANTHROPIC, &folder).start().await;
    let events = [
        start(&json!({"input_tokens": 5})),
        text_block(0, "By the page, ", None),
        text_block(1, "grass is green", Some("Grass is green.")),
        text_block(2, " and ", None),
        text_block(3, "the sky is blue", Some("The sky is blue.")),
        end(&json!({"output_tokens": 9})),
        anthropic::last(),
    ];
    let (whole, streamed) = told(&app, &provider, &events).await;
    let cited = |text: &str, cited: &str| json!({"type": "text", "text": text, "citations": [{"cited_text": cited}]});
    let blocks = json!([
        {"type": "text", "text": "By the page, "},
        cited("grass is green", "Grass is green."),
        {"type": "text", "text": " and "},
        cited("the sky is blue", "The sky is blue."),
    ]);
    assert_eq!(whole["content"], blocks);
    let places = |kind: &str| {
        let events = streamed.iter().filter(|event| event["type"] == kind);
        events.map(|event| event["index"].as_u64()).collect::<Vec<_>>()
    };
    let each_once = [Some(0), Some(1), Some(2), Some(3)];
    assert_eq!(places("content_block_start"), each_once);
    assert_eq!(places("content_block_stop"), each_once);
    let citation = streamed.iter().find(|event| event["delta"]["type"] == "citations_delta");
    assert_eq!(citation.expect("is told")["index"], 1);
    app.stop().await;
}

#[sqlx::test]
async fn details_of_usage_and_end_are_told_beside_the_sums(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, ANTHROPIC, &folder);
    let app = app.default_model("anthropic/claude-sonnet-5-5").start().await;
    let written = json!({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7});
    let events = [
        start(&json!({
            "input_tokens": 5, "cache_creation_input_tokens": 7, "output_tokens": 1,
            "cache_creation": written, "service_tier": "standard",
        })),
        text_block(0, "Found.", None),
        end(&json!({"output_tokens": 9, "server_tool_use": {"web_search_requests": 1}})),
        anthropic::last(),
    ];
    let (whole, streamed) = told(&app, &provider, &events).await;
    let usage = json!({
        "input_tokens": 5,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 0,
        "output_tokens": 9,
        "cache_creation": written,
        "service_tier": "standard",
        "server_tool_use": {"web_search_requests": 1},
    });
    assert_eq!(whole["usage"], usage);
    assert_eq!(whole["context_management"], json!({"applied_edits": []}));
    let end = streamed.iter().find(|event| event["type"] == "message_delta").expect("ends");
    assert_eq!(end["usage"], usage);
    assert_eq!(end["context_management"], json!({"applied_edits": []}));
    // Each of the two runs: 5 × 2, 7 × 4 for what is kept for an hour, and 9 × 10 dollars for a million.
    let sums = app.admin.get("/admin/v1/usage").await.body;
    let cost = sums["items"][0]["cost_usd"].as_f64().expect("is known");
    assert!((cost - 0.000_256).abs() < 1e-9, "{sums}");
    assert_eq!(end["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
    app.stop().await;
}

#[sqlx::test]
async fn pieces_of_an_unknown_kind_are_put_together(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, ANTHROPIC, &folder).start().await;
    let piece = |text: &str| json!({"type": "compaction_delta", "content": text});
    let events = [
        start(&json!({"input_tokens": 5})),
        block(0, &json!({"type": "compaction", "content": null}), &[piece("So "), piece("far.")]),
        text_block(1, "Yes.", None),
        end(&json!({"output_tokens": 9})),
        anthropic::last(),
    ];
    let (whole, _) = told(&app, &provider, &events).await;
    assert_eq!(whole["content"][0], json!({"type": "compaction", "content": "So far."}));
    app.stop().await;
}

/// The API refuses a breakpoint that lasts for an hour behind one that lasts for less, and one of its own where another
/// time is set.
#[sqlx::test]
async fn breakpoints_of_ours_last_as_the_callers_do_and_leave_theirs_alone(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, ANTHROPIC, &folder).start().await;
    let lasting = json!({"type": "ephemeral", "ttl": "1h"});
    let sent = async |place: &str, value: &Value| {
        let mut body = request(false);
        body["messages"] = json!([
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "own", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1", "cache_control": null}]},
        ]);
        (body["system"], body["cache_control"]) = (Value::Null, Value::Null);
        *body.pointer_mut(place).expect("is there") = value.clone();
        provider.says(ANTHROPIC, "Yes.");
        let answer = app.admin.post(PATH, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let sent = provider.received().last().expect("was asked").body.clone();
        let ours = sent["system"][0]["cache_control"].clone();
        (ours, sent["messages"][2]["content"][0]["cache_control"].clone())
    };
    let usual = json!({"type": "ephemeral"});
    assert_eq!(sent("/stream", &json!(false)).await, (usual.clone(), usual.clone()));
    let system = json!([{"type": "text", "text": "Be kind.", "cache_control": lasting}]);
    assert_eq!(sent("/system", &system).await, (lasting.clone(), usual));
    assert_eq!(sent("/cache_control", &lasting).await, (lasting.clone(), Value::Null));
    let theirs = sent("/messages/2/content/0/cache_control", &lasting).await;
    assert_eq!(theirs, (lasting.clone(), lasting));
    app.stop().await;
}
