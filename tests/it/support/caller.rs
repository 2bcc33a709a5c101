//! A caller: a key, and the verbs of HTTP.

use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

#[derive(Clone)]
pub struct Caller {
    url: String,
    key: String,
    client: reqwest::Client,
}

/// An answer that has been read.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    /// Null if it is not JSON.
    pub body: Value,
}

impl Caller {
    pub fn new(url: &str, key: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { url: url.to_owned(), key: key.to_owned(), client }
    }

    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// The same caller, who has no connection yet.
    pub fn unconnected(&self) -> Self {
        Self::new(&self.url, &self.key)
    }

    /// A request with this caller's key, to be shaped further.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        if self.key.is_empty() { request } else { request.bearer_auth(&self.key) }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::read(self.request(Method::POST, path).json(&body)).await
    }

    /// Puts an agent file, as `curl -T` does: without a content type.
    pub async fn put_agent(&self, name: &str, source: impl Into<Vec<u8>>) -> Answer {
        let path = format!("/admin/v1/agents/{name}");
        Answer::read(self.request(Method::PUT, &path).body(source.into())).await
    }

    pub async fn dispatch(&self, input: &str) -> Answer {
        self.post("/v1/dispatch", serde_json::json!({"input": input})).await
    }

    /// Begins a streamed run.
    pub async fn stream_run(&self, body: Value) -> Events {
        Events::read(self.request(Method::POST, "/v1/runs").json(&body)).await
    }
}

impl Answer {
    pub async fn read(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the service answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("the answer is whole");
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, text, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks that this is a problem document with a code, and returns it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> &Value {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        for member in ["type", "title", "detail"] {
            assert!(self.body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}");
        }
        &self.body
    }
}

/// A streamed run as it arrives.
pub struct Events {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    stream: futures_util::stream::BoxStream<'static, Vec<u8>>,
    text: String,
}

impl Events {
    pub async fn read(request: RequestBuilder) -> Self {
        Self::of(request.send().await.expect("the service answers"))
    }

    pub fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let stream = response
            .bytes_stream()
            .map(|piece| piece.map(|piece| piece.to_vec()).unwrap_or_default())
            .boxed();
        Self { status, headers, stream, text: String::new() }
    }

    /// The next event's id, name and data; `None` at the end. Comments are passed over.
    pub async fn next(&mut self) -> Option<(u64, String, Value)> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let frame = frame.to_owned();
                self.text = rest.into();
                let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
                let Some(event) = field("event: ") else { continue };
                let id = field("id: ").and_then(|id| id.parse().ok()).expect("an id");
                let data = field("data: ").expect("data");
                return Some((
                    id,
                    event.to_owned(),
                    serde_json::from_str(data).expect("data is JSON"),
                ));
            }
            let piece = self.stream.next().await?;
            self.text.push_str(&String::from_utf8(piece).expect("frames are UTF-8"));
        }
    }

    /// Reads until an event of that name, and returns its data.
    pub async fn wait_for(&mut self, name: &str) -> Value {
        loop {
            let (_, event, data) = self.next().await.expect("the event comes");
            if event == name {
                return data;
            }
        }
    }

    /// The body of an answer that is no stream.
    pub async fn problem(mut self) -> Value {
        while let Some(piece) = self.stream.next().await {
            self.text.push_str(&String::from_utf8(piece).expect("a problem is UTF-8"));
        }
        serde_json::from_str(&self.text).expect("a problem is JSON")
    }

    /// Everything to the end.
    pub async fn collect(mut self) -> Vec<(u64, String, Value)> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}
