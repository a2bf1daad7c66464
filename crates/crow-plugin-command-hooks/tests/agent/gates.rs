//! What waits for a command's leave.

use std::time::Duration;

use crow_acp::*;
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn exit_code_2_blocks_and_the_model_reads_why() {
    let world = World::new(&[("PreToolUse", "Bash", "cat > $CROW_PROJECT_DIR/in; echo 'not today' >&2; exit 2")]).await;
    let read = world.call("terminal", json!({ "command": "ls", "timeout_seconds": 2 })).await;
    assert!(read.contains("not today"), "{read}");
    assert_eq!(world.called(), []);
    let told: serde_json::Value = serde_json::from_str(&world.read("project/in")).unwrap();
    assert_eq!(told["hook_event_name"], "PreToolUse");
    assert_eq!(told["tool_name"], "Bash");
    assert_eq!(told["tool_input"], json!({ "command": "ls", "timeout": 2000 }));
    assert_eq!(told["cwd"], world.path("project").to_str().unwrap());
    assert!(told["session_id"].is_string() && told["permission_mode"] == "default");
}

#[tokio::test]
async fn other_tools_are_not_its_business() {
    let world = World::new(&[("PreToolUse", "Edit|Write", "exit 2")]).await;
    assert_eq!(world.call("terminal", json!({ "command": "ls" })).await, "denied: the user was not asked");
    let read = world.call("edit", json!({ "path": "a" })).await;
    assert!(read.contains("blocked by the hook `exit 2`"), "{read}");
}

#[tokio::test]
async fn arguments_are_rewritten_and_the_question_spared() {
    let command = says(json!({ "permissionDecision": "allow", "updatedInput": { "command": "ls -l" } }));
    let world = World::new(&[("PreToolUse", "Bash", &command)]).await;
    assert_eq!(world.call("terminal", json!({ "command": "ls", "timeout_seconds": 2 })).await, "it ran");
    assert_eq!(world.called(), [("terminal".into(), json!({ "command": "ls -l", "timeout_seconds": 2 }))]);
}

#[tokio::test]
async fn what_every_mode_asks_about_is_asked_about_all_the_same() {
    let command = says(json!({ "permissionDecision": "allow" }));
    let world = World::new(&[("PreToolUse", "", &command)]).await;
    for (tool, arguments) in [
        ("terminal", json!({ "command": "rm .git/hooks/x" })),
        ("terminal", json!({ "command": format!("cat {}", world.path("home/x").display()) })),
        ("edit", json!({ "path": ".crow/config.toml" })),
        ("edit", json!({ "path": "../elsewhere" })),
        ("edit", json!({ "nothing": "known" })),
    ] {
        assert_eq!(world.call(tool, arguments.clone()).await, "denied: the user was not asked", "{arguments}");
    }
    assert_eq!(world.call("edit", json!({ "path": "src/a" })).await, "it ran");
}

#[tokio::test]
async fn a_command_may_want_the_user_to_be_asked() {
    let command = says(json!({ "permissionDecision": "ask", "permissionDecisionReason": "it is late" }));
    let world = World::new(&[("PreToolUse", "", &command)]).await;
    *world.user.answer.lock().unwrap() = "allow_once";
    assert_eq!(world.call("terminal", json!({ "command": "ls" })).await, "it ran");
    *world.user.answer.lock().unwrap() = "reject_once";
    assert!(world.call("terminal", json!({ "command": "ls" })).await.contains("the user rejected this call"));
    assert_eq!(*world.user.asked.lock().unwrap(), ["terminal (it is late)", "terminal (it is late)"]);
}

#[tokio::test]
async fn a_gate_that_cannot_be_run_stays_shut() {
    let late = World::with("timeout = 1", &[]).await;
    std::fs::write(
        late.path("home/hooks.json"),
        r#"{ "hooks": { "PreToolUse": [ { "hooks": [ { "command": "sleep 60" } ] } ] } }"#,
    )
    .unwrap();
    let read = late.call("terminal", json!({ "command": "ls" })).await;
    assert!(read.contains("took longer than 1 s") && read.contains("stays shut"), "{read}");

    for command in ["/no/such/program", "kill -9 $$", "echo '{ nonsense'", "echo '{\"decision\": \"maybe\"}'"] {
        let shut = World::new(&[("PreToolUse", "", command)]).await;
        let read = shut.call("terminal", json!({ "command": "ls" })).await;
        assert!(read.contains("stays shut"), "{command}: {read}");
        let open = World::with("gate_failure = 'allow'", &[("PreToolUse", "", command)]).await;
        assert_eq!(open.call("terminal", json!({ "command": "ls" })).await, "denied: the user was not asked");
        assert!(open.told().contains("the hook `"), "{command}");
    }
}

#[tokio::test]
async fn more_output_than_is_read_is_no_answer() {
    let command = r#"printf '{"systemMessage": "'; head -c 5000 /dev/zero | tr '\0' x; echo '"}'"#;
    let world = World::with("output_limit = 1000", &[("PreToolUse", "", command)]).await;
    let read = world.call("terminal", json!({ "command": "ls" })).await;
    assert!(read.contains("said more than is read"), "{read}");
}

#[tokio::test]
async fn a_broken_file_of_the_users_leaves_every_gate_shut() {
    let world = World::new(&[]).await;
    std::fs::write(world.path("home/hooks.json"), "{").unwrap();
    let session = world.session().await;
    let outcome = world.run(&session, vec![]).await;
    let error = outcome.error.unwrap().to_string();
    assert!(error.contains("hooks.json: EOF") && error.contains("stays shut"), "{error}");
    assert!(world.model.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn all_commands_of_an_event_run_at_once_and_one_no_is_enough() {
    // Each waits for the other: one after the other would take until the time limit.
    let meet = |own: &str, other: &str, code: u8| {
        let place = "$CROW_PROJECT_DIR";
        format!("touch {place}/{own}; until [ -e {place}/{other} ]; do sleep 0.02; done; echo {own} >&2; exit {code}")
    };
    let world = World::new(&[("PreToolUse", "", &meet("a", "b", 0)), ("PreToolUse", "*", &meet("b", "a", 2))]).await;
    assert_eq!(world.call("terminal", json!({ "command": "ls" })).await, "denied: b");
}

#[tokio::test]
async fn a_cancel_kills_what_runs() {
    let world = World::new(&[("PreToolUse", "", "sleep 600 & echo $! > $CROW_PROJECT_DIR/pid; wait")]).await;
    let session = world.session().await;
    let pid = world.path("project/pid");
    let run = world.run(&session, vec![Does::Call("terminal", json!({ "command": "ls" }))]);
    let cancel = async {
        while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        session.cancel();
    };
    let (outcome, ()) = tokio::join!(run, cancel);
    assert_eq!(outcome.stop_reason, StopReason::Cancelled);
    let pid: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    for _ in 0..400 {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the sleep lives on");
}

#[tokio::test]
async fn compaction_can_be_vetoed() {
    let world = World::new(&[("PreCompact", "manual", "cat > $CROW_PROJECT_DIR/in; echo later >&2; exit 2")]).await;
    let session = world.session().await;
    world.run(&session, vec![]).await;
    let trigger = CompactTrigger::Asked { focus: Some("the tests".into()) };
    let error = world.agent.compact(&session, trigger).await.unwrap_err().to_string();
    assert!(error.contains("later"), "{error}");
    assert!(world.read("project/in").contains("\"custom_instructions\":\"the tests\""));
    assert!(world.agent.compact(&session, CompactTrigger::Threshold).await.is_ok(), "it is about `manual` ones");
}
