use std::collections::BTreeMap;
use std::io::Read;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use rolecall::registry::{Export, Settings, SyncOptions, sync_once};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};

use crate::support::{
    AgentFolder, Answer, Caller, TestApp, agent_file, agent_in_format, rolecall, shipped_agents,
};

/// Files by their paths.
type Files = BTreeMap<String, Vec<u8>>;

async fn export(app: &TestApp) -> Files {
    let request = app.admin.request(Method::GET, "/admin/v1/export");
    let response = request.send().await.expect("the service answers");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-tar");
    let archive = response.bytes().await.expect("the archive is whole");
    let mut files = Files::new();
    for entry in tar::Archive::new(archive.as_ref()).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        assert_eq!(entry.header().entry_type(), tar::EntryType::Regular);
        let path = entry.path().expect("a path").to_str().expect("is UTF-8").to_owned();
        let mut source = Vec::new();
        entry.read_to_end(&mut source).expect("is whole");
        assert!(files.insert(path.clone(), source).is_none(), "{path} is there twice");
    }
    files
}

fn paths(files: &Files) -> Vec<&str> {
    files.keys().map(String::as_str).collect()
}

fn unpack(files: &Files) -> AgentFolder {
    let folder = AgentFolder::new();
    for (path, source) in files {
        folder.write(path, source);
    }
    folder
}

/// The roster as far as an export keeps it: of each agent its name, hash and format.
async fn roster(caller: &Caller) -> Vec<Value> {
    let agents = caller.get("/admin/v1/agents?limit=1000").await.body;
    let agents = agents["items"].as_array().expect("a list");
    let is_exported = |agent: &&Value| agent["state"] != "archived";
    let kept = |agent: &Value| json!([agent["name"], agent["sha256"], agent["format"]]);
    agents.iter().filter(is_exported).map(kept).collect()
}

/// Leaves a registry in which no agent has ever been.
async fn empty(pool: &PgPool) {
    let query = "TRUNCATE agents, revisions, agent_files";
    sqlx::raw_sql(query).execute(pool).await.expect("is emptied");
}

/// Exports, syncs the export into an empty registry, and compares.
async fn assert_comes_back(pool: &PgPool, app: &TestApp) -> Files {
    let (files, before) = (export(app).await, roster(&app.admin).await);
    assert_eq!(files.len(), before.len());
    empty(pool).await;
    let other = TestApp::builder(pool.clone()).agents(&unpack(&files)).start().await;
    assert_eq!(roster(&other.admin).await, before);
    assert_eq!(export(&other).await, files);
    files
}

async fn put_format(app: &TestApp, name: &str, format: &str) {
    let path = format!("/admin/v1/agents/{name}?format={format}");
    let request =
        app.admin.request(Method::PUT, &path).body(agent_in_format(format, name, "Serves."));
    let answer = Answer::read(request).await;
    assert_eq!(answer.status, 201, "{format}: {}", answer.text);
}

#[sqlx::test]
async fn every_agent_that_is_not_archived_is_exported_byte_for_byte(pool: PgPool) {
    let folder = AgentFolder::new();
    let odd = "---\r\nname: Odd One\r\ndescription: Use when: asked\r\n---\r\n\r\n\u{a0}You. \r\n";
    let disabled = agent_file("off", "Is switched off.");
    folder
        .write("team/sub/Odd File.md", odd)
        .write("off.md", &disabled)
        .write("gone.md", agent_file("gone", "Is archived."))
        .write("README.md", "# No agent\n")
        .write("bad.md", b"---\nname: bad\n\xff---\n");
    let app = TestApp::builder(pool).agents(&folder).start().await;
    assert_eq!(app.admin.post("/admin/v1/agents/off/disable", json!({})).await.status, 200);
    assert_eq!(app.admin.delete("/admin/v1/agents/gone").await.status, 200);
    let put = agent_file("put", "Came by the API.");
    assert_eq!(app.admin.put_agent("put", put.clone()).await.status, 201);
    let expected = [("off.md", disabled.as_str()), ("put.md", &put), ("team/sub/Odd File.md", odd)];
    let expected: Files = expected.map(|(path, source)| (path.to_owned(), source.into())).into();
    assert_eq!(export(&app).await, expected);
}

#[sqlx::test]
async fn the_live_revision_is_exported_and_not_the_last(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("sub/a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    folder.write("sub/a.md", agent_file("a", "two"));
    app.admin.post("/admin/v1/sync", json!({})).await;
    let rollback = app.admin.post("/admin/v1/agents/a/activate", json!({"revision": 1})).await;
    assert_eq!(rollback.status, 200, "{}", rollback.text);
    let expected = Files::from([("sub/a.md".to_owned(), agent_file("a", "one").into())]);
    assert_eq!(export(&app).await, expected);
}

#[sqlx::test]
async fn an_agent_of_the_api_lies_where_its_format_has_it(pool: PgPool) {
    let app = TestApp::builder(pool.clone()).agents(&AgentFolder::new()).start().await;
    for format in ["claude-code", "copilot", "agent-skill", "codex", "json", "opencode"] {
        put_format(&app, &format!("my-{format}"), format).await;
    }
    let files = assert_comes_back(&pool, &app).await;
    let expected = [
        "my-agent-skill/SKILL.md",
        "my-claude-code.md",
        "my-codex.toml",
        "my-copilot.agent.md",
        "my-json.json",
        "my-opencode.md",
    ];
    assert_eq!(paths(&files), expected);
    for (path, source) in &files {
        let name = path.split(['.', '/']).next().expect("a name");
        let format = name.strip_prefix("my-").expect("is called like its format");
        assert_eq!(*source, agent_in_format(format, name, "Serves.").into_bytes(), "{path}");
    }
}

#[sqlx::test]
async fn a_format_that_only_the_caller_knew_comes_back(pool: PgPool) {
    let app = TestApp::builder(pool.clone()).agents(&AgentFolder::new()).start().await;
    for format in ["copilot", "opencode"] {
        let path = format!("/admin/v1/agents/my-{format}?format={format}");
        let plain = agent_file(&format!("my-{format}"), "Might be of any format.");
        let answer = Answer::read(app.admin.request(Method::PUT, &path).body(plain)).await;
        assert_eq!(answer.body["format"], format, "{}", answer.text);
    }
    let files = assert_comes_back(&pool, &app).await;
    assert_eq!(paths(&files), ["my-copilot.agent.md", "opencode/agents/my-opencode.md"]);
}

#[sqlx::test]
async fn a_format_that_only_the_root_told_comes_back(pool: PgPool) {
    let folder = AgentFolder::new();
    let file = "---\nname: Shown Name\ndescription: Reviews.\n---\n\nReview.\n";
    folder.write(".github/agents/team/reviewer.md", file);
    let root = folder.path().join(".github/agents");
    let builder = TestApp::builder(pool.clone());
    let app = builder.configure(|config| config.registry.agents_dir = root).start().await;
    assert_eq!(app.admin.get("/admin/v1/agents/reviewer").await.body["format"], "copilot");
    let files = assert_comes_back(&pool, &app).await;
    assert_eq!(paths(&files), ["team/reviewer.agent.md"]);
}

#[sqlx::test]
async fn a_file_of_several_agents_becomes_one_for_each(pool: PgPool) {
    let folder = AgentFolder::new();
    let cook = r#"{"description": "Cooks.",  "prompt": "You cook."}"#;
    let smith = "{\"prompt\":\"You forge.\"\r\n}";
    folder.write("team/crew.json", format!("{{\"The Cook\": {cook}, \"smith\":{smith}}}\n"));
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    let files = assert_comes_back(&pool, &app).await;
    let expected = [("team/smith.json", smith), ("team/the-cook.json", cook)];
    assert_eq!(files, expected.map(|(path, source)| (path.to_owned(), source.into())).into());
}

#[sqlx::test]
async fn agents_whose_files_would_get_in_each_others_way_have_a_place_each(pool: PgPool) {
    let folder = AgentFolder::new();
    folder
        // To some file systems these are one.
        .write("A.md", agent_file("upper", "one"))
        .write("a.md", agent_file("lower", "two"))
        // A file that bears another agent's name, and a folder.
        .write("reviewer.md", agent_file("critic", "three"))
        .write("reviewer/reviewer.md", agent_file("judge", "four"))
        .write("reviewer-1.md", agent_file("zealot", "five"))
        .write("tester.md/x.md", agent_file("x", "six"))
        .write("issue #7/y.md", agent_file("y", "seven"));
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    for name in ["reviewer", "tester"] {
        assert_eq!(app.admin.put_agent(name, agent_file(name, "put")).await.status, 201);
    }
    let files = assert_comes_back(&pool, &app).await;
    let folded: std::collections::BTreeSet<String> =
        files.keys().map(|path| path.to_lowercase()).collect();
    assert_eq!(folded.len(), 9, "{folded:?}");
    for kept in ["reviewer.md", "reviewer/reviewer.md", "tester.md/x.md", "issue #7/y.md"] {
        assert!(files.contains_key(kept), "{kept} of {:?}", paths(&files));
    }
}

#[sqlx::test]
async fn a_moved_file_is_exported_from_where_it_lies_now(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    folder.remove("a.md").write("team/a.md", agent_file("a", "one"));
    app.admin.post("/admin/v1/sync", json!({})).await;
    assert_eq!(app.admin.get("/admin/v1/agents/a").await.body["labels"], json!(["team"]));
    assert_eq!(paths(&assert_comes_back(&pool, &app).await), ["team/a.md"]);
}

#[sqlx::test]
async fn the_shipped_agents_and_every_fixture_come_back(pool: PgPool) {
    let folder = AgentFolder::new();
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for root in [shipped_agents(), fixtures.join("definitions")] {
        for entry in walkdir::WalkDir::new(&root) {
            let entry = entry.expect("can be read");
            if entry.file_type().is_file() {
                let path = entry.path().strip_prefix(&root).expect("is below");
                // In folders of their own: a fixture without a name is called like its file.
                let folder_name = root.file_name().expect("is named").to_string_lossy();
                let path = format!("{folder_name}/{}", path.display());
                folder.write(&path, std::fs::read(entry.path()).expect("is read"));
            }
        }
    }
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    let files = assert_comes_back(&pool, &app).await;
    assert!(files.len() > 30, "{:?}", paths(&files));
    for (path, source) in files {
        let original = std::fs::read(folder.path().join(&path));
        // What came from a file of several agents lies beside it.
        assert!(original.is_err() || original.is_ok_and(|original| original == source), "{path}");
    }
}

/// An agent file somewhere in a folder, as people might write one.
fn any_file() -> impl Strategy<Value = (String, String)> {
    let folders = ["", "team/", "Team/deep er/", "x#y/", "opencode/agents/", "ä/"];
    let formats = ["claude-code", "copilot", "opencode", "agent-skill", "codex", "json", "cursor"];
    let place = (0..folders.len(), "[a-cA-C#][a-cA-C# ._-]{0,3}");
    let content = (0..formats.len(), "[a-dA-D][a-dA-D _.-]{0,3}", any::<bool>(), "\\PC{0,40}");
    (place, content).prop_map(move |((folder, stem), (format, name, has_name, text))| {
        let (folder, format) = (folders[folder], formats[format]);
        let ending = match format {
            "copilot" => ".agent.md",
            "agent-skill" => "/SKILL.md",
            "codex" => ".toml",
            "json" => ".json",
            _ => ".md",
        };
        let text = text.replace(['"', '\\'], "");
        let mut source = agent_in_format(format, &name, "Serves.");
        if !has_name {
            let lines = source
                .split_inclusive('\n')
                .filter(|line| !line.trim_start().trim_start_matches('"').starts_with("name"));
            source = lines.collect();
        }
        (format!("{folder}{stem}{ending}"), source.replace("Serves.", &format!("Serves. {text}")))
    })
}

#[sqlx::test]
async fn whatever_loads_comes_back(pool: PgPool) {
    let mut runner = TestRunner::deterministic();
    for _ in 0..12 {
        let files = vec(any_file(), 1..40).new_tree(&mut runner).expect("files").current();
        let folder = AgentFolder::new();
        for (path, source) in &files {
            folder.write(path, source);
        }
        let first = import_and_export(&pool, &folder).await;
        assert!(!first.is_empty(), "{files:?}");
        let exported = AgentFolder::new();
        for (path, _, source) in &first {
            exported.write(path, source);
        }
        let second = import_and_export(&pool, &exported).await;
        assert_eq!(second, first, "{files:?}");
    }
}

/// Syncs a folder into an empty registry, and lists the path, name and format, and the source of each agent.
async fn import_and_export(
    pool: &PgPool,
    folder: &AgentFolder,
) -> Vec<(String, (String, String), Vec<u8>)> {
    empty(pool).await;
    let settings = Settings {
        agents_dir: folder.path(),
        definition_bytes: 1_000_000,
        known_world: rolecall::definition::KnownWorld::default(),
    };
    let author = rolecall::audit::Author::without_key("test");
    let options = SyncOptions { is_dry_run: false, prunes: false, author };
    sync_once(pool, &settings, &options).await.expect("is synced");
    let formats: BTreeMap<String, String> =
        sqlx::query_as("SELECT agent_name, format FROM revisions")
            .fetch_all(pool)
            .await
            .expect("is read")
            .into_iter()
            .collect();
    let mut export = Export::begin(pool).await.expect("begins");
    let mut all = Vec::new();
    loop {
        let files = export.next_files().await.expect("is read");
        if files.is_empty() {
            return all;
        }
        all.extend(files.into_iter().map(|file| {
            let format = formats[&file.agent].clone();
            (file.path, (file.agent, format), file.source)
        }));
    }
}

#[sqlx::test]
async fn a_roster_of_many_agents_is_exported_whole(pool: PgPool) {
    let folder = AgentFolder::new();
    for number in 0..200 {
        let name = format!("agent-{number:03}");
        folder.write(&format!("{name}.md"), agent_file(&name, &"long ".repeat(number)));
    }
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    assert_eq!(assert_comes_back(&pool, &app).await.len(), 200);
}

#[sqlx::test]
async fn an_export_needs_an_admin(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.admin.with_key("").get("/admin/v1/export").await.problem(401, "unauthenticated");
    app.admin.with_key("rc_wrong").get("/admin/v1/export").await.problem(401, "unauthenticated");
    let runner = app.caller(&["run"]).await;
    runner.get("/admin/v1/export").await.problem(403, "forbidden");
}

#[sqlx::test]
async fn the_program_writes_the_same_files(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("team/a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    put_format(&app, "pdf", "agent-skill").await;
    let expected = export(&app).await;

    let base = AgentFolder::new();
    let url = pool.connect_options().to_url_lossy().to_string();
    let run = |target: &str, arguments: &[&str]| {
        let mut command = rolecall();
        command.arg("export").arg(base.path().join(target)).args(arguments);
        command.env("DATABASE_URL", &url).output().expect("the program runs")
    };
    let output = run("new/out", &["--json"]);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("prints JSON");
    let agent = app.admin.get("/admin/v1/agents/a").await.body;
    assert_eq!(
        report["files"][0],
        json!({"path": "team/a.md", "agent": "a", "revision": 1, "sha256": agent["sha256"]})
    );
    assert_eq!(report["files"][1]["path"], "pdf/SKILL.md");
    assert_eq!(report["files"].as_array().map(Vec::len), Some(2));
    for (path, source) in &expected {
        assert_eq!(
            std::fs::read(base.path().join("new/out").join(path)).ok().as_ref(),
            Some(source)
        );
    }

    let refused = run("new/out", &[]);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("new/out is not empty"), "{error}");
    base.write("file", "x");
    let refused = run("file", &[]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(error.contains("failed to make the folder"), "{error}");

    std::fs::create_dir(base.path().join("empty")).expect("is made");
    let output = run("empty", &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("2 agents written to "));
}
