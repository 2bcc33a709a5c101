//! What is secret stays out of everything that the service says, whatever providers do.

use serde_json::json;
use sqlx::{ConnectOptions, PgPool};

use crate::support::{
    ADMIN_KEY, Answer, Caller, Deployment, Events, Received, Refusal, Reply, Service, Wire, openai,
    shipped_agents,
};

/// Planted where each kind of secret is.
const PROVIDER_KEY: &str = "sk-planted-provider-key";
const HEADER: &str = "planted-header-value";
const PROMPT: &str = "planted-words-of-a-prompt";
const ANSWER: &str = "planted-words-of-an-answer";
const METADATA: &str = "planted-metadata";

const WIRE: Wire = Wire(rolecall::provider::DialectName::Openai);

const CONFIGURATION: &str = "
providers:
  openai:
    dialect: openai
    base_url: $VENDOR/v1
    api_key: sk-planted-provider-key
    headers: {x-tenant: planted-header-value}
limits: {response_header_timeout_ms: 300, first_token_timeout_ms: 300, idle_timeout_ms: 300, retry_budget_ms: 0}
";

/// What the vendor does, by the model's name.
const FAULTS: [&str; 12] = [
    "limited", "failed", "overloaded", "too-long", "filtered", "bad", "key", "reset", "cut",
    "malformed", "silent", "fine",
];

/// A vendor that says everything it was told in each of its errors.
fn answer(request: &Received) -> Reply {
    let key = request.headers["authorization"].to_str().expect("is ASCII");
    let tenant = request.headers["x-tenant"].to_str().expect("is ASCII");
    let words = format!("your key {key}, your tenant {tenant}");
    let refusal = |refusal| {
        let (status, body) = WIRE.refusal(refusal, &words);
        Reply::json(status, &body)
    };
    let model = request.model();
    let said = openai::chunk_of(model, &json!({"content": ANSWER}), None);
    match model {
        "limited" => refusal(Refusal::RateLimited),
        "failed" => refusal(Refusal::Failed),
        "overloaded" => refusal(Refusal::Overloaded),
        "too-long" => refusal(Refusal::ContextTooLong),
        "filtered" => refusal(Refusal::ContentFiltered),
        "bad" => refusal(Refusal::BadRequest),
        "key" => refusal(Refusal::BadKey),
        "reset" => Reply::reset(),
        "cut" => Reply::events(&[said]).then_cut(),
        "malformed" => Reply::events(&[format!("data: {{\"{ANSWER}\": {PROMPT}\n\n")]),
        "silent" => Reply::events(&[said]).then_silence(),
        _ => Reply::events(&WIRE.frames(model, &[ANSWER])),
    }
}

#[sqlx::test]
async fn no_log_and_no_error_holds_a_key_a_prompt_or_an_answer(pool: PgPool) {
    let mut deployment = Deployment::start(&pool, CONFIGURATION).await;
    deployment.vendor.answers(answer);
    let admin = deployment.service.caller.clone();
    let key = json!({"name": "test", "scopes": ["run"]});
    let key =
        admin.post("/admin/v1/keys", key).await.body["key"].as_str().expect("is shown").to_owned();
    let caller = admin.with_key(&key);
    let mut errors = Vec::new();
    for fault in FAULTS {
        for is_streaming in [true, false] {
            let body = json!({
                "input": PROMPT, "agent": "code-reviewer", "model": format!("openai/{fault}"),
                "stream": is_streaming, "metadata": {"note": METADATA},
            });
            let request = caller.request(reqwest::Method::POST, "/v1/runs").json(&body);
            if is_streaming {
                let events = Events::read(request).await;
                if events.status == 200 {
                    let (_, _, run) = events.collect().await.pop().expect("has an end");
                    errors.push(run["error"].to_string() + &run["attempts"].to_string());
                } else {
                    errors.push(events.problem().await.to_string());
                }
            } else {
                let answer = Answer::read(request).await;
                errors.push(if answer.status == 200 {
                    answer.body["attempts"].to_string()
                } else {
                    answer.text
                });
            }
        }
    }
    errors.push(caller.with_key("rc_planted_key").get("/v1/agents").await.text);
    errors
        .push(caller.post("/v1/runs", json!({"input": PROMPT, "temperature": PROMPT})).await.text);
    errors.push(admin.get("/admin/v1/providers").await.text);
    assert!(deployment.service.stop());

    let log = deployment.service.whole_log();
    assert!(log.contains("the provider failed") && log.contains("run ended"), "{log}");
    let secret = key.rsplit('_').next().expect("has a secret part").to_owned();
    for planted in [PROVIDER_KEY, HEADER, PROMPT, ANSWER, METADATA, ADMIN_KEY, &secret] {
        assert!(!log.contains(planted), "the log holds {planted}:\n{log}");
        for error in &errors {
            assert!(!error.contains(planted), "an error holds {planted}: {error}");
        }
    }
    assert_eq!(errors.len(), FAULTS.len() * 2 + 3);
    let told = errors.iter().filter(|error| error.contains("your key Bearer [redacted]"));
    assert_eq!(told.count(), 6, "what the caller can act on is told, without our secrets");
}

const TOOL_SERVERS: &str = "
default_model: hidden/x
providers:
  hidden: {dialect: openai, base_url: 'http://127.0.0.1:9/${PLANTED_PATH}/v1'}
mcp_servers:
  far: {url: 'http://127.0.0.1:9/mcp?exaApiKey=${PLANTED_QUERY}'}
  near: {command: sh, args: ['-c', 'echo cannot reach $0 as $PIN >&2', 'postgres://u:${PLANTED_PASSWORD}@127.0.0.1/db'],
    env: {PIN: '${PLANTED_PIN}'}}
";

#[sqlx::test]
async fn what_a_variable_gives_to_a_url_or_a_tool_server_is_told_nowhere(pool: PgPool) {
    let files = tempfile::tempdir().expect("a temporary folder");
    let config = files.path().join("rolecall.yaml");
    std::fs::write(&config, TOOL_SERVERS).expect("is written");
    let url = pool.connect_options().to_url_lossy().to_string();
    let planted = [
        ("PLANTED_PATH", "path-of-a-provider"),
        ("PLANTED_QUERY", "query-of-a-tool-server"),
        ("PLANTED_PASSWORD", "password-of-a-database"),
        ("PLANTED_PIN", "7391"),
    ];
    let mut environment = planted.to_vec();
    environment.push(("DATABASE_URL", &url));
    environment.push(("ROLECALL_CONFIG", config.to_str().expect("a plain path")));
    let mut service = Service::start(files.path(), &shipped_agents(), &environment).await;
    let told = wait_until_down(&service.caller).await;
    let providers = service.caller.get("/admin/v1/providers").await;
    assert!(service.stop());
    let log = service.whole_log();
    for (name, secret) in planted {
        for text in [&told, &providers.text, &log] {
            assert!(!text.contains(secret), "{name} is told: {text}");
        }
    }
    assert!(told.contains("cannot reach postgres://u:…@127.0.0.1/db as …"), "{told}");
    assert!(log.matches("a tool server is down").count() >= 2, "{log}");
    assert_eq!(providers.body["items"][0]["base_url"], "http://127.0.0.1:9/…/v1");
}

async fn wait_until_down(admin: &Caller) -> String {
    for _ in 0..100 {
        let servers = admin.get("/admin/v1/mcp-servers").await;
        let items = servers.body["items"].as_array().expect("a list");
        if items.iter().all(|server| server["state"] == "down") {
            return servers.text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the tool servers are not down");
}
