//! A past conversation as Markdown.

use std::fmt::Write;

use crow_acp::{EventKind, Message, Part, SessionRecord, ToolContent, ToolEvent, ToolStatus};
use similar::TextDiff;

use crate::time::iso;

/// A session as a document: title, facts, then what was said and done.
pub(crate) fn markdown(record: &SessionRecord) -> String {
    let summary = &record.summary;
    let mut text = format!("# {}\n\n", summary.title.as_deref().unwrap_or("Untitled session"));
    let _ = writeln!(text, "- Session: `{}`", summary.id);
    let _ = writeln!(text, "- Directory: `{}`", summary.cwd.display());
    if let Some(model) = &summary.model {
        let _ = writeln!(text, "- Model: `{model}`");
    }
    let _ = writeln!(text, "- From {} to {}", iso(summary.created_at), iso(summary.updated_at));
    for event in &record.events {
        match &event.kind {
            EventKind::User { message } => said(&mut text, "User", message),
            EventKind::Injected { message } => {
                said(&mut text, &format!("Added by {}", message.owner.as_deref().unwrap_or("a plugin")), message);
            }
            EventKind::Assistant { message, .. } => said(&mut text, "Crow", message),
            // The answer that replaces it follows, unless the process died: then this is all there is.
            EventKind::Partial { message } if is_last(record, event.seq) => said(&mut text, "Crow (cut off)", message),
            EventKind::Cancelled { message } => {
                if let Some(message) = message {
                    said(&mut text, "Crow (cut off)", message);
                }
                text.push_str("\n*Cancelled.*\n");
            }
            EventKind::Tool(tool) => tool_call(&mut text, tool),
            EventKind::Command { message, reply } => {
                said(&mut text, "User", message);
                said(&mut text, "Crow", reply);
            }
            EventKind::Refused { reason, .. } => {
                let _ = writeln!(text, "\n*Refused: {reason}*");
            }
            EventKind::Error { message } => {
                let _ = writeln!(text, "\n*Failed: {message}*");
            }
            EventKind::Compacted { summary, .. } => {
                let _ = writeln!(
                    text,
                    "\n*The conversation so far was summarised:*\n\n> {}",
                    summary.replace('\n', "\n> ")
                );
            }
            _ => {}
        }
    }
    text
}

fn is_last(record: &SessionRecord, seq: u64) -> bool {
    record.events.iter().all(|event| event.seq <= seq)
        && !record.events.iter().any(|event| event.seq == seq && matches!(event.kind, EventKind::Assistant { .. }))
}

fn said(text: &mut String, who: &str, message: &Message) {
    let mut body = message.text();
    for part in message.parts() {
        match part {
            Part::Image { mime_type, .. } | Part::Audio { mime_type, .. } => {
                let _ = write!(body, "\n\n*({mime_type})*");
            }
            Part::ResourceLink { uri, name } => {
                let _ = write!(body, "\n\n[{name}]({uri})");
            }
            Part::Resource { uri, .. } => {
                let _ = write!(body, "\n\n*(with {uri})*");
            }
            _ => {}
        }
    }
    if !body.trim().is_empty() {
        let _ = writeln!(text, "\n## {who}\n\n{}", body.trim());
    }
}

fn tool_call(text: &mut String, tool: &ToolEvent) {
    let mark = match tool.status {
        ToolStatus::Completed => "",
        ToolStatus::Cancelled => " (cancelled)",
        _ => " (failed)",
    };
    let _ = writeln!(text, "\n**{}**{mark}", tool.title);
    for content in &tool.content {
        match content {
            ToolContent::Diff { path, old_text, new_text } => {
                let diff = TextDiff::from_lines(old_text.as_deref().unwrap_or_default(), new_text.as_str());
                let name = path.display().to_string();
                let diff = diff.unified_diff().context_radius(3).header(&name, &name).to_string();
                fenced(text, "diff", &diff);
            }
            ToolContent::Terminal { command, output, exit_code, .. } => {
                let exit = exit_code.map(|code| format!("\n[exit {code}]")).unwrap_or_default();
                fenced(text, "console", &format!("$ {command}\n{}{exit}", output.trim_end()));
            }
            ToolContent::Text { text: shown } => {
                let _ = writeln!(text, "\n{}", shown.trim_end());
            }
            _ => {}
        }
    }
}

/// A fenced block, with a fence longer than any inside.
fn fenced(text: &mut String, language: &str, body: &str) {
    let longest =
        body.lines().map(|line| line.trim_start().chars().take_while(|c| *c == '`').count()).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(text, "\n{fence}{language}\n{}\n{fence}", body.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crow_acp::{Event, ModelId, SessionSummary, ToolCall, Usage};
    use expect_test::expect;

    #[test]
    fn a_conversation_reads_as_a_document() {
        let mut summary = SessionSummary::new("0199", "/home/me/project", 1_763_712_000_000);
        summary.title = Some("Fix the bug".into());
        let call = ToolCall::new("1", "edit", serde_json::json!({}));
        let mut edit =
            ToolEvent::new(call.clone(), ToolStatus::Completed, Message::tool_result("1", "edit", "ok", false));
        edit.title = "Edit leap.sh".into();
        edit.content = vec![ToolContent::Diff {
            path: "/home/me/project/leap.sh".into(),
            old_text: Some("a\nb\n".into()),
            new_text: "a\nc\n".into(),
        }];
        let mut run = ToolEvent::new(call, ToolStatus::Failed, Message::tool_result("1", "terminal", "", true));
        run.title = "sh test.sh".into();
        run.content = vec![ToolContent::Terminal {
            command: "sh test.sh".into(),
            cwd: "/".into(),
            output: "```\nnot ok\n".into(),
            exit_code: Some(1),
        }];
        let model = ModelId::new("p", "m");
        let kinds = [
            EventKind::User { message: Message::user("Fix it") },
            EventKind::Assistant { message: Message::assistant("I look."), model, usage: Usage::default(), cost: None },
            EventKind::Tool(Box::new(edit)),
            EventKind::Tool(Box::new(run)),
            EventKind::Partial { message: Message::assistant("It was") },
        ];
        let events = kinds.into_iter().zip(1..).map(|(kind, seq)| Event::new(seq, 0, kind)).collect();
        expect![[r#"
            # Fix the bug

            - Session: `0199`
            - Directory: `/home/me/project`
            - From 2025-11-21T08:00:00Z to 2025-11-21T08:00:00Z

            ## User

            Fix it

            ## Crow

            I look.

            **Edit leap.sh**

            ```diff
            --- /home/me/project/leap.sh
            +++ /home/me/project/leap.sh
            @@ -1,2 +1,2 @@
             a
            -b
            +c
            ```

            **sh test.sh** (failed)

            ````console
            $ sh test.sh
            ```
            not ok
            [exit 1]
            ````

            ## Crow (cut off)

            It was
        "#]]
        .assert_eq(&markdown(&SessionRecord::new(summary, events)));
    }
}
