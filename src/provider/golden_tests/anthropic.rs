//! Anthropic Messages on the wire: what each fixture means.

use super::{Wire, golden_tests};
use crate::provider::anthropic::Anthropic;

const WIRE: Wire = Wire { dialect: &Anthropic, folder: "anthropic" };

golden_tests! { WIRE, "claude-sonnet-5-5":
    plain_text_is_read
    parallel_tool_calls_keep_their_order
    empty_arguments_become_an_empty_object
    text_and_a_tool_call_share_an_answer
    thinking_is_kept_apart_from_text
    content_at_the_start_of_a_block_is_kept
    a_refusal_is_a_finish_reason
    a_length_stop_is_named
    a_call_cut_by_the_length_stop_is_dropped
    arguments_that_are_no_json_are_refused
    cached_tokens_are_part_of_the_input
    unknown_events_and_fields_are_passed_over
    an_error_inside_the_stream_ends_it
    a_rate_limit_inside_the_stream_is_named
    an_error_of_another_kind_keeps_its_kind
    a_malformed_chunk_is_refused
    an_answer_without_a_stop_reason_is_truncated
    a_stream_without_message_stop_is_whole
}
