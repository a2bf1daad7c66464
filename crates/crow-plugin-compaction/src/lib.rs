//! The plugin `compaction`: makes a long conversation fit the model's window. A ladder: old tool output goes first, then
//! a model writes a summary, then the oldest goes without one. The log keeps everything.
//!
//! It answers `should_compact` and `compact` last: another plugin may veto, steer, or do it its own way.
#![forbid(unsafe_code)]

mod command;
mod config;
mod ladder;
mod summary;

use crow_acp::{
    Agent, Command, CompactPlan, CompactTrigger, Compaction as Compacted, Config, ConfigError, ContextUse, CrowHooks,
    Notice, RunError, Session, Severity, hookimpls,
};

use config::Settings;

/// The plugin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compaction;

/// The plugin, ready to be registered.
pub fn plugin() -> Compaction {
    Compaction
}

#[hookimpls(name = "compaction")]
impl CrowHooks for Compaction {
    /// Bad values are said at the start, not when a conversation has become too long.
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        Settings::of(config).map(drop)
    }

    fn register_commands(&self) -> Vec<Command> {
        let about = "Make the conversation shorter for the model";
        vec![Command::new("compact", about, command::Compact).hint("what to keep above all")]
    }

    #[hookimpl(trylast)]
    fn should_compact(&self, session: &Session, context: &ContextUse) -> Result<Option<CompactTrigger>, ConfigError> {
        if context.overflow {
            return Ok(Some(CompactTrigger::Overflow));
        }
        let settings = Settings::of(&session.config())?;
        Ok(settings.limit(context).filter(|limit| context.used > *limit).map(|_| CompactTrigger::Threshold))
    }

    #[hookimpl(trylast)]
    async fn compact(&self, agent: &Agent, session: &Session, plan: &CompactPlan) -> Result<Compacted, RunError> {
        let settings = Settings::of(&session.config()).map_err(|error| RunError::new(error.to_string()))?;
        let goal = settings.goal(&plan.context, ladder::size(&plan.messages));
        let asked = matches!(plan.trigger, CompactTrigger::Asked { .. });

        let trimmed = ladder::drop_tool_output(&plan.messages, settings.keep_tokens);
        // Whoever asks for it by name wants a summary, whatever the first rung gives.
        if !asked && ladder::size(&trimmed) <= goal {
            return Ok(Compacted::new(trimmed, "Old tool output was dropped."));
        }
        let Some(cut) = ladder::cut(&plan.messages, settings.keep_tokens.min(goal / 2)) else {
            return Err(RunError::new("it is short already"));
        };
        let written = summary::write(agent, session, plan, &settings, &plan.messages[..cut]).await;
        let (text, by_model) = match written {
            Ok(text) => (text, true),
            Err(error) => {
                let title =
                    format!("no summary was written ({error}); the oldest part of the conversation goes without");
                session.notify(Notice::new(Severity::Warning, title));
                (summary::without_model(), false)
            }
        };
        let mut messages = ladder::assemble(&trimmed, cut, &text, settings.user_tokens);
        if ladder::size(&messages) >= ladder::size(&plan.messages) {
            if by_model {
                session.notify(Notice::new(Severity::Warning, "the summary was longer than what it stands for"));
            }
            messages = ladder::assemble(&trimmed, cut, &summary::without_model(), settings.user_tokens);
        }
        ladder::trim(&mut messages, goal);
        if ladder::size(&messages) >= ladder::size(&plan.messages) {
            return Err(RunError::new("nothing in it can be made shorter"));
        }
        Ok(Compacted::new(messages, text))
    }
}
