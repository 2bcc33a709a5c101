//! How long a prompt is, and what leaves it if it is too long. Pure.

use std::sync::Arc;

use crate::chat::{ChatRequest, Message, Part, Role, join_instructions};

/// What an image counts: about as much as vendors charge for one of the usual size.
const IMAGE_TOKENS: usize = 1_600;

/// What is longer, and no text, is a file or an image.
const LONGEST_WORD: usize = 1_000;

/// What is around the words of each message.
const MESSAGE_TOKENS: usize = 4;

/// Tokens that are kept free for an answer whose length nobody has said: as much as a dialect asks for by itself.
pub const ANSWER_TOKENS: u32 = 32_768;

/// Roughly how many tokens a request has.
pub fn estimate_tokens(request: &ChatRequest) -> usize {
    fixed_tokens(request) + request.messages.iter().map(message_tokens).sum::<usize>()
}

/// Leaves out the oldest exchanges until the rest and an answer fit the model's context: whole ones, each a request of
/// the user with all that came of it, so that no result is left without its call. What is asked now stays whatever it
/// is. True if any has left.
pub fn shorten(request: &mut ChatRequest, context_tokens: u32) -> bool {
    let context = usize::try_from(context_tokens).unwrap_or(usize::MAX);
    let asked = request.parameters.max_tokens.and_then(|tokens| usize::try_from(tokens).ok());
    let assumed = usize::try_from(ANSWER_TOKENS).unwrap_or(usize::MAX);
    let answer = asked.unwrap_or(assumed.min(context / 4)).min(context / 2);
    // An estimate is wrong by some.
    let room = (context - answer) / 10 * 9;
    let room = room.saturating_sub(fixed_tokens(request));
    let lengths: Vec<usize> = request.messages.iter().map(message_tokens).collect();
    let Some(excess) = lengths.iter().sum::<usize>().checked_sub(room).filter(|excess| *excess > 0)
    else {
        return false;
    };
    // More leaves than has to, so that the next requests begin with the same messages, and the provider's cache holds.
    let step = (room / 4).max(1);
    let leaving = excess.div_ceil(step) * step;
    let mut left = 0;
    let mut first = 0;
    for start in exchange_starts(&request.messages) {
        left += lengths[first..start].iter().sum::<usize>();
        first = start;
        if left >= leaving {
            break;
        }
    }
    request.messages.drain(..first);
    if let Some(inbound) = request.inbound.as_mut().filter(|_| first > 0) {
        let inbound = Arc::make_mut(inbound);
        inbound.first_message = inbound.first_message.saturating_sub(first);
    }
    first > 0
}

/// Where exchanges begin: at the user's messages, several in a row being one request.
fn exchange_starts(messages: &[Message]) -> impl Iterator<Item = usize> {
    let is_user = |place: usize| messages[place].role == Role::User;
    (1..messages.len()).filter(move |place| is_user(*place) && !is_user(place - 1))
}

/// What is in front of the messages.
fn fixed_tokens(request: &ChatRequest) -> usize {
    let tools = request.tools.iter();
    let tools: usize = tools
        .map(|tool| text_tokens(&tool.description) + text_tokens(&tool.parameters.to_string()))
        .sum();
    text_tokens(&join_instructions(&request.system, &request.instructions)) + tools
}

fn message_tokens(message: &Message) -> usize {
    let content: usize = message.content.iter().map(part_tokens).sum();
    let calls: usize =
        message.tool_calls.iter().map(|call| text_tokens(call.arguments.as_str())).sum();
    MESSAGE_TOKENS + content + calls
}

fn part_tokens(part: &Part) -> usize {
    match part {
        Part::Text { text, .. } | Part::Instructions { text } => text_tokens(text),
        Part::Image { .. } | Part::ImageUrl { .. } => IMAGE_TOKENS,
        Part::Thought(thought) => text_tokens(&thought.block.to_string()),
        Part::Foreign(item) => written_tokens(&item.item),
    }
}

/// Of JSON as it is written. The bytes of a file in it count as an image does.
fn written_tokens(written: &str) -> usize {
    let is_data = |piece: &str| piece.len() > LONGEST_WORD && !piece.contains(' ');
    let pieces = written.split('"');
    pieces.map(|piece| if is_data(piece) { IMAGE_TOKENS } else { text_tokens(piece) }).sum()
}

/// A quarter of the characters of ASCII, which suits English and code; of others each may be a token.
fn text_tokens(text: &str) -> usize {
    if text.is_ascii() {
        return text.len().div_ceil(4);
    }
    let characters = text.chars().count();
    let ascii = text.bytes().filter(u8::is_ascii).count();
    ascii.div_ceil(4) + (characters - ascii)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{estimate_tokens, shorten};
    use crate::chat::{ChatRequest, Message, Parameters, Part, ToolCall};

    fn request(messages: Vec<Message>) -> ChatRequest {
        ChatRequest {
            system: "Help.".to_owned(),
            messages,
            parameters: Parameters { max_tokens: Some(100), ..Parameters::default() },
            ..ChatRequest::default()
        }
    }

    /// Three messages of about 300 tokens in all.
    fn exchange(number: usize) -> Vec<Message> {
        let arguments = json!({"q": "x".repeat(400)});
        let call = ToolCall::new("1", "look", arguments);
        let found = vec![Part::text("y".repeat(400))];
        vec![
            Message::user(format!("{number} {}", "z".repeat(400))),
            Message::assistant(Vec::new(), vec![call]),
            Message::tool_result("1".into(), found, false),
        ]
    }

    fn numbers(request: &ChatRequest) -> Vec<String> {
        let texts = request.messages.iter().map(|message| message.text().into_owned());
        texts.filter(|text| text.contains('z')).map(|text| text[..1].to_owned()).collect()
    }

    #[test]
    fn whole_exchanges_leave_the_oldest_first() {
        let messages = |count| (0..count).flat_map(exchange).collect();
        let mut short = request(messages(3));
        assert!(!shorten(&mut short, 1_500));
        assert_eq!(numbers(&short), ["0", "1", "2"]);
        let mut long = request(messages(6));
        assert!(shorten(&mut long, 1_500));
        assert!(estimate_tokens(&long) + 100 <= 1_500);
        assert_eq!(numbers(&long), ["3", "4", "5"]);
        // The next request begins with the same messages.
        let mut longer =
            request(messages(6).into_iter().chain([Message::user("Thanks")]).collect());
        assert!(shorten(&mut longer, 1_500));
        assert_eq!(longer.messages[..9], long.messages[..]);
    }

    #[test]
    fn what_is_asked_now_stays_with_its_calls() {
        let mut huge = request(exchange(0).into_iter().chain(exchange(1)).collect());
        assert!(shorten(&mut huge, 200));
        assert_eq!(huge.messages, exchange(1));
        assert!(!shorten(&mut huge, 200), "nothing is left that could leave");
        let mut two = request(vec![Message::user("z"), Message::user("z".repeat(2_000))]);
        assert!(!shorten(&mut two, 200), "messages in a row are one request");
    }

    #[test]
    fn other_scripts_and_images_count_more() {
        let tokens = |message| estimate_tokens(&request(vec![message]));
        assert!(tokens(Message::user("漢字漢字")) > tokens(Message::user("four")));
        let mut image = Message::user("");
        image.content = vec![Part::Image { media_type: "image/png".into(), data: String::new() }];
        assert!(tokens(image) > 1_000);
    }
}
