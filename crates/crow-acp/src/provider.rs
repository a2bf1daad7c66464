//! Providers: who carries a request to a model, and the request itself.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::delta::Deltas;
use crate::message::Message;
use crate::model::{Model, Usage};
use crate::tool::{BoxFuture, ToolDescriptor};

/// A provider that a plugin offers: its models and the code that reaches them.
#[derive(Clone)]
#[non_exhaustive]
pub struct ProviderDescriptor {
    /// The name before the slash in `PROVIDER/MODEL`.
    pub name: String,
    /// The models that are known without asking the endpoint. Others are accepted too: nothing is known of them.
    pub models: Vec<Model>,
    /// Does the requests.
    pub handler: Arc<dyn Provider>,
}

impl ProviderDescriptor {
    /// A provider with these models.
    pub fn new(name: impl Into<String>, models: Vec<Model>, handler: impl Provider + 'static) -> Self {
        Self { name: name.into(), models, handler: Arc::new(handler) }
    }
}

impl std::fmt::Debug for ProviderDescriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderDescriptor")
            .field("name", &self.name)
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

/// The code that reaches a provider's models.
pub trait Provider: Send + Sync {
    /// Does the request and hands every fragment to `deltas` as it arrives. Dropping the future cancels the request.
    ///
    /// # Errors
    /// [`ProviderError`]; fragments that were handed over stay.
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>>;

    /// Asks the endpoint which models it has.
    ///
    /// # Errors
    /// [`ProviderErrorKind::Unsupported`] unless overridden, else what went wrong on the way.
    fn list_models(&self) -> BoxFuture<'_, Result<Vec<Model>, ProviderError>> {
        Box::pin(async {
            Err(ProviderError::new(ProviderErrorKind::Unsupported, "this provider cannot list its models"))
        })
    }
}

/// One request to a model: system, messages, tools and parameters, as one coherent object.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// The session it is made for; providers may use it as a cache key.
    pub session_id: String,
    /// The model that answers.
    pub model: Model,
    /// The one system prompt, in sections, the most stable first.
    pub system: Sections,
    /// The conversation. Holds no system messages when a provider gets it: the loop has merged them into `system`.
    pub messages: Vec<Message>,
    /// The tools the model may call.
    pub tools: Vec<Arc<ToolDescriptor>>,
    /// Everything else.
    pub parameters: Parameters,
}

impl Request {
    /// A request of `messages` to `model`, without tools or a system prompt.
    pub fn new(session_id: impl Into<String>, model: Model, messages: Vec<Message>) -> Self {
        Self {
            session_id: session_id.into(),
            model,
            system: Sections::default(),
            messages,
            tools: Vec::new(),
            parameters: Parameters::default(),
        }
    }
}

/// Parameters of a request. What is not set is not sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parameters {
    /// Most tokens to write.
    pub max_output_tokens: Option<u64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// `low`, `medium`, `high`, or whatever the model knows.
    pub reasoning_effort: Option<String>,
    /// Further fields of the request's body, as they are.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

/// How long a section of the system prompt stays the same. The order is the order in the prompt, so that the longest
/// possible prefix stays cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The same in every session.
    Static,
    /// The same through a session.
    Session,
    /// May differ from turn to turn.
    Turn,
}

/// A named section of the system prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Section {
    /// What it is called, for example `environment`.
    pub id: String,
    /// The plugin it comes from.
    pub owner: String,
    /// How stable it is.
    pub scope: Scope,
    /// Its text.
    pub text: String,
}

impl Section {
    /// A section of the plugin `owner`.
    pub fn new(id: impl Into<String>, owner: impl Into<String>, scope: Scope, text: impl Into<String>) -> Self {
        Self { id: id.into(), owner: owner.into(), scope, text: text.into() }
    }
}

/// The system prompt: sections in order of scope, within a scope in the order they were put in.
///
/// ```
/// use crow_acp::{Scope, Section, Sections};
///
/// let mut prompt = Sections::default();
/// prompt.push(Section::new("date", "me", Scope::Session, "It is Monday."));
/// prompt.push(Section::new("role", "me", Scope::Static, "You are Crow."));
/// assert_eq!(prompt.text(), "You are Crow.\n\nIt is Monday.");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sections {
    sections: Vec<Section>,
}

impl Sections {
    /// Puts a section after those of its scope.
    pub fn push(&mut self, section: Section) {
        let at = self.sections.partition_point(|other| other.scope <= section.scope);
        self.sections.insert(at, section);
    }

    /// The sections, in the order of the prompt.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section called `id`, for editing.
    pub fn section_mut(&mut self, id: &str) -> Option<&mut Section> {
        self.sections.iter_mut().find(|section| section.id == id)
    }

    /// Keeps the sections for which `keep` is true.
    pub fn retain(&mut self, keep: impl FnMut(&Section) -> bool) {
        self.sections.retain(keep);
    }

    /// The whole prompt: the sections' texts with an empty line between.
    pub fn text(&self) -> String {
        let texts: Vec<&str> =
            self.sections.iter().map(|section| section.text.as_str()).filter(|text| !text.is_empty()).collect();
        texts.join("\n\n")
    }
}

/// What a model's answer ends with; its text went to the [`Deltas`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Completion {
    /// Tokens, if the provider told.
    pub usage: Option<Usage>,
    /// Why it stopped.
    pub finish: Finish,
}

impl Completion {
    /// An answer that ended by `finish`.
    pub fn new(finish: Finish, usage: Option<Usage>) -> Self {
        Self { usage, finish }
    }
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finish {
    /// It had said everything.
    Stop,
    /// It asks for tools.
    ToolCalls,
    /// It reached its output limit.
    Length,
    /// The provider's filter stopped it.
    Refusal,
}

/// What went wrong between us and a model.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ProviderError {
    /// The kind, which decides about retries.
    pub kind: ProviderErrorKind,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// How long the provider asks us to wait.
    pub retry_after: Option<Duration>,
    /// What to tell the user; holds no secrets.
    pub message: String,
}

impl ProviderError {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ProviderErrorKind, message: impl Into<String>) -> Self {
        Self { kind, status: None, retry_after: None, message: message.into() }
    }

    /// With the HTTP status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With the time the provider asks us to wait.
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }
}

/// Kinds of [`ProviderError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// The key is wrong or missing (401, 403).
    Authentication,
    /// The account has no credit left (402).
    Payment,
    /// No such model or endpoint (404).
    NotFound,
    /// The request was refused as it stands (400, 422).
    BadRequest,
    /// Too many requests (429).
    RateLimit,
    /// The provider is overloaded (503, 529).
    Overloaded,
    /// The provider failed (408, 409, other 5xx, an error inside a stream).
    Server,
    /// No connection, or it broke.
    Connection,
    /// Nothing came for too long.
    Timeout,
    /// The conversation does not fit the model's window.
    ContextOverflow,
    /// The answer could not be understood.
    Protocol,
    /// The provider cannot do this at all.
    Unsupported,
}

impl ProviderErrorKind {
    /// Whether asking again may help.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::RateLimit | Self::Overloaded | Self::Server | Self::Connection | Self::Timeout)
    }
}
