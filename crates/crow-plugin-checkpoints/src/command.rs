//! `/undo [N] [--force]`, `/undo list`.

use crow_acp::{
    Agent, BoxFuture, Choice, ChoiceKind, CommandCall, CommandError, CommandHandler, CommandReply, Question, Session,
    ToolContent,
};

use crate::history::{CheckpointError, History};
use crate::undo::shown;

/// The command.
#[derive(Debug)]
pub(crate) struct Undo;

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    List,
    Undo { prompts: u32, force: bool },
}

impl Wish {
    fn read(arguments: &str) -> Result<Self, CommandError> {
        let mut wish = (1, false);
        for word in arguments.split_whitespace() {
            match word {
                "list" => return Ok(Self::List),
                "--force" => wish.1 = true,
                number => {
                    let usage = "`/undo`, `/undo 3` for the last three prompts, `/undo list`; with `--force` files that you \
                                 changed since are overwritten";
                    let number = number.parse().ok().filter(|number| *number > 0);
                    wish.0 = number.ok_or_else(|| CommandError(format!("`{word}`? {usage}")))?;
                }
            }
        }
        Ok(Self::Undo { prompts: wish.0, force: wish.1 })
    }
}

impl CommandHandler for Undo {
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let wish = Wish::read(&call.arguments)?;
            let failed = |error: CheckpointError| CommandError(error.to_string());
            let history = open(session).await.map_err(failed)?;
            let Wish::Undo { prompts, force } = wish else {
                return Ok(CommandReply::Text(list(&history)));
            };
            let from = history.back(prompts).map_err(failed)?;
            let force = force || may_overwrite(agent, session, &history, from, &call.arguments).await;
            let report = blocking(history, move |history| history.undo(from, force)).await.map_err(failed)?;
            let text = report.in_words(session.cwd());
            // The model has read the files as they were.
            session.inject("checkpoints", "The user undid your changes", &text);
            Ok(CommandReply::Text(text))
        })
    }
}

async fn open(session: &Session) -> Result<History, CheckpointError> {
    let (home, id) = (session.config().home().to_owned(), session.id().to_owned());
    let opened = tokio::task::spawn_blocking(move || History::open(&home, &id)).await;
    opened.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}

async fn blocking<T: Send + 'static>(
    mut history: History,
    work: impl FnOnce(&mut History) -> Result<T, CheckpointError> + Send + 'static,
) -> Result<T, CheckpointError> {
    let done = tokio::task::spawn_blocking(move || work(&mut history)).await;
    done.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}

/// Asks whether files that were changed since are to be overwritten. With nobody to ask they are left alone.
async fn may_overwrite(agent: &Agent, session: &Session, history: &History, from: u32, arguments: &str) -> bool {
    let conflicts = history.conflicts(from);
    if conflicts.is_empty() {
        return false;
    }
    let names: Vec<String> = conflicts.iter().map(|path| format!("- `{}`", shown(path, session.cwd()))).collect();
    let text = format!("Changed after Crow's last edit:\n{}", names.join("\n"));
    let choices = vec![
        Choice::new("overwrite", "Overwrite them, too (copies are kept)", ChoiceKind::AllowOnce),
        Choice::new("leave", "Leave them alone", ChoiceKind::RejectOnce),
    ];
    let question = Question::new(format!("undo-{}", session.created_at()), format!("/undo {arguments}"), choices)
        .content(vec![ToolContent::text(text)]);
    matches!(agent.ask(session, question).await.as_deref(), Ok("overwrite"))
}

fn list(history: &History) -> String {
    let prompts = history.prompts();
    let lines = prompts.iter().rev().map(|prompt| {
        let state = if prompt.undone { ", undone" } else { "" };
        let files = prompt.files.len();
        format!("{}. {} ({files} {}{state})", prompt.number, prompt.text, if files == 1 { "file" } else { "files" })
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { CheckpointError::Nothing.to_string() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_understood() {
        assert_eq!(Wish::read("").unwrap(), Wish::Undo { prompts: 1, force: false });
        assert_eq!(Wish::read("3 --force").unwrap(), Wish::Undo { prompts: 3, force: true });
        assert_eq!(Wish::read("list").unwrap(), Wish::List);
        for wrong in ["0", "-1", "everything"] {
            assert!(Wish::read(wrong).unwrap_err().0.contains("/undo 3"), "{wrong}");
        }
    }
}
