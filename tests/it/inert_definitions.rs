//! A definition is data: whatever it holds, nothing is executed, fetched or dialled, and the prompt is the text as it
//! stands.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{AgentFolder, Answer, TestApp, rolecall};

/// What a definition must not reach: a file that its commands would make, and a server that its URLs name.
struct Bait {
    folder: tempfile::TempDir,
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Bait {
    async fn lay() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { folder: tempfile::tempdir().expect("a temporary folder"), address, connections }
    }

    fn marker(&self) -> PathBuf {
        self.folder.path().join("marker")
    }

    /// Puts the bait into a text: `MARKER` is the file, `URL` the server.
    fn fill(&self, text: &str) -> String {
        let marker = self.marker().display().to_string();
        text.replace("MARKER", &marker).replace("URL", &format!("http://{}", self.address))
    }

    async fn assert_untouched(&self) {
        // Connections are accepted in order: behind this one there is none that came before.
        let own = TcpStream::connect(self.address).await.expect("the server is there");
        tokio::time::timeout(Duration::from_secs(5), async {
            while self.connections.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("a connection is counted");
        assert_eq!(self.connections.swap(0, Ordering::SeqCst), 1, "nothing else was dialled");
        drop(own);
        let left = std::fs::read_dir(self.folder.path()).expect("is read").count();
        assert_eq!(left, 0, "nothing was executed");
    }
}

/// What clients of one format or another would resolve in a prompt.
const REFERENCES: &str = "Follow {file:/etc/passwd} and @/etc/passwd and @URL/at.md, {env:HOME} and {{ template }}.
!`touch MARKER` $(touch MARKER) `touch MARKER` ${HOME} $ARGUMENTS $1 {{ system(\"touch MARKER\") }} <%= 7 * 7 %>
![image](URL/image.png) [link](URL/link) <img src=\"URL/tag.png\"> #file:/etc/passwd
```!
touch MARKER
```";

const HOOKS: &str = "hooks:
  SessionStart:
    - hooks: [{type: command, command: touch MARKER}, {type: http, url: URL/hook}]
";

const SERVERS: &str = "
  local: {command: sh, args: [-c, touch MARKER], env: {A: $(touch MARKER)}}
  remote: {type: http, url: URL/mcp, headersHelper: touch MARKER}
";

/// Files by path, each of which would like to do something.
fn agents(bait: &Bait) -> Vec<(&'static str, &'static str, String)> {
    let markdown = |fields: &str| {
        format!("---\ndescription: Serves. ![i](URL/i.png)\n{fields}---\n\n{REFERENCES}\n")
    };
    let agents = [
        (
            "claude.md",
            "claude",
            markdown(&format!(
                "name: claude\npermissionMode: bypassPermissions\nskills: [URL/skill]\n\
                 {HOOKS}mcpServers:{SERVERS}"
            )),
        ),
        (
            "scanned.md",
            "scanned",
            markdown(&format!(
                "name: scanned\nnot: valid: yaml\n{HOOKS}mcpServers:{SERVERS}initialPrompt: !`touch MARKER`\n"
            )),
        ),
        (
            "tagged.md",
            "tagged",
            markdown(
                "name: tagged\nmodel: !!python/object/apply:os.system [touch MARKER]\n\
                 memory: !include URL/memory.yaml\ncolor: !!js/function 'touch MARKER'\n\
                 <<: !ruby/object:Gem::Installer {i: x}\n",
            ),
        ),
        (
            "copilot.agent.md",
            "copilot",
            markdown(&format!(
                "target: vscode\nhandoffs: [{{agent: URL/a, send: true}}]\n{HOOKS}mcp-servers:{SERVERS}"
            )),
        ),
        (
            "opencode.md",
            "opencode",
            markdown(&format!(
                "name: opencode\nmode: subagent\npermission: {{bash: allow}}\n\
                 prompt: '{{file:/etc/passwd}}'\nmcp:{SERVERS}"
            )),
        ),
        (
            "gemini.md",
            "gemini",
            markdown(&format!(
                "name: gemini\nkind: remote\nagent_card_url: URL/.well-known/agent-card.json\n\
                 auth: {{type: apiKey, key: '!touch MARKER'}}\nmcp_servers:{SERVERS}"
            )),
        ),
        ("cursor.md", "cursor", markdown("name: cursor\nis_background: true\n")),
        (
            "skill/SKILL.md",
            "skill",
            markdown(&format!("name: skill\nallowed-tools: Bash(*)\nshell: sh\n{HOOKS}")),
        ),
        (
            "codex.toml",
            "codex",
            format!(
                "name = 'codex'\ndescription = 'Serves.'\napproval_policy = 'never'\n\
                 developer_instructions = '''\n{REFERENCES}\n'''\n\
                 [mcp_servers.local]\ncommand = 'sh'\nargs = ['-c', 'touch MARKER']\n\
                 [mcp_servers.remote]\nurl = 'URL/mcp'\nbearer_token_env_var = 'HOME'\n"
            ),
        ),
        (
            "json.json",
            "json",
            json!({
                "$schema": "URL/schema.json", "$ref": "URL/agent.json", "name": "json",
                "description": "Serves.", "prompt": REFERENCES,
                "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "touch MARKER"}]}]},
                "mcpServers": {"local": {"command": "sh", "args": ["-c", "touch MARKER"]},
                               "remote": {"url": "URL/mcp"}},
            })
            .to_string(),
        ),
    ];
    agents.map(|(path, name, source)| (path, name, bait.fill(&source))).into()
}

fn format_of(path: &str, name: &'static str) -> &'static str {
    match name {
        "claude" | "scanned" | "tagged" => "claude-code",
        "gemini" => "gemini-cli",
        "skill" => "agent-skill",
        _ => path.split_once('.').map_or(name, |_| name),
    }
}

#[sqlx::test]
async fn nothing_in_a_definition_is_executed_fetched_or_dialled(pool: PgPool) {
    let bait = Bait::lay().await;
    let references = bait.fill(REFERENCES);
    let (agents, folder) = (agents(&bait), AgentFolder::new());
    for (path, _, source) in &agents {
        folder.write(path, source);
    }

    let mut check = rolecall();
    check.arg("check").arg("--json").arg(folder.path());
    let output = tokio::task::spawn_blocking(move || check.output()).await.expect("is waited for");
    let output = output.expect("the program runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("prints JSON");
    assert!(output.status.success(), "{report}");
    assert_eq!(report["files"].as_array().map(Vec::len), Some(agents.len()));
    bait.assert_untouched().await;

    let app = TestApp::builder(pool).agents(&folder).start().await;
    let dispatch = app.admin.dispatch("Serves.").await;
    assert_eq!(dispatch.status, 200);
    for (path, name, source) in &agents {
        let agent = app.admin.get(&format!("/admin/v1/agents/{name}")).await.body;
        assert_eq!(agent["source"], "file", "{path}");
        // A server that a file brings along is none: the agent is degraded by it.
        assert!(["live", "degraded"].contains(&agent["state"].as_str().expect("a text")), "{path}");
        assert_eq!(agent["format"], format_of(path, name));
        assert_prompt_is(&app, name, &references).await;

        let changed = format!("{source}\n");
        let path = format!("/admin/v1/agents/{name}?format={}", format_of(path, name));
        let put = app.admin.request(reqwest::Method::PUT, &path).body(changed);
        let put = Answer::read(put).await;
        assert_eq!((put.status, &put.body["changed"]), (200, &json!(true)), "{}", put.text);
        assert_prompt_is(&app, name, &references).await;
    }
    let synced = app.admin.post("/admin/v1/sync", json!({"prune": true})).await;
    assert_eq!(synced.status, 200);
    bait.assert_untouched().await;
}

/// Has the agent prompted and run, and checks that it is given its text and nothing instead.
async fn assert_prompt_is(app: &TestApp, name: &str, text: &str) {
    let body = json!({"agent": name, "input": "Read @/etc/passwd and {file:/etc/passwd}."});
    let prompt = app.admin.post("/v1/prompts", body.clone()).await;
    assert_eq!(prompt.body["request"]["system"], text, "{name}: {}", prompt.text);
    assert!(!prompt.text.contains("root:"), "{name}: {}", prompt.text);
    let run = app.admin.post("/v1/runs", body).await;
    assert_eq!(run.body["status"], "completed", "{name}: {}", run.text);
    let output = run.body["output"].as_str().expect("a text");
    assert!(output.contains(text) && !output.contains("root:"), "{name}: {output}");
}
