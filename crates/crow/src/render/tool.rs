//! A tool call: one line with its state, and below it what the user should see of it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use agent_client_protocol::v1::schema::{
    ContentBlock, Diff, ToolCall, ToolCallContent, ToolCallStatus, ToolCallUpdate, ToolKind,
};

use super::clean::{Cleaner, clean};
use super::diff::change;
use super::flow::cut;
use super::style::{Palette, Style};

/// Lines of a command's output that are shown while it runs.
const LIVE: usize = 30;
/// Lines of the end of a longer output that are shown when it is over.
const TAIL: usize = 5;
/// Lines shown of what a tool says when it failed, or of a kind we know nothing of.
const FEW: usize = 6;

/// A tool call as far as it is known.
#[derive(Debug)]
pub(crate) struct Tool {
    call: ToolCall,
    since: Instant,
    /// Its line is on the screen.
    announced: bool,
    /// It was refused, and that has been said.
    refused: bool,
    shown: HashSet<String>,
    output: Output,
}

/// What a command has printed.
#[derive(Debug, Default)]
struct Output {
    cleaner: Cleaner,
    line: String,
    lines: usize,
    /// The last lines that were not shown.
    hidden: std::collections::VecDeque<String>,
    exit: Option<String>,
    /// The command itself failed, which is no failure of the tool.
    nonzero: bool,
}

/// How a call looks: where it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Its styles.
    pub(crate) palette: Palette,
    /// Its columns.
    pub(crate) width: Option<usize>,
}

impl Tool {
    /// A call that has just appeared.
    pub(crate) fn new(call: ToolCall) -> Self {
        Self {
            call,
            since: Instant::now(),
            announced: false,
            refused: false,
            shown: HashSet::new(),
            output: Output::default(),
        }
    }

    /// Takes in what changed.
    pub(crate) fn update(&mut self, update: &ToolCallUpdate) {
        if update.fields.status == Some(ToolCallStatus::InProgress) && self.call.status == ToolCallStatus::Pending {
            // What it waited for before, such as an answer, is not its own time.
            self.since = Instant::now();
        }
        self.call.update(update.fields.clone());
    }

    /// Its title on one line, without the marks of Markdown's `code`.
    pub(crate) fn title(&self) -> String {
        clean(&self.call.title).replace('`', "")
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.call.status, ToolCallStatus::Completed | ToolCallStatus::Failed)
    }

    /// Whether it runs and has something to show while it does.
    pub(crate) fn is_live(&self) -> bool {
        self.call.kind == ToolKind::Execute && self.call.status == ToolCallStatus::InProgress
    }

    /// Its line, once: before a question about it or before its output.
    pub(crate) fn announce(&mut self, look: Look) -> Vec<String> {
        if self.announced {
            return Vec::new();
        }
        self.announced = true;
        let mut lines = vec![self.headline("●", Style::Dim, "", look)];
        lines.extend(self.changes(look).1);
        lines
    }

    /// It will not run, and the user knows why.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Its line and all that is worth seeing, once it is over.
    pub(crate) fn close(&mut self, look: Look) -> Vec<String> {
        if self.refused {
            return Vec::new();
        }
        let failed = self.call.status == ToolCallStatus::Failed;
        let (mark, style) = if failed { ("✗", Style::Bad) } else { ("✓", Style::Good) };
        let (summary, changes) = self.changes(look);
        let mut lines = Vec::new();
        if self.announced {
            lines.extend(changes);
        } else {
            lines.push(self.headline(mark, style, &summary.unwrap_or_else(|| self.summary()), look));
            lines.extend(changes);
        }
        lines.extend(self.output.rest(look));
        let text = self.text();
        let few = match self.call.kind {
            _ if failed => FEW,
            ToolKind::Read | ToolKind::Search | ToolKind::Edit | ToolKind::Think => 0,
            ToolKind::Execute if self.output.lines > 0 => 0,
            ToolKind::Execute => LIVE,
            _ => FEW,
        };
        if self.output.lines == 0 || (failed && self.output.exit.is_none()) {
            lines.extend(excerpt(&text, few, if failed { Style::Bad } else { Style::Dim }, look));
        }
        if self.announced {
            let took = took(self.since.elapsed());
            let (mark, style) = if self.output.nonzero { ("✗", Style::Bad) } else { (mark, style) };
            let end = self.output.exit.clone().unwrap_or_else(|| if failed { "failed".into() } else { "done".into() });
            lines.push(format!(
                "  {} {}",
                look.palette.paint(style, mark),
                look.palette.paint(Style::Dim, &format!("{end}, {took}"))
            ));
        }
        lines
    }

    /// More of what its command prints.
    pub(crate) fn print(&mut self, data: &str, look: Look) -> Vec<String> {
        self.output.feed(data, look)
    }

    /// How its command ended.
    pub(crate) fn exited(&mut self, code: Option<i64>, signal: Option<&str>) {
        self.output.nonzero = code != Some(0);
        self.output.exit = Some(match (code, signal) {
            (_, Some(signal)) => format!("ended by {}", clean(signal)),
            (Some(code), None) => format!("exit {code}"),
            (None, None) => "ended".to_owned(),
        });
    }

    fn headline(&self, mark: &str, style: Style, summary: &str, look: Look) -> String {
        let gap = if summary.is_empty() { "" } else { "  " };
        let room = look.width.map(|width| width.saturating_sub(4 + gap.len() + super::flow::width(summary)));
        let title = cut(&self.title(), room);
        format!("{} {title}{gap}{}", look.palette.paint(style, mark), look.palette.paint(Style::Dim, summary))
    }

    /// The diffs that were not shown yet, and their lines added up.
    fn changes(&mut self, look: Look) -> (Option<String>, Vec<String>) {
        let mut lines = Vec::new();
        let (mut added, mut removed, mut any) = (0, 0, false);
        for diff in self.call.content.iter().filter_map(|content| match content {
            ToolCallContent::Diff(diff) => Some(diff),
            _ => None,
        }) {
            let change = change(diff.old_text.as_deref(), &diff.new_text, look.width, look.palette);
            any = true;
            added += change.added;
            removed += change.removed;
            if self.shown.insert(key(diff)) {
                lines.extend(change.lines);
            }
        }
        (any.then(|| format!("+{added} -{removed}")), lines)
    }

    fn summary(&self) -> String {
        let lines = self.text().lines().filter(|line| !is_fence(line)).count();
        match self.call.kind {
            ToolKind::Read | ToolKind::Search if !self.failed() && lines > 1 => format!("{lines} lines"),
            _ => String::new(),
        }
    }

    fn failed(&self) -> bool {
        self.call.status == ToolCallStatus::Failed
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for content in &self.call.content {
            if let ToolCallContent::Content(content) = content
                && let ContentBlock::Text(block) = &content.content
            {
                text.push_str(&block.text);
                text.push('\n');
            }
        }
        text
    }
}

impl Output {
    fn feed(&mut self, data: &str, look: Look) -> Vec<String> {
        let mut lines = Vec::new();
        let data = self.cleaner.clean(data).replace("\r\n", "\n");
        for c in data.chars() {
            match c {
                '\n' => lines.extend(self.end_line(look)),
                // A progress bar that writes over itself: only its last state counts.
                '\r' => self.line.clear(),
                '\t' => self.line.push_str("    "),
                c => self.line.push(c),
            }
        }
        lines
    }

    fn end_line(&mut self, look: Look) -> Option<String> {
        let line = beside(&std::mem::take(&mut self.line), Style::Dim, look);
        self.lines += 1;
        if self.lines <= LIVE {
            return Some(line);
        }
        if self.hidden.len() == TAIL {
            self.hidden.pop_front();
        }
        self.hidden.push_back(line);
        None
    }

    /// What was not shown: the end of it.
    fn rest(&mut self, look: Look) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.line.is_empty() {
            lines.extend(self.end_line(look));
        }
        let skipped = self.lines.saturating_sub(LIVE + self.hidden.len());
        if skipped > 0 {
            lines.push(beside(&format!("… {skipped} more lines"), Style::Dim, look));
        }
        lines.extend(self.hidden.drain(..));
        lines
    }
}

/// Texts of files and outputs come in fences, which are nothing to show.
fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

/// At most `most` lines of a text.
fn excerpt(text: &str, most: usize, style: Style, look: Look) -> Vec<String> {
    let text = Cleaner::default().clean(text).replace('\r', "");
    let lines: Vec<&str> = text.lines().filter(|line| !is_fence(line)).collect();
    let mut shown: Vec<String> = lines.iter().take(most).map(|line| beside(line, style, look)).collect();
    if most > 0 && lines.len() > most {
        shown.push(beside(&format!("… {} more lines", lines.len() - most), Style::Dim, look));
    }
    shown
}

/// A line of output, set off from the conversation.
pub(crate) fn beside(line: &str, style: Style, look: Look) -> String {
    let line = cut(line.trim_end(), look.width.map(|width| width.saturating_sub(4)));
    format!("  {} {}", look.palette.paint(Style::Dim, "│"), look.palette.paint(style, &line)).trim_end().to_owned()
}

fn key(diff: &Diff) -> String {
    format!("{}\0{}\0{}", diff.path.display(), diff.old_text.as_deref().unwrap_or_default(), diff.new_text)
}

/// A time for people.
pub(crate) fn took(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
