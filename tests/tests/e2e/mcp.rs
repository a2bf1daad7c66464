//! MCP servers of others, through the real binary: the editor's, the configuration's, a project's.

use crow_tests::{Client, ModelServer, Permission, Reply, Sandbox, deps};
use serde_json::{Value, json};

use crate::stage::Stage;

fn everything() -> Value {
    let script = deps::mcp_everything();
    json!({ "name": "everything", "command": "node", "args": [script, "stdio"], "env": [] })
}

/// A session for which the editor brings a server.
fn with_server(sandbox: Sandbox, server: ModelServer) -> Stage {
    let client = Client::start(&sandbox);
    let setup = json!({ "cwd": sandbox.project(), "mcpServers": [everything()] });
    let session = client.ok("session/new", &setup)["sessionId"].as_str().expect("an id").to_owned();
    Stage { client, session, sandbox, server }
}

#[test]
fn the_editors_servers_reach_the_model_and_every_call_is_asked_for() {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    let stage = with_server(sandbox, server);
    stage.permission(Permission::AllowOnce);
    let turn = stage.use_tool("mcp__everything__echo", &json!({ "message": "hello" }));
    assert_eq!(stage.tool_result(), "Echo: hello");
    assert_eq!(stage.permissions_asked(), 1);
    let requests = stage.server.requests();
    let tools = requests[0].json()["tools"].as_array().expect("tools").clone();
    assert!(tools.iter().any(|tool| tool["function"]["name"] == "mcp__everything__get-sum"), "{tools:#?}");
    let call = turn.tool_calls().remove(0);
    assert_eq!(call["title"], "everything: Echo Tool", "{call:#}");

    stage.permission(Permission::RejectOnce);
    stage.use_tool("mcp__everything__echo", &json!({ "message": "hello" }));
    assert!(!stage.tool_result().contains("Echo"));

    let said = stage.prompt("/mcp").text();
    assert!(said.contains("**everything** (from the client): ready"), "{said}");

    let agent = stage.client.pid();
    assert_eq!(crow_tests::proc::descendants(agent).len(), 1);
    stage.client.ok("session/close", &json!({ "sessionId": stage.session }));
    assert!(crow_tests::proc::descendants(agent).is_empty(), "the server outlives its session");
}

#[test]
fn servers_at_an_address_are_welcome_if_somebody_connects_to_them() {
    let server = ModelServer::start();
    for (args, welcome) in [(&["acp"][..], true), (&["-p", "no:mcp", "acp"][..], false)] {
        let sandbox = Sandbox::with_model(&server);
        let client = Client::spawn_command(sandbox.command(args));
        let hello = client.initialize(&json!({}));
        let http = hello["agentCapabilities"]["mcpCapabilities"]["http"].as_bool().unwrap_or(false);
        assert_eq!(http, welcome, "{hello:#}");
    }
}

#[test]
fn a_project_s_servers_are_off_until_trusted() {
    let server = ModelServer::start();
    let sandbox = Sandbox::with_model(&server);
    let file = json!({ "mcpServers": { "brought": { "command": "sh", "args": ["-c", "touch ran; sleep 1"] } } });
    sandbox.file(".mcp.json", file.to_string());
    let stage = Stage::on(server, sandbox);
    stage.server.push(Reply::say("done"));
    stage.prompt("hi");
    let seen = json!(stage.client.updates(&stage.session)).to_string();
    assert!(seen.contains("mcp server `brought`"), "{seen}");
    assert!(stage.sandbox.read("ran").is_none());
}
