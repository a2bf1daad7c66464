//! What a session offers the user to choose: slash commands, modes, config options.

use std::sync::Arc;

use crate::agent::Agent;
use crate::message::Message;
use crate::session::Session;
use crate::tool::BoxFuture;

/// A slash command that a plugin offers, with the code that answers it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Command {
    /// Without the slash.
    pub name: String,
    /// One line.
    pub description: String,
    /// What to type behind it, if anything.
    pub hint: Option<String>,
    /// Answers it.
    pub handler: Arc<dyn CommandHandler>,
}

impl Command {
    /// A command without arguments.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        handler: impl CommandHandler + 'static,
    ) -> Self {
        Self { name: name.into(), description: description.into(), hint: None, handler: Arc::new(handler) }
    }

    /// With a hint of what to type behind it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command")
            .field("name", &self.name)
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.description, &self.hint) == (&other.name, &other.description, &other.hint)
    }
}

/// The code of a slash command.
pub trait CommandHandler: Send + Sync {
    /// Answers the command.
    ///
    /// # Errors
    /// What the user is told; the prompt ends as refused.
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>>;
}

/// A slash command as the user typed it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CommandCall {
    /// Without the slash.
    pub name: String,
    /// Everything behind the name, trimmed.
    pub arguments: String,
    /// The whole prompt.
    pub message: Message,
}

impl CommandCall {
    /// Reads a prompt as a command, if its text starts with a slash and a name.
    pub fn parse(message: &Message) -> Option<Self> {
        let text = message.text();
        let rest = text.strip_prefix('/')?;
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let name = &rest[..end];
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ':');
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        Some(Self { name: name.to_owned(), arguments: rest[end..].trim().to_owned(), message: message.clone() })
    }
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CommandReply {
    /// Show this (Markdown) and end the run, without asking the model.
    Text(String),
    /// Go to the model with this prompt instead of what the user typed.
    Prompt(Message),
}

/// Why a command failed, in words for the user.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct CommandError(pub String);

/// A session mode, for example `plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mode {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// One line.
    pub description: Option<String>,
}

impl Mode {
    /// A mode.
    pub fn new(id: impl Into<String>, name: impl Into<String>, description: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), description: Some(description.into()) }
    }
}

/// A choice that the session offers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigOption {
    /// Its id; `model` and `mode` are the agent's own.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// One line.
    pub description: Option<String>,
    /// ACP's category: `mode`, `model`, `model_config`, `thought_level`, or one's own with a leading `_`.
    pub category: Option<String>,
    /// The value that is now on: the id of one of `values`.
    pub current: String,
    /// What can be chosen, never empty.
    pub values: Vec<OptionValue>,
}

impl ConfigOption {
    /// An option.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        current: impl Into<String>,
        values: Vec<OptionValue>,
    ) -> Self {
        Self { id: id.into(), name: name.into(), description: None, category: None, current: current.into(), values }
    }

    /// In ACP's category `category`.
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into());
        self
    }
}

/// A value of a [`ConfigOption`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionValue {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// One line.
    pub description: Option<String>,
}

impl OptionValue {
    /// A value.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), description: None }
    }
}

/// A choice the user made: the argument of `on_option_change`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionChange {
    /// `mode`, `model`, or the option's id.
    pub id: String,
    /// The value it had.
    pub from: Option<String>,
    /// The value it is to have.
    pub to: String,
}

impl OptionChange {
    pub(crate) fn new(id: &str, from: Option<String>, to: &str) -> Self {
        Self { id: id.to_owned(), from, to: to.to_owned() }
    }
}
