//! Sessions, prompts and the ends of runs.

use crow_acp::*;
use serde_json::json;

use crate::support::*;

fn everything(world: &World) -> String {
    let requests = world.model.requests.lock().unwrap();
    requests.last().unwrap().messages.iter().map(Message::text).collect::<Vec<_>>().join("\n---\n")
}

#[tokio::test]
async fn what_they_print_reaches_the_model_behind_the_prompt() {
    let world = World::new(&[
        ("SessionStart", "startup", "echo the branch is main"),
        ("SessionStart", "resume", "echo wrong"),
        ("UserPromptSubmit", "", "cat > $CLAUDE_PROJECT_DIR/in; echo it is late"),
    ])
    .await;
    let session = world.session().await;
    world.run(&session, vec![]).await;
    let seen = everything(&world);
    assert!(seen.starts_with("hi\n---\n"), "{seen}");
    assert!(seen.contains("the branch is main") && seen.contains("it is late") && !seen.contains("wrong"), "{seen}");
    assert!(world.read("project/in").contains("\"prompt\":\"hi\""));
    world.run(&session, vec![]).await;
    assert_eq!(everything(&world).matches("the branch is main").count(), 1, "a session starts once");
}

#[tokio::test]
async fn a_prompt_can_be_refused() {
    let world = World::new(&[("UserPromptSubmit", "", "grep -q hi && { echo 'say please' >&2; exit 2; }")]).await;
    let session = world.session().await;
    let outcome = world.run(&session, vec![]).await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    assert!(outcome.error.unwrap().to_string().contains("say please"));
    assert!(session.messages().is_empty());
}

#[tokio::test]
async fn what_ran_can_be_commented_on() {
    let allow = says(json!({ "permissionDecision": "allow" }));
    let world = World::new(&[
        ("PreToolUse", "", &allow),
        ("PostToolUse", "Bash", "cat > $CROW_PROJECT_DIR/in; echo 'format it' >&2; exit 2"),
        ("PostToolUse", "Bash", r#"echo '{ "hookSpecificOutput": { "additionalContext": "and lint it" } }'"#),
    ])
    .await;
    let read = world.call("terminal", json!({ "command": "ls" })).await;
    assert!(read.starts_with("it ran\n") && read.contains("format it") && read.contains("and lint it"), "{read}");
    let told: serde_json::Value = serde_json::from_str(&world.read("project/in")).unwrap();
    assert_eq!(told["tool_response"]["stdout"], "it ran");
}

#[tokio::test]
async fn a_command_ends_the_run() {
    let world =
        World::new(&[("PreToolUse", "", r#"echo '{ "continue": false, "stopReason": "enough for today" }'"#)]).await;
    let session = world.session().await;
    let outcome =
        world.run(&session, vec![Does::Call("terminal", json!({ "command": "ls" })), Does::Say("more")]).await;
    assert_eq!((outcome.stop_reason, outcome.turns), (StopReason::EndTurn, 2));
    assert_eq!(world.model.requests.lock().unwrap().len(), 1, "the model was not asked again");
    assert!(world.told().contains("enough for today"));
    // That was this run; the next is another.
    std::fs::remove_file(world.path("home/hooks.json")).unwrap();
    world.run(&session, vec![Does::Say("hello")]).await;
    assert_eq!(world.model.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn stop_commands_keep_a_run_going_but_not_for_ever() {
    let command = r#"cat >> $CROW_PROJECT_DIR/in; echo '{ "decision": "block", "reason": "the tests fail" }'"#;
    let world = World::with("stop_limit = 2", &[("Stop", "", command)]).await;
    let session = world.session().await;
    let outcome = world.run(&session, vec![]).await;
    assert_eq!((outcome.turns, outcome.stop_reason), (3, StopReason::EndTurn));
    assert!(everything(&world).contains("the tests fail"));
    assert!(world.told().contains("2 times"), "the user is told");
    let told = world.read("project/in");
    assert_eq!(told.matches("\"stop_hook_active\":false").count(), 1);
    assert_eq!(told.matches("\"stop_hook_active\":true").count(), 2);
    let again = world.run(&session, vec![]).await;
    assert_eq!(again.turns, 3, "each run has its own limit");
}

#[tokio::test]
async fn failures_of_others_are_told_and_nothing_more() {
    let allow = says(json!({ "permissionDecision": "allow" }));
    let world = World::new(&[
        ("PreToolUse", "", &allow),
        ("PostToolUse", "", "/no/such/program"),
        ("SessionStart", "", "echo oh >&2; exit 1"),
        ("Stop", "", "kill -9 $$"),
    ])
    .await;
    assert_eq!(world.call("terminal", json!({ "command": "ls" })).await, "it ran");
    let told = world.told();
    for part in ["`/no/such/program` could not be started", "ended with exit code 1: oh", "was killed"] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn the_end_of_a_session_is_an_event_and_so_is_waiting_for_the_user() {
    let world = World::new(&[
        ("SessionEnd", "", "cat > $CROW_PROJECT_DIR/end"),
        ("Notification", "permission_prompt", "cat > $CROW_PROJECT_DIR/note"),
    ])
    .await;
    world.agent.plugins().register(Slow(world.path("project/note"))).unwrap();
    let session = world.session().await;
    world.run(&session, vec![Does::Call("terminal", json!({ "command": "ls" }))]).await;
    assert!(world.read("project/note").contains("Crow needs your permission to use Bash"));
    assert!(world.agent.close_session(session.id()).await);
    assert!(world.read("project/end").contains("\"reason\":\"other\""));
}

/// Somebody who decides only once the notification is out.
struct Slow(std::path::PathBuf);

#[hookimpls]
impl CrowHooks for Slow {
    async fn request_permission(&self) -> Permission {
        while !std::fs::read_to_string(&self.0).is_ok_and(|text| text.ends_with('}')) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Permission::Deny { reason: "no".into() }
    }
}

#[tokio::test]
async fn without_files_nothing_happens() {
    let world = World::new(&[]).await;
    let before: Vec<_> = walk(&world);
    assert_eq!(world.call("terminal", json!({ "command": "ls" })).await, "denied: the user was not asked");
    assert_eq!(walk(&world), before);
    assert_eq!(world.told(), "");
}

fn walk(world: &World) -> Vec<std::path::PathBuf> {
    let list = |name: &str| std::fs::read_dir(world.path(name)).unwrap().map(|entry| entry.unwrap().path());
    list("home").chain(list("project")).collect()
}

#[tokio::test]
async fn bad_configuration_refuses_the_start() {
    for (line, wanted) in [
        ("timeout = 0", "`timeout`: expected 1 second or more"),
        ("gate_failure = 'maybe'", "plugins.command-hooks.gate_failure"),
        ("time_out = 3", "did you mean `timeout`?"),
    ] {
        let plugins = PluginManager::new();
        plugins.register(crow_plugin_command_hooks::plugin()).unwrap();
        let config = Config::from_toml("/home/me/.crow", &format!("[plugins.command-hooks]\n{line}\n")).unwrap();
        let error = Agent::new(config, plugins).await.unwrap_err().to_string();
        assert!(error.contains("config.toml:2: ") && error.contains(wanted), "{error}");
    }
}
