//! The faults that a public bench injects into providers (<https://github.com/failoverbench/failoverbench>), on each
//! outbound dialect, for callers who stream and callers who do not, and how a run comes through each of them.
//!
//! `make scorecard` prints the table.

mod scenario;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use rolecall::provider::{ProviderSettings, Target};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Answer, Caller, Events, FakeProvider, TestApp, TestAppBuilder, Wire};
use scenario::{SCENARIOS, Scenario};
use verdict::Verdict;

/// What every healthy model here answers, sixty words long.
const WORDS: usize = 60;

/// How long any silence may last here. The defaults are minutes.
const CLOCK: Duration = Duration::from_secs(3);

/// All at once they would wait for the machine, and not for what the clocks measure.
const CELLS_AT_ONCE: usize = 48;

/// How long a primary that comes and goes is down, and how often it is asked meanwhile.
const FLAP_DOWN: Duration = Duration::from_secs(6);
const FLAP_INTERVAL: Duration = Duration::from_millis(600);
const FLAP_REQUESTS: usize = 20;

/// How the answer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It streams all the way, and its caller is shown it as it comes.
    Streamed,
    /// The provider streams it, and the caller is given it when it is whole.
    Gathered,
    /// The provider gives it in one piece.
    OnePiece,
}

/// When a primary is left alone, and how often it is probed then. The defaults are for outages of minutes.
const BREAKER_FAILURES: u32 = 4;
const BREAKER_OPEN: Duration = Duration::from_millis(1_500);

/// One fault on one dialect, in one way.
#[derive(Clone)]
struct Cell {
    scenario: &'static Scenario,
    wire: Wire,
    way: Way,
}

/// What a caller was told.
struct Told {
    status: u16,
    text: String,
    /// The run, or the problem.
    body: Value,
    took: Duration,
}

impl Way {
    const ALL: [Self; 3] = [Self::Streamed, Self::Gathered, Self::OnePiece];

    fn name(self) -> &'static str {
        match self {
            Self::Streamed => "streamed",
            Self::Gathered => "gathered",
            Self::OnePiece => "one-piece",
        }
    }
}

impl Cell {
    fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for scenario in &SCENARIOS {
            for wire in Wire::ALL {
                cells.extend(Way::ALL.map(|way| Self { scenario, wire, way }));
            }
        }
        cells
    }

    /// The primary of this cell: no two cells share a model, and so none shares a breaker.
    fn primary(&self) -> String {
        format!("{}-{}-{}", self.scenario.id, self.wire.name(), self.way.name())
    }

    fn fallback(&self) -> String {
        format!("{}-fallback", self.primary())
    }

    fn targets(&self) -> [Target; 2] {
        let target = |model: String, context_tokens| Target {
            context_tokens: Some(context_tokens),
            stream: self.way != Way::OnePiece,
            ..Target::new(self.wire.name(), &model)
        };
        [target(self.primary(), 8_000), target(self.fallback(), 200_000)]
    }

    /// Makes the run of this cell.
    async fn run(&self, caller: &Caller) -> Told {
        let started = Instant::now();
        let body = json!({
            "agent": "code-reviewer", "input": "look", "model": self.primary(),
            "stream": self.way == Way::Streamed,
        });
        let request = caller.request(reqwest::Method::POST, "/v1/runs").json(&body);
        if self.way != Way::Streamed {
            let Answer { status, body, .. } = Answer::read(request).await;
            let text = body["output"].as_str().unwrap_or_default().to_owned();
            return Told { status, text, body, took: started.elapsed() };
        }
        let events = Events::read(request).await;
        let status = events.status;
        if status != 200 {
            let body = events.problem().await;
            return Told { status, text: String::new(), body, took: started.elapsed() };
        }
        let events = events.collect().await;
        let deltas = events.iter().filter(|(_, name, _)| name == "text.delta");
        let text = deltas.filter_map(|(_, _, data)| data["text"].as_str()).collect();
        let (_, name, body) = events.last().cloned().expect("a stream has an end");
        assert_eq!(name, format!("run.{}", body["status"].as_str().expect("a status")));
        Told { status, text, body, took: started.elapsed() }
    }
}

fn words() -> Vec<String> {
    (1..=WORDS).map(|number| format!("word{number} ")).collect()
}

/// A service with a provider of each dialect, all of them this vendor, and an alias for each cell.
fn service(pool: PgPool, vendor: &FakeProvider, cells: &[Cell]) -> TestAppBuilder {
    let mut builder = TestApp::builder(pool).configure(|config| {
        for wire in Wire::ALL {
            config.provider.providers.push(ProviderSettings {
                name: wire.name().to_owned(),
                dialect: wire.0,
                base_url: format!("{}{}", vendor.url, wire.base_path()).parse().expect("a URL"),
                base_url_secrets: Vec::new(),
                api_key: Some(SecretString::from("upstream-secret")),
                headers: Vec::new(),
            });
        }
        config.provider.clocks.response_header = CLOCK;
        config.provider.clocks.first_token = CLOCK;
        config.provider.clocks.idle = CLOCK;
        config.provider.breaker.failures = BREAKER_FAILURES;
        config.provider.breaker.open = BREAKER_OPEN;
    });
    for cell in cells {
        builder = builder.alias(&cell.primary(), cell.targets());
    }
    builder
}

#[sqlx::test]
async fn every_public_fault_is_survived_on_each_dialect(pool: PgPool) {
    let vendor = FakeProvider::start().await;
    let cells = Cell::all();
    vendor.answers(scenario::script(&cells));
    let app = Arc::new(service(pool.clone(), &vendor, &cells).start().await);

    let judged: Vec<_> =
        stream::iter(cells.iter().map(|cell| verdict::judge(cell, &app, &vendor, &pool)))
            .buffered(CELLS_AT_ONCE)
            .collect()
            .await;
    let table = verdict::table(&cells, &judged);
    println!("{table}");
    for (cell, judged) in cells.iter().zip(&judged) {
        let expected = cell.scenario.expected(cell.way);
        assert!(
            judged.verdict == expected,
            "{} is {:?} and not {expected:?}: {}\n{table}",
            cell.primary(),
            judged.verdict,
            judged.why,
        );
        assert_ne!(judged.verdict, Verdict::Fail);
    }
}
