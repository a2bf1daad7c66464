//! `/skill:NAME [what to do]`: a skill by the user's own hand.

use crow_acp::{Agent, BoxFuture, Command, CommandCall, CommandError, CommandHandler, CommandReply, Message, Session};

use crate::shelf::Shelf;
use crate::tools::text;

/// A command for each skill.
pub(crate) fn commands(shelf: &Shelf) -> Vec<Command> {
    let command = |name: &str, about: &str| Command::new(format!("skill:{name}"), about, Follow).hint("what to do");
    shelf.skills.iter().map(|skill| command(&skill.name, &skill.description)).collect()
}

struct Follow;

impl CommandHandler for Follow {
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let name = call.name.strip_prefix("skill:").unwrap_or(&call.name);
            let unusable = || CommandError(format!("the skill `{name}` cannot be used: it is gone, or not trusted"));
            let shelf = Shelf::of(session).ok_or_else(unusable)?;
            let skill = shelf.skills.iter().find(|skill| skill.name == name).cloned().ok_or_else(unusable)?;
            let read = tokio::task::spawn_blocking(move || text(&skill, "")).await.map_err(|_| unusable())?;
            shelf.skill(agent, session, name).await.ok_or_else(unusable)?;
            let mut prompt = read.map_err(CommandError)?;
            prompt.push_str("\n\n");
            prompt.push_str(if call.arguments.is_empty() { "Follow this skill." } else { &call.arguments });
            Ok(CommandReply::Prompt(Message::user(prompt)))
        })
    }
}
