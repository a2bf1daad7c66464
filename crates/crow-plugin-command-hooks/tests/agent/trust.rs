//! What a project brings along is run only when it is trusted, and only as it was then.

use std::fs;

use crow_acp::*;
use serde_json::json;

use crate::support::*;

fn approve(world: &World, session: &Session) {
    let items: Vec<ProjectItem> = world.agent.trust().items(session).into_iter().map(|judged| judged.item).collect();
    world.agent.trust().approve(session, &items).unwrap();
}

#[tokio::test]
async fn a_projects_hooks_are_off_until_trusted_and_off_again_when_they_change() {
    let world = World::new(&[]).await;
    let project = file(&[("PreToolUse", "Bash", "sh \"$CROW_PROJECT_DIR\"/check.sh")]);
    fs::write(world.path("project/.crow/hooks.json"), project).unwrap();
    fs::write(world.path("project/check.sh"), "echo 'says the project' >&2; exit 2").unwrap();
    let claude = file(&[("PreToolUse", "Edit", "echo 'says the other' >&2; exit 2")]);
    fs::write(world.path("project/.claude/settings.json"), claude).unwrap();

    let session = world.session().await;
    let told = world.told();
    for part in ["not trusted", "hook `.crow/hooks.json`", "hook `.claude/settings.json`", "`crow trust`"] {
        assert!(told.contains(part), "{told}");
    }
    let call = async |tool: &'static str| {
        world.run(&session, vec![Does::Call(tool, json!({ "command": "ls", "path": "a" }))]).await;
        last_result(&session)
    };
    assert_eq!(call("terminal").await, "denied: the user was not asked");
    assert_eq!(call("edit").await, "denied: the user was not asked");
    assert_eq!(world.told(), "", "once is enough");

    approve(&world, &session);
    assert_eq!(call("terminal").await, "denied: says the project");
    assert_eq!(call("edit").await, "denied: says the other");

    // The script is as much part of it as the file that names it.
    fs::write(world.path("project/check.sh"), "touch $CROW_PROJECT_DIR/evil; exit 2").unwrap();
    assert_eq!(call("terminal").await, "denied: the user was not asked");
    assert!(!world.path("project/evil").exists());
    assert!(world.told().contains("hook `.crow/hooks.json`"));
    assert_eq!(call("edit").await, "denied: says the other");
}

#[tokio::test]
async fn files_of_other_agents_can_be_left_alone() {
    let world = World::with("claude = false", &[]).await;
    fs::write(world.path("project/.claude/settings.json"), file(&[("Stop", "", "true")])).unwrap();
    let session = world.session().await;
    assert!(world.agent.trust().items(&session).is_empty());
}

#[tokio::test]
async fn the_users_own_file_needs_no_trust_where_it_also_stands_in_the_working_directory() {
    let world = World::new(&[("UserPromptSubmit", "", "echo once")]).await;
    // As in a home directory, where CROW_HOME is `.crow`.
    fs::remove_dir(world.path("project/.crow")).unwrap();
    std::os::unix::fs::symlink(world.path("home"), world.path("project/.crow")).unwrap();
    let session = world.session().await;
    world.run(&session, vec![]).await;
    assert!(world.agent.trust().items(&session).is_empty());
    let texts: String = session.messages().iter().map(Message::text).collect();
    assert_eq!(texts.matches("once").count(), 1);
}

#[tokio::test]
async fn a_broken_file_of_a_projects_stops_nothing() {
    let world = World::new(&[]).await;
    fs::write(world.path("project/.crow/hooks.json"), "{").unwrap();
    let session = world.session().await;
    let outcome = world.run(&session, vec![]).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert!(world.told().contains("the file is ignored"));
}
