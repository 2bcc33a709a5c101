//! A model vendor on a socket: it answers what a test tells it to, in the real wire formats and with every fault that a
//! connection can have, and remembers what it was asked.
//!
//! It speaks HTTP/1.1 by itself: no framework can cut a body, reset a connection or dribble.

mod reply;
mod wire;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::WriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub use reply::{Pace, Reply};
pub use wire::{
    AskedTool, INPUT_TOKENS, OUTPUT_TOKENS, Refusal, Wire, anthropic, gemini, openai, responses,
};

use reply::{Ending, Head, Step};

/// What a vendor does with a request for which no reply is queued.
type Script = Box<dyn Fn(&Received) -> Reply + Send + Sync>;

#[derive(Clone)]
pub struct FakeProvider {
    pub url: String,
    state: Arc<Shared>,
}

struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    script: Mutex<Option<Script>>,
    received: Mutex<Vec<Received>>,
    /// Whether requests are remembered: a soak has too many.
    forgets: std::sync::atomic::AtomicBool,
    arrivals: watch::Sender<usize>,
    /// How many answers are over: written to their end, or left by the service.
    over: watch::Sender<usize>,
    connections: AtomicUsize,
}

#[derive(Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
    /// The body as it came.
    pub text: String,
    pub at: Instant,
}

impl Received {
    /// The model that is asked, which Gemini has in the path.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_else(|| {
            let behind = self.path.split("/models/").nth(1).unwrap_or_default();
            behind.split(':').next().unwrap_or_default()
        })
    }
}

impl FakeProvider {
    pub async fn start() -> Self {
        let state = Arc::new(Shared {
            replies: Mutex::default(),
            script: Mutex::default(),
            received: Mutex::default(),
            forgets: false.into(),
            arrivals: watch::Sender::new(0),
            over: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("has an address"));
        let accepting = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket");
                tokio::spawn(serve(stream, Arc::clone(&accepting)));
            }
        });
        Self { url, state }
    }

    /// Queues the reply to the next request.
    pub fn replies(&self, reply: Reply) {
        self.state.replies.lock().expect("not poisoned").push_back(reply);
    }

    /// Queues a streamed answer.
    pub fn says(&self, wire: Wire, text: &str) {
        self.replies(Reply::events(&wire.frames("served", &[text])));
    }

    /// Queues a streamed answer whose model asks for tools.
    pub fn asks_for_tools(&self, wire: Wire, calls: &[AskedTool]) {
        self.replies(Reply::events(&wire.tool_frames("served", "", calls)));
    }

    /// Answers every request for which no reply is queued.
    pub fn answers(&self, script: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        *self.state.script.lock().expect("not poisoned") = Some(Box::new(script));
    }

    /// Remembers no more requests.
    pub fn forgets(&self) {
        self.state.forgets.store(true, Ordering::Relaxed);
    }

    /// What it was asked, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("not poisoned").clone()
    }

    /// When a model was asked.
    pub fn asked_at(&self, model: &str) -> Vec<Instant> {
        let received = self.state.received.lock().expect("not poisoned");
        received
            .iter()
            .filter(|request| request.model() == model)
            .map(|request| request.at)
            .collect()
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Waits until that many requests have arrived.
    pub async fn wait_for_requests(&self, count: usize) {
        wait_for(&self.state.arrivals, count, "requests arrive").await;
    }

    /// Waits until that many answers are over, and says how long that took.
    pub async fn wait_until_over(&self, count: usize) -> Duration {
        let started = Instant::now();
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

/// Counts something as over when it is dropped, whoever drops it.
struct Guard(Box<dyn Fn() + Send>);

impl Drop for Guard {
    fn drop(&mut self) {
        (self.0)();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Shared>) {
    state.connections.fetch_add(1, Ordering::Relaxed);
    let counted = Arc::clone(&state);
    let _connection = Guard(Box::new(move || {
        counted.connections.fetch_sub(1, Ordering::Relaxed);
    }));
    while let Some(received) = read_request(&mut stream).await {
        let counted = Arc::clone(&state);
        let _answer = Guard(Box::new(move || counted.over.send_modify(|count| *count += 1)));
        let reply = state.reply_to(received);
        let (mut read, mut write) = stream.split();
        // Whatever comes while an answer is written can only be the end of the connection.
        let ending = tokio::select! {
            biased;
            ending = perform(&mut write, reply) => ending.unwrap_or(Ending::Cut),
            _ = read.read_u8() => Ending::Cut,
        };
        match ending {
            Ending::Whole => {}
            Ending::Reset => {
                let socket = socket2::SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO)).expect("a socket");
                return;
            }
            Ending::Cut | Ending::Silence => return,
        }
    }
}

impl Shared {
    fn reply_to(&self, received: Received) -> Reply {
        let queued = self.replies.lock().expect("not poisoned").pop_front();
        let reply = queued.unwrap_or_else(|| {
            let script = self.script.lock().expect("not poisoned");
            script.as_ref().expect("the test says what to reply")(&received)
        });
        if !self.forgets.load(Ordering::Relaxed) {
            self.received.lock().expect("not poisoned").push(received);
        }
        self.arrivals.send_modify(|count| *count += 1);
        reply
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).expect("a head is ASCII");
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HeaderMap = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        })
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.to_str().expect("is ASCII").parse().expect("a number"));
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&bytes[head_end..]).into_owned();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Some(Received { path, headers, body, text, at: Instant::now() })
}

/// Writes an answer, step by step. An error means that the service has left.
async fn perform(write: &mut WriteHalf<'_>, reply: Reply) -> std::io::Result<Ending> {
    let Reply { head, steps, ending } = reply;
    let is_chunked = head.as_ref().is_some_and(|head| head.length.is_none());
    if let Some(Head { status, headers, length }) = head {
        let length = match length {
            Some(length) => format!("content-length: {length}\r\n"),
            None => "transfer-encoding: chunked\r\n".to_owned(),
        };
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let head = std::iter::once(format!("HTTP/1.1 {status} Whatever\r\n")).chain(headers);
        let text = head.chain([length, "\r\n".to_owned()]).collect::<String>();
        write.write_all(text.as_bytes()).await?;
    }
    for step in steps {
        match step {
            Step::Send(piece) => send(write, &piece, is_chunked).await?,
            Step::Pause(pause) => tokio::time::sleep(pause).await,
            Step::Wait(mut released) => drop(released.wait_for(|is_released| *is_released).await),
            Step::Paced(mut pieces) => {
                while let Some(piece) = pieces.recv().await {
                    send(write, &piece, is_chunked).await?;
                }
            }
        }
    }
    match ending {
        Ending::Whole if is_chunked => write.write_all(b"0\r\n\r\n").await?,
        Ending::Silence => std::future::pending().await,
        Ending::Whole | Ending::Cut | Ending::Reset => {}
    }
    Ok(ending)
}

async fn send(write: &mut WriteHalf<'_>, piece: &[u8], is_chunked: bool) -> std::io::Result<()> {
    if !is_chunked {
        return write.write_all(piece).await;
    }
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend_from_slice(piece);
    chunk.extend_from_slice(b"\r\n");
    write.write_all(&chunk).await
}
