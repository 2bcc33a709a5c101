//! A minute without PostgreSQL, under load.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::{ALONE, megabytes, raise_file_limit};
use crate::support::{Caller, Deployment, Gate, Reply, Wire};

const WIRE: Wire = Wire(rolecall::provider::DialectName::Anthropic);

const AWAY: Duration = Duration::from_mins(1);

/// Requests come at this rate, whether the ones before are answered or not.
const A_SECOND: u64 = 100;

/// Whoever waits for the database waits longer: a connection is waited for for five seconds.
const PATIENCE: Duration = Duration::from_secs(3);

#[sqlx::test]
#[ignore = "wants the machine for itself: `make endurance`"]
async fn a_minute_without_the_database_keeps_nobody_waiting(pool: PgPool) {
    let _alone = ALONE.lock().await;
    raise_file_limit();
    let mut gate = Gate::open_to(&pool).await;
    let configuration = "providers:\n  anthropic: {base_url: $VENDOR, api_key: a-key}\n";
    let deployment = Deployment::start_at(&gate.url, configuration).await;
    deployment.vendor.forgets();
    deployment
        .vendor
        .answers(|request| Reply::events(&WIRE.frames(request.model(), &["Here ", "it is."])));
    let caller = deployment.service.caller.clone();
    send(&caller, Duration::from_secs(2)).await;
    let before = deployment.service.memory_bytes();
    gate.shut();
    let mut told = send(&caller, AWAY).await;
    let backlog = caller.get("/readyz").await.body["records"].clone();
    let after = deployment.service.memory_bytes();
    gate.open().await;
    let back = Instant::now();
    while caller.get("/readyz").await.body["records"]["waiting"] != 0 {
        assert!(back.elapsed() < AWAY, "the records are written soon");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let written = back.elapsed();
    told.sort_unstable_by_key(|(_, took)| *took);
    let quantile = |part: usize| told[(told.len() - 1) * part / 1_000].1;
    println!(
        "{} runs while the database was away: {:?} at the median, {:?} for 99 %, {:?} at most; then {backlog}; memory {} MB before, {} MB after; written {written:.1?} after its return",
        told.len(),
        quantile(500),
        quantile(990),
        quantile(1_000),
        megabytes(before),
        megabytes(after),
    );
    assert!(quantile(990) < PATIENCE, "nobody waits");
    let ids: Vec<uuid::Uuid> = told.iter().map(|(id, _)| *id).collect();
    let found: i64 =
        sqlx::query_scalar("SELECT count(*) FROM runs WHERE id = ANY($1) AND status = 'completed'")
            .bind(&ids)
            .fetch_one(&pool)
            .await
            .expect("is read");
    assert_eq!(usize::try_from(found).expect("a count"), ids.len(), "none is missing");
}

/// Makes runs at the rate for a while; returns each with how long its caller waited.
async fn send(caller: &Caller, period: Duration) -> Vec<(uuid::Uuid, Duration)> {
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / A_SECOND));
    let (started, mut runs) = (Instant::now(), JoinSet::new());
    while started.elapsed() < period {
        ticks.tick().await;
        let caller = caller.clone();
        runs.spawn(async move {
            let began = Instant::now();
            let body = json!({"agent": "code-reviewer", "input": "look", "model": "anthropic/m"});
            let run = caller.post("/v1/runs", body).await;
            assert_eq!(run.status, 200, "{}", run.text);
            let id = run.body["id"].as_str().expect("an id").parse().expect("an id");
            (id, began.elapsed())
        });
    }
    runs.join_all().await
}
