//! What is asked, and what the answer does.

use std::fs;

use crow_tests::{Permission, Reply};
use serde_json::json;

use crate::stage::Stage;

fn write(stage: &Stage, name: &str) {
    stage.use_tool("write", &json!({ "path": name, "content": "text" }));
}

#[test]
fn an_edit_is_shown_before_it_is_asked_for() {
    let stage = Stage::new([]);
    stage.permission(Permission::AllowOnce);
    write(&stage, "a.txt");
    let asked = stage.client.requests("session/request_permission");
    assert_eq!(asked.len(), 1);
    let params = &asked[0]["params"];
    let kinds: Vec<_> = params["options"].as_array().into_iter().flatten().map(|option| &option["kind"]).collect();
    assert!(kinds.contains(&&json!("allow_once")) && kinds.contains(&&json!("reject_once")), "{kinds:?}");
    let id = &params["toolCall"]["toolCallId"];
    let log = stage.client.transcript().since(0);
    let shown = log.iter().position(|entry| {
        entry
            .update(&stage.session)
            .is_some_and(|update| update["sessionUpdate"] == "tool_call" && &update["toolCallId"] == id)
    });
    let question = log.iter().position(|entry| entry.is_from_agent("session/request_permission"));
    assert!(shown.is_some() && shown < question, "shown at {shown:?}, asked at {question:?}");
}

#[test]
fn a_rejected_edit_does_nothing_and_the_turn_goes_on() {
    let stage = Stage::new([]);
    stage.permission(Permission::RejectOnce);
    stage.server.push(Reply::call("call_1", "write", &json!({ "path": "a.txt", "content": "text" })));
    stage.server.push(Reply::say("understood"));
    let turn = stage.prompt("write");
    assert_eq!((turn.text().as_str(), turn.stop_reason().as_str()), ("understood", "end_turn"));
    assert_eq!(turn.tool_calls()[0]["status"], "failed");
    assert_eq!(stage.sandbox.read("a.txt"), None);
}

#[test]
fn always_is_remembered() {
    let stage = Stage::new([]);
    stage.permission(Permission::AllowAlways);
    write(&stage, "a.txt");
    write(&stage, "b.txt");
    assert_eq!(stage.permissions_asked(), 1);
    assert!(stage.sandbox.read("b.txt").is_some());
}

#[test]
fn once_is_not_remembered() {
    let stage = Stage::new([]);
    stage.permission(Permission::AllowOnce);
    write(&stage, "a.txt");
    write(&stage, "b.txt");
    assert_eq!(stage.permissions_asked(), 2);
}

#[test]
fn accept_edits_asks_for_commands_only() {
    let stage = Stage::new([]);
    stage.mode("accept-edits");
    write(&stage, "a.txt");
    assert_eq!(stage.permissions_asked(), 0);
    stage.use_tool("terminal", &json!({ "command": "true" }));
    assert_eq!(stage.permissions_asked(), 1);
}

#[test]
fn plan_changes_nothing() {
    let stage = Stage::new([]);
    stage.mode("plan");
    write(&stage, "a.txt");
    stage.use_tool("terminal", &json!({ "command": "touch b.txt" }));
    assert_eq!((stage.sandbox.read("a.txt"), stage.sandbox.read("b.txt")), (None, None));
}

#[test]
fn full_asks_nothing_in_the_project() {
    let stage = Stage::new([]);
    stage.mode("full");
    write(&stage, "a.txt");
    stage.use_tool("terminal", &json!({ "command": "touch b.txt" }));
    assert_eq!(stage.permissions_asked(), 0);
    assert!(stage.sandbox.read("a.txt").is_some() && stage.sandbox.read("b.txt").is_some());
}

#[test]
fn what_configures_the_agent_is_always_asked() {
    let stage = Stage::new([]);
    stage.mode("full");
    stage.permission(Permission::RejectOnce);
    let home = stage.sandbox.home().join("config.toml");
    let before = fs::read_to_string(&home).expect("a configuration");
    for path in
        [".crow/config.toml", ".mcp.json", "hooks.json", ".git/hooks/pre-commit", home.to_str().unwrap_or_default()]
    {
        let asked = stage.permissions_asked();
        stage.use_tool("write", &json!({ "path": path, "content": "mine now" }));
        assert_eq!(stage.permissions_asked(), asked + 1, "for {path}");
    }
    assert_eq!(stage.sandbox.read(".crow/config.toml"), None);
    assert_eq!(fs::read_to_string(&home).expect("a configuration"), before);
}

#[test]
fn a_path_outside_the_project_is_not_touched_unasked() {
    let stage = Stage::new([]);
    stage.permission(Permission::RejectOnce);
    let outside = stage.sandbox.root().join("outside.txt");
    fs::write(&outside, "private words").expect("a writable directory");
    for mode in ["ask", "accept-edits"] {
        stage.mode(mode);
        for path in [outside.to_str().unwrap_or_default(), "../outside.txt"] {
            stage.use_tool("write", &json!({ "path": path, "content": "gone" }));
            assert_eq!(fs::read_to_string(&outside).expect("the file"), "private words", "{mode}: {path}");
            stage.use_tool("read", &json!({ "path": path }));
            assert!(!stage.tool_result().contains("private words"), "{mode}: {path}");
        }
    }
    std::os::unix::fs::symlink(stage.sandbox.root(), stage.sandbox.project().join("link")).expect("a link");
    stage.use_tool("read", &json!({ "path": "link/outside.txt" }));
    assert!(!stage.tool_result().contains("private words"), "through a link");
}

#[test]
fn a_mode_change_is_told() {
    let stage = Stage::new([]);
    stage.mode("plan");
    stage.client.settle();
    let updates = stage.client.updates(&stage.session);
    let told = updates.iter().any(|update| {
        (update["sessionUpdate"] == "current_mode_update" && update["currentModeId"] == "plan")
            || update["sessionUpdate"] == "config_option_update"
    });
    assert!(told, "{updates:#?}");
}
