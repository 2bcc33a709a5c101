use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::watch;

use super::{ALONE, Load, megabytes};
use crate::support::{Reply, Wire, anthropic};

const STREAMS: usize = 2_000;

/// Each stream says this many words, one after each pause, and its last when all has been measured.
const WORDS: usize = 10;
const PAUSE: Duration = Duration::from_millis(700);

/// The most that a stream may cost, in an unoptimised build.
const MOST_BYTES: u64 = 200 * 1024;

#[sqlx::test]
#[ignore = "wants the machine for itself: `make endurance`"]
async fn two_thousand_slow_streams_stall_nobody_and_all_settle(pool: PgPool) {
    let _alone = ALONE.lock().await;
    let load =
        Load::start(pool, "providers:\n  anthropic: {base_url: $VENDOR, api_key: a-key}\n").await;
    let words: Vec<String> = (0..WORDS).map(|number| format!("word{number} ")).collect();
    let texts: Vec<&str> = words.iter().map(String::as_str).collect();
    let frames = Wire(rolecall::provider::DialectName::Anthropic).frames("slow", &texts);
    let (measured, is_measured) = watch::channel(false);
    load.vendor().answers(move |request| match request.model() {
        "slow" => {
            let (slow, last) = frames.split_at(WORDS);
            Reply::slow_events(slow, PAUSE).then_events(last, is_measured.clone())
        }
        _ => Reply::json(200, &anthropic::message("Done.")),
    });
    let fast = || json!({"agent": "code-reviewer", "input": "look", "model": "anthropic/fast"});
    load.caller().post("/v1/runs", fast()).await;
    let before = load.service().memory_bytes();

    let started = Instant::now();
    let slow = json!({
        "agent": "code-reviewer", "input": "look", "model": "anthropic/slow", "stream": true,
    });
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (caller, slow) = (load.caller().clone(), slow.clone());
            tokio::spawn(async move { caller.stream_run(slow).await.collect().await })
        })
        .collect();
    // Once all of them are under way, others are served as ever.
    while load.caller().get("/readyz").await.body["runs_under_way"] != STREAMS {
        assert!(started.elapsed() < Duration::from_mins(2), "not all are under way at once");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (mut took, mut most) = (Vec::new(), 0);
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(load.caller().post("/v1/runs", fast()).await.status, 200);
        took.push(begun.elapsed());
        most = most.max(load.service().memory_bytes());
    }
    assert_eq!(load.caller().get("/readyz").await.body["runs_under_way"], STREAMS);
    measured.send_replace(true);
    took.sort_unstable();

    let expected = words.concat();
    for events in join_all(streams).await {
        let (_, name, run) = events.expect("does not panic").pop().expect("has an end");
        assert_eq!((name.as_str(), &run["output"]), ("run.completed", &json!(expected)));
    }
    load.settle().await;
    let each = (most - before) / STREAMS as u64;
    println!(
        "{STREAMS} streams at once: {} KB each ({} MB before, {} MB with them, {} MB afterwards); another run took {:?} at the median, {:?} at most",
        each / 1024,
        megabytes(before),
        megabytes(most),
        megabytes(load.service().memory_bytes()),
        took[took.len() / 2],
        took[took.len() - 1],
    );
    assert!(each < MOST_BYTES, "a stream costs {each} bytes");
    assert!(took[took.len() / 2] < Duration::from_secs(1), "others are stalled: {took:?}");
    assert_eq!(load.statuses().await, [("completed".to_owned(), STREAMS + 51)]);
}
