use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{CONFIGURATION, WIRE, answer_at_once, settle};
use crate::support::{Caller, Deployment, Gate, Reply};

/// A key with a budget.
struct Limited {
    id: String,
    key: String,
}

impl Limited {
    async fn create(admin: &Caller) -> Self {
        let key = json!({"name": "limited", "scopes": ["run"], "limits": {"usd_per_day": 1}});
        let made = admin.post("/admin/v1/keys", key).await.body;
        let text = |field: &str| made[field].as_str().expect("a text").to_owned();
        Self { id: text("id"), key: text("key") }
    }

    /// Returns what the run has cost.
    async fn run(&self, deployment: &Deployment) -> f64 {
        let body =
            json!({"agent": "code-reviewer", "input": "look", "model": "sonnet", "max_tokens": 9});
        let caller = deployment.service.caller.with_key(&self.key);
        let run = caller.post("/v1/runs", body).await;
        assert_eq!(run.status, 200, "{}", run.text);
        run.body["cost_usd"].as_f64().expect("its price is known")
    }

    async fn assert_spent(&self, deployment: &Deployment, expected: f64) {
        let keys = deployment.service.caller.get("/admin/v1/keys").await.body;
        let key = keys["items"].as_array().into_iter().flatten().find(|key| key["id"] == self.id);
        let spent = key.map_or(&Value::Null, |key| &key["spent"]["usd_today"]);
        let spent = spent.as_f64().expect("a number");
        assert!((spent - expected).abs() < 1e-9, "{spent} and not {expected}");
    }
}

#[sqlx::test]
async fn what_is_spent_while_the_database_is_away_cannot_be_spent_again(pool: PgPool) {
    let mut gate = Gate::open_to(&pool).await;
    let mut deployment = Deployment::start_at(&gate.url, CONFIGURATION).await;
    answer_at_once(&deployment);
    let key = Limited::create(&deployment.service.caller).await;
    let cost = key.run(&deployment).await;
    settle(&deployment.service.caller).await;
    let mut runs = 1.0;
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        gate.shut();
        key.run(&deployment).await;
        key.run(&deployment).await;
        runs += 2.0;
        deployment.service.signal(signal);
        deployment.service.wait().await;
        gate.open().await;
        deployment.start_again().await;
        key.assert_spent(&deployment, runs * cost).await;
    }
}

#[sqlx::test]
async fn what_was_spent_last_is_not_lost_with_a_service_that_is_killed(pool: PgPool) {
    let mut deployment = Deployment::start(&pool, CONFIGURATION).await;
    answer_at_once(&deployment);
    let key = Limited::create(&deployment.service.caller).await;
    let cost = key.run(&deployment).await;
    deployment.start_again().await;
    key.assert_spent(&deployment, cost).await;
}

#[sqlx::test]
async fn an_interrupted_run_costs_what_is_known_of_it(pool: PgPool) {
    let mut deployment = Deployment::start(&pool, CONFIGURATION).await;
    answer_at_once(&deployment);
    let key = Limited::create(&deployment.service.caller).await;
    let cost = key.run(&deployment).await;
    deployment
        .vendor
        .replies(Reply::events(&[WIRE.start("m"), WIRE.text("m", "Once ")]).then_silence());
    let body =
        json!({"agent": "code-reviewer", "input": "look", "model": "sonnet", "stream": true});
    let mut events = deployment.service.caller.stream_run(body).await;
    let run = events.wait_for("run.started").await;
    events.wait_for("text.delta").await;
    deployment.start_again().await;
    let caller = &deployment.service.caller;
    let path = format!("/v1/runs/{}", run["id"].as_str().expect("an id"));
    let run = caller.get(&path).await.body;
    assert_eq!((&run["error"]["code"], &run["cost_usd"]), (&json!("interrupted"), &json!(0.0)));
    let usage = caller.get("/admin/v1/usage").await.body;
    assert_eq!(usage["items"][0]["runs"]["failed"], 1);
    assert_eq!(usage["items"][0]["cost_usd"], cost);
}
