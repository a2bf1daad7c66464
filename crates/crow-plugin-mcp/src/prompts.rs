//! A server's prompts, as slash commands.

use std::sync::Arc;

use crow_acp::{Agent, BoxFuture, Command, CommandCall, CommandError, CommandHandler, CommandReply, Session};
use rmcp::model::{GetPromptRequestParams, Prompt};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::connection::{Connection, told};
use crate::hub::Member;
use crate::{content, names, text};

/// The prompts of a session's servers that answer now.
pub(crate) fn of(members: &[Member]) -> Vec<Command> {
    let mut commands = Vec::new();
    for member in members {
        let Ok(connection) = &member.connection else { continue };
        let Some(lists) = connection.lists() else { continue };
        for prompt in &lists.prompts {
            let about = prompt.description.as_deref().or(prompt.title.as_deref()).unwrap_or(&prompt.name);
            let handler =
                Remote { connection: Arc::clone(connection), prompt: prompt.clone(), wait: member.rules.call_timeout };
            let command = Command::new(names::for_user(&member.name, &prompt.name), text::short(about), handler);
            commands.push(match hint(prompt) {
                hint if hint.is_empty() => command,
                hint => command.hint(hint),
            });
        }
    }
    commands
}

/// The arguments, those that may be left out in brackets.
fn hint(prompt: &Prompt) -> String {
    let arguments = prompt.arguments.iter().flatten();
    let words: Vec<String> = arguments
        .map(|argument| match argument.required {
            Some(true) => argument.name.clone(),
            _ => format!("[{}]", argument.name),
        })
        .collect();
    text::short(&words.join(" "))
}

/// A prompt of a server.
struct Remote {
    connection: Arc<Connection>,
    prompt: Prompt,
    wait: std::time::Duration,
}

impl CommandHandler for Remote {
    fn run<'a>(
        &'a self,
        _agent: &'a Agent,
        _session: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let arguments = arguments(&self.prompt, &call.arguments).map_err(CommandError)?;
            let live = self.connection.ready().await.map_err(CommandError)?;
            let failed = |what: &str| CommandError(format!("the MCP server `{}`: {what}", self.connection.name()));
            let mut params = GetPromptRequestParams::new(self.prompt.name.clone());
            if !arguments.is_empty() {
                params = params.with_arguments(arguments);
            }
            let prompt = timeout(self.wait, live.peer.get_prompt_once(params)).await;
            match prompt {
                Ok(Ok(rmcp::model::GetPromptResponse::Complete(result))) => {
                    Ok(CommandReply::Prompt(content::prompt(&result)))
                }
                Ok(Ok(_)) => Err(failed("it wants to know more than a prompt can tell")),
                Ok(Err(error)) => Err(failed(&told(&error))),
                Err(_) => Err(failed("it did not answer")),
            }
        })
    }
}

/// What the user typed behind the name, word by word, the last argument with all that is left. A word in quotes may hold
/// spaces.
fn arguments(prompt: &Prompt, typed: &str) -> Result<Map<String, Value>, String> {
    let wanted: Vec<_> = prompt.arguments.iter().flatten().collect();
    let mut given = Map::new();
    let mut rest = typed.trim();
    for (number, argument) in wanted.iter().enumerate() {
        if rest.is_empty() {
            break;
        }
        let is_last = number + 1 == wanted.len();
        let (word, behind) = if is_last { (unquoted(rest), "") } else { word(rest) };
        given.insert(argument.name.clone(), word.into());
        rest = behind.trim_start();
    }
    match wanted.iter().find(|argument| argument.required == Some(true) && !given.contains_key(&argument.name)) {
        Some(missing) => Err(format!("`{}` is missing: this prompt takes {}", missing.name, hint(prompt))),
        None => Ok(given),
    }
}

/// The first word, and what stands behind it.
fn word(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote)
            && let Some((word, behind)) = inside.split_once(quote)
        {
            return (word, behind);
        }
    }
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

fn unquoted(text: &str) -> &str {
    match word(text) {
        (inside, "") => inside,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::PromptArgument;
    use serde_json::json;

    use super::*;

    #[test]
    fn words_become_arguments() {
        let arguments_of = vec![PromptArgument::new("a").with_required(true), PromptArgument::new("b")];
        let prompt = Prompt::new("p", None::<String>, Some(arguments_of));
        let read = |typed: &str| arguments(&prompt, typed).map(Value::Object);
        assert_eq!(read("one"), Ok(json!({ "a": "one" })));
        assert_eq!(read("one two three"), Ok(json!({ "a": "one", "b": "two three" })));
        assert_eq!(read("\"one two\" 'three four'"), Ok(json!({ "a": "one two", "b": "three four" })));
        assert_eq!(read("'one 'two"), Ok(json!({ "a": "one ", "b": "two" })));
        assert_eq!(read("  "), Err("`a` is missing: this prompt takes a [b]".into()));
        assert_eq!(arguments(&Prompt::new("p", None::<String>, None), "anything"), Ok(Map::new()));
    }
}
