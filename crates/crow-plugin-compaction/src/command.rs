//! `/compact [focus]`.

use crow_acp::{Agent, BoxFuture, CommandCall, CommandError, CommandHandler, CommandReply, CompactTrigger, Session};

/// The command.
#[derive(Debug)]
pub(crate) struct Compact;

impl CommandHandler for Compact {
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let focus = (!call.arguments.is_empty()).then(|| call.arguments.clone());
            let report = agent.compact(session, CompactTrigger::Asked { focus }).await;
            let report = report.map_err(|error| CommandError(format!("not compacted: {}", error.message)))?;
            let text = format!("Compacted: about {} tokens became {}.", report.before, report.after);
            Ok(CommandReply::Text(text))
        })
    }
}
