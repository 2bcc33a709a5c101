//! Changes in the agents folder are live soon after, however they are made.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rolecall::provider::DialectName;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{Caller, FakeProvider, Reply, TestApp, agent_file, anthropic};

/// Long enough for a failure to be made up for, and shorter than the time to the next look without a reason.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a test's folders lie; the agents are in `agents`.
struct Base(tempfile::TempDir);

impl Base {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// With a file `agents/a.md`.
    fn with_agent() -> Self {
        let base = Self::new();
        base.write("agents/a.md", "a", "first");
        base
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, name: &str, description: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("is made");
        fs::write(path, agent_file(name, description)).expect("is written");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("is moved");
    }

    fn link(&self, target: impl AsRef<Path>, path: &str) {
        symlink(target, self.path(path)).expect("is linked");
    }

    async fn follow(&self, pool: PgPool) -> TestApp {
        TestApp::builder(pool).follows(&self.path("agents")).start().await
    }
}

/// Waits until the agent is served with this description, and says how long that took.
async fn wait_for(caller: &Caller, name: &str, description: &str) -> Duration {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let agent = caller.get(&format!("/admin/v1/agents/{name}")).await;
        if agent.body["definition"]["description"] == description {
            println!("{name} is `{description}` after {:?}", started.elapsed());
            return started.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("`{name}` does not become `{description}`");
}

#[sqlx::test]
async fn a_write_is_live_within_a_second(pool: PgPool) {
    let base = Base::with_agent();
    let app = base.follow(pool).await;
    for round in ["second", "third", "fourth"] {
        base.write("agents/a.md", "a", round);
        let took = wait_for(&app.admin, "a", round).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    let agent = app.admin.get("/admin/v1/agents/a").await.body;
    assert_eq!((&agent["revision"], &agent["source"]), (&json!(4), &json!("file")), "{agent}");
}

#[sqlx::test]
async fn a_save_by_rename_is_noticed(pool: PgPool) {
    let base = Base::with_agent();
    let app = base.follow(pool).await;
    for round in ["second", "third"] {
        base.write("agents/.a.md.swap", "a", round);
        base.rename("agents/.a.md.swap", "agents/a.md");
        wait_for(&app.admin, "a", round).await;
    }
    base.write("elsewhere/b.md", "b", "moved in");
    base.rename("elsewhere/b.md", "agents/b.md");
    wait_for(&app.admin, "b", "moved in").await;
}

#[sqlx::test]
async fn what_is_moved_out_or_deleted_stays_live(pool: PgPool) {
    let base = Base::with_agent();
    base.write("agents/b.md", "b", "first");
    let app = base.follow(pool).await;
    base.rename("agents/a.md", "a.md");
    fs::remove_file(base.path("agents/b.md")).expect("is removed");
    base.write("agents/c.md", "c", "came after");
    wait_for(&app.admin, "c", "came after").await;
    for name in ["a", "b"] {
        let agent = app.admin.get(&format!("/admin/v1/agents/{name}")).await.body;
        assert_eq!((&agent["state"], &agent["revision"]), (&json!("live"), &json!(1)));
    }
    base.write("a.md", "a", "second");
    base.rename("a.md", "agents/a.md");
    wait_for(&app.admin, "a", "second").await;
}

#[sqlx::test]
async fn new_folders_are_watched_in_turn(pool: PgPool) {
    let base = Base::with_agent();
    let app = base.follow(pool).await;
    base.write("agents/team/inner/b.md", "b", "first");
    wait_for(&app.admin, "b", "first").await;
    base.write("agents/team/inner/b.md", "b", "second");
    wait_for(&app.admin, "b", "second").await;
    base.write("elsewhere/more/c.md", "c", "first");
    base.rename("elsewhere", "agents/moved");
    wait_for(&app.admin, "c", "first").await;
    base.write("agents/moved/more/c.md", "c", "second");
    wait_for(&app.admin, "c", "second").await;
    fs::remove_dir_all(base.path("agents/moved")).expect("is removed");
    base.write("agents/moved/c.md", "c", "third");
    wait_for(&app.admin, "c", "third").await;
    base.write("linked/d.md", "d", "first");
    base.link(base.path("linked"), "agents/link");
    wait_for(&app.admin, "d", "first").await;
    base.write("linked/d.md", "d", "second");
    wait_for(&app.admin, "d", "second").await;
}

#[sqlx::test]
async fn the_folder_itself_may_be_replaced(pool: PgPool) {
    let base = Base::with_agent();
    let app = base.follow(pool).await;
    base.write("new/a.md", "a", "second");
    base.rename("agents", "old");
    base.rename("new", "agents");
    wait_for(&app.admin, "a", "second").await;
    base.write("agents/a.md", "a", "third");
    wait_for(&app.admin, "a", "third").await;
    fs::remove_dir_all(base.path("agents")).expect("is removed");
    base.write("agents/a.md", "a", "fourth");
    wait_for(&app.admin, "a", "fourth").await;
    // Away for longer than the folder is waited for to be quiet.
    fs::remove_dir_all(base.path("agents")).expect("is removed");
    tokio::time::sleep(Duration::from_secs(1)).await;
    base.write("agents/a.md", "a", "fifth");
    wait_for(&app.admin, "a", "fifth").await;
}

#[sqlx::test]
async fn a_folder_may_come_later(pool: PgPool) {
    let base = Base::new();
    let agents = base.path("not/yet/agents");
    let app = TestApp::builder(pool).follows(&agents).start().await;
    base.write("not/yet/agents/a.md", "a", "first");
    wait_for(&app.admin, "a", "first").await;
    base.write("not/yet/agents/a.md", "a", "second");
    wait_for(&app.admin, "a", "second").await;
}

#[sqlx::test]
async fn a_link_to_the_folder_may_be_swapped(pool: PgPool) {
    let base = Base::new();
    base.write("releases/1/agents/a.md", "a", "first");
    base.write("releases/2/agents/a.md", "a", "second");
    base.link("releases/1", "current");
    base.link("current/agents", "agents");
    let app = base.follow(pool).await;
    wait_for(&app.admin, "a", "first").await;
    // A link on the way, ...
    base.link("releases/2", "next");
    base.rename("next", "current");
    wait_for(&app.admin, "a", "second").await;
    base.write("releases/2/agents/a.md", "a", "third");
    wait_for(&app.admin, "a", "third").await;
    // ... and the root itself.
    base.write("releases/3/a.md", "a", "fourth");
    base.link("releases/3", "next");
    base.rename("next", "agents");
    wait_for(&app.admin, "a", "fourth").await;
}

#[sqlx::test]
async fn an_update_of_a_config_map_is_noticed(pool: PgPool) {
    let base = Base::new();
    base.write("agents/..2026_1/a.md", "a", "first");
    base.link("..2026_1", "agents/..data");
    base.link("..data/a.md", "agents/a.md");
    let app = base.follow(pool).await;
    wait_for(&app.admin, "a", "first").await;
    for (version, before, description) in [("2", "1", "second"), ("3", "2", "third")] {
        base.write(&format!("agents/..2026_{version}/a.md"), "a", description);
        base.link(format!("..2026_{version}"), "agents/..data_tmp");
        base.rename("agents/..data_tmp", "agents/..data");
        fs::remove_dir_all(base.path(&format!("agents/..2026_{before}"))).expect("is removed");
        wait_for(&app.admin, "a", description).await;
    }
    let agents = app.admin.get("/admin/v1/agents").await.body;
    assert_eq!(agents["items"].as_array().map(Vec::len), Some(1), "{agents}");
}

#[sqlx::test]
async fn the_root_may_be_one_file(pool: PgPool) {
    let base = Base::with_agent();
    let app = TestApp::builder(pool).follows(&base.path("agents/a.md")).start().await;
    base.write("agents/b.md", "b", "not asked for");
    base.write("agents/a.md", "a", "second");
    wait_for(&app.admin, "a", "second").await;
    base.write("agents/a.new", "a", "third");
    base.rename("agents/a.new", "agents/a.md");
    wait_for(&app.admin, "a", "third").await;
    assert_eq!(app.admin.get("/admin/v1/agents/b").await.status, 404);
}

#[sqlx::test]
async fn a_file_that_goes_bad_is_quarantined_and_mended(pool: PgPool) {
    let base = Base::with_agent();
    let app = base.follow(pool).await;
    fs::write(base.path("agents/a.md"), "---\nno field\n").expect("is written");
    let started = Instant::now();
    loop {
        let quarantine = app.admin.get("/admin/v1/quarantine").await.body;
        if quarantine["items"][0]["path"] == "a.md" {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{quarantine}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(app.admin.get("/admin/v1/agents/a").await.body["state"], "live");
    base.write("agents/a.md", "a", "mended");
    wait_for(&app.admin, "a", "mended").await;
}

#[sqlx::test]
async fn an_unchanged_folder_undoes_nothing(pool: PgPool) {
    let base = Base::with_agent();
    let app = base.follow(pool.clone()).await;
    // Another instance starts with a newer folder, as in a deployment that rolls.
    let newer = Base::new();
    newer.write("agents/a.md", "a", "newer");
    let _newer = newer.follow(pool).await;
    wait_for(&app.admin, "a", "newer").await;
    // This is noticed, and what the folder holds is as before.
    base.write("agents/a.md", "a", "first");
    base.write("agents/notes.txt", "a", "no agent file");
    tokio::time::sleep(Duration::from_secs(1)).await;
    wait_for(&app.admin, "a", "newer").await;
}

#[sqlx::test]
async fn what_the_database_does_not_take_is_tried_again(pool: PgPool) {
    let base = Base::with_agent();
    let app = base.follow(pool.clone()).await;
    let rename =
        |from, to| sqlx::raw_sql(sqlx::AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}")));
    rename("agent_files", "away").execute(&pool).await.expect("is renamed");
    base.write("agents/a.md", "a", "second");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(app.admin.get("/admin/v1/agents/a").await.body["revision"], 1);
    rename("away", "agent_files").execute(&pool).await.expect("is renamed back");
    wait_for(&app.admin, "a", "second").await;
}

#[sqlx::test]
async fn a_run_ends_on_the_revision_that_it_began_with(pool: PgPool) {
    let base = Base::with_agent();
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool)
        .follows(&base.path("agents"))
        .provider(&provider, DialectName::Anthropic)
        .start()
        .await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    pace.send(&(anthropic::start() + &anthropic::text("Once upon"))).await;
    let body = json!({"agent": "a", "input": "tell", "stream": true});
    let mut events = app.admin.stream_run(body.clone()).await;
    events.wait_for("text.delta").await;

    base.write("agents/a.md", "a", "second");
    wait_for(&app.admin, "a", "second").await;
    pace.send(&(anthropic::text(" a time") + &anthropic::end())).await;
    drop(pace);
    let ended = events.wait_for("run.completed").await;
    assert_eq!(ended["agent"], json!({"name": "a", "revision": 1}));
    let path = format!("/v1/runs/{}", ended["id"].as_str().expect("has an id"));
    assert_eq!(app.admin.get(&path).await.body["agent"]["revision"], 1);

    provider.replies(Reply::json(200, &anthropic::message("again")));
    let next = app.admin.post("/v1/runs", json!({"agent": "a", "input": "tell"})).await;
    assert_eq!(next.body["agent"]["revision"], 2, "{}", next.text);
}
