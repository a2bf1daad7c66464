//! The plugin `checkpoints`: before the agent's first edit of a file in a run its content is kept, and `/undo` brings
//! files back to any prompt.
//!
//! Whatever a tool says it writes ([`crow_acp::Access::Write`]) is covered, whichever plugin it is from. What commands in
//! the terminal change is not, and is said not to be.
#![forbid(unsafe_code)]

mod command;
mod config;
mod history;
mod journal;
mod prune;
mod undo;
mod watch;

use crow_acp::crow_hooks::{Next, Outcome};
use crow_acp::{Agent, CallTool, Command, Config, ConfigError, CrowHooks, Session, hookimpls};

use config::Settings;
use watch::{State, Watch};

pub use history::{CheckpointError, History, Prompt};
pub use undo::{Fate, Report, Undone};

/// The plugin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checkpoints;

/// The plugin, ready to be registered.
pub fn plugin() -> Checkpoints {
    Checkpoints
}

#[hookimpls(name = "checkpoints")]
impl CrowHooks for Checkpoints {
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        config.plugin::<Settings>("checkpoints").map(drop)
    }

    fn register_commands(&self) -> Vec<Command> {
        vec![
            Command::new("undo", "Bring files back to before the last prompt", command::Undo)
                .hint("[prompts] [--force]"),
        ]
    }

    /// What a run changes first, it keeps anew: the next edit belongs to this prompt.
    fn before_run(&self, session: &Session, user_input: &str) {
        State::of(session).begin(user_input);
    }

    #[hookimpl(wrapper)]
    async fn call_tool(&self, mut next: Next<'_, CallTool>) -> Outcome<CallTool> {
        let (session, id) = (next.args.session.clone(), next.args.call.id.clone());
        // Whatever becomes of the call, a cancel included: what it left is noted when this goes.
        let _watch = Watch::begin(&session, &id).await;
        next.run().await
    }

    async fn delete_session(&self, agent: &Agent, session_id: &str) -> std::io::Result<()> {
        let directory = journal::directory(agent.config().home(), session_id);
        match tokio::task::spawn_blocking(move || std::fs::remove_dir_all(directory)).await {
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
