//! What went wrong in earlier agents and is not tested elsewhere: each test fails where the mistake is made again.

use std::fs;

use crow_tests::{Client, ModelServer, Reply, Sandbox};
use serde_json::{Value, json};

use crate::stage::{Stage, said_by, still_running};

/// A model with parameters of its own.
fn with_parameters(server: &ModelServer, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(&format!(
        "{}\n[providers.test.models.scripted]\ntemperature = 0.25\nreasoning_effort = \"high\"\nextra = {{ max_tokens = 777 }}\n{more}",
        Sandbox::model_config(server)
    ));
    sandbox
}

/// The parameters of a request, and the names of its tools.
fn terms(body: &Value) -> (Value, Vec<String>) {
    let tools = body["tools"].as_array().into_iter().flatten();
    let names = tools.map(|tool| tool["function"]["name"].as_str().unwrap_or_default().to_owned()).collect();
    (json!([body["temperature"], body["reasoning_effort"], body["max_tokens"]]), names)
}

#[test]
fn parameters_are_sent_with_every_request_after_a_load_too() {
    let server = ModelServer::with([Reply::call("c1", "list", &json!({})), Reply::say("done")]);
    let sandbox = with_parameters(&server, "");
    let stage = Stage::on(server, sandbox);
    stage.prompt("look");
    let stage = stage.restart();
    stage.load();
    stage.server.push(Reply::say("still here"));
    stage.prompt("and now?");
    let requests = stage.server.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(terms(&request.json()).0, json!([0.25, "high", 777]));
    }
}

#[test]
fn a_compaction_changes_neither_the_limits_nor_the_tools_of_what_follows() {
    let server = ModelServer::start();
    let sandbox = with_parameters(&server, "[plugins.compaction]\nkeep_tokens = 10\nuser_tokens = 20\n");
    let client = Client::start(&sandbox);
    let session = client.new_session(&sandbox);
    for at in 0..3 {
        server.push(Reply::say(&format!("answer {at}: {}", "many words ".repeat(200))));
        client.prompt(&session, &format!("question {at}"));
    }
    server.push(Reply::say("# Summary\nThree questions were answered."));
    client.prompt(&session, "/compact");
    server.push(Reply::say("yes"));
    assert_eq!(client.prompt(&session, "are you there?").text(), "yes");
    let bodies: Vec<Value> = server.requests().iter().map(crow_tests::Recorded::json).collect();
    let [.., before, summary, after] = &bodies[..] else { panic!("{} requests", bodies.len()) };
    assert!(terms(summary).1.is_empty(), "the summary needs no tools");
    assert!(!terms(before).1.is_empty());
    assert_eq!(terms(after), terms(before));
}

#[test]
fn internal_requests_are_no_sessions_and_every_title_is_text() {
    let server = ModelServer::start();
    server.otherwise(Reply::say(&"many words ".repeat(200)));
    let sandbox = with_parameters(&server, "[plugins.compaction]\nkeep_tokens = 10\nuser_tokens = 20\n");
    let stage = Stage::on(server, sandbox);
    for _ in 0..3 {
        stage.prompt("say a lot");
    }
    // A summary is a request of a plugin's own.
    stage.prompt("/compact");
    let picture = json!([{ "type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo=" }]);
    let other = stage.client.new_session(&stage.sandbox);
    let _ = stage.client.call("session/prompt", &json!({ "sessionId": other, "prompt": picture }));
    let stage = stage.restart();
    let listed = stage.client.ok("session/list", &json!({}));
    let sessions = listed["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 2, "{listed:#}");
    for session in sessions {
        assert!(session["title"].as_str().is_some_and(|title| !title.is_empty()), "{session:#}");
    }
}

#[test]
fn a_cancel_that_comes_with_the_next_prompt_does_not_reach_it() {
    let stage = Stage::new([Reply::stream().text("on and on").hang()]);
    let running = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, 0, |update| update["sessionUpdate"] == "agent_message_chunk");
    stage.client.cancel(&stage.session);
    stage.server.push(Reply::say("all of it"));
    let next = stage.client.start_prompt(&stage.session, "something else");
    assert_eq!(stage.client.turn(&stage.session, &running).stop_reason(), "cancelled");
    let next = stage.client.turn(&stage.session, &next);
    assert_eq!((next.stop_reason().as_str(), next.text().as_str()), ("end_turn", "all of it"), "{next:#?}");
    assert!(still_running("something else").is_empty());
}

#[test]
fn a_store_that_is_locked_does_not_hold_up_the_answer() {
    let server = ModelServer::start();
    let sandbox = Sandbox::new();
    // A store that blocked the loop would block it for longer than this test waits.
    sandbox.config(&format!("{}\n[plugins.persistence]\nbusy_timeout_ms = 60000\n", Sandbox::model_config(&server)));
    let stage = Stage::on(server, sandbox);
    let pause = std::time::Duration::from_millis(500);
    stage.server.push(Reply::stream().text("one ").pause(pause).text("two ").pause(pause).text("three").pause(pause));
    let running = stage.client.start_prompt(&stage.session, "count");
    let saw = |text: &str| {
        stage.client.wait_update(&stage.session, 0, |update| {
            update["sessionUpdate"] == "agent_message_chunk" && update["content"]["text"] == text
        });
    };
    saw("one ");
    let other = rusqlite::Connection::open(stage.sandbox.home().join("crow.db")).expect("the store");
    other.busy_timeout(crow_tests::PATIENCE).expect("a time");
    other.execute_batch("BEGIN IMMEDIATE; UPDATE sessions SET title = title;").expect("the lock");
    saw("two ");
    saw("three");
    other.execute_batch("COMMIT").expect("the lock is given back");
    let turn = stage.client.turn(&stage.session, &running);
    assert_eq!(turn.stop_reason(), "end_turn", "{turn:#?}");
}

/// How often a process has the file open.
fn open(pid: u32, name: &str) -> usize {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("/proc").flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter(|target| target.file_name().is_some_and(|file| file == name)).count()
}

#[test]
fn sessions_share_their_connection_to_the_store() {
    let stage = Stage::new([]);
    stage.server.otherwise(Reply::say("ok"));
    stage.prompt("hi");
    let pid = stage.client.pid();
    let before = (open(pid, "crow.db"), open(pid, "analytics.db"));
    for _ in 0..12 {
        let session = stage.client.new_session(&stage.sandbox);
        assert_eq!(stage.client.prompt(&session, "hi").stop_reason(), "end_turn");
    }
    assert!(before.0 > 0);
    assert_eq!((open(pid, "crow.db"), open(pid, "analytics.db")), before);
}

#[test]
fn what_is_said_is_not_in_the_log() {
    let server = ModelServer::with([
        Reply::call("c1", "terminal", &json!({ "command": "echo said-by-a-tool" })).text("said-by-the-model"),
        Reply::error(500, "busy"),
    ]);
    server.otherwise(Reply::say("said-by-the-model"));
    let mut sandbox = Sandbox::with_model(&server);
    sandbox.env("CROW_LOG", "debug");
    let stage = Stage::on(server, sandbox);
    stage.permission(crow_tests::Permission::AllowOnce);
    stage.prompt("said-by-the-user");
    let Stage { client, sandbox, server, .. } = stage;
    client.finish();
    assert!(said_by("user", &server.requests()[0].messages())[0].contains("said-by-the-user"));
    let logs = sandbox.home().join("logs");
    for (path, bytes) in sandbox.home_files().iter().filter(|(path, _)| path.starts_with(&logs)) {
        let text = String::from_utf8_lossy(bytes);
        for said in ["said-by-the-user", "said-by-the-model", "said-by-a-tool"] {
            assert!(!text.contains(said), "`{said}` is in {}", path.display());
        }
    }
}
