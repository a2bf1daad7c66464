//! What hooks answer: the outputs of the hooks that decide something, and what they are asked about.

use std::time::Duration;

use crate::message::Message;
use crate::model::{ModelId, Usage};
use crate::provider::{Finish, ProviderError, ProviderErrorKind};
use crate::tool::ToolOutcome;

/// Why a run ended, in ACP's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The model had said everything.
    EndTurn,
    /// The model reached its output limit.
    MaxTokens,
    /// The run reached its limit of turns.
    MaxTurnRequests,
    /// A hook or the model refused.
    Refusal,
    /// The user cancelled.
    Cancelled,
}

/// How a run ended: what `after_run` is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunOutcome {
    /// Why it ended. An error ends a run too: then this is [`StopReason::Refusal`] or [`StopReason::EndTurn`] and
    /// [`error`](Self::error) is set.
    pub stop_reason: StopReason,
    /// The error, if one ended it.
    pub error: Option<RunError>,
    /// The tokens of all its requests.
    pub usage: Usage,
    /// Round trips to the model.
    pub turns: u32,
}

/// An error that ended a run, in words for the user.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct RunError {
    /// What the user is told.
    pub message: String,
    /// The provider's error, if it was one.
    pub provider: Option<ProviderError>,
    /// The plugin and the hook it came from.
    pub origin: Option<(String, String)>,
}

impl RunError {
    /// An error of the run itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), provider: None, origin: None }
    }

    /// The kind of the provider's error, if it was one.
    pub fn kind(&self) -> Option<ProviderErrorKind> {
        self.provider.as_ref().map(|error| error.kind)
    }
}

impl From<ProviderError> for RunError {
    fn from(error: ProviderError) -> Self {
        Self { message: error.message.clone(), provider: Some(error), origin: None }
    }
}

impl From<crow_hooks::HookError> for RunError {
    fn from(error: crow_hooks::HookError) -> Self {
        let origin = Some((error.plugin().to_owned(), error.hook().to_owned()));
        match error.downcast_ref::<ProviderError>() {
            Some(provider) => Self { message: provider.message.clone(), provider: Some(provider.clone()), origin },
            None => Self { message: error.to_string(), provider: None, origin },
        }
    }
}

/// Where a run stands: the argument of `before_turn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// The turn that begins, from 1.
    pub number: u32,
    /// The tokens of the run so far.
    pub usage: Usage,
}

impl Turn {
    pub(crate) fn new(number: u32, usage: Usage) -> Self {
        Self { number, usage }
    }
}

/// What `before_turn` may decide instead of going on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TurnDecision {
    /// End the run here.
    Stop {
        /// The stop reason the client gets.
        reason: StopReason,
        /// What the user is told, if anything.
        message: Option<String>,
    },
    /// Compact first, whatever `should_compact` says.
    Compact,
    /// Put these messages in, then go on.
    Inject(Vec<Message>),
}

/// What to do about a failed request: the answer of `on_llm_error`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Recovery {
    /// Ask again.
    Retry {
        /// After so long.
        after: Duration,
        /// What the user is told while it waits, for example `retrying 2/5 in 8 s`.
        notice: String,
    },
    /// Ask another model.
    SwitchModel(ModelId),
    /// Compact the conversation and ask again.
    Compact,
    /// Give up with the error as it is.
    Fail,
}

/// The assembled answer of a model: the argument of `after_llm_response`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// Text, reasoning and tool calls.
    pub message: Message,
    /// The model that gave it.
    pub model: ModelId,
    /// Its tokens; estimated if the provider did not tell.
    pub usage: Usage,
    /// Why it stopped.
    pub finish: Finish,
}

impl Response {
    pub(crate) fn new(message: Message, model: ModelId, usage: Usage, finish: Finish) -> Self {
        Self { message, model, usage, finish }
    }
}

/// What `before_tool_call` may decide instead of going on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ToolGate {
    /// Don't run it; the model reads the reason.
    Deny {
        /// Why.
        reason: String,
    },
    /// Don't run it; this is its outcome. It still passes `guard_tool_call`.
    Answer(ToolOutcome),
}

/// The answer of `request_permission`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permission {
    /// Run it.
    Allow,
    /// Don't; the model reads the reason.
    Deny {
        /// Why.
        reason: String,
    },
}

/// The answer of `before_stop`: the run goes on with this message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KeepGoing {
    /// What the model reads next.
    pub message: Message,
}

impl KeepGoing {
    /// Go on with a user message of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { message: Message::user(text) }
    }
}

/// How full the context is: the argument of `should_compact`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextUse {
    /// Tokens in use: the last request's, plus an estimate of what came since.
    pub used: u64,
    /// The model's window in tokens, if known.
    pub window: Option<u64>,
    /// Most tokens the model writes, if known.
    pub max_output: Option<u64>,
    /// The provider has refused the request as too long.
    pub overflow: bool,
}

impl ContextUse {
    /// `used` tokens of a `window`.
    pub fn new(used: u64, window: Option<u64>, max_output: Option<u64>, overflow: bool) -> Self {
        Self { used, window, max_output, overflow }
    }
}

/// Why to compact: the answer of `should_compact`, and part of [`CompactPlan`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompactTrigger {
    /// The context nears the window.
    Threshold,
    /// The provider refused the request as too long.
    Overflow,
    /// The user or a plugin asked for it.
    Asked {
        /// What to keep above all.
        focus: Option<String>,
    },
}

/// What `compact` is asked to do.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CompactPlan {
    /// Why.
    pub trigger: CompactTrigger,
    /// How full the context is.
    pub context: ContextUse,
    /// The messages as the model sees them now.
    pub messages: Vec<Message>,
}

impl CompactPlan {
    pub(crate) fn new(trigger: CompactTrigger, context: ContextUse, messages: Vec<Message>) -> Self {
        Self { trigger, context, messages }
    }
}

/// What `compact` gives.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Compaction {
    /// What the model sees from now on.
    pub messages: Vec<Message>,
    /// The summary, for the user.
    pub summary: String,
}

impl Compaction {
    /// A compaction.
    pub fn new(messages: Vec<Message>, summary: impl Into<String>) -> Self {
        Self { messages, summary: summary.into() }
    }
}

/// What a compaction did: the argument of `after_compact`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CompactReport {
    /// Why.
    pub trigger: CompactTrigger,
    /// Estimated tokens before.
    pub before: u64,
    /// Estimated tokens after.
    pub after: u64,
}

impl CompactReport {
    pub(crate) fn new(trigger: CompactTrigger, before: u64, after: u64) -> Self {
        Self { trigger, before, after }
    }
}

/// A tool call that cannot run as it is: the argument of `repair_tool_call`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolCallError {
    /// No plugin registered such a tool.
    #[error("there is no tool `{name}`; {known}")]
    UnknownTool {
        /// The name the model used.
        name: String,
        /// The names there are, in a sentence.
        known: String,
    },
    /// The arguments are not JSON.
    #[error("the arguments are not valid JSON: {0}")]
    Malformed(String),
    /// The arguments do not fit the tool's schema.
    #[error("the arguments do not fit: {0}")]
    Invalid(String),
}

/// Why a session ends: the argument of `on_session_end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The client closed it.
    Closed,
    /// The client deleted it.
    Deleted,
    /// The client is gone, or the agent goes down.
    Disconnected,
}

/// What a subagent is to do: the argument of `before_subagent`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SubagentSpec {
    /// Its prompt.
    pub prompt: Message,
    /// Its model, if not the parent session's.
    pub model: Option<ModelId>,
}

impl SubagentSpec {
    /// A subagent with this prompt, on the parent's model.
    pub fn new(prompt: Message) -> Self {
        Self { prompt, model: None }
    }
}
