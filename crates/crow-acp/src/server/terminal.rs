//! The output of commands that the agent runs itself. Clients that say so get it appended to a terminal of theirs, as it
//! comes; others get the last part of it as a block of text, a few times a second.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::port::schema::{Meta, ToolCallUpdate, ToolCallUpdateFields};

/// How often a tail is sent at most: a tool call's content replaces what was there, so that each time costs its whole size.
const INTERVAL: Duration = Duration::from_millis(250);

/// The longest tail, in bytes.
const LONGEST: usize = 8 * 1024;

const INFO: &str = "terminal_info";
const OUTPUT: &str = "terminal_output";
const EXIT: &str = "terminal_exit";

/// Announces the terminal `id`.
pub(super) fn info(meta: &mut Meta, id: &str, cwd: &Path) {
    meta.insert(INFO.into(), json!({ "terminal_id": id, "cwd": cwd.to_string_lossy() }));
}

/// Appends to the terminal `id`.
pub(super) fn output(meta: &mut Meta, id: &str, data: String) {
    meta.insert(OUTPUT.into(), json!({ "terminal_id": id, "data": data }));
}

/// Ends the terminal `id`.
pub(super) fn exit(meta: &mut Meta, id: &str, code: Option<i32>) {
    meta.insert(EXIT.into(), json!({ "terminal_id": id, "exit_code": code, "signal": null }));
}

/// What an update appends to a terminal, if that is all it does.
pub(super) fn appended(update: &ToolCallUpdate) -> Option<&str> {
    let meta = update.meta.as_ref()?;
    let only = meta.len() == 1 && update.fields == ToolCallUpdateFields::default();
    if only { meta.get(OUTPUT)?.get("data")?.as_str() } else { None }
}

/// The same for writing.
pub(super) fn appended_mut(update: &mut ToolCallUpdate) -> Option<&mut String> {
    appended(update)?;
    match update.meta.as_mut()?.get_mut(OUTPUT)?.get_mut("data")? {
        Value::String(data) => Some(data),
        _ => None,
    }
}

/// The end of what a command has printed so far.
#[derive(Debug)]
pub(super) struct Tail {
    text: String,
    cut: bool,
    /// When it may be sent again.
    next: Instant,
    /// There is something that was not sent yet.
    dirty: bool,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { text: String::new(), cut: false, next: Instant::now(), dirty: false }
    }

    /// Appends, and forgets what has become too old.
    pub(super) fn push(&mut self, data: &str) {
        self.dirty = true;
        self.text.push_str(data);
        // Twice the length before anything moves, so that a byte is moved once and not at every call.
        if self.text.len() > 2 * LONGEST {
            let end = self.text.ceil_char_boundary(self.text.len() - LONGEST);
            self.text.drain(..end);
            self.cut = true;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// When it should be sent: `None` if there is nothing new.
    pub(super) fn due(&self) -> Option<Instant> {
        self.dirty.then_some(self.next)
    }

    /// The block to send now.
    pub(super) fn take(&mut self, now: Instant) -> String {
        self.dirty = false;
        self.next = now + INTERVAL;
        let mut text = self.text.as_str();
        let mut cut = self.cut;
        if text.len() > LONGEST {
            text = &text[text.ceil_char_boundary(text.len() - LONGEST)..];
            cut = true;
        }
        if !cut {
            return fenced(text);
        }
        // Half a line at the top would read as a whole one.
        let text = text.split_once('\n').map_or(text, |(_, rest)| rest);
        fenced(&format!("…\n{text}"))
    }
}

/// Text in a fence that it cannot close itself.
pub(super) fn fenced(text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat((longest + 1).max(3));
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}\n{text}{end}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_longer_than_any_inside() {
        assert_eq!(fenced("a"), "```\na\n```");
        assert_eq!(fenced("```\n"), "````\n```\n````");
        assert_eq!(fenced(""), "```\n```");
    }

    #[test]
    fn a_tail_keeps_the_end_and_whole_lines() {
        let mut tail = Tail::new();
        for n in 0..10_000 {
            tail.push(&format!("line {n} ä\n"));
        }
        let text = tail.take(Instant::now());
        assert!(text.len() < LONGEST + 64, "{}", text.len());
        assert!(text.starts_with("```\n…\nline "), "{}", &text[..40]);
        assert!(text.ends_with("line 9999 ä\n```"));
    }

    #[test]
    fn a_tail_is_due_at_once_and_then_after_the_interval() {
        let mut tail = Tail::new();
        assert_eq!(tail.due(), None);
        tail.push("a");
        let now = Instant::now();
        assert!(tail.due().is_some_and(|due| due <= Instant::now()));
        tail.take(now);
        assert_eq!(tail.due(), None);
        tail.push("b");
        assert_eq!(tail.due(), Some(now + INTERVAL));
    }
}
