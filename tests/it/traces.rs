//! Traces as a collector gets them, from a process of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use futures_util::future::join_all;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Content;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use reqwest::Method;
use rolecall::provider::DialectName;
use serde_json::json;
use sqlx::{ConnectOptions, PgPool};
use tokio::net::TcpListener;

use crate::support::{
    AgentFolder, Answer, AskedTool, FakeProvider, FakeTool, FakeToolServer, OUTPUT_TOKENS, Reply,
    Service, Wire, agent_file,
};

const OPENAI: Wire = Wire(DialectName::Openai);

/// What no span may hold.
const SECRET: &str = "xylophone";

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

fn caller_s_trace() -> String {
    format!("00-{TRACE_ID}-b7ad6b7169203331-01")
}

/// A collector that takes every span.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    resource: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("has an address"));
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, url)
    }

    /// Waits until a span of a run has come, which is the last of its trace.
    async fn wait_for_run(&self) -> Vec<Span> {
        for _ in 0..100 {
            let spans = self.spans.lock().expect("not poisoned").clone();
            if spans.iter().any(|span| span.name.starts_with("invoke_agent")) {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no run's span comes");
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).expect("is OTLP");
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.expect("is named").attributes;
        let mut resource = collector.resource.lock().expect("not poisoned");
        resource.extend(attributes.into_iter().map(|attribute| text_of(&attribute)));
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        collector.spans.lock().expect("not poisoned").extend(spans);
    }
}

fn text_of(attribute: &opentelemetry_proto::tonic::common::v1::KeyValue) -> (String, String) {
    let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
    let text = match value.expect("has a value") {
        Content::StringValue(text) => text.clone(),
        Content::IntValue(number) => number.to_string(),
        Content::DoubleValue(number) => number.to_string(),
        Content::ArrayValue(array) => format!("{:?}", array.values),
        other => panic!("{other:?}"),
    };
    (attribute.key.clone(), text)
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    span.attributes.iter().map(text_of).find_map(|(key, text)| (key == name).then_some(text))
}

#[track_caller]
fn find<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {names:?}"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("is written");
        text
    })
}

struct Traced {
    service: Service,
    provider: FakeProvider,
    tools: FakeToolServer,
    _files: tempfile::TempDir,
    _agents: AgentFolder,
}

impl Traced {
    async fn start(pool: &PgPool, environment: &[(&str, &str)]) -> Self {
        let provider = FakeProvider::start().await;
        let tools = FakeToolServer::start(&[("look", FakeTool::says(SECRET))]).await;
        let (files, agents) = (tempfile::tempdir().expect("a folder"), AgentFolder::new());
        agents.write("helper.md", agent_file("helper", "Helps"));
        let yaml = format!(
            "default_model: local/m\n\
             providers: {{local: {{dialect: openai, base_url: '{}/v1'}}}}\n\
             mcp_servers: {{docs: {{url: '{}', default: true}}}}\n",
            provider.url, tools.url
        );
        let config = files.path().join("rolecall.yaml");
        std::fs::write(&config, yaml).expect("is written");
        let url = pool.connect_options().to_url_lossy().to_string();
        let config = config.to_str().expect("is UTF-8");
        let mut all = vec![("DATABASE_URL", url.as_str()), ("ROLECALL_CONFIG", config)];
        all.extend(environment);
        let service = Service::start(&files.path().join("data"), &agents.path(), &all).await;
        Self { service, provider, tools, _files: files, _agents: agents }
    }

    async fn run(&self) -> Answer {
        let body = json!({"agent": "helper", "input": SECRET, "max_tokens": 99});
        let request = self.service.caller.request(Method::POST, "/v1/runs").json(&body);
        Answer::read(request.header("traceparent", caller_s_trace())).await
    }

    async fn wait_for_tools(&self) {
        for _ in 0..200 {
            let body = json!({"agent": "helper", "input": "x"});
            let prompt = self.service.caller.post("/v1/prompts", body).await.body;
            if prompt["request"]["tools"].is_array() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no tools are offered");
    }

    async fn dropped_spans(&self, reason: &str) -> u64 {
        let figures = self.service.caller.get("/metrics").await.text;
        let start = format!("rolecall_trace_spans_dropped_total{{reason=\"{reason}\"}} ");
        let line = figures.lines().find_map(|line| line.strip_prefix(start.as_str()));
        line.map_or(0, |count| count.parse().expect("a number"))
    }
}

#[sqlx::test]
async fn a_run_is_one_trace_below_its_caller_s(pool: PgPool) {
    let (collector, url) = Collector::start().await;
    let traced = Traced::start(&pool, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    traced.wait_for_tools().await;
    let call = AskedTool::new("call-1", "mcp__docs__look", json!({"q": SECRET}));
    traced.provider.asks_for_tools(OPENAI, &[call]);
    traced.provider.says(OPENAI, SECRET);
    let run = traced.run().await;
    assert_eq!(run.status, 200, "{}", run.text);

    let mut spans = collector.wait_for_run().await;
    let is_root = |span: &&Span| span.parent_span_id.is_empty();
    let mut roots = spans.iter().filter(is_root).map(|span| span.name.as_str()).peekable();
    assert!(roots.peek().is_some(), "prompts were built before");
    assert!(roots.all(|name| name == "preview_prompt"), "each is one trace");
    spans.retain(|span| hex(&span.trace_id) == TRACE_ID);
    let whole = find(&spans, "invoke_agent helper");
    assert_eq!(hex(&whole.parent_span_id), "b7ad6b7169203331");
    let below = ["dispatch", "prompt", "chat m", "execute_tool mcp__docs__look"];
    for name in below {
        assert_eq!(find(&spans, name).parent_span_id, whole.span_id, "{name}");
    }
    assert_eq!(spans.len(), 6, "two turns, and one of each other");
    let expected = [
        ("gen_ai.operation.name", "invoke_agent"),
        ("gen_ai.agent.name", "helper"),
        ("gen_ai.response.model", "served"),
        ("rolecall.run.status", "completed"),
        ("rolecall.run.id", run.header("x-rolecall-run")),
    ];
    for (name, value) in expected {
        assert_eq!(attribute(whole, name).as_deref(), Some(value), "{name}");
    }
    let turns = spans.iter().filter(|span| span.name == "chat m");
    let chat = turns.max_by_key(|span| span.start_time_unix_nano).expect("the second turn");
    let output_tokens = OUTPUT_TOKENS.to_string();
    let expected = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "local"),
        ("gen_ai.request.model", "m"),
        ("gen_ai.request.max_tokens", "99"),
        ("gen_ai.response.model", "served"),
        ("gen_ai.usage.output_tokens", &output_tokens),
    ];
    for (name, value) in expected {
        assert_eq!(attribute(chat, name).as_deref(), Some(value), "{name}");
    }
    let tool = find(&spans, "execute_tool mcp__docs__look");
    assert_eq!(attribute(tool, "gen_ai.tool.call.id").as_deref(), Some("call-1"));
    assert!(!format!("{spans:?}").contains(SECRET), "no text of anybody is in a span");
    assert_eq!(collector.resource.lock().unwrap()["service.name"], "rolecall");

    // Each request to a provider, and the tool's call, name the span that they belong to.
    let chats: Vec<String> = spans
        .iter()
        .filter(|span| span.name == "chat m")
        .map(|span| format!("00-{TRACE_ID}-{}-01", hex(&span.span_id)))
        .collect();
    let received = traced.provider.received();
    let named: Vec<&str> = received
        .iter()
        .map(|request| request.headers["traceparent"].to_str().expect("is ASCII"))
        .collect();
    assert!(named.iter().all(|name| chats.iter().any(|chat| chat == name)), "{named:?} {chats:?}");
    let told = format!("00-{TRACE_ID}-{}-01", hex(&tool.span_id));
    assert_eq!(traced.tools.traces(), [Some(told)]);
}

#[sqlx::test]
async fn each_attempt_is_a_span_that_says_how_it_ended(pool: PgPool) {
    let (collector, url) = Collector::start().await;
    let endpoint = format!("{url}/v1/traces");
    let traced = Traced::start(&pool, &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint)]).await;
    traced.provider.replies(Reply::reset());
    traced.provider.says(OPENAI, "Well.");
    assert_eq!(traced.run().await.status, 200);
    let spans = collector.wait_for_run().await;
    let attempts: Vec<Option<String>> = spans
        .iter()
        .filter(|span| span.name == "chat m")
        .map(|span| attribute(span, "error.type"))
        .collect();
    assert_eq!(attempts, [Some("unreachable".to_owned()), None]);
}

#[sqlx::test]
async fn without_a_collector_the_trace_is_passed_on(pool: PgPool) {
    let traced = Traced::start(&pool, &[]).await;
    traced.provider.says(OPENAI, "Well.");
    assert_eq!(traced.run().await.status, 200);
    assert_eq!(traced.provider.received()[0].headers["traceparent"], caller_s_trace().as_str());
}

#[sqlx::test]
async fn traces_are_turned_off_by_the_standard_variable(pool: PgPool) {
    let (_collector, url) = Collector::start().await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*url), ("OTEL_SDK_DISABLED", "True")];
    let traced = Traced::start(&pool, &environment).await;
    traced.provider.says(OPENAI, "Well.");
    assert_eq!(traced.run().await.status, 200);
    // A span of ours would be named.
    assert_eq!(traced.provider.received()[0].headers["traceparent"], caller_s_trace().as_str());
}

#[sqlx::test]
async fn a_collector_that_never_answers_holds_nobody_up(pool: PgPool) {
    // It is connected to, and that is all.
    let deaf = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", deaf.local_addr().expect("has an address"));
    let traced = Traced::start(&pool, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..60 {
        let picks = (0..100).map(|_| async {
            let began = Instant::now();
            assert_eq!(traced.service.caller.dispatch("x").await.status, 200);
            began.elapsed()
        });
        slowest = join_all(picks).await.into_iter().max().expect("some").max(slowest);
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let dropped = traced.dropped_spans("queue_full").await;
    // 6,000 spans, of which the queue and a batch under way hold 4,608.
    assert!((1_000..=6_000).contains(&dropped), "{dropped}");
}

#[sqlx::test]
async fn spans_that_a_collector_refuses_are_counted(pool: PgPool) {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", closed.local_addr().expect("has an address"));
    drop(closed);
    let traced = Traced::start(&pool, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    for _ in 0..3 {
        assert_eq!(traced.service.caller.dispatch("x").await.status, 200);
    }
    for _ in 0..50 {
        if traced.dropped_spans("not_taken").await >= 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("what is lost is not counted");
}
