//! The official clients, as they come from their registries, driving the real binary.

use std::{path::Path, process::Output};

use crow_tests::{ModelServer, Reply, Sandbox, binary, deps, finish};
use serde_json::{Value, json};

/// What the model says in the scenario of the drivers.
fn scenario(sandbox_file: &str) -> (ModelServer, Sandbox) {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    sandbox.file(sandbox_file, "one\n");
    let edit = json!({ "path": sandbox_file, "old_text": "one", "new_text": "two" });
    server.when("scenario: edit", Reply::stream().thought("Easy.").text("I edit.").tool_call("call_1", "edit", &edit));
    server.when("scenario: edit", Reply::say("Edited."));
    let write = json!({ "path": "b.txt", "content": "x" });
    server.when("scenario: reject", Reply::call("call_2", "write", &write));
    server.when("scenario: reject", Reply::say("Understood."));
    server.when("scenario: hang", Reply::stream().text("partial").hang());
    server.when("scenario: after", Reply::say("After."));
    server.when("scenario: again", Reply::say("Again."));
    (server, sandbox)
}

fn result(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed:\n{stderr}\n{}", String::from_utf8_lossy(&output.stdout));
    assert!(stderr.is_empty(), "the client complains:\n{stderr}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn check(seen: &Value, sandbox: &Sandbox) {
    let (first, second) = (&seen["first"], &seen["second"]);
    assert_eq!(seen["stderr"], "", "the agent wrote to stderr");
    assert_eq!(first["initialize"]["protocolVersion"], 1);
    assert_eq!(first["initialize"]["agentCapabilities"]["loadSession"], true);
    assert_eq!(first["mode"], "ask");
    let edit = &first["edit"];
    assert_eq!((&edit["stopReason"], &edit["thoughts"]), (&json!("end_turn"), &json!("Easy.")));
    assert_eq!(edit["text"], "I edit.Edited.");
    assert_eq!(edit["tools"][0]["kind"], "edit");
    assert_eq!(edit["tools"][0]["status"], "completed");
    assert_eq!(edit["permissions"].as_array().map(Vec::len), Some(1), "{edit:#}");
    assert_eq!(sandbox.read("a.txt").as_deref(), Some("two\n"));
    assert_eq!(first["reject"]["text"], "Understood.");
    assert_eq!(first["reject"]["tools"][0]["status"], "failed");
    assert_eq!(sandbox.read("b.txt"), None);
    assert_eq!(first["cancelled"]["stopReason"], "cancelled");
    assert_eq!(first["cancelled"]["text"], "partial");
    assert_eq!(first["after"]["text"], "After.");
    assert_eq!(first["listed"], json!([first["sessionId"]]));
    assert_eq!(first["exit"], 0);
    let replay = &second["replay"];
    assert_eq!(replay["tools"].as_array().map(Vec::len), Some(2), "{replay:#}");
    let user = replay["user"].as_str().unwrap_or_default();
    for prompt in ["scenario: edit", "scenario: reject", "scenario: hang", "scenario: after"] {
        assert!(user.contains(prompt), "{replay:#}");
    }
    assert!(second["answer"].is_object(), "{second:#}");
    assert_eq!(second["again"]["text"], "Again.");
    assert_eq!(second["exit"], 0);
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn typescript() {
    let (_server, sandbox) = scenario("a.txt");
    let (driver, modules) = (path(&deps::driver("drive.mjs")), path(&deps::node_modules()));
    let args = [&driver, &modules, &path(&sandbox.project()), &path(&binary()), "acp"];
    let output = finish(sandbox.command_for(Path::new("node"), &args), "the TypeScript client");
    check(&result(&output), &sandbox);
}

#[test]
fn python() {
    let (_server, sandbox) = scenario("a.txt");
    let args = [&path(&deps::driver("drive.py")), &path(&sandbox.project()), &path(&binary()), "acp"];
    let output = finish(sandbox.command_for(&deps::python(), &args), "the Python client");
    let seen = result(&output);
    assert_eq!(seen["complaints"], json!([]));
    check(&seen, &sandbox);
}

#[test]
fn acpx() {
    let server = ModelServer::with([
        Reply::call("call_1", "read", &json!({ "path": "notes.txt" })),
        Reply::say("It says forty-two."),
    ]);
    let sandbox = Sandbox::with_model(&server);
    sandbox.file("notes.txt", "forty-two");
    let agent = format!("{} acp", path(&binary()));
    let script = path(&deps::acpx());
    let args = [
        &script,
        "--agent",
        &agent,
        "--cwd",
        &path(&sandbox.project()),
        "--approve-all",
        "exec",
        "what do the notes say?",
    ];
    let output = finish(sandbox.command_for(Path::new("node"), &args), "acpx");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("It says forty-two."), "{said}");
    assert!(server.wait_requests(2).text().contains("forty-two"));
}
