//! The command line.

use std::process::Output;

use serde_json::Value;

use crate::support::{AgentFolder, agent_file, rolecall};

fn run(arguments: &[&str]) -> Output {
    rolecall().args(arguments).output().expect("the program runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("prints JSON")
}

#[test]
fn every_verb_has_help() {
    insta::assert_snapshot!(stdout(&run(&["--help"])));
    for verb in ["serve", "check", "sync", "pick", "eval", "migrate", "key", "openapi"] {
        let output = run(&[verb, "--help"]);
        assert!(output.status.success() && stdout(&output).contains("--json"), "{verb}");
    }
}

#[test]
fn pick_says_who_and_why() {
    let text = "I need to create an API route that handles user login with JWT tokens";
    let output = run(&["pick", text]);
    assert!(output.status.success());
    assert!(stdout(&output).starts_with("nextjs-backend-engineer ("), "{}", stdout(&output));
    let decision = json(&run(&["pick", "--json", "a recipe for lasagne"]));
    assert_eq!(decision["outcome"], "none");
}

#[test]
fn check_gives_each_file_a_verdict() {
    let folder = AgentFolder::new();
    folder
        .write("good.md", agent_file("good", "fine"))
        .write("loose.md", agent_file("loose", "Use when: asked"))
        .write("bad.md", "---\nno field\n")
        .write("notes.md", "# Notes\n");
    let path = folder.path().display().to_string();
    let output = run(&["check", &path]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("bad.md: quarantined") && text.contains("frontmatter_unclosed"));
    assert!(text.contains("loose.md: loaded with warnings") && text.contains("yaml_invalid] 3:"));
    let points_at_the_colon = |line: &str| line.trim_end().ends_with('^') && line.len() > 10;
    assert!(text.lines().any(points_at_the_colon), "{text}");
    let files = json(&run(&["check", "--json", &path]));
    assert_eq!(files["files"].as_array().map(Vec::len), Some(4));
    folder.remove("bad.md");
    assert!(run(&["check", &path]).status.success());
    let output = run(&["check", &format!("{path}/good.md"), "/no/such/place", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("/good.md: loaded\n") && stdout(&output).contains("loose.md"));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("there is nothing at /no/such/place"), "{error}");
    let files = json(&run(&["check", "--json", "/no/such/place", &path]));
    assert_eq!(files["files"].as_array().map(Vec::len), Some(3));
}

#[test]
fn variables_that_are_set_to_nothing_count_as_unset() {
    let mut command = rolecall();
    for name in ["CONFIG", "DATA_DIR", "AGENTS_DIR", "LISTEN", "DEFAULT_MODEL", "LOG", "LOG_FORMAT"]
    {
        command.env(format!("ROLECALL_{name}"), "");
    }
    let output = command.args(["pick", "a recipe for lasagne"]).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_shipped_agents_pass_the_check() {
    let output = run(&["check", "--json", "agents"]);
    assert!(output.status.success());
    let body = json(&output);
    let files = body["files"].as_array().expect("a list");
    assert!(files.len() >= 12);
    for file in files {
        assert!(
            file["verdict"].as_str().is_some_and(|verdict| verdict.starts_with("loaded")),
            "{file}"
        );
    }
}

#[test]
fn openapi_is_printed_without_a_server() {
    assert_eq!(json(&run(&["openapi"]))["info"]["title"], "Rolecall");
}

#[test]
fn a_bad_configuration_is_told_with_its_line() {
    let folder = AgentFolder::new();
    folder.write("rolecall.yaml", "allow_offline: true\nnonsense: 1\n");
    let file = folder.path().join("rolecall.yaml").display().to_string();
    let output = run(&["pick", "x", "--config", &file]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(error.contains("nonsense") && error.contains("line 2"), "{error}");
}

#[test]
fn eval_prints_figures_and_confusions() {
    let output = run(&["eval"]);
    assert!(output.status.success());
    let text = stdout(&output);
    assert!(text.contains("held out, 0 strangers") && text.contains("top-1"), "{text}");
    assert!(output.stderr.is_empty(), "progress is for terminals");
    let report = json(&run(&["eval", "--json"]));
    assert_eq!(report["source"], "held_out");
    assert!(report["cases"].as_u64() > Some(20), "{report}");
}

#[test]
fn eval_fails_below_what_is_wanted() {
    let folder = AgentFolder::new();
    folder
        .write("agents/painter.md", agent_file("painter", "Use when walls have to be painted"))
        .write(
            "cases.jsonl",
            "{\"input\": \"have walls painted\", \"agent\": \"painter\", \"note\": 1}\n\n\
             {\"input\": \"\u{1F600}\", \"agent\": null}\n",
        );
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (agents, cases) = (path("agents"), path("cases.jsonl"));
    let eval = |more: &[&str]| {
        run(&[&["eval", "--agents", &agents, "--cases", &cases, "--json"], more].concat())
    };
    let enough = eval(&["--at-least", "1", "--reject-at-least", "1"]);
    assert!(enough.status.success(), "{}", String::from_utf8_lossy(&enough.stderr));
    let report = json(&enough);
    assert_eq!((&report["cases"], &report["strangers"]), (&1.into(), &1.into()));

    folder.write("cases.jsonl", "{\"input\": \"have walls painted\", \"agent\": \"baker\"}\n");
    for wanted in [["--at-least", "0.9"], ["--reject-at-least", "0"]] {
        let output = eval(&wanted);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(json(&output)["unknown_agents"][0], "baker");
    }
    assert_eq!(eval(&["--at-least", "90"]).status.code(), Some(2));
}

#[test]
fn eval_names_the_line_of_a_bad_case() {
    let folder = AgentFolder::new();
    let good = "{\"input\": \"x\", \"agent\": null}";
    for (bad, cause) in [
        ("{\"input\": \"x\"}", "missing field `agent`"),
        ("{\"agent\": null}", "missing field `input`"),
        ("{\"input\": \" \", \"agent\": null}", "must not be empty"),
        ("nonsense", "expected"),
    ] {
        folder.write("cases.jsonl", format!("{good}\n\n{bad}\n"));
        let cases = folder.path().join("cases.jsonl").display().to_string();
        let output = run(&["eval", "--cases", &cases]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(error.contains("cases.jsonl, line 3") && error.contains(cause), "{error}");
    }
    let output = run(&["eval", "--agents", "/no/such/place"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn eval_tells_what_another_folder_changes() {
    let (one, other) = (AgentFolder::new(), AgentFolder::new());
    let baker = agent_file("baker", "Use when bread has to be baked");
    one.write("baker.md", &baker);
    other
        .write("baker.md", &baker)
        .write("painter.md", agent_file("painter", "Use when walls have to be painted"));
    one.write("cases.jsonl", "{\"input\": \"have walls painted\", \"agent\": \"painter\"}\n");
    let path = |folder: &AgentFolder| folder.path().display().to_string();
    let cases = one.path().join("cases.jsonl").display().to_string();
    let arguments =
        ["eval", "--agents", &path(&one), "--against", &path(&other), "--cases", &cases];
    let text = stdout(&run(&arguments));
    assert!(text.contains("1 better, 0 worse, 0 other"), "{text}");
    let report = json(&run(&[&arguments[..], &["--json"]].concat()));
    assert_eq!((&report["top_1"], &report["changed"]["better"]), (&1.0.into(), &1.into()));
}
