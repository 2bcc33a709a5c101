//! A model vendor on a socket: it answers what a test tells it to, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

pub struct FakeProvider {
    pub url: String,
    state: Arc<Shared>,
}

struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
    arrivals: watch::Sender<usize>,
    /// How many answers are over: read to their end, or left by the service.
    over: watch::Sender<usize>,
}

#[derive(Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

/// What to answer.
pub enum Reply {
    Whole {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// A stream whose pieces the test sends when it likes.
    Paced(mpsc::Receiver<Bytes>),
    /// Not even headers.
    Silence,
}

/// The test's end of a paced reply. Dropping it ends the stream.
pub struct Pace(mpsc::Sender<Bytes>);

impl Pace {
    pub async fn send(&self, frame: &str) {
        assert!(self.is_read(frame).await, "the service still reads");
    }

    /// Sends as well, and says whether the service was still there.
    pub async fn is_read(&self, frame: &str) -> bool {
        self.0.send(Bytes::from(frame.to_owned())).await.is_ok()
    }
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Whole {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    pub fn events(frames: &[String]) -> Self {
        Self::Whole {
            status: 200,
            headers: vec![("content-type", "text/event-stream".to_owned())],
            body: frames.concat(),
        }
    }

    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Whole { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }

    pub fn paced() -> (Self, Pace) {
        let (sender, receiver) = mpsc::channel(16);
        (Self::Paced(receiver), Pace(sender))
    }
}

impl FakeProvider {
    pub async fn start() -> Self {
        let state = Arc::new(Shared {
            replies: Mutex::default(),
            received: Mutex::default(),
            arrivals: watch::Sender::new(0),
            over: watch::Sender::new(0),
        });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("has an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub fn replies(&self, reply: Reply) {
        self.state.replies.lock().expect("not poisoned").push_back(reply);
    }

    /// What it was asked, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("not poisoned").clone()
    }

    /// Waits until that many requests have arrived.
    pub async fn wait_for_requests(&self, count: usize) {
        wait_for(&self.state.arrivals, count, "requests arrive").await;
    }

    /// Waits until that many answers are over, and says how long that took.
    pub async fn wait_until_over(&self, count: usize) -> Duration {
        let started = std::time::Instant::now();
        wait_for(&self.state.over, count, "answers end").await;
        started.elapsed()
    }
}

async fn wait_for(counter: &watch::Sender<usize>, count: usize, what: &str) {
    let mut changes = counter.subscribe();
    let reached = changes.wait_for(|now| *now >= count);
    let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
    reached.unwrap_or_else(|_| panic!("{what}: {count} within 10 s")).expect("the counter lives");
}

/// Counts an answer as over when it is dropped, whoever drops it.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.over.send_modify(|count| *count += 1);
    }
}

async fn answer(
    State(state): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let guard = Guard(Arc::clone(&state));
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let received = Received { path: uri.path().to_owned(), headers, body };
    state.received.lock().expect("not poisoned").push(received);
    state.arrivals.send_modify(|count| *count += 1);
    let reply = state.replies.lock().expect("not poisoned").pop_front();
    match reply.expect("the test says what to reply") {
        Reply::Whole { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).expect("a response")
        }
        Reply::Paced(pieces) => {
            let stream =
                futures_util::stream::unfold((pieces, guard), |(mut pieces, guard)| async {
                    let piece = pieces.recv().await?;
                    Some((Ok::<_, std::io::Error>(piece), (pieces, guard)))
                });
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(Body::from_stream(stream))
                .expect("a response")
        }
        Reply::Silence => {
            let _guard = guard;
            std::future::pending().await
        }
    }
}

/// Anthropic's wire format.
pub mod anthropic {
    use serde_json::{Value, json};

    pub fn frame(data: &Value) -> String {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("has a type"))
    }

    pub fn start() -> String {
        frame(&json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5-served",
            "content": [], "stop_reason": null, "usage": {"input_tokens": 12, "output_tokens": 1},
        }})) + &frame(&json!({
            "type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""},
        }))
    }

    pub fn text(text: &str) -> String {
        frame(&json!({
            "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text},
        }))
    }

    pub fn end() -> String {
        frame(&json!({"type": "content_block_stop", "index": 0}))
            + &frame(&json!({
                "type": "message_delta", "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 7},
            }))
            + &frame(&json!({"type": "message_stop"}))
    }

    pub fn message(text: &str) -> Value {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5-served",
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 12, "output_tokens": 7, "cache_read_input_tokens": 100},
        })
    }

    pub fn error(kind: &str, message: &str) -> Value {
        json!({"type": "error", "error": {"type": kind, "message": message}})
    }
}

/// The wire format of OpenAI.
pub mod openai {
    use serde_json::{Value, json};

    pub fn frame(data: &Value) -> String {
        format!("data: {data}\n\n")
    }

    pub fn chunk(delta: &Value, finish_reason: Option<&str>) -> String {
        frame(&json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-served",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }))
    }

    pub fn text(text: &str) -> String {
        chunk(&json!({"content": text}), None)
    }

    pub fn end() -> String {
        chunk(&json!({}), Some("stop"))
            + &frame(&json!({
                "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-served",
                "choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 7},
            }))
            + "data: [DONE]\n\n"
    }
}

/// The wire format of OpenAI Responses.
pub mod responses {
    use serde_json::json;

    use super::anthropic::frame;

    pub fn text(text: &str) -> String {
        frame(&json!({
            "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": text,
        }))
    }

    pub fn end() -> String {
        frame(&json!({"type": "response.completed", "response": {
            "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-served",
            "output": [], "usage": {"input_tokens": 12, "output_tokens": 7},
        }}))
    }
}
