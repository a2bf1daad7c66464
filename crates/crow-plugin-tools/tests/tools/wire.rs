//! The client's terminals, as the protocol has them: raw lines to and from the real server.

use crow_acp::{Agent, Config, Dispatch, PluginManager, server};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};

use crate::support::{Calls, PATIENCE, Script};

struct Wire {
    lines: Lines<BufReader<DuplexStream>>,
    writer: DuplexStream,
    session: String,
    /// What has come and was not asked for yet.
    waiting: Vec<Value>,
    directory: tempfile::TempDir,
}

impl Wire {
    /// A client that has terminals, with a session in which the model will run `command`.
    async fn new(command: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let plugins = PluginManager::new();
        let calls = Calls::default();
        calls.lock().unwrap().push_back(("terminal".into(), json!({ "command": command })));
        plugins.register(Dispatch).unwrap();
        plugins.register(Script { calls, ..Script::default() }).unwrap();
        plugins.register(crow_plugin_tools::plugin()).unwrap();
        let config = "model = \"test/model\"\n[plugins.tools]\nterminal = \"client\"\nshell = \"sh\"";
        let agent = Agent::new(Config::from_toml(directory.path(), config).unwrap(), plugins).await.unwrap();
        let (near, far) = (tokio::io::duplex(1 << 20), tokio::io::duplex(1 << 20));
        tokio::spawn(server::serve(agent, far.0, near.0));
        let lines = BufReader::new(near.1).lines();
        let mut wire = Self { lines, writer: far.1, session: String::new(), waiting: Vec::new(), directory };
        let capabilities = json!({ "protocolVersion": 1, "clientCapabilities": { "terminal": true } });
        wire.send(json!({ "id": 1, "method": "initialize", "params": capabilities })).await;
        wire.until(|message| message["id"] == 1).await;
        let cwd = wire.directory.path().canonicalize().unwrap();
        wire.send(json!({ "id": 2, "method": "session/new", "params": { "cwd": cwd, "mcpServers": [] } })).await;
        let answer = wire.until(|message| message["id"] == 2).await;
        wire.session = answer["result"]["sessionId"].as_str().unwrap().to_owned();
        let prompt = json!({ "sessionId": wire.session, "prompt": [{ "type": "text", "text": "go" }] });
        wire.send(json!({ "id": 3, "method": "session/prompt", "params": prompt })).await;
        wire
    }

    async fn send(&mut self, mut message: Value) {
        message["jsonrpc"] = "2.0".into();
        self.writer.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at);
        }
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("something comes");
            let message: Value = serde_json::from_str(&line.unwrap().expect("the agent is there")).unwrap();
            if wanted(&message) {
                return message;
            }
            self.waiting.push(message);
        }
    }

    /// The parameters of the next request of the agent's, which is answered with `result`.
    async fn asked(&mut self, method: &str, result: Value) -> Value {
        let request = self.until(|message| message["method"] == method).await;
        self.send(json!({ "id": request["id"], "result": result })).await;
        request["params"].clone()
    }
}

#[tokio::test]
async fn a_command_runs_in_a_terminal_that_is_shown_and_released() {
    let mut wire = Wire::new("make test").await;
    let created = wire.asked("terminal/create", json!({ "terminalId": "t1" })).await;
    assert_eq!((&created["command"], &created["args"]), (&json!("sh"), &json!(["-c", "make test"])));
    assert_eq!(created["cwd"], json!(wire.directory.path().canonicalize().unwrap()));
    let shown = wire.until(|message| message["params"]["update"]["content"][0]["type"] == "terminal").await;
    assert_eq!(shown["params"]["update"]["content"], json!([{ "type": "terminal", "terminalId": "t1" }]));
    let waited = wire.asked("terminal/wait_for_exit", json!({ "exitCode": 0 })).await;
    assert_eq!((&waited["terminalId"], &waited["sessionId"]), (&json!("t1"), &json!(wire.session)));
    wire.asked("terminal/output", json!({ "output": "passed\n", "truncated": false })).await;
    wire.asked("terminal/release", json!({})).await;
    let done = wire.until(|message| message["params"]["update"]["status"] == "completed").await;
    assert!(done.to_string().contains("passed"), "{done}");
    assert_eq!(wire.until(|message| message["id"] == 3).await["result"]["stopReason"], "end_turn");
}

#[tokio::test]
async fn a_cancelled_command_releases_its_terminal() {
    let mut wire = Wire::new("sleep 1000").await;
    wire.asked("terminal/create", json!({ "terminalId": "t1" })).await;
    wire.until(|message| message["method"] == "terminal/wait_for_exit").await;
    wire.send(json!({ "method": "session/cancel", "params": { "sessionId": wire.session } })).await;
    assert_eq!(wire.asked("terminal/release", json!({})).await["terminalId"], "t1");
    assert_eq!(wire.until(|message| message["id"] == 3).await["result"]["stopReason"], "cancelled");
}

#[tokio::test]
async fn a_client_that_cannot_says_why() {
    let mut wire = Wire::new("true").await;
    let request = wire.until(|message| message["method"] == "terminal/create").await;
    wire.send(json!({ "id": request["id"], "error": { "code": -32603, "message": "no shell here" } })).await;
    let failed = wire.until(|message| message["params"]["update"]["status"] == "failed").await;
    assert!(failed.to_string().contains("no shell here"), "{failed}");
}
