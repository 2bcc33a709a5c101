//! The HTTP client that carries requests to providers, with a clock for each phase of silence.
//!
//! No clock bounds a whole answer: a model may think and write for as long as it keeps moving.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use super::ProviderError;

/// Connections to one provider that are kept for the next request.
const MAX_IDLE_CONNECTIONS: usize = 64;

/// A connection pool that all providers share.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// An answer whose headers have arrived.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
}

impl Transport {
    /// # Errors
    /// If the machine's root certificates cannot be read.
    pub fn new(connect_timeout: Duration) -> std::io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(Duration::from_secs(30)));
        connector.set_connect_timeout(Some(connect_timeout));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            // One connection of HTTP/2 would be shared by all requests to a provider, which opens a hundred streams on
            // it and lets the others wait.
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_mins(1))
            // Thousands of answers that end together should not leave thousands of connections behind.
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(https);
        Ok(Self { client })
    }

    /// Sends a request and waits for the answer's headers, `header_timeout` at most.
    pub async fn post(
        &self,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
        header_timeout: Duration,
    ) -> Result<Answer, ProviderError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("rolecall/", env!("CARGO_PKG_VERSION"))),
        );
        let response = tokio::time::timeout(header_timeout, self.client.request(request))
            .await
            .map_err(|_| ProviderError::Silent {
                phase: "before its response headers",
                limit: header_timeout,
            })?
            .map_err(|error| ProviderError::Unreachable(Box::new(error)))?;
        let (parts, body) = response.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

impl Answer {
    pub fn is_event_stream(&self) -> bool {
        self.headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("text/event-stream"))
    }

    /// The next piece of the body; `None` at its end. A connection that breaks is a cut answer.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, ProviderError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => {
                    tracing::debug!(%error, "the provider's connection broke inside an answer");
                    return Err(ProviderError::Truncated);
                }
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// What comes of the body within a time. Once that is `enough_bytes`, no more is read.
    pub async fn read_for(&mut self, time: Duration, enough_bytes: usize) -> Vec<u8> {
        let mut read = Vec::new();
        let reading = async {
            while read.len() < enough_bytes
                && let Ok(Some(piece)) = self.next_piece().await
            {
                read.extend_from_slice(&piece);
            }
        };
        // What has come by then has to do.
        let _ = tokio::time::timeout(time, reading).await;
        read
    }

    /// The whole body, `max_bytes` at most; each silence between two pieces is bounded by `idle_timeout`.
    pub async fn read_whole(
        &mut self,
        idle_timeout: Duration,
        max_bytes: usize,
    ) -> Result<Vec<u8>, ProviderError> {
        let mut whole = Vec::new();
        loop {
            let piece =
                tokio::time::timeout(idle_timeout, self.next_piece()).await.map_err(|_| {
                    ProviderError::Silent { phase: "inside its answer", limit: idle_timeout }
                })??;
            let Some(piece) = piece else { return Ok(whole) };
            whole.extend_from_slice(&piece);
            if whole.len() > max_bytes {
                return Err(ProviderError::Malformed(format!("it is over {max_bytes} bytes")));
            }
        }
    }
}
