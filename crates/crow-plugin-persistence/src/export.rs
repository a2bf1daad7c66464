//! Sessions as files: JSON Lines for programs, Markdown for people.

use std::io::{self, Write};

use crow_acp::{EventKind, Message, Part, SessionRecord, ToolContent, ToolEvent, ToolStatus};

use crate::projection::readable;

/// Writes a session as JSON Lines: its summary, then its events, one on each line.
///
/// # Errors
/// `out` failed.
pub fn export_jsonl(record: &SessionRecord, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &record.summary)?;
    writeln!(out)?;
    for event in &record.events {
        serde_json::to_writer(&mut *out, event)?;
        writeln!(out)?;
    }
    Ok(())
}

/// Writes a session as Markdown.
///
/// # Errors
/// `out` failed.
pub fn export_markdown(record: &SessionRecord, out: &mut dyn Write) -> io::Result<()> {
    let summary = &record.summary;
    writeln!(out, "# {}\n", summary.title.as_deref().unwrap_or("Session"))?;
    writeln!(out, "* Session: `{}`", summary.id)?;
    writeln!(out, "* Directory: `{}`", summary.cwd.display())?;
    if let Some(model) = &summary.model {
        writeln!(out, "* Model: `{model}`")?;
    }
    writeln!(out, "* Begun: {}", time(summary.created_at))?;
    writeln!(out, "* Last changed: {}", time(summary.updated_at))?;
    for event in &record.events {
        match &event.kind {
            EventKind::User { message } => section(out, "User", message)?,
            EventKind::Assistant { message, .. } => section(out, "Assistant", message)?,
            EventKind::Partial { message } | EventKind::Cancelled { message: Some(message) } => {
                section(out, "Assistant (interrupted)", message)?;
            }
            EventKind::Injected { message } => {
                let owner = message.owner.as_deref().unwrap_or("a plugin");
                section(out, &format!("Added by {owner}"), message)?;
            }
            EventKind::Tool(tool) => tool_call(out, tool)?,
            EventKind::Command { message, reply } => {
                section(out, "Command", message)?;
                section(out, "Reply", reply)?;
            }
            EventKind::Refused { reason, .. } => writeln!(out, "\n> Refused: {reason}")?,
            EventKind::Error { message } => writeln!(out, "\n> Error: {message}")?,
            EventKind::Cancelled { message: None } => writeln!(out, "\n> Cancelled")?,
            EventKind::Compacted { summary, .. } => writeln!(out, "\n## Summary of what came before\n\n{summary}")?,
            _ => {}
        }
    }
    Ok(())
}

fn section(out: &mut dyn Write, heading: &str, message: &Message) -> io::Result<()> {
    let text = readable(message);
    let reasoning: Vec<&str> = message
        .parts()
        .iter()
        .filter_map(|part| match part {
            Part::Reasoning { text, .. } if !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
        .collect();
    // An answer of calls alone has nothing to say; the calls have sections of their own.
    if text.is_empty() && reasoning.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## {heading}")?;
    if !reasoning.is_empty() {
        writeln!(out, "\n<details><summary>Reasoning</summary>\n\n{}\n\n</details>", reasoning.concat())?;
    }
    if !text.is_empty() {
        writeln!(out, "\n{text}")?;
    }
    Ok(())
}

fn tool_call(out: &mut dyn Write, tool: &ToolEvent) -> io::Result<()> {
    let status = match tool.status {
        ToolStatus::Failed => " (failed)",
        ToolStatus::Cancelled => " (cancelled)",
        _ => "",
    };
    writeln!(out, "\n### {}{status}\n", tool.title.replace('\n', " "))?;
    fenced(out, "json", &tool.call.raw_arguments)?;
    for content in &tool.content {
        match content {
            ToolContent::Diff { path, old_text, new_text } => {
                writeln!(out, "\n`{}`\n", path.display())?;
                if let Some(old) = old_text {
                    fenced(out, "", old)?;
                    writeln!(out, "\nbecame\n")?;
                }
                fenced(out, "", new_text)?;
            }
            ToolContent::Terminal { command, output, exit_code, .. } => {
                writeln!(out)?;
                fenced(out, "console", &format!("$ {command}\n{output}"))?;
                if let Some(code) = exit_code.filter(|code| *code != 0) {
                    writeln!(out, "\nExit code {code}")?;
                }
            }
            _ => {}
        }
    }
    // A terminal's output has just been written; otherwise what the model read is what there is to see.
    if !tool.content.iter().any(|content| matches!(content, ToolContent::Terminal { .. })) {
        writeln!(out)?;
        fenced(out, "", &readable(&tool.message))?;
    }
    Ok(())
}

/// A code block whose fence is longer than any within.
fn fenced(out: &mut dyn Write, language: &str, text: &str) -> io::Result<()> {
    let mut longest = 2;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    writeln!(out, "{fence}{language}\n{}\n{fence}", text.trim_end_matches('\n'))
}

fn time(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds).map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crow_acp::{Event, ModelId, Role, SessionSummary, ToolCall, Usage};
    use serde_json::json;

    fn record() -> SessionRecord {
        let mut summary = SessionSummary::new("s1", "/work", 1_700_000_000_000);
        summary.title = Some("Fix the bug".into());
        let call = ToolCall::new("c", "read", json!({"path": "a.md"}));
        let result = Message::tool_result("c", "read", "```sh\nls\n```", false);
        let answer = Message::new(
            Role::Assistant,
            vec![Part::Reasoning { text: "hm".into(), signature: None, model: None }, Part::text("Done.")],
        );
        let kinds = [
            EventKind::User { message: Message::user("please fix") },
            EventKind::Tool(Box::new(ToolEvent::new(call, ToolStatus::Failed, result))),
            EventKind::Assistant {
                message: answer,
                model: ModelId::new("p", "m"),
                usage: Usage::new(1, 2),
                cost: None,
            },
            EventKind::Cancelled { message: None },
        ];
        let events = (1..).zip(kinds).map(|(seq, kind)| Event::new(seq, 5, kind)).collect();
        SessionRecord::new(summary, events)
    }

    #[test]
    fn json_lines_hold_everything() {
        let record = record();
        let mut out = Vec::new();
        export_jsonl(&record, &mut out).unwrap();
        let lines: Vec<&str> = std::str::from_utf8(&out).unwrap().lines().collect();
        let summary = serde_json::from_str(lines[0]).unwrap();
        let events = lines[1..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(SessionRecord::new(summary, events), record);
    }

    #[test]
    fn markdown_reads_like_the_conversation() {
        let mut out = Vec::new();
        export_markdown(&record(), &mut out).unwrap();
        let expected = r#"# Fix the bug

* Session: `s1`
* Directory: `/work`
* Begun: 2023-11-14T22:13:20Z
* Last changed: 2023-11-14T22:13:20Z

## User

please fix

### read (failed)

```json
{"path":"a.md"}
```

````
```sh
ls
```
````

## Assistant

<details><summary>Reasoning</summary>

hm

</details>

Done.

> Cancelled
"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
