//! An agents folder that means harm: whatever lies there gets a verdict, in little time and memory, and the good
//! agents beside it are served.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};

use crate::support::{AgentFolder, Service, TestApp, agent_file, rolecall};

/// What a service may use at most: twice what it does, and far less than some of these files ask for.
const MEMORY_BYTES: u64 = 256 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);
const DEPTH: usize = 100_000;

struct HostileFolder {
    files: AgentFolder,
    _socket: std::os::unix::net::UnixListener,
}

impl HostileFolder {
    fn new() -> Self {
        let files = AgentFolder::new();
        let path = |name: &str| files.path().join(name);
        files
            .write("good.md", agent_file("good", "Is good."))
            .write("z.md/also-good.md", agent_file("also-good", "Lies in a folder called z.md."))
            .write("bomb.md", alias_bomb())
            .write(
                "deep.md",
                frontmatter(&format!("tools: {}{}", "[".repeat(DEPTH), "]".repeat(DEPTH))),
            )
            .write("deep-unclosed.md", frontmatter(&format!("tools: {}", "[".repeat(DEPTH))))
            .write("deep-maps.md", frontmatter(&format!("hooks: {}", "{a: ".repeat(DEPTH))))
            .write("deep-list.md", frontmatter(&format!("tools:\n  {}x", "- ".repeat(DEPTH))))
            .write("deep-keys.md", frontmatter(&format!("? {}x", "? ".repeat(DEPTH))))
            .write("deep.json", format!("{{\"prompt\": {}", "[".repeat(DEPTH)))
            .write("deep-members.json", "{\"prompt\": ".repeat(DEPTH / 2))
            .write("deep.toml", format!("developer_instructions = {}", "[".repeat(DEPTH)))
            .write("deep-keys.toml", format!("developer_instructions{} = 1", ".a".repeat(DEPTH)))
            .write("empty.md", "")
            .write("empty.json", "")
            .write("fences.md", "---\n".repeat(DEPTH))
            .write("line.md", frontmatter(&format!("labels: {}", "a: ".repeat(DEPTH))))
            .write("quotes.md", frontmatter(&"model: \"".repeat(DEPTH / 2)))
            .write("new\nline.md", agent_file("new-line", "Has a line end in its name."))
            .write("#hash#.md", agent_file("hash", "Has number signs in its name."))
            .write("nul-in-name.md", frontmatter("name: \"nul\\0name\""))
            .write("nul-in-model.md", frontmatter("name: a\nmodel: \"a\\0b\""))
            .write("nul-in-key.md", frontmatter("name: nul-in-key\n\"tool\\0s\": x"))
            .write("nul.toml", "name = 'n'\ndisplay_name = \"a\\u0000b\"\ndescription = 'x'\n")
            .write(
                "nul.json",
                r#"{"na\u0000me": {"prompt": "A."}, "nul-beside": {"prompt": "B."}}"#,
            )
            .write("long-name.md", frontmatter(&format!("name: {}", noise(60_000))))
            .write(
                "long-key.json",
                format!(r#"{{"{}": {{"prompt": "A."}}, "b": {{"prompt": "B."}}}}"#, noise(60_000)),
            )
            .write(&LONG_PATH, agent_file("far-below", "Lies far below."))
            // Two agents of one name in one file, and another file at the place of the third.
            .write("twins.json", TWINS)
            .write("twins.json#b.md", agent_file("namesake", "Is called like a twin."));
        for (name, agent) in ODD_NAMES {
            // Some file systems know no such names.
            let path = files.path().join(OsStr::from_bytes(name));
            let _ = fs::write(path, agent_file(agent, &format!("Answers to {agent}.")));
        }
        let huge = fs::File::create(path("huge.md")).expect("is made");
        huge.set_len(50 * 1024 * 1024).expect("is made long");
        symlink(files.path(), path("loop")).expect("is linked");
        symlink("loop.md", path("loop.md")).expect("is linked");
        symlink("nowhere.md", path("dangling.md")).expect("is linked");
        symlink("/dev/zero", path("zero.md")).expect("is linked");
        mkfifo(&path("pipe.md"), Mode::S_IRWXU).expect("is made");
        mkfifo(&path("pipe"), Mode::S_IRWXU).expect("is made");
        let socket = std::os::unix::net::UnixListener::bind(path("socket.md")).expect("is bound");
        files.write("locked.md", agent_file("locked", "May not be read."));
        fs::set_permissions(path("locked.md"), fs::Permissions::from_mode(0o000)).expect("is set");
        Self { files, _socket: socket }
    }

    /// What has to be said of each file.
    fn expected(&self) -> BTreeMap<&'static str, Expected> {
        let mut expected = BTreeMap::from([
            ("good.md", LOADED),
            ("z.md/also-good.md", LOADED),
            ("new\nline.md", LOADED),
            ("#hash#.md", LOADED),
            ("empty.md", SKIPPED),
            ("empty.json", SKIPPED),
            ("pipe", SKIPPED),
            ("nul-in-key.md", Expected("loaded_with_warnings", "")),
            ("nul-in-name.md", Expected("quarantined", "encoding_invalid")),
            ("nul-in-model.md", Expected("quarantined", "encoding_invalid")),
            ("nul.toml", Expected("quarantined", "encoding_invalid")),
            ("nul.json", Expected("quarantined", "encoding_invalid")),
            ("long-name.md", Expected("quarantined", "name_too_long")),
            ("long-key.json", Expected("quarantined", "name_too_long")),
            (LONG_PATH.as_str(), Expected("quarantined", "path_too_long")),
        ]);
        if fs::exists(self.files.path().join(OsStr::from_bytes(b"odd\xff.md"))).is_ok_and(|it| it) {
            expected.extend([("odd\\xFE.md", LOADED), ("odd\\xFF.md", LOADED)]);
        }
        let unreadable = ["loop", "loop.md", "dangling.md", "zero.md", "pipe.md", "socket.md"];
        expected.extend(unreadable.map(|path| (path, Expected("quarantined", "unreadable"))));
        expected.insert("huge.md", Expected("quarantined", "too_large"));
        let may_be_read = geteuid().is_root();
        expected.insert(
            "locked.md",
            if may_be_read { LOADED } else { Expected("quarantined", "unreadable") },
        );
        expected
    }
}

/// A verdict, and the class of the first finding.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Expected(&'static str, &'static str);

const LOADED: Expected = Expected("loaded", "");
const SKIPPED: Expected = Expected("skipped", "");

/// Names of files that are no text, and of their agents.
const ODD_NAMES: [(&[u8], &str); 2] = [(b"odd\xff.md", "parity"), (b"odd\xfe.md", "checksum")];

const TWINS: &str =
    r#"{"a": {"prompt": "One."}, "a": {"prompt": "Two."}, "b.md": {"prompt": "B."}}"#;

/// A path that no index of the database can hold.
static LONG_PATH: LazyLock<String> = LazyLock::new(|| {
    let folders: Vec<String> = (200..218).map(noise).collect();
    format!("far/{}/below.md", folders.join("/"))
});

/// Letters that cannot be compressed much.
fn noise(length: usize) -> String {
    let mut state = length as u64;
    let letter = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).expect("is small"))
    };
    (0..length).map(letter).collect()
}

fn frontmatter(fields: &str) -> String {
    format!("---\ndescription: Means harm.\n{fields}\n---\n\nBody.\n")
}

/// Ten lists of ten lists of ten lists, and so on: unfolded it fills any memory.
fn alias_bomb() -> String {
    let level = |level: usize| {
        let inner = if level == 0 { "lol".to_owned() } else { format!("*l{}", level - 1) };
        format!("l{level}: &l{level} [{}]\n", vec![inner; 10].join(", "))
    };
    let fields = (0..12).map(level).collect::<Vec<_>>().concat();
    frontmatter(&format!("{fields}tools: *l11"))
}

/// Runs the program, which must end by itself.
fn run(arguments: &[&str]) -> Output {
    let child = rolecall()
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(PATIENCE) else {
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        panic!("{arguments:?} does not end");
    };
    output.expect("the program runs")
}

/// Checks that every file has a verdict, and those that are known the right one; and that findings say enough.
fn assert_verdicts(folder: &HostileFolder, files: &Value, prefix: &str) {
    let files = files.as_array().expect("a list");
    let mut verdicts: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for file in files {
        let path = file["path"].as_str().expect("a path");
        let path = path.strip_prefix(prefix).expect("as it was named").trim_start_matches('/');
        verdicts.entry(path.to_owned()).or_default().push(file);
        for finding in file["diagnostics"].as_array().expect("a list") {
            assert!(finding["line"].as_u64() >= Some(1) && finding["column"].as_u64() >= Some(1));
            for text in ["level", "code", "message", "help"] {
                assert!(finding[text].as_str().is_some_and(|it| !it.is_empty()), "{finding}");
            }
        }
        let verdict = file["verdict"].as_str().expect("a verdict");
        let is_explained = file["diagnostics"].as_array().is_some_and(|it| !it.is_empty());
        assert!(is_explained || verdict == "loaded", "{file}");
    }
    for (path, Expected(verdict, class)) in folder.expected() {
        let file = verdicts.get(path).unwrap_or_else(|| panic!("{path:?} has no verdict"))[0];
        assert_eq!(file["verdict"], verdict, "{file}");
        let first = file["diagnostics"][0]["code"].as_str().unwrap_or_default();
        assert!(class.is_empty() || first == class, "{file}");
    }
    for entry in fs::read_dir(folder.files.path()).expect("is read") {
        let name = entry.expect("is read").file_name();
        let Some(path) = name.to_str().map(str::to_owned) else { continue };
        assert!(
            ["far", "z.md"].contains(&&*path) || verdicts.contains_key(&path),
            "{path:?} has no verdict"
        );
    }
}

#[test]
fn a_check_gives_every_hostile_file_a_verdict() {
    let folder = HostileFolder::new();
    let path = folder.files.path().display().to_string();
    let output = run(&["check", "--json", &path]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).expect("prints JSON");
    assert_verdicts(&folder, &report["files"], &path);
    let output = run(&["check", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("huge.md: quarantined"));
    let code = |name: &str| run(&["check", &format!("{path}/{name}")]).status.code();
    for bad in ["huge.md", "zero.md", "pipe", "pipe.md", "socket.md", "dangling.md", "deep.toml"] {
        assert_eq!(code(bad), Some(1), "{bad}");
    }
    for good in ["good.md", "z.md", "bomb.md", "empty.md", "#hash#.md"] {
        assert_eq!(code(good), Some(0), "{good}");
    }
}

#[sqlx::test]
async fn a_service_over_hostile_files_serves_the_good_ones_in_little_memory(pool: PgPool) {
    let folder = HostileFolder::new();
    let url = pool.connect_options().to_url_lossy().to_string();
    let data = tempfile::tempdir().expect("a temporary folder");
    let started = Instant::now();
    let (agents_dir, environment) = (folder.files.path(), [("DATABASE_URL", url.as_str())]);
    let starting = Service::start(data.path(), &agents_dir, &environment);
    let mut service = tokio::time::timeout(PATIENCE, starting).await.expect("it starts in time");
    println!("started after {:?}", started.elapsed());
    let admin = &service.caller;
    for _ in 0..2 {
        let syncing = admin.post("/admin/v1/sync", json!({}));
        let synced = tokio::time::timeout(PATIENCE, syncing).await.expect("it ends in time");
        assert_eq!(synced.status, 200, "{}", synced.text);
        assert_verdicts(&folder, &synced.body["files"], "");
    }
    for name in ["good", "also-good", "new-line", "hash", "nul-in-key", "nul-beside"] {
        let agent = admin.get(&format!("/admin/v1/agents/{name}")).await.body;
        assert_eq!(agent["state"], "live", "{name}");
    }
    let quarantine = admin.get("/admin/v1/quarantine?limit=1000").await.body;
    assert!(quarantine["items"].as_array().is_some_and(|items| items.len() >= 7), "{quarantine}");
    if let Some(peak) = service.peak_memory_bytes() {
        println!("peak memory: {} KiB", peak / 1024);
        assert!(peak < MEMORY_BYTES, "{peak}");
    }
    assert!(service.stop());
}

#[sqlx::test]
async fn hostile_files_come_over_the_api_no_further(pool: PgPool) {
    let app = TestApp::builder(pool).agents(&AgentFolder::new()).start().await;
    let deep = format!("tools: {}", "[".repeat(DEPTH));
    let bodies = [
        ("text/markdown", alias_bomb(), 201),
        ("text/markdown", frontmatter(&deep), 200),
        ("application/json", format!("{{\"prompt\": {}", "[".repeat(DEPTH)), 422),
        ("application/json", "{\"prompt\": ".repeat(DEPTH / 2), 422),
        ("application/toml", format!("developer_instructions = {}", "[".repeat(DEPTH)), 422),
        ("text/markdown", "x".repeat(2_000_000), 413),
    ];
    for (content_type, body, status) in bodies {
        let request = app.admin.request(reqwest::Method::PUT, "/admin/v1/agents/hostile");
        let request = request.header("content-type", content_type).body(body);
        let putting = crate::support::Answer::read(request);
        let answer = tokio::time::timeout(PATIENCE, putting).await.expect("it ends in time");
        assert_eq!(answer.status, status, "{content_type}: {:.200}", answer.text);
    }
    assert_eq!(app.admin.get("/readyz").await.status, 200);
}
