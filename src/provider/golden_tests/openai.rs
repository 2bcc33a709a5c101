//! OpenAI Chat Completions on the wire, and what the servers make of it that speak it too.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{ODD_ARGUMENTS, Wire, conversation, golden_tests, question, target};
use crate::chat::{ChatRequest, Inbound, Message, Part, Protocol, ToolCall, WrittenJson};
use crate::provider::openai::OpenAi;

const WIRE: Wire = Wire { dialect: &OpenAi, folder: "openai" };

golden_tests! { WIRE, "gpt-5.5", "messages":
    plain_text_is_read
    parallel_tool_calls_keep_their_order
    calls_that_share_an_index_stay_apart
    empty_arguments_become_an_empty_object
    text_and_a_tool_call_share_an_answer
    thinking_is_kept_apart_from_text
    thinking_under_both_of_its_names_is_read_once
    a_refusal_is_a_finish_reason
    a_content_filter_is_a_refusal
    a_length_stop_is_named
    a_call_cut_by_the_length_stop_is_dropped
    arguments_that_are_no_json_make_a_broken_call
    arguments_that_arrive_as_an_object_are_read
    what_is_said_of_a_call_besides_is_kept
    calls_of_other_types_are_kept
    a_call_of_another_type_cut_by_the_length_stop_is_dropped
    content_that_arrives_in_parts_is_joined
    cached_tokens_are_part_of_the_input
    a_message_that_repeats_the_deltas_is_passed_over
    a_stream_without_done_is_whole
    empty_finish_reasons_do_not_end_an_answer
    null_fields_mean_nothing
    unknown_events_and_fields_are_passed_over
    an_error_inside_the_stream_ends_it
    a_rate_limit_inside_the_stream_is_named
    an_overload_inside_the_stream_is_named
    a_long_context_inside_the_stream_is_named
    a_content_filter_inside_the_stream_is_named
    a_spent_quota_inside_the_stream_is_named
    numeric_error_codes_are_read
    a_malformed_chunk_is_refused
    an_answer_without_a_finish_reason_is_truncated
}

#[test]
fn only_openais_own_models_take_max_completion_tokens() {
    let keys = |model: &str| {
        let body = WIRE.encode(&target(model), &conversation());
        ["max_tokens", "max_completion_tokens"].map(|key| body.get(key).is_some())
    };
    assert_eq!(["gpt-5.5", "o3-mini"].map(keys), [[false, true]; 2]);
    assert_eq!(["qwen3-32b", "llama-4"].map(keys), [[true, false]; 2]);
}

/// As a text, and as the object that some servers send.
#[test]
fn arguments_are_read_as_they_are_written() {
    let function = json!({"name": "look", "arguments": "(ARGUMENTS)"});
    let call = json!({"id": "call_1", "type": "function", "function": function});
    let answer = json!({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "stop"}]});
    let as_text = serde_json::to_string(&format!(" {ODD_ARGUMENTS}\n")).expect("is a text");
    assert_eq!(WIRE.called_with(&answer, &as_text), format!(" {ODD_ARGUMENTS}\n"));
    assert_eq!(WIRE.called_with(&answer, ODD_ARGUMENTS), ODD_ARGUMENTS);
}

#[test]
fn what_was_said_of_a_call_goes_back() {
    WIRE.gives_back_what_was_said("gemini-3.5-flash");
}

/// Gemini's newer models refuse a step whose first call has no signature, over this protocol too.
#[test]
fn calls_of_another_model_are_excused_where_signatures_are_checked() {
    let stand_in = json!({"google": {"thought_signature": "skip_thought_signature_validator"}});
    let call = |id: &str| ToolCall::new(id, "look", WrittenJson::empty_object());
    let neutral = ChatRequest {
        messages: vec![
            Message::user("Look"),
            Message::assistant(Vec::new(), vec![call("a"), call("b")]),
            Message::tool_result("a".to_owned(), vec![Part::text("1")], false),
            Message::tool_result("b".to_owned(), vec![Part::text("2")], false),
        ],
        ..question()
    };
    let signatures = |model: &str, request: &ChatRequest| {
        let body = WIRE.encode(&target(model), request);
        let messages = body["messages"].as_array().expect("messages").clone();
        let calls = messages.iter().filter_map(|message| message["tool_calls"].as_array());
        calls.flatten().map(|call| call["extra_content"].clone()).collect::<Vec<_>>()
    };
    for model in ["gemini-3.5-flash", "google/gemini-3-pro", "gemini-flash-latest"] {
        assert_eq!(signatures(model, &neutral), [stand_in.clone(), Value::Null], "{model}");
    }
    for model in ["gemini-2.5-pro", "gpt-5.5", "qwen3"] {
        assert_eq!(signatures(model, &neutral), [Value::Null, Value::Null], "{model}");
    }
    let mut signed = neutral.clone();
    signed.messages[1].tool_calls[0].signature = Some("own".to_owned());
    let own = json!({"google": {"thought_signature": "own"}});
    assert_eq!(signatures("gemini-3.5-flash", &signed)[0], own);

    // In a caller's own words, of which all else stays as it is.
    let function = json!({"name": "look", "arguments": "{}"});
    let call = |further: Value| {
        let mut call = json!({"id": "a", "type": "function", "function": function, "x": 1});
        call["extra_content"] = further;
        json!({"role": "assistant", "content": null, "y": 2, "tool_calls": [call]})
    };
    let encode = |model: &str, message: &Value| {
        let messages = json!([{"role": "user", "content": "Look"}, message]).to_string();
        let inbound = Inbound {
            protocol: Protocol::ChatCompletions,
            body: [("messages".into(), messages.into())].into_iter().collect(),
            headers: Vec::new(),
            first_message: 0,
            message_count: neutral.messages.len(),
            leading_instructions: 0,
            tool_count: 0,
            own_tools: Vec::new(),
        };
        let request = ChatRequest {
            inbound: Some(Arc::new(inbound)),
            system: String::new(),
            ..neutral.clone()
        };
        WIRE.encode(&target(model), &request)["messages"][1].clone()
    };
    let bare = call(Value::Null);
    let excused = encode("gemini-3.5-flash", &bare);
    assert_eq!(excused, call(stand_in.clone()));
    assert_eq!(encode("gpt-5.5", &bare), bare);
    for signer in ["google", "vertex"] {
        let signed = call(json!({signer: {"thought_signature": "own"}}));
        assert_eq!(encode("gemini-3.5-flash", &signed), signed);
    }
}

#[test]
fn a_model_is_held_to_the_schema_of_a_tool() {
    assert_eq!(WIRE.encode_strictness("gpt-5.5"), [Value::Null, Value::Null, json!(true)]);
}
