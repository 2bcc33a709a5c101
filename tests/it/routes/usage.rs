use rolecall::provider::{DialectName, Target};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{FakeProvider, INPUT_TOKENS, OUTPUT_TOKENS, Reply, TestApp, Wire, anthropic};

const WIRE: Wire = Wire(DialectName::Anthropic);

/// US dollars for a million tokens of prompt and answer, and what one run costs at that.
const PRICES: (f64, f64) = (3.0, 15.0);

fn cost() -> f64 {
    let tokens = |count: u64| f64::from(u32::try_from(count).expect("is small"));
    (tokens(INPUT_TOKENS) * PRICES.0 + tokens(OUTPUT_TOKENS) * PRICES.1) / 1e6
}

/// A service with a model whose price is known, `priced`, and one whose price is not, `anthropic/other`.
async fn start(pool: PgPool, prices: (f64, f64)) -> (TestApp, FakeProvider) {
    let vendor = FakeProvider::start().await;
    vendor.answers(|request| match request.model() {
        "failing" => Reply::json(
            400,
            &json!({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}),
        ),
        "boasting" => {
            let mut message = anthropic::message_of("boasting", "Done.");
            message["usage"] = json!({"input_tokens": u64::MAX, "output_tokens": u64::MAX});
            Reply::json(200, &message)
        }
        model => Reply::events(&WIRE.frames(model, &["Done."])),
    });
    let (input_price, output_price) = (Some(prices.0), Some(prices.1));
    let target = Target { input_price, output_price, ..Target::new("anthropic", "priced") };
    let app = TestApp::builder(pool)
        .provider(&vendor, DialectName::Anthropic)
        .alias("priced", [target])
        .start()
        .await;
    (app, vendor)
}

async fn run(app: &TestApp, agent: &str, model: &str) -> Value {
    let body = json!({"agent": agent, "input": "look", "model": model});
    app.admin.post("/v1/runs", body).await.body
}

async fn usage(app: &TestApp, query: &str) -> Vec<Value> {
    let answer = app.admin.get(&format!("/admin/v1/usage{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["items"].as_array().expect("a list").clone()
}

fn close(told: &Value, expected: f64) -> bool {
    told.as_f64().is_some_and(|told| (told - expected).abs() < 1e-9)
}

#[sqlx::test]
async fn a_count_that_cannot_be_is_none_that_later_runs_cannot_be_added_to(pool: PgPool) {
    let (app, _vendor) = start(pool, PRICES).await;
    for _ in 0..20 {
        let run = run(&app, "code-reviewer", "anthropic/boasting").await;
        assert_eq!(run["usage"]["output_tokens"], 1_000_000_000_u64, "{run}");
    }
    let [all] = &usage(&app, "").await[..] else { panic!("one sum") };
    assert_eq!(all["runs"]["completed"], 20);
    assert_eq!(all["usage"]["output_tokens"], 20_000_000_000_u64);
    app.stop().await;
}

#[sqlx::test]
async fn sums_are_what_runs_have_used_and_cost(pool: PgPool) {
    let (app, _vendor) = start(pool, PRICES).await;
    for agent in ["code-reviewer", "code-reviewer", "api-designer"] {
        let run = run(&app, agent, "priced").await;
        assert!(close(&run["cost_usd"], cost()), "{run}");
        assert!(close(&run["turns"][0]["cost_usd"], cost()));
    }
    assert_eq!(run(&app, "code-reviewer", "anthropic/failing").await["status"], 400);

    let [all] = &usage(&app, "").await[..] else { panic!("one sum") };
    assert_eq!(
        all["runs"],
        json!({"total": 4, "completed": 3, "failed": 1, "cancelled": 0, "truncated": 0})
    );
    assert_eq!(all["usage"]["input_tokens"], 3 * INPUT_TOKENS);
    assert_eq!(all["usage"]["output_tokens"], 3 * OUTPUT_TOKENS);
    assert!(close(&all["cost_usd"], 3.0 * cost()), "{all}");
    assert!(all.get("agent").is_none());

    let by_agent = usage(&app, "?group_by=agent").await;
    let told: Vec<_> = by_agent.iter().map(|sum| (&sum["agent"], &sum["runs"]["total"])).collect();
    assert_eq!(told, [(&json!("api-designer"), &json!(1)), (&json!("code-reviewer"), &json!(3))]);
    let by_all = usage(&app, "?group_by=day,agent,revision,key,model").await;
    assert_eq!(by_all.len(), 3);
    for sum in &by_all {
        assert_eq!(
            (&sum["revision"], &sum["day"]),
            (&json!(1), &json!(chrono::Utc::now().date_naive()))
        );
        assert!(sum["key_id"].is_string());
    }
    assert_eq!(by_all[0]["model"], "anthropic/priced");
}

#[sqlx::test]
async fn sums_come_in_pages_and_of_the_days_that_are_asked_for(pool: PgPool) {
    let (app, _vendor) = start(pool.clone(), PRICES).await;
    for agent in ["code-reviewer", "api-designer", "test-engineer"] {
        run(&app, agent, "priced").await;
    }
    let mut agents = Vec::new();
    let mut path = "/admin/v1/usage?group_by=agent&limit=2".to_owned();
    loop {
        let page = app.admin.get(&path).await.body;
        agents.extend(
            page["items"].as_array().expect("a list").iter().map(|sum| sum["agent"].clone()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/admin/v1/usage?group_by=agent&limit=2&cursor={cursor}");
    }
    assert_eq!(agents, ["api-designer", "code-reviewer", "test-engineer"]);

    sqlx::query("UPDATE usage_by_day SET day = '2026-03-01' WHERE agent_name = 'api-designer'")
        .execute(&pool)
        .await
        .expect("is written");
    let march = usage(&app, "?from=2026-03-01&to=2026-03-31&group_by=agent,day").await;
    assert_eq!((march.len(), &march[0]["day"]), (1, &json!("2026-03-01")));
    let later = usage(&app, "?from=2026-03-02T00:00:00Z").await;
    assert_eq!(later[0]["runs"]["total"], 2);
    assert!(usage(&app, "?to=2026-02-28").await.is_empty());
    let admin = &app.admin;
    admin.get("/admin/v1/usage?group_by=colour").await.problem(400, "invalid_request");
    admin.get("/admin/v1/usage?from=yesterday").await.problem(400, "invalid_request");
    let caller = app.caller(&["run"]).await;
    caller.get("/admin/v1/usage").await.problem(403, "forbidden");
}

#[sqlx::test]
async fn a_price_that_is_not_known_is_not_invented(pool: PgPool) {
    let (app, _vendor) = start(pool, PRICES).await;
    run(&app, "code-reviewer", "priced").await;
    let unpriced = run(&app, "code-reviewer", "anthropic/other").await;
    assert_eq!(unpriced["status"], "completed");
    assert_eq!(unpriced["cost_usd"], Value::Null);
    assert_eq!(usage(&app, "").await[0]["cost_usd"], Value::Null);
    let by_model = usage(&app, "?group_by=model").await;
    assert_eq!(
        (&by_model[0]["model"], &by_model[0]["cost_usd"]),
        (&json!("anthropic/other"), &Value::Null)
    );
    assert!(close(&by_model[1]["cost_usd"], cost()));
}

#[sqlx::test]
async fn another_price_does_not_change_the_past(pool: PgPool) {
    let (app, _vendor) = start(pool.clone(), PRICES).await;
    let id = run(&app, "code-reviewer", "priced").await["id"].as_str().expect("an id").to_owned();
    app.stop().await;
    let (app, _vendor) = start(pool, (PRICES.0 * 10.0, PRICES.1 * 10.0)).await;
    assert!(close(&app.admin.get(&format!("/v1/runs/{id}")).await.body["cost_usd"], cost()));
    run(&app, "code-reviewer", "priced").await;
    assert!(close(&usage(&app, "").await[0]["cost_usd"], 11.0 * cost()));
}

#[sqlx::test]
async fn a_model_with_an_endless_name_costs_no_record(pool: PgPool) {
    let (app, _vendor) = start(pool, PRICES).await;
    // Nothing that could be compressed.
    let name: String = (0..600).map(|_| uuid::Uuid::now_v7().simple().to_string()).collect();
    let model = format!("anthropic/{name}");
    let id = run(&app, "code-reviewer", &model).await["id"].as_str().expect("an id").to_owned();
    let [sum] = &usage(&app, "?group_by=model").await[..] else { panic!("one sum") };
    assert_eq!(
        (sum["model"].as_str().map(str::len), &sum["runs"]["total"]),
        (Some(200), &json!(1))
    );
    assert_eq!(app.admin.get(&format!("/v1/runs/{id}")).await.body["status"], "completed");
}
