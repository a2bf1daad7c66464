//! Servers of others, as they are published: from PyPI and from npm, over stdio and over streamable HTTP. `cargo xtask
//! setup` installs them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crow_acp::{McpServer, McpTransport, StopReason, ToolContent, ToolOutcome, ToolStatus};
use crow_tests::deps;
use serde_json::json;

use crate::support::{Stage, eventually, program, tools};

fn everything() -> McpServer {
    let script = deps::mcp_everything();
    program("everything", "node", [script.display().to_string(), "stdio".into()])
}

/// A server that runs until the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same server at an address.
fn everything_at_an_address() -> (Running, McpServer) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new("node")
        .args([deps::mcp_everything().as_os_str(), "streamableHttp".as_ref()])
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let running = Running(child);
    let listens = lines.any(|line| line.is_ok_and(|line| line.contains("listening")));
    assert!(listens, "it ended");
    std::thread::spawn(move || lines.for_each(drop));
    let transport = McpTransport::Http { url: format!("http://127.0.0.1:{port}/mcp"), headers: BTreeMap::new() };
    (running, McpServer::new("everything", transport))
}

fn ok(outcome: ToolOutcome) -> String {
    assert_eq!(outcome.status, ToolStatus::Completed, "{}", outcome.text);
    outcome.text
}

/// List, call, errors, pictures, structure, progress, cancel: what both transports must do alike.
async fn does_everything(stage: &Stage, server: McpServer) {
    let session = stage.session(vec![server]).await;
    stage.prompt(&session, "hi").await;
    let names = tools(&session);
    assert!(names.contains(&"mcp__everything__echo".to_owned()), "{names:?} {:?}", stage.notices());
    assert_eq!(ok(stage.call(&session, "mcp__everything__echo", json!({ "message": "hello" })).await), "Echo: hello");

    let sum = stage.call(&session, "mcp__everything__get-sum", json!({ "a": 2, "b": 40 })).await;
    assert!(ok(sum).contains("42"));

    let picture = stage.call(&session, "mcp__everything__get-tiny-image", json!({})).await;
    assert!(picture.content.iter().any(|content| matches!(content, ToolContent::Image { .. })), "{picture:?}");
    assert!(picture.text.contains("[a picture, image/png"), "{}", picture.text);

    let weather =
        stage.call(&session, "mcp__everything__get-structured-content", json!({ "location": "New York" })).await;
    assert!(weather.raw_output.as_ref().is_some_and(|raw| raw["temperature"].is_number()), "{weather:?}");

    let links = stage.call(&session, "mcp__everything__get-resource-links", json!({ "count": 2 })).await;
    assert!(ok(links).contains("[the resource "));

    let long = json!({ "duration": 1, "steps": 4 });
    let done = stage.call(&session, "mcp__everything__trigger-long-running-operation", long).await;
    assert!(ok(done).contains("completed"));
    let progress = stage.shown();
    assert!(progress.iter().any(|title| title.ends_with("(3 of 4)")), "{progress:?}");

    let endless = json!({ "duration": 600, "steps": 6000 });
    let run = stage.start(&session, "mcp__everything__trigger-long-running-operation", endless);
    eventually("progress", || stage.shown().iter().any(|title| title.ends_with("of 6000)"))).await;
    session.cancel();
    assert_eq!(run.await.unwrap().stop_reason, StopReason::Cancelled);
    assert_eq!(ok(stage.call(&session, "mcp__everything__echo", json!({ "message": "after" })).await), "Echo: after");

    let commands = session.commands();
    assert!(commands.iter().any(|command| command.name == "everything:simple-prompt"), "{commands:?}");
    stage.prompt(&session, "/everything:simple-prompt").await;
    let asked = stage.script.prompts.lock().unwrap().last().cloned().unwrap_or_default();
    assert!(asked.contains("simple prompt"), "{asked}");
    assert!(stage.agent.close_session(session.id()).await);
}

#[tokio::test]
async fn everything_over_stdio() {
    let stage = Stage::new("").await;
    does_everything(&stage, everything()).await;
}

#[tokio::test]
async fn everything_over_streamable_http() {
    let (_running, server) = everything_at_an_address();
    let stage = Stage::new("").await;
    does_everything(&stage, server).await;
}

#[tokio::test]
async fn a_server_at_an_address_that_is_gone_fails_its_calls_and_no_more() {
    let (running, server) = everything_at_an_address();
    let stage = Stage::new("").await;
    let absent = McpTransport::Http { url: "http://127.0.0.1:1/mcp".into(), headers: BTreeMap::new() };
    let session = stage.session(vec![server, McpServer::new("absent", absent)]).await;
    assert_eq!(ok(stage.call(&session, "mcp__everything__echo", json!({ "message": "x" })).await), "Echo: x");
    let notices = stage.notices().join("\n");
    assert!(notices.contains("`absent` cannot be used: it cannot be reached"), "{notices}");
    drop(running);
    let outcome = stage.call(&session, "mcp__everything__echo", json!({ "message": "x" })).await;
    assert_eq!(outcome.status, ToolStatus::Failed);
    assert!(outcome.text.contains("the MCP server `everything`"), "{}", outcome.text);
}

#[tokio::test]
async fn the_time_and_git_servers_from_pypi() {
    let stage = Stage::new("").await;
    let python = deps::mcp_python();
    let git = std::process::Command::new("git").args(["init", "--quiet"]).current_dir(&stage.cwd).status().unwrap();
    assert!(git.success());
    std::fs::write(stage.cwd.join("new.txt"), "new\n").unwrap();
    let servers = vec![
        program("time", &python, ["-m", "mcp_server_time", "--local-timezone", "UTC"]),
        program("git", &python, ["-m", "mcp_server_git"]),
    ];
    let session = stage.session(servers).await;
    let time = stage.call(&session, "mcp__time__get_current_time", json!({ "timezone": "Europe/Paris" })).await;
    assert!(ok(time).contains("Europe/Paris"));
    let wrong = stage.call(&session, "mcp__time__get_current_time", json!({ "timezone": "Nowhere" })).await;
    assert_eq!(wrong.status, ToolStatus::Failed, "{}", wrong.text);
    let status = stage.call(&session, "mcp__git__git_status", json!({ "repo_path": stage.cwd })).await;
    assert!(ok(status).contains("new.txt"));
}
