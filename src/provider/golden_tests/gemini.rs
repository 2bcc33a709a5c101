//! Gemini's `generateContent` on the wire: what each fixture means.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{ODD_ARGUMENTS, Wire, conversation, golden_tests, target};
use crate::chat::{ChatEvent, ChatRequest, FinishReason, Message, Role, ToolCall};
use crate::provider::dialect::Dialect;
use crate::provider::gemini::Gemini;
use crate::provider::{ProviderError, Target};

const WIRE: Wire =
    Wire { dialect: &Gemini { new_call_id: |number| format!("call_{number}") }, folder: "gemini" };

golden_tests! { WIRE, "gemini-3.5-flash", "contents":
    plain_text_is_read
    parallel_tool_calls_keep_their_order
    a_call_keeps_its_id_and_its_signature
    empty_arguments_become_an_empty_object
    text_and_a_tool_call_share_an_answer
    thinking_is_kept_apart_from_text
    a_refusal_is_a_finish_reason
    a_blocked_prompt_is_a_refusal
    a_length_stop_is_named
    cached_tokens_are_part_of_the_input
    usage_after_the_finish_reason_counts
    a_list_of_chunks_is_one_answer
    empty_finish_reasons_do_not_end_an_answer
    null_fields_mean_nothing
    unknown_events_and_fields_are_passed_over
    an_error_inside_the_stream_ends_it
    a_rate_limit_inside_the_stream_is_named
    an_overload_inside_the_stream_is_named
    an_overload_outside_of_any_event_is_named
    a_long_context_inside_the_stream_is_named
    a_malformed_call_is_an_error
    a_malformed_chunk_is_refused
    an_answer_without_a_finish_reason_is_truncated
}

#[test]
fn each_finish_reason_has_its_meaning() {
    let meaning = |reason: &str| {
        let answer = json!({"candidates": [{"finishReason": reason}]}).to_string();
        let events = WIRE.dialect.decode_answer(answer.as_bytes()).expect("is an answer");
        let [ChatEvent::Finished(reason)] = events[..] else { panic!("{reason}: {events:?}") };
        reason
    };
    for reason in [
        "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_RECITATION",
    ] {
        assert_eq!(meaning(reason), FinishReason::Refusal, "{reason}");
    }
    for reason in ["LANGUAGE", "OTHER", "NEWER_THAN_US"] {
        assert_eq!(meaning(reason), FinishReason::Other, "{reason}");
    }
}

#[test]
fn what_the_model_could_not_write_is_no_end() {
    for reason in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"] {
        let parts = json!([{"text": "Let me look."}]);
        let answer = json!({"candidates": [{"content": {"parts": parts}, "finishReason": reason}]});
        let error = WIRE.dialect.decode_answer(answer.to_string().as_bytes());
        assert!(
            matches!(&error, Err(ProviderError::FailedInStream { kind }) if kind == reason),
            "{error:?}"
        );
    }
}

#[test]
fn ids_that_we_make_differ_over_all_answers() {
    let id = || {
        let call = r#"{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}}]}"#;
        let events = Gemini::WITH_UNIQUE_IDS.decode_answer(call.as_bytes()).expect("is an answer");
        let [ChatEvent::ToolCall(call)] = events.as_slice() else { panic!("{events:?}") };
        call.id.clone()
    };
    let (one, other) = (id(), id());
    assert!(one != other && one.starts_with("call_"), "{one}, {other}");
    // OpenAI takes no longer ones, and a conversation may move there.
    assert!(one.len() <= 40, "{one}");
}

#[test]
fn an_error_tells_itself_when_to_come_back() {
    let read =
        |name: &str| std::fs::read(WIRE.folder().join("errors").join(name)).expect("is there");
    let limited = read("429_rate_limited.json");
    let error =
        WIRE.dialect.decode_error(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), &limited);
    assert!(
        matches!(error, ProviderError::RateLimited { retry_after: Some(delay) } if delay == Duration::from_secs(37)),
        "{error:?}"
    );
}

#[test]
fn a_models_name_is_one_segment_of_the_path() {
    let path =
        |model: &str, stream| WIRE.dialect.path(&Target { stream, ..target(model) }).into_owned();
    let base = "/v1beta/models";
    assert_eq!(path("gemini-x", true), format!("{base}/gemini-x:streamGenerateContent?alt=sse"));
    assert_eq!(path("models/gemini-x", false), format!("{base}/gemini-x:generateContent"));
    assert_eq!(
        path("../a?b#c:d%20 é", false),
        format!("{base}/..%2Fa%3Fb%23c%3Ad%2520%20%C3%A9:generateContent")
    );
}

/// The parts of each content.
fn parts_of(model: &str, messages: Vec<Message>) -> Vec<Value> {
    let request = ChatRequest { messages, ..conversation() };
    let body = WIRE.encode(&target(model), &request);
    let contents = body["contents"].as_array().expect("contents are a list");
    contents.iter().map(|content| content["parts"].clone()).collect()
}

fn asks(calls: &[(&str, Value, Option<&str>)]) -> Message {
    let call = |(id, arguments, signature): &(&str, Value, Option<&str>)| ToolCall {
        signature: signature.map(str::to_owned),
        ..ToolCall::new(*id, format!("{id}_function"), arguments.clone())
    };
    let tool_calls = calls.iter().map(call).collect();
    Message { role: Role::Assistant, tool_calls, ..Message::user("") }
}

fn answers(id: &str, text: &str) -> Message {
    Message { role: Role::Tool, tool_call_id: Some(id.to_owned()), ..Message::user(text) }
}

#[test]
fn signatures_go_back_where_they_came_from() {
    let signed = asks(&[("a", json!({}), Some("EoYC")), ("b", json!({}), None)]);
    let parts = parts_of("gemini-3.5-flash", vec![signed]);
    assert_eq!(parts[0][0]["thoughtSignature"], "EoYC");
    assert_eq!(parts[0][1].get("thoughtSignature"), None);
}

#[test]
fn calls_of_another_model_are_excused_where_signatures_are_checked() {
    let stand_in = |model: &str| {
        let unsigned = asks(&[("a", json!({}), None), ("b", json!({}), Some(""))]);
        let parts = parts_of(model, vec![unsigned]);
        assert_eq!(parts[0][1].get("thoughtSignature"), None);
        parts[0][0].get("thoughtSignature").cloned()
    };
    for model in
        ["gemini-3.5-flash", "models/gemini-3-pro", "gemini-4-argon", "gemini-flash-latest"]
    {
        assert_eq!(stand_in(model), Some(json!("skip_thought_signature_validator")), "{model}");
    }
    for model in ["gemini-2.5-pro", "gemini-1.5-flash", "gemma-3-27b-it"] {
        assert_eq!(stand_in(model), None, "{model}");
    }
}

#[test]
fn arguments_and_results_are_objects() {
    let calls = [("a", json!(null), None), ("b", json!([1, 2]), None)];
    let results = [answers("a", r#"{"degrees": 3}"#), answers("b", "[1, 2]"), answers("a", "")];
    let messages = [vec![asks(&calls)], results.to_vec()].concat();
    let parts = parts_of("gemini-2.5-pro", messages);
    let arguments = |index: usize| &parts[0][index]["functionCall"]["args"];
    assert_eq!((arguments(0), arguments(1)), (&json!({}), &json!({"arguments": [1, 2]})));
    let responses: Vec<&Value> =
        (0..3).map(|index| &parts[1][index]["functionResponse"]["response"]).collect();
    assert_eq!(
        responses,
        [&json!({"degrees": 3}), &json!({"result": "[1, 2]"}), &json!({"result": ""})]
    );
}

#[test]
fn a_result_names_the_function_of_the_nearest_call_before() {
    let mut renamed = asks(&[("a", json!({}), None)]);
    renamed.tool_calls[0].name = "newer".to_owned();
    let messages =
        vec![asks(&[("a", json!({}), None)]), answers("a", "1"), renamed, answers("a", "2")];
    let parts = parts_of("gemini-2.5-pro", messages);
    assert_eq!(parts[1][0]["functionResponse"]["name"], "a_function");
    assert_eq!(parts[3][0]["functionResponse"]["name"], "newer");
}

#[test]
fn arguments_are_read_as_they_are_written() {
    let call = json!({"functionCall": {"name": "look", "args": "(ARGUMENTS)"}});
    let answer = json!({"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]});
    assert_eq!(WIRE.called_with(&answer, ODD_ARGUMENTS), ODD_ARGUMENTS);
}
