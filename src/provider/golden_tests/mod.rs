//! Wire formats in, snapshots of what they mean out. A test is named like its fixtures: `<name>.sse` is a
//! streamed answer, `<name>.json` the same answer in one piece.

mod anthropic;
mod gemini;
mod openai;
mod responses;

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::PathBuf;

use futures_util::FutureExt;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::decoding::Decoding;
use super::dialect::Dialect;
use super::{ChatStream, ProviderError, SseParser, Target};
use crate::chat::{
    AnswerFormat, ChatEvent, ChatRequest, FinishReason, FurtherWords, Message, Parameters, Part,
    Role, SealedThought, Tool, ToolCall, ToolChoice, Usage, WrittenJson,
};

/// Whole, and cut so that every frame, every escape and every character of several bytes is split somewhere.
const PIECE_SIZES: [usize; 3] = [usize::MAX, 1, 7];

/// Arguments that are not the same if they are read and written again.
const ODD_ARGUMENTS: &str = r#"{"a" : 1.50, "b": 123456789012345678901234567890, "c":"\u00e9"}"#;

/// A dialect and the folder of its fixtures.
struct Wire {
    dialect: &'static dyn Dialect,
    folder: &'static str,
}

/// The events of an answer, and the error that ended it.
#[derive(Debug)]
struct Told {
    events: Vec<ChatEvent>,
    error: Option<ProviderError>,
}

impl Wire {
    fn folder(&self) -> PathBuf {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/providers");
        PathBuf::from(fixtures).join(self.folder)
    }

    /// The file names in a folder of fixtures, in order.
    fn list_files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder().join(folder)).expect("the folder exists");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("can be listed"))
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().into_string().expect("fixtures have plain names"))
            .collect();
        names.sort();
        names
    }

    fn encode(&self, target: &Target, request: &ChatRequest) -> Value {
        let body = self.dialect.encode(target, request).to_bytes();
        serde_json::from_slice(&body).expect("a body is JSON")
    }

    fn follow(&self, stream: &[u8], piece_size: usize) -> Told {
        let (mut parser, mut decoding) =
            (SseParser::default(), Decoding::new(self.dialect.decoder()));
        let (mut frames, mut events) = (Vec::new(), VecDeque::new());
        for piece in stream.chunks(piece_size) {
            parser.push(piece, &mut frames).expect("fixtures are small");
        }
        let decoded = frames.into_iter().try_for_each(|frame| decoding.take(frame, &mut events));
        Told { events: events.into(), error: decoded.err() }
    }

    fn read(&self, answer: &[u8]) -> Told {
        match self.dialect.decode_answer(answer) {
            Ok(events) => Told { events, error: None },
            Err(error) => Told { events: Vec::new(), error: Some(error) },
        }
    }

    /// The arguments of the only call of an answer in one piece, as they are written.
    fn called_with(&self, answer: &Value, written: &str) -> String {
        let answer = answer.to_string().replace(r#""(ARGUMENTS)""#, written);
        let told = self.read(answer.as_bytes());
        let call = told.events.into_iter().find_map(|event| match event {
            ChatEvent::ToolCall(call) => Some(call),
            _ => None,
        });
        call.expect("there is a call").arguments.as_str().to_owned()
    }

    /// A request with that call, as it is sent.
    fn encode_call(&self, model: &str, arguments: &str) -> String {
        let arguments = WrittenJson::read(arguments).expect("is JSON");
        let call = ToolCall::new("call_1", "look", arguments);
        let messages = vec![Message::user("Look"), Message::assistant(Vec::new(), vec![call])];
        let body =
            self.dialect.encode(&target(model), &ChatRequest { messages, ..question() }).to_bytes();
        String::from_utf8(body.to_vec()).expect("a body is JSON")
    }

    /// A request with a call that a model of this name has made and said more of, as it is sent to that target.
    fn encode_further(&self, model: &str, to: &Target) -> String {
        let protocol = self.dialect.protocol().expect("callers speak it too");
        let further = FurtherWords {
            protocol,
            model: target(model).full_name(),
            fields: [("more".to_owned(), WrittenJson::read("{\"x\" : 1.50}").expect("is JSON"))]
                .into(),
        };
        let call = ToolCall {
            further: Some(further.into()),
            ..ToolCall::new("call_1", "look", json!({}))
        };
        let messages = vec![Message::user("Look"), Message::assistant(Vec::new(), vec![call])];
        let request = ChatRequest { messages, ..question() };
        let body = self.dialect.encode(to, &request).to_bytes();
        String::from_utf8(body.to_vec()).expect("a body is JSON")
    }

    /// What was said of a call goes back to who has said it, and to nobody else.
    fn gives_back_what_was_said(&self, model: &str) {
        let said = r#""more":{"x" : 1.50}"#;
        assert!(self.encode_further(model, &target(model)).contains(said));
        for other in [target("other"), Target::new("other", model)] {
            assert!(!self.encode_further(model, &other).contains("more"));
        }
    }

    /// What a request says of a tool of which the model is, is not, or may be held to its schema.
    fn encode_strictness(&self, model: &str) -> Vec<Value> {
        let encode = |strict| {
            let parameters =
                json!({"type": "object", "properties": {}, "additionalProperties": false});
            let name = "look".to_owned();
            let tool =
                Tool { name, description: String::new(), parameters, strict, cache_control: None };
            let tools = vec![tool];
            let body = self.encode(&target(model), &ChatRequest { tools, ..question() });
            let tool = &body["tools"][0];
            tool.get("function").unwrap_or(tool)["strict"].clone()
        };
        [None, Some(false), Some(true)].map(encode).into()
    }

    /// What the fixtures of a test mean. Both transports must mean the same.
    fn tell(&self, name: &str) -> String {
        let read = |extension| std::fs::read(self.folder().join(name).with_extension(extension));
        let streamed = read("sse").ok().map(|stream| {
            let [whole, small, odd] = PIECE_SIZES.map(|size| self.follow(&stream, size).to_text());
            assert_eq!((&whole, &whole), (&small, &odd), "the pieces make a difference");
            self.follow(&stream, usize::MAX)
        });
        let answered = read("json").ok().map(|answer| self.read(&answer));
        if let (Some(streamed), Some(answered)) = (&streamed, &answered)
            && answered.error.is_none()
        {
            assert_eq!(
                streamed.joined(),
                answered.joined(),
                "the transports tell different things"
            );
        }
        let told = [("streamed", streamed), ("in one piece", answered)];
        assert!(told.iter().any(|(_, told)| told.is_some()), "{name} has no fixture");
        let sections = told.into_iter().filter_map(|(transport, told)| {
            told.map(|told| format!("# {transport}\n{}", told.to_text()))
        });
        sections.collect::<Vec<_>>().join("\n")
    }

    /// Names the error of every recorded error body; its status begins the file's name.
    fn tell_errors(&self, retry_after: Option<&str>) -> String {
        let retry_after = retry_after.map(|value| value.parse().expect("a header value"));
        let headers: HeaderMap =
            retry_after.map(|value| (header::RETRY_AFTER, value)).into_iter().collect();
        let mut text = String::new();
        for name in self.list_files("errors") {
            let body = std::fs::read(self.folder().join("errors").join(&name)).expect("listed");
            let status: StatusCode = name[..3].parse().expect("the name begins with a status");
            let error = self.dialect.decode_error(status, &headers, &body);
            writeln!(text, "{name}: {error:?}").expect("a String takes everything");
        }
        text
    }

    fn has_no_fixtures_but(&self, names: &[&str]) {
        for file in self.list_files("") {
            let is_read = names.iter().any(|name| file.split('.').next() == Some(name));
            assert!(is_read, "no test reads {file}");
        }
    }

    /// Providers cache what requests begin with, byte by byte.
    fn keeps_the_first_bytes(&self, model: &str) {
        let request = conversation();
        let one = self.encode(&target(model), &request).to_string();
        let other = ChatRequest {
            messages: vec![Message::user("Something else")],
            parameters: Parameters::default(),
            ..request
        };
        let other = self.encode(&Target { stream: false, ..target(model) }, &other).to_string();
        let first_message = one.find(r#"{"role":"user""#).expect("there is a user message");
        assert_eq!(one[..first_message], other[..first_message]);
        assert!(one[..first_message].contains("You know the weather."));
    }

    /// A request whose answer must be JSON of a certain shape.
    fn encode_schema(&self, model: &str) -> Value {
        let schema = json!({
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
            "required": ["answer"],
            "additionalProperties": false,
        });
        let parameters = Parameters {
            answer_format: Some(AnswerFormat::Schema { name: None, schema, is_strict: true }),
            ..Parameters::default()
        };
        self.encode(&target(model), &ChatRequest { parameters, ..question() })
    }

    /// A request with everything that can be asked for, the protocol's unknown words aside, for each choice of
    /// tools.
    fn encode_parameters(&self, model: &str) -> Vec<Value> {
        let choices = [
            ToolChoice::Auto,
            ToolChoice::None,
            ToolChoice::Required,
            ToolChoice::Tool("get_time".to_owned()),
        ];
        let encode = |tool_choice| {
            let mut parameters = Parameters {
                max_tokens: Some(64),
                temperature: Some(0.5),
                top_p: Some(0.9),
                top_k: Some(40),
                stop: vec!["END".to_owned()],
                tool_choice: Some(tool_choice),
                ..Parameters::default()
            };
            for unknown in self.dialect.unknown_parameters() {
                parameters.remove(*unknown);
            }
            self.encode(&target(model), &ChatRequest { parameters, ..question() })
        };
        choices.into_iter().map(encode).collect()
    }
}

impl Told {
    /// One line an event, then how the answer ended for who reads it as a [`ChatStream`].
    fn to_text(&self) -> String {
        let mut text = String::new();
        for event in &self.events {
            writeln!(text, "{event:?}").expect("a String takes everything");
        }
        let end = match &self.error {
            Some(error) => format!("failed: {error:?}"),
            None => match last_of(ChatStream::ready(self.events.clone())) {
                Ok(()) => "whole".to_owned(),
                Err(error) => format!("failed: {error:?}"),
            },
        };
        text + "-> " + &end + "\n"
    }

    /// The answer without the pieces it came in: texts joined, only the last usage, at the end, and no blanks between
    /// arguments.
    fn joined(&self) -> Vec<ChatEvent> {
        let mut joined: Vec<ChatEvent> = Vec::new();
        let mut usage = None;
        for event in &self.events {
            match (event, joined.last_mut()) {
                (ChatEvent::Usage(sums), _) => usage = Some(*sums),
                // What has no neutral word differs between the transports.
                (ChatEvent::Foreign(_), _) => {}
                (ChatEvent::Text(more), Some(ChatEvent::Text(text)))
                | (ChatEvent::Thinking(more), Some(ChatEvent::Thinking(text))) => {
                    text.push_str(more);
                }
                (ChatEvent::ToolCall(call), _) => {
                    let arguments = call.arguments.to_value().into();
                    joined.push(ChatEvent::ToolCall(ToolCall { arguments, ..call.clone() }));
                }
                _ => joined.push(event.clone()),
            }
        }
        joined.extend(usage.map(ChatEvent::Usage));
        joined
    }
}

/// Reads a stream of ready events to its end.
fn last_of(mut stream: ChatStream) -> Result<(), ProviderError> {
    while stream.next().now_or_never().expect("ready events are not waited for")?.is_some() {}
    Ok(())
}

/// A conversation with two rounds of tool calls: one of two calls, one of a call without arguments or text.
fn conversation() -> ChatRequest {
    let call = |id: &str, name: &str, arguments: Value| ToolCall::new(id, name, arguments);
    let asks = |text: &str, tool_calls| Message {
        role: Role::Assistant,
        tool_calls,
        ..Message::user(text)
    };
    let answers = |id: &str, text: &str| Message {
        role: Role::Tool,
        tool_call_id: Some(id.to_owned()),
        ..Message::user(text)
    };
    let tool = |name: &str, parameters| Tool {
        name: name.to_owned(),
        description: format!("Answers {name}."),
        parameters,
        strict: None,
        cache_control: None,
    };
    ChatRequest {
        agent: "weather-agent".to_owned(),
        system: "You know the weather.\nBe brief.".to_owned(),
        messages: vec![
            Message::user("Oslo and Lima?"),
            asks(
                "Let me look.",
                vec![
                    call("call_1", "get_weather", json!({"location": "Oslo", "days": 2})),
                    call("call_2", "get_weather", json!({"location": "Lima"})),
                ],
            ),
            answers("call_1", "3 °C"),
            answers("call_2", "19 °C"),
            asks("Cold and mild.", vec![]),
            Message::user("What time is it?"),
            asks("", vec![call("call_3", "get_time", json!({}))]),
            answers("call_3", "12:00"),
        ],
        tools: vec![
            tool(
                "get_weather",
                json!({"type": "object", "properties": {"location": {"type": "string"}}}),
            ),
            tool("get_time", json!({"type": "object"})),
        ],
        parameters: Parameters { max_tokens: Some(1024), ..Parameters::default() },
        ..ChatRequest::default()
    }
}

/// A conversation whose tools have returned an image and an error, and that goes on. The model has thought, and so has
/// another one before it.
fn conversation_with_results(model: &str) -> ChatRequest {
    let image =
        || Part::Image { media_type: "image/png".to_owned(), data: "iVBORw0KGgo=".to_owned() };
    let thought = |model: String, block: &str| {
        Part::Thought(SealedThought { model, block: json!({"sealed": block}) })
    };
    let mut request = conversation();
    request.messages.truncate(2);
    request.messages[0].content.push(image());
    request.messages[1].content.insert(0, thought("other/model".to_owned(), "another's"));
    request.messages[1].content.insert(0, thought(target(model).full_name(), "its own"));
    request.messages.extend([
        Message::tool_result("call_1".to_owned(), vec![Part::text("A map:"), image()], false),
        Message::tool_result("call_2".to_owned(), vec![Part::text("no such place")], true),
        Message::user("Go on"),
    ]);
    request
}

/// A model that nothing is known of.
fn target(model: &str) -> Target {
    Target::new("provider", model)
}

/// A request with nothing that can be left out.
fn question() -> ChatRequest {
    ChatRequest {
        system: String::new(),
        messages: vec![Message::user("Hello?")],
        tools: Vec::new(),
        parameters: Parameters::default(),
        ..conversation()
    }
}

/// A test for each pair of fixtures, and the tests that every dialect must pass.
macro_rules! golden_tests {
    ($wire:expr, $model:literal, $messages:literal: $($name:ident)+) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!($wire.tell(stringify!($name)));
        })+

        #[test]
        fn every_fixture_is_read() {
            $wire.has_no_fixtures_but(&[$(stringify!($name)),+]);
        }

        #[test]
        fn errors_before_the_stream_are_named_by_what_can_be_done() {
            insta::assert_snapshot!($wire.tell_errors(Some("7")));
        }

        #[test]
        fn an_unreadable_retry_after_is_none() {
            let told = $wire.tell_errors(Some("soon"));
            assert_eq!(told, $wire.tell_errors(None));
        }

        #[test]
        fn a_conversation_is_encoded() {
            insta::assert_json_snapshot!($wire.encode(&super::target($model), &super::conversation()));
        }

        #[test]
        fn images_errors_and_thoughts_are_encoded() {
            let request = super::conversation_with_results($model);
            insta::assert_json_snapshot!($wire.encode(&super::target($model), &request)[$messages]);
        }

        #[test]
        fn what_was_not_asked_for_is_not_encoded() {
            let target = crate::provider::Target { stream: false, ..super::target($model) };
            insta::assert_json_snapshot!($wire.encode(&target, &super::question()));
        }

        #[test]
        fn every_parameter_has_its_place() {
            insta::assert_json_snapshot!($wire.encode_parameters($model));
        }

        #[test]
        fn a_schema_of_the_answer_has_its_place() {
            insta::assert_json_snapshot!($wire.encode_schema($model));
        }

        #[test]
        fn arguments_are_encoded_as_they_are_written() {
            let sent = $wire.encode_call($model, super::ODD_ARGUMENTS);
            let as_text = serde_json::to_string(super::ODD_ARGUMENTS).expect("is a text");
            assert!(sent.contains(super::ODD_ARGUMENTS) || sent.contains(&as_text), "{sent}");
        }

        #[test]
        fn requests_to_one_agent_begin_with_the_same_bytes() {
            $wire.keeps_the_first_bytes($model);
        }
    };
}

use golden_tests;

#[test]
fn an_answer_is_whole_only_with_a_finish_reason() {
    let events = || vec![ChatEvent::Text("Half".into()), ChatEvent::Usage(Usage::default())];
    assert!(matches!(last_of(ChatStream::ready(events())), Err(ProviderError::Truncated)));
    assert!(matches!(last_of(ChatStream::ready(vec![])), Err(ProviderError::Truncated)));
    let whole = [vec![ChatEvent::Finished(FinishReason::Stop)], events()].concat();
    assert!(last_of(ChatStream::ready(whole)).is_ok());
}
