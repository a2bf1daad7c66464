//! The parameters of a request, read with patience: what is missing or of a wrong type is named, never repeated, and
//! what need not be right does not fail the rest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::content;
use super::errors;
use super::port::{RpcError, schema};
use crate::client::{ClientCapabilities, ClientInfo, McpServer, McpTransport};
use crate::message::{Message, Part, Role};
use crate::secret::Secret;
use crate::session::NewSession;

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Params {
    method: String,
    values: Map<String, Value>,
}

impl Params {
    pub(super) fn new(method: &str, params: Value) -> Result<Self, RpcError> {
        let values = match params {
            Value::Object(values) => values,
            Value::Null => Map::new(),
            _ => return Err(errors::invalid(method, "params", "must be an object")),
        };
        Ok(Self { method: method.to_owned(), values })
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.values)
    }

    pub(super) fn invalid(&self, field: &str, what: &str) -> RpcError {
        errors::invalid(&self.method, field, what)
    }

    /// A text that must be there.
    pub(super) fn text(&self, field: &str) -> Result<&str, RpcError> {
        self.optional_text(field)?.ok_or_else(|| self.invalid(field, "is missing"))
    }

    /// A text that may be missing or null.
    pub(super) fn optional_text(&self, field: &str) -> Result<Option<&str>, RpcError> {
        match self.values.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(field, "must be a string")),
        }
    }

    /// The version of the protocol that the client wants; whatever is not a number counts as the first.
    pub(super) fn protocol_version(&self) -> u64 {
        self.values.get("protocolVersion").and_then(Value::as_u64).unwrap_or(1)
    }

    /// Who the client is and what it can do. What it does not say, it cannot.
    pub(super) fn client(&self) -> ClientInfo {
        let info = self.values.get("clientInfo");
        let text = |field: &str| info.and_then(|info| info.get(field)).and_then(Value::as_str);
        let mut client = ClientInfo::new(text("name").unwrap_or_default(), text("version").unwrap_or_default());
        client.title = text("title").map(str::to_owned);
        client.capabilities = capabilities(self.values.get("clientCapabilities").unwrap_or(&Value::Null));
        client
    }

    /// How the client runs logins in a terminal.
    pub(super) fn terminal_login(&self) -> TerminalLogin {
        let capabilities = self.values.get("clientCapabilities");
        let is_true = |path: [&str; 2]| {
            let value = capabilities.and_then(|value| value.get(path[0])).and_then(|value| value.get(path[1]));
            value == Some(&Value::Bool(true))
        };
        if is_true(["auth", "terminal"]) {
            TerminalLogin::Typed
        } else if is_true(["_meta", "terminal-auth"]) {
            TerminalLogin::Meta
        } else {
            TerminalLogin::None
        }
    }

    /// The set-up of a session, and what of it was left out because it cannot be used, in words for the user.
    pub(super) fn session(&mut self) -> Result<(NewSession, Vec<String>), RpcError> {
        let mut setup = NewSession::new(self.text("cwd")?);
        match self.values.remove("additionalDirectories") {
            None | Some(Value::Null) => {}
            Some(Value::Array(directories)) => {
                for directory in directories {
                    let Value::String(directory) = directory else {
                        return Err(self.invalid("additionalDirectories", "must be a list of paths"));
                    };
                    setup.additional_directories.push(PathBuf::from(directory));
                }
            }
            Some(_) => return Err(self.invalid("additionalDirectories", "must be a list of paths")),
        }
        let mut left_out = Vec::new();
        match self.values.remove("mcpServers") {
            None | Some(Value::Null) => {}
            Some(Value::Array(servers)) => {
                for (number, server) in servers.into_iter().enumerate() {
                    match mcp_server(server) {
                        Ok(server) => setup.mcp_servers.push(server),
                        Err(why) => left_out.push(format!("MCP server {} is left out: {why}", number + 1)),
                    }
                }
            }
            Some(_) => left_out.push("the MCP servers are left out: `mcpServers` is not a list".into()),
        }
        Ok((setup, left_out))
    }

    /// What the user sent.
    pub(super) fn prompt(&mut self) -> Result<Message, RpcError> {
        let blocks = match self.values.remove("prompt") {
            Some(Value::Array(blocks)) => blocks,
            // Not the protocol, but what it means is plain.
            Some(Value::String(text)) => return Ok(Message::user(text)),
            _ => return Err(self.invalid("prompt", "must be a list of content blocks")),
        };
        let parts: Result<Vec<Part>, String> = blocks.into_iter().map(content::part_of).collect();
        let parts = parts.map_err(|why| self.invalid("prompt", &format!("cannot be read: {why}")))?;
        if parts.is_empty() {
            return Err(self.invalid("prompt", "is empty"));
        }
        Ok(Message::new(Role::User, parts))
    }

    /// A value of a config option: its id, or true or false.
    pub(super) fn option_value(&self) -> Result<String, RpcError> {
        match self.values.get("value") {
            Some(Value::String(value)) => Ok(value.clone()),
            Some(Value::Bool(value)) => Ok(value.to_string()),
            _ => Err(self.invalid("value", "must be the id of one of the option's values")),
        }
    }
}

/// How a client runs an agent's login in a terminal, if it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TerminalLogin {
    /// It cannot.
    None,
    /// By the protocol's own type of login.
    Typed,
    /// By an entry in `_meta`, from before the protocol had a type for it.
    Meta,
}

fn capabilities(value: &Value) -> ClientCapabilities {
    let said = schema::ClientCapabilities::deserialize(value).unwrap_or_default();
    let meta = |name: &str| said.meta.as_ref().is_some_and(|meta| meta.get(name) == Some(&Value::Bool(true)));
    let session = said.session.as_ref();
    let elicitation = said.elicitation.as_ref();
    ClientCapabilities {
        read_files: said.fs.read_text_file,
        write_files: said.fs.write_text_file,
        terminals: said.terminal,
        terminal_output: meta("terminal_output"),
        notices: session.is_some_and(|session| session.notices.is_some()),
        compaction: session.is_some_and(|session| session.compaction.is_some()),
        boolean_options: session
            .and_then(|session| session.config_options.as_ref())
            .is_some_and(|o| o.boolean.is_some()),
        forms: elicitation.is_some_and(|elicitation| elicitation.form.is_some()),
        urls: elicitation.is_some_and(|elicitation| elicitation.url.is_some()),
        terminal_login: said.auth.terminal || meta("terminal-auth"),
    }
}

fn mcp_server(server: Value) -> Result<McpServer, String> {
    let name = server.get("name").and_then(Value::as_str).unwrap_or_default();
    let named = if name.is_empty() { String::new() } else { format!(" (`{}`)", errors::one_line(name)) };
    let server = serde_json::from_value(server)
        .map_err(|_| format!("its entry{named} lacks a field or has one of a wrong type"))?;
    match server {
        schema::McpServer::Stdio(server) => {
            let env = server.env.into_iter().map(|variable| (variable.name, Secret::new(variable.value))).collect();
            let transport = McpTransport::Stdio { command: server.command, args: server.args, env };
            Ok(McpServer::new(server.name, transport))
        }
        schema::McpServer::Http(server) => {
            let headers: BTreeMap<String, Secret> =
                server.headers.into_iter().map(|header| (header.name, Secret::new(header.value))).collect();
            Ok(McpServer::new(server.name, McpTransport::Http { url: server.url, headers }))
        }
        _ => Err(format!("its transport{named} is neither stdio nor http")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params(values: Value) -> Params {
        Params::new("test", values).unwrap()
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_not_repeated() {
        let params = params(json!({ "cwd": 7, "key": "sk-secret" }));
        let missing = serde_json::to_string(&params.text("sessionId").unwrap_err()).unwrap();
        assert!(missing.contains("test: `sessionId` is missing"), "{missing}");
        let wrong = serde_json::to_string(&params.text("cwd").unwrap_err()).unwrap();
        assert!(wrong.contains("`cwd` must be a string"), "{wrong}");
        assert!(!missing.contains("sk-secret") && !wrong.contains("sk-secret"));
        assert!(Params::new("test", json!([1])).is_err());
    }

    #[test]
    fn a_session_needs_no_more_than_a_directory() {
        let (setup, left_out) = params(json!({ "cwd": "/w" })).session().unwrap();
        assert_eq!(setup, NewSession::new("/w"));
        assert!(left_out.is_empty());
    }

    #[test]
    fn one_bad_mcp_server_does_not_fail_the_others() {
        let (setup, left_out) = params(json!({ "cwd": "/w", "mcpServers": [
            { "name": "a", "command": "/bin/a", "args": ["-x"], "env": [{ "name": "KEY", "value": "sk-secret" }] },
            { "name": "b", "command": 7, "env": [{ "name": "KEY", "value": "sk-secret" }] },
            { "type": "http", "name": "c", "url": "http://127.0.0.1/", "headers": [] },
            { "type": "sse", "name": "d", "url": "http://127.0.0.1/", "headers": [] },
        ] }))
        .session()
        .unwrap();
        let names: Vec<&str> = setup.mcp_servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(left_out.len(), 2);
        assert!(left_out[0].contains("`b`") && left_out[1].contains("`d`"), "{left_out:?}");
        assert!(!format!("{setup:?}{left_out:?}").contains("sk-secret"));
    }

    #[test]
    fn capabilities_are_only_those_that_were_said() {
        let client = params(json!({
            "clientInfo": { "name": "zed", "version": "1.20.0" },
            "clientCapabilities": {
                "fs": { "readTextFile": true, "writeTextFile": "yes" },
                "session": { "notices": {} },
                "_meta": { "terminal_output": true, "terminal-auth": "true" },
            },
        }))
        .client();
        assert_eq!((client.name.as_str(), client.version.as_str()), ("zed", "1.20.0"));
        let capabilities = client.capabilities;
        assert!(capabilities.read_files && capabilities.notices && capabilities.terminal_output);
        assert!(!capabilities.write_files && !capabilities.terminal_login && !capabilities.terminals);
        assert_eq!(params(json!({})).client(), ClientInfo::default());
    }

    #[test]
    fn a_prompt_is_a_list_of_blocks_or_plain_text() {
        let mut blocks = params(json!({ "prompt": [{ "type": "text", "text": "Hi" }, { "type": "hologram" }] }));
        assert_eq!(blocks.prompt().unwrap().parts().len(), 2);
        assert_eq!(params(json!({ "prompt": "Hi" })).prompt().unwrap().text(), "Hi");
        assert!(params(json!({ "prompt": [] })).prompt().is_err());
        assert!(params(json!({})).prompt().is_err());
    }
}
