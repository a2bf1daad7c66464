//! Commands from the user's own `hooks.json`, whatever the entry point.

use crow_tests::{ModelServer, Permission, Reply, Sandbox};
use serde_json::{Value, json};

use crate::stage::Stage;

/// A place in which these commands are run at these events.
fn with_hooks(server: &ModelServer, hooks: &[(&str, &str, &str)]) -> Sandbox {
    let sandbox = Sandbox::with_model(server);
    let mut events = serde_json::Map::new();
    for (event, matcher, command) in hooks {
        let groups = events.entry((*event).to_owned()).or_insert_with(|| json!([]));
        let group = json!({ "matcher": matcher, "hooks": [{ "type": "command", "command": command }] });
        groups.as_array_mut().expect("a list").push(group);
    }
    std::fs::write(sandbox.home().join("hooks.json"), json!({ "hooks": events }).to_string()).expect("hooks.json");
    sandbox
}

#[test]
fn they_deny_and_rewrite_what_the_tools_do() {
    let server = ModelServer::start();
    let rewrite =
        json!({ "hookSpecificOutput": { "permissionDecision": "allow", "updatedInput": { "content": "theirs" } } });
    let sandbox = with_hooks(
        &server,
        &[
            ("PreToolUse", "Bash", "grep -q 'rm ' && { echo 'nothing is removed here' >&2; exit 2; } || exit 0"),
            ("PreToolUse", "Write", &format!("echo '{rewrite}'")),
            ("PostToolUse", "Write", "cat > \"$CLAUDE_PROJECT_DIR\"/seen.json"),
        ],
    );
    let stage = Stage::on(server, sandbox);
    stage.permission(Permission::AllowOnce);
    stage.use_tool("terminal", &json!({ "command": "rm -r ." }));
    assert!(stage.tool_result().contains("nothing is removed here"), "{}", stage.tool_result());
    assert_eq!(stage.permissions_asked(), 0);
    stage.use_tool("terminal", &json!({ "command": "echo fine" }));
    assert!(stage.tool_result().contains("fine"));
    let asked = stage.permissions_asked();
    stage.use_tool("write", &json!({ "path": "a.txt", "content": "the model's" }));
    assert_eq!(stage.sandbox.read("a.txt").as_deref(), Some("theirs"));
    assert_eq!(stage.permissions_asked(), asked, "the command has allowed it");
    let seen: Value = serde_json::from_str(&stage.sandbox.read("seen.json").expect("it ran")).expect("JSON");
    assert_eq!(seen["tool_name"], "Write");
    assert_eq!(
        seen["tool_input"]["file_path"],
        json!(stage.sandbox.project().canonicalize().expect("it is there").join("a.txt"))
    );
    assert_eq!(seen["tool_response"]["success"], true);
}

#[test]
fn they_run_on_the_command_line_too() {
    let server = ModelServer::with([Reply::say("hello")]);
    let sandbox = with_hooks(
        &server,
        &[
            ("SessionStart", "", "echo started >> log"),
            ("UserPromptSubmit", "", "echo asked >> log; echo 'It is late.'"),
            ("Stop", "", "echo stopped >> log"),
            ("SessionEnd", "", "echo ended >> log"),
        ],
    );
    let output = sandbox.run(&["run", "hi"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sandbox.read("log").as_deref(), Some("started\nasked\nstopped\nended\n"));
    assert!(server.wait_requests(1).text().contains("It is late."));
}
