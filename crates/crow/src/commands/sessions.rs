//! `crow sessions`: past conversations.

use crow_acp::{Agent, SessionQuery, SessionSummary};
use serde_json::json;

use crate::args::{Cli, Sessions};
use crate::dialog::say;
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::render::{Palette, Style, clean};
use crate::time::{ago, iso};
use crate::{plugins, transcript};

/// Most sessions that are looked through.
const MOST: usize = 1000;

/// Runs the command.
///
/// # Errors
/// The store failed, or there is no such session.
pub(crate) async fn run(cli: &Cli, command: &Sessions) -> Result<Exit, Failure> {
    let host = Host::new(host::config(cli.overrides.clone())?, cli.plugins, None).await?;
    let agent = &host.agent;
    let done = match command {
        Sessions::List { here } => list(agent, *here, cli.json).await,
        Sessions::Show(id) => show(agent, id, cli.json).await,
        Sessions::Delete(ids) => delete(agent, ids).await,
    };
    agent.shutdown().await;
    done.map(|()| Exit::Done)
}

async fn list(agent: &Agent, here: bool, json: bool) -> Result<(), Failure> {
    let mut query = SessionQuery::newest(MOST);
    if here {
        query.cwd = Some(std::env::current_dir()?);
    }
    let sessions = agent.list_sessions(&query).await?;
    if json {
        return say(&json!({ "sessions": sessions }).to_string());
    }
    if sessions.is_empty() {
        return say("No sessions yet. `crow run \"…\"` makes the first.");
    }
    let palette = Palette::of(&std::io::stdout());
    for session in sessions {
        let title = session.title.as_deref().map_or_else(|| "(no title)".to_owned(), clean);
        let model = session.model.map(|model| format!("  {model}")).unwrap_or_default();
        let beside = format!("{}  {}{model}", ago(session.updated_at), session.cwd.display());
        say(&format!("{}  {title}\n{:36}  {}", session.id, "", palette.paint(Style::Dim, &clean(&beside))))?;
    }
    Ok(())
}

async fn show(agent: &Agent, start: &str, json: bool) -> Result<(), Failure> {
    let id = find(agent, start).await?;
    // Some other Crow may be working on it; loading would be refused then.
    let record = match plugins::look_up(agent, &id)? {
        Some(record) => Some(record),
        None => agent.hooks().load_session(agent, &id).await.map_err(crow_acp::RunError::from)?,
    };
    let record = record.ok_or_else(|| none(start))?;
    if json {
        let text = serde_json::to_string(&record).map_err(|error| Failure::failed(error.to_string()))?;
        return say(&text);
    }
    say(transcript::markdown(&record).trim_end())
}

async fn delete(agent: &Agent, starts: &[String]) -> Result<(), Failure> {
    // All or none: a slip in the last id must not have deleted the others.
    let mut ids = Vec::new();
    for start in starts {
        ids.push(find(agent, start).await?);
    }
    for id in ids {
        agent.delete_session(&id).await?;
        say(&format!("Deleted {id}"))?;
    }
    Ok(())
}

/// The id of the one session whose id starts with `start`.
///
/// # Errors
/// There is none, or more than one.
pub(crate) async fn find(agent: &Agent, start: &str) -> Result<String, Failure> {
    let sessions = agent.list_sessions(&SessionQuery::newest(MOST)).await?;
    let matching: Vec<&SessionSummary> = sessions.iter().filter(|session| session.id.starts_with(start)).collect();
    match matching.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => Err(none(start)),
        several => {
            let ids: Vec<String> =
                several.iter().take(5).map(|one| format!("{}  {}", one.id, iso(one.updated_at))).collect();
            Err(Failure::usage(format!("{} sessions begin with `{start}`", several.len())).next(ids.join("\n")))
        }
    }
}

fn none(id: &str) -> Failure {
    Failure::usage(format!("there is no session `{id}`")).next("`crow sessions list` shows those there are.")
}
