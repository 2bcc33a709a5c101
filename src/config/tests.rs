//! Configurations as operators write them, and what becomes of them.

use std::io::Write;

use super::{Config, ConfigError, Flags, Variables};
use crate::provider::DialectName;
use crate::tools::Connection;

fn load(yaml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(yaml.as_bytes()).expect("is written");
    let flags = Flags { config: Some(file.path().to_owned()), ..Flags::default() };
    Config::build(&flags, &Variables::of(variables))
}

fn refusal(yaml: &str) -> String {
    format!("{:#}", anyhow::Error::from(load(yaml, &[]).expect_err("is refused")))
}

#[test]
fn nothing_configured_means_offline() {
    let config = load("", &[]).expect("is valid");
    assert!(config.provider.providers.is_empty());
    assert_eq!(config.listen, "127.0.0.1:8080");
}

#[test]
fn keys_in_the_environment_configure_providers() {
    let variables = [
        ("OPENAI_API_KEY", "o"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1/"),
        ("ANTHROPIC_API_KEY", ""),
    ];
    let providers = load("", &variables).expect("is valid").provider.providers;
    assert_eq!(providers.len(), 1);
    assert_eq!(providers[0].name, "openai");
    assert_eq!(providers[0].base_url.to_string(), "http://127.0.0.1:1/v1/");
}

#[test]
fn a_key_alone_configures_gemini() {
    let config = load("", &[("GEMINI_API_KEY", "g")]).expect("is valid").provider;
    let [gemini] = config.providers.as_slice() else { panic!("{:?}", config.providers) };
    assert_eq!((&*gemini.name, gemini.dialect), ("gemini", DialectName::Gemini));
    assert_eq!(gemini.base_url, "https://generativelanguage.googleapis.com/");
}

#[test]
fn both_dialects_of_a_vendor_have_its_base_url() {
    let yaml = "providers:\n  openai: {dialect: openai-responses}\n  chat: {dialect: openai}\n";
    let providers = load(yaml, &[]).expect("is valid").provider.providers;
    let urls: Vec<String> =
        providers.iter().map(|provider| provider.base_url.to_string()).collect();
    assert_eq!(urls, ["https://api.openai.com/v1"; 2]);
}

#[test]
fn the_whole_documented_file_is_read() {
    let yaml = include_str!("../../tests/fixtures/config/rolecall.yaml");
    let variables = [("ANTHROPIC_API_KEY", "k"), ("CONTEXT7_API_KEY", "c")];
    let config = load(yaml, &variables).expect("is valid");
    let names: Vec<&str> =
        config.provider.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["anthropic", "local"]);
    assert_eq!(config.provider.models["sonnet"].len(), 2);
    assert_eq!(config.registry.known_world.tool_servers, ["context7"]);
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let text = refusal("allow_offline: true\nlimits:\n  hold_ms: 1\n  hold: 2\n");
    assert!(text.contains("`hold`") && text.contains("line 4"), "{text}");
}

#[test]
fn an_unknown_key_on_the_first_line_has_its_line_too() {
    let text = refusal("allow_ofline: true\n");
    assert!(text.contains("`allow_ofline`") && text.contains("line 1"), "{text}");
}

#[test]
fn a_name_stands_once() {
    let provider = "{dialect: openai, base_url: 'http://x'}";
    let alias = "{targets: [{provider: openai, model: x}]}";
    for (section, entry) in
        [("providers", provider), ("models", alias), ("mcp_servers", "{command: x}")]
    {
        let text =
            refusal(&format!("{section}:\n  one: {entry}\n  two: {entry}\n  one: {entry}\n"));
        assert!(text.contains("another `one`") && text.contains("line 4"), "{text}");
        assert!(load(&format!("{section}:\n"), &[]).is_ok(), "an empty section is none");
    }
}

#[test]
fn what_could_not_work_is_named_with_its_line() {
    let alias = |target: &str| format!("models:\n  a:\n    targets: [{target}]\n");
    for (yaml, named, line) in [
        (alias("{provider: openai, model: x, input_price: -1}"), "input_price", "line 3"),
        (alias("{provider: openai, model: x, output_price: .nan}"), "output_price", "line 3"),
        (alias("{provider: openai, model: x, cache_write_price: .inf}"), "cache_write", "line 3"),
        (alias(""), "targets", "line 3"),
        ("limits:\n  keep_alive_interval_ms: 0\n".into(), "keep_alive_interval_ms", "line 2"),
        ("limits:\n  body_bytes: 0\n".into(), "body_bytes", "line 2"),
        ("limits:\n  definition_bytes: 0\n".into(), "definition_bytes", "line 2"),
        ("dispatch:\n  on_none: default_agent\n".into(), "default_agent", "line 2"),
    ] {
        let text = refusal(&yaml);
        assert!(text.contains(named) && text.contains(line), "{text}");
    }
    assert!(load(&alias("{provider: openai, model: x, input_price: 0}"), &[]).is_ok());
    assert!(load("dispatch: {on_none: default_agent, default_agent: a}\n", &[]).is_ok());
}

#[test]
fn what_is_wrong_with_a_provider_is_named_with_key_and_line() {
    for (entry, named) in [
        ("base_url: ftp://x", "line 4: `base_url` of the provider `near` must be"),
        ("base_url: 'https://'", "line 4: `base_url` of the provider `near` must be"),
        ("headers: {'a b': c}", "line 4: `a b` of the provider `near` cannot be sent"),
        ("headers: {a: \"b\\nc\"}", "line 4: `a` of the provider `near` cannot be sent"),
        ("base_urls: http://x", "`base_urls`"),
        ("api_key: '${NOPE}'", "line 4: `api_key` refers to the environment variable `NOPE`"),
    ] {
        let text = refusal(&format!(
            "# near: {{base_url: x}}\nproviders:\n  near: {{dialect: openai,\n    {entry}}}\n"
        ));
        assert!(text.contains(named) && text.contains("line 4"), "{text}");
    }
    let text = refusal("providers:\n  nearest: {dialect: openai}\n  near: {base_url: http://x}\n");
    assert!(text.contains("line 3: `dialect` of the provider `near` is missing"), "{text}");
    let text = refusal("providers:\n  near: {base_url: http://x,\n    dialect: grok}\n");
    assert!(text.contains("dialect") && text.contains("line 3"), "{text}");
}

#[test]
fn a_base_url_of_the_environment_is_named_by_its_variable() {
    for yaml in ["", "providers: {openai: {base_url: 'http://x'}}\n"] {
        let variables = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "localhost")];
        let text = load(yaml, &variables).expect_err("is refused").to_string();
        assert!(text.starts_with("`OPENAI_BASE_URL` of the provider `openai` must be"), "{text}");
    }
}

#[test]
fn an_unknown_provider_is_named_with_key_and_line() {
    let models = "models:\n  a:\n    targets:\n    - {provider: openai, model: x}\n    - model: y\n      provider: antropic\n";
    for (yaml, named) in [
        (models, "line 6: `provider` names the provider `antropic`"),
        ("\ndefault_model: antropic/x\n", "line 2: `default_model` names the provider `antropic`"),
        ("\ndefault_model: x\n", "line 2: `default_model` must be `provider/model`, not `x`"),
        ("dispatch:\n  judge:\n    model: a/x\n", "line 3: `model` names the provider `a`"),
        ("dispatch:\n  judge:\n    model: a\n", "line 3: `model` is `a`, which is no alias"),
        ("telemetry:\n  otlp_endpoint: a\n", "line 2: `otlp_endpoint` is no URL"),
    ] {
        let text = refusal(yaml);
        assert!(text.contains(named), "{text}");
    }
    let flags = Flags { default_model: Some("x".to_owned()), ..Flags::default() };
    let refused = Config::build(&flags, &Variables::of(&[])).expect_err("is refused").to_string();
    assert_eq!(refused, "`ROLECALL_DEFAULT_MODEL` must be `provider/model`, not `x`");
}

#[test]
fn a_reference_behind_a_number_sign_in_quotes_is_checked() {
    let text = refusal("providers:\n  a: {dialect: openai, api_key: \"a # ${NOPE}\"}\n");
    assert!(text.contains("NOPE") && text.contains("line 2"), "{text}");
}

#[test]
fn an_unset_variable_is_named_with_key_and_line() {
    let text = refusal(
        "# ${COMMENT}\nproviders:\n  a: {dialect: openai, base_url: 'http://x', api_key: \"${NOPE}\"}\n",
    );
    assert!(text.contains("NOPE") && text.contains("api_key") && text.contains("line 3"), "{text}");
}

#[test]
fn an_unset_optional_variable_leaves_its_provider_out() {
    let yaml = "providers:\n  a: {dialect: openai, base_url: 'http://x', api_key: '${NOPE:-}'}\n";
    assert!(load(yaml, &[]).expect("is valid").provider.providers.is_empty());
}

#[test]
fn a_default_model_without_its_key_leaves_the_service_offline() {
    let config = load("default_model: anthropic/claude-x\n", &[]).expect("is valid");
    assert!(config.provider.default_model.is_none() && config.notices.len() == 1);
    assert!(refusal("default_model: antropic/claude-x\n").contains("antropic"));
    let misspelt = "models:\n  a: {targets: [{provider: antropic, model: x}]}\n";
    assert!(refusal(misspelt).contains("antropic"));
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let text = refusal("providers: sk-ant-very-secret\n");
    assert!(!text.contains("very-secret"), "{text}");
}

#[test]
fn tool_servers_are_commands_or_urls() {
    let yaml = "limits: {tool_call_timeout_ms: 5}\nmcp_servers:\n  \
        docs: {command: npx, args: ['-y', docs, '${NONE:-}'], env: {KEY: '${KEY}', NONE: '${NONE:-}'}}\n  \
        far: {url: 'https://x.example/mcp', headers: {authorization: 'Bearer ${KEY}'}, default: true}\n  \
        gone: {url: '${NONE:-}'}\n";
    let config = load(yaml, &[("KEY", "k"), ("PATH", "/bin"), ("OPENAI_API_KEY", "o")]);
    let config = config.expect("is valid");
    let [docs, far] = config.tools.servers.as_slice() else { panic!("{:?}", config.tools) };
    let Connection::Command { args, env, .. } = &docs.connection else { panic!("{docs:?}") };
    assert_eq!((args.len(), env.len(), docs.is_default), (2, 1, false));
    let Connection::Url { headers, .. } = &far.connection else { panic!("{far:?}") };
    assert_eq!((headers[0].1.as_bytes(), far.is_default), (&b"Bearer k"[..], true));
    assert_eq!(config.notices.len(), 1, "{:?}", config.notices);
    assert_eq!(config.tools.call_timeout.as_millis(), 5);
    let environment: Vec<&String> = config.tools.environment.keys().collect();
    assert_eq!(environment, ["PATH"], "keys of providers are no tool server's");
    assert_eq!(config.registry.known_world.tool_servers, ["docs", "far"]);
}

#[test]
fn a_tool_server_that_cannot_be_is_named_with_its_line() {
    for (entry, named) in [
        ("{}", "a `command` or a `url`"),
        ("{command: ''}", "a `command` or a `url`"),
        ("{command: x, url: 'http://x'}", "one of them"),
        ("{url: 'ftp://x'}", "http"),
        ("{url: 'http://x', args: [a]}", "belong to a `command`"),
        ("{command: x, headers: {a: b}}", "belong to a `url`"),
        ("{url: 'http://x', headers: {'a b': c}}", "header"),
    ] {
        let text = refusal(&format!("allow_offline: true\nmcp_servers:\n  one: {entry}\n"));
        assert!(text.contains(named) && text.contains("line 3: tool server `one`"), "{text}");
    }
    assert!(refusal("mcp_servers:\n  a__b: {command: x}\n").contains("`__`"));
    assert!(refusal("mcp_servers:\n  a: {command: x}\n  A: {command: x}\n").contains("two"));
    assert!(refusal("mcp_servers:\n  a: {commmand: x}\n").contains("line 2"));
}

#[test]
fn a_file_of_other_clients_can_be_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = r#"{"inputs": [], "mcpServers": {
        "docs": {"type": "stdio", "command": "${BIN:-npx}", "args": ["docs"], "env": {"KEY": "${KEY}"}},
        "far": {"type": "http", "url": "https://x.example/mcp", "default": false, "other": 1},
        "old": {"type": "sse", "url": "https://x.example/sse"},
        "off": {"command": "x", "disabled": true}}}"#;
    std::fs::write(folder.path().join(".mcp.json"), json).expect("is written");
    let yaml = folder.path().join("rolecall.yaml");
    std::fs::write(&yaml, "mcp_config: .mcp.json\nmcp_servers: {Far: {command: near}}\n")
        .expect("is written");
    let flags = Flags { config: Some(yaml.clone()), ..Flags::default() };
    let build = |variables: &[(&str, &str)]| Config::build(&flags, &Variables::of(variables));
    let config = build(&[("KEY", "k")]).expect("is valid");
    let [far, docs] = config.tools.servers.as_slice() else { panic!("{:?}", config.tools) };
    assert_eq!((&*far.name, &*docs.name, docs.is_default), ("Far", "docs", true));
    let Connection::Command { command, env, .. } = &docs.connection else { panic!("{docs:?}") };
    assert_eq!((&**command, &*env["KEY"]), ("npx", "k"));
    assert!(config.notices[0].contains("`old`"), "{:?}", config.notices);
    let refused = build(&[]).expect_err("is refused").to_string();
    assert!(refused.contains("line 2") && refused.contains("`KEY`"), "{refused}");
}

#[test]
fn a_judge_has_defaults_and_can_be_left_out() {
    let dispatch = |yaml: &str| load(yaml, &[("ANTHROPIC_API_KEY", "k")]).expect("is valid");
    assert_eq!(dispatch("dispatch: {judge: null}\n").dispatch.judge, None);
    let config = dispatch("dispatch: {on_none: judge, judge: {model: haiku}}\n");
    let judge = config.dispatch.judge.expect("is set");
    assert_eq!((judge.timeout.as_millis(), judge.margin_below), (2_000, 0.1));
    assert!(config.notices.is_empty(), "{:?}", config.notices);
    let other = "dispatch: {judge: {model: anthropic/x, timeout_ms: 5, margin_below: 0}}\n";
    let judge = dispatch(other).dispatch.judge.expect("is set");
    assert_eq!((judge.timeout.as_millis(), judge.margin_below), (5, 0.0));
}

#[test]
fn what_is_left_to_a_judge_needs_one() {
    let text = refusal("allow_offline: true\n# on_none: x\ndispatch:\n  on_none: judge\n");
    assert!(text.contains("`on_none: judge`") && text.contains("line 4"), "{text}");
    let text = refusal("dispatch: {on_ambiguous: judge, judge: null}\n");
    assert!(text.contains("`on_ambiguous: judge`") && text.contains("line 1"), "{text}");
}

#[test]
fn a_judge_that_cannot_work_is_refused() {
    for (judge, named) in [
        ("{}", "model"),
        ("{model: haiku, timeout: 5}", "timeout"),
        ("{model: haiku, timeout_ms: 0}", "timeout_ms"),
        ("{model: haiku, margin_below: 2}", "margin_below"),
        ("{model: hiaku}", "hiaku"),
        ("{model: antropic/x}", "antropic"),
    ] {
        let text = refusal(&format!("dispatch: {{judge: {judge}}}\n"));
        assert!(text.contains(named), "{text}");
    }
}

#[test]
fn a_judge_without_its_provider_is_told_of() {
    let yaml = "dispatch: {judge: {model: haiku}}\n";
    let notices = |variables| load(yaml, variables).expect("is valid").notices;
    assert!(notices(&[][..])[0].contains("nothing is judged"));
    assert!(notices(&[("OPENAI_API_KEY", "k")])[0].contains("`openai/gpt-5.5` judges"));
}
