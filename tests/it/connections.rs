//! Connections of callers who take their time.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{ADMIN_KEY, FakeProvider, Reply, TestApp, Wire};
use rolecall::provider::DialectName;

const PATIENCE: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

async fn impatient(pool: PgPool, provider: &FakeProvider) -> TestApp {
    let app = TestApp::builder(pool).provider(provider, DialectName::Anthropic);
    app.configure(|config| config.http.request_timeout = PATIENCE).start().await
}

async fn connect(app: &TestApp) -> TcpStream {
    let request = app.admin.request(Method::GET, "/livez").build().expect("is whole");
    let port = request.url().port().expect("tests have one");
    TcpStream::connect(("127.0.0.1", port)).await.expect("it listens")
}

/// What the service answers to who says only that, until it closes the connection.
async fn told(app: &TestApp, said: &str) -> String {
    let mut stream = connect(app).await;
    stream.write_all(said.as_bytes()).await.expect("is sent");
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    timeout(LONG, reading).await.expect("it is closed").expect("is text");
    answer
}

#[sqlx::test]
async fn who_does_not_say_what_it_wants_is_sent_away(pool: PgPool) {
    let app = impatient(pool, &FakeProvider::start().await).await;
    assert_eq!(told(&app, "").await, "");
    assert_eq!(told(&app, "GET /livez HTTP/1.1\r\nhost: x\r\n").await, "");
    let answered = told(&app, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    app.stop().await;
}

#[sqlx::test]
async fn a_body_that_does_not_come_is_not_waited_for(pool: PgPool) {
    let app = impatient(pool, &FakeProvider::start().await).await;
    let head = "HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\nconnection: close\r\n";
    for path in ["/v1/dispatch", "/v1/chat/completions"] {
        let said = format!("POST {path} {head}x-api-key: {ADMIN_KEY}\r\n\r\n{{");
        let answer = told(&app, &said).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("request_timeout"), "{answer}");
    }
    app.stop().await;
}

#[sqlx::test]
async fn who_waits_for_an_answer_is_not_sent_away(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = impatient(pool, &provider).await;
    let frames = Wire(DialectName::Anthropic).frames("m", &["It", " takes", " time."]);
    provider.replies(Reply::slow_events(&frames, PATIENCE));
    let answer = app.admin.post("/v1/runs", json!({"agent": "code-reviewer", "input": "x"})).await;
    assert_eq!((answer.status, &answer.body["output"]), (200, &json!("It takes time.")));
    app.stop().await;
}

#[sqlx::test]
async fn who_is_still_sending_when_the_service_has_stopped_is_answered_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let mut stream = connect(&app).await;
    let body = r#"{"input": "review my pull request"}"#;
    let head = format!(
        "POST /v1/dispatch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nx-api-key: {ADMIN_KEY}\r\n\r\n",
        body.len()
    );
    let (first, rest) = body.split_at(10);
    stream.write_all((head + first).as_bytes()).await.expect("is sent");
    app.stop().await;
    // What is decided now would be on no record.
    let _ = stream.write_all(rest.as_bytes()).await;
    let mut answer = String::new();
    let read = timeout(LONG, stream.read_to_string(&mut answer)).await.expect("it is closed");
    assert!(read.is_err() || answer.is_empty(), "{answer}");
}
