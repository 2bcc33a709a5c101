//! The figures for Prometheus, of a process of its own: they are counted for the whole process.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use prometheus_parse::{Scrape, Value as Figure};
use reqwest::Method;
use rolecall::provider::DialectName;
use serde_json::json;
use sqlx::{ConnectOptions, PgPool};

use crate::support::{
    AgentFolder, Answer, Caller, FakeProvider, OUTPUT_TOKENS, Reply, Service, Wire, agent_file,
};

const OPENAI: Wire = Wire(DialectName::Openai);

/// What no figure may hold: it is in a caller's path, model and text.
const CALLERS_WORD: &str = "zanzibar";

/// A metric, labels, and the sum of the figures that have them.
type Expected = (&'static str, &'static [(&'static str, &'static str)], f64);

struct Watched {
    service: Service,
    provider: FakeProvider,
    _files: tempfile::TempDir,
    _agents: AgentFolder,
}

impl Watched {
    async fn start(pool: &PgPool, more: &str) -> Self {
        let provider = FakeProvider::start().await;
        let (files, agents) = (tempfile::tempdir().expect("a folder"), AgentFolder::new());
        agents.write("helper.md", agent_file("helper", "Helps"));
        let yaml = format!(
            "default_model: local/m\nlimits: {{retry_attempts: 1}}\n{more}\n\
             providers: {{local: {{dialect: openai, base_url: '{}/v1'}}}}\n\
             models: {{priced: {{targets: [{{provider: local, model: dear, input_price: 0, output_price: 1000000}}]}}}}\n",
            provider.url
        );
        let config = files.path().join("rolecall.yaml");
        std::fs::write(&config, yaml).expect("is written");
        let service = start(pool, files.path(), &config, &agents).await;
        Self { service, provider, _files: files, _agents: agents }
    }

    async fn scrape(&self) -> Figures {
        let answer = self.service.caller.with_key("").get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        Figures::read(&answer.text)
    }
}

async fn start(pool: &PgPool, files: &Path, config: &Path, agents: &AgentFolder) -> Service {
    let url = pool.connect_options().to_url_lossy().to_string();
    let config = config.to_str().expect("is UTF-8");
    let environment = [("DATABASE_URL", url.as_str()), ("ROLECALL_CONFIG", config)];
    Service::start(&files.join("data"), &agents.path(), &environment).await
}

struct Figures {
    scrape: Scrape,
    text: String,
}

impl Figures {
    fn read(text: &str) -> Self {
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let scrape = Scrape::parse(lines).expect("is Prometheus's format");
        Self { scrape, text: text.to_owned() }
    }

    /// The sum of a metric's figures with these labels; of a histogram, how many samples there are.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let of_name = self.scrape.samples.iter().filter(|sample| sample.metric == name);
        let fitting = of_name.filter(|sample| {
            labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value))
        });
        fitting
            .map(|sample| match &sample.value {
                Figure::Counter(value) | Figure::Gauge(value) | Figure::Untyped(value) => *value,
                Figure::Histogram(buckets) => buckets.last().expect("has buckets").count,
                Figure::Summary(_) => panic!("{name} is a histogram"),
            })
            .sum()
    }
}

#[sqlx::test]
async fn what_happens_is_counted_under_few_names(pool: PgPool) {
    let watched = Watched::start(&pool, "").await;
    let caller = &watched.service.caller;
    let run = json!({"agent": "helper", "input": CALLERS_WORD, "model": "priced"});
    watched.provider.says(OPENAI, "Well.");
    assert_eq!(caller.post("/v1/runs", run.clone()).await.status, 200);
    watched.provider.replies(Reply::reset());
    assert_eq!(caller.post("/v1/runs", run).await.status, 502);
    watched.provider.says(OPENAI, "Well.");
    let own_model =
        json!({"agent": "helper", "input": "x", "model": format!("local/{CALLERS_WORD}")});
    assert_eq!(caller.post("/v1/runs", own_model).await.status, 200);
    let unknown = json!({"agent": CALLERS_WORD, "input": "x"});
    assert_eq!(caller.post("/v1/runs", unknown).await.status, 404);
    caller.dispatch(CALLERS_WORD).await;
    for path in 0..20 {
        caller.get(&format!("/v1/{CALLERS_WORD}/{path}")).await;
    }
    let odd = Method::from_bytes(CALLERS_WORD.to_uppercase().as_bytes()).expect("a method");
    caller.request(odd, "/v1/runs").send().await.expect("answers");
    let limits =
        json!({"name": "limited", "scopes": ["run"], "limits": {"requests_per_minute": 1}});
    let created = caller.post("/admin/v1/keys", limits).await;
    let limited = caller.with_key(created.body["key"].as_str().expect("a key"));
    limited.dispatch("x").await;
    assert_eq!(limited.dispatch("x").await.status, 429);

    let figures = watched.scrape().await;
    let lower = figures.text.to_lowercase();
    assert!(!lower.contains(CALLERS_WORD), "{}", figures.text);
    let runs = |labels: &[(&str, &str)]| figures.sum("rolecall_runs_total", labels);
    assert!((runs(&[("agent", "helper"), ("outcome", "completed")]) - 2.0).abs() < 0.1);
    assert!((runs(&[("agent", "helper"), ("outcome", "failed")]) - 1.0).abs() < 0.1);
    let expected: &[Expected] = &[
        ("rolecall_http_requests_total", &[("route", "/v1/runs"), ("status", "200")], 2.0),
        ("rolecall_http_requests_total", &[("route", "(none)"), ("status", "404")], 20.0),
        ("rolecall_http_requests_total", &[("method", "other")], 1.0),
        ("rolecall_provider_attempts_total", &[("model", "local/dear"), ("outcome", "ok")], 1.0),
        (
            "rolecall_provider_attempts_total",
            &[("model", "local/dear"), ("provider", "local")],
            2.0,
        ),
        ("rolecall_provider_attempts_total", &[("model", "other"), ("outcome", "ok")], 1.0),
        ("rolecall_dispatches_total", &[("strategy", "named")], 3.0),
        ("rolecall_limit_refusals_total", &[("limit", "requests_per_minute")], 1.0),
        ("rolecall_run_first_content_seconds", &[], 2.0),
        ("rolecall_run_overhead_seconds", &[], 2.0),
        ("rolecall_run_duration_seconds", &[("outcome", "completed")], 2.0),
        ("rolecall_runs_under_way", &[], 0.0),
        ("rolecall_breaker_state", &[("model", "dear")], 0.0),
        ("rolecall_journal_limit_bytes", &[], 1_073_741_824.0),
    ];
    for (name, labels, count) in expected {
        let counted = figures.sum(name, labels);
        assert!((counted - count).abs() < 0.1, "{name} {labels:?}: {counted}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of tokens")]
    let output_tokens = OUTPUT_TOKENS as f64;
    let output = [("agent", "helper"), ("model", "local/dear"), ("kind", "output")];
    assert!((figures.sum("rolecall_tokens_total", &output) - output_tokens).abs() < 0.1);
    let nano_usd = figures.sum("rolecall_cost_nano_usd_total", &[("model", "local/dear")]);
    assert!((nano_usd - output_tokens * 1e9).abs() < 1.0, "{nano_usd}");
    let journal_bytes = figures.sum("rolecall_journal_bytes", &[]);
    assert!((1.0..1_000_000.0).contains(&journal_bytes), "{journal_bytes}");
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
        assert!(figures.sum(name, &[]) > 0.0, "{name}");
    }
}

#[sqlx::test]
async fn each_metric_says_what_it_is(pool: PgPool) {
    let watched = Watched::start(&pool, "").await;
    watched.provider.says(OPENAI, "Well.");
    let run = json!({"agent": "helper", "input": "x", "model": "priced"});
    assert_eq!(watched.service.caller.post("/v1/runs", run).await.status, 200);
    let figures = watched.scrape().await;
    let mut kinds: HashMap<&str, &str> = HashMap::new();
    for line in figures.text.lines() {
        let mut words = line.split(' ').skip(1);
        if line.starts_with("# TYPE ") {
            let (name, kind) = (words.nth(1).expect("a name"), words.next().expect("a type"));
            assert!(kinds.insert(name, kind).is_none(), "{name} is told twice");
        }
    }
    for (name, kind) in &kinds {
        assert!(figures.text.contains(&format!("# HELP {name} ")), "{name} says what it means");
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert_ne!(*kind, "summary", "{name}: quantiles of instances cannot be added up");
    }
    assert!(kinds.len() > 15, "{kinds:?}");
}

#[sqlx::test]
async fn figures_need_a_key_if_the_operator_says_so(pool: PgPool) {
    let watched = Watched::start(&pool, "metrics: {require_key: true}").await;
    let caller = &watched.service.caller;
    assert_eq!(caller.with_key("").get("/metrics").await.status, 401);
    assert_eq!(caller.get("/metrics").await.status, 200);
}

#[sqlx::test]
async fn the_account_of_a_key_that_is_gone_is_forgotten(pool: PgPool) {
    let watched = Watched::start(&pool, "").await;
    let caller = &watched.service.caller;
    let mut ids = Vec::new();
    for _ in 0..10 {
        let created = caller.post("/admin/v1/keys", json!({"name": "a", "scopes": ["run"]})).await;
        let key: Caller = caller.with_key(created.body["key"].as_str().expect("a key"));
        key.dispatch("x").await;
        ids.push(created.body["id"].as_str().expect("an id").to_owned());
    }
    let accounts = async || watched.scrape().await.sum("rolecall_key_accounts", &[]);
    assert!(accounts().await >= 10.0);
    for id in ids {
        let deleted: Answer = caller.delete(&format!("/admin/v1/keys/{id}")).await;
        assert_eq!(deleted.status, 204);
    }
    for _ in 0..50 {
        if accounts().await < 2.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the accounts are kept");
}
