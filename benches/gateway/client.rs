//! Connections that are kept, and requests on them whose chunks are seen as they come.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use crate::Outcome;
use crate::cases::Case;

/// Who is asked.
#[derive(Clone)]
pub(crate) struct Target {
    address: String,
    /// The service knows agents and asks for a key. The proxy has the provider behind it.
    key: Option<String>,
}

/// What was seen of one answer.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub first_chunk: Duration,
    pub whole: Duration,
}

pub(crate) struct Connection {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
}

impl Target {
    pub fn rolecall(address: &str, key: &str) -> Self {
        Self { address: address.to_owned(), key: Some(key.to_owned()) }
    }

    pub fn bare(address: &str) -> Self {
        Self { address: address.to_owned(), key: None }
    }

    pub async fn connect(&self) -> Outcome<Connection> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection { target: self.clone(), sender })
    }

    fn body(&self, case: &Case) -> Bytes {
        let prompt = "Say why. ".repeat(case.prompt_bytes.div_ceil(9));
        let is_native = self.key.is_some() && case.path == "/v1/runs";
        let body = if is_native {
            json!({"agent": case.agent, "input": prompt, "stream": case.is_streamed})
        } else {
            let model = if self.key.is_some() { case.agent } else { case.model };
            let messages = json!([{"role": "user", "content": prompt}]);
            json!({"model": model, "messages": messages, "stream": case.is_streamed})
        };
        body.to_string().into()
    }

    fn request(&self, case: &Case) -> Outcome<Request<Full<Bytes>>> {
        let mut request = Request::post(case.path)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        Ok(request.body(Full::new(self.body(case)))?)
    }
}

impl Connection {
    pub async fn ask(&mut self, case: &Case) -> Outcome<Sample> {
        let request = self.target.request(case)?;
        self.sender.ready().await?;
        let began = Instant::now();
        let mut response = self.sender.send_request(request).await?;
        let (mut first_chunk, mut tail) = (None, Bytes::new());
        while let Some(frame) = response.frame().await {
            first_chunk.get_or_insert_with(|| began.elapsed());
            tail = frame?.into_data().unwrap_or(tail);
        }
        let whole = began.elapsed();
        if !response.status().is_success() {
            let text = String::from_utf8_lossy(&tail);
            return Err(format!("{} answered {}: {text}", case.path, response.status()).into());
        }
        Ok(Sample { first_chunk: first_chunk.unwrap_or(whole), whole })
    }
}
