//! OpenAI Responses on the wire, and what the servers make of it that speak it too.

use serde_json::json;

use super::{ODD_ARGUMENTS, Wire, golden_tests, question, target};
use crate::chat::{ChatRequest, Message, Parameters, Role};
use crate::provider::responses::Responses;

const WIRE: Wire = Wire { dialect: &Responses, folder: "responses" };

golden_tests! { WIRE, "gpt-5.5", "input":
    plain_text_is_read
    parallel_tool_calls_keep_their_order
    calls_that_end_in_another_order_keep_theirs
    calls_that_share_an_index_stay_apart
    calls_that_share_an_item_id_stay_apart
    empty_arguments_become_an_empty_object
    text_and_a_tool_call_share_an_answer
    messages_of_one_answer_stand_apart
    thinking_is_kept_apart_from_text
    raw_thinking_is_read
    encrypted_thinking_is_kept
    a_refusal_is_a_finish_reason
    a_content_filter_is_a_refusal
    a_length_stop_is_named
    a_length_stop_before_any_word_is_named
    a_call_cut_by_the_length_stop_is_dropped
    a_call_cut_before_its_arguments_is_dropped
    a_completion_that_is_none_is_seen_through
    arguments_that_are_no_json_make_a_broken_call
    what_is_said_of_a_call_besides_is_kept
    arguments_that_arrive_as_an_object_are_read
    cached_tokens_are_part_of_the_input
    words_that_come_only_with_their_item_are_read
    words_that_come_only_with_the_response_are_read
    words_that_the_deltas_left_out_are_read
    types_in_the_event_line_alone_are_read
    item_ids_that_change_with_every_event_are_followed
    events_that_name_no_item_are_followed
    null_fields_mean_nothing
    unknown_events_and_fields_are_passed_over
    an_error_inside_the_stream_ends_it
    an_error_event_without_an_object_is_read
    an_error_without_a_type_is_read
    a_failed_response_is_an_error
    a_failed_response_without_a_reason_is_an_error
    a_rate_limit_inside_the_stream_is_named
    a_spent_quota_inside_the_stream_is_named
    an_overload_inside_the_stream_is_named
    a_long_context_inside_the_stream_is_named
    a_refused_prompt_inside_the_stream_is_named
    a_malformed_chunk_is_refused
    an_answer_without_its_last_event_is_truncated
}

#[test]
fn a_limit_below_the_least_is_raised_to_it() {
    let limit = |max_tokens| {
        let parameters = Parameters { max_tokens: Some(max_tokens), ..Parameters::default() };
        let body = WIRE.encode(&target("gpt-5.5"), &ChatRequest { parameters, ..question() });
        body["max_output_tokens"].as_u64()
    };
    assert_eq!([1, 16, 17].map(limit), [Some(16), Some(16), Some(17)]);
}

#[test]
fn a_message_that_says_nothing_is_left_out() {
    let silent = Message { role: Role::Assistant, ..Message::user("") };
    let messages = vec![Message::user("Hello?"), silent, Message::user("Anyone?")];
    let body = WIRE.encode(&target("gpt-5.5"), &ChatRequest { messages, ..question() });
    assert_eq!(body["input"].as_array().map(Vec::len), Some(2));
}

/// As a text, and as the object that some servers send.
#[test]
fn arguments_are_read_as_they_are_written() {
    let call = json!({"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "(ARGUMENTS)"});
    let answer = json!({"status": "completed", "output": [call]});
    let as_text = serde_json::to_string(&format!(" {ODD_ARGUMENTS}\n")).expect("is a text");
    assert_eq!(WIRE.called_with(&answer, &as_text), format!(" {ODD_ARGUMENTS}\n"));
    assert_eq!(WIRE.called_with(&answer, ODD_ARGUMENTS), ODD_ARGUMENTS);
}

#[test]
fn what_was_said_of_a_call_goes_back() {
    WIRE.gives_back_what_was_said("gpt-5.5");
}

#[test]
fn a_model_is_held_to_the_schema_of_a_tool() {
    assert_eq!(WIRE.encode_strictness("gpt-5.5"), [false, false, true]);
}
