//! The command line.

use std::process::Output;

use crow_tests::{Client, ModelServer, Reply, Sandbox};
use serde_json::{Value, json};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeds(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.run(args);
    assert!(output.status.success(), "crow {args:?}: {}\n{}", output.status, text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON ({error}):\n{text}"))
}

#[test]
fn bare_crow_prints_a_short_help() {
    let sandbox = Sandbox::new();
    let text = succeeds(&sandbox, &[]);
    for word in ["crow demo", "crow init", "crow acp"] {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
    assert!(text.lines().count() <= 40, "{text}");
}

#[test]
fn every_command_has_help_and_the_program_a_version() {
    let sandbox = Sandbox::new();
    assert!(succeeds(&sandbox, &["--version"]).contains(env!("CARGO_PKG_VERSION")));
    for command in
        ["acp", "run", "demo", "init", "doctor", "plugin", "plugins", "hooks", "sessions", "stats", "import", "trust"]
    {
        let help = succeeds(&sandbox, &[command, "--help"]);
        assert!(help.contains(&format!("Usage: crow {command}")), "{help}");
    }
    let output = sandbox.run(&["rnu"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("run"), "no suggestion in:\n{}", text(&output));
}

#[test]
fn the_demo_fixes_a_bug_without_a_model() {
    let sandbox = Sandbox::new();
    let shown = succeeds(&sandbox, &["demo"]);
    assert!(shown.contains("crow init"), "no word on how to go on:\n{shown}");
    let traced = succeeds(&sandbox, &["demo", "--trace-hooks"]);
    for hook in ["before_prompt", "before_run", "system_prompt", "call_llm", "call_tool", "after_turn", "after_run"] {
        assert!(traced.contains(hook), "`{hook}` is not in the trace:\n{traced}");
    }
}

#[test]
fn run_answers_one_prompt() {
    let server = ModelServer::with([Reply::stream().text("Hello ").text("there.")]);
    let sandbox = Sandbox::with_model(&server);
    assert!(succeeds(&sandbox, &["run", "say hello"]).contains("Hello there."));
    assert!(server.wait_requests(1).text().contains("say hello"));
}

#[test]
fn run_works_with_tools_and_says_what_it_did() {
    let server = ModelServer::with([
        Reply::call("call_1", "write", &json!({ "path": "a.txt", "content": "made\n" })),
        Reply::say("done"),
    ]);
    let sandbox = Sandbox::with_model(&server);
    let shown = succeeds(&sandbox, &["run", "--permission", "accept-edits", "make a file"]);
    assert!(shown.contains("a.txt") && shown.contains("done"), "{shown}");
    assert_eq!(sandbox.read("a.txt").as_deref(), Some("made\n"));
}

#[test]
fn run_without_a_terminal_does_not_take_silence_for_consent() {
    let server = ModelServer::start();
    server.push(Reply::call("call_1", "terminal", &json!({ "command": "touch a.txt" })));
    server.otherwise(Reply::say("as you wish"));
    let sandbox = Sandbox::with_model(&server);
    sandbox.run(&["run", "make a file"]);
    assert_eq!(sandbox.read("a.txt"), None);
}

#[test]
fn run_json_prints_one_object_a_line() {
    let server = ModelServer::with([Reply::say("hello")]);
    let sandbox = Sandbox::with_model(&server);
    let lines = succeeds(&sandbox, &["run", "--json", "hi"]);
    assert!(lines.lines().count() >= 2, "{lines}");
    for line in lines.lines() {
        assert!(json_of(line).is_object(), "{line}");
    }
    assert!(lines.contains("hello"));
}

#[test]
fn run_fails_when_the_model_does() {
    let server = ModelServer::with([Reply::error(401, "wrong key")]);
    let sandbox = Sandbox::with_model(&server);
    let output = sandbox.run(&["run", "hi"]);
    assert!(!output.status.success());
    assert!(text(&output).contains("wrong key"), "{}", text(&output));
}

#[test]
fn run_without_a_model_says_what_to_do() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(&["run", "hi"]);
    assert!(!output.status.success());
    let text = text(&output);
    assert!(text.contains("crow init"), "{text}");
    // A machine with a model server of its own is told of that one instead.
    assert!(text.contains("crow demo") || text.contains("Found"), "{text}");
}

#[test]
fn run_can_go_without_a_plugin() {
    let server = ModelServer::with([Reply::say("no tools here")]);
    let sandbox = Sandbox::with_model(&server);
    succeeds(&sandbox, &["run", "-p", "no:tools", "hi"]);
    let body = server.wait_requests(1).json();
    assert!(body["tools"].as_array().is_none_or(Vec::is_empty), "{body}");
}

#[test]
fn sessions_are_listed_shown_continued_and_deleted() {
    let server = ModelServer::with([Reply::say("the first answer")]);
    let sandbox = Sandbox::with_model(&server);
    succeeds(&sandbox, &["run", "the first question"]);
    let listed = json_of(&succeeds(&sandbox, &["sessions", "list", "--json"]));
    let entries = listed.as_array().or_else(|| listed["sessions"].as_array()).cloned().unwrap_or_default();
    assert_eq!(entries.len(), 1, "{listed:#}");
    let id = entries[0]["sessionId"].as_str().or_else(|| entries[0]["id"].as_str()).unwrap_or_default().to_owned();
    let shown = succeeds(&sandbox, &["sessions", "show", &id]);
    assert!(shown.contains("the first question") && shown.contains("the first answer"), "{shown}");
    server.push(Reply::say("the second answer"));
    succeeds(&sandbox, &["run", "--session", &id, "and more"]);
    assert!(server.wait_requests(2).text().contains("the first answer"));
    succeeds(&sandbox, &["sessions", "delete", &id]);
    assert!(!succeeds(&sandbox, &["sessions", "list"]).contains(&id));
}

#[test]
fn an_editors_session_is_listed_too() {
    let server = ModelServer::with([Reply::say("ok")]);
    let sandbox = Sandbox::with_model(&server);
    let client = Client::start(&sandbox);
    let session = client.new_session(&sandbox);
    client.prompt(&session, "from the editor");
    client.finish();
    assert!(succeeds(&sandbox, &["sessions", "list", "--json"]).contains(&session));
}

#[test]
fn plugins_and_hooks_are_listed() {
    let sandbox = Sandbox::new();
    let plugins = succeeds(&sandbox, &["plugins"]);
    for name in ["dispatch", "openai", "retry", "replay", "system-prompt", "tools", "permissions", "persistence"] {
        assert!(plugins.contains(name), "no `{name}` in:\n{plugins}");
    }
    json_of(&succeeds(&sandbox, &["plugins", "--json"]));
    let hooks = succeeds(&sandbox, &["hooks"]);
    assert!(hooks.contains("call_llm") && hooks.contains("dispatch"), "{hooks}");
    json_of(&succeeds(&sandbox, &["hooks", "--json"]));
}

#[test]
fn doctor_tries_the_connection() {
    let server = ModelServer::with([Reply::say("ok")]);
    server.otherwise(Reply::say("ok"));
    let sandbox = Sandbox::with_model(&server);
    let said = succeeds(&sandbox, &["doctor"]);
    assert!(said.contains("test/scripted"), "{said}");
    assert!(!server.all_requests().is_empty(), "nothing was tried");
    drop(server);
    let output = sandbox.run(&["doctor"]);
    assert!(!output.status.success(), "{}", text(&output));
}

#[test]
fn doctor_knows_providers_that_plugins_bring_along() {
    let sandbox = Sandbox::new();
    sandbox.config("model = \"replay/some.jsonl\"\n");
    let said = succeeds(&sandbox, &["doctor"]);
    assert!(said.contains("✓ provider replay") && said.contains("replay/some.jsonl"), "{said}");
    assert!(!said.contains('✗'), "{said}");
}

#[test]
fn init_writes_a_configuration_that_works() {
    let server = ModelServer::with([Reply::say("hello")]);
    let mut sandbox = Sandbox::new();
    sandbox.env("MY_KEY", "sk-of-mine");
    let url = server.base_url();
    let given = ["--provider", "mine", "--base-url", &url, "--key-env", "MY_KEY", "--model", "mine/scripted", "--yes"];
    succeeds(&sandbox, &[&["init"], &given[..]].concat());
    let config = std::fs::read_to_string(sandbox.home().join("config.toml")).expect("a configuration");
    assert!(!config.contains("sk-of-mine"), "{config}");
    assert!(succeeds(&sandbox, &["run", "hi"]).contains("hello"));
    assert_eq!(server.wait_requests(1).header("authorization"), Some("Bearer sk-of-mine"));
}

/// The names of the hooks that fired, from lines that a trace wrote.
fn hooks_in(trace: &str) -> Vec<String> {
    // `hook  NAME …` on stderr, `… crow::hooks NAME …` in the log.
    let named = trace.lines().filter_map(|line| line.split_once("hook")).map(|(_, rest)| rest.trim_start_matches('s'));
    named.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn a_prompt_fires_the_same_hooks_from_the_terminal_and_from_an_editor() {
    let turns = || [Reply::call("call_1", "list", &json!({})), Reply::say("done")];
    let server = ModelServer::with(turns());
    let sandbox = Sandbox::with_model(&server);
    let output = sandbox.run(&["run", "--trace-hooks", "look"]);
    let from_terminal = hooks_in(&String::from_utf8_lossy(&output.stderr));

    let server = ModelServer::with(turns());
    let sandbox = Sandbox::with_model(&server);
    let client = Client::spawn_command(sandbox.command(&["acp", "--trace-hooks"]));
    client.initialize(&json!({}));
    let session = client.new_session(&sandbox);
    client.prompt(&session, "look");
    client.finish();
    let logs: String = sandbox
        .home_files()
        .iter()
        .filter(|(path, _)| path.starts_with(sandbox.home().join("logs")))
        .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    let from_editor = hooks_in(&logs);

    let of_the_run = |hooks: &[String]| -> Vec<String> {
        let from = hooks.iter().position(|hook| hook == "before_prompt").expect("before_prompt in the trace");
        let to = hooks.iter().position(|hook| hook == "after_run").expect("after_run in the trace");
        // How the updates are shown is the entry path's own.
        hooks[from..=to].iter().filter(|hook| *hook != "session_update").cloned().collect()
    };
    assert_eq!(of_the_run(&from_terminal), of_the_run(&from_editor));
}
