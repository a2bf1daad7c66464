//! `crow sessions undo`: files as they were before a prompt.

use std::io::IsTerminal;

use crow_acp::Agent;
use crow_plugin_checkpoints::{CheckpointError, History};
use serde_json::json;

use crate::commands::sessions;
use crate::dialog::{ask, say};
use crate::exit::{Exit, Failure};
use crate::render::clean;
use crate::time::ago;

/// Runs the command.
///
/// # Errors
/// There is no such session or prompt, there is nothing to undo, or what was kept cannot be used.
pub(crate) async fn run(
    agent: &Agent,
    start: &str,
    to: Option<u32>,
    force: bool,
    list: bool,
    json: bool,
) -> Result<Exit, Failure> {
    let id = sessions::find(agent, start).await?;
    let mut history = History::open(agent.config().home(), &id).map_err(|error| failed(&error))?;
    if list {
        return listed(&history, json);
    }
    let from = to.map_or_else(|| history.back(1), Ok).map_err(|error| failed(&error))?;
    let conflicts = history.conflicts(from);
    let may_ask = !force && !json && !conflicts.is_empty() && std::io::stdin().is_terminal();
    let force = force || may_ask && overwrite(&conflicts)?;
    let report = history.undo(from, force).map_err(|error| failed(&error))?;
    if json {
        say(&serde_json::to_string(&report).map_err(|error| Failure::failed(error.to_string()))?)?;
    } else {
        say(&clean(&report.in_words(&std::env::current_dir()?)))?;
    }
    Ok(if report.is_complete() { Exit::Done } else { Exit::Failed })
}

fn listed(history: &History, json: bool) -> Result<Exit, Failure> {
    let prompts = history.prompts();
    if json {
        say(&json!({ "prompts": prompts }).to_string())?;
        return Ok(Exit::Done);
    }
    if prompts.is_empty() {
        return Err(failed(&CheckpointError::Nothing));
    }
    for prompt in prompts.iter().rev() {
        let state = if prompt.undone { ", undone" } else { "" };
        say(&clean(&format!("{:4}  {}{state}  {}", prompt.number, ago(prompt.at), prompt.text)))?;
        for file in &prompt.files {
            say(&clean(&format!("      {}", file.display())))?;
        }
    }
    Ok(Exit::Done)
}

fn overwrite(conflicts: &[std::path::PathBuf]) -> Result<bool, Failure> {
    say("Changed after Crow's last edit:")?;
    for path in conflicts {
        say(&clean(&format!("  {}", path.display())))?;
    }
    let answer = ask("Overwrite them, too (copies are kept)? yes, no", Some("no"))?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

fn failed(error: &CheckpointError) -> Failure {
    let failure = Failure::failed(error.to_string());
    match error {
        CheckpointError::NoSuchPrompt(_) => failure.next("`crow sessions undo ID --list` shows the numbers."),
        _ => failure,
    }
}
