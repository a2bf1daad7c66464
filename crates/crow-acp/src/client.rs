//! The other end: the editor or command line that shows a session to a person and speaks for that person.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::secret::Secret;
use crate::session::Session;
use crate::tool::{BoxFuture, ToolContent};
use crate::update::Update;

/// The program at the other end of the agent. The ACP server implements it for editors; whoever embeds the agent
/// implements it to show sessions in some other way.
pub trait Client: Send + Sync + Debug {
    /// Who it is and what it can do.
    fn info(&self) -> ClientInfo;

    /// Shows an update of a session. Never blocks: what cannot be shown at once waits in a queue.
    fn send(&self, session_id: &str, update: Update);

    /// `Some` while the queue is full: whoever produces updates in a stream waits for the future, which resolves when
    /// there is room again. The rest may go on sending.
    fn room(&self) -> Option<BoxFuture<'_, ()>> {
        None
    }

    /// Asks the person to choose, and resolves to the [`id`](Choice::id) of the choice made. Dropping the future
    /// withdraws the question.
    ///
    /// # Errors
    /// [`AskError::Cancelled`] if the person cancelled the run instead of choosing, [`AskError::Failed`] if the
    /// client could not ask.
    fn ask<'a>(&'a self, session: &'a Session, question: Question) -> BoxFuture<'a, Result<String, AskError>>;

    /// The text of a file as the editor has it, unsaved changes included.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] unless [`ClientCapabilities::read_files`] is set.
    fn read_text_file<'a>(
        &'a self,
        session: &'a Session,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<String, ClientError>> {
        let _ = (session, path);
        Box::pin(async { Err(ClientError::Unsupported("reading files")) })
    }

    /// Replaces the text of a file through the editor.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] unless [`ClientCapabilities::write_files`] is set.
    fn write_text_file<'a>(
        &'a self,
        session: &'a Session,
        path: &'a Path,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        let _ = (session, path, text);
        Box::pin(async { Err(ClientError::Unsupported("writing files")) })
    }

    /// Runs a command in a terminal of the client's and shows that in the tool call. Dropping the future ends the
    /// command.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] unless [`ClientCapabilities::terminals`] is set.
    fn run_command<'a>(
        &'a self,
        session: &'a Session,
        command: ClientCommand,
    ) -> BoxFuture<'a, Result<CommandEnd, ClientError>> {
        let _ = (session, command);
        Box::pin(async { Err(ClientError::Unsupported("terminals")) })
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientInfo {
    /// Its name as programs know it, for example `zed`; empty if it did not say.
    pub name: String,
    /// Its name as people know it.
    pub title: Option<String>,
    /// Its version; empty if it did not say.
    pub version: String,
    /// What it can do.
    pub capabilities: ClientCapabilities,
}

impl ClientInfo {
    /// A client that can do nothing beyond showing updates and asking questions.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), ..Self::default() }
    }
}

/// What a client can do beyond showing updates and asking questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientCapabilities {
    /// [`Client::read_text_file`] works.
    pub read_files: bool,
    /// [`Client::write_text_file`] works.
    pub write_files: bool,
    /// [`Client::run_command`] works: it runs commands in terminals of its own.
    pub terminals: bool,
    /// It appends output to the terminals of commands that the agent runs itself.
    pub terminal_output: bool,
    /// It shows notices apart from the conversation.
    pub notices: bool,
    /// It shows that a conversation is compacted.
    pub compaction: bool,
    /// It shows options that are on or off as such.
    pub boolean_options: bool,
    /// It shows forms.
    pub forms: bool,
    /// It opens URLs for the person.
    pub urls: bool,
    /// It can run the agent's login command in a terminal.
    pub terminal_login: bool,
}

/// A command for a terminal of the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCommand {
    /// The tool call that runs it.
    pub call_id: String,
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables to set for it.
    pub env: Vec<(String, String)>,
    /// Where it runs, absolute.
    pub cwd: PathBuf,
    /// How many bytes of its output are kept: the last.
    pub output_limit: u64,
    /// How long it may run.
    pub time_limit: Duration,
}

impl ClientCommand {
    /// A command of the call `call_id`, with the client's environment, 1 MiB of output and two minutes.
    pub fn new(
        call_id: impl Into<String>,
        program: impl Into<String>,
        args: Vec<String>,
        cwd: impl Into<PathBuf>,
    ) -> Self {
        Self {
            call_id: call_id.into(),
            program: program.into(),
            args,
            env: Vec::new(),
            cwd: cwd.into(),
            output_limit: 1 << 20,
            time_limit: Duration::from_mins(2),
        }
    }
}

/// How a [`ClientCommand`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandEnd {
    /// What it printed.
    pub output: String,
    /// The beginning of the output is missing.
    pub truncated: bool,
    /// The exit code, unless a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// It took too long and was ended.
    pub timed_out: bool,
}

impl CommandEnd {
    /// A command that printed `output`.
    pub fn new(output: impl Into<String>) -> Self {
        Self { output: output.into(), truncated: false, exit_code: None, signal: None, timed_out: false }
    }
}

/// A question to the person: may this call run?
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Question {
    /// The tool call it is about. A question about no call has an id of its own.
    pub call_id: String,
    /// One line.
    pub title: String,
    /// What to show with it, for example the diff that the call would make.
    pub content: Vec<ToolContent>,
    /// What can be answered: at least one choice that allows and one that rejects.
    pub choices: Vec<Choice>,
}

impl Question {
    /// A question about the call `call_id`.
    pub fn new(call_id: impl Into<String>, title: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self { call_id: call_id.into(), title: title.into(), content: Vec::new(), choices }
    }

    /// Shows `content` with the question.
    pub fn content(mut self, content: Vec<ToolContent>) -> Self {
        self.content = content;
        self
    }
}

/// A possible answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// What the asker gets back.
    pub id: String,
    /// What the person reads.
    pub name: String,
    /// What it means; clients choose icons and shortcuts by it.
    pub kind: ChoiceKind,
}

impl Choice {
    /// A choice.
    pub fn new(id: impl Into<String>, name: impl Into<String>, kind: ChoiceKind) -> Self {
        Self { id: id.into(), name: name.into(), kind }
    }
}

/// What a [`Choice`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChoiceKind {
    /// Yes, this time.
    AllowOnce,
    /// Yes, and don't ask again. Remembering it is the asker's work.
    AllowAlways,
    /// No, this time.
    RejectOnce,
    /// No, and don't ask again.
    RejectAlways,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nobody is there to ask.
    #[error("there is no client to ask")]
    NoClient,
    /// The person cancelled the run instead of choosing.
    #[error("the question was cancelled")]
    Cancelled,
    /// The client could not ask.
    #[error("the client could not ask: {0}")]
    Failed(String),
}

/// Why a client did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It cannot do this at all.
    #[error("the client does not offer {0}")]
    Unsupported(&'static str),
    /// It tried, and says what went wrong.
    #[error("the client failed: {0}")]
    Failed(String),
    /// It is gone.
    #[error("the client is gone")]
    Gone,
}

/// An MCP server that the client wants a session to use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct McpServer {
    /// What the person calls it.
    pub name: String,
    /// How to reach it.
    pub transport: McpTransport,
}

impl McpServer {
    /// A server called `name`.
    pub fn new(name: impl Into<String>, transport: McpTransport) -> Self {
        Self { name: name.into(), transport }
    }
}

/// How to reach an [`McpServer`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum McpTransport {
    /// A program that speaks MCP on its standard input and output.
    Stdio {
        /// The program.
        command: PathBuf,
        /// Its arguments.
        args: Vec<String>,
        /// Variables to set for it.
        env: BTreeMap<String, Secret>,
    },
    /// A server that speaks streamable HTTP.
    Http {
        /// Its address.
        url: String,
        /// Headers to send with each request.
        headers: BTreeMap<String, Secret>,
    },
}
