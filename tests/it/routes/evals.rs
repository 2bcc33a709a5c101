use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, TestApp, agent_file};

const PAINT: &str = "walls or ceilings painted in a colour";
const BAKE: &str = "bread or cake baked for a feast";

/// Two agents that are easily told apart.
fn shop() -> AgentFolder {
    let folder = AgentFolder::new();
    folder
        .write(
            "painter.md",
            agent_file("painter", "Use when walls or ceilings have to be painted in a colour"),
        )
        .write(
            "baker.md",
            agent_file("baker", "Use when bread or cake has to be baked for a feast"),
        );
    folder
}

async fn start(pool: PgPool) -> TestApp {
    TestApp::builder(pool).agents(&shop()).start().await
}

async fn evaluate(app: &TestApp, body: Value) -> Answer {
    app.admin.post("/admin/v1/evals/dispatch", body).await
}

async fn report(app: &TestApp, body: Value) -> Value {
    let answer = evaluate(app, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

#[sqlx::test]
async fn without_cases_the_rosters_own_requests_are_held_out(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let report = report(&app, json!({})).await;
    assert_eq!((&report["source"], &report["strangers"]), (&json!("held_out"), &json!(0)));
    assert!(report["cases"].as_u64() > Some(20), "{report}");
    for share in
        ["top_1", "top_3", "mean_reciprocal_rank", "calibration_error", "kept", "ambiguous"]
    {
        assert!(
            report[share].as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)),
            "{share}"
        );
    }
    for absent in [
        "rejected", "auroc", "rejected_at_95", "changed", "decisions", "disagreements",
        "sampled_from",
    ] {
        assert!(report[absent].is_null() && report.get(absent).is_some(), "{absent}");
    }
    let by_agent = report["by_agent"].as_array().expect("a list");
    let sum = |field: &str| by_agent.iter().filter_map(|one| one[field].as_u64()).sum::<u64>();
    assert_eq!(Some(sum("cases")), report["cases"].as_u64());
}

#[sqlx::test]
async fn cases_are_measured(pool: PgPool) {
    let app = start(pool).await;
    let body = json!({"wrong_limit": 1, "cases": [
        {"input": PAINT, "agent": "painter"},
        {"messages": [{"role": "user", "content": BAKE}, {"role": "assistant", "content": "Rye?"},
            {"role": "user", "content": PAINT}], "agent": "baker"},
        {"input": PAINT, "agent": "baker"},
        {"input": PAINT, "agent": "chimney-sweep"},
        {"input": "\u{1F600}", "agent": null},
    ]});
    let report = report(&app, body).await;
    assert_eq!(report["source"], "cases");
    assert_eq!(
        (&report["agents"], &report["cases"], &report["strangers"]),
        (&json!(2), &json!(4), &json!(1))
    );
    assert_eq!((&report["top_1"], &report["top_3"]), (&json!(0.5), &json!(0.75)));
    // (1 + 1 + 1/2 + 0) / 4
    assert_eq!(report["mean_reciprocal_rank"], 0.625);
    assert_eq!(report["rejected"], 1.0);
    assert_eq!(report["unknown_agents"], json!(["chimney-sweep"]));
    assert_eq!(report["wrong"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["wrong"][0]["expected"], "baker");
    assert_eq!(
        (&report["wrong"][0]["picked"], &report["wrong"][0]["rank"]),
        (&json!("painter"), &json!(2))
    );
    let confusion =
        json!({"expected": "baker", "picked": "painter", "count": 1, "examples": [PAINT]});
    assert!(report["confusions"].as_array().expect("a list").contains(&confusion), "{report}");
    assert_eq!(report["overlaps"][0]["agents"], json!(["baker", "painter"]));
    assert_eq!(report["overlaps"][0]["confused"], 1);
    let right = json!({"agent": "painter", "cases": 1, "right": 1});
    assert!(report["by_agent"].as_array().expect("a list").contains(&right), "{report}");
}

#[sqlx::test]
async fn another_roster_is_compared_with_the_live_one(pool: PgPool) {
    let app = start(pool).await;
    let source = agent_file("gardener", "Use when roses or hedges have to be pruned in a garden");
    let body = json!({
        "cases": [
            {"input": "roses or hedges pruned in a garden", "agent": "gardener"},
            {"input": PAINT, "agent": "painter"},
            {"input": BAKE, "agent": "baker"},
        ],
        "roster": {"put": [{"name": "gardener", "source": source}], "remove": ["painter"]},
    });
    let report = report(&app, body).await;
    let changed = &report["changed"];
    assert_eq!(
        (&changed["better"], &changed["worse"], &changed["other"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(changed["cases"].as_array().map(Vec::len), Some(2));
    assert_eq!(changed["cases"][0]["expected"], "gardener");
    assert_eq!(changed["cases"][0]["changed"]["agent"], "gardener");
    assert_eq!(changed["cases"][1]["live"]["agent"], "painter");
    assert_eq!(report["unknown_agents"], json!(["painter"]));
    // Nothing of it is saved.
    app.admin.get("/admin/v1/agents/gardener").await.problem(404, "agent_not_found");

    let only = json!({"cases": [{"input": BAKE, "agent": "baker"}], "roster": {"only": ["baker"]}});
    assert_eq!(self::report(&app, only).await["agents"], 1);
}

#[sqlx::test]
async fn another_roster_that_cannot_be_is_refused(pool: PgPool) {
    let app = start(pool).await;
    let with = |roster: Value| evaluate(&app, json!({"roster": roster}));
    let broken = json!({"put": [{"name": "bad", "source": "---\nno field\n"}]});
    let answer = with(broken).await;
    let problem = answer.problem(422, "invalid_definition");
    assert_eq!(problem["diagnostics"][0]["code"], "frontmatter_unclosed");
    assert_eq!(problem["errors"][0]["pointer"], "/roster/put/0/source");
    let other = json!({"put": [{"name": "one", "source": agent_file("other", "x")}]});
    with(other).await.problem(422, "name_mismatch");
    let file = json!({"name": "one", "source": agent_file("one", "x")});
    let twice = with(json!({"put": [file.clone(), file]})).await;
    assert_eq!(twice.problem(400, "invalid_request")["errors"][0]["pointer"], "/roster/put/1/name");
    let no_slug = with(json!({"put": [{"name": "A b", "source": "x"}]})).await;
    no_slug.problem(400, "invalid_request");
    with(json!({"remove": ["nobody"]})).await.problem(404, "agent_not_found");
    with(json!({"only": ["nobody"]})).await.problem(404, "agent_not_found");
}

#[sqlx::test]
async fn decisions_are_asked_again(pool: PgPool) {
    let app = start(pool).await;
    app.admin.dispatch(PAINT).await;
    app.admin.post("/v1/dispatch", json!({"input": "x", "agent": "baker"})).await;
    // Some are in memory still, some are written.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let last = app.admin.dispatch(BAKE).await.body;
    let report_of = |decisions: Value| report(&app, json!({"decisions": decisions}));

    let all = report_of(json!({})).await;
    assert_eq!((&all["source"], &all["decisions"]), (&json!("decisions"), &json!(2)));
    assert_eq!((&all["agreement"], &all["disagreements"]), (&json!(1.0), &json!([])));
    assert_eq!(
        (&all["cases"], &all["top_1"], &all["changed"]),
        (&json!(0), &json!(null), &json!(null))
    );
    let count = async |decisions: Value| report_of(decisions).await["decisions"].clone();
    assert_eq!(count(json!({"limit": 1})).await, 1);
    assert_eq!(count(json!({"agent": "painter"})).await, 1);
    assert_eq!(count(json!({"agent": "nobody"})).await, 0);
    assert_eq!(count(json!({"since": "2020-01-01T00:00:00Z"})).await, 2);
    assert_eq!(count(json!({"since": "-262000-01-01T00:00:00Z"})).await, 2);
    assert_eq!(count(json!({"since": "2120-01-01T00:00:00Z"})).await, 0);

    let body = json!({"decisions": {}, "roster": {"remove": ["baker"]}});
    let other = report(&app, body).await;
    assert_eq!(other["agreement"], 0.5);
    let disagreement = &other["disagreements"][0];
    assert_eq!((&disagreement["dispatch_id"], &disagreement["input"]), (&last["id"], &json!(BAKE)));
    assert_eq!(disagreement["then"]["agent"], "baker");
    assert_eq!(disagreement["then"]["confidence"], last["confidence"]);
    assert_ne!(disagreement["now"]["agent"], "baker");
    assert!(disagreement["feedback"].is_null());
    assert_eq!((&other["changed"]["other"], &other["changed"]["worse"]), (&json!(1), &json!(0)));
}

#[sqlx::test]
async fn decisions_without_texts_cannot_be_asked_again(pool: PgPool) {
    let app = TestApp::builder(pool)
        .agents(&shop())
        .configure(|config| config.dispatch.stores_content = false)
        .start()
        .await;
    let answer = evaluate(&app, json!({"decisions": {}})).await;
    let problem = answer.problem(409, "conflict");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("storage.content")));
}

#[sqlx::test]
async fn what_cannot_be_measured_is_refused(pool: PgPool) {
    let app = start(pool).await;
    let case = json!({"input": "x", "agent": null});
    let pointer_of = async |body: Value| {
        let answer = evaluate(&app, body).await;
        answer.problem(400, "invalid_request")["errors"][0]["pointer"].clone()
    };
    assert_eq!(pointer_of(json!({"cases": [case], "decisions": {}})).await, "/decisions");
    assert_eq!(pointer_of(json!({"cases": []})).await, "/cases");
    assert_eq!(pointer_of(json!({"cases": vec![case.clone(); 10_001]})).await, "/cases");
    assert_eq!(
        pointer_of(json!({"cases": [case, {"input": " ", "agent": null}]})).await,
        "/cases/1/input"
    );
    assert_eq!(pointer_of(json!({"cases": [{"input": "x"}]})).await, "/cases/0");
    assert_eq!(
        pointer_of(json!({"cases": [case, {"input": "x", "agent": 1}]})).await,
        "/cases/1/agent"
    );
    assert_eq!(pointer_of(json!({"decisions": {"limit": 0}})).await, "/decisions/limit");
    assert_eq!(pointer_of(json!({"decisions": {"agent": "a\u{0}"}})).await, "/decisions/agent");
    assert_eq!(pointer_of(json!({"wrong_limit": 10_001})).await, "/wrong_limit");
    assert_eq!(pointer_of(json!({"nonsense": 1})).await, "/nonsense");
    let caller = app.caller(&["run"]).await;
    caller.post("/admin/v1/evals/dispatch", json!({})).await.problem(403, "forbidden");
}

/// A request that keeps the service busy for long.
fn long() -> Value {
    let input = format!("{PAINT} {}", "and many more words ".repeat(900));
    json!({"cases": vec![json!({"input": input, "agent": "painter"}); 800]})
}

#[sqlx::test]
async fn one_is_measured_at_a_time_and_only_while_somebody_waits(pool: PgPool) {
    let app = start(pool).await;
    let admin = app.admin.clone();
    let first =
        tokio::spawn(async move { admin.post("/admin/v1/evals/dispatch", long()).await.status });
    let small = || evaluate(&app, json!({"cases": [{"input": BAKE, "agent": "baker"}]}));
    let deadline = Instant::now() + Duration::from_secs(20);
    let refused = loop {
        let answer = small().await;
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < deadline && !first.is_finished(), "nobody is refused");
    };
    refused.problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "5");
    assert!(!first.is_finished());
    first.abort();
    let left = Instant::now();
    while small().await.status != 200 {
        assert!(left.elapsed() < Duration::from_secs(3), "it goes on for nobody");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test]
async fn a_service_that_stops_ends_it(pool: PgPool) {
    let app = start(pool).await;
    let admin = app.admin.clone();
    let running = tokio::spawn(async move { admin.post("/admin/v1/evals/dispatch", long()).await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    let stopped = Instant::now();
    app.stop().await;
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    running.await.expect("is answered").problem(503, "unavailable");
}
