//! Child processes have an environment of their own, and end with the service, however it ends.

use std::path::Path;
use std::time::{Duration, Instant};

use rolecall::tools::Condition;
use serde_json::{Value, json};

use crate::support::{Service, TestServers, fault_server, mcp_path, shipped_agents, tool_settings};

const PATIENCE: Duration = Duration::from_secs(10);

fn is_alive(pid: u64) -> bool {
    // One that has ended and that nobody has waited for yet is no process any more.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
    })
}

async fn all_end(pids: &[u64]) {
    let deadline = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| is_alive(*pid)) {
        let left: Vec<&u64> = pids.iter().filter(|pid| is_alive(**pid)).collect();
        assert!(Instant::now() < deadline, "left behind: {left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every process below one.
fn descendants(of: u32) -> Vec<u64> {
    let mut found = vec![u64::from(of)];
    let mut next = 0;
    while next < found.len() {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", found[next]));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u64>().ok()));
        }
        next += 1;
    }
    found.remove(0);
    found
}

#[tokio::test]
async fn a_child_finds_nothing_of_our_environment() {
    let mut settings = tool_settings([fault_server("one", &[])]);
    settings.environment.insert("HOME".to_owned(), "/nowhere".to_owned());
    let servers = TestServers::up_with(settings).await;
    let environment = servers.call("mcp__one__environment", json!({})).await.text();
    let environment: Value = serde_json::from_str(&environment).expect("is JSON");
    let names: Vec<&String> = environment.as_object().expect("is a map").keys().collect();
    assert_eq!(names, ["HOME", "PATH"], "the test itself has more");
    servers.servers.stop().await;
}

#[tokio::test]
async fn a_stop_leaves_no_process_behind() {
    let servers =
        TestServers::up([fault_server("mild", &[]), fault_server("hard", &["--stubborn"])]).await;
    let mut pids = Vec::new();
    for name in ["mild", "hard"] {
        let told = servers.call(&format!("mcp__{name}__pids"), json!({})).await.text();
        pids.extend(serde_json::from_str::<Vec<u64>>(&told).expect("is a list"));
    }
    assert!(pids.len() == 5 && pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    servers.servers.stop().await;
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "a stop waits for the end");
}

#[tokio::test]
async fn a_handle_that_is_dropped_leaves_no_process_behind() {
    let servers = TestServers::up([fault_server("one", &["--stubborn"])]).await;
    let told = servers.call("mcp__one__pids", json!({})).await.text();
    let pids: Vec<u64> = serde_json::from_str(&told).expect("is a list");
    drop(servers);
    all_end(&pids).await;
}

#[tokio::test]
async fn a_guard_killed_by_force_takes_its_server_with_it() {
    let servers = TestServers::up([fault_server("one", &[])]).await;
    let told = servers.call("mcp__one__pids", json!({})).await.text();
    let pids: Vec<u64> = serde_json::from_str(&told).expect("is a list");
    let guard = nix::unistd::Pid::from_raw(i32::try_from(pids[1]).expect("fits"));
    nix::sys::signal::kill(guard, nix::sys::signal::Signal::SIGKILL).expect("is sent");
    all_end(&pids).await;
    servers.wait_for("one", |server| server.state == Condition::Up).await;
    servers.servers.stop().await;
}

/// A service with a stubborn server and one that is started by `npx`, as people configure them.
async fn service_with_servers(folder: &Path) -> Service {
    let config = folder.join("rolecall.yaml");
    let script = mcp_path("fault-server.mjs");
    let packages = mcp_path("package.json");
    let packages = packages.parent().expect("has a folder").display();
    let yaml = format!(
        "mcp_servers:\n  \
         hard: {{command: node, args: ['{}', --stubborn]}}\n  \
         memory: {{command: npx, args: [--prefix, '{packages}', mcp-server-memory]}}\n",
        script.display()
    );
    std::fs::write(&config, yaml).expect("is written");
    let config = config.display().to_string();
    let environment = [("ROLECALL_CONFIG", config.as_str())];
    let service = Service::start(&folder.join("data"), &shipped_agents(), &environment).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let list = service.caller.get("/admin/v1/mcp-servers").await.body;
        let items = list["items"].as_array().expect("is a list");
        if items.iter().all(|server| server["state"] == "up") {
            return service;
        }
        assert!(Instant::now() < deadline, "{list}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_service_killed_by_force_leaves_no_tool_server_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut service = service_with_servers(folder.path()).await;
    let pids = descendants(service.id());
    // Two guards, two servers, what `npx` is made of, a grandchild in a session of its own; PostgreSQL too.
    assert!(pids.len() >= 6, "{pids:?}");
    service.kill();
    all_end(&pids).await;
}

#[tokio::test]
async fn a_service_that_is_stopped_leaves_no_tool_server_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut service = service_with_servers(folder.path()).await;
    let pids = descendants(service.id());
    assert!(service.stop());
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "{pids:?}");
}
