//! Commands in terminals of the client's.

use super::port::schema::{
    CreateTerminalRequest, EnvVariable, KillTerminalRequest, ReleaseTerminalRequest, SessionId, Terminal, TerminalId,
    TerminalOutputRequest, ToolCallContent, ToolCallUpdate, ToolCallUpdateFields, WaitForTerminalExitRequest,
};
use super::port::{Connection, RpcError};
use crate::client::{ClientCommand, CommandEnd};

/// Runs a command; `show` gets the update that puts the terminal into its tool call. Dropping the future ends it.
pub(super) async fn run(
    connection: &Connection,
    session: SessionId,
    command: ClientCommand,
    show: impl FnOnce(ToolCallUpdate),
) -> Result<CommandEnd, RpcError> {
    let env = command.env.iter().map(|(name, value)| EnvVariable::new(name.clone(), value.clone())).collect();
    let create = CreateTerminalRequest::new(session.clone(), command.program)
        .args(command.args)
        .env(env)
        .cwd(command.cwd)
        .output_byte_limit(command.output_limit);
    let id = connection.send_request(create).block_task().await?.terminal_id;
    let _held = Held { connection, session: session.clone(), id: id.clone() };
    let content = vec![ToolCallContent::Terminal(Terminal::new(id.clone()))];
    show(ToolCallUpdate::new(command.call_id, ToolCallUpdateFields::new().content(content)));

    let wait = WaitForTerminalExitRequest::new(session.clone(), id.clone());
    let exit = tokio::time::timeout(command.time_limit, connection.send_request(wait).block_task()).await;
    let exit = match exit {
        Ok(exit) => Some(exit?.exit_status),
        Err(_) => {
            let kill = KillTerminalRequest::new(session.clone(), id.clone());
            connection.send_request(kill).block_task().await?;
            None
        }
    };
    let output = connection.send_request(TerminalOutputRequest::new(session, id)).block_task().await?;
    let mut end = CommandEnd::new(output.output);
    end.truncated = output.truncated;
    end.timed_out = exit.is_none();
    if let Some(exit) = exit {
        end.exit_code = exit.exit_code.map(|code| i32::try_from(code).unwrap_or(i32::MAX));
        end.signal = exit.signal;
    }
    Ok(end)
}

/// A terminal that has to be released, whatever happens. Releasing ends what still runs in it.
struct Held<'a> {
    connection: &'a Connection,
    session: SessionId,
    id: TerminalId,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.connection.send_request(ReleaseTerminalRequest::new(self.session.clone(), self.id.clone())).detach();
    }
}
