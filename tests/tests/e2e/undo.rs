//! What the agent changed comes back.

use crow_tests::{Client, ModelServer, Permission, Reply, Sandbox};
use serde_json::{Value, json};

use crate::stage::Stage;

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn undo_brings_back_what_the_tools_changed_in_the_editor_and_from_outside() {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    sandbox.file("a.txt", "mine\n");
    let stage = Stage::on(server, sandbox);
    stage.permission(Permission::AllowOnce);
    stage.use_tool("edit", &json!({ "path": "a.txt", "old_text": "mine", "new_text": "changed" }));
    stage.use_tool("write", &json!({ "path": "b.txt", "content": "made\n" }));
    assert_eq!(stage.sandbox.read("a.txt").as_deref(), Some("changed\n"));

    let told = stage.prompt("/undo").text();
    assert!(told.contains("deleted `b.txt`"), "{told}");
    assert_eq!((stage.sandbox.read("b.txt"), stage.sandbox.read("a.txt").as_deref()), (None, Some("changed\n")));

    // From outside, and after a change by hand only with force.
    stage.sandbox.file("a.txt", "by hand\n");
    let id = stage.session.clone();
    let listed = stage.sandbox.run(&["sessions", "undo", &id, "--list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let undone: Vec<&Value> = listed["prompts"].as_array().expect("prompts").iter().map(|one| &one["undone"]).collect();
    assert_eq!(undone, [&json!(false), &json!(true)]);
    let output = stage.sandbox.run(&["sessions", "undo", &id]);
    assert!(output.status.code() == Some(1) && text(&output).contains("left `a.txt` alone"), "{}", text(&output));
    let output = stage.sandbox.run(&["sessions", "undo", &id, "--to", "1", "--force"]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(stage.sandbox.read("a.txt").as_deref(), Some("mine\n"));
    let output = stage.sandbox.run(&["sessions", "undo", &id]);
    assert!(output.status.code() == Some(1) && text(&output).contains("nothing to undo"), "{}", text(&output));
    let output = stage.sandbox.run(&["sessions", "undo", &id, "--to", "9"]);
    assert!(output.status.code() == Some(1) && text(&output).contains("no prompt 9"), "{}", text(&output));

    // A session that is loaded again can still be undone.
    stage.use_tool("write", &json!({ "path": "c.txt", "content": "made\n" }));
    let stage = stage.restart();
    stage.client.load_session(&stage.sandbox, &stage.session);
    assert!(stage.prompt("/undo").text().contains("deleted `c.txt`"));
    assert_eq!(stage.sandbox.read("c.txt"), None);
}

#[test]
fn without_an_edit_nothing_is_kept() {
    let server = ModelServer::with([Reply::say("hello")]);
    let sandbox = Sandbox::with_model(&server);
    let client = Client::start(&sandbox);
    let session = client.new_session(&sandbox);
    client.prompt(&session, "hi");
    let told = client.prompt(&session, "/undo").text();
    assert!(told.starts_with("there is nothing to undo"), "what a command says is told as it stands: {told}");
    assert!(!sandbox.home().join("checkpoints").exists());
}
