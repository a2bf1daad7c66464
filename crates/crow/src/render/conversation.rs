//! A conversation as it happens: what an ACP client is told, as lines.

use std::collections::HashMap;
use std::io::Write;
use std::time::Instant;

use agent_client_protocol::v1::schema::{
    ContentBlock, ContentChunk, Cost, Meta, NoticeSeverity, Plan, PlanEntryStatus, SessionUpdate, ToolCall,
    ToolCallUpdate, UsageUpdate,
};

use super::clean::{Cleaner, clean};
use super::flow::{cut, wrapped};
use super::markdown::Markdown;
use super::screen::Screen;
use super::style::Style;
use super::tool::{Look, Tool, beside, took};

/// What was written last, which decides where empty lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Nothing,
    Text,
    Thought,
    Tool,
    Note,
    Trace,
    Said,
    End,
}

/// The figures of the session, as the agent reported them last.
#[derive(Debug, Clone, Default)]
struct Totals {
    /// Tokens in the context.
    used: Option<u64>,
    /// The context window in tokens.
    window: Option<u64>,
    /// What the session has cost.
    cost: Option<Cost>,
}

/// Writes a conversation to a screen.
#[derive(Debug)]
pub(crate) struct Conversation<W> {
    screen: Screen<W>,
    block: Block,
    markdown: Option<Markdown>,
    cleaner: Cleaner,
    tools: HashMap<String, Tool>,
    /// Calls under way, oldest first: the status line names the newest.
    open: Vec<String>,
    totals: Totals,
    started: Instant,
    ticks: usize,
    last_note: String,
}

impl<W: Write> Conversation<W> {
    /// A conversation on `screen`.
    pub(crate) fn new(screen: Screen<W>) -> Self {
        Self {
            screen,
            block: Block::Nothing,
            markdown: None,
            cleaner: Cleaner::default(),
            tools: HashMap::new(),
            open: Vec::new(),
            totals: Totals::default(),
            started: Instant::now(),
            ticks: 0,
            last_note: String::new(),
        }
    }

    /// Where it is written.
    pub(crate) fn screen(&mut self) -> &mut Screen<W> {
        &mut self.screen
    }

    /// Shows an update of the session, as far as people need to see it.
    pub(crate) fn update(&mut self, update: &SessionUpdate) {
        match update {
            SessionUpdate::AgentMessageChunk(chunk) => self.text(Block::Text, chunk),
            SessionUpdate::AgentThoughtChunk(chunk) => self.text(Block::Thought, chunk),
            SessionUpdate::ToolCall(call) => self.tool_call(call),
            SessionUpdate::ToolCallUpdate(update) => self.tool_update(update),
            SessionUpdate::Plan(plan) => self.plan(plan),
            SessionUpdate::UsageUpdate(usage) => self.usage(usage),
            SessionUpdate::Notice(notice) => {
                let (style, mark) =
                    if notice.severity == NoticeSeverity::Info { (Style::Dim, "") } else { (Style::Warn, "! ") };
                let more: Vec<&str> = notice.description.iter().flat_map(|more| more.lines()).collect();
                match more[..] {
                    [line] => self.note(style, &format!("{mark}{}: {line}", notice.title)),
                    _ => {
                        self.note(style, &format!("{mark}{}", notice.title));
                        for line in more {
                            self.detail(style, line);
                        }
                    }
                }
            }
            // Commands, modes, options and titles are for clients with menus.
            _ => {}
        }
    }

    /// A line beside the conversation.
    pub(crate) fn note(&mut self, style: Style, text: &str) {
        self.begin(Block::Note);
        self.last_note = clean(text);
        let lines = self.screen.width().map_or_else(|| self.last_note.clone(), |width| wrapped(&self.last_note, width));
        let lines = self.screen.palette().paint(style, &lines);
        self.screen.line(&lines);
    }

    /// A line of its own below a note.
    fn detail(&mut self, style: Style, text: &str) {
        let line = cut(&format!("  {}", clean(text)), self.screen.width());
        let line = self.screen.palette().paint(style, &line);
        self.screen.line(&line);
    }

    /// A hook that fired, among the rest.
    pub(crate) fn trace(&mut self, line: &str) {
        // A stream goes on around it: the text under way is not a paragraph of its own.
        self.begin(Block::Trace);
        let line = self.screen.palette().paint(Style::Dim, &format!("  ⚑ {}", clean(line)));
        self.screen.line(&line);
    }

    /// Files, and what a program printed about them.
    pub(crate) fn listing(&mut self, files: &str, output: &str) {
        let look = self.look();
        self.begin(Block::Note);
        for line in files.lines() {
            self.screen.line(&format!("  {}", cut(line, look.width)));
        }
        for line in output.lines() {
            self.screen.line(&beside(line, Style::Dim, look));
        }
    }

    /// Text as it is, after everything else.
    pub(crate) fn closing(&mut self, text: &str) {
        self.begin(Block::Text);
        self.screen.line(text);
    }

    /// What the user said.
    pub(crate) fn said(&mut self, text: &str) {
        self.begin(Block::Said);
        for (at, line) in text.trim_end().lines().enumerate() {
            let mark = if at == 0 { "›" } else { " " };
            let line = self.screen.palette().paint(Style::Bold, &format!("{mark} {line}"));
            self.screen.line(&line);
        }
    }

    /// Shows the call that a question is about.
    pub(crate) fn about(&mut self, update: &ToolCallUpdate) {
        let id = update.tool_call_id.to_string();
        self.tool_update(update);
        let look = self.look();
        let lines = self.tools.get_mut(&id).map(|tool| tool.announce(look));
        self.tool_lines(lines.unwrap_or_default());
    }

    /// Shows a call that was refused without asking, and why.
    pub(crate) fn refused(&mut self, update: &ToolCallUpdate, why: &str) {
        self.about(update);
        if let Some(tool) = self.tools.get_mut(&update.tool_call_id.to_string()) {
            tool.refuse();
        }
        let palette = self.screen.palette();
        let line = format!("  {} {}", palette.paint(Style::Bad, "✗"), palette.paint(Style::Warn, why));
        self.tool_lines(vec![line]);
    }

    /// Whether this was the last thing said beside the conversation.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.last_note.contains(text)
    }

    /// Moves the status line on; called a few times a second.
    pub(crate) fn tick(&mut self) {
        const FRAMES: [&str; 4] = ["·  ", "·· ", "···", " ··"];
        if self.block == Block::Text && self.markdown.is_some() && self.open.is_empty() {
            return;
        }
        self.ticks += 1;
        let frame = FRAMES[self.ticks % FRAMES.len()];
        let what =
            self.open.last().and_then(|id| self.tools.get(id)).map_or_else(|| "thinking".to_owned(), Tool::title);
        self.screen.status(&format!("{frame} {what} ({})", took(self.started.elapsed())));
    }

    /// Ends whatever is under way, and says how it ended and what it took.
    pub(crate) fn finish(&mut self, how: &str) {
        for id in std::mem::take(&mut self.open) {
            if let Some(title) = self.tools.get(&id).map(Tool::title) {
                self.note(Style::Dim, &format!("not finished: {title}"));
            }
        }
        self.begin(Block::Nothing);
        self.screen.clear_status();
        let line = self.summary(how);
        let line = self.screen.palette().paint(Style::Dim, &line);
        self.screen.line(&line);
        self.block = Block::End;
    }

    fn summary(&self, how: &str) -> String {
        let mut parts = Vec::new();
        if !how.is_empty() {
            parts.push(how.to_owned());
        }
        if let Some(used) = self.totals.used {
            let window =
                self.totals.window.filter(|&window| window > 0).map(|window| format!(" of {}", tokens(window)));
            parts.push(format!("{}{} tokens in context", tokens(used), window.unwrap_or_default()));
        }
        if let Some(cost) = &self.totals.cost {
            parts.push(match cost.currency.as_str() {
                "USD" => format!("${:.4}", cost.amount),
                other => format!("{:.4} {}", cost.amount, clean(other)),
            });
        }
        parts.push(took(self.started.elapsed()));
        parts.join(" · ")
    }

    /// Starts a block: ends what was under way, and leaves an empty line between blocks of different kinds.
    fn begin(&mut self, block: Block) {
        if let Some(mut markdown) = self.markdown.take() {
            let mut out = String::new();
            markdown.finish(&mut out);
            if self.block == Block::Thought {
                // The style ends where the text does, not on the next line.
                out.insert_str(out.trim_end_matches('\n').len(), self.screen.palette().end());
            }
            self.screen.write(&out);
        }
        self.screen.fresh_line();
        if self.block != block && self.block != Block::Nothing {
            self.screen.line("");
        }
        self.cleaner = Cleaner::default();
        self.block = block;
    }

    fn text(&mut self, block: Block, chunk: &ContentChunk) {
        let ContentBlock::Text(content) = &chunk.content else { return };
        let width = self.screen.width();
        if width.is_none() && block == Block::Thought {
            // In a file the answer counts.
            return;
        }
        let first = self.block != block;
        if first {
            self.begin(block);
        }
        let text = self.cleaner.clean(&content.text).replace('\r', "");
        // Models like to begin with empty lines.
        let text = if first { text.trim_start_matches('\n') } else { &text };
        let palette = self.screen.palette();
        let Some(width) = width else {
            self.screen.write(text);
            return;
        };
        let mut out = String::new();
        if block == Block::Thought && first {
            out.push_str(palette.start(Style::Dim));
        }
        // The thoughts' own marks would end the dim style.
        let inner = if block == Block::Thought { super::Palette::PLAIN } else { palette };
        let base = if block == Block::Thought { "  " } else { "" };
        self.markdown.get_or_insert_with(|| Markdown::new(inner, width, base)).feed(text, &mut out);
        self.screen.write(&out);
    }

    fn tool_call(&mut self, call: &ToolCall) {
        let id = call.tool_call_id.to_string();
        if !self.open.contains(&id) {
            self.open.push(id.clone());
        }
        self.tools.insert(id.clone(), Tool::new(call.clone()));
        self.meta(&id, call.meta.as_ref());
        self.advance(&id);
    }

    fn tool_update(&mut self, update: &ToolCallUpdate) {
        let id = update.tool_call_id.to_string();
        let title = update.fields.title.clone().unwrap_or_else(|| id.clone());
        let tool = self.tools.entry(id.clone()).or_insert_with(|| Tool::new(ToolCall::new(id.clone(), title)));
        tool.update(update);
        if !self.open.contains(&id) && !tool.is_over() {
            self.open.push(id.clone());
        }
        self.meta(&id, update.meta.as_ref());
        self.advance(&id);
    }

    /// Live output of commands comes beside the call, by a convention that editors share.
    fn meta(&mut self, id: &str, meta: Option<&Meta>) {
        let look = self.look();
        let (Some(meta), Some(tool)) = (meta, self.tools.get_mut(id)) else { return };
        let mut lines = Vec::new();
        if let Some(data) = meta.get("terminal_output").and_then(|output| output["data"].as_str()) {
            lines = tool.announce(look);
            lines.extend(tool.print(data, look));
        }
        if let Some(exit) = meta.get("terminal_exit") {
            tool.exited(exit["exit_code"].as_i64(), exit["signal"].as_str());
        }
        self.tool_lines(lines);
    }

    /// Shows what a call's new state asks for.
    fn advance(&mut self, id: &str) {
        let look = self.look();
        let Some(tool) = self.tools.get_mut(id) else { return };
        let lines = if tool.is_over() {
            let was_open = self.open.iter().any(|open| open == id);
            self.open.retain(|open| open != id);
            if was_open { tool.close(look) } else { Vec::new() }
        } else if tool.is_live() {
            tool.announce(look)
        } else {
            Vec::new()
        };
        self.tool_lines(lines);
    }

    fn tool_lines(&mut self, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        self.begin(Block::Tool);
        for line in lines {
            self.screen.line(&line);
        }
    }

    fn plan(&mut self, plan: &Plan) {
        self.begin(Block::Note);
        for entry in &plan.entries {
            let (mark, style) = match entry.status {
                PlanEntryStatus::Completed => ("☑", Style::Dim),
                PlanEntryStatus::InProgress => ("▸", Style::Bold),
                _ => ("☐", Style::Dim),
            };
            let line = self.screen.palette().paint(style, &format!("{mark} {}", clean(&entry.content)));
            self.screen.line(&line);
        }
    }

    fn usage(&mut self, usage: &UsageUpdate) {
        self.totals = Totals {
            used: Some(usage.used),
            window: Some(usage.size),
            cost: usage.cost.clone().or_else(|| self.totals.cost.clone()),
        };
    }

    fn look(&self) -> Look {
        Look { palette: self.screen.palette(), width: self.screen.width() }
    }
}

/// A number of tokens for people.
fn tokens(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..100_000 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{}k", count / 1_000),
    }
}

#[cfg(test)]
mod tests;
