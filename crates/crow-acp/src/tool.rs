//! Tools: what a plugin registers, what the model calls, what comes back.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::Agent;
use crate::session::Session;

/// A boxed future, as handler traits return them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a tool does, in ACP's terms; editors choose an icon by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolKind {
    /// Reads files or data.
    Read,
    /// Changes files.
    Edit,
    /// Removes files.
    Delete,
    /// Moves or renames files.
    Move,
    /// Searches.
    Search,
    /// Runs commands.
    Execute,
    /// Thinks or plans.
    Think,
    /// Gets data from elsewhere.
    Fetch,
    /// Anything else.
    #[default]
    Other,
}

/// A call of a tool, as the model made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// Unique within the session, across turns.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments; `Value::Null` if [`raw_arguments`](Self::raw_arguments) is not valid JSON.
    pub arguments: Value,
    /// The arguments letter by letter as the model wrote them: what is sent back to it.
    pub raw_arguments: String,
}

impl ToolCall {
    /// A call with these arguments.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: Value) -> Self {
        let raw_arguments = arguments.to_string();
        Self { id: id.into(), name: name.into(), arguments, raw_arguments }
    }

    /// A call whose arguments are the text a model wrote, valid JSON or not. No text at all counts as `{}`.
    pub fn from_raw(id: impl Into<String>, name: impl Into<String>, raw_arguments: impl Into<String>) -> Self {
        let mut raw_arguments = raw_arguments.into();
        if raw_arguments.trim().is_empty() {
            raw_arguments = "{}".into();
        }
        let arguments = serde_json::from_str(&raw_arguments).unwrap_or(Value::Null);
        Self { id: id.into(), name: name.into(), arguments, raw_arguments }
    }
}

/// A tool that a plugin offers, with the code that runs it.
#[derive(Clone)]
#[non_exhaustive]
pub struct ToolDescriptor {
    /// What the model calls it: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of the arguments (an object).
    pub input_schema: Value,
    /// What it does, for the editor.
    pub kind: ToolKind,
    /// Whether it changes nothing: such calls run together, and need no permission unless they leave the workspace.
    pub read_only: bool,
    /// Runs it.
    pub handler: Arc<dyn ToolHandler>,
}

impl ToolDescriptor {
    /// A tool that may change things ([`ToolKind::Other`], not read-only).
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        input_schema: Value,
        handler: impl ToolHandler + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            input_schema,
            kind: ToolKind::Other,
            read_only: false,
            handler: Arc::new(handler),
        }
    }

    /// Sets the kind.
    pub fn kind(mut self, kind: ToolKind) -> Self {
        self.kind = kind;
        self
    }

    /// Declares that it changes nothing.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

impl std::fmt::Debug for ToolDescriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolDescriptor")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// The code of a tool.
pub trait ToolHandler: Send + Sync {
    /// What the user is shown before the tool runs, the permission question included: title, files, the diff it
    /// would make. Must not change anything. The default shows the tool's name.
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        let _ = cx;
        Box::pin(async move { ToolPreview::new(call.name.clone()) })
    }

    /// Runs the call. Dropping the future cancels it: whatever it started must end then (guards, `kill_on_drop`).
    ///
    /// # Errors
    /// [`ToolError`]: its text goes to the model as the call's failed result.
    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>>;
}

/// What a running tool may reach.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ToolContext {
    /// The agent.
    pub agent: Agent,
    /// The session the call belongs to.
    pub session: Session,
    /// The id of the call.
    pub call_id: String,
}

impl ToolContext {
    pub(crate) fn new(agent: &Agent, session: &Session, call_id: &str) -> Self {
        Self { agent: agent.clone(), session: session.clone(), call_id: call_id.to_owned() }
    }

    /// Shows the user how far the call is (content so far, live terminal output). Cheap; the client side throttles
    /// what it cannot append.
    pub fn progress(&self, progress: ToolProgress) {
        self.session.tool_progress(&self.call_id, progress);
    }
}

/// What the user is shown of a call that has not run yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolPreview {
    /// One line, for example `Read src/main.rs`.
    pub title: String,
    /// The files it touches.
    pub locations: Vec<Location>,
    /// What it would do, for example a diff.
    pub content: Vec<ToolContent>,
    /// What the call needs leave for, beyond the tool not being read-only.
    pub access: Vec<Access>,
}

impl ToolPreview {
    /// A preview of a title alone.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Adds a file that the call touches.
    pub fn location(mut self, path: impl Into<PathBuf>, line: Option<u32>) -> Self {
        self.locations.push(Location { path: path.into(), line });
        self
    }

    /// Adds content.
    pub fn content(mut self, content: ToolContent) -> Self {
        self.content.push(content);
        self
    }

    /// Adds an access that permissions decide on.
    pub fn access(mut self, access: Access) -> Self {
        self.access.push(access);
        self
    }
}

/// What a call would reach; the `permissions` plugin's rules are about these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Access {
    /// Reads this canonical path.
    Read {
        /// Absolute, symlinks resolved as far as it exists.
        path: PathBuf,
    },
    /// Creates, changes or removes this canonical path.
    Write {
        /// Absolute, symlinks resolved as far as it exists.
        path: PathBuf,
    },
    /// Runs this command line in a shell.
    Execute {
        /// The command as it will be run.
        command: String,
    },
    /// Contacts this address.
    Network {
        /// The URL.
        url: String,
    },
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Location {
    /// Absolute.
    pub path: PathBuf,
    /// Counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Location {
    /// A place in `path`, at `line` (from 1) if known.
    pub fn new(path: impl Into<PathBuf>, line: Option<u32>) -> Self {
        Self { path: path.into(), line }
    }
}

/// What a user sees of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolContent {
    /// Markdown.
    Text {
        /// The text.
        text: String,
    },
    /// A change of a file.
    Diff {
        /// Absolute.
        path: PathBuf,
        /// The text before; `None` for a new file only.
        old_text: Option<String>,
        /// The text after.
        new_text: String,
    },
    /// A picture, base64.
    Image {
        /// For example `image/png`.
        mime_type: String,
        /// Base64.
        data: String,
    },
    /// The output of a command that the agent runs itself, as it stands; live output comes by
    /// [`ToolProgress::TerminalOutput`].
    Terminal {
        /// What ran.
        command: String,
        /// Where.
        cwd: PathBuf,
        /// Everything it printed, bounded.
        output: String,
        /// `None` while it runs, or if a signal ended it.
        exit_code: Option<i32>,
    },
}

impl ToolContent {
    /// Markdown text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// News of a running call.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ToolProgress {
    /// Replaces the title.
    Title(String),
    /// Replaces the content.
    Content(Vec<ToolContent>),
    /// A command starts; its output follows.
    TerminalStarted {
        /// What runs.
        command: String,
        /// Where.
        cwd: PathBuf,
    },
    /// Output to append to the terminal.
    TerminalOutput(String),
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolStatus {
    /// It worked.
    Completed,
    /// It failed, was denied, or its arguments did not fit.
    Failed,
    /// The user cancelled it.
    Cancelled,
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolOutcome {
    /// How it ended.
    pub status: ToolStatus,
    /// What the model reads.
    pub text: String,
    /// What the user sees. Empty: what the preview or the progress showed stays, or the text is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<ToolContent>,
    /// Replaces the preview's locations if not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    /// The raw result for clients that show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_output: Option<Value>,
}

impl ToolOutcome {
    /// Success, with what the model reads.
    pub fn ok(text: impl Into<String>) -> Self {
        Self {
            status: ToolStatus::Completed,
            text: text.into(),
            content: Vec::new(),
            locations: Vec::new(),
            raw_output: None,
        }
    }

    /// Failure, with what the model reads.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { status: ToolStatus::Failed, ..Self::ok(text) }
    }

    /// The result that keeps a history valid when a call was cancelled.
    pub fn cancelled() -> Self {
        Self { status: ToolStatus::Cancelled, ..Self::ok("cancelled by the user") }
    }

    /// Adds what the user sees.
    pub fn content(mut self, content: ToolContent) -> Self {
        self.content.push(content);
        self
    }

    /// Adds a place for the editor to follow.
    pub fn location(mut self, path: impl Into<PathBuf>, line: Option<u32>) -> Self {
        self.locations.push(Location::new(path, line));
        self
    }

    /// Whether it did not succeed.
    pub fn is_error(&self) -> bool {
        self.status != ToolStatus::Completed
    }
}

/// Why a tool failed, in words for the model.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub String);

impl ToolError {
    /// An error that says `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<std::io::Error> for ToolError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
