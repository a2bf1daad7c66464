//! The requirements of the official test kit for ACP agents, version 1: one test each, named after its id.
//!
//! `cargo xtask conformance` lists them by id. What depends on a capability is checked where the agent has it;
//! those that Crow always has are demanded.

use crow_tests::{Client, ModelServer, Permission, Reply, Sandbox, Schema, Way};
use serde_json::{Value, json};

use crate::stage::Stage;

const STOP_REASONS: [&str; 5] = ["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"];

/// A turn with everything in it: thoughts, text, an edit with a permission, a command.
fn full_turn(capabilities: &Value) -> Stage {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    let client = Client::start_with(&sandbox, capabilities);
    let session = client.new_session(&sandbox);
    let stage = Stage { client, session, sandbox, server };
    let edit = json!({ "path": "a.txt", "content": "x\n" });
    stage.server.push(Reply::stream().thought("Hm.").text("I write.").tool_call("call_1", "write", &edit));
    stage.server.push(Reply::call("call_2", "terminal", &json!({ "command": "cat a.txt" })));
    stage.server.push(Reply::say("Done."));
    stage.prompt("work");
    stage
}

/// The result of `initialize` for a client with these capabilities.
fn initialized(capabilities: &Value) -> Value {
    let sandbox = Sandbox::new();
    Client::spawn(&sandbox).initialize(capabilities)
}

fn auth_methods(initialized: &Value) -> Vec<Value> {
    initialized["authMethods"].as_array().cloned().unwrap_or_default()
}

#[test]
fn transport_001_stdout_has_json_lines_only() {
    let stage = full_turn(&json!({}));
    assert!(stage.client.transcript().noise().is_empty());
    // `finish` looks again once the agent has left.
    let Stage { client, .. } = stage;
    client.finish();
}

#[test]
fn transport_002_every_message_is_json_rpc_2() {
    let stage = full_turn(&json!({}));
    for entry in stage.client.transcript().since(0) {
        assert_eq!(entry.message["jsonrpc"], "2.0", "{}", entry.message);
    }
}

#[test]
fn jsonrpc_001_ids_are_echoed_whatever_their_type() {
    let stage = Stage::new([]);
    for id in [json!("a string"), json!(7), json!(-3), json!("00000000-0000-7000-8000-000000000000")] {
        let params = json!({ "cwd": stage.sandbox.project(), "mcpServers": [] });
        let pending = stage.client.request_as(id.clone(), "session/new", &params);
        assert!(stage.client.wait(&pending).is_ok(), "for the id {id}");
    }
}

#[test]
fn jsonrpc_002_a_response_has_exactly_one_of_result_and_error() {
    let stage = full_turn(&json!({}));
    let _ = stage.client.call("session/nonsense", &json!({}));
    let _ = stage.client.call("session/load", &json!({ "sessionId": "nope", "cwd": "/", "mcpServers": [] }));
    for entry in stage.client.transcript().since(0) {
        let message = &entry.message;
        if entry.way == Way::FromAgent && message.get("method").is_none() {
            assert!(message.get("result").is_some() != message.get("error").is_some(), "{message}");
        }
    }
}

#[test]
fn jsonrpc_003_notifications_get_no_answer() {
    let stage = Stage::new([]);
    stage.client.settle();
    let before = stage.client.transcript().len();
    stage.client.notify("session/cancel", &json!({ "sessionId": stage.session }));
    stage.client.notify("session/unheard_of", &json!({}));
    stage.client.notify("_vendor/unheard_of", &json!({}));
    stage.client.notify("$/cancel_request", &json!({ "requestId": 999_999 }));
    stage.client.settle();
    let after = stage.client.transcript().since(before);
    assert!(after.iter().all(|entry| entry.way == Way::ToAgent), "{after:#?}");
}

#[test]
fn jsonrpc_004_unknown_methods_are_not_found() {
    let stage = Stage::new([]);
    assert_eq!(stage.client.call("nonsense/method", &json!({})).expect_err("unknown").code, -32601);
}

#[test]
fn jsonrpc_005_alive_after_wrong_parameters() {
    let stage = Stage::new([]);
    assert_eq!(stage.client.call("session/prompt", &json!({ "wrong": true })).expect_err("wrong").code, -32602);
    stage.client.new_session(&stage.sandbox);
}

#[test]
fn init_001_the_response_is_valid() {
    let result = initialized(&json!({}));
    assert_eq!(Schema::official().against("InitializeResponse", &result), Vec::<String>::new());
}

#[test]
fn init_002_version_1_for_1() {
    assert_eq!(initialized(&json!({}))["protocolVersion"], 1);
}

#[test]
fn init_003_the_latest_version_for_an_unknown_one() {
    for version in [2, 99, 65535] {
        let client = Client::spawn(&Sandbox::new());
        let result = client.ok("initialize", &json!({ "protocolVersion": version, "clientCapabilities": {} }));
        assert_eq!(result["protocolVersion"], 1, "for version {version}");
    }
}

#[test]
fn init_004_the_agent_says_who_it_is() {
    let info = &initialized(&json!({}))["agentInfo"];
    assert_eq!(info["name"], "crow");
    assert!(info["title"].is_string() && info["version"].is_string(), "{info}");
}

#[test]
fn schema_001_every_message_is_valid() {
    let stage = full_turn(&json!({}));
    let violations = Schema::official().check(&stage.client.transcript().since(0));
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn schema_002_no_keys_of_ones_own() {
    let stage = full_turn(&json!({ "_meta": { "terminal_output": true } }));
    let violations = Schema::official().check(&stage.client.transcript().since(0));
    assert!(!violations.iter().any(|violation| violation.problem.contains("key `")), "{violations:#?}");
}

#[test]
fn session_001_a_new_session_has_an_id() {
    let stage = Stage::new([]);
    assert!(!stage.session.is_empty());
}

#[test]
fn session_002_every_session_has_another_id() {
    let stage = Stage::new([]);
    assert_ne!(stage.session, stage.client.new_session(&stage.sandbox));
}

#[test]
fn prompt_001_the_stop_reason_is_legal() {
    let stage = Stage::new([Reply::say("ok")]);
    let reason = stage.prompt("hi").stop_reason();
    assert!(STOP_REASONS.contains(&reason.as_str()), "{reason}");
}

#[test]
fn prompt_002_updates_name_sessions_of_this_client() {
    let stage = full_turn(&json!({}));
    for update in stage.client.requests("session/update") {
        assert_eq!(update["params"]["sessionId"], json!(stage.session));
    }
}

#[test]
fn prompt_003_resource_links_are_accepted() {
    let stage = Stage::new([Reply::say("ok")]);
    let link = json!({ "type": "resource_link", "uri": "file:///etc/hostname", "name": "hostname" });
    let params = json!({ "sessionId": stage.session, "prompt": [{ "type": "text", "text": "see" }, link] });
    assert!(stage.client.call("session/prompt", &params).is_ok());
}

#[test]
fn cancel_001_a_cancelled_prompt_answers_cancelled() {
    let stage = Stage::new([Reply::stream().text("one").hang()]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| update["content"]["text"] == "one");
    stage.client.cancel(&stage.session);
    assert_eq!(stage.client.turn(&stage.session, &pending).stop_reason(), "cancelled");
}

#[test]
fn cancel_002_no_content_after_the_answer() {
    let stage = Stage::new([Reply::stream().gap(std::time::Duration::from_millis(1)).texts(vec!["x"; 3000])]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| update["sessionUpdate"] == "agent_message_chunk");
    stage.client.cancel(&stage.session);
    let _ = stage.client.wait(&pending);
    stage.client.settle();
    let log = stage.client.transcript().since(pending.from);
    let after = log.iter().skip_while(|entry| !entry.answers(&pending.id)).skip(1);
    let late: Vec<_> = after
        .filter_map(|entry| entry.update(&stage.session))
        .filter(|update| update["sessionUpdate"].as_str().is_some_and(|kind| kind.ends_with("_chunk")))
        .collect();
    assert!(late.is_empty(), "{late:#?}");
}

#[test]
fn config_001_current_values_are_among_the_values() {
    let stage = Stage::new([]);
    let options = config_options(&stage.client.new_session_in(&stage.sandbox.project()));
    assert!(!options.is_empty(), "no options");
    for option in options.iter().filter(|option| option["type"] == "select") {
        let listed = values(option);
        assert!(listed.contains(&option["currentValue"]), "{option:#}");
    }
}

#[test]
fn config_002_setting_one_answers_the_whole_list() {
    let stage = Stage::new([]);
    let opened = stage.client.new_session_in(&stage.sandbox.project());
    let options = config_options(&opened);
    for option in options.iter().filter(|option| option["type"] == "select") {
        let last = values(option).pop().unwrap_or_default();
        let params = json!({ "sessionId": opened["sessionId"], "configId": option["id"], "value": last });
        let answered = config_options(&stage.client.ok("session/set_config_option", &params));
        assert_eq!(answered.len(), options.len());
        let set = answered.iter().find(|other| other["id"] == option["id"]);
        assert_eq!(set.map(|set| &set["currentValue"]), Some(&last));
    }
}

#[test]
fn config_003_no_booleans_for_a_client_that_cannot() {
    let stage = Stage::new([]);
    let options = config_options(&stage.client.new_session_in(&stage.sandbox.project()));
    assert!(options.iter().all(|option| option["type"] != "boolean"), "{options:#?}");
}

fn config_options(result: &Value) -> Vec<Value> {
    result["configOptions"].as_array().cloned().unwrap_or_default()
}

/// The values of a select option, grouped or not.
fn values(option: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for entry in option["options"].as_array().into_iter().flatten() {
        match entry["options"].as_array() {
            Some(group) => found.extend(group.iter().map(|entry| entry["value"].clone())),
            None => found.push(entry["value"].clone()),
        }
    }
    found
}

#[test]
fn modes_001_the_current_mode_is_among_the_modes() {
    let stage = Stage::new([]);
    let modes = stage.client.new_session_in(&stage.sandbox.project())["modes"].clone();
    let ids: Vec<_> = modes["availableModes"].as_array().into_iter().flatten().map(|mode| &mode["id"]).collect();
    for id in ["ask", "accept-edits", "plan", "full"] {
        assert!(ids.contains(&&json!(id)), "no `{id}` among {ids:?}");
    }
    assert_eq!(modes["currentModeId"], "ask");
}

#[test]
fn modes_002_every_mode_can_be_set() {
    let stage = Stage::new([]);
    for mode in ["plan", "full", "accept-edits", "ask"] {
        stage.mode(mode);
    }
}

#[test]
fn auth_001_there_is_a_method_and_ids_are_unique() {
    for capabilities in [json!({}), json!({ "auth": { "terminal": true } })] {
        let methods = auth_methods(&initialized(&capabilities));
        let of_agent = methods.iter().filter(|method| method.get("type").is_none_or(|kind| kind == "agent"));
        assert!(of_agent.count() >= 1, "{methods:#?}");
        let mut ids: Vec<String> = methods.iter().map(|method| method["id"].to_string()).collect();
        ids.sort();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "{methods:#?}");
    }
}

#[test]
fn auth_002_no_terminal_login_for_a_client_that_cannot() {
    let methods = auth_methods(&initialized(&json!({})));
    assert!(methods.iter().all(|method| method["type"] != "terminal"), "{methods:#?}");
}

#[test]
fn auth_003_after_authenticate_sessions_open() {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    let client = Client::spawn(&sandbox);
    let methods = auth_methods(&client.initialize(&json!({})));
    let method = methods.iter().find(|method| method.get("type").is_none_or(|kind| kind == "agent"));
    client.ok("authenticate", &json!({ "methodId": method.expect("a method")["id"] }));
    client.new_session(&sandbox);
}

#[test]
fn auth_004_logout_succeeds_where_offered() {
    let client = Client::spawn(&Sandbox::new());
    let result = client.initialize(&json!({}));
    if result["agentCapabilities"]["auth"]["logout"].is_object() {
        client.ok("logout", &json!({}));
    }
}

#[test]
fn auth_005_an_unknown_method_is_refused() {
    let stage = Stage::new([]);
    assert_eq!(
        stage.client.call("authenticate", &json!({ "methodId": "palm-reading" })).expect_err("unknown").code,
        -32602
    );
}

fn asks_nothing(prefix: &str) {
    let stage = full_turn(&json!({}));
    let asked: Vec<_> = stage
        .client
        .transcript()
        .since(0)
        .into_iter()
        .filter(|entry| entry.way == Way::FromAgent)
        .filter(|entry| entry.message["method"].as_str().is_some_and(|method| method.starts_with(prefix)))
        .collect();
    assert!(asked.is_empty(), "{asked:#?}");
}

#[test]
fn clientcap_001_no_file_requests_to_a_client_without_files() {
    asks_nothing("fs/");
}

#[test]
fn clientcap_002_no_terminal_requests_to_a_client_without_terminals() {
    asks_nothing("terminal/");
}

#[test]
fn clientcap_003_no_forms_to_a_client_without_forms() {
    asks_nothing("elicitation/");
}

#[test]
fn ext_001_unknown_extension_requests_are_answered() {
    let stage = Stage::new([]);
    assert_eq!(stage.client.call("_vendor/unheard_of", &json!({})).expect_err("unknown").code, -32601);
}

/// A stage whose session has one finished turn and is not open.
fn stored() -> Stage {
    let stage = Stage::new([Reply::say("the answer")]);
    stage.prompt("the question");
    stage.restart()
}

fn capabilities(stage: &Stage) -> Value {
    let log = stage.client.transcript().since(0);
    log.iter()
        .find(|entry| entry.way == Way::FromAgent)
        .map(|entry| entry.message["result"]["agentCapabilities"].clone())
        .unwrap_or_default()
}

#[test]
fn load_001_a_session_loads() {
    let stage = stored();
    assert_eq!(capabilities(&stage)["loadSession"], true);
    stage.load();
}

#[test]
fn load_002_the_replay_comes_before_the_answer_and_nothing_after() {
    let stage = stored();
    let start = stage.client.transcript().len();
    let loaded = stage.load();
    assert!(!loaded.of_kind("user_message_chunk").is_empty() && loaded.text() == "the answer", "{loaded:#?}");
    stage.client.settle();
    let log = stage.client.transcript().since(start);
    let answered = log.iter().position(|entry| entry.way == Way::FromAgent && entry.message.get("result").is_some());
    let late = log.iter().skip(answered.unwrap_or_default()).filter_map(|entry| entry.update(&stage.session));
    let late: Vec<_> = late.filter(|update| update["sessionUpdate"] != "available_commands_update").collect();
    assert!(late.is_empty(), "{late:#?}");
}

#[test]
fn load_003_the_answer_is_an_object() {
    assert!(stored().load().reply.is_ok_and(|answer| answer.is_object()));
}

#[test]
fn resume_001_a_session_resumes_where_offered() {
    let stage = stored();
    if capabilities(&stage)["sessionCapabilities"]["resume"].is_object() {
        stage.client.ok("session/resume", &json!({ "sessionId": stage.session, "cwd": stage.sandbox.project() }));
        stage.server.push(Reply::say("more"));
        assert_eq!(stage.prompt("go on").text(), "more");
    }
}

#[test]
fn resume_002_nothing_is_replayed() {
    let stage = stored();
    if capabilities(&stage)["sessionCapabilities"]["resume"].is_object() {
        stage.client.ok("session/resume", &json!({ "sessionId": stage.session, "cwd": stage.sandbox.project() }));
        stage.client.settle();
        let updates = stage.client.updates(&stage.session);
        let chunks = updates
            .iter()
            .filter(|update| update["sessionUpdate"].as_str().is_some_and(|kind| kind.ends_with("_chunk")));
        assert_eq!(chunks.count(), 0);
    }
}

fn listed(stage: &Stage, params: &Value) -> Vec<Value> {
    stage.client.ok("session/list", params)["sessions"].as_array().cloned().expect("an array of sessions")
}

#[test]
fn list_001_sessions_of_earlier_processes_are_listed() {
    let stage = stored();
    assert!(capabilities(&stage)["sessionCapabilities"]["list"].is_object());
    let sessions = listed(&stage, &json!({}));
    assert_eq!(sessions[0]["sessionId"], json!(stage.session), "{sessions:#?}");
    assert!(sessions[0]["title"].is_string() && sessions[0]["updatedAt"].is_string(), "{sessions:#?}");
}

#[test]
fn list_002_a_directory_filters() {
    let stage = stored();
    assert_eq!(listed(&stage, &json!({ "cwd": stage.sandbox.project() })).len(), 1);
    assert_eq!(listed(&stage, &json!({ "cwd": stage.sandbox.home() })).len(), 0);
}

#[test]
fn delete_001_a_deleted_session_is_not_listed() {
    let stage = stored();
    assert!(capabilities(&stage)["sessionCapabilities"]["delete"].is_object());
    stage.client.ok("session/delete", &json!({ "sessionId": stage.session }));
    assert_eq!(listed(&stage, &json!({})).len(), 0);
}

#[test]
fn delete_002_deleting_what_is_not_there_succeeds() {
    let stage = Stage::new([]);
    stage.client.ok("session/delete", &json!({ "sessionId": "no-such-session" }));
}

#[test]
fn close_001_a_session_closes() {
    let stage = Stage::new([]);
    assert!(capabilities(&stage)["sessionCapabilities"]["close"].is_object());
    stage.client.ok("session/close", &json!({ "sessionId": stage.session }));
}

#[test]
fn close_002_what_runs_in_it_answers_cancelled() {
    let stage = Stage::new([Reply::stream().text("one").hang()]);
    let pending = stage.client.start_prompt(&stage.session, "go");
    stage.client.wait_update(&stage.session, pending.from, |update| update["content"]["text"] == "one");
    stage.client.ok("session/close", &json!({ "sessionId": stage.session }));
    assert_eq!(stage.client.turn(&stage.session, &pending).stop_reason(), "cancelled");
}

#[test]
fn adddirs_001_more_directories_are_accepted_where_offered() {
    let stage = Stage::new([]);
    if capabilities(&stage)["sessionCapabilities"]["additionalDirectories"].is_object() {
        let params = json!({
            "cwd": stage.sandbox.project(), "mcpServers": [], "additionalDirectories": [stage.sandbox.home()],
        });
        stage.client.ok("session/new", &params);
    }
}

/// Sends one content block where the agent says it takes such blocks.
fn accepts(capability: &str, block: &Value) {
    let stage = Stage::new([Reply::say("ok")]);
    if capabilities(&stage)["promptCapabilities"][capability] == true {
        let params = json!({ "sessionId": stage.session, "prompt": [{ "type": "text", "text": "see" }, block] });
        stage.client.ok("session/prompt", &params);
    }
}

#[test]
fn promptcap_001_images() {
    let pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    accepts("image", &json!({ "type": "image", "data": pixel, "mimeType": "image/png" }));
}

#[test]
fn promptcap_002_audio() {
    accepts("audio", &json!({ "type": "audio", "data": "UklGRg==", "mimeType": "audio/wav" }));
}

#[test]
fn promptcap_003_embedded_context() {
    let resource = json!({ "uri": "file:///notes.md", "mimeType": "text/markdown", "text": "# Notes" });
    accepts("embeddedContext", &json!({ "type": "resource", "resource": resource }));
}

#[test]
fn meta_001_meta_is_tolerated_everywhere() {
    let sandbox = Sandbox::new();
    let client = Client::spawn(&sandbox);
    let meta =
        json!({ "traceparent": "00-80e1afed08e019fc1110464cfa66635c-7a085853722dc6d2-01", "vendor": { "a": [1] } });
    client.ok("initialize", &json!({ "protocolVersion": 1, "clientCapabilities": { "_meta": meta }, "_meta": meta }));
    client.ok("session/new", &json!({ "cwd": sandbox.project(), "mcpServers": [], "_meta": meta }));
}

#[test]
fn error_001_messages_have_one_line() {
    let stage = Stage::new([]);
    for (method, params) in [
        ("session/new", json!({ "cwd": "relative", "mcpServers": [] })),
        ("session/prompt", json!({})),
        ("nonsense", json!({})),
        ("session/load", json!({ "sessionId": "nope", "cwd": "/", "mcpServers": [] })),
    ] {
        let error = stage.client.call(method, &params).expect_err("wrong");
        assert!(!error.message.is_empty() && !error.message.contains('\n'), "{error:?}");
    }
}

#[test]
fn shutdown_001_the_agent_leaves_when_stdin_closes() {
    let stage = full_turn(&json!({}));
    stage.permission(Permission::AllowOnce);
    let Stage { client, .. } = stage;
    client.finish();
}
