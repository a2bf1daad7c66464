//! Sessions: one conversation each, in memory only. Persistence is a plugin.

mod log;
mod settings;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, AgentInner};
use crate::answers::RunError;
use crate::client::McpServer;
use crate::config::Config;
use crate::event::{EventKind, SessionSummary};
use crate::message::{Message, Role};
use crate::model::{ModelId, Usage};
use crate::options::{Command, ConfigOption, Mode};
use crate::state::{Extensions, Shared, now};
use crate::tool::{ToolContent, ToolDescriptor, ToolPreview, ToolProgress};
use crate::trust::Brought;
use crate::update::{Notice, ToolCallUpdate, Update};

/// The window that `usage_update` shows for a model whose own is not known.
const ASSUMED_WINDOW: u64 = 128_000;

/// What a new or loaded session is set up with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NewSession {
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// Further directories that belong to the workspace, absolute.
    pub additional_directories: Vec<PathBuf>,
    /// MCP servers that the client asks for.
    pub mcp_servers: Vec<McpServer>,
}

impl NewSession {
    /// A session in `cwd`.
    pub fn new(cwd: impl Into<PathBuf>) -> Self {
        Self { cwd: cwd.into(), ..Self::default() }
    }
}

/// How a session came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// It is new.
    New,
    /// A store gave it back, and the client is shown its history.
    Loaded,
    /// A store gave it back; the client has its history already.
    Resumed,
    /// It is a copy of another.
    Forked,
}

/// Why a session could not be made or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The working directory is not absolute.
    #[error("the working directory must be absolute, and `{}` is not", .0.display())]
    RelativeCwd(PathBuf),
    /// The working directory does not exist.
    #[error("the working directory `{}` does not exist", .0.display())]
    NoSuchDirectory(PathBuf),
    /// No store knows the session.
    #[error("there is no session `{0}`")]
    NotFound(String),
    /// A hook refused.
    #[error(transparent)]
    Hook(RunError),
}

/// One conversation: a cheap handle, the same session however often it is cloned.
///
/// Accessors copy under a short lock and never return a guard, so that a hook may hold what it got across an await.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<SessionInner>);

pub(crate) struct SessionInner {
    id: String,
    created_at: i64,
    parent: Option<String>,
    origin: Origin,
    setup: NewSession,
    config: Shared<Arc<Config>>,
    /// What its project brought along.
    brought: Brought,
    agent: Weak<AgentInner>,
    state: Shared<State>,
    extensions: Extensions,
    /// One run at a time; prompts queue here in the order in which they came.
    pub(crate) queue: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) messages: Vec<Message>,
    /// Messages that wait until the results of the open tool calls are in.
    held: Vec<Message>,
    pub(crate) calls_open: bool,
    /// Events that something synchronous caused; recorded at the next occasion.
    pending: Vec<EventKind>,
    last_seq: u64,
    updated_at: i64,
    model: Option<ModelId>,
    mode: Option<String>,
    title: Option<String>,
    options: HashMap<String, String>,
    usage: Usage,
    context_used: u64,
    cost: Option<f64>,
    pub(crate) offers: Offers,
    previews: HashMap<String, ToolPreview>,
    /// Ids of tool calls so far, so that none is used twice.
    call_ids: std::collections::HashSet<String>,
    /// The parent of the tokens of the current run and those queued behind it.
    cancellation: CancellationToken,
}

/// What plugins registered for a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offers {
    pub(crate) tools: Vec<Arc<ToolDescriptor>>,
    pub(crate) commands: Vec<Command>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) options: Vec<ConfigOption>,
}

/// What a session starts from.
pub(crate) struct Beginning {
    pub(crate) id: String,
    pub(crate) origin: Origin,
    pub(crate) created_at: i64,
    pub(crate) parent: Option<String>,
    pub(crate) setup: NewSession,
    pub(crate) config: Arc<Config>,
    pub(crate) history: crate::history::History,
}

impl Session {
    pub(crate) fn new(agent: &Agent, beginning: Beginning) -> Self {
        let history = beginning.history;
        let state = State {
            call_ids: history.messages.iter().flat_map(Message::tool_calls).map(|call| call.id.clone()).collect(),
            messages: history.messages,
            last_seq: history.last_seq,
            updated_at: now(),
            model: history.model.or_else(|| beginning.config.model().cloned()),
            mode: history.mode.or_else(|| beginning.config.mode().map(str::to_owned)),
            title: history.title,
            options: history.options,
            usage: history.usage,
            context_used: history.context_used,
            cost: history.cost,
            ..State::default()
        };
        Self(Arc::new(SessionInner {
            id: beginning.id,
            created_at: beginning.created_at,
            parent: beginning.parent,
            origin: beginning.origin,
            setup: beginning.setup,
            config: Shared::new(beginning.config),
            brought: Brought::default(),
            agent: agent.downgrade(),
            state: Shared::new(state),
            extensions: Extensions::default(),
            queue: tokio::sync::Mutex::new(()),
        }))
    }

    pub(crate) fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        self.0.state.with(look)
    }

    /// Its id, unique across processes.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Its working directory, absolute.
    pub fn cwd(&self) -> &Path {
        &self.0.setup.cwd
    }

    /// The directories it works in: the working directory first, then the additional ones.
    pub fn roots(&self) -> Vec<PathBuf> {
        std::iter::once(&self.0.setup.cwd).chain(&self.0.setup.additional_directories).cloned().collect()
    }

    /// The MCP servers the client asked for.
    pub fn mcp_servers(&self) -> &[McpServer] {
        &self.0.setup.mcp_servers
    }

    /// How it came to be.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// When it was made, in milliseconds since the Unix epoch.
    pub fn created_at(&self) -> i64 {
        self.0.created_at
    }

    /// The session it was forked from.
    pub fn parent(&self) -> Option<&str> {
        self.0.parent.as_deref()
    }

    /// The agent's configuration, with what the project's own file may set on top. It may be another one from one run to
    /// the next: what a project may set depends on what is trusted of it.
    pub fn config(&self) -> Arc<Config> {
        self.0.config.with(|config| config.clone())
    }

    pub(crate) fn set_config(&self, config: Config) {
        self.0.config.with(|slot| *slot = Arc::new(config));
    }

    pub(crate) fn brought(&self) -> &Brought {
        &self.0.brought
    }

    /// The conversation as the model sees it. The clones are cheap.
    pub fn messages(&self) -> Vec<Message> {
        self.state(|state| state.messages.clone())
    }

    /// Puts in a message: `role` is `system`, `user` or `assistant`; anything else counts as `user`. It stands in the
    /// log as said. While tool calls are open it is held back until their results are in.
    pub fn add_message(&self, role: &str, text: &str) {
        let role = match role {
            "system" => Role::System,
            "assistant" => Role::Assistant,
            _ => Role::User,
        };
        self.push_message(Message::new(role, vec![crate::message::Part::text(text)]));
    }

    /// Puts in a message, as [`add_message`](Self::add_message) does.
    pub fn push_message(&self, message: Message) {
        self.state(|state| {
            if state.calls_open {
                state.held.push(message);
            } else {
                state.messages.push(message.clone());
                state.pending.push(EventKind::Injected { message });
            }
        });
    }

    /// Puts retrieved context at the tail of the current user turn, fenced and named, so that prompt caches stay warm
    /// and models that take one system message understand it.
    pub fn inject(&self, owner: &str, title: &str, text: &str) {
        let text = format!("<context source=\"{owner}\" title=\"{title}\">\n{text}\n</context>");
        self.push_message(Message::user(text).with_owner(owner));
    }

    /// The tokens of all its requests.
    pub fn usage(&self) -> Usage {
        self.state(|state| state.usage)
    }

    /// Tokens now in the context: those of the last request, and an estimate of what came since.
    pub fn context_used(&self) -> u64 {
        self.state(|state| state.context_used)
    }

    /// What it has cost so far in US dollars, if every price was known.
    pub fn cost(&self) -> Option<f64> {
        self.state(|state| state.cost)
    }

    /// The tools the model may call.
    pub fn tools(&self) -> Vec<Arc<ToolDescriptor>> {
        self.state(|state| state.offers.tools.clone())
    }

    /// The tool called `name`.
    pub fn tool(&self, name: &str) -> Option<Arc<ToolDescriptor>> {
        self.state(|state| state.offers.tools.iter().find(|tool| tool.name == name).cloned())
    }

    /// The slash commands.
    pub fn commands(&self) -> Vec<Command> {
        self.state(|state| state.offers.commands.clone())
    }

    /// What the user was shown of a call under way: title, files, diff, and what it would reach.
    pub fn preview(&self, call_id: &str) -> Option<ToolPreview> {
        self.state(|state| state.previews.get(call_id).cloned())
    }

    pub(crate) fn set_preview(&self, call_id: &str, preview: Option<ToolPreview>) {
        self.state(|state| match preview {
            Some(preview) => state.previews.insert(call_id.to_owned(), preview),
            None => state.previews.remove(call_id),
        });
    }

    /// A call id that this session has not used: `wanted`, if it has not.
    pub(crate) fn unique_call_id(&self, wanted: &str) -> String {
        self.state(|state| {
            let mut id =
                if wanted.is_empty() { format!("call_{}", state.call_ids.len() + 1) } else { wanted.to_owned() };
            let mut copy = 1;
            while !state.call_ids.insert(id.clone()) {
                copy += 1;
                id = format!("{wanted}-{copy}");
            }
            id
        })
    }

    /// Tells the client something, through `session_update`. A failing impl of that hook withholds it.
    pub fn update(&self, update: Update) {
        if let Some(agent) = self.agent() {
            agent.send(self, update);
        }
    }

    /// Tells the user something that is not part of the conversation.
    pub fn notify(&self, notice: Notice) {
        self.update(Update::Notice(notice));
    }

    /// Shows how far a running tool call is.
    pub fn tool_progress(&self, call_id: &str, progress: ToolProgress) {
        let mut update = ToolCallUpdate::new(call_id);
        match progress {
            ToolProgress::Title(title) => update.title = Some(title),
            ToolProgress::Content(content) => update.content = Some(content),
            ToolProgress::TerminalStarted { command, cwd } => update.terminal = Some((command, cwd)),
            ToolProgress::TerminalOutput(data) => {
                return self.update(Update::TerminalOutput { call_id: call_id.to_owned(), data });
            }
        }
        self.update(Update::ToolCall(Box::new(update)));
    }

    /// Tells the client the slash commands: after the response that made the client know the session, and whenever
    /// they change.
    pub fn advertise(&self) {
        self.update(Update::Commands(self.commands()));
    }

    pub(crate) fn advertise_usage(&self) {
        self.update(self.usage_update());
    }

    /// The context in use, and what it has cost.
    pub(crate) fn usage_update(&self) -> Update {
        let window = self.model().and_then(|id| self.agent()?.model(&id)?.context_window).unwrap_or(ASSUMED_WINDOW);
        let (used, cost) = self.state(|state| (state.context_used, state.cost));
        Update::Usage { used, size: window, cost }
    }

    /// Adds a request's tokens, and their cost in US dollars if the price is known.
    pub(crate) fn add_usage(&self, usage: &Usage, cost: Option<f64>) {
        self.state(|state| {
            let first = state.usage == Usage::default();
            state.usage.add(usage);
            state.context_used = usage.total();
            // One unknown price makes the sum unknown.
            state.cost = match (state.cost, cost) {
                (Some(sum), Some(cost)) => Some(sum + cost),
                (None, Some(cost)) if first => Some(cost),
                _ => None,
            };
        });
    }

    /// Puts `with` in the place of `old`, the messages as they were, and gives the messages as they are then: what was
    /// added since comes behind. The context shrinks by `saved` tokens; its fixed part, system prompt and tools, stays.
    pub(crate) fn replace_messages(&self, old: &[Message], with: Vec<Message>, saved: u64) -> Vec<Message> {
        self.state(|state| {
            let mut messages = with;
            messages.extend(state.messages.drain(..).skip(old.len()));
            state.messages.clone_from(&messages);
            state.context_used = state.context_used.saturating_sub(saved);
            messages
        })
    }

    /// Cancels the run under way and the prompts queued behind it.
    pub fn cancel(&self) {
        self.state(|state| std::mem::take(&mut state.cancellation)).cancel();
    }

    /// Cancelled when the run under way is.
    pub fn cancellation(&self) -> CancellationToken {
        self.state(|state| state.cancellation.clone())
    }

    /// What stores and lists know of it.
    pub fn summary(&self) -> SessionSummary {
        self.state(|state| SessionSummary {
            title: state.title.clone(),
            model: state.model.clone(),
            updated_at: state.updated_at,
            parent: self.0.parent.clone(),
            ..SessionSummary::new(&self.0.id, &self.0.setup.cwd, self.0.created_at)
        })
    }

    /// Keeps a value of a plugin's own, by its type; replaces the one before.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) {
        self.0.extensions.insert(value);
    }

    /// The value kept by [`insert`](Self::insert).
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.extensions.get()
    }

    /// An attribute that some plugin set.
    pub fn attribute(&self, name: &str) -> Option<Value> {
        self.0.extensions.attribute(name)
    }

    /// Sets an attribute that other plugins may read.
    pub fn set_attribute(&self, name: &str, value: Value) {
        self.0.extensions.set_attribute(name, value);
    }

    pub(crate) fn agent(&self) -> Option<Agent> {
        self.0.agent.upgrade().map(Agent)
    }

    /// Opens or closes the time in which messages are held back because tool calls wait for their results.
    pub(crate) fn hold_messages(&self, hold: bool) {
        self.state(|state| {
            state.calls_open = hold;
            if !hold {
                for message in std::mem::take(&mut state.held) {
                    state.messages.push(message.clone());
                    state.pending.push(EventKind::Injected { message });
                }
            }
        });
    }

    /// Brings the conversation into a state that every model accepts, after a run that could not do so itself: one that
    /// panicked, or whose closing part ran out of time.
    pub(crate) fn repair(&self) {
        self.state(|state| crate::history::close_calls(&mut state.messages));
        self.hold_messages(false);
    }

    /// Puts a message of the run itself in; the caller records its event.
    pub(crate) fn push_own(&self, message: Message) {
        self.state(|state| {
            state.context_used += message.estimated_tokens();
            state.messages.push(message);
        });
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.0.id).field("cwd", &self.0.setup.cwd).finish_non_exhaustive()
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What a tool call that is not shown by anything else shows: its text.
pub(crate) fn shown(text: &str) -> Vec<ToolContent> {
    if text.is_empty() { Vec::new() } else { vec![ToolContent::text(text)] }
}
