use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::{ALONE, Load, megabytes};
use crate::support::{Caller, Events, Refusal, Reply, Wire};

/// `SOAK_REQUESTS` asks for another number.
const REQUESTS: usize = 20_000;

const AT_ONCE: usize = 64;

/// The connections that may stay open behind all requests: to callers, to the vendor, to the database.
const KEPT: usize = AT_ONCE + 64 + 16;

const WIRE: Wire = Wire(rolecall::provider::DialectName::Anthropic);

/// What the vendor does, by the model's name.
const FAULTS: [&str; 12] = [
    "fine", "fine", "fine", "fine", "limited", "failed", "reset", "cut", "malformed", "silent",
    "too-long", "flaky",
];

const CONFIGURATION: &str = r"
providers:
  anthropic: {base_url: $VENDOR, api_key: a-key}
models:
  flaky: {targets: [{provider: anthropic, model: failed}, {provider: anthropic, model: fine}]}
limits: {response_header_timeout_ms: 300, first_token_timeout_ms: 300, idle_timeout_ms: 300, retry_budget_ms: 0,
         breaker_failures: 1000000}
";

#[sqlx::test]
#[ignore = "wants the machine for itself: `make endurance`"]
async fn a_soak_leaves_memory_as_it_was_and_every_run_with_one_end(pool: PgPool) {
    let _alone = ALONE.lock().await;
    let requests = requests();
    let mut load = Load::start(pool, CONFIGURATION).await;
    load.vendor().answers(|request| answer(request.model()));
    let (idle, idle_files) = (load.service().memory_bytes(), load.service().open_files());
    soak(&load, 0..2_000).await;
    load.settle().await;
    let before = load.service().memory_bytes();
    let files = load.service().open_files();

    let started = Instant::now();
    let runs = soak(&load, 2_000..2_000 + requests).await;
    let took = started.elapsed();
    load.settle().await;
    let after = load.memory_returned_to(before * 6 / 5).await;
    println!(
        "{requests} requests in {took:.1?}, {runs} runs: {} MB when it had started, {} MB before, {} MB after, {} MB at most; open files {files} before, {} after; {:?}",
        megabytes(idle),
        megabytes(before),
        megabytes(after),
        load.service().peak_memory_bytes().map_or(0, megabytes),
        load.service().open_files(),
        load.statuses().await,
    );
    assert!(after <= before * 6 / 5, "memory grows from {before} to {after} bytes");
    assert!(load.service().open_files() <= idle_files + KEPT, "files are held");

    let begun = load.count("SELECT count(*) FROM runs").await;
    let ended = load.count(
        "SELECT count(*) FROM runs WHERE ended_at IS NOT NULL AND event_count IS NOT NULL
            AND status IN ('completed', 'failed', 'cancelled', 'truncated')",
    );
    assert_eq!(ended.await, begun, "every run has ended");
    assert!(load.deployment.service.stop());
    let log = load.deployment.service.whole_log();
    let ids = |message: &str| -> Vec<&str> {
        let lines = log.lines().filter(|line| line.contains(message));
        lines
            .filter_map(|line| {
                line.split("run.id=").nth(1)?.split(&[' ', '"'][..]).find(|id| !id.is_empty())
            })
            .collect()
    };
    let (ended, answered) = (ids("run ended"), ids("request request.id="));
    let told: HashSet<&str> = ended.iter().chain(&answered).copied().collect();
    assert_eq!(told.len(), begun, "every run is in the log");
    let ends: HashSet<&str> = ended.iter().copied().collect();
    assert_eq!(ends.len(), ended.len(), "and says once that it ends");
}

fn requests() -> usize {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    let requests = std::env::var("SOAK_REQUESTS").ok();
    requests.map_or(REQUESTS, |text| text.parse().expect("SOAK_REQUESTS is a number"))
}

fn answer(model: &str) -> Reply {
    let refusal = |refusal| {
        let (status, body) = WIRE.refusal(refusal, "no");
        Reply::json(status, &body)
    };
    match model {
        "limited" => refusal(Refusal::RateLimited),
        "failed" => refusal(Refusal::Failed),
        "too-long" => refusal(Refusal::ContextTooLong),
        "reset" => Reply::reset(),
        "cut" => Reply::events(&[WIRE.start(model), WIRE.text(model, "Half")]).then_cut(),
        "malformed" => Reply::events(&[WIRE.start(model), WIRE.malformed()]),
        "silent" => Reply::events(&[WIRE.start(model), WIRE.text(model, "Once")]).then_silence(),
        _ => Reply::events(&WIRE.frames(model, &["Here ", "it ", "is."])),
    }
}

/// Sends that many requests of all kinds, and returns how many made a run.
async fn soak(load: &Load, numbers: std::ops::Range<usize>) -> usize {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = tokio::task::JoinSet::new();
    let mut runs = 0;
    for number in numbers {
        let place = Arc::clone(&places).acquire_owned().await.expect("is open");
        let caller = load.caller().clone();
        tasks.spawn(async move {
            let made_run = send(&caller, number).await;
            drop(place);
            made_run
        });
        while let Some(finished) = tasks.try_join_next() {
            runs += usize::from(finished.expect("does not panic"));
        }
    }
    while let Some(finished) = tasks.join_next().await {
        runs += usize::from(finished.expect("does not panic"));
    }
    runs
}

/// Sends one request, and says whether it made a run.
async fn send(caller: &Caller, number: usize) -> bool {
    let fault = FAULTS[number % FAULTS.len()];
    let model = if fault == "flaky" { "flaky".to_owned() } else { format!("anthropic/{fault}") };
    let mut body =
        json!({"agent": "code-reviewer", "input": format!("look at {number}"), "model": model});
    match number / FAULTS.len() % 7 {
        0 | 1 => {
            body["stream"] = json!(true);
            check_stream(caller.stream_run(body).await).await;
        }
        2 | 3 => check(caller.post("/v1/runs", body).await.status),
        4 => {
            body["background"] = json!(true);
            let run = caller.post("/v1/runs", body).await;
            assert_eq!(run.status, 202, "{}", run.text);
            let path = format!("/v1/runs/{}", run.body["id"].as_str().expect("an id"));
            if number.is_multiple_of(2) {
                assert_eq!(caller.post(&format!("{path}/cancel"), json!({})).await.status, 200);
            }
            let follow = caller.request(reqwest::Method::GET, &format!("{path}/events"));
            check_stream(Events::read(follow).await).await;
        }
        5 => {
            // Leaves before the end.
            body["stream"] = json!(true);
            let leaving = caller.stream_run(body);
            let _ = tokio::time::timeout(Duration::from_millis(number as u64 % 20), leaving).await;
        }
        _ => {
            let decision = caller.dispatch("review my pull request").await;
            assert_eq!(decision.status, 200);
            let listed = caller.get("/v1/runs?limit=5").await;
            assert_eq!(listed.status, 200);
            return false;
        }
    }
    true
}

/// A stream has one end, or was refused with a status of its own.
async fn check_stream(events: Events) {
    if events.status != 200 {
        return check(events.status);
    }
    let is_end = |(_, name, _): &&(u64, String, Value)| {
        ["run.completed", "run.failed", "run.cancelled", "run.truncated"].contains(&name.as_str())
    };
    let told = events.collect().await;
    assert_eq!(told.iter().filter(is_end).count(), 1, "{told:?}");
    assert!(told.last().as_ref().is_some_and(is_end), "{told:?}");
}

fn check(status: u16) {
    assert!([200, 400, 409, 429, 502, 503, 504].contains(&status), "unexpected status {status}");
}
