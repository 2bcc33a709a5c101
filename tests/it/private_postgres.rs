//! The service as a process with a private database: start, stop, joining, and what a kill leaves behind.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    ADMIN_KEY, AgentFolder, FakeProvider, Reply, Service, agent_file, anthropic, rolecall,
    shipped_agents,
};

/// A data directory that the account of the database may enter when the tests run as root.
fn data_dir() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
        .expect("is opened");
    folder
}

fn command(data_dir: &tempfile::TempDir, arguments: &[&str]) -> (bool, Value, String) {
    let output = rolecall()
        .args(arguments)
        .arg("--json")
        .env("ROLECALL_DATA_DIR", data_dir.path())
        .output()
        .expect("the program runs");
    (
        output.status.success(),
        serde_json::from_slice(&output.stdout).unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[tokio::test]
async fn the_service_owns_its_database_and_commands_join_it() {
    let data = data_dir();
    // Variables that are meant for another server change nothing.
    let strange = [("PGHOST", "example.invalid"), ("PGSSLMODE", "require"), ("PGUSER", "x")];
    let mut service = Service::start(data.path(), &shipped_agents(), &strange).await;
    assert!(
        service.log.iter().any(|line| line.contains("database: private PostgreSQL")),
        "{:?}",
        service.log
    );
    let tcp = std::fs::read_to_string(data.path().join("postgres/data/postmaster.pid"));
    if let Ok(text) = tcp {
        assert_eq!(text.lines().nth(5), Some(""), "no TCP address is listened on");
    }

    let second = Service::try_start(data.path(), &shipped_agents(), &[]).await;
    assert!(second.is_err_and(|log| log.contains("in use by another instance")));

    let (succeeded, key, error) =
        command(&data, &["key", "create", "--name", "by hand", "--scope", "run"]);
    assert!(succeeded, "{error}");
    let caller = service.caller.with_key(key["key"].as_str().expect("is printed"));
    let mut status = 0;
    for _ in 0..50 {
        status = caller.get("/v1/agents").await.status;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 200, "the running service learns of the key");
    assert!(service.stop(), "a stop is clean");

    // Without a service a command runs the server for its own time; nothing is lost.
    let (succeeded, keys, error) = command(&data, &["key", "list"]);
    assert!(succeeded && keys.to_string().contains("by hand"), "{error}");
    let mut again = Service::start(data.path(), &shipped_agents(), &[]).await;
    assert_eq!(caller_of(&again, &key).get("/v1/agents").await.status, 200);
    assert!(again.stop());
}

fn caller_of(service: &Service, key: &Value) -> crate::support::Caller {
    service.caller.with_key(key["key"].as_str().expect("is printed"))
}

#[tokio::test]
async fn a_killed_service_recovers_by_itself() {
    let data = data_dir();
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "first"));
    let environment = [("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", provider.url.as_str())];
    let mut service = Service::start(data.path(), &folder.path(), &environment).await;

    // In the middle of a run ...
    pace.send(&(anthropic::start() + &anthropic::text("Once upon"))).await;
    let body = json!({"agent": "a", "input": "tell", "stream": true});
    let mut events = service.caller.stream_run(body).await;
    let started = events.wait_for("run.started").await;
    events.wait_for("text.delta").await;
    // ... and of a sync of many files.
    for number in 0..300 {
        let name = format!("n{number}");
        folder.write(&format!("{name}.md"), agent_file(&name, "many"));
    }
    let sync = tokio::spawn({
        let admin = service.caller.clone();
        async move {
            let request = admin.request(reqwest::Method::POST, "/admin/v1/sync").json(&json!({}));
            request.send().await.is_ok()
        }
    });
    tokio::time::sleep(Duration::from_millis(60)).await;
    service.kill();
    let _ = sync.await;

    let mut again = Service::start(data.path(), &folder.path(), &environment).await;
    let agents = again.caller.get("/admin/v1/agents?limit=1000").await.body;
    let agents = agents["items"].as_array().expect("a list").clone();
    assert_eq!(agents.len(), 301);
    assert!(agents.iter().all(|agent| agent["state"] == "live" && agent["revision"] == 1));
    let path = format!("/v1/runs/{}", started["id"].as_str().expect("has an id"));
    let run = again.caller.get(&path).await.body;
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!("interrupted")));
    assert!(again.stop());
}

#[tokio::test]
async fn a_url_that_leads_nowhere_is_never_replaced() {
    let data = data_dir();
    let url = "postgres://someone:hidden-password@127.0.0.1:9/nowhere";
    let log = Service::try_start(data.path(), &shipped_agents(), &[("DATABASE_URL", url)])
        .await
        .err()
        .expect("does not start");
    assert!(log.contains("127.0.0.1:9/nowhere") && log.contains("DATABASE_URL"), "{log}");
    assert!(!log.contains("hidden-password"));
    assert!(!data.path().join("postgres").exists());
}

#[tokio::test]
async fn a_url_that_names_no_server_is_refused_without_a_word_of_it() {
    let data = data_dir();
    for url in ["postgres:/rc:sesame", "mysql://rc:sesame@127.0.0.1:9/nowhere"] {
        let log = Service::try_start(data.path(), &shipped_agents(), &[("DATABASE_URL", url)])
            .await
            .err()
            .expect("it does not start");
        assert!(log.contains("DATABASE_URL") && !log.contains("sesame"), "{log}");
        assert!(!log.contains("failed to reach"), "{log}");
    }
}

#[tokio::test]
async fn the_first_admin_key_is_in_a_file_of_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let data = data_dir();
    let mut service =
        Service::start(data.path(), &shipped_agents(), &[("ROLECALL_ADMIN_KEY", "")]).await;
    let path = data.path().join("admin-key");
    let mode = path.metadata().expect("is written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = std::fs::read_to_string(&path).expect("is readable").trim().to_owned();
    assert!(service.log.iter().all(|line| !line.contains(&key)), "no log holds it");
    assert_eq!(service.caller.with_key(&key).get("/admin/v1/agents").await.status, 200);
    assert_eq!(service.caller.with_key(ADMIN_KEY).get("/admin/v1/agents").await.status, 401);
    assert!(service.stop());

    // A key of the environment comes beside it, and a changed one replaces the one before.
    for (given, earlier) in
        [("environment-key-1", None), ("environment-key-2", Some("environment-key-1"))]
    {
        let mut service =
            Service::start(data.path(), &shipped_agents(), &[("ROLECALL_ADMIN_KEY", given)]).await;
        assert_eq!(service.caller.with_key(given).get("/admin/v1/agents").await.status, 200);
        if let Some(earlier) = earlier {
            assert_eq!(service.caller.with_key(earlier).get("/v1/agents").await.status, 401);
        }
        assert!(service.stop());
    }
}

#[tokio::test]
async fn a_server_that_dies_is_started_again() {
    let data = data_dir();
    let mut service = Service::start(data.path(), &shipped_agents(), &[]).await;
    let pid_file = data.path().join("postgres/data/postmaster.pid");
    let pid =
        || -> Option<i32> { std::fs::read_to_string(&pid_file).ok()?.lines().next()?.parse().ok() };
    // As root under an unreachable folder the cluster lies elsewhere.
    let Some(first) = pid() else { return };
    let started_as = std::fs::read_to_string(format!("/proc/{first}/cmdline")).unwrap_or_default();
    if cfg!(target_os = "linux") {
        assert!(
            started_as.contains("recovery_init_sync_method=syncfs"),
            "recovery would take long"
        );
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL)
        .expect("is there");
    for _ in 0..200 {
        let ready = service.caller.get("/readyz").await;
        assert_eq!(ready.status, 200, "the service stays ready");
        let is_another = pid().is_some_and(|now| now != first);
        if is_another && ready.body["status"] == "ready" {
            // It may have been ready before the fall: the health is of a moment ago.
            let put = service.caller.put_agent("a", agent_file("a", "after the fall")).await;
            if put.status == 201 {
                assert!(service.stop());
                return;
            }
            put.problem(503, "unavailable");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the database does not come back");
}

#[tokio::test]
async fn no_log_holds_a_key_a_prompt_or_an_answer() {
    let data = data_dir();
    let provider = FakeProvider::start().await;
    let environment = [
        ("ANTHROPIC_API_KEY", "planted-provider-key"),
        ("ANTHROPIC_BASE_URL", provider.url.as_str()),
        ("ROLECALL_LOG", "debug"),
    ];
    let mut service = Service::start(data.path(), &shipped_agents(), &environment).await;
    let input = "planted-prompt: write an API route for login";
    provider.replies(Reply::json(200, &anthropic::message("planted-answer")));
    let answer = service.caller.post("/v1/runs", json!({"input": input})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let quoted = anthropic::error("invalid_request_error", "planted-answer quotes planted-prompt");
    for status in [400, 401, 500] {
        provider.replies(Reply::json(status, &quoted));
        let answer = service.caller.post("/v1/runs", json!({"input": input})).await;
        assert!(answer.status >= 400);
    }
    provider.replies(Reply::events(&[anthropic::start(), anthropic::text("planted-answer")]));
    service.caller.stream_run(json!({"input": input, "stream": true})).await.collect().await;
    service.caller.dispatch(input).await;
    service.caller.with_key("planted-wrong-key").dispatch(input).await;
    service.caller.get("/v1/agents?planted-prompt=1").await;
    assert!(service.stop());
    let log = service.whole_log();
    assert!(log.contains("run ended") && log.contains("run.id="));
    for planted in ["planted", ADMIN_KEY] {
        let line = log.lines().find(|line| line.contains(planted));
        assert!(line.is_none(), "{}", line.unwrap_or_default());
    }
}
