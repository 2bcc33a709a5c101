use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};

use crate::support::{AgentFolder, Answer, TestApp, agent_file, rolecall};

/// What a sync says of each file: path, verdict, action.
fn files(answer: &Answer) -> Vec<(String, String, String)> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    answer.body["files"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| (text(&file["path"]), text(&file["verdict"]), text(&file["action"])))
        .collect()
}

fn file(path: &str, verdict: &str, action: &str) -> (String, String, String) {
    (path.to_owned(), verdict.to_owned(), action.to_owned())
}

async fn sync(app: &TestApp) -> Vec<(String, String, String)> {
    files(&app.admin.post("/admin/v1/sync", json!({})).await)
}

async fn state_of(app: &TestApp, name: &str) -> (Value, Value) {
    let agent = app.admin.get(&format!("/admin/v1/agents/{name}")).await.body;
    (agent["state"].clone(), agent["revision"].clone())
}

#[sqlx::test]
async fn an_unchanged_folder_changes_nothing(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one")).write("sub/b.md", agent_file("b", "two"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let unchanged = [file("a.md", "loaded", "unchanged"), file("sub/b.md", "loaded", "unchanged")];
    let first = app.admin.post("/admin/v1/sync", json!({})).await;
    assert_eq!(files(&first), unchanged);
    let second = app.admin.post("/admin/v1/sync", json!({})).await;
    assert_eq!(first.body["roster_revision"], second.body["roster_revision"]);
    let labelled = app.admin.get("/admin/v1/agents/b").await.body;
    assert_eq!(labelled["labels"], json!(["sub"]));
}

#[sqlx::test]
async fn changed_bytes_make_a_revision_and_a_dry_run_does_not(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    folder.write("a.md", agent_file("a", "two")).write("b.md", agent_file("b", "new"));
    let planned = [file("a.md", "loaded", "updated"), file("b.md", "loaded", "created")];
    let dry = app.admin.post("/admin/v1/sync", json!({"dry_run": true})).await;
    assert_eq!((files(&dry), &dry.body["dry_run"]), (planned.to_vec(), &json!(true)));
    assert_eq!(state_of(&app, "a").await, (json!("live"), json!(1)));
    assert_eq!(sync(&app).await, planned);
    assert_eq!(state_of(&app, "a").await, (json!("live"), json!(2)));
}

#[sqlx::test]
async fn a_bad_file_is_quarantined_by_itself_and_keeps_its_last_revision(pool: PgPool) {
    let folder = AgentFolder::new();
    folder
        .write("bad.md", b"---\nname: bad\n\xff---\n".as_slice())
        .write("good.md", agent_file("good", "one"))
        .write("README.md", "# Not an agent\n");
    let app = TestApp::builder(pool).agents(&folder).start().await;
    assert_eq!(
        sync(&app).await,
        [
            file("README.md", "skipped", "none"),
            file("bad.md", "quarantined", "none"),
            file("good.md", "loaded", "unchanged"),
        ]
    );
    let quarantine = app.admin.get("/admin/v1/quarantine").await.body;
    let item = &quarantine["items"][0];
    assert_eq!(
        (&item["path"], &item["class"], &item["line"]),
        (&json!("bad.md"), &json!("encoding_invalid"), &json!(3))
    );

    folder.write("good.md", b"---\nname: good\n\xff".as_slice());
    assert_eq!(sync(&app).await[2], file("good.md", "quarantined", "none"));
    assert_eq!(state_of(&app, "good").await, (json!("live"), json!(1)));
    folder.write("good.md", agent_file("good", "mended")).remove("bad.md");
    assert_eq!(sync(&app).await[1], file("good.md", "loaded", "updated"));
}

#[sqlx::test]
async fn the_first_of_two_files_with_one_name_wins(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a/x.md", agent_file("Same Name", "one"));
    folder.write("b/x.md", agent_file("same-name", "two"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let answer = app.admin.post("/admin/v1/sync", json!({})).await;
    assert_eq!(
        files(&answer),
        [file("a/x.md", "loaded", "unchanged"), file("b/x.md", "skipped", "none")]
    );
    let codes = answer.body["files"][1]["diagnostics"].to_string();
    assert!(codes.contains("duplicate_name"), "{codes}");
    let agent = app.admin.get("/admin/v1/agents/same-name").await.body;
    assert_eq!(agent["definition"]["display_name"], "Same Name");
}

#[sqlx::test]
async fn a_deleted_file_changes_nothing_until_a_prune(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one")).write("b.md", agent_file("b", "two"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    folder.remove("a.md");
    assert_eq!(sync(&app).await, [file("b.md", "loaded", "unchanged")]);
    assert_eq!(state_of(&app, "a").await.0, "live");
    let pruned = app.admin.post("/admin/v1/sync", json!({"prune": true})).await;
    assert!(files(&pruned).contains(&file("a.md", "skipped", "archived")));
    assert_eq!(state_of(&app, "a").await.0, "archived");
    folder.write("a.md", agent_file("a", "one"));
    assert_eq!(sync(&app).await[0], file("a.md", "loaded", "updated"));
    assert_eq!(state_of(&app, "a").await, (json!("live"), json!(1)));
}

#[sqlx::test]
async fn an_unchanged_file_undoes_nothing(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    app.admin.delete("/admin/v1/agents/a").await;
    assert_eq!(sync(&app).await, [file("a.md", "loaded", "unchanged")]);
    assert_eq!(state_of(&app, "a").await.0, "archived");
    folder.write("a.md", agent_file("a", "changed"));
    assert_eq!(sync(&app).await, [file("a.md", "loaded", "updated")]);
    assert_eq!(state_of(&app, "a").await, (json!("live"), json!(2)));
}

#[sqlx::test]
async fn what_came_by_the_api_is_left_alone(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "from the file"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "from the API")).await;
    folder.write("a.md", agent_file("a", "changed in the file"));
    assert_eq!(sync(&app).await, [file("a.md", "loaded", "shadowed")]);
    let agent = app.admin.get("/admin/v1/agents/a").await.body;
    assert_eq!(agent["definition"]["description"], "from the API");
}

#[sqlx::test]
async fn odd_things_in_the_folder_stop_nothing(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one")).write(".git/b.md", agent_file("b", "hidden"));
    folder.write("big.md", vec![b'x'; 2 * 1024 * 1024]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).expect("is linked");
    nix::unistd::mkfifo(&folder.path().join("pipe.md"), nix::sys::stat::Mode::S_IRWXU)
        .expect("is made");
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let answer = app.admin.post("/admin/v1/sync", json!({})).await;
    let found = files(&answer);
    assert!(found.contains(&file("a.md", "loaded", "unchanged")));
    assert!(found.contains(&file("big.md", "quarantined", "none")));
    assert!(found.contains(&file("pipe.md", "quarantined", "none")));
    assert!(found.contains(&file("loop", "quarantined", "none")));
    assert!(!answer.text.contains("hidden"));
}

#[sqlx::test]
async fn concurrent_syncs_and_puts_lose_no_revision(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    let puts = (0..20).map(|number| {
        let admin = app.admin.clone();
        async move {
            let name = format!("x{}", number % 4);
            let answer = admin.put_agent(&name, agent_file(&name, &format!("text {number}"))).await;
            assert!(answer.status < 300, "{}", answer.text);
        }
    });
    let syncs = (0..4).map(|_| async { assert_eq!(sync(&app).await.len(), 1) });
    futures_util::join!(
        futures_util::future::join_all(puts),
        futures_util::future::join_all(syncs)
    );
    let counts: Vec<(i64, i32)> = sqlx::query_as(
        "SELECT count(*), max(revision) FROM revisions WHERE agent_name LIKE 'x%' GROUP BY agent_name",
    )
    .fetch_all(&pool)
    .await
    .expect("is read");
    assert_eq!(counts, [(5, 5); 4]);
}

#[sqlx::test]
async fn a_bad_duplicate_leaves_the_good_file_alone(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("x", "one")).write("b.md", agent_file("x", "two"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    folder.write("b.md", "---\nno end").write("a.md", agent_file("x", "three"));
    assert_eq!(
        sync(&app).await,
        [file("a.md", "loaded", "updated"), file("b.md", "quarantined", "none")]
    );
}

#[sqlx::test]
async fn an_agent_whose_bad_file_is_deleted_can_be_pruned(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    folder.write("a.md", "---\nno end");
    sync(&app).await;
    folder.remove("a.md");
    let pruned = app.admin.post("/admin/v1/sync", json!({"prune": true})).await;
    assert_eq!(files(&pruned), [file("a.md", "skipped", "archived")]);
    assert_eq!(app.admin.get("/admin/v1/quarantine").await.body["items"], json!([]));
}

#[sqlx::test]
async fn a_missing_folder_is_never_pruned_from(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    std::fs::remove_dir_all(folder.path()).expect("is removed");
    app.admin.post("/admin/v1/sync", json!({"prune": true})).await.problem(409, "conflict");
    assert_eq!(state_of(&app, "a").await.0, "live");
}

#[sqlx::test]
async fn a_moved_file_takes_the_labels_of_its_new_folder(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("old/a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    folder.remove("old/a.md").write("new/a.md", agent_file("a", "one"));
    sync(&app).await;
    let agent = app.admin.get("/admin/v1/agents/a").await.body;
    assert_eq!((&agent["labels"], &agent["revision"]), (&json!(["new"]), &json!(1)));
}

#[sqlx::test]
async fn a_stored_revision_that_cannot_be_read_hides_no_other(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one")).write("b.md", agent_file("b", "two"));
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    app.stop().await;
    sqlx::raw_sql(
        "ALTER TABLE revisions DISABLE TRIGGER revisions_are_immutable;
         UPDATE revisions SET source_bytes = 'no definition' WHERE agent_name = 'a'",
    )
    .execute(&pool)
    .await
    .expect("is spoilt");
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let names = app.admin.get("/v1/agents").await.body["items"].to_string();
    assert!(names.contains("\"b\"") && !names.contains("\"a\""), "{names}");
}

#[sqlx::test]
async fn a_sync_needs_no_body(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let request = app.admin.request(reqwest::Method::POST, "/admin/v1/sync");
    assert_eq!(Answer::read(request).await.status, 200);
}

#[sqlx::test]
async fn every_file_has_a_verdict_whatever_it_is(pool: PgPool) {
    let folder = AgentFolder::new();
    folder
        .write("LICENSE", "Free.")
        .write("README.md", "# Agents\n")
        .write("logo.png", b"\x89PNG".as_slice())
        .write("package.json", r#"{"name": "agents", "description": "no agent"}"#)
        .write("settings.toml", "[package]\nname = \"x\"\n")
        .write("site.md", "---\ntitle: A page\nlayout: wide\n---\nText.\n")
        .write(".hidden/secret.md", agent_file("secret", "hidden"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let skipped = ["LICENSE", "README.md", "logo.png", "package.json", "settings.toml", "site.md"];
    assert_eq!(sync(&app).await, skipped.map(|path| file(path, "skipped", "none")));
}

#[sqlx::test]
async fn agents_of_other_clients_are_read_as_they_are(pool: PgPool) {
    let folder = AgentFolder::new();
    folder
        .write("debugger.agent.md", "---\nname: Debug it\ndescription: d\ntools: [read]\n---\nFind bugs.\n")
        .write("pdf/SKILL.md", "---\nname: pdf\ndescription: For forms\n---\nFill them in.\n")
        .write("spark.toml", "name = 'spark'\ndescription = 'For ideas'\ndeveloper_instructions = 'Think.'\n")
        .write("team.json", r#"{"one": {"description": "For one", "prompt": "1"}, "two": {"description": "For two", "prompt": "2"}}"#)
        .write("tester.md", "---\nmode: subagent\ndescription: For tests\nmodel: anthropic/claude-sonnet-5-5\n---\nTest.\n");
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let report = app.admin.post("/admin/v1/sync", json!({})).await;
    let paths: Vec<String> = files(&report).into_iter().map(|(path, _, _)| path).collect();
    let expected =
        ["debugger.agent.md", "pdf/SKILL.md", "spark.toml", "team.json", "team.json", "tester.md"];
    assert_eq!(paths, expected);
    let mut formats = Vec::new();
    for name in ["debugger", "pdf", "spark", "one", "two", "tester"] {
        let agent = app.admin.get(&format!("/admin/v1/agents/{name}")).await.body;
        let prompt = agent["definition"]["prompt"].as_str().unwrap_or_default().to_owned();
        formats.push((agent["format"].as_str().unwrap_or_default().to_owned(), prompt));
    }
    let formats: Vec<(&str, &str)> =
        formats.iter().map(|(format, prompt)| (format.as_str(), prompt.as_str())).collect();
    assert_eq!(
        formats,
        [
            ("copilot", "Find bugs."),
            ("agent-skill", "Fill them in."),
            ("codex", "Think."),
            ("json", "1"),
            ("json", "2"),
            ("opencode", "Test."),
        ]
    );
    let debugger = app.admin.get("/admin/v1/agents/debugger").await.body;
    assert_eq!(debugger["definition"]["display_name"], "Debug it");

    // One agent of the file changes; the other gets no revision.
    folder.write("team.json", r#"{"one": {"description": "For one", "prompt": "1"}, "two": {"description": "For two", "prompt": "changed"}}"#);
    sync(&app).await;
    assert_eq!(state_of(&app, "one").await, (json!("live"), json!(1)));
    assert_eq!(state_of(&app, "two").await, (json!("live"), json!(2)));
}

#[sqlx::test]
async fn what_gave_an_agent_and_is_none_any_more_is_quarantined(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "Used for one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    folder.write("a.md", "# Only notes\n");
    assert_eq!(sync(&app).await, [file("a.md", "quarantined", "none")]);
    let pruned = app.admin.post("/admin/v1/sync", json!({"prune": true})).await;
    assert_eq!(files(&pruned), [file("a.md", "quarantined", "none")]);
    assert_eq!(state_of(&app, "a").await, (json!("live"), json!(1)));
}

#[sqlx::test]
async fn an_agent_that_was_renamed_in_its_file_is_pruned(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("old", "Used for one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    folder.write("a.md", agent_file("new", "Used for one"));
    assert_eq!(sync(&app).await, [file("a.md", "loaded", "created")]);
    assert_eq!(state_of(&app, "old").await, (json!("live"), json!(1)));
    app.admin.post("/admin/v1/sync", json!({"prune": true})).await;
    assert_eq!(state_of(&app, "old").await, (json!("archived"), json!(1)));
    assert_eq!(state_of(&app, "new").await, (json!("live"), json!(1)));
}

#[sqlx::test]
async fn an_archived_agent_of_the_api_gives_way_to_a_changed_file(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "Used for one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "Used for two")).await;
    assert_eq!(sync(&app).await, [file("a.md", "loaded", "shadowed")]);
    app.admin.delete("/admin/v1/agents/a").await;
    assert_eq!(sync(&app).await, [file("a.md", "loaded", "shadowed")]);
    assert_eq!(state_of(&app, "a").await, (json!("archived"), json!(2)));
    folder.write("a.md", agent_file("a", "Used for three"));
    assert_eq!(sync(&app).await, [file("a.md", "loaded", "updated")]);
    let agent = app.admin.get("/admin/v1/agents/a").await.body;
    assert_eq!((&agent["state"], &agent["source"]), (&json!("live"), &json!("file")));
    assert_eq!(agent["revision"], 3);
}

#[sqlx::test]
async fn descriptions_that_nearly_coincide_are_pointed_out(pool: PgPool) {
    let folder = AgentFolder::new();
    folder
        .write("a.md", agent_file("a", "Use when walls have to be painted in a new colour"))
        .write("b.md", agent_file("b", "Use when walls have to be painted in some new colour"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let twins = ["a.md", "b.md"].map(|path| file(path, "loaded_with_warnings", "unchanged"));
    assert_eq!(sync(&app).await, twins);
    let third = agent_file("c", "Use when walls have to be painted in any new colour");
    let put = app.admin.put_agent("c", third).await;
    assert_eq!(put.body["diagnostics"][0]["code"], "description_overlap", "{}", put.text);
}

#[sqlx::test]
async fn a_file_that_waits_behind_the_api_is_no_change_to_the_command_line(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "one")).await;
    folder.write("a.md", agent_file("a", "two"));
    let url = pool.connect_options().to_url_lossy().to_string();
    let mut command = rolecall();
    command.args(["sync", "--dry-run"]).env("DATABASE_URL", url);
    let output = command.env("ROLECALL_AGENTS_DIR", folder.path()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("shadowed") && text.contains("0 of 1 files would change"), "{text}");
}
