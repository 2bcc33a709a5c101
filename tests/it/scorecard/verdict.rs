//! How a run came through a fault: by what its caller was told, and by what the vendor saw meanwhile.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::PgPool;

use super::scenario::{Fault, SCENARIOS};
use super::{
    BREAKER_FAILURES, BREAKER_OPEN, CLOCK, Cell, FLAP_DOWN, FLAP_INTERVAL, FLAP_REQUESTS, Told,
    Way, words,
};
use crate::support::{FakeProvider, INPUT_TOKENS, OUTPUT_TOKENS, TestApp, Wire};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The caller has the whole answer, or the refusal where there can be none, and all is in order.
    Pass,
    /// The caller has a clear error in time, and all is in order.
    Safe,
    Fail,
}

pub struct Judged {
    pub verdict: Verdict,
    pub why: String,
    requests: (usize, usize),
    took: Duration,
}

/// The most that a single run may take here: what the clocks and the waits of the retries add up to.
const LONGEST: Duration = Duration::from_secs(20);

pub async fn judge(
    cell: &Cell,
    app: &Arc<TestApp>,
    vendor: &FakeProvider,
    pool: &PgPool,
) -> Judged {
    let (told, mut faults) = if cell.scenario.fault == Fault::Flapping {
        flap(cell, app, vendor).await
    } else {
        (cell.run(&app.admin).await, Vec::new())
    };
    let is_whole =
        told.status == 200 && told.body["status"] == "completed" && told.text == words().concat();
    let primary = vendor.asked_at(&cell.primary());
    let fallback = vendor.asked_at(&cell.fallback());
    faults.extend(conduct(cell, &told, &primary, &fallback));
    faults.extend(told_faults(cell, &told, is_whole));
    faults.extend(record_faults(&told, app, pool).await);
    let is_refusal = cell.scenario.fault == Fault::ContentFiltered && is_refusal(&told);
    let verdict = match () {
        () if !faults.is_empty() => Verdict::Fail,
        () if is_whole || is_refusal => Verdict::Pass,
        () => Verdict::Safe,
    };
    let why = if faults.is_empty() { told.body.to_string() } else { faults.join("; ") };
    Judged { verdict, why, requests: (primary.len(), fallback.len()), took: told.took }
}

/// A filter's refusal is an error, or an answer whose finish reason says so.
fn is_refusal(told: &Told) -> bool {
    told.body["code"] == "content_filtered"
        || (told.body["finish_reason"] == "refusal" && told.text.is_empty())
}

/// What must not be told.
fn told_faults(cell: &Cell, told: &Told, is_whole: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |is_fine: bool, what: &str| {
        if !is_fine {
            faults.push(what.to_owned());
        }
    };
    check(told.took < LONGEST, "it takes too long");
    let is_success = told.status == 200 && told.body["status"] == "completed";
    check(!is_success || is_whole || is_refusal(told), "a cut answer is shown as a clean one");
    check(words().concat().starts_with(&told.text), "words come twice, or in disorder");
    if is_success && !is_refusal(told) {
        let served = if cell.answers_by_fallback() { cell.fallback() } else { cell.primary() };
        let served = Value::from(format!("{}/{served}", cell.wire.name()));
        check(
            told.body["model"]["resolved"] == served,
            "another model is named than the one that served",
        );
        let usage = &told.body["usage"];
        let counted = (usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64());
        check(counted == (Some(INPUT_TOKENS), Some(OUTPUT_TOKENS)), "the usage is another one");
    }
    let is_cut = matches!(cell.scenario.fault, Fault::Cut | Fault::CutBeforeFallbackWithoutPrefill);
    check(
        !is_cut || is_success || told.body["status"] == "truncated",
        "a cut is called something else",
    );
    faults
}

/// What the vendor must not see.
fn conduct(cell: &Cell, told: &Told, primary: &[Instant], fallback: &[Instant]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |is_fine: bool, what: &str| {
        if !is_fine {
            faults.push(format!("{what}: {} and {} requests", primary.len(), fallback.len()));
        }
    };
    match cell.scenario.fault {
        Fault::LimitedOnce => {
            check(primary.len() == 2, "the limit is not waited for");
            let waited =
                primary.get(1).is_some_and(|second| *second - primary[0] >= Duration::from_secs(2));
            check(waited, "Retry-After is not honoured");
        }
        Fault::FailedOnce | Fault::ResetOnce => {
            check(
                (primary.len(), fallback.len()) == (2, 0),
                "it is not tried again where it failed",
            );
        }
        Fault::Limited | Fault::Overloaded | Fault::Accounting => {
            check((primary.len(), fallback.len()) == (2, 1), "the retries are not bounded");
            let waited = primary
                .get(1)
                .is_some_and(|second| *second - primary[0] >= Duration::from_millis(400));
            check(waited, "the provider is hammered");
        }
        Fault::NoResponse | Fault::SlowFirstToken => {
            check((primary.len(), fallback.len()) == (1, 1), "a silent provider is asked again");
        }
        Fault::ContextTooLong => {
            check(
                (primary.len(), fallback.len()) == (1, 1),
                "what is too long is sent again unchanged",
            );
        }
        Fault::ContentFiltered => {
            check((primary.len(), fallback.len()) == (1, 0), "a refusal is routed around");
        }
        Fault::NoLastMarker => {
            check((primary.len(), fallback.len()) == (1, 0), "a whole answer is asked for again");
            check(told.took < CLOCK, "a marker is waited for that does not come");
        }
        Fault::Cut
        | Fault::Stall
        | Fault::MalformedChunk
        | Fault::CutBeforeFallbackWithoutPrefill => {
            let shown = cell.way == Way::Streamed;
            check(
                !shown || (primary.len(), fallback.len()) == (1, 0),
                "what was shown is asked for again",
            );
            check(primary.len() + fallback.len() <= 3, "the retries are not bounded");
            let is_silent = cell.scenario.fault == Fault::Stall;
            check(!is_silent || primary.len() == 1, "a silent provider is asked again");
        }
        Fault::Flapping => {}
    }
    faults
}

/// The record must say the same as the caller was told, and have one end.
async fn record_faults(told: &Told, app: &TestApp, pool: &PgPool) -> Vec<String> {
    let id = told.body.get("run_id").unwrap_or(&told.body["id"]).as_str().expect("an id");
    let run = app.admin.get(&format!("/v1/runs/{id}")).await.body;
    let mut faults = Vec::new();
    if told.body.get("run_id").is_none() && run != told.body {
        faults.push(format!("the record says something else: {run}"));
    }
    let attempts = run["attempts"].as_array().map_or(0, Vec::len);
    if run["ended_at"].is_null() || attempts == 0 {
        faults.push(format!("the record is not settled: {run}"));
    }
    let rows = count_ends(pool, id).await;
    if rows != 1 {
        faults.push(format!("the record has {rows} ends"));
    }
    faults
}

/// How many rows of the run have ended, once it is written.
async fn count_ends(pool: &PgPool, id: &str) -> i64 {
    let id: uuid::Uuid = id.parse().expect("an id");
    for _ in 0..200 {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM runs WHERE id = $1 AND ended_at IS NOT NULL")
                .bind(id)
                .fetch_one(pool)
                .await
                .expect("is read");
        if count > 0 {
            return count;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    0
}

/// Runs one behind the other while the primary is down and after it has come back.
async fn flap(cell: &Cell, app: &TestApp, vendor: &FakeProvider) -> (Told, Vec<String>) {
    let mut faults = Vec::new();
    let started = Instant::now();
    let (mut last, mut asked_while_down) = (None, 0);
    for number in 1..=FLAP_REQUESTS {
        let told = cell.run(&app.admin).await;
        if told.status != 200 || told.text != words().concat() {
            faults.push(format!("request {number} is not served: {}", told.body));
        }
        if started.elapsed() < FLAP_DOWN {
            asked_while_down = vendor.asked_at(&cell.primary()).len();
        }
        last = Some(told);
        tokio::time::sleep(FLAP_INTERVAL).await;
    }
    let last = last.expect("there was a request");
    let primary = format!("{}/{}", cell.wire.name(), cell.primary());
    if last.body["model"]["resolved"] != *primary {
        faults.push("the primary is not used again".to_owned());
    }
    // The failures that open the breaker, and a probe each time that it has been open for long enough.
    let fewest = BREAKER_FAILURES as usize;
    let probes = FLAP_DOWN.as_millis().div_ceil(BREAKER_OPEN.as_millis());
    let most = fewest + usize::try_from(probes).expect("a few");
    if !(fewest..=most).contains(&asked_while_down) {
        faults.push(format!("a primary that is down is asked {asked_while_down} times"));
    }
    (last, faults)
}

impl Cell {
    /// Whether it is the fallback that should answer, where there is an answer.
    fn answers_by_fallback(&self) -> bool {
        !matches!(
            self.scenario.fault,
            Fault::LimitedOnce
                | Fault::FailedOnce
                | Fault::ResetOnce
                | Fault::NoLastMarker
                | Fault::Flapping
        )
    }
}

/// One row a fault, one column a dialect and way: verdict, requests to primary and fallback, time.
pub fn table(cells: &[Cell], judged: &[Judged]) -> String {
    let mut table = String::from("\n| fault |");
    for wire in Wire::ALL {
        for way in Way::ALL {
            write!(table, " {}, {} |", wire.name(), way.name()).expect("a String takes all");
        }
    }
    table.push_str("\n|---|");
    table.push_str(&"---|".repeat(Wire::ALL.len() * Way::ALL.len()));
    for scenario in &SCENARIOS {
        write!(table, "\n| {} {} |", scenario.id, scenario.title).expect("a String takes all");
        let of_scenario =
            cells.iter().zip(judged).filter(|(cell, _)| cell.scenario.id == scenario.id);
        for (_, Judged { verdict, requests: (primary, fallback), took, .. }) in of_scenario {
            write!(table, " {verdict:?} {primary}+{fallback} {:.1} s |", took.as_secs_f64())
                .expect("a String takes all");
        }
    }
    let count = |wanted| judged.iter().filter(|judged| judged.verdict == wanted).count();
    let counts = [Verdict::Pass, Verdict::Safe, Verdict::Fail].map(count);
    write!(table, "\n\n{} pass, {} safe, {} fail\n", counts[0], counts[1], counts[2])
        .expect("a String takes all");
    table
}
