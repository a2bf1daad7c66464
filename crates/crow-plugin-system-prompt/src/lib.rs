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

use std::sync::{Arc, OnceLock};

use crow_acp::{Agent, Command, Config, ConfigError, CrowHooks, Scope, Section, Sections, Session, hookimpls};
use tokio::sync::OnceCell;

use crate::facts::{Facts, Place, Template};
use crate::settings::Settings;
use crate::template::Words;

/// The plugin's name, and the owner of its sections.
const NAME: &str = "system-prompt";

/// Makes the system prompt.
///
/// ```
/// use crow_plugin_system_prompt::SystemPrompt;
///
/// let plugin = SystemPrompt::new("You are Crow.");
/// ```
#[derive(Debug, Clone, Default)]
pub struct SystemPrompt {
    role: Option<String>,
}

impl SystemPrompt {
    /// The plugin, with another role than its own. `role` in the configuration goes before it.
    pub fn new(role: impl Into<String>) -> Self {
        Self { role: Some(role.into()) }
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

/// Kept on each session: the facts as soon as they are there, and the sections made of them.
#[derive(Default)]
struct Prepared {
    facts: OnceCell<Result<Facts, PromptError>>,
    sections: OnceLock<Result<Vec<Section>, PromptError>>,
}

impl Prepared {
    /// What is kept on the session already, or a new one.
    fn of(session: &Session) -> Arc<Self> {
        let kept = session.get::<Arc<Self>>();
        kept.map_or_else(
            || {
                let new = Arc::<Self>::default();
                session.insert(new.clone());
                new
            },
            |kept| Arc::clone(&kept),
        )
    }

    /// Looks the facts up; whoever comes while that goes on waits for it.
    async fn facts(&self, session: &Session) -> &Result<Facts, PromptError> {
        let look_up = || async {
            let config = session.config();
            let settings = config.plugin(NAME).map_err(|error| PromptError(error.to_string()))?;
            let place = Place {
                home: config.home().to_owned(),
                project: config.project().unwrap_or(session.cwd()).to_owned(),
                roots: session.roots(),
                ignore: config.ignore().to_vec(),
                settings,
            };
            let found = tokio::task::spawn_blocking(move || place.look_up()).await;
            found.map_err(|error| PromptError(error.to_string()))?.map_err(PromptError)
        };
        self.facts.get_or_init(look_up).await
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
    fn on_session_start(&self, agent: &Agent, session: &Session) {
        let (prepared, session) = (Prepared::of(session), session.clone());
        agent.spawn(async move {
            // A failure is told to whoever wants the prompt.
            let _ = prepared.facts(&session).await;
        });
    }

    fn register_commands(&self) -> Vec<Command> {
        vec![command::command()]
    }

    async fn system_prompt(&self, session: &Session, sections: &mut Sections) -> Result<(), PromptError> {
        let prepared = Prepared::of(session);
        let facts = prepared.facts(session).await.as_ref().map_err(Clone::clone)?;
        let made = prepared.sections.get_or_init(|| self.sections(session, facts));
        for section in made.as_ref().map_err(Clone::clone)? {
            sections.push(section.clone());
        }
        Ok(())
    }
}

impl SystemPrompt {
    fn sections(&self, session: &Session, facts: &Facts) -> Result<Vec<Section>, PromptError> {
        let settings: Settings = session.config().plugin(NAME).map_err(|error| PromptError(error.to_string()))?;
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
