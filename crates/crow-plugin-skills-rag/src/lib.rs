//! The plugin `skills-rag`: skills, and documents that are found when they are needed.
//!
//! Skills come in three tiers: their names and descriptions in the system prompt, their bodies on demand, their files when
//! the body names them. Documents are cut into pieces, kept in an index of words and (if somebody offers embeddings) of
//! vectors, and what fits a prompt stands at its tail. A session without skills and documents costs a few looks at
//! directories that are not there.
#![forbid(unsafe_code)]

mod chunk;
mod command;
mod embedding;
mod front_matter;
mod index;
mod library;
mod listing;
mod retrieve;
mod search;
mod settings;
mod shelf;
mod skill;
mod sources;
mod standalone;
mod store;
mod tools;
mod vector;
mod words;

use crow_acp::{
    Agent, Command, Config, ConfigError, CrowHooks, Notice, Scope, Section, Sections, Session, Severity,
    ToolDescriptor, hookimpls,
};

pub use crate::standalone::{Hit, Index, IndexError};

use crate::embedding::{Embedder, ModelError};
use crate::settings::Settings;
use crate::shelf::Shelf;

/// The plugin's name, and the owner of what it puts in.
const NAME: &str = "skills-rag";

/// The plugin.
#[derive(Debug, Default)]
pub struct SkillsRag {
    embedder: Embedder,
}

/// The plugin, ready to be registered.
pub fn plugin() -> SkillsRag {
    SkillsRag::default()
}

#[hookimpls(name = "skills-rag")]
impl CrowHooks for SkillsRag {
    /// Bad values are said at the start.
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        Settings::of(config).map(drop)
    }

    /// Looks for skills, and begins to read documents, for which nobody waits.
    async fn on_session_start(&self, agent: &Agent, session: &Session) -> Result<(), ConfigError> {
        let settings = match Settings::of(&session.config()) {
            Ok(settings) => settings,
            // What a project says is no reason not to work in it.
            Err(error) => {
                session.notify(Notice::new(Severity::Warning, error.to_string()));
                Settings::of(&agent.config())?
            }
        };
        if let Some(shelf) = Shelf::stock(agent, session, settings).await? {
            drop(shelf.refresh(agent, session));
        }
        Ok(())
    }

    fn register_tools(&self, session: &Session) -> Option<Vec<ToolDescriptor>> {
        Shelf::of(session).map(|shelf| tools::tools(&shelf))
    }

    fn register_commands(&self, session: &Session) -> Option<Vec<Command>> {
        Shelf::of(session).map(|shelf| command::commands(&shelf))
    }

    fn system_prompt(&self, agent: &Agent, session: &Session, sections: &mut Sections) {
        let Some(shelf) = Shelf::of(session).filter(|shelf| !shelf.skills.is_empty()) else { return };
        let (text, _) = shelf.listing(agent, session);
        sections.push(Section::new("skills", NAME, Scope::Session, text.clone()));
    }

    // It has limits of its own, which leave the prompt alone; the budget would refuse it.
    #[hookimpl(tryfirst, budget = "60s")]
    async fn before_run(&self, agent: &Agent, session: &Session, user_input: &str) {
        let Some(shelf) = Shelf::of(session) else { return };
        if shelf.settings.retrieve && shelf.settings.top_k > 0 {
            retrieve::retrieve(agent, session, &shelf, user_input).await;
        }
    }

    /// Embeddings by the model directory that is configured, if one is and nobody else embeds.
    #[hookimpl(trylast)]
    async fn embed(&self, agent: &Agent, texts: &[String]) -> Result<Option<Vec<Vec<f32>>>, ModelError> {
        let config = agent.config();
        let settings = Settings::of(&config).map_err(|error| ModelError(error.to_string()))?;
        let Some(directory) = settings.embedding_model else { return Ok(None) };
        self.embedder.embed(config.home().join(directory), texts.to_vec()).await.map(Some)
    }
}
