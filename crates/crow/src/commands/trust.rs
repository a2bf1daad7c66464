//! `crow trust`: what a project brings along, and whether it may be used.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crow_acp::{Agent, Judged, NewSession, ProjectItem, Session, SessionError, TrustError, TrustState};
use serde_json::json;

use crate::args::{Cli, Trust};
use crate::dialog::{ask, say};
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::plugins;
use crate::render::{Palette, Style, clean};
use crate::time::ago;

/// Runs the command.
///
/// # Errors
/// The directory or the configuration cannot be used, or what is trusted cannot be read or kept.
pub(crate) async fn run(cli: &Cli, command: &Trust) -> Result<Exit, Failure> {
    let mut overrides = cli.overrides.clone();
    overrides.blocked.extend(plugins::KEEPERS.map(str::to_owned));
    let host = Host::new(host::config(overrides)?, cli.plugins, None).await?;
    let agent = &host.agent;
    match command {
        Trust::List => list(agent, cli.json),
        Trust::Revoke { directory } => revoke(agent, directory.as_deref(), cli.json),
        Trust::Review { directory, yes } => {
            let done = review(agent, directory.as_deref(), *yes, cli.json).await;
            agent.shutdown().await;
            done
        }
    }
}

fn list(agent: &Agent, json: bool) -> Result<Exit, Failure> {
    let projects = agent.trust().projects().map_err(|error| failed(&error))?;
    if json {
        let projects: Vec<_> =
            projects.iter().map(|(project, items)| json!({ "project": project, "items": items })).collect();
        say(&json!({ "projects": projects }).to_string())?;
        return Ok(Exit::Done);
    }
    if projects.is_empty() {
        say("Nothing is trusted. `crow trust` in a project shows what it brings along.")?;
    }
    let palette = Palette::of(&std::io::stdout());
    for (project, items) in projects {
        say(&palette.paint(Style::Bold, &clean(&project.display().to_string())))?;
        for item in items {
            let what = format!("  {:12} {}", item.kind, item.name);
            let when = format!("  {}, since {}", item.path.display(), ago(item.at));
            say(&format!("{}{}", clean(&what), palette.paint(Style::Dim, &clean(&when))))?;
        }
    }
    Ok(Exit::Done)
}

fn revoke(agent: &Agent, directory: Option<&str>, json: bool) -> Result<Exit, Failure> {
    let project = root(agent, &directory_of(directory)?);
    let count = agent.trust().revoke(&project).map_err(|error| failed(&error))?;
    if json {
        say(&json!({ "project": project, "revoked": count }).to_string())?;
    } else if count == 0 {
        say(&format!("Nothing of {} was trusted.", clean(&project.display().to_string())))?;
    } else {
        say(&format!("Nothing of {} is trusted any more ({count} before).", clean(&project.display().to_string())))?;
    }
    Ok(Exit::Done)
}

/// The project around `directory`, as the agent's sessions see it.
fn root(agent: &Agent, directory: &Path) -> PathBuf {
    let (config, _) = agent.config().for_project(directory);
    config.project().unwrap_or(directory).to_owned()
}

async fn review(agent: &Agent, directory: Option<&str>, yes: bool, json: bool) -> Result<Exit, Failure> {
    let directory = directory_of(directory)?;
    // Whoever finds something presents it when a session starts: there is no second list that could differ.
    let session = agent.new_session(NewSession::new(&directory)).await.map_err(|error| refused(&error))?;
    let project = root(agent, &directory);
    let items = agent.trust().items(&session);
    let open: Vec<ProjectItem> =
        items.iter().filter(|judged| judged.state != TrustState::Trusted).map(|judged| judged.item.clone()).collect();
    let chosen = if yes {
        if !json {
            show(&project, &items)?;
        }
        open.clone()
    } else if json {
        Vec::new()
    } else {
        show(&project, &items)?;
        if open.is_empty() || !std::io::stdin().is_terminal() { Vec::new() } else { ask_about(&open)? }
    };
    approve(agent, &session, &chosen)?;
    let left = open.len() - chosen.len();
    if json {
        let items: Vec<_> = agent.trust().items(&session).iter().map(described).collect();
        say(&json!({ "project": project, "items": items }).to_string())?;
    } else {
        conclude(open.len(), chosen.len())?;
    }
    Ok(if left == 0 { Exit::Done } else { Exit::Failed })
}

fn approve(agent: &Agent, session: &Session, chosen: &[ProjectItem]) -> Result<(), Failure> {
    if chosen.is_empty() { Ok(()) } else { agent.trust().approve(session, chosen).map_err(|error| failed(&error)) }
}

fn show(project: &Path, items: &[Judged]) -> Result<(), Failure> {
    let project = clean(&project.display().to_string());
    if items.is_empty() {
        return say(&format!("{project} brings nothing along that would have to be trusted."));
    }
    let palette = Palette::of(&std::io::stdout());
    say(&format!("{project} brings along:\n"))?;
    for judged in items {
        let ProjectItem { kind, name, path, summary, .. } = &judged.item;
        let (word, style) = match judged.state {
            TrustState::Trusted => ("trusted", Style::Good),
            TrustState::Changed => ("changed since you trusted it", Style::Warn),
            TrustState::New => ("new", Style::Warn),
        };
        let what = one_line(&format!("{kind} {name}"));
        say(&format!("  {}  {}", palette.paint(Style::Bold, &what), palette.paint(style, word)))?;
        say(&format!("    {}", one_line(summary)))?;
        say(&palette.paint(Style::Dim, &format!("    {}", one_line(&path.display().to_string()))))?;
    }
    say("")
}

/// Asks about each; nothing has changed until all are answered.
fn ask_about(open: &[ProjectItem]) -> Result<Vec<ProjectItem>, Failure> {
    let mut chosen = Vec::new();
    for (at, item) in open.iter().enumerate() {
        let question = format!("Trust {}? yes, no, all, none", one_line(&format!("{} {}", item.kind, item.name)));
        loop {
            match ask(&question, Some("no"))?.to_lowercase().as_str() {
                "y" | "yes" => chosen.push(item.clone()),
                "n" | "no" => {}
                "a" | "all" => {
                    chosen.extend_from_slice(&open[at..]);
                    return Ok(chosen);
                }
                "none" | "q" | "quit" => return Ok(chosen),
                _ => continue,
            }
            break;
        }
    }
    Ok(chosen)
}

fn conclude(open: usize, chosen: usize) -> Result<(), Failure> {
    if chosen > 0 {
        say(&format!(
            "Trusted {chosen}. What changes later is off again until you look at it; `crow trust --revoke` takes it back."
        ))?;
    }
    match open - chosen {
        0 => Ok(()),
        left => say(&format!(
            "{left} not trusted and left off. `crow trust` in a terminal asks about each, `crow trust --yes` trusts all."
        )),
    }
}

fn described(judged: &Judged) -> serde_json::Value {
    let ProjectItem { kind, name, path, digest, summary } = &judged.item;
    let state = match judged.state {
        TrustState::Trusted => "trusted",
        TrustState::Changed => "changed",
        TrustState::New => "new",
    };
    json!({ "kind": kind, "name": name, "path": path, "digest": digest, "summary": summary, "state": state })
}

/// Text of a project's, on one line and without a word to the terminal.
fn one_line(text: &str) -> String {
    clean(&text.replace(['\n', '\r', '\t'], " "))
}

fn directory_of(given: Option<&str>) -> Result<PathBuf, Failure> {
    let here = std::env::current_dir()?;
    let directory = given.map_or_else(|| here.clone(), |given| here.join(given));
    if !directory.is_dir() {
        return Err(Failure::usage(format!("`{}` is no directory", directory.display())));
    }
    Ok(directory.canonicalize()?)
}

fn refused(error: &SessionError) -> Failure {
    Failure::failed(error.to_string())
}

fn failed(error: &TrustError) -> Failure {
    Failure::failed(error.to_string())
}
