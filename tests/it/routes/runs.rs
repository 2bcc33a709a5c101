use rolecall::provider::DialectName;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{
    AskedTool, FakeProvider, Reply, TestApp, Wire, anthropic, gemini, openai, responses,
    shipped_agents,
};

const LOGIN: &str = "I need to create an API route that handles user login with JWT tokens";

fn body_of_backend_engineer() -> String {
    let source = std::fs::read_to_string(shipped_agents().join("nextjs-backend-engineer.md"));
    let source = source.expect("is shipped");
    source.splitn(3, "---\n").nth(2).expect("has a body").trim().to_owned()
}

#[sqlx::test]
async fn anthropic_streams_the_first_delta_before_the_last_is_sent(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;

    let run = tokio::spawn({
        let caller = app.admin.clone();
        async move { caller.stream_run(json!({"input": LOGIN, "stream": true})).await }
    });
    provider.wait_for_requests(1).await;
    pace.send(&anthropic::start()).await;
    pace.send(&anthropic::text("Here")).await;
    let mut events = run.await.expect("does not panic");
    assert_eq!(events.status, 200);
    assert_eq!(events.headers["x-rolecall-model"], "anthropic/claude-sonnet-5-5-served");
    assert_eq!(events.wait_for("text.delta").await, json!({"text": "Here"}));
    pace.send(&anthropic::text(" it is")).await;
    assert_eq!(events.wait_for("text.delta").await, json!({"text": " it is"}));
    pace.send(&anthropic::end()).await;
    drop(pace);
    let usage = events.wait_for("usage").await;
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(12), &json!(7)));
    let run = events.wait_for("run.completed").await;
    assert!(events.next().await.is_none(), "the end is the last event");
    assert_eq!(run["output"], "Here it is");
    assert_eq!(run["model"]["requested"], "sonnet");
    assert_eq!(run["model"]["resolved"], "anthropic/claude-sonnet-5-5-served");

    let sent = &provider.received()[0];
    assert_eq!(sent.path, "/v1/messages");
    assert_eq!(sent.headers["x-api-key"], "upstream-secret");
    assert_eq!(sent.body["model"], "claude-sonnet-5-5");
    assert_eq!(sent.body["system"][0]["text"], body_of_backend_engineer());
    assert_eq!(sent.body["messages"], json!([{"role": "user", "content": LOGIN}]));
}

#[sqlx::test]
async fn openai_streams_the_first_delta_before_the_last_is_sent(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = TestApp::builder(pool)
        .provider(&provider, DialectName::Openai)
        .default_model("openai/gpt-test")
        .start()
        .await;

    let run = tokio::spawn({
        let caller = app.admin.clone();
        async move { caller.stream_run(json!({"input": LOGIN, "stream": true})).await }
    });
    provider.wait_for_requests(1).await;
    pace.send(&openai::text("Here")).await;
    let mut events = run.await.expect("does not panic");
    assert_eq!(events.wait_for("text.delta").await, json!({"text": "Here"}));
    pace.send(&openai::end()).await;
    drop(pace);
    let run = events.wait_for("run.completed").await;
    assert_eq!(run["usage"]["input_tokens"], 12);
    // The agent asks for `sonnet`, whose provider is not configured: the answer says so.
    assert_eq!(run["model"]["requested"], "sonnet");
    assert_eq!(run["model"]["rule"], "fallback");
    // Its tools are not configured either.
    let warnings =
        json!(["model_fallback", "tool_server_unavailable:context7", "required_tool_skipped"]);
    assert_eq!(run["warnings"], warnings);

    let sent = &provider.received()[0];
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(sent.headers["authorization"], "Bearer upstream-secret");
    assert_eq!(sent.body["model"], "gpt-test");
    assert_eq!(
        sent.body["messages"][0],
        json!({"role": "system", "content": body_of_backend_engineer()})
    );
}

#[sqlx::test]
async fn gemini_streams_the_first_delta_before_the_last_is_sent(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = TestApp::builder(pool).provider(&provider, DialectName::Gemini).start().await;

    let run = tokio::spawn({
        let caller = app.admin.clone();
        async move { caller.stream_run(json!({"input": LOGIN, "stream": true})).await }
    });
    provider.wait_for_requests(1).await;
    pace.send(&gemini::text("Here")).await;
    let mut events = run.await.expect("does not panic");
    assert_eq!(events.wait_for("text.delta").await, json!({"text": "Here"}));
    let call = json!({"functionCall": {"name": "search"}, "thoughtSignature": "EoYC"});
    pace.send(&gemini::chunk(&call, None)).await;
    let id = events.wait_for("tool.call").await["id"].clone();
    assert!(id.as_str().is_some_and(|id| id.starts_with("call_")), "{id}");
    pace.send(&gemini::end()).await;
    drop(pace);
    let run = events.wait_for("run.completed").await;
    assert_eq!(run["usage"]["input_tokens"], 12);
    assert_eq!(run["finish_reason"], "tool_calls");
    assert_eq!(
        (&run["tool_calls"][0]["id"], &run["tool_calls"][0]["signature"]),
        (&id, &json!("EoYC"))
    );
    assert_eq!(run["model"]["resolved"], "gemini/gemini-served");

    let sent = &provider.received()[0];
    assert_eq!(sent.path, "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse");
    assert_eq!(sent.headers["x-goog-api-key"], "upstream-secret");
    assert_eq!(
        sent.body["systemInstruction"],
        json!({"parts": [{"text": body_of_backend_engineer()}]})
    );
}

#[sqlx::test]
async fn responses_streams_the_first_delta_before_the_last_is_sent(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = TestApp::builder(pool)
        .provider(&provider, DialectName::OpenaiResponses)
        .default_model("responses/gpt-test")
        .start()
        .await;

    let run = tokio::spawn({
        let caller = app.admin.clone();
        async move { caller.stream_run(json!({"input": LOGIN, "stream": true})).await }
    });
    provider.wait_for_requests(1).await;
    pace.send(&responses::text("Here")).await;
    let mut events = run.await.expect("does not panic");
    assert_eq!(events.wait_for("text.delta").await, json!({"text": "Here"}));
    pace.send(&responses::end()).await;
    drop(pace);
    let run = events.wait_for("run.completed").await;
    assert_eq!(run["usage"]["input_tokens"], 12);

    let sent = &provider.received()[0];
    assert_eq!(sent.path, "/v1/responses");
    assert_eq!(sent.headers["authorization"], "Bearer upstream-secret");
    assert_eq!(sent.body["store"], false);
    assert_eq!(sent.body["instructions"], body_of_backend_engineer());
    assert_eq!(sent.body["input"], json!([{"role": "user", "content": LOGIN}]));
}

#[sqlx::test]
async fn an_answer_in_one_piece_is_json(pool: PgPool) {
    let provider = FakeProvider::start().await;
    provider.replies(Reply::json(200, &anthropic::message("Done.")));
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    let answer =
        app.admin.post("/v1/runs", json!({"input": LOGIN, "metadata": {"ticket": 7}})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let run = &answer.body;
    assert_eq!((&run["status"], &run["output"]), (&json!("completed"), &json!("Done.")));
    assert_eq!(run["finish_reason"], "stop");
    assert_eq!(run["metadata"], json!({"ticket": 7}));
    assert_eq!(run["usage"]["input_tokens"], 112, "cached tokens are part of the input");
    assert_eq!(run["usage"]["cached_input_tokens"], 100);
    assert_eq!(run["attempts"][0]["outcome"], "ok");
    assert_eq!(answer.header("x-rolecall-agent"), "nextjs-backend-engineer");
    assert_eq!(answer.header("x-rolecall-revision"), "1");
    assert_eq!(answer.header("x-rolecall-run"), run["id"]);
    assert_eq!(answer.header("x-rolecall-dispatch"), run["dispatch_id"]);
    assert_eq!(answer.header("x-rolecall-model"), "anthropic/claude-sonnet-5-5-served");
    assert_eq!(answer.header("x-rolecall-roster-revision"), "1");
    // A stream shows that the provider lives, whatever the caller wants of it.
    assert_eq!(provider.received()[0].body["stream"], true);
}

#[sqlx::test]
async fn events_are_numbered_and_begin_with_the_agent(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let events = app.admin.stream_run(json!({"input": LOGIN, "stream": true})).await;
    assert_eq!(events.headers["content-type"], "text/event-stream");
    let events = events.collect().await;
    let ids: Vec<u64> = events.iter().map(|(id, _, _)| *id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    assert_eq!(events[0].1, "run.started");
    assert_eq!(events[1].1, "agent.selected");
    assert_eq!(events[1].2["agent"]["name"], "nextjs-backend-engineer");
    let ends = events.iter().filter(|(_, name, _)| {
        ["run.completed", "run.failed", "run.cancelled", "run.truncated"].contains(&name.as_str())
    });
    assert_eq!(ends.count(), 1);
}

#[sqlx::test]
async fn without_a_model_the_answer_says_so(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let run = app.admin.post("/v1/runs", json!({"input": LOGIN})).await.body;
    let output = run["output"].as_str().expect("an output");
    assert!(output.contains("No model is configured"));
    assert!(output.contains("nextjs-backend-engineer"));
    assert!(output.contains(&body_of_backend_engineer()) && output.contains(LOGIN));
    assert_eq!(run["model"]["resolved"], "offline/offline");
    assert!(run["warnings"].as_array().expect("a list").contains(&json!("no_model_configured")));
}

#[sqlx::test]
async fn the_offline_answer_can_be_switched_off(pool: PgPool) {
    let app = TestApp::builder(pool)
        .configure(|config| config.provider.is_offline_allowed = false)
        .start()
        .await;
    let answer = app.admin.post("/v1/runs", json!({"input": LOGIN})).await;
    answer.problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty());
}

#[sqlx::test]
async fn a_run_that_no_agent_fits_is_refused_with_the_ranking(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let answer =
        app.admin.post("/v1/runs", json!({"input": "what is a good recipe for lasagne"})).await;
    assert!(answer.problem(422, "no_matching_agent")["ranked"].is_array());
}

#[sqlx::test]
async fn the_default_agent_stands_in_if_the_operator_wants_it(pool: PgPool) {
    let app = TestApp::builder(pool)
        .configure(|config| {
            config.dispatch.on_none = rolecall::dispatch::OnNone::DefaultAgent;
            config.dispatch.default_agent = Some("technical-writer".to_owned());
        })
        .start()
        .await;
    let run = app.admin.post("/v1/runs", json!({"input": "a recipe for lasagne"})).await.body;
    assert_eq!(run["agent"]["name"], "technical-writer");
}

#[sqlx::test]
async fn a_run_can_be_looked_up_by_its_owner(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (owner, other) = (app.caller(&["run"]).await, app.caller(&["run"]).await);
    let run = owner.post("/v1/runs", json!({"input": LOGIN})).await.body;
    let path = format!("/v1/runs/{}", run["id"].as_str().expect("has an id"));
    assert_eq!(owner.get(&path).await.body, run);
    other.get(&path).await.problem(404, "run_not_found");
    app.stop().await;
}

#[sqlx::test]
async fn records_are_in_the_database_after_a_stop(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    for _ in 0..5 {
        assert_eq!(app.admin.post("/v1/runs", json!({"input": LOGIN})).await.status, 200);
    }
    app.stop().await;
    let statuses: Vec<String> =
        sqlx::query_scalar("SELECT status FROM runs WHERE ended_at IS NOT NULL")
            .fetch_all(&pool)
            .await
            .expect("is read");
    assert_eq!(statuses, ["completed"; 5]);
}

#[sqlx::test]
async fn contents_are_not_kept_if_the_operator_does_not_want_it(pool: PgPool) {
    let app = TestApp::builder(pool.clone())
        .configure(|config| {
            config.conversation.stores_content = false;
            config.dispatch.stores_content = false;
        })
        .start()
        .await;
    let run = app.admin.post("/v1/runs", json!({"input": LOGIN})).await.body;
    assert!(run["output"].as_str().is_some_and(|output| !output.is_empty()));
    app.stop().await;
    let stored: (serde_json::Value, Option<String>) = sqlx::query_as(
        "SELECT record, input FROM runs JOIN dispatches ON dispatches.id = dispatch_id",
    )
    .fetch_one(&pool)
    .await
    .expect("is read");
    assert_eq!((&stored.0["output"], stored.1), (&json!(null), None));
}

#[sqlx::test]
async fn the_caller_can_name_a_model(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    for (model, sent) in [("haiku", "claude-haiku-5-5"), ("anthropic/claude-x", "claude-x")] {
        provider.replies(Reply::json(200, &anthropic::message("ok")));
        let answer = app.admin.post("/v1/runs", json!({"input": LOGIN, "model": model})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(provider.received().last().expect("was asked").body["model"], sent);
    }
    let unknown = json!({"input": LOGIN, "model": "no-such-model"});
    app.admin.post("/v1/runs", unknown).await.problem(404, "model_not_found");
}

#[sqlx::test]
async fn the_callers_tools_go_out_and_their_calls_come_back(pool: PgPool) {
    let provider = FakeProvider::start().await;
    provider.replies(Reply::json(
        200,
        &json!({
            "model": "m", "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1},
            "content": [
                {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Bonn"}},
                {"type": "tool_use", "id": "b", "name": "weather", "input": {"city": "Köln"}},
            ],
        }),
    ));
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let answer = app
        .admin
        .post(
            "/v1/runs",
            json!({
                "agent": "code-reviewer",
                "messages": [
                    {"role": "user", "content": "look"},
                    {"role": "assistant", "tool_calls": [{"id": "x", "name": "weather", "arguments": {}}]},
                    {"role": "tool", "tool_call_id": "x", "content": "sun"},
                ],
                "tools": [{"name": "weather", "description": "tells it", "parameters": schema}],
            }),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["finish_reason"], "tool_calls");
    assert_eq!(
        answer.body["tool_calls"],
        json!([
            {"id": "a", "name": "weather", "arguments": {"city": "Bonn"}},
            {"id": "b", "name": "weather", "arguments": {"city": "Köln"}},
        ])
    );
    let sent = &provider.received()[0].body;
    assert_eq!(sent["tools"][0]["input_schema"], schema);
    assert_eq!(sent["messages"][2]["content"][0]["tool_use_id"], "x");
}

#[sqlx::test]
async fn calls_without_ids_are_given_some(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let call = json!({"type": "function", "function": {"name": "look", "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call, call]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    provider.replies(Reply::json(200, &json!({"model": "m", "choices": [choice]})));
    let app = TestApp::builder(pool)
        .provider(&provider, DialectName::Openai)
        .default_model("openai/m")
        .start()
        .await;
    let body = json!({
        "agent": "code-reviewer", "input": "look", "model": "openai/m",
        "tools": [{"name": "look", "parameters": {}}],
    });
    let run = app.admin.post("/v1/runs", body).await.body;
    let id = |place: usize| run["tool_calls"][place]["id"].as_str().expect("an id");
    assert!(id(0).starts_with("call_") && id(1).starts_with("call_"), "{run}");
    assert_ne!(id(0), id(1));
}

#[sqlx::test]
async fn results_go_to_the_agent_that_called_whatever_was_corrected_meanwhile(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    let wire = Wire(DialectName::Anthropic);
    let ask = async |messages: serde_json::Value| {
        let body = json!({"messages": messages, "tools": [{"name": "look", "parameters": {}}]});
        let run = app.admin.post("/v1/runs", body).await;
        assert_eq!(run.status, 200, "{}", run.text);
        (run.body["agent"]["name"].clone(), run.body["dispatch_id"].clone())
    };
    let asked = json!({"role": "user", "content": LOGIN});
    provider.asks_for_tools(wire, &[AskedTool::new("a", "look", json!({}))]);
    let (caller, dispatch_id) = ask(json!([asked])).await;
    assert_eq!(caller, "nextjs-backend-engineer");

    let feedback = format!("/v1/dispatches/{}/feedback", dispatch_id.as_str().expect("an id"));
    let said = app.admin.post(&feedback, json!({"agent": "code-reviewer"})).await;
    assert_eq!(said.status, 200, "{}", said.text);

    let call = json!({"id": "a", "name": "look", "arguments": {}});
    let mut messages = vec![
        asked.clone(),
        json!({"role": "assistant", "tool_calls": [call]}),
        json!({"role": "tool", "tool_call_id": "a", "content": "nothing there"}),
    ];
    provider.asks_for_tools(wire, &[AskedTool::new("b", "look", json!({}))]);
    let (goes_on, dispatch_id) = ask(json!(messages)).await;
    assert_eq!(goes_on, caller);
    let decision = format!("/v1/dispatches/{}", dispatch_id.as_str().expect("an id"));
    assert_eq!(app.admin.get(&decision).await.body["strategy"], "sticky");

    // Of a loop that nobody began here it is not known who called.
    messages[2]["tool_call_id"] = json!("other");
    messages[1]["tool_calls"][0]["id"] = json!("other");
    provider.says(wire, "There is nothing.");
    assert_eq!(ask(json!(messages)).await.0, "code-reviewer");
    provider.says(wire, "Hello.");
    assert_eq!(ask(json!([asked])).await.0, "code-reviewer");
}

#[sqlx::test]
async fn requests_to_one_revision_begin_with_the_same_bytes(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    for input in ["one", "another"] {
        provider.replies(Reply::json(200, &anthropic::message("ok")));
        app.admin.post("/v1/runs", json!({"agent": "code-reviewer", "input": input})).await;
    }
    let prefixes: Vec<String> = provider
        .received()
        .iter()
        .map(|sent| {
            let text = sent.body.to_string();
            text.split("\"messages\"").next().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(prefixes[0], prefixes[1]);
    assert!(prefixes[0].contains("cache_control") && prefixes[0].len() > 1_000);
}
