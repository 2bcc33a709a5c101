//! Agents of other formats than Claude Code's, put over the API.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, TestApp, agent_file, agent_in_format};

async fn start(pool: PgPool) -> TestApp {
    TestApp::builder(pool).agents(&AgentFolder::new()).start().await
}

/// Puts a file to a path below the agents, with a content type if one is given.
async fn put(app: &TestApp, path: &str, content_type: &str, source: &str) -> Answer {
    let path = format!("/admin/v1/agents/{path}");
    let mut request = app.admin.request(Method::PUT, &path).body(source.to_owned());
    if !content_type.is_empty() {
        request = request.header(CONTENT_TYPE, content_type);
    }
    Answer::read(request).await
}

/// Checks that an agent of this format and prompt was made, and that its bytes are served as they came.
async fn assert_put(app: &TestApp, answer: &Answer, format: &str, prompt: &str, source: &str) {
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!((&answer.body["format"], &answer.body["state"]), (&json!(format), &json!("live")));
    assert_eq!(answer.body["definition"]["prompt"], prompt);
    let path = format!("/admin/v1/agents/{}", answer.body["name"].as_str().expect("a name"));
    let agent = app.admin.get(&path).await.body;
    assert_eq!((&agent["format"], &agent["sha256"]), (&json!(format), &answer.body["sha256"]));
    let content_type = match format {
        "codex" => "application/toml",
        "json" => "application/json",
        _ => "text/markdown; charset=utf-8",
    };
    let stored = app.admin.get(&format!("{path}/source")).await;
    assert_eq!((stored.text.as_str(), stored.header("content-type")), (source, content_type));
}

#[sqlx::test]
async fn json_is_read_with_its_name_inside_or_around_it(pool: PgPool) {
    let app = start(pool).await;
    let bare = "{\n  \"description\": \"Cooks.\",\"prompt\": \"You cook.\\nSoup.\", \"x\":1}\r\n";
    let answer = put(&app, "cook", "application/json", bare).await;
    assert_put(&app, &answer, "json", "You cook.\nSoup.", bare).await;
    assert_eq!(answer.body["definition"]["other_fields"], json!({"x": 1}));

    let wrapped = r#"{"Sword Smith": {"description": "Forges.", "prompt": "You forge."}}"#;
    let answer = put(&app, "sword-smith", "application/json; charset=utf-8", wrapped).await;
    assert_put(&app, &answer, "json", "You forge.", wrapped).await;
    assert_eq!(answer.body["definition"]["display_name"], "Sword Smith");
    let other = put(&app, "smith", "application/json", wrapped).await;
    other.problem(422, "name_mismatch");

    // `curl -T` sends no content type.
    let sent = r#" {"name": "miner", "description": "Digs.", "prompt": "You dig."}"#;
    let answer = put(&app, "miner", "", sent).await;
    assert_put(&app, &answer, "json", "You dig.", sent).await;
}

#[sqlx::test]
async fn toml_is_read_by_its_content_type_and_by_the_query(pool: PgPool) {
    let app = start(pool).await;
    let source = "name = \"smith\"\ndescription = \"Forges.\"\ndeveloper_instructions = '''\n\
        You forge.\n'''\nsandbox_mode = \"read-only\"\n";
    let answer = put(&app, "smith", "application/toml", source).await;
    assert_put(&app, &answer, "codex", "You forge.", source).await;
    assert_eq!(answer.body["definition"]["other_fields"], json!({"sandbox_mode": "read-only"}));
    for (name, content_type) in [("one", ""), ("two", "text/plain"), ("three", "text/markdown")] {
        let source = source.replace("\"smith\"", &format!("\"{name}\""));
        let answer = put(&app, &format!("{name}?format=codex"), content_type, &source).await;
        assert_put(&app, &answer, "codex", "You forge.", &source).await;
    }
    let broken = put(&app, "four", "application/toml", &source.replace("= \"read", "= read")).await;
    let finding = &broken.problem(422, "invalid_definition")["diagnostics"][0];
    assert_eq!((&finding["code"], &finding["line"]), (&json!("toml_invalid"), &json!(6)));
}

#[sqlx::test]
async fn a_copilot_agent_is_called_like_its_path_and_shown_by_its_name(pool: PgPool) {
    let app = start(pool).await;
    let source =
        "---\nname: The Great Reviewer\ndescription: Reviews.\ntarget: vscode\n---\n\nReview.\n";
    let answer = put(&app, "reviewer?format=copilot", "text/markdown", source).await;
    assert_put(&app, &answer, "copilot", "Review.", source).await;
    assert_eq!(answer.body["name"], "reviewer");
    assert_eq!(answer.body["definition"]["display_name"], "The Great Reviewer");
    let listed = app.admin.get("/admin/v1/agents").await.body;
    assert_eq!(listed["items"][0]["display_name"], "The Great Reviewer");
    assert_eq!(listed["items"][0]["format"], "copilot");
    // Of another format the name is the file's own.
    let strict = put(&app, "critic?format=claude-code", "text/markdown", source).await;
    strict.problem(422, "name_mismatch");
}

#[sqlx::test]
async fn a_skill_has_its_own_words_for_tools(pool: PgPool) {
    let app = start(pool).await;
    let source =
        "---\nname: pdf\ndescription: Reads PDF.\nallowed-tools: Read, Bash(pdf:*)\n---\n\nRead.\n";
    let answer = put(&app, "pdf?format=agent-skill", "", source).await;
    assert_put(&app, &answer, "agent-skill", "Read.", source).await;
    assert_eq!(answer.body["definition"]["tools"], json!(["Read", "Bash(pdf:*)"]));
}

#[sqlx::test]
async fn the_same_bytes_in_another_format_are_another_revision(pool: PgPool) {
    let app = start(pool).await;
    let source = "---\nname: pdf\ndescription: Reads.\nallowed-tools: Read\n---\n\nRead.\n";
    let first = put(&app, "pdf", "", source).await;
    assert_eq!((first.status, &first.body["format"]), (201, &json!("claude-code")));
    let dry = put(&app, "pdf?format=agent-skill&dry_run=true", "", source).await;
    assert_eq!((&dry.body["changed"], &dry.body["format"]), (&json!(true), &json!("agent-skill")));
    let second = put(&app, "pdf?format=agent-skill", "", source).await;
    assert_eq!((&second.body["changed"], &second.body["revision"]), (&json!(true), &json!(2)));
    assert_eq!(second.body["format"], "agent-skill");
    assert_eq!(second.body["definition"]["tools"], json!(["Read"]));
    let third = put(&app, "pdf?format=agent-skill", "", source).await;
    assert_eq!((&third.body["changed"], &third.body["revision"]), (&json!(false), &json!(2)));
}

#[sqlx::test]
async fn an_unknown_format_is_refused_with_those_that_are_known(pool: PgPool) {
    let app = start(pool).await;
    let answer = put(&app, "a?format=yaml", "", &agent_file("a", "one")).await;
    let detail = answer.problem(400, "invalid_request")["detail"].to_string();
    let formats = [
        "claude-code", "copilot", "opencode", "gemini-cli", "cursor", "codex", "agent-skill",
        "json",
    ];
    for format in formats {
        assert!(detail.contains(format), "{format} in {detail}");
    }
    let answer = put(&app, "a", "application/xml", "<a/>").await;
    answer.problem(415, "unsupported_media_type");
}

#[sqlx::test]
async fn what_holds_no_agent_or_several_is_refused_with_advice(pool: PgPool) {
    let app = start(pool).await;
    let several = r#"{"a": {"description": "A", "prompt": "A"}, "b": {"prompt": "B"}}"#;
    let answer = put(&app, "a", "application/json", several).await;
    let finding = answer.problem(422, "invalid_definition")["diagnostics"][0].clone();
    assert_eq!(finding["code"], "agents_several");
    assert!(finding["help"].as_str().is_some_and(|help| help.contains("a file of its own")));
    for none in [r#"{"name": "package", "version": "1"}"#, "[1]", "null", "{", ""] {
        let answer = put(&app, "a", "application/json", none).await;
        let findings = answer.problem(422, "invalid_definition")["diagnostics"].clone();
        assert_eq!(findings[0]["code"], "not_an_agent", "{none}: {findings}");
        assert_eq!(findings[0]["level"], "error");
    }
    app.admin.get("/admin/v1/agents/a").await.problem(404, "agent_not_found");
}

#[sqlx::test]
async fn an_agent_of_any_format_is_picked_prompted_and_run(pool: PgPool) {
    let app = start(pool).await;
    let agents = [
        ("copilot", "Bakes sourdough bread and rolls"),
        ("opencode", "Repairs bicycles and their brakes"),
        ("gemini-cli", "Waters tomatoes in the greenhouse"),
        ("cursor", "Translates Latin poetry into prose"),
        ("codex", "Tunes pianos and other keyboards"),
        ("agent-skill", "Predicts the weather and the tides"),
        ("json", "Forges swords and kitchen knives"),
    ];
    for (format, description) in agents {
        let name = format!("my-{format}");
        let source = agent_in_format(format, &name, description);
        let answer = put(&app, &format!("{name}?format={format}"), "", &source).await;
        assert_put(&app, &answer, format, &format!("You are the {format} agent."), &source).await;
    }
    for (format, description) in agents {
        let name = format!("my-{format}");
        let picked = app.admin.dispatch(description).await.body;
        assert_eq!(picked["agent"]["name"], name, "{picked}");
        let named = json!({"agent": name, "input": "hello"});
        let named_pick = app.admin.post("/v1/dispatch", named.clone()).await.body;
        assert_eq!(named_pick["agent"]["name"], name);
        assert_eq!(named_pick["strategy"], "named");
        let prompt = app.admin.post("/v1/prompts", named.clone()).await.body;
        assert_eq!(prompt["request"]["system"], format!("You are the {format} agent."));
        let run = app.admin.post("/v1/runs", named).await.body;
        assert_eq!((&run["status"], &run["agent"]["name"]), (&json!("completed"), &json!(name)));
    }
}
