//! `/mcp`: which servers the session has, how they do, and what they have.

use std::fmt::Write;
use std::sync::Arc;

use crow_acp::{Agent, BoxFuture, CommandCall, CommandError, CommandHandler, CommandReply, Session};

use crate::connection::Phase;
use crate::hub::{Hub, Member};
use crate::{text, tools};

const USAGE: &str = "`/mcp` shows the servers, `/mcp NAME` one of them, `/mcp restart NAME` starts one anew.";

/// The command.
pub(crate) struct Mcp(pub(crate) Arc<Hub>);

impl CommandHandler for Mcp {
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let members = self.0.members(session);
            let find = |name: &str| {
                let names = || members.iter().map(|member| format!("`{}`", member.name)).collect::<Vec<_>>().join(", ");
                let unknown = || CommandError(format!("there is no MCP server `{name}` here; there are: {}", names()));
                members.iter().find(|member| member.name == name).ok_or_else(unknown)
            };
            let words: Vec<&str> = call.arguments.split_whitespace().collect();
            let text = match words.as_slice() {
                [] => overview(&members),
                ["restart", name] => {
                    let member = find(name)?;
                    let connection = member.connection.as_ref().map_err(|why| CommandError(why.clone()))?;
                    connection.stop().await;
                    connection.start(&self.0, agent);
                    connection.settled().await;
                    // What it has is in the session when the user reads that it is there.
                    agent.refresh_session(session).await;
                    one(member, false)
                }
                [name] => one(find(name)?, true),
                _ => USAGE.to_owned(),
            };
            Ok(CommandReply::Text(agent.secrets().scrub(&text).into_owned()))
        })
    }
}

fn overview(members: &[Member]) -> String {
    if members.is_empty() {
        return "There are no MCP servers. Editors bring theirs; your own go into `[plugins.mcp.servers.NAME]` of \
                `config.toml`, those of a project into its `.mcp.json`."
            .into();
    }
    let mut text: String = members.iter().map(|member| one(member, false)).collect::<Vec<_>>().join("\n");
    let _ = write!(text, "\n\n{USAGE}");
    text
}

/// A server: a line, what is odd about it, and its tools, in a line or one by one.
fn one(member: &Member, at_length: bool) -> String {
    let source = member.source.in_words();
    let connection = match &member.connection {
        Ok(connection) => connection,
        Err(why) => return format!("- **{}** ({source}): **cannot be used**: {why}", member.name),
    };
    let reached = text::short(&connection.spec().summary());
    let state = match connection.phase() {
        Phase::Idle => "not started".to_owned(),
        Phase::Connecting => "starting".to_owned(),
        Phase::Failed(why) => format!("**failed**: {why}"),
        Phase::Ready(live) => {
            let info = live.peer.peer_info();
            let who = info.as_ref().and_then(|info| info.server_info.as_ref());
            let who = who.map(|who| format!(" ({} {})", text::short(&who.name), text::short(&who.version)));
            let prompts = match live.lists.prompts.len() {
                0 => String::new(),
                number => format!(", {}", counted(number, "prompt")),
            };
            format!("ready{}, {}{prompts}", who.unwrap_or_default(), counted(live.lists.tools.len(), "tool"))
        }
    };
    let mut text = format!("- **{}** ({source}): {state}; `{reached}`", member.name);
    for remark in connection.remarks.all() {
        let _ = write!(text, "\n  - remark: {remark}");
    }
    let tools = tools::of(std::slice::from_ref(member));
    if at_length {
        for tool in tools {
            let leave = if tool.read_only { " (read-only, as you say)" } else { "" };
            let _ = write!(text, "\n  - `{}`{leave}: {}", tool.name, text::short(&tool.description));
        }
    } else if !tools.is_empty() {
        let names: Vec<String> = tools.iter().map(|tool| format!("`{}`", tool.name)).collect();
        let _ = write!(text, "\n  - {}", names.join(", "));
    }
    text
}

fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
