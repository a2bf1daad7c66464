//! The plugin `slash-commands`: Markdown files as slash commands, in the form that coding agents share.
//!
//! The user's are in `CROW_HOME/commands`; a project's are there once they are trusted. Files are read when they are used,
//! so that a change counts at once.
#![forbid(unsafe_code)]

mod expand;
mod file;
mod find;
mod limit;

use std::sync::{Arc, Mutex, PoisonError};

use crow_acp::{
    Agent, BoxFuture, Command, CommandCall, CommandError, CommandHandler, CommandReply, Config, ConfigError, CrowHooks,
    Message, ModelId, Notice, Part, Role, Session, Severity, ToolCall, hookimpls,
};
use serde::Deserialize;

use find::Found;

/// `[plugins.slash-commands]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Whether the commands in a project's `.claude/commands` count, once they are trusted.
    claude: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { claude: true }
    }
}

/// The plugin.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlashCommands;

/// The plugin, ready to be registered.
pub fn plugin() -> SlashCommands {
    SlashCommands
}

#[hookimpls(name = "slash-commands")]
impl CrowHooks for SlashCommands {
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        config.plugin::<Settings>("slash-commands").map(drop)
    }

    /// Last: a file takes no other plugin's name.
    #[hookimpl(trylast)]
    fn register_commands(&self, agent: &Agent, session: &Session) -> Vec<Command> {
        let found = look(agent, session);
        let commands = found.iter().map(|found| {
            let whose = if found.of_project { "project" } else { "user" };
            let command = Command::new(&found.name, format!("{} ({whose})", found.file.about()), FromFile);
            match &found.file.hint {
                Some(hint) => command.hint(hint),
                // Without a hint editors send nothing that is typed behind the name.
                None => command.hint("arguments"),
            }
        });
        let commands = commands.collect();
        State::of(session).with(|state| state.found = found);
        commands
    }

    /// Files may have come, gone or changed since the last prompt; and another prompt is another run.
    async fn before_prompt(&self, agent: &Agent, session: &Session) {
        let found = look(agent, session);
        let changed = State::of(session).with(|state| {
            state.running = None;
            state.found != found
        });
        if changed {
            agent.refresh_session(session).await;
        }
    }

    fn select_model(&self, session: &Session) -> Option<ModelId> {
        State::of(session).with(|state| state.running.as_ref()?.model.clone())
    }

    /// What `allowed-tools` does not name changes nothing while the command runs.
    fn guard_tool_call(&self, session: &Session, call: &ToolCall) -> Result<(), String> {
        let running = State::of(session).with(|state| state.running.clone());
        let Some(Running { name, tools: Some(tools), .. }) = running else {
            return Ok(());
        };
        if session.tool(&call.name).is_some_and(|tool| tool.read_only)
            || limit::allows(&tools, &call.name, &call.arguments)
        {
            return Ok(());
        }
        Err(format!("the command `/{name}` may change something with these only: {}", tools.join(", ")))
    }
}

/// The commands there are now.
fn look(agent: &Agent, session: &Session) -> Vec<Found> {
    // Bad values were refused at the start.
    let settings: Settings = session.config().plugin("slash-commands").unwrap_or_default();
    find::find(agent, session, settings.claude)
}

/// What is kept on a session.
#[derive(Debug, Default)]
struct State(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// What was registered.
    found: Vec<Found>,
    /// The command whose prompt runs.
    running: Option<Running>,
}

#[derive(Debug, Clone)]
struct Running {
    name: String,
    model: Option<ModelId>,
    tools: Option<Vec<String>>,
}

impl State {
    fn of(session: &Session) -> Arc<Self> {
        if let Some(state) = session.get::<Self>() {
            return state;
        }
        session.insert(Self::default());
        session.get::<Self>().unwrap_or_default()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A command that is a file.
struct FromFile;

impl CommandHandler for FromFile {
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            // `before_prompt` has just looked.
            let found = State::of(session).with(|state| state.found.iter().find(|one| one.name == call.name).cloned());
            let gone = || CommandError(format!("the file of `/{}` is gone, or is not trusted any more", call.name));
            let Found { file, path, .. } = found.ok_or_else(gone)?;
            if file.prompt.is_empty() {
                return Err(CommandError(format!("{} has no prompt in it", path.display())));
            }
            let model = file.model.as_deref().and_then(|model| known(agent, session, &call.name, model));
            let running = Running { name: call.name.clone(), model, tools: file.tools };
            State::of(session).with(|state| state.running = Some(running));

            let mut parts = vec![Part::text(expand::expand(&file.prompt, &call.arguments))];
            let attached = call.message.parts().iter().filter(|part| !matches!(part, Part::Text { .. }));
            parts.extend(attached.cloned());
            Ok(CommandReply::Prompt(Message::new(Role::User, parts)))
        })
    }
}

/// The model that a file names, if there is one.
fn known(agent: &Agent, session: &Session, command: &str, model: &str) -> Option<ModelId> {
    let id = model.parse().ok().filter(|id| agent.model(id).is_some());
    if id.is_none() {
        let title = format!("`/{command}` wants the model `{model}`, which there is not here; the session's is asked");
        session.notify(Notice::new(Severity::Warning, title));
    }
    id
}
