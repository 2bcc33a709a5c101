//! Every metric of the service: its name, its meaning, and the function that counts it. No label comes from a caller's
//! text: agents are those of the roster, models those of the configuration, paths the patterns of routes.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram, set_global_recorder,
};
use http::{Method, StatusCode};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::kept::Kept;
use super::process;

/// Label of what is not told apart, so that labels stay few.
pub const OTHER: &str = "other";

const HTTP_REQUESTS: &str = "rolecall_http_requests_total";
const HTTP_DURATION: &str = "rolecall_http_request_duration_seconds";
const RUNS: &str = "rolecall_runs_total";
const RUNS_UNDER_WAY: &str = "rolecall_runs_under_way";
const RUN_DURATION: &str = "rolecall_run_duration_seconds";
const FIRST_CONTENT: &str = "rolecall_run_first_content_seconds";
const OVERHEAD: &str = "rolecall_run_overhead_seconds";
const DISPATCHES: &str = "rolecall_dispatches_total";
const DISPATCH_DURATION: &str = "rolecall_dispatch_duration_seconds";
const ATTEMPTS: &str = "rolecall_provider_attempts_total";
const ATTEMPT_DURATION: &str = "rolecall_provider_attempt_duration_seconds";
const BREAKER: &str = "rolecall_breaker_state";
const TOKENS: &str = "rolecall_tokens_total";
const COST: &str = "rolecall_cost_nano_usd_total";
const TOOL_CALLS: &str = "rolecall_tool_calls_total";
const TOOL_CALL_DURATION: &str = "rolecall_tool_call_duration_seconds";
const REFUSALS: &str = "rolecall_limit_refusals_total";
const ACCOUNTS: &str = "rolecall_key_accounts";
const LEDGER: &str = "rolecall_ledger_pending_records";
const JOURNAL: &str = "rolecall_journal_bytes";
const JOURNAL_LIMIT: &str = "rolecall_journal_limit_bytes";
const SPANS_DROPPED: &str = "rolecall_trace_spans_dropped_total";
const ROSTER: &str = "rolecall_roster_revision";

const COUNTERS: &[(&str, &str)] = &[
    (HTTP_REQUESTS, "Requests of callers that were answered, by route, method and status."),
    (RUNS, "Runs that ended, by agent and outcome."),
    (DISPATCHES, "Decisions, by outcome and strategy."),
    (ATTEMPTS, "Requests to providers that ended, by provider, model and outcome."),
    (TOKENS, "Tokens that runs used, by agent, model and kind."),
    (COST, "What runs cost as far as prices are known, in billionths of a US dollar."),
    (TOOL_CALLS, "Calls of tools that ended, by tool server and outcome."),
    (SPANS_DROPPED, "Spans of traces that did not reach the collector, by reason."),
    (REFUSALS, "Requests and runs that were refused for a limit of their key."),
];

const GAUGES: &[(&str, &str)] = &[
    (RUNS_UNDER_WAY, "Runs under way."),
    (
        BREAKER,
        "0: requests are sent. 1: one finds out whether the model is well. 2: it is left alone.",
    ),
    (ACCOUNTS, "Keys whose use is counted here."),
    (LEDGER, "Records that are not known to be written."),
    (JOURNAL, "How large the journal of records is that wait for the database."),
    (JOURNAL_LIMIT, "How large it may become before new picks and runs are refused."),
    (ROSTER, "The revision of the roster that is served."),
];

/// What takes as long as a model.
const LONG: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0];

/// What takes as long as a computation.
const SHORT: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

const MIXED: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const HISTOGRAMS: &[(&str, &str, &[f64])] = &[
    (HTTP_DURATION, "Time to the headers of an answer.", MIXED),
    (RUN_DURATION, "Time of a run in all, by outcome.", LONG),
    (FIRST_CONTENT, "Time from a request to the first content of its run.", LONG),
    (
        OVERHEAD,
        "Time of a completed run that was spent here, not in providers, tools or queues.",
        SHORT,
    ),
    (DISPATCH_DURATION, "Time of a decision, the judge's included, by strategy.", SHORT),
    (ATTEMPT_DURATION, "Time of a request to a provider, by provider.", LONG),
    (TOOL_CALL_DURATION, "Time of a call of a tool, by tool server.", MIXED),
];

/// A cheap handle to what has been counted in this process.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Starts counting, once for the whole process.
    ///
    /// # Panics
    /// If something else in the process counts already.
    pub fn install() -> Self {
        static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
        let handle = HANDLE.get_or_init(|| {
            let builder =
                HISTOGRAMS.iter().fold(PrometheusBuilder::new(), |builder, (name, _, buckets)| {
                    let matcher = Matcher::Full((*name).to_owned());
                    builder.set_buckets_for_metric(matcher, buckets).expect("there are buckets")
                });
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            set_global_recorder(recorder).expect("nothing else counts in this process");
            describe();
            handle
        });
        Self { handle: handle.clone() }
    }

    /// Everything, as Prometheus reads it.
    pub fn render(&self) -> String {
        self.handle.render() + &process::render()
    }

    /// Sums up the samples that have come in. They pile up where nobody does.
    pub fn sum_up(&self) {
        self.handle.run_upkeep();
    }
}

fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
    for (name, help, _) in HISTOGRAMS {
        describe_histogram!(*name, *help);
    }
}

/// `route` is the pattern of a path.
pub fn request_answered(route: &str, method: &Method, status: StatusCode, took: Duration) {
    static KEPT: Kept<(Counter, Histogram)> = Kept::new();
    let labels = [route, known_method(method), status.as_str()];
    KEPT.count(labels, took, |[route, method, status]| {
        let labels = [("route", route.clone()), ("method", method.clone())];
        let duration = histogram!(HTTP_DURATION, &labels);
        (
            counter!(HTTP_REQUESTS, "route" => route, "method" => method, "status" => status),
            duration,
        )
    });
}

/// Callers may invent methods.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

pub fn run_ended(agent: &str, outcome: &'static str, took: Duration) {
    static KEPT: Kept<(Counter, Histogram)> = Kept::new();
    KEPT.count([agent, outcome], took, |[agent, outcome]| {
        let duration = histogram!(RUN_DURATION, "outcome" => outcome.clone());
        (counter!(RUNS, "agent" => agent, "outcome" => outcome), duration)
    });
}

pub fn run_showed_content(took: Duration) {
    static KEPT: Kept<Histogram> = Kept::new();
    KEPT.get([], |[]| histogram!(FIRST_CONTENT)).record(took);
}

pub fn run_cost_time(overhead: Duration) {
    static KEPT: Kept<Histogram> = Kept::new();
    KEPT.get([], |[]| histogram!(OVERHEAD)).record(overhead);
}

pub fn dispatched(outcome: &'static str, strategy: &'static str, took: Duration) {
    static KEPT: Kept<(Counter, Histogram)> = Kept::new();
    KEPT.count([outcome, strategy], took, |[outcome, strategy]| {
        let duration = histogram!(DISPATCH_DURATION, "strategy" => strategy.clone());
        (counter!(DISPATCHES, "outcome" => outcome, "strategy" => strategy), duration)
    });
}

pub fn provider_answered(provider: &str, model: &str, outcome: &str, took: Duration) {
    static KEPT: Kept<(Counter, Histogram)> = Kept::new();
    KEPT.count([provider, model, outcome], took, |[provider, model, outcome]| {
        let duration = histogram!(ATTEMPT_DURATION, "provider" => provider.clone());
        let labels = [("provider", provider), ("model", model), ("outcome", outcome)];
        (counter!(ATTEMPTS, &labels), duration)
    });
}

pub fn tokens_used(agent: &str, model: &str, kind: &'static str, count: u64) {
    static KEPT: Kept<Counter> = Kept::new();
    let tokens = KEPT.get(
        [agent, model, kind],
        |[agent, model, kind]| counter!(TOKENS, "agent" => agent, "model" => model, "kind" => kind),
    );
    tokens.increment(count);
}

pub fn money_spent(agent: &str, model: &str, nano_usd: u64) {
    static KEPT: Kept<Counter> = Kept::new();
    let cost = KEPT
        .get([agent, model], |[agent, model]| counter!(COST, "agent" => agent, "model" => model));
    cost.increment(nano_usd);
}

pub fn tool_called(server: &str, outcome: &'static str, took: Duration) {
    static KEPT: Kept<(Counter, Histogram)> = Kept::new();
    KEPT.count([server, outcome], took, |[server, outcome]| {
        let duration = histogram!(TOOL_CALL_DURATION, "server" => server.clone());
        (counter!(TOOL_CALLS, "server" => server, "outcome" => outcome), duration)
    });
}

pub fn limit_refused(limit: &'static str) {
    counter!(REFUSALS, "limit" => limit).increment(1);
}

pub fn spans_dropped(reason: &'static str, count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    counter!(SPANS_DROPPED, "reason" => reason).increment(count);
}

/// What is looked up when somebody asks.
#[derive(Debug, Clone, Copy)]
pub struct Levels {
    pub runs_under_way: usize,
    pub pending_records: usize,
    pub journal_bytes: u64,
    pub journal_limit_bytes: u64,
    pub key_accounts: usize,
    pub roster_revision: i64,
}

pub fn set_levels(levels: Levels) {
    gauge!(RUNS_UNDER_WAY).set(of_count(levels.runs_under_way));
    gauge!(LEDGER).set(of_count(levels.pending_records));
    gauge!(JOURNAL).set(of_bytes(levels.journal_bytes));
    gauge!(JOURNAL_LIMIT).set(of_bytes(levels.journal_limit_bytes));
    gauge!(ACCOUNTS).set(of_count(levels.key_accounts));
    #[expect(clippy::cast_precision_loss, reason = "it counts changes, far fewer than 2^52")]
    gauge!(ROSTER).set(levels.roster_revision as f64);
}

/// `state` is 0, 1 or 2, see the metric's description.
pub fn set_breaker(provider: &str, model: &str, state: u8) {
    let (provider, model) = (provider.to_owned(), model.to_owned());
    gauge!(BREAKER, "provider" => provider, "model" => model).set(f64::from(state));
}

#[expect(clippy::cast_precision_loss, reason = "a disk has far fewer than 2^52")]
fn of_bytes(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn of_count(count: usize) -> f64 {
    count as f64
}
