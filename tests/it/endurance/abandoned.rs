use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::{ALONE, Load, megabytes};
use crate::support::{Reply, anthropic};

const STREAMS: usize = 10_000;

/// How many are open at once. The service notices a little later than their callers that they have left.
const AT_ONCE: usize = 60;

/// How many runs the service takes at once: were a place of one in fifty kept, there would be none left at the end.
const PLACES: usize = 200;

#[sqlx::test]
#[ignore = "wants the machine for itself: `make endurance`"]
async fn ten_thousand_abandoned_streams_leave_nothing_behind(pool: PgPool) {
    let _alone = ALONE.lock().await;
    let load = Load::start(
        pool,
        &format!(
            "providers:\n  anthropic: {{base_url: $VENDOR, api_key: a-key}}\nlimits: {{concurrent_runs: {PLACES}}}\n"
        ),
    )
    .await;
    // A third never gets headers, a third never gets a token, a third is left in the middle.
    load.vendor().answers(|request| match request.model() {
        "no-headers" => Reply::silence(),
        "no-token" => Reply::events(&[anthropic::start()]).then_silence(),
        _ => Reply::events(&[anthropic::start(), anthropic::text("Once upon")]).then_silence(),
    });
    // What the process comes to hold for good, it holds after some.
    abandon(&load, 500).await;
    load.settle().await;
    let (files, memory) = (load.service().open_files(), load.service().memory_bytes());

    let started = Instant::now();
    abandon(&load, STREAMS).await;
    let took = started.elapsed();
    load.settle().await;
    let after = load.memory_returned_to(memory * 6 / 5).await;
    println!(
        "{STREAMS} abandoned streams in {took:.1?}: open files {files} before, {} after; memory {} MB before, {} MB after",
        load.service().open_files(),
        megabytes(memory),
        megabytes(after),
    );
    assert!(load.service().open_files() <= files + 5, "no socket is held");
    assert!(after <= memory * 6 / 5, "no memory is held");
    assert_eq!(load.vendor().connections(), 0, "the vendor writes for nobody");
    // On a slow machine many leave before the service has read what they want.
    let statuses = load.statuses().await;
    let [(status, count)] = statuses.as_slice() else { panic!("{statuses:?}") };
    assert!(status == "cancelled" && *count > STREAMS / 2, "{statuses:?}");

    // Every place is free again.
    load.vendor().answers(|_| {
        Reply::json(200, &anthropic::message("Done.")).after(Duration::from_millis(500))
    });
    let body = json!({"agent": "code-reviewer", "input": "look", "model": "anthropic/m"});
    let runs = (0..PLACES).map(|_| load.caller().post("/v1/runs", body.clone()));
    for run in join_all(runs).await {
        assert_eq!(run.status, 200, "{}", run.text);
    }
}

async fn abandon(load: &Load, count: usize) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        let place = Arc::clone(&places).acquire_owned().await.expect("is open");
        let caller = load.caller().clone();
        tasks.spawn(async move {
            let _place = place;
            let model = ["no-headers", "no-token", "middle"][number % 3];
            let body = json!({
                "agent": "code-reviewer", "input": "look", "model": format!("anthropic/{model}"),
                "stream": true,
            });
            let answer = async {
                let mut events = caller.stream_run(body).await;
                assert_eq!(events.status, 200);
                events.wait_for("text.delta").await;
            };
            let left = tokio::time::timeout(Duration::from_millis(100), answer).await;
            assert!(left.is_err() || model == "middle", "there is nothing to wait for");
        });
        while let Some(finished) = tasks.try_join_next() {
            finished.expect("does not panic");
        }
    }
    while let Some(finished) = tasks.join_next().await {
        finished.expect("does not panic");
    }
}
