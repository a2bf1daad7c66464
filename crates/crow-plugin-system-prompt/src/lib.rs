//! The plugin `system-prompt`: what the model is told before the conversation.
//!
//! Sections, the most stable first: the role, hints about the tools, the user's and the project's instructions
//! (`AGENTS.md`), the environment, the directory tree. What is on disk is looked up once for each session, in the
//! background, and the sections stay the same byte for byte through the session, so that prompts stay cached.
#![forbid(unsafe_code)]

mod agents;
mod command;
mod facts;
mod settings;
mod template;
mod text;
mod tree;

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crow_acp::{Agent, Command, Config, ConfigError, CrowHooks, Scope, Section, Sections, Session, hookimpls};
use tokio::sync::OnceCell;

use crate::facts::{Facts, Place, Template};
use crate::settings::Settings;
use crate::template::Words;

/// The plugin's name, and the owner of its sections.
const NAME: &str = "system-prompt";

/// How long after a lookup has begun another session of the same place may still use it: an editor that opens twenty
/// sessions at once makes for one.
const SHARED: Duration = Duration::from_secs(1);

/// Makes the system prompt.
///
/// ```
/// use crow_plugin_system_prompt::SystemPrompt;
///
/// let plugin = SystemPrompt::new("You are Crow.");
/// ```
#[derive(Debug, Default)]
pub struct SystemPrompt {
    role: Option<String>,
    last: Mutex<Weak<Lookup>>,
}

impl SystemPrompt {
    /// The plugin, with another role than its own. `role` in the configuration goes before it.
    pub fn new(role: impl Into<String>) -> Self {
        Self { role: Some(role.into()), last: Mutex::default() }
    }
}

/// The plugin, for hosts.
pub fn plugin() -> SystemPrompt {
    SystemPrompt::default()
}

/// Why there is no prompt, in words for the user.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
struct PromptError(String);

/// Kept on each session: where its facts come from, and the sections made of them.
struct Prepared {
    lookup: Arc<Lookup>,
    sections: OnceLock<Result<Vec<Section>, PromptError>>,
}

/// One look at a place. Sessions that start there at nearly the same time share it.
#[derive(Debug)]
struct Lookup {
    place: Place,
    begun: Instant,
    facts: OnceCell<Result<Facts, PromptError>>,
}

impl Lookup {
    /// The facts; whoever comes while they are looked up waits for them.
    async fn facts(&self) -> Result<&Facts, PromptError> {
        let look_up = || async {
            let place = self.place.clone();
            let found = tokio::task::spawn_blocking(move || place.look_up()).await;
            found.map_err(|error| PromptError(error.to_string()))?.map_err(PromptError)
        };
        self.facts.get_or_init(look_up).await.as_ref().map_err(Clone::clone)
    }
}

#[hookimpls(name = "system-prompt")]
impl CrowHooks for SystemPrompt {
    fn configure(&self, config: &mut Config) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let settings: Settings = config.plugin(NAME)?;
        if let Some(source) = settings.template {
            let name = "plugins.system-prompt.template".to_owned();
            template::check(&Template { name, source }).map_err(ConfigError::new)?;
        }
        Ok(())
    }

    /// Begins to look things up, without anybody waiting for it.
    fn on_session_start(&self, agent: &Agent, session: &Session) -> Result<(), ConfigError> {
        let prepared = self.prepared(session)?;
        agent.spawn(async move {
            // A failure is told to whoever wants the prompt.
            let _ = prepared.lookup.facts().await;
        });
        Ok(())
    }

    fn register_commands(&self) -> Vec<Command> {
        vec![command::command()]
    }

    async fn system_prompt(
        &self,
        session: &Session,
        sections: &mut Sections,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let prepared = self.prepared(session)?;
        let facts = prepared.lookup.facts().await?;
        let made = prepared.sections.get_or_init(|| self.sections(&prepared.lookup.place.settings, session, facts));
        for section in made.as_ref().map_err(Clone::clone)? {
            sections.push(section.clone());
        }
        Ok(())
    }
}

impl SystemPrompt {
    /// What is kept on the session, from now on if not already.
    fn prepared(&self, session: &Session) -> Result<Arc<Prepared>, ConfigError> {
        if let Some(prepared) = session.get::<Prepared>() {
            return Ok(prepared);
        }
        let config = session.config();
        let place = Place {
            home: config.home().to_owned(),
            project: config.project().unwrap_or(session.cwd()).to_owned(),
            roots: session.roots(),
            ignore: config.ignore().to_vec(),
            settings: config.plugin(NAME)?,
        };
        session.insert(Prepared { lookup: self.lookup(place), sections: OnceLock::new() });
        session.get::<Prepared>().ok_or_else(|| ConfigError::new("the session forgot its prompt"))
    }

    /// The last lookup if it is about the same place and has just begun, else a new one.
    fn lookup(&self, place: Place) -> Arc<Lookup> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = last.upgrade().filter(|lookup| lookup.begun.elapsed() < SHARED && lookup.place == place);
        shared.unwrap_or_else(|| {
            let new = Arc::new(Lookup { place, begun: Instant::now(), facts: OnceCell::new() });
            *last = Arc::downgrade(&new);
            new
        })
    }

    fn sections(&self, settings: &Settings, session: &Session, facts: &Facts) -> Result<Vec<Section>, PromptError> {
        let role = settings.role.as_deref().or(self.role.as_deref()).unwrap_or(text::ROLE);
        let append = settings.append.as_deref().unwrap_or_default();
        let tools = session.tools();
        if let Some(template) = &facts.template {
            let names: Vec<String> = tools.iter().map(|tool| tool.name.clone()).collect();
            let words = Words { role, append, tools: &names };
            let text = template::render(template, facts, words).map_err(PromptError)?;
            return Ok(vec![Section::new("template", NAME, Scope::Session, text)]);
        }
        let tree = match facts.tree.as_str() {
            "" => String::new(),
            tree => format!("Files, without those that are ignored or lie deep:\n{}", tree.trim_end()),
        };
        let all = [
            ("role", Scope::Static, role.to_owned()),
            ("tools", Scope::Static, text::tool_hints(&tools)),
            ("instructions", Scope::Session, facts.agents.clone()),
            ("append", Scope::Session, append.to_owned()),
            ("environment", Scope::Session, facts.environment.clone()),
            ("tree", Scope::Session, tree),
        ];
        let present = all.into_iter().filter(|(.., text)| !text.is_empty());
        Ok(present.map(|(id, scope, text)| Section::new(id, NAME, scope, text)).collect())
    }
}
