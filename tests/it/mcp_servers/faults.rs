//! What goes wrong in a child process ends in an outcome that a model can read, and stays with the call.

use std::time::{Duration, Instant};

use rolecall::tools::{Condition, Wanted};
use serde_json::json;

use crate::support::{TestServers, fault_server, stdio_server, tool_settings};

#[tokio::test]
async fn a_server_killed_in_a_call_is_an_error_and_comes_back() {
    let servers = TestServers::up([fault_server("one", &[]), fault_server("two", &[])]).await;
    let slow = servers.call("mcp__two__slow", json!({"ms": 500}));
    let hanging = servers.call("mcp__one__hang", json!({}));
    let dying = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        servers.call("mcp__one__die", json!({})).await
    };
    let (slow, hanging, dying) = tokio::join!(slow, hanging, dying);
    assert_eq!((slow.is_error, slow.text().as_str()), (false, "done"), "others do not notice");
    for outcome in [hanging, dying] {
        let text = outcome.text();
        assert!(outcome.is_error && text.contains("`one`") && text.contains("ended"), "{text}");
    }
    let down = servers.wait_for("one", |server| server.state == Condition::Down).await;
    assert!(
        down.error.as_deref().is_some_and(|error| error.contains("ended by itself")),
        "{down:?}"
    );
    let named = ["one".to_owned()];
    let wanted = Wanted { servers: &named, ..Wanted::default() };
    assert_eq!(servers.servers.offer(&wanted).missing, named);
    servers.wait_for("one", |server| server.state == Condition::Up).await;
    let echo = servers.call("mcp__one__echo", json!({"text": "back"})).await;
    assert_eq!(echo.text(), "back");
    assert!(servers.servers.offer(&wanted).missing.is_empty());
    servers.servers.stop().await;
}

#[tokio::test]
async fn a_call_that_hangs_ends_with_its_deadline_and_the_server_is_told() {
    let mut settings = tool_settings([fault_server("one", &[])]);
    settings.call_timeout = Duration::from_millis(300);
    let servers = TestServers::up_with(settings).await;
    let started = Instant::now();
    let outcome = servers.call("mcp__one__hang", json!({})).await;
    assert!(outcome.is_error && outcome.text().contains("within 300 ms"), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(2));
    // One that nobody waits for any more, too.
    let dropped = servers.call("mcp__one__hang", json!({}));
    assert!(tokio::time::timeout(Duration::from_millis(100), dropped).await.is_err());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let cancelled = servers.call("mcp__one__cancelled", json!({})).await.text();
    let cancelled: Vec<u64> = serde_json::from_str(&cancelled).expect("is a list");
    assert_eq!(cancelled.len(), 2, "{cancelled:?}");
    assert_eq!(servers.servers.find_state("one").expect("is there").state, Condition::Up);
    servers.servers.stop().await;
}

#[tokio::test]
async fn ten_megabytes_are_cut_and_the_model_is_told() {
    let servers = TestServers::up([fault_server("one", &[])]).await;
    let big = servers.call("mcp__one__big", json!({"bytes": 10_000_000})).await;
    let text = big.text();
    assert!(!big.is_error && text.len() < 1_050_000, "{}", text.len());
    assert!(text.contains("was cut: it has 10000000 bytes"));
    // Longer than any message may be: the answer is not read, and the connection stays.
    let mut settings = tool_settings([fault_server("one", &[])]);
    settings.call_timeout = Duration::from_secs(3);
    let servers = TestServers::up_with(settings).await;
    let bigger = servers.call("mcp__one__big", json!({"bytes": 20_000_000})).await;
    assert!(bigger.is_error, "{}", bigger.text().len());
    let echo = servers.call("mcp__one__echo", json!({"text": "still"})).await;
    assert_eq!(echo.text(), "still");
    servers.servers.stop().await;
}

#[tokio::test]
async fn answers_that_are_no_answers_are_errors() {
    let mut settings = tool_settings([fault_server("one", &[])]);
    settings.call_timeout = Duration::from_millis(500);
    let servers = TestServers::up_with(settings).await;
    for tool in ["garbage", "wrong", "refuse", "fetch-failed"] {
        let outcome = servers.call(&format!("mcp__one__{tool}"), json!({})).await;
        assert!(outcome.is_error, "{tool}: {outcome:?}");
    }
    let echo = servers.call("mcp__one__echo", json!({"text": "still"})).await;
    assert_eq!(echo.text(), "still");
    servers.servers.stop().await;
}

#[tokio::test]
async fn arguments_that_do_not_suit_are_told_and_not_sent() {
    let servers = TestServers::up([fault_server("one", &[])]).await;
    let outcome = servers.call("mcp__one__echo", json!({"text": 3})).await;
    assert!(outcome.is_error && outcome.text().contains("/text"), "{outcome:?}");
    let outcome = servers.call("mcp__one__echo", json!(null)).await;
    assert!(outcome.is_error && outcome.text().contains("schema"), "{outcome:?}");
    servers.servers.stop().await;
}

#[tokio::test]
async fn a_changed_list_of_tools_is_taken_over() {
    let servers = TestServers::up([fault_server("one", &[])]).await;
    assert!(servers.offer().find("mcp__one__added").is_none());
    let before = servers.offer().find("mcp__one__echo").expect("is there").clone();
    servers.call("mcp__one__change", json!({})).await;
    let has_more = |server: &rolecall::tools::ServerState| {
        server.tools.iter().any(|tool| tool.name == "added")
    };
    servers.wait_for("one", has_more).await;
    let after = servers.offer().find("mcp__one__echo").expect("is there").clone();
    assert!(std::sync::Arc::ptr_eq(&before, &after), "what has not changed is kept");
    servers.servers.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_is_down_with_its_last_words_and_no_secret() {
    let env = [("TOKEN", "a-secret-token")];
    let servers = TestServers::start(tool_settings([
        stdio_server("ends", "fault-server.mjs", &["--end-at-start"], &env),
        rolecall::tools::ServerSettings {
            name: "missing".into(),
            is_default: true,
            connection: rolecall::tools::Connection::Command {
                command: "no-such-program".into(),
                args: Vec::new(),
                env: std::collections::BTreeMap::new(),
            },
            secrets: rolecall::tools::Secrets::default(),
        },
    ]));
    let ends = servers.wait_for("ends", |server| server.error.is_some()).await;
    let error = ends.error.expect("is told");
    assert!(error.contains("cannot start with …") && error.contains('3'), "{error}");
    let missing = servers.wait_for("missing", |server| server.error.is_some()).await;
    let error = missing.error.expect("is told");
    assert!(error.contains("no-such-program: No such file"), "{error}");
    servers.servers.stop().await;
}

#[tokio::test]
async fn a_server_that_ends_when_it_is_asked_for_its_versions_is_spoken_to_in_the_older_way() {
    let servers = TestServers::up([fault_server("one", &["--end-when-asked-first"])]).await;
    let state = servers.servers.find_state("one").expect("is there");
    assert_eq!(state.protocol_version.as_deref(), Some("2025-11-25"));
    servers.servers.stop().await;
}

#[tokio::test]
async fn calls_of_one_server_run_at_once() {
    let servers = TestServers::up([fault_server("one", &[])]).await;
    let started = Instant::now();
    let calls = (0..8).map(|_| servers.call("mcp__one__slow", json!({"ms": 400})));
    let outcomes = futures_util::future::join_all(calls).await;
    assert!(outcomes.iter().all(|outcome| !outcome.is_error));
    assert!(started.elapsed() < Duration::from_millis(1_600), "{:?}", started.elapsed());
    servers.servers.stop().await;
}
