//! The built-in plugins, all of them. Nothing else in this program knows their names.

use crow_acp::crow_hooks::RegisterError;
use crow_acp::{Agent, PluginManager, SessionRecord};
use crow_plugin_persistence::{Archive, Persistence};

use crate::exit::Failure;

/// A plugin that is linked into this program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuiltIn {
    /// Its name: what `-p no:NAME` and `[plugins.NAME]` call it.
    pub(crate) name: &'static str,
    /// What it is for, in a few words.
    pub(crate) about: &'static str,
    /// Makes it and registers it. Makes nothing else: no file, no connection.
    pub(crate) register: Register,
}

macro_rules! built_in {
    ($($name:literal, $about:literal, $plugin:expr;)*) => {
        &[$(BuiltIn { name: $name, about: $about, register: |plugins| plugins.register_as($name, $plugin).map(drop) }),*]
    };
}

/// In the order in which they are registered. Among impls of one hook that ask for no place of their own the last
/// registered is called first, so what others may want to come before stands at the top.
pub(crate) const BUILT_IN: &[BuiltIn] = built_in! {
    "dispatch", "hands calls to the provider, tool or command they name", crow_acp::Dispatch;
    "limits", "ends runs that take too many turns", crow_acp::Limits;
    "persistence", "keeps sessions, in SQLite or PostgreSQL", crow_plugin_persistence::plugin();
    "system-prompt", "the system prompt: role, environment, AGENTS.md", crow_plugin_system_prompt::plugin();
    "tools", "files, search, terminal, web", crow_plugin_tools::plugin();
    "mcp", "tools and prompts of MCP servers", crow_plugin_mcp::plugin();
    "skills-rag", "skills, and documents found when they are needed", crow_plugin_skills_rag::plugin();
    "permissions", "asks before anything is changed, and remembers", crow_plugin_permissions::plugin();
    "openai", "models behind the Chat Completions protocol", crow_plugin_openai::plugin();
    "genai", "models behind the protocols of Anthropic, OpenAI Responses, Gemini, Ollama", crow_plugin_genai::plugin();
    "replay", "plays and records model conversations",
        crow_plugin_replay::plugin().embedded("demo", include_str!("demo/model.jsonl"));
    "compaction", "makes long conversations fit the model's window", crow_plugin_compaction::plugin();
    "command-hooks", "runs your commands when something happens (hooks.json)", crow_plugin_command_hooks::plugin();
    "checkpoints", "keeps what files were; /undo brings them back", crow_plugin_checkpoints::plugin();
    "slash-commands", "Markdown files as slash commands", crow_plugin_slash_commands::plugin();
    "retry", "asks again when a provider is busy", crow_plugin_retry::plugin();
    "analytics", "counts tokens, money and time; budgets", crow_plugin_analytics::plugin();
};

/// Those that write down what happens. Commands that only look do without.
pub(crate) const KEEPERS: [&str; 2] = ["persistence", "analytics"];

/// Registers what a program has beyond the built-in plugins.
pub(crate) type Register = fn(&PluginManager) -> Result<(), RegisterError>;

/// The plugins of a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plugins {
    extra: Register,
    /// Why installed plugins are not among them.
    pub(crate) notice: Option<&'static str>,
    /// Some of them may print, or start what prints: the protocol is kept apart from standard output.
    pub(crate) may_print: bool,
}

impl Plugins {
    /// The built-in ones.
    pub(crate) fn built_in() -> Self {
        Self::and(|_| Ok(()))
    }

    /// The built-in ones and those that `extra` registers. Those come last, so that they are called first.
    pub(crate) fn and(extra: Register) -> Self {
        Self { extra, notice: None, may_print: false }
    }

    /// The same, and the user is told why those that are installed are missing.
    pub(crate) fn without_installed(self, notice: Option<String>) -> Self {
        // The process has one of them for as long as it lives.
        Self { notice: notice.map(|notice| &*notice.leak()), ..self }
    }

    /// The same, of which some may print.
    pub(crate) fn that_print(self) -> Self {
        Self { may_print: true, ..self }
    }

    /// Registers them all, except those that are blocked.
    ///
    /// # Errors
    /// A plugin cannot be registered.
    pub(crate) fn register(self, plugins: &PluginManager) -> Result<(), RegisterError> {
        BUILT_IN.iter().try_for_each(|plugin| (plugin.register)(plugins))?;
        (self.extra)(plugins)
    }
}

/// What a plugin is for, if it is built in.
pub(crate) fn about(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|plugin| plugin.name == name).map(|plugin| plugin.about)
}

/// The names of the built-in plugins that `plugins` does without.
pub(crate) fn off(plugins: &PluginManager) -> Vec<&'static str> {
    BUILT_IN.iter().map(|plugin| plugin.name).filter(|name| !plugins.has_plugin(name)).collect()
}

/// The names that the configuration may speak of: of every plugin that is on, and of those that are off.
pub(crate) fn installed(plugins: &PluginManager) -> Vec<String> {
    let on = plugins.names().into_iter().map(|name| name.to_string());
    let elsewhere = crate::embed::installed_elsewhere();
    on.chain(off(plugins).into_iter().map(str::to_owned)).chain(elsewhere).collect()
}

/// The built-in store. `None`: it is switched off.
///
/// # Errors
/// Its configuration cannot be used.
pub(crate) fn archive(agent: &Agent) -> Result<Option<Archive>, Failure> {
    if agent.plugins().get_plugin::<Persistence>("persistence").is_none() {
        return Ok(None);
    }
    Archive::to_be(&agent.config()).map(Some).map_err(|error| Failure::failed(error.to_string()))
}

/// A session as the built-in store has it, without taking it from the Crow that may be working on it. `None`: it is not
/// there, or the store is switched off.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn look_up(agent: &Agent, id: &str) -> Result<Option<SessionRecord>, Failure> {
    let record = archive(agent)?.map(|archive| archive.record(id)).transpose();
    record.map(Option::flatten).map_err(|error| Failure::failed(error.to_string()))
}
