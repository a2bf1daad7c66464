//! No secret in any log, error or file.

use crow_tests::{Client, ModelServer, Permission, Reply, Sandbox};
use serde_json::json;

use crate::stage::Stage;

const IN_CONFIG: &str = "sk-planted-in-config-0001";
const IN_VARIABLE: &str = "sk-planted-in-variable-0002";
const IN_MCP: &str = "planted-in-mcp-environment-0003";

fn planted() -> Stage {
    let server = ModelServer::start();
    let mut sandbox = Sandbox::new();
    sandbox.env("PLANTED_KEY", IN_VARIABLE);
    sandbox.env("CROW_LOG", "trace");
    sandbox.env("RUST_LOG", "trace");
    let second = format!(
        "[providers.second]\nprotocol = \"openai\"\nbase_url = \"{}\"\napi_key = \"${{PLANTED_KEY}}\"\n",
        server.base_url()
    );
    let first = Sandbox::model_config(&server).replace("test-key", IN_CONFIG);
    sandbox.config(&format!("{first}\n{second}"));
    Stage::on(server, sandbox)
}

/// Everything the agent wrote anywhere; the configuration is the user's own writing.
fn written(sandbox: &Sandbox, said: &str) -> Vec<(String, Vec<u8>)> {
    let mut places: Vec<(String, Vec<u8>)> = sandbox
        .home_files()
        .into_iter()
        .filter(|(path, _)| !path.ends_with("config.toml"))
        .map(|(path, bytes)| (path.display().to_string(), bytes))
        .collect();
    places.push(("the protocol".to_owned(), said.as_bytes().to_vec()));
    places
}

fn assert_absent(places: &[(String, Vec<u8>)], secrets: &[&str]) {
    for (place, bytes) in places {
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "`{secret}` is in {place}");
        }
    }
}

#[test]
fn planted_keys_are_nowhere_to_be_found() {
    let stage = planted();
    stage.permission(Permission::AllowOnce);
    // A server that repeats the key in its error, as some do.
    stage.server.push(Reply::error(401, &format!("Incorrect API key provided: {IN_CONFIG}")));
    stage.prompt("fail");
    stage.server.push(Reply::error(500, &format!("Authorization: Bearer {IN_CONFIG}")));
    stage.server.push(Reply::stream().text("so far").stream_error(&format!("key {IN_CONFIG} was revoked")));
    stage.prompt("fail again");
    stage.use_tool("terminal", &json!({ "command": "true" }));
    let mcp =
        json!([{ "name": "m", "command": "/bin/true", "args": [], "env": [{ "name": "TOKEN", "value": IN_MCP }] }]);
    let _ = stage.client.call("session/new", &json!({ "cwd": stage.sandbox.project(), "mcpServers": mcp }));
    // Parameters that do not fit are the SDK's favourite thing to repeat.
    let wrong = json!({ "cwd": 7, "mcpServers": mcp });
    let _ = stage.client.call("session/new", &wrong);
    let Stage { client, sandbox, .. } = stage;
    let from_agent = |entries: Vec<crow_tests::Entry>| {
        let said = entries.into_iter().filter(|entry| entry.way == crow_tests::Way::FromAgent);
        said.map(|entry| entry.message.to_string()).collect::<String>()
    };
    let said = from_agent(client.finish());
    assert_absent(&written(&sandbox, &said), &[IN_CONFIG, IN_VARIABLE, IN_MCP]);
}

#[test]
fn the_commands_do_not_print_them() {
    let stage = planted();
    stage.server.otherwise(Reply::error(401, &format!("Incorrect API key provided: {IN_CONFIG}")));
    let Stage { client, sandbox, server, .. } = stage;
    client.finish();
    for args in
        [&["doctor"][..], &["plugins", "--json"], &["hooks", "--json"], &["run", "hi"], &["run", "--json", "hi"], &[]]
    {
        let output = sandbox.run(args);
        let text = [output.stdout, output.stderr].concat();
        assert_absent(&[(format!("the output of crow {args:?}"), text)], &[IN_CONFIG, IN_VARIABLE]);
    }
    drop(server);
    assert_absent(&written(&sandbox, ""), &[IN_CONFIG, IN_VARIABLE]);
}

#[test]
fn files_of_the_home_are_the_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new([Reply::say("ok")]);
    stage.prompt("hi");
    let Stage { client, sandbox, .. } = stage;
    Client::finish(client);
    for (path, _) in sandbox.home_files() {
        if path.ends_with("config.toml") {
            continue;
        }
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is open to others: {mode:o}", path.display());
    }
}
