//! A provider that answers Chat Completions and Messages without a thought.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use futures_util::{StreamExt, stream};
use http::header;
use serde::Deserialize;

use crate::{Outcome, processes};

const PACE: Duration = Duration::from_millis(1);

/// A text such as a chunk of a model holds.
const TEXT: &str = "because so";

#[derive(Deserialize)]
struct Question {
    model: String,
    #[serde(default)]
    stream: bool,
}

pub(crate) async fn serve() -> Outcome<()> {
    let listener = processes::listen().await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new()
        .route("/v1/chat/completions", post(|body: Bytes| async move { answer(&body, &CHAT) }))
        .route("/v1/messages", post(|body: Bytes| async move { answer(&body, &MESSAGES) }))
        // The proxy is asked at the service's own path too.
        .route("/v1/runs", post(|body: Bytes| async move { answer(&body, &CHAT) }))
        .layer(DefaultBodyLimit::disable());
    Ok(axum::serve(listener, router).await?)
}

/// An answer in a protocol's words.
struct Words {
    whole: &'static str,
    first: &'static str,
    chunk: &'static str,
    last: &'static str,
}

const CHAT: Words = Words {
    whole: r#"{"id":"c-1","object":"chat.completion","created":1700000000,"model":"fast","choices":[{"index":0,"message":{"role":"assistant","content":"TEXT"},"finish_reason":"stop"}],"usage":{"prompt_tokens":250,"completion_tokens":2,"total_tokens":252}}"#,
    first: "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"fast\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    chunk: "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"fast\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"TEXT\"},\"finish_reason\":null}]}\n\n",
    last: "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"fast\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"fast\",\"choices\":[],\"usage\":{\"prompt_tokens\":250,\"completion_tokens\":2,\"total_tokens\":252}}\n\ndata: [DONE]\n\n",
};

const MESSAGES: Words = Words {
    whole: r#"{"id":"m-1","type":"message","role":"assistant","model":"fast","content":[{"type":"text","text":"TEXT"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":250,"output_tokens":2}}"#,
    first: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m-1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"fast\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":250,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    chunk: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"TEXT\"}}\n\n",
    last: "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
};

/// The model's name says how: `fast-1`, `paced-1000`.
fn answer(body: &[u8], words: &'static Words) -> Response {
    let Ok(question) = serde_json::from_slice::<Question>(body) else {
        return http::StatusCode::BAD_REQUEST.into_response();
    };
    let (pace, chunks) = question.model.split_once('-').unwrap_or(("fast", "1"));
    let (is_paced, chunks) = (pace == "paced", chunks.parse().unwrap_or(1));
    if !question.stream {
        let whole = words.whole.replace("TEXT", TEXT);
        return ([(header::CONTENT_TYPE, "application/json")], whole).into_response();
    }
    let body = Body::from_stream(pieces(words, chunks, is_paced).map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn pieces(
    words: &'static Words,
    chunks: usize,
    is_paced: bool,
) -> impl stream::Stream<Item = Bytes> {
    let chunk = Bytes::from(words.chunk.replace("TEXT", TEXT));
    let first = Bytes::from([words.first.as_bytes(), &chunk].concat());
    let middle = stream::iter(1..chunks).then(move |_| {
        let chunk = chunk.clone();
        async move {
            if is_paced {
                tokio::time::sleep(PACE).await;
            }
            chunk
        }
    });
    let last = stream::iter([Bytes::from_static(words.last.as_bytes())]);
    stream::iter([first]).chain(middle).chain(last)
}
