//! Callers who remember what they were told, and look for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Caller, Events};

/// What callers were told.
#[derive(Clone, Default)]
pub struct Told {
    /// Runs that have ended: their ids, statuses and outputs.
    ended: Arc<Mutex<Vec<(String, Value, Value)>>>,
    /// Runs that were begun in the background.
    begun: Arc<Mutex<Vec<String>>>,
    decisions: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicUsize>,
    slowest: Arc<Mutex<Duration>>,
}

impl Told {
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The longest that a caller has waited.
    pub fn slowest(&self) -> Duration {
        *self.slowest.lock().expect("not poisoned")
    }

    /// Sends requests of all kinds, a few at once, until the service does not answer or it is over.
    pub async fn ask(&self, caller: &Caller, at_once: usize, until: Instant) {
        let callers = (0..at_once).map(|number| async move {
            let mut turn = number;
            while Instant::now() < until && self.ask_once(caller, turn).await.is_some() {
                turn += 1;
            }
        });
        futures_util::future::join_all(callers).await;
    }

    /// `None` if there was no answer, or not all of it.
    async fn ask_once(&self, caller: &Caller, turn: usize) -> Option<()> {
        let began = Instant::now();
        let mut body = json!({"agent": "code-reviewer", "input": "look", "model": "anthropic/m"});
        match turn % 4 {
            0 => {
                let run = post(caller, "/v1/runs", &body, 200).await?;
                self.note_end(&run);
            }
            1 => {
                body["stream"] = json!(true);
                let request = caller.request(reqwest::Method::POST, "/v1/runs").json(&body);
                let response = request.send().await.ok()?;
                let told = Events::of(response).collect().await;
                let (_, _, run) = told.last().filter(|(_, name, _)| name == "run.completed")?;
                self.note_end(run);
            }
            2 => {
                body["background"] = json!(true);
                let run = post(caller, "/v1/runs", &body, 202).await?;
                self.begun.lock().expect("not poisoned").push(id(&run));
            }
            _ => {
                let body = json!({"input": "review my pull request"});
                let decision = post(caller, "/v1/dispatch", &body, 200).await?;
                self.decisions.lock().expect("not poisoned").push(id(&decision));
            }
        }
        let mut slowest = self.slowest.lock().expect("not poisoned");
        *slowest = (*slowest).max(began.elapsed());
        self.count.fetch_add(1, Ordering::SeqCst);
        Some(())
    }

    fn note_end(&self, run: &Value) {
        let end = (id(run), run["status"].clone(), run["output"].clone());
        self.ended.lock().expect("not poisoned").push(end);
    }

    /// Looks for all of it with a caller.
    pub async fn assert_found(&self, caller: &Caller) {
        let ended = self.ended.lock().expect("not poisoned").clone();
        for (id, status, output) in ended {
            let run = caller.get(&format!("/v1/runs/{id}")).await;
            assert_eq!(run.status, 200, "a run whose end was told: {}", run.text);
            assert_eq!((&run.body["status"], &run.body["output"]), (&status, &output));
        }
        let begun = self.begun.lock().expect("not poisoned").clone();
        for id in begun {
            let run = caller.get(&format!("/v1/runs/{id}")).await;
            assert_eq!(run.status, 200, "a run that was begun: {}", run.text);
        }
        let decisions = self.decisions.lock().expect("not poisoned").clone();
        for id in decisions {
            let decision = caller.get(&format!("/v1/dispatches/{id}")).await;
            assert_eq!(decision.status, 200, "a decision: {}", decision.text);
        }
    }

    /// Checks that nothing is left open and that no event is there twice.
    pub async fn assert_whole(&self, pool: &PgPool) {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM runs WHERE ended_at IS NULL")
            .fetch_one(pool)
            .await
            .expect("is read");
        assert_eq!(open, 0, "every run has ended");
        let doubled: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (
                SELECT first_sequence, sum(json_array_length(events)) OVER before AS told
                FROM run_events
                WINDOW before AS (PARTITION BY run_id ORDER BY first_sequence
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
             ) AS pieces WHERE first_sequence <> coalesce(told, 0) + 1",
        )
        .fetch_one(pool)
        .await
        .expect("is read");
        assert_eq!(doubled, 0, "the pieces of a run's events follow each other");
    }
}

fn id(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}

async fn post(caller: &Caller, path: &str, body: &Value, expected: u16) -> Option<Value> {
    let response = caller.request(reqwest::Method::POST, path).json(body).send().await.ok()?;
    let status = response.status().as_u16();
    let body: Value = response.json().await.ok()?;
    assert_eq!(status, expected, "{body}");
    Some(body)
}
