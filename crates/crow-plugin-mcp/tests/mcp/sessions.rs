//! Sessions and their servers: who has which, who shares, and when they end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crow_acp::{McpTransport, Secret, Update};
use serde_json::{Value, json};

use crate::support::{Stage, eventually, is_alive, tools};

fn starts(log: &str) -> usize {
    log.matches("start ").count()
}

fn id_of<'a>(log: &'a str, what: &str) -> &'a str {
    log.lines().find_map(|line| line.strip_prefix(what)).expect("a process id").trim()
}

#[tokio::test]
async fn a_session_is_made_without_waiting_and_its_first_request_has_the_tools() {
    let stage = Stage::new("").await;
    let begun = Instant::now();
    let session = stage.session(vec![stage.odd("late")]).await;
    assert!(begun.elapsed() < Duration::from_millis(900), "the server needs a second alone");
    assert!(tools(&session).is_empty());
    stage.prompt(&session, "hi").await;
    let offered = stage.script.offered.lock().unwrap().remove(0);
    assert!(offered.contains(&"mcp__late__echo".to_owned()), "{offered:?}");
}

#[tokio::test]
async fn tools_that_come_late_come_all_the_same() {
    let stage = Stage::new("[plugins.mcp]\nwait_seconds = 0").await;
    let session = stage.session(vec![stage.odd("late")]).await;
    stage.prompt(&session, "hi").await;
    assert!(stage.script.offered.lock().unwrap().remove(0).is_empty());
    eventually("the tools", || !tools(&session).is_empty()).await;
    stage.prompt(&session, "hi").await;
    assert!(!stage.script.offered.lock().unwrap().remove(0).is_empty());
}

#[tokio::test]
async fn sessions_that_want_the_same_share_it_until_the_last_is_closed() {
    let stage = Stage::new("").await;
    let one = stage.session(vec![stage.odd("family")]).await;
    let two = stage.session(vec![stage.odd("family")]).await;
    for session in [&one, &two] {
        assert_eq!(stage.call(session, "mcp__family__echo", json!({ "text": "x" })).await.text, "echo: x");
    }
    let log = stage.logged();
    assert_eq!(starts(&log), 1, "{log}");
    let (server, child) = (id_of(&log, "start "), id_of(&log, "child "));
    stage.agent.close_session(one.id()).await;
    assert!(is_alive(server));
    assert_eq!(stage.call(&two, "mcp__family__echo", json!({ "text": "y" })).await.text, "echo: y");
    stage.agent.close_session(two.id()).await;
    assert!(!is_alive(server), "the last session is closed");
    eventually("what it started ends, too", || !is_alive(child)).await;
    assert!(stage.logged().contains("end of input"), "it could take its leave");
}

#[tokio::test]
async fn different_settings_are_different_servers() {
    let stage = Stage::new("").await;
    let mut other = stage.odd("echo");
    other.name = "other".into();
    if let McpTransport::Stdio { env, .. } = &mut other.transport {
        env.insert("TOKEN".into(), Secret::new("sk-12345678"));
    }
    let session = stage.session(vec![stage.odd("echo"), other]).await;
    let env = stage.call(&session, "mcp__other__env", json!({})).await.text;
    let env: BTreeMap<String, Value> = serde_json::from_str(&env).unwrap();
    assert_eq!(env["TOKEN"], "sk-12345678");
    // Cargo sets this for tests; a server does not get what is ours.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok() && !env.contains_key("CARGO_MANIFEST_DIR"));
    assert_eq!(starts(&stage.logged()), 2);
    assert!(!stage.logged().contains("no roots"));
}

#[tokio::test]
async fn everything_ends_with_the_agent_even_what_will_not() {
    let stage = Stage::new("").await;
    let session = stage.session(vec![stage.odd("stubborn"), stage.odd("family")]).await;
    stage.prompt(&session, "hi").await;
    let log = stage.logged();
    let ids: Vec<&str> =
        log.lines().filter_map(|line| line.strip_prefix("start ").or(line.strip_prefix("child "))).collect();
    assert_eq!(ids.len(), 3, "{log}");
    stage.agent.shutdown().await;
    for id in ids {
        eventually("a process ends", || !is_alive(id)).await;
    }
}

#[tokio::test]
async fn a_server_that_gets_new_tools_gives_them_to_the_session() {
    let stage = Stage::new("").await;
    let session = stage.session(vec![stage.odd("echo")]).await;
    stage.call(&session, "mcp__echo__grow", json!({})).await;
    eventually("the new tool", || tools(&session).contains(&"mcp__echo__grown_5".to_owned())).await;
    let told = |update: &Update| matches!(update, Update::Commands(_));
    assert!(stage.viewer.0.lock().unwrap().iter().any(told));
}

#[tokio::test]
async fn prompts_are_commands() {
    let stage = Stage::new("").await;
    let session = stage.session(vec![stage.odd("echo")]).await;
    stage.prompt(&session, "hi").await;
    let commands = session.commands();
    let command = commands.iter().find(|command| command.name == "echo:review").expect("a command");
    assert_eq!((command.description.as_str(), command.hint.as_deref()), ("Review something", Some("what [how]")));
    stage.prompt(&session, "/echo:review \"this file\" with care").await;
    let asked = stage.script.prompts.lock().unwrap().last().cloned();
    assert_eq!(asked.as_deref(), Some("Review {\"how\": \"with care\", \"what\": \"this file\"}"));
    let outcome = stage.prompt(&session, "/echo:review").await;
    let told = format!("{outcome:?} {}", stage.said());
    assert!(told.contains("`what` is missing"), "{told}");
}

#[tokio::test]
async fn servers_of_the_configuration() {
    let config = [
        Stage::odd_section("mine", "echo"),
        Stage::odd_section("off", "echo") + "disabled = true\n",
        Stage::odd_section("few", "echo") + "tools = [\"echo\"]\n",
        Stage::odd_section("poor", "echo") + "env = { KEY = \"${NOT_SET}\" }\n",
        Stage::odd_section("theirs", "echo"),
        "[plugins.mcp.servers.unwanted]\ndisabled = true\n".to_owned(),
    ];
    let stage = Stage::new(&config.concat()).await;
    let (mut theirs, mut unwanted) = (stage.odd("bare"), stage.odd("echo"));
    theirs.name = "theirs".into();
    unwanted.name = "unwanted".into();
    let session = stage.session(vec![theirs, unwanted]).await;
    assert_eq!(stage.call(&session, "mcp__mine__echo", json!({ "text": "x" })).await.text, "echo: x");
    let names = tools(&session);
    let of = |server: &str| names.iter().filter(|name| name.starts_with(&format!("mcp__{server}__"))).count();
    assert_eq!((of("mine"), of("off"), of("few"), of("poor"), of("theirs"), of("unwanted")), (5, 0, 1, 0, 1, 0));
    let said = stage.mcp(&session, "").await;
    assert!(said.contains("**poor** (from the configuration): **cannot be used**"), "{said}");
    assert!(said.contains("`NOT_SET` is not set"), "{said}");
    assert!(said.contains("**theirs** (from the client)"), "{said}");
}

#[tokio::test]
async fn without_a_client_nothing_starts_before_there_is_something_to_do() {
    let stage = Stage::new("").await;
    // A second agent with nobody at its other end.
    let plugins = crow_acp::PluginManager::new();
    plugins.register(crow_plugin_mcp::plugin()).unwrap();
    let config = crow_acp::Config::from_toml(stage.base.join("home"), "").unwrap();
    let agent = crow_acp::Agent::new(config, plugins).await.unwrap();
    let mut setup = crow_acp::NewSession::new(&stage.cwd);
    setup.mcp_servers = vec![stage.odd("echo")];
    agent.new_session(setup).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.logged(), "");
}

#[tokio::test]
async fn mcp_says_what_there_is() {
    let stage = Stage::new("").await;
    let nothing = stage.session(Vec::new()).await;
    let said = stage.mcp(&nothing, "").await;
    assert!(said.contains("There are no MCP servers"), "{said}");
    let session = stage.session(vec![stage.odd("echo")]).await;
    stage.prompt(&session, "hi").await;
    let said = stage.mcp(&session, "echo").await;
    assert!(said.contains("`mcp__echo__echo`: does echo"), "{said}");
    let said = stage.mcp(&session, "nobody").await;
    assert!(said.contains("there is no MCP server `nobody` here; there are: `echo`"), "{said}");
    let said = stage.mcp(&session, "restart and more").await;
    assert!(said.contains("`/mcp restart NAME` starts one anew"), "{said}");
}
