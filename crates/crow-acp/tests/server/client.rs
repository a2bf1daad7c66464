//! A client that speaks in lines.

use std::path::PathBuf;
use std::time::Duration;

use crow_acp::{Agent, Config, Limits, PluginManager, server};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::task::JoinHandle;

use crate::script::Script;

/// Long enough for a slow machine; nothing here waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    lines: Lines<BufReader<DuplexStream>>,
    writer: Option<DuplexStream>,
    next_id: i64,
    /// What has come and was not asked for yet.
    waiting: Vec<Value>,
    pub serving: JoinHandle<Result<(), server::ServeError>>,
    pub directory: PathBuf,
    _home: tempfile::TempDir,
}

impl Client {
    /// A client of an agent with the scripted plugin.
    pub async fn connect() -> Self {
        Self::connect_to(Script::new()).await
    }

    pub async fn connect_to(script: Script) -> Self {
        let home = tempfile::tempdir().unwrap();
        let plugins = PluginManager::new();
        plugins.register_as("dispatch", std::sync::Arc::new(crow_acp::Dispatch)).unwrap();
        plugins.register_as("limits", std::sync::Arc::new(Limits)).unwrap();
        plugins.register(script).unwrap();
        let config = Config::from_toml(home.path(), "model = \"test/scripted\"\nmax_turns = 3\n").unwrap();
        let agent = Agent::new(config, plugins).await.unwrap();
        let (near, far) = (tokio::io::duplex(1024 * 1024), tokio::io::duplex(1024 * 1024));
        let serving = tokio::spawn(server::serve(agent, far.0, near.0));
        Self {
            lines: BufReader::new(near.1).lines(),
            writer: Some(far.1),
            next_id: 0,
            waiting: Vec::new(),
            serving,
            directory: std::fs::canonicalize(home.path()).unwrap(),
            _home: home,
        }
    }

    /// Connected, and introduced with these capabilities.
    pub async fn introduced(capabilities: Value) -> Self {
        let mut client = Self::connect().await;
        let answer = client.initialize(capabilities).await;
        assert_eq!(answer["result"]["protocolVersion"], 1, "{answer}");
        client
    }

    pub async fn initialize(&mut self, capabilities: Value) -> Value {
        self.request("initialize", json!({ "protocolVersion": 1, "clientCapabilities": capabilities })).await
    }

    /// Introduced, with a session.
    pub async fn with_session() -> (Self, String) {
        let mut client = Self::introduced(json!({})).await;
        let session = client.new_session().await;
        (client, session)
    }

    pub async fn new_session(&mut self) -> String {
        let answer = self.request("session/new", json!({ "cwd": self.directory, "mcpServers": [] })).await;
        answer["result"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}")).to_owned()
    }

    pub async fn send_line(&mut self, line: &str) {
        let writer = self.writer.as_mut().expect("still connected");
        writer.write_all(line.as_bytes()).await.unwrap();
        writer.write_all(b"\n").await.unwrap();
    }

    pub async fn send(&mut self, message: Value) {
        self.send_line(&message.to_string()).await;
    }

    pub async fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    pub async fn start(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        self.send(json!({ "jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params })).await;
        self.next_id
    }

    pub async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.start(method, params).await;
        self.answer(id).await
    }

    pub async fn start_prompt(&mut self, session: &str, text: &str) -> i64 {
        self.start("session/prompt", json!({ "sessionId": session, "prompt": [{ "type": "text", "text": text }] }))
            .await
    }

    /// Prompts to the end: what was shown meanwhile, and the answer.
    pub async fn prompt(&mut self, session: &str, text: &str) -> (Vec<Value>, Value) {
        let id = self.start_prompt(session, text).await;
        let answer = self.answer(id).await;
        (self.shown(session), answer)
    }

    pub async fn answer(&mut self, id: impl Into<Value>) -> Value {
        let id = id.into();
        self.until(|message| message.get("method").is_none() && message["id"] == id).await
    }

    /// The next message of this kind of update.
    pub async fn update(&mut self, kind: &str) -> Value {
        self.until(|message| message["params"]["update"]["sessionUpdate"] == kind).await
    }

    /// The next message for which `wanted` is true; those before it wait.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at);
        }
        loop {
            let message = self.next().await.expect("the agent hung up");
            if wanted(&message) {
                return message;
            }
            self.waiting.push(message);
        }
    }

    /// The next message in the order of arrival; `None` at the end of the output.
    pub async fn next(&mut self) -> Option<Value> {
        if let Ok(line) = tokio::time::timeout(PATIENCE, self.lines.next_line()).await {
            let line = line.unwrap()?;
            let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
            assert_eq!(message["jsonrpc"], "2.0", "{message}");
            return Some(message);
        }
        panic!("nothing came; what had come: {:#?}", self.waiting);
    }

    /// The updates of the session that have come.
    pub fn shown(&mut self, session: &str) -> Vec<Value> {
        let of_session =
            |message: &Value| message["method"] == "session/update" && message["params"]["sessionId"] == session;
        let shown: Vec<Value> = self.waiting.iter().filter(|message| of_session(message)).cloned().collect();
        self.waiting.retain(|message| !of_session(message));
        shown.into_iter().map(|message| message["params"]["update"].clone()).collect()
    }

    /// Stops reading, as a client that has crashed; its end of the input stays open.
    pub fn stop_reading(&mut self) {
        let (closed, _) = tokio::io::duplex(1);
        self.lines = BufReader::new(closed).lines();
    }

    /// Hangs up and takes what still comes.
    pub async fn hang_up(&mut self) -> Vec<Value> {
        self.writer = None;
        let mut rest = std::mem::take(&mut self.waiting);
        while let Some(message) = self.next().await {
            rest.push(message);
        }
        rest
    }
}

/// The text that updates of the agent's messages add up to.
pub fn said(updates: &[Value]) -> String {
    updates
        .iter()
        .filter(|update| update["sessionUpdate"] == "agent_message_chunk")
        .filter_map(|update| update["content"]["text"].as_str())
        .collect()
}

/// The kinds of these updates, each run of the same kind once.
pub fn kinds(updates: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = updates.iter().filter_map(|update| update["sessionUpdate"].as_str()).collect();
    kinds.dedup();
    kinds
}
