//! `crow sessions`: past conversations.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crow_acp::{Agent, NewSession, SessionQuery, SessionRecord, SessionSummary};
use crow_plugin_persistence::{Archive, export_jsonl, export_markdown};
use serde_json::{Value, json};

use crate::args::{Cli, Format, Sessions};
use crate::dialog::say;
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::render::{Palette, Style, clean};
use crate::time::{ago, iso};
use crate::{commands::undo, plugins, transcript};

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
        Sessions::Search { words, limit } => search(agent, words, *limit, cli.json),
        Sessions::Export { id, format, output } => export(agent, id, *format, output.as_deref()).await,
        Sessions::Fork(id) => fork(agent, id, cli.json).await,
        Sessions::Delete(ids) => delete(agent, ids).await,
        Sessions::Undo { id, to, force, list } => {
            let done = undo::run(agent, id, *to, *force, *list, cli.json).await;
            agent.shutdown().await;
            return done;
        }
        Sessions::Prune { days, dry_run } => prune(agent, *days, *dry_run, cli.json),
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
    let record = record(agent, start).await?;
    if json {
        let text = serde_json::to_string(&record).map_err(|error| Failure::failed(error.to_string()))?;
        return say(&text);
    }
    say(transcript::markdown(&record).trim_end())
}

/// The session whose id starts with `start`, with its whole log.
async fn record(agent: &Agent, start: &str) -> Result<SessionRecord, Failure> {
    let id = find(agent, start).await?;
    // Some other Crow may be working on it; loading would be refused then.
    let record = match plugins::look_up(agent, &id)? {
        Some(record) => Some(record),
        None => agent.hooks().load_session(agent, &id).await.map_err(crow_acp::RunError::from)?,
    };
    record.ok_or_else(|| none(start))
}

/// The built-in store, which alone can do what `verb` says.
fn store(agent: &Agent, verb: &str) -> Result<Archive, Failure> {
    let off = || {
        let what = format!("`crow sessions {verb}` is about the built-in store, and `persistence` is switched off");
        Failure::usage(what)
    };
    plugins::archive(agent)?.ok_or_else(off)
}

fn search(agent: &Agent, words: &str, limit: usize, json: bool) -> Result<(), Failure> {
    let hits = store(agent, "search")?.search(words, limit).map_err(|error| Failure::failed(error.to_string()))?;
    if json {
        let hits: Vec<Value> = hits
            .iter()
            .map(|hit| json!({ "session": hit.session, "seq": hit.seq, "at": hit.at, "excerpt": hit.excerpt }))
            .collect();
        return say(&json!({ "hits": hits }).to_string());
    }
    if hits.is_empty() {
        return say(&format!("Nothing is found of `{words}`."));
    }
    let palette = Palette::of(&std::io::stdout());
    let mut last = None;
    for hit in hits {
        // What stands in one session stands together.
        if last.as_ref() != Some(&hit.session.id) {
            let title = hit.session.title.as_deref().map_or_else(|| "(no title)".to_owned(), clean);
            let beside = format!("{}  {}", ago(hit.at), hit.session.cwd.display());
            say(&format!("{}  {title}\n{:36}  {}", hit.session.id, "", palette.paint(Style::Dim, &clean(&beside))))?;
        }
        say(&format!("{:36}  {}", "", clean(&hit.excerpt)))?;
        last = Some(hit.session.id);
    }
    Ok(())
}

async fn export(agent: &Agent, start: &str, format: Format, output: Option<&str>) -> Result<(), Failure> {
    let record = record(agent, start).await?;
    let mut bytes = Vec::new();
    match format {
        Format::Jsonl => export_jsonl(&record, &mut bytes)?,
        Format::Markdown => export_markdown(&record, &mut bytes)?,
    }
    // What was stored before its value was known to be a secret leaves here without it.
    let text = String::from_utf8_lossy(&bytes);
    let text = agent.secrets().scrub(&text);
    let Some(path) = output else { return say(text.trim_end()) };
    private_file(Path::new(path))
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::failed(format!("{path}: {error}")))?;
    say(&format!("Wrote {} to {path}", record.summary.id))
}

/// A new or emptied file that is the user's alone: what is said to an agent is not for others.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

async fn fork(agent: &Agent, start: &str, json: bool) -> Result<(), Failure> {
    let record = record(agent, start).await?;
    let id = record.summary.id;
    // It may come from another machine.
    let cwd = Some(record.summary.cwd).filter(|cwd| cwd.is_dir());
    let setup = NewSession::new(cwd.map_or_else(std::env::current_dir, Ok)?);
    let copy = agent.fork_session(&id, setup).await.map_err(|error| Failure::failed(error.to_string()))?;
    if json {
        return say(&json!({ "session": copy.id(), "parent": id }).to_string());
    }
    say(copy.id())
}

fn prune(agent: &Agent, days: Option<u32>, dry_run: bool, json: bool) -> Result<(), Failure> {
    let store = store(agent, "prune")?;
    let age = days.map(|days| Duration::from_hours(u64::from(days) * 24)).or(store.retention());
    let age = age.ok_or_else(|| {
        Failure::usage("`crow sessions prune` needs to know for how long to keep sessions")
            .next("crow sessions prune --days 90\nor set retention_days in [plugins.persistence], for every start.")
    })?;
    let pruned = if dry_run { store.outdated(age) } else { store.prune(age) };
    let pruned = pruned.map_err(|error| Failure::failed(error.to_string()))?;
    if json {
        return say(&json!({ "sessions": pruned, "deleted": !dry_run }).to_string());
    }
    let word = if dry_run { "Would delete" } else { "Deleted" };
    for id in &pruned {
        say(&format!("{word} {id}"))?;
    }
    if pruned.is_empty() { say("No session is that old.") } else { Ok(()) }
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
    // The built-in store finds it however many there are.
    if let Some(archive) = plugins::archive(agent)?
        && let Some(found) = archive.find(start).map_err(|error| Failure::failed(error.to_string()))?
    {
        return Ok(found.id);
    }
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
