//! A server, a place, a client, an open session: what nearly every test starts with.

use crow_tests::{Client, ModelServer, Permission, Reply, Sandbox, Turn};
use serde_json::{Value, json};

/// The parts, in the order in which they must go: the agent leaves before its model does.
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) session: String,
    pub(crate) sandbox: Sandbox,
    pub(crate) server: ModelServer,
}

impl Stage {
    /// A session whose model answers with these, in turn.
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let server = ModelServer::with(replies);
        let sandbox = Sandbox::with_model(&server);
        Self::on(server, sandbox)
    }

    /// The same in a place that was prepared.
    pub(crate) fn on(server: ModelServer, sandbox: Sandbox) -> Self {
        let client = Client::start(&sandbox);
        let session = client.new_session(&sandbox);
        Self { client, session, sandbox, server }
    }

    /// Sends a prompt and waits for the end of its turn.
    pub(crate) fn prompt(&self, text: &str) -> Turn {
        self.client.prompt(&self.session, text)
    }

    /// The model calls one tool, then says "done"; returns the turn.
    pub(crate) fn use_tool(&self, tool: &str, arguments: &Value) -> Turn {
        self.server.push(Reply::call("call_1", tool, arguments));
        self.server.push(Reply::say("done"));
        let turn = self.prompt(&format!("use {tool}"));
        assert_eq!(turn.stop_reason(), "end_turn", "{turn:#?}");
        turn
    }

    /// What the model was told the tool call came to: the content of the last `tool` message of the last request.
    pub(crate) fn tool_result(&self) -> String {
        let messages = self.server.requests().last().expect("a request").messages();
        let result = messages.iter().rev().find(|message| message["role"] == "tool");
        text_of(result.expect("a tool result in the last request"))
    }

    /// Sets the session's mode.
    pub(crate) fn mode(&self, mode: &str) {
        self.client.ok("session/set_mode", &json!({ "sessionId": self.session, "modeId": mode }));
    }

    /// How permission requests are answered.
    pub(crate) fn permission(&self, permission: Permission) {
        self.client.permission(permission);
    }

    /// How many permission requests there were.
    pub(crate) fn permissions_asked(&self) -> usize {
        self.client.requests("session/request_permission").len()
    }

    /// Ends the agent properly and starts another one in the same place. The session is not open in it.
    pub(crate) fn restart(self) -> Self {
        let Self { client, session, sandbox, server } = self;
        client.finish();
        let client = Client::start(&sandbox);
        Self { client, session, sandbox, server }
    }

    /// Kills the agent and starts another one in the same place. The session is not open in it.
    pub(crate) fn kill_and_restart(self) -> Self {
        let Self { client, session, sandbox, server } = self;
        client.kill();
        let client = Client::start(&sandbox);
        Self { client, session, sandbox, server }
    }

    /// Loads the session and returns what was replayed.
    pub(crate) fn load(&self) -> Turn {
        let loaded = self.client.load_session(&self.sandbox, &self.session);
        assert!(loaded.reply.is_ok(), "session/load failed: {:?}", loaded.reply);
        loaded
    }
}

/// The text of a message as the model gets it: a string, or parts of type text.
pub(crate) fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// The messages of a request that have this role, as text.
pub(crate) fn said_by(role: &str, messages: &[Value]) -> Vec<String> {
    messages.iter().filter(|message| message["role"] == role).map(text_of).collect()
}

/// What the user got to read about a failed prompt: the error's message and data, or the assistant's text.
pub(crate) fn told(turn: &Turn) -> String {
    let error = turn.reply.as_ref().err().map(|error| format!("{} {}", error.message, error.data));
    format!("{}{}", error.unwrap_or_default(), turn.text())
}

/// Every tool call of a model request must have its result, and every result its call.
pub(crate) fn assert_history_is_valid(messages: &[Value]) {
    let mut open: Vec<String> = Vec::new();
    for message in messages {
        match message["role"].as_str() {
            Some("tool") => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let at = open.iter().position(|known| known == id);
                open.remove(at.unwrap_or_else(|| panic!("a result for no call `{id}` in {messages:#?}")));
            }
            role => {
                assert!(open.is_empty(), "calls {open:?} have no result in {messages:#?}");
                if role == Some("assistant") {
                    let calls = message["tool_calls"].as_array().into_iter().flatten();
                    open.extend(calls.map(|call| call["id"].as_str().unwrap_or_default().to_owned()));
                }
            }
        }
    }
    assert!(open.is_empty(), "calls {open:?} have no result in {messages:#?}");
}

/// Every process that still runs a command line containing `text`, after giving it a moment to go.
pub(crate) fn still_running(text: &str) -> Vec<u32> {
    let gone = crow_tests::wait_for(std::time::Duration::from_secs(5), || {
        crow_tests::proc::with_command(text).is_empty().then_some(())
    });
    if gone.is_some() { Vec::new() } else { crow_tests::proc::with_command(text) }
}
