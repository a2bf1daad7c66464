//! Servers that do things wrong: each is survived and named.

use std::time::Duration;

use crow_acp::ToolStatus;
use serde_json::json;

use crate::support::{Stage, eventually, program, tools};

#[tokio::test]
async fn one_that_never_answers_is_named_and_nobody_waits_for_it() {
    let stage = Stage::new("[plugins.mcp]\nconnect_timeout_seconds = 2\nwait_seconds = 1").await;
    let session = stage.session(vec![stage.odd("deaf"), stage.odd("fine")]).await;
    let outcome = stage.call(&session, "mcp__fine__echo", json!({ "text": "hi" })).await;
    assert_eq!((outcome.status, outcome.text.as_str()), (ToolStatus::Completed, "echo: hi"));
    eventually("the notice", || stage.notices().iter().any(|notice| notice.contains("no answer within 2 s"))).await;
    let said = stage.mcp(&session, "").await;
    assert!(said.contains("**deaf** (from the client): **failed**: no answer within 2 s"), "{said}");
    assert!(said.contains("**fine** (from the client): ready (odd fine), 5 tools, 1 prompt"), "{said}");
}

#[tokio::test]
async fn one_that_cannot_start_says_why() {
    let stage = Stage::new("").await;
    let servers =
        vec![stage.odd("exit"), program("absent", "/nowhere/server", [""]), stage.odd("refuse"), stage.odd("echo")];
    let session = stage.session(servers).await;
    stage.call(&session, "mcp__echo__echo", json!({})).await;
    let notices = stage.notices().join("\n");
    assert!(
        notices.contains("`exit` cannot be used: it left with exit code 4 before it answered: Traceback"),
        "{notices}"
    );
    assert!(
        notices.contains("`absent` cannot be used: `/nowhere/server` cannot be started: No such file"),
        "{notices}"
    );
    assert!(notices.contains("`refuse` cannot be used: it refuses us: you are too old"), "{notices}");
}

#[tokio::test]
async fn one_that_dies_is_reported_and_started_once_more_and_not_again() {
    let stage = Stage::new("").await;
    let session = stage.session(vec![stage.odd("mortal")]).await;
    let outcome = stage.call(&session, "mcp__mortal__die", json!({})).await;
    assert_eq!(outcome.status, ToolStatus::Failed);
    assert!(outcome.text.contains("it went away during the call"), "{}", outcome.text);
    eventually("the notice", || !stage.notices().is_empty()).await;
    let notice = stage.notices().remove(0);
    assert!(notice.contains("exit code 3: fatal: the disk is on fire; it is started once more"), "{notice}");
    // The next call finds it alive; the one that failed was not made again.
    let outcome = stage.call(&session, "mcp__mortal__echo", json!({ "text": "again" })).await;
    assert_eq!(outcome.text, "echo: again");
    assert_eq!(stage.logged().matches("call die").count(), 1);

    stage.call(&session, "mcp__mortal__die", json!({})).await;
    eventually("the end", || stage.notices().iter().any(|notice| notice.contains("cannot be used"))).await;
    eventually("its tools go", || tools(&session).is_empty()).await;
    assert_eq!(stage.logged().matches("start ").count(), 2);
    // The user may want it all the same.
    let said = stage.mcp(&session, "restart mortal").await;
    assert!(said.contains("ready"), "{said}");
    assert_eq!(stage.call(&session, "mcp__mortal__echo", json!({ "text": "third" })).await.text, "echo: third");
}

#[tokio::test]
async fn one_of_the_newest_protocol_is_spoken_to_in_it() {
    let stage = Stage::new("").await;
    let session = stage.session(vec![stage.odd("modern")]).await;
    let outcome = stage.call(&session, "mcp__modern__echo", json!({ "text": "hi" })).await;
    assert_eq!(outcome.text, "echo: hi", "{:?}", stage.notices());
}

#[tokio::test]
async fn nonsense_is_passed_over_and_named() {
    let stage = Stage::new("").await;
    let session = stage.session(vec![stage.odd("nonsense")]).await;
    assert_eq!(stage.call(&session, "mcp__nonsense__echo", json!({ "text": "x" })).await.text, "echo: x");
    let said = stage.mcp(&session, "").await;
    assert!(said.contains("remark: it prints what is no MCP message: `Welcome to the server!`"), "{said}");
}

#[tokio::test]
async fn an_answer_that_is_none_fails_its_call_alone() {
    let stage = Stage::new("[plugins.mcp]\ncall_timeout_seconds = 1").await;
    let session = stage.session(vec![stage.odd("nonsense-answer")]).await;
    let outcome = stage.call(&session, "mcp__nonsense-answer__echo", json!({})).await;
    assert_eq!(outcome.status, ToolStatus::Failed);
    assert!(outcome.text.contains("the MCP server `nonsense-answer`: "), "{}", outcome.text);
    let said = stage.mcp(&session, "").await;
    assert!(said.contains("ready"), "{said}");
}

#[tokio::test]
async fn floods_are_survived() {
    let stage = Stage::new("").await;
    for mode in ["flood", "noise", "stderr"] {
        let session = stage.session(vec![stage.odd(mode)]).await;
        let name = format!("mcp__{mode}__echo");
        assert_eq!(stage.call(&session, &name, json!({ "text": "dry" })).await.text, "echo: dry");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let said = stage.mcp(&session, "").await;
        assert_eq!(said.contains("remark: it floods us with messages"), mode != "stderr", "{mode}: {said}");
        stage.agent.close_session(session.id()).await;
    }
}

#[tokio::test]
async fn too_many_tools_and_endless_lists_are_cut() {
    let stage = Stage::new("[plugins.mcp]\nmax_tools = 120").await;
    let session = stage.session(vec![stage.odd("many"), stage.odd("endless")]).await;
    let said = stage.mcp(&session, "restart many").await;
    assert!(said.contains("120 tools") && said.contains("only the first 120 are used"), "{said}");
    let said = stage.mcp(&session, "restart endless").await;
    assert!(said.contains("50 tools") && said.contains("its list of tools has no end"), "{said}");
    assert_eq!(tools(&session).len(), 170);
}

#[tokio::test]
async fn names_are_unique_and_fit_the_model() {
    let stage = Stage::new("").await;
    let session = stage.session(vec![stage.odd("double"), stage.odd("double")]).await;
    stage.prompt(&session, "hi").await;
    let names = tools(&session);
    // Five of each: one name is there twice.
    assert_eq!(names.len(), 10, "{names:?}");
    let unique: std::collections::HashSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    for name in &names {
        assert!(name.len() <= 64, "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{name}");
    }
    assert!(names.contains(&"mcp__double__same".to_owned()) && names.contains(&"mcp__double-2__same".to_owned()));
    let said = stage.mcp(&session, "").await;
    assert!(said.contains("it lists a tool twice: `same`"), "{said}");
}

#[tokio::test]
async fn what_a_server_hints_at_lowers_no_permission() {
    let config = "[plugins.mcp.servers.hints]\nread_only = [\"trusted\"]";
    let stage = Stage::new(config).await;
    let session = stage.session(vec![stage.odd("hints")]).await;
    stage.prompt(&session, "hi").await;
    let read_only = |name: &str| session.tool(name).expect("a tool").read_only;
    assert!(!read_only("mcp__hints__looks"));
    assert!(read_only("mcp__hints__trusted"));
}

#[tokio::test]
async fn a_schema_without_anything_becomes_one_that_models_take() {
    let stage = Stage::new("").await;
    let session = stage.session(vec![stage.odd("bare")]).await;
    stage.prompt(&session, "hi").await;
    let tool = session.tool("mcp__bare__bare").expect("a tool");
    assert_eq!(tool.input_schema, json!({ "type": "object", "properties": {} }));
}

#[tokio::test]
async fn a_long_result_is_cut_and_kept() {
    let stage = Stage::new("[plugins.mcp]\noutput_limit = 2000").await;
    let session = stage.session(vec![stage.odd("large")]).await;
    let outcome = stage.call(&session, "mcp__large__echo", json!({})).await;
    assert!(outcome.text.len() < 2300 && outcome.text.starts_with("begin ") && outcome.text.ends_with(" end"));
    let (_, behind) = outcome.text.split_once("the full text is in ").expect("a file");
    let file = behind.split(" …]").next().expect("a path");
    assert_eq!(std::fs::read_to_string(file).unwrap().chars().count(), "begin  end".len() + 100_000);
}

#[tokio::test]
async fn a_silent_call_is_given_up_after_its_time() {
    let stage = Stage::new("[plugins.mcp.servers.slow]\ncall_timeout_seconds = 1").await;
    let mut server = stage.odd("echo");
    server.name = "slow".into();
    let session = stage.session(vec![server]).await;
    let outcome = stage.call(&session, "mcp__slow__hang", json!({})).await;
    assert_eq!(outcome.status, ToolStatus::Failed);
    assert!(outcome.text.contains("it said nothing for 1 s"), "{}", outcome.text);
    eventually("the server hears of it", || stage.logged().contains("cancelled")).await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_is_cancelled_there_too() {
    let stage = Stage::new("").await;
    let session = stage.session(vec![stage.odd("echo")]).await;
    let run = stage.start(&session, "mcp__echo__hang", json!({}));
    eventually("progress", || stage.shown().iter().any(|text| text == "still at it")).await;
    assert!(stage.shown().contains(&"echo: hang (1 of 4)".to_owned()), "{:?}", stage.shown());
    session.cancel();
    assert_eq!(run.await.unwrap().stop_reason, crow_acp::StopReason::Cancelled);
    eventually("the server hears of it", || stage.logged().contains("cancelled")).await;
    // And is as good as before.
    assert_eq!(stage.call(&session, "mcp__echo__echo", json!({ "text": "x" })).await.text, "echo: x");
}
