//! Anthropic Messages on the wire: what each fixture means.

use serde_json::{Value, json};

use super::{ODD_ARGUMENTS, Wire, golden_tests, question, target};
use crate::chat::{ChatRequest, Message, Part, Tool};
use crate::provider::anthropic::Anthropic;

const WIRE: Wire = Wire { dialect: &Anthropic, folder: "anthropic" };

golden_tests! { WIRE, "claude-sonnet-5-5", "messages":
    plain_text_is_read
    parallel_tool_calls_keep_their_order
    empty_arguments_become_an_empty_object
    text_and_a_tool_call_share_an_answer
    thinking_is_kept_apart_from_text
    texts_stay_apart
    content_at_the_start_of_a_block_is_kept
    a_refusal_is_a_finish_reason
    a_length_stop_is_named
    a_call_cut_by_the_length_stop_is_dropped
    arguments_that_are_no_json_make_a_broken_call
    what_is_said_of_a_call_besides_is_kept
    cached_tokens_are_part_of_the_input
    unknown_events_and_fields_are_passed_over
    an_error_inside_the_stream_ends_it
    a_rate_limit_inside_the_stream_is_named
    an_error_of_another_kind_keeps_its_kind
    a_malformed_chunk_is_refused
    an_answer_without_a_stop_reason_is_truncated
    a_stream_without_message_stop_is_whole
}

fn with_breakpoints(count: usize) -> ChatRequest {
    let breakpoint = Some(json!({"type": "ephemeral", "ttl": "5m"}));
    let part = Part::Text { text: "Long.".to_owned(), cache_control: breakpoint };
    let message = Message { content: vec![part], ..Message::user("") };
    ChatRequest { system: "Be brief.".to_owned(), messages: vec![message; count], ..question() }
}

#[test]
fn the_callers_cache_breakpoints_are_kept() {
    let body = WIRE.encode(&target("claude-sonnet-5-5"), &with_breakpoints(1));
    assert_eq!(
        body["messages"][0]["content"],
        json!([{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral", "ttl": "5m"}}])
    );
    assert_eq!(body["system"][0]["cache_control"], json!({"type": "ephemeral"}));
}

/// The API refuses a breakpoint that lasts for an hour behind one that lasts for less; tools stand before ours.
#[test]
fn our_breakpoint_lasts_as_long_as_those_behind_it() {
    let lasting = Some(json!({"type": "ephemeral", "ttl": "1h"}));
    let mut request = with_breakpoints(1);
    request.tools = vec![Tool {
        name: "look".to_owned(),
        description: String::new(),
        parameters: json!({}),
        strict: None,
        cache_control: lasting.clone(),
    }];
    let ours = |request: &ChatRequest| {
        let body = WIRE.encode(&target("claude-sonnet-5-5"), request);
        body["system"][0]["cache_control"].clone()
    };
    assert_eq!(ours(&request), json!({"type": "ephemeral"}));
    request.messages[0].content =
        vec![Part::Text { text: "Long.".to_owned(), cache_control: lasting.clone() }];
    assert_eq!(Some(ours(&request)), lasting);
}

#[test]
fn our_breakpoint_is_not_the_one_too_many() {
    let body = WIRE.encode(&target("claude-sonnet-5-5"), &with_breakpoints(4));
    assert_eq!(body["system"][0].get("cache_control"), None::<&Value>);
}

#[test]
fn an_input_is_read_as_it_is_written() {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": "(ARGUMENTS)"});
    let answer = json!({"model": "m", "content": [call], "stop_reason": "tool_use"});
    assert_eq!(WIRE.called_with(&answer, ODD_ARGUMENTS), ODD_ARGUMENTS);
}

#[test]
fn what_was_said_of_a_call_goes_back() {
    WIRE.gives_back_what_was_said("claude-sonnet-5-5");
}

#[test]
fn a_model_is_held_to_the_schema_of_a_tool() {
    assert_eq!(
        WIRE.encode_strictness("claude-sonnet-5-5"),
        [Value::Null, Value::Null, json!(true)]
    );
}
