//! The second rung: a model writes down what the conversation came to.

use std::fmt::Write as _;

use crow_acp::{
    Agent, CompactPlan, CompactTrigger, Message, Model, ModelId, Part, Request, Role, RunError, Scope, Section, Session,
};

use crate::config::Settings;
use crate::ladder;

const INSTRUCTIONS: &str = "\
You keep the notes of a coding agent. What follows is the older part of its conversation, which it will not see again. \
Write what it needs to go on, and nothing else, under these headings:

## Goal
## Constraints
What the user asked for and forbade, in the user's words where they matter.
## Progress
## Decisions
With their reasons.
## Next steps
## Files
Each file that was read or changed, and what is to be known of it.

Copy names, paths, commands and error messages letter by letter. Where notes from before are given, bring them up to \
date instead of repeating them.";

/// Most characters of one tool result that the writer of the summary reads.
const LONGEST_RESULT: usize = 2_000;

/// Asks a model for a summary of `messages`. The request carries no tools and none of the session's parameters.
pub(crate) async fn write(
    agent: &Agent,
    session: &Session,
    plan: &CompactPlan,
    settings: &Settings,
    messages: &[Message],
) -> Result<String, RunError> {
    let model = model(agent, session, settings)?;
    let room = model.context_window.map_or(400_000, |window| {
        // Half of it at three bytes to a token: the estimate must not fail where the window is small.
        (window.saturating_sub(settings.summary_tokens) as usize / 2) * 3
    });
    let mut text = transcript(messages, room);
    if let CompactTrigger::Asked { focus: Some(focus) } = &plan.trigger {
        let _ = write!(text, "\n\nKeep above all: {focus}");
    }
    let mut request = Request::new(session.id(), model, vec![Message::user(text)]);
    request.system.push(Section::new("compaction", "compaction", Scope::Static, INSTRUCTIONS));
    request.parameters.max_output_tokens = Some(settings.summary_tokens);
    let response = agent.complete(session, request).await?;
    let written = response.message.text();
    if written.trim().is_empty() {
        return Err(RunError::new("the model wrote nothing"));
    }
    Ok(written.trim().to_owned())
}

/// What stands in the place of a summary when none could be had.
pub(crate) fn without_model() -> String {
    "The older part of this conversation was removed to fit the model's window. Look at the files to see where things \
     stand."
        .to_owned()
}

fn model(agent: &Agent, session: &Session, settings: &Settings) -> Result<Model, RunError> {
    let id: ModelId = if settings.model.is_empty() {
        session.model().ok_or_else(|| RunError::new("no model is chosen"))?
    } else {
        settings.model.parse().map_err(|error: crow_acp::InvalidModelId| RunError::new(error.to_string()))?
    };
    agent.model(&id).ok_or_else(|| RunError::new(format!("no provider for `{id}`")))
}

/// The conversation as text, at most `room` bytes: if it is longer, the middle is left out.
fn transcript(messages: &[Message], room: usize) -> String {
    let mut text = String::new();
    for message in messages {
        if let Some(before) = ladder::summary_of(message) {
            let _ = write!(text, "# Notes from before\n{before}\n\n");
            continue;
        }
        let who = match message.role {
            Role::User => "User",
            Role::Assistant => "Agent",
            Role::Tool => "Tool",
            Role::System => "System",
        };
        for part in message.parts() {
            let said = match part {
                Part::Text { text } => format!("# {who}\n{text}"),
                Part::ToolCall(call) => format!("# Agent calls {}\n{}", call.name, call.raw_arguments),
                Part::ToolResult(result) => {
                    let state = if result.is_error { " failed" } else { "" };
                    format!("# Tool {}{state}\n{}", result.name, middle_out(&result.text, LONGEST_RESULT))
                }
                Part::Resource { uri, .. } | Part::ResourceLink { uri, .. } => format!("# {who}\n[{uri}]"),
                _ => continue,
            };
            text.push_str(&said);
            text.push_str("\n\n");
        }
    }
    middle_out(&text, room).into_owned()
}

fn middle_out(text: &str, most: usize) -> std::borrow::Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    let head = text.floor_char_boundary(most / 2);
    let tail = text.ceil_char_boundary(text.len() - most / 2);
    format!("{}\n[…]\n{}", &text[..head], &text[tail..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_reads_who_said_what_within_bounds() {
        let messages = [
            Message::user("fix it"),
            Message::tool_result("c", "read", "é".repeat(3000), false),
            Message::assistant("fixed"),
        ];
        let text = transcript(&messages, 100_000);
        assert!(text.starts_with("# User\nfix it\n\n# Tool read\néé") && text.ends_with("# Agent\nfixed\n\n"));
        assert!(text.len() < 2_200);
        assert!(transcript(&messages, 50).len() <= 60);
    }
}
