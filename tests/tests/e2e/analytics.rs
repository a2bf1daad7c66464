//! What was used: counted, shown, limited.

use std::process::Output;

use crow_tests::{ModelServer, Reply, Sandbox};
use serde_json::{Value, json};

use crate::stage::{Stage, told};

/// A dollar for a thousand tokens read, ten for a thousand written.
const PRICE: &str =
    "\n[providers.test.models.scripted]\ncontext_window = 10000\nprice = { input = 1000, output = 10000 }\n";

fn place(server: &ModelServer, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(&format!("{}{PRICE}{more}", Sandbox::model_config(server)));
    sandbox
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stats(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&stdout(&sandbox.run(&["stats", "--json"]))).expect("JSON")
}

#[test]
fn the_figures_are_exact() {
    let server = ModelServer::with([
        Reply::call("c1", "list", &json!({})).usage(100, 20),
        Reply::say("done").usage(200, 30),
        Reply::say("hello").usage(10, 5),
    ]);
    let sandbox = place(&server, "");
    stdout(&sandbox.run(&["run", "look around"]));
    stdout(&sandbox.run(&["run", "hi"]));
    let stats = stats(&sandbox);
    let total = &stats["total"];
    let expected = [
        ("runs", 2),
        ("requests", 3),
        ("failed", 0),
        ("retries", 0),
        ("input_tokens", 310),
        ("output_tokens", 55),
        ("estimated", 0),
        ("unpriced", 0),
        ("tool_calls", 1),
        ("tool_failures", 0),
        ("compactions", 0),
    ];
    for (key, value) in expected {
        assert_eq!(total[key], value, "{key} in {total:#}");
    }
    assert!((total["cost"].as_f64().unwrap_or_default() - (0.31 + 0.55)).abs() < 1e-9, "{total:#}");
    assert_eq!(stats["by_model"][0]["name"], "test/scripted");
    assert_eq!(stats["by_project"][0]["name"], sandbox.project().to_string_lossy().as_ref());
    assert_eq!(stats["by_day"].as_array().map(Vec::len), Some(30), "a month without gaps");
    assert_eq!((&stats["tools"][0]["tool"], &stats["tools"][0]["completed"]), (&json!("list"), &json!(1)));
    assert_eq!(stats["ends"], json!({ "end_turn": 2 }));
    let plugins = stats["plugins"].as_array().expect("plugins");
    assert!(plugins.iter().any(|plugin| plugin["plugin"] == "system-prompt" && plugin["own_ms"].as_f64() > Some(0.0)));

    let shown = stdout(&sandbox.run(&["stats"]));
    for words in ["$0.86 in 2 runs with 3 requests", "365 tokens", "By plugin", "By tool", "100 %"] {
        assert!(shown.contains(words), "no `{words}` in:\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "colours are for terminals");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let csv = stdout(&sandbox.run(&["stats", "--csv", "--by", "model"]));
    assert!(csv.contains("\r\ntest/scripted,0,3,0,0,310,0,55,0,0,0.86"), "{csv}");
    stdout(&sandbox.run(&["stats", "--html", "page.html"]));
    let page = sandbox.read("page.html").expect("a page");
    assert!(page.contains("test/scripted") && page.contains("$0.86"));
    for foreign in ["http://", "https://", "<script", "src="] {
        assert!(!page.contains(foreign), "the page loads or runs something: {foreign}");
    }
}

#[test]
fn retries_and_unknown_prices_are_told() {
    let server = ModelServer::with([Reply::error(503, "busy"), Reply::say("ok").usage(7, 3)]);
    let sandbox = Sandbox::new();
    sandbox.config(&format!("{}\n[plugins.retry]\nbase_delay = 0.01\n", Sandbox::model_config(&server)));
    stdout(&sandbox.run(&["run", "hi"]));
    let total = &stats(&sandbox)["total"];
    assert_eq!((&total["requests"], &total["failed"], &total["retries"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!((&total["cost"], &total["unpriced"]), (&Value::Null, &json!(1)), "unknown is not nothing");
    assert!(stdout(&sandbox.run(&["stats"])).contains("unknown in 1 run"));
}

#[test]
fn a_budget_ends_a_run_with_a_reason_that_the_user_sees() {
    let server = ModelServer::start();
    server.otherwise(Reply::call("c", "list", &json!({})).usage(100, 0));
    let sandbox = place(&server, "\n[plugins.analytics.budget]\nsession = { money = 0.25 }\n");
    let stage = Stage::on(server, sandbox);
    let turn = stage.prompt("go on and on");
    assert_eq!(turn.stop_reason(), "max_turn_requests", "{turn:#?}");
    let said = told(&turn);
    assert!(said.contains("the budget of this session is used up: $0.30 of $0.25"), "{said}");
    assert_eq!(stage.server.requests().len(), 3);
    // The next prompt does not reach the model at all.
    let refused = stage.prompt("and now?");
    assert_eq!(refused.stop_reason(), "refusal", "{refused:#?}");
    assert!(told(&refused).contains("the budget of this session is used up"), "{}", told(&refused));
    assert_eq!(stage.server.requests().len(), 3);
    // Other sessions have their own.
    let other = stage.client.new_session(&stage.sandbox);
    assert_eq!(stage.client.prompt(&other, "go on").stop_reason(), "max_turn_requests");
}

#[test]
fn a_budget_of_the_day_holds_in_every_process() {
    let server = ModelServer::with([Reply::say("ok").usage(90, 30)]);
    let sandbox = place(&server, "\n[plugins.analytics.budget]\nday = { tokens = 100 }\n");
    stdout(&sandbox.run(&["run", "hi"]));
    let output = sandbox.run(&["run", "hi again"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("the budget of today is used up: 120 tokens of 100 tokens"), "{said}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn usage_and_cost_answer_without_the_model() {
    let server = ModelServer::with([Reply::say("hello").usage(1200, 34)]);
    let sandbox = place(&server, "\n[plugins.analytics.budget]\nrun = { turns = 9 }\nsession = { money = 20 }\n");
    let stage = Stage::on(server, sandbox);
    stage.prompt("hi");
    let usage = stage.prompt("/usage").text();
    // How fast it was differs from run to run.
    let steady: Vec<&str> = usage.lines().filter(|line| !line.starts_with("- Speed: ")).collect();
    let expected = "\
| | requests | read | of it cached | written | of it reasoning | cost |
|---|--:|--:|--:|--:|--:|--:|
| this session | 1 | 1,200 | 0 | 34 | 0 | $1.54 |
| today | 1 | 1,200 | 0 | 34 | 0 | $1.54 |

- In the context now: 1,234 tokens of 10,000 (12 %)
- Tools: 0 of 0 calls worked
- 0 requests put again, 0 compactions

| budget | used | limit | left |
|---|--:|--:|--:|
| this run | 0 turns | 9 turns | 9 turns |
| this session | $1.54 | $20.00 | $18.46 |";
    assert_eq!(steady.join("\n"), expected);
    let cost = stage.prompt("/cost").text();
    let expected = "\
This session: **$1.54**

| model | requests | read | written | cost |
|---|--:|--:|--:|--:|
| test/scripted | 1 | 1,200 | 34 | $1.54 |

Today, all sessions: **$1.54**

| budget | used | limit | left |
|---|--:|--:|--:|
| this run | 0 turns | 9 turns | 9 turns |
| this session | $1.54 | $20.00 | $18.46 |";
    assert_eq!(cost, expected);
    assert_eq!(stage.server.requests().len(), 1);
}

#[test]
fn every_response_is_followed_by_the_context_in_use_and_the_cost_so_far() {
    let stage = {
        let server = ModelServer::with([
            Reply::call("c1", "list", &json!({})).usage(100, 10),
            Reply::say("done").usage(150, 5),
            Reply::say("again").usage(170, 5),
        ]);
        let sandbox = place(&server, "");
        Stage::on(server, sandbox)
    };
    let seen = |turn: &crow_tests::Turn| -> Vec<(u64, f64)> {
        let updates = turn.of_kind("usage_update");
        let pair = |update: &&Value| Some((update["used"].as_u64()?, update["cost"]["amount"].as_f64()?));
        updates.iter().filter_map(pair).map(|(used, cost)| (used, (cost * 1e6).round() / 1e6)).collect()
    };
    assert_eq!(seen(&stage.prompt("look")), [(110, 0.2), (155, 0.4)]);
    assert_eq!(seen(&stage.prompt("more")), [(175, 0.62)], "the context in use, not a running total");
}

#[test]
fn an_agent_that_was_not_asked_anything_writes_nothing() {
    let stage = Stage::new([]);
    let Stage { client, sandbox, .. } = stage;
    client.finish();
    assert!(!sandbox.home().join("analytics.db").exists());
    assert!(stdout(&sandbox.run(&["stats"])).contains("Nothing was recorded"));
    assert!(!sandbox.home().join("analytics.db").exists(), "looking makes nothing");
}

#[test]
fn options_that_make_no_sense_are_refused_with_a_hint() {
    let sandbox = Sandbox::new();
    for (args, hint) in [
        (&["stats", "--by", "modle"][..], "did you mean `model`?"),
        (&["stats", "--since", "a while ago"], "expected a number of days"),
        (&["stats", "--json", "--csv"], "one thing at a time"),
        (&["stats", "--json", "--by", "day"], "--by"),
        (&["run", "--html", "x", "hi"], "crow stats"),
    ] {
        let output = sandbox.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(hint), "{args:?}: {said}");
    }
}
