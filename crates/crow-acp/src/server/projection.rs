//! What a client is told of a session: our updates, which are upserts by id, in the words of the protocol's version 1.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value;

use super::content;
use super::port::MaybeUndefined;
use super::port::schema::{
    self, AvailableCommand, AvailableCommandInput, AvailableCommandsUpdate, CompactionStatus, ConfigOptionUpdate,
    ContentChunk, Cost, CurrentModeUpdate, MessageId, Meta, Plan, PlanEntry, PlanEntryPriority, PlanEntryStatus,
    SessionConfigKind, SessionConfigOption, SessionConfigOptionCategory, SessionConfigSelect,
    SessionConfigSelectOption, SessionInfoUpdate, SessionMode, SessionModeState, SessionUpdate, Terminal,
    ToolCallContent, ToolCallLocation, ToolCallStatus, ToolCallUpdateFields, UnstructuredCommandInput, UsageUpdate,
};
use super::terminal::{self, Tail};
use crate::client::ClientCapabilities;
use crate::options::{Command, ConfigOption, Mode};
use crate::tool::{ToolContent, ToolKind};
use crate::update::{
    CompactionState, CompactionUpdate, Notice, PlanStatus, Severity, ToolCallUpdate, ToolState, Update,
};

/// One session as one client sees it: what it was told of each tool call, so that it is told only what changes.
#[derive(Debug)]
pub(super) struct Projection {
    capabilities: ClientCapabilities,
    cwd: PathBuf,
    calls: HashMap<String, Call>,
    /// Somebody will call [`flush`](Self::flush) at the time it gave.
    flush_is_coming: bool,
}

/// A tool call as the client knows it.
#[derive(Debug)]
struct Call {
    title: String,
    name: Option<String>,
    kind: ToolKind,
    state: ToolState,
    output: Output,
}

/// Where the output of a call's command goes.
#[derive(Debug)]
enum Output {
    /// It runs no command, as far as we know.
    None,
    /// To a terminal of the client's.
    Appended {
        /// It was told that the terminal runs.
        started: bool,
        /// It was told some output.
        streamed: bool,
    },
    /// Into the call's content.
    Tail(Tail),
}

impl Projection {
    pub(super) fn new(capabilities: ClientCapabilities, cwd: PathBuf) -> Self {
        Self { capabilities, cwd, calls: HashMap::new(), flush_is_coming: false }
    }

    /// Whether the client has been told of the call.
    pub(super) fn knows(&self, call_id: &str) -> bool {
        self.calls.contains_key(call_id)
    }

    /// Tells the client `update`, as none, one or more of the protocol's. What it gives is the time at which
    /// [`flush`](Self::flush) must be called, if somebody must see to that.
    pub(super) fn project(&mut self, update: Update, out: &mut dyn FnMut(SessionUpdate)) -> Option<Instant> {
        match update {
            Update::UserMessage { message_id, part } => {
                if let Some(block) = content::block_of(part) {
                    out(SessionUpdate::UserMessageChunk(
                        ContentChunk::new(block).message_id(MessageId::new(message_id)),
                    ));
                }
            }
            Update::AgentMessage { message_id, text } => out(agent_message(message_id, text)),
            Update::AgentThought { message_id, text } => {
                let chunk = ContentChunk::new(text.into()).message_id(MessageId::new(message_id));
                out(SessionUpdate::AgentThoughtChunk(chunk));
            }
            Update::ToolCall(update) => self.tool_call(*update, out),
            Update::TerminalOutput { call_id, data } => return self.terminal_output(&call_id, data, out),
            Update::Plan(entries) => out(SessionUpdate::Plan(Plan::new(entries.into_iter().map(plan_entry).collect()))),
            Update::Commands(commands) => {
                let commands = commands.into_iter().map(command).collect();
                out(SessionUpdate::AvailableCommandsUpdate(AvailableCommandsUpdate::new(commands)));
            }
            Update::Mode(mode) => out(SessionUpdate::CurrentModeUpdate(CurrentModeUpdate::new(mode))),
            Update::ConfigOptions(options) => {
                out(SessionUpdate::ConfigOptionUpdate(ConfigOptionUpdate::new(config_options(options))));
            }
            Update::SessionInfo { title, updated_at } => {
                let mut info = SessionInfoUpdate::new();
                info.title = title.map_or(MaybeUndefined::Undefined, MaybeUndefined::Value);
                info.updated_at = time(updated_at).map_or(MaybeUndefined::Undefined, MaybeUndefined::Value);
                out(SessionUpdate::SessionInfoUpdate(info));
            }
            Update::Usage { used, size, cost } => {
                let cost = cost.map(|dollars| Cost::new(dollars, "USD"));
                out(SessionUpdate::UsageUpdate(UsageUpdate::new(used, size).cost(cost)));
            }
            Update::Compaction(update) => self.compaction(update, out),
            Update::Notice(notice) => self.notice(notice, out),
        }
        None
    }

    /// Sends the tails that are due, and gives the time of the next.
    pub(super) fn flush(&mut self, now: Instant, out: &mut dyn FnMut(SessionUpdate)) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for (id, call) in &mut self.calls {
            let Output::Tail(tail) = &mut call.output else { continue };
            match tail.due() {
                Some(due) if due <= now => out(shows(id, tail.take(now))),
                Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                None => {}
            }
        }
        self.flush_is_coming = next.is_some();
        next
    }

    fn tool_call(&mut self, update: ToolCallUpdate, out: &mut dyn FnMut(SessionUpdate)) {
        if self.calls.contains_key(&update.call_id) {
            self.changed_call(update, out);
        } else {
            self.new_call(update, out);
        }
    }

    fn new_call(&mut self, update: ToolCallUpdate, out: &mut dyn FnMut(SessionUpdate)) {
        let id = update.call_id;
        let content = update.content.unwrap_or_default();
        let kind = update.kind.unwrap_or_default();
        let state = update.state.unwrap_or(ToolState::Pending);
        let runs_a_command = kind == ToolKind::Execute || update.terminal.is_some() || content.iter().any(is_terminal);
        let mut call = Call {
            title: update.title.or_else(|| update.name.clone()).unwrap_or_else(|| "Tool call".into()),
            name: update.name,
            kind,
            state,
            output: Output::None,
        };
        let mut meta = Meta::new();
        // Clients make the terminal when they first hear of the call, and only then.
        if runs_a_command && self.capabilities.terminal_output {
            let cwd = update.terminal.as_ref().map_or(&self.cwd, |(_, cwd)| cwd);
            terminal::info(&mut meta, &id, cwd);
            call.output = Output::Appended { started: false, streamed: false };
        }
        let mut after = Meta::new();
        let mut content = call.content(&id, content, &mut after);
        if update.terminal.is_some() {
            call.start_terminal(&id, &mut content);
        }
        if is_over(state) {
            call.end_terminal(&id, &mut after);
        }
        let new = schema::ToolCall::new(id.clone(), call.title.clone())
            .name(call.name.clone())
            .kind(tool_kind(kind))
            .status(status(state))
            .content(content)
            .locations(locations(update.locations.unwrap_or_default()))
            .raw_input(told(update.raw_input))
            .raw_output(told(update.raw_output))
            .meta(present(meta));
        out(SessionUpdate::ToolCall(new));
        if let Some(after) = present(after) {
            out(SessionUpdate::ToolCallUpdate(
                schema::ToolCallUpdate::new(id.clone(), ToolCallUpdateFields::new()).meta(after),
            ));
        }
        self.calls.insert(id, call);
    }

    fn changed_call(&mut self, update: ToolCallUpdate, out: &mut dyn FnMut(SessionUpdate)) {
        let id = update.call_id;
        let Some(call) = self.calls.get_mut(&id) else { return };
        let mut meta = Meta::new();
        let mut fields = ToolCallUpdateFields::new();
        if let Some(title) = update.title.filter(|title| *title != call.title) {
            call.title.clone_from(&title);
            fields.title = Some(title);
        }
        if let Some(name) = update.name.filter(|name| call.name.as_ref() != Some(name)) {
            call.name = Some(name.clone());
            fields.name = Some(name);
        }
        if let Some(kind) = update.kind.filter(|kind| *kind != call.kind) {
            call.kind = kind;
            fields.kind = Some(tool_kind(kind));
        }
        if let Some(state) = update.state.filter(|state| *state != call.state) {
            call.state = state;
            fields.status = Some(status(state));
        }
        let is_over = is_over(call.state);
        fields.content = update.content.map(|content| {
            // What the command printed stays in sight, also when what became of it is told in other words.
            let printed = if is_over && !content.iter().any(is_terminal) { call.printed(&id) } else { None };
            printed.into_iter().chain(call.content(&id, content, &mut meta)).collect()
        });
        fields.locations = update.locations.map(locations);
        fields.raw_input = told(update.raw_input);
        fields.raw_output = told(update.raw_output);
        if update.terminal.is_some() {
            let mut content = fields.content.take().unwrap_or_default();
            call.start_terminal(&id, &mut content);
            fields.content = (!content.is_empty()).then_some(content);
        }
        if is_over {
            if let Output::Tail(tail) = &mut call.output
                && fields.content.is_none()
                && tail.due().is_some()
            {
                fields.content = Some(vec![tail.take(Instant::now()).into()]);
            }
            call.end_terminal(&id, &mut meta);
        }
        if fields != ToolCallUpdateFields::new() || !meta.is_empty() {
            out(SessionUpdate::ToolCallUpdate(schema::ToolCallUpdate::new(id, fields).meta(present(meta))));
        }
    }

    fn terminal_output(&mut self, id: &str, data: String, out: &mut dyn FnMut(SessionUpdate)) -> Option<Instant> {
        let call = self.calls.get_mut(id)?;
        match &mut call.output {
            Output::Appended { streamed, .. } => {
                *streamed = true;
                let mut meta = Meta::new();
                terminal::output(&mut meta, id, data);
                let update = schema::ToolCallUpdate::new(id.to_owned(), ToolCallUpdateFields::new()).meta(meta);
                out(SessionUpdate::ToolCallUpdate(update));
                None
            }
            Output::Tail(tail) => {
                tail.push(&data);
                let now = Instant::now();
                match tail.due() {
                    Some(due) if due <= now => {
                        out(shows(id, tail.take(now)));
                        None
                    }
                    _ if self.flush_is_coming => None,
                    due => {
                        self.flush_is_coming = due.is_some();
                        due
                    }
                }
            }
            Output::None => None,
        }
    }

    fn compaction(&self, update: CompactionUpdate, out: &mut dyn FnMut(SessionUpdate)) {
        if self.capabilities.compaction {
            let (status, summary, error) = match update.state {
                CompactionState::InProgress => (CompactionStatus::InProgress, None, None),
                CompactionState::Completed { summary } => (CompactionStatus::Completed, Some(summary), None),
                CompactionState::Failed { reason } => (CompactionStatus::Failed, None, Some(reason)),
                CompactionState::Cancelled => (CompactionStatus::Cancelled, None, None),
            };
            let mut told = schema::CompactionUpdate::new(update.compaction_id, status);
            told.summary = summary.map_or(MaybeUndefined::Undefined, |text| MaybeUndefined::Value(vec![text.into()]));
            told.error = error.map_or(MaybeUndefined::Undefined, MaybeUndefined::Value);
            return out(SessionUpdate::CompactionUpdate(told));
        }
        let notice = match (update.state, update.tokens) {
            (CompactionState::InProgress, _) => Notice::new(Severity::Info, "compacting the conversation…"),
            (CompactionState::Completed { .. }, Some((before, after))) => {
                let title = format!("compacted the conversation: about {before} tokens became {after}");
                Notice::new(Severity::Info, title)
            }
            // On a replay: the conversation that follows is what the user saw.
            (CompactionState::Completed { .. }, None) => return,
            (CompactionState::Failed { reason }, _) => {
                Notice::new(Severity::Warning, format!("the conversation was not compacted: {reason}"))
            }
            (CompactionState::Cancelled, _) => Notice::new(Severity::Info, "the compaction was cancelled"),
        };
        self.notice(notice, out);
    }

    fn notice(&self, notice: Notice, out: &mut dyn FnMut(SessionUpdate)) {
        if self.capabilities.notices {
            let severity = match notice.severity {
                Severity::Info => schema::NoticeSeverity::Info,
                Severity::Warning => schema::NoticeSeverity::Warning,
                Severity::Error => schema::NoticeSeverity::Error,
            };
            let title = if notice.title.is_empty() { "Notice".to_owned() } else { notice.title };
            out(SessionUpdate::Notice(schema::Notice::new(severity, title).description(notice.description)));
            return;
        }
        // Elsewhere there is no place but the conversation, and nothing that went wrong may be silent.
        let what = match notice.severity {
            Severity::Info => return,
            Severity::Warning => "Warning",
            Severity::Error => "Error",
        };
        let more = notice.description.map_or_else(String::new, |description| format!("\n\n{description}"));
        let text = format!("\n\n**{what}:** {}{more}\n\n", notice.title);
        out(agent_message(uuid::Uuid::now_v7().to_string(), text));
    }
}

impl Call {
    /// The protocol's form of `content`. What a terminal of the client's is to be told goes to `meta`.
    fn content(&mut self, id: &str, content: Vec<ToolContent>, meta: &mut Meta) -> Vec<ToolCallContent> {
        let mut shown = Vec::with_capacity(content.len());
        for content in content {
            match (&mut self.output, content) {
                (Output::Appended { started, streamed }, ToolContent::Terminal { output, exit_code, .. }) => {
                    *started = true;
                    shown.push(ToolCallContent::Terminal(Terminal::new(id.to_owned())));
                    if !*streamed && !output.is_empty() {
                        *streamed = true;
                        terminal::output(meta, id, output);
                    }
                    if is_over(self.state) {
                        terminal::exit(meta, id, exit_code);
                        self.output = Output::None;
                    }
                }
                (_, content) => shown.push(content::shown(content)),
            }
        }
        shown
    }

    /// What the command has printed so far, as the client shows it.
    fn printed(&mut self, id: &str) -> Option<ToolCallContent> {
        match &mut self.output {
            Output::Appended { started: true, .. } => Some(ToolCallContent::Terminal(Terminal::new(id.to_owned()))),
            Output::Tail(tail) if !tail.is_empty() => Some(tail.take(Instant::now()).into()),
            _ => None,
        }
    }

    fn start_terminal(&mut self, id: &str, content: &mut Vec<ToolCallContent>) {
        match &mut self.output {
            Output::Appended { started, .. } => {
                *started = true;
                if !content.iter().any(|content| matches!(content, ToolCallContent::Terminal(_))) {
                    content.push(ToolCallContent::Terminal(Terminal::new(id.to_owned())));
                }
            }
            Output::None => self.output = Output::Tail(Tail::new()),
            Output::Tail(_) => {}
        }
    }

    /// The call is over, and with it its terminal, whether or not somebody said how it ended.
    fn end_terminal(&mut self, id: &str, meta: &mut Meta) {
        if let Output::Appended { started: true, .. } = self.output {
            terminal::exit(meta, id, None);
        }
        self.output = Output::None;
    }
}

fn agent_message(message_id: String, text: String) -> SessionUpdate {
    SessionUpdate::AgentMessageChunk(ContentChunk::new(text.into()).message_id(MessageId::new(message_id)))
}

fn shows(call_id: &str, text: String) -> SessionUpdate {
    let fields = ToolCallUpdateFields::new().content(vec![ToolCallContent::from(text)]);
    SessionUpdate::ToolCallUpdate(schema::ToolCallUpdate::new(call_id.to_owned(), fields))
}

fn present(meta: Meta) -> Option<Meta> {
    (!meta.is_empty()).then_some(meta)
}

/// Arguments that are no JSON are null here, and null would tell the client to clear what it has.
fn told(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !value.is_null())
}

fn is_terminal(content: &ToolContent) -> bool {
    matches!(content, ToolContent::Terminal { .. })
}

fn is_over(state: ToolState) -> bool {
    matches!(state, ToolState::Completed | ToolState::Failed)
}

pub(super) fn tool_kind(kind: ToolKind) -> schema::ToolKind {
    match kind {
        ToolKind::Read => schema::ToolKind::Read,
        ToolKind::Edit => schema::ToolKind::Edit,
        ToolKind::Delete => schema::ToolKind::Delete,
        ToolKind::Move => schema::ToolKind::Move,
        ToolKind::Search => schema::ToolKind::Search,
        ToolKind::Execute => schema::ToolKind::Execute,
        ToolKind::Think => schema::ToolKind::Think,
        ToolKind::Fetch => schema::ToolKind::Fetch,
        ToolKind::Other => schema::ToolKind::Other,
    }
}

fn status(state: ToolState) -> ToolCallStatus {
    match state {
        ToolState::Pending => ToolCallStatus::Pending,
        ToolState::InProgress => ToolCallStatus::InProgress,
        ToolState::Completed => ToolCallStatus::Completed,
        ToolState::Failed => ToolCallStatus::Failed,
    }
}

fn locations(locations: Vec<crate::tool::Location>) -> Vec<ToolCallLocation> {
    locations
        .into_iter()
        .map(|location| ToolCallLocation::new(content::unicode(location.path)).line(location.line))
        .collect()
}

fn plan_entry(entry: crate::update::PlanEntry) -> PlanEntry {
    let status = match entry.status {
        PlanStatus::Pending => PlanEntryStatus::Pending,
        PlanStatus::InProgress => PlanEntryStatus::InProgress,
        PlanStatus::Completed => PlanEntryStatus::Completed,
    };
    PlanEntry::new(entry.content, PlanEntryPriority::Medium, status)
}

fn command(command: Command) -> AvailableCommand {
    let input = command.hint.map(|hint| AvailableCommandInput::Unstructured(UnstructuredCommandInput::new(hint)));
    AvailableCommand::new(command.name, command.description).input(input)
}

/// The complete list of options, in their order. They are all lists to choose from: no client lacks what it takes.
pub(super) fn config_options(options: Vec<ConfigOption>) -> Vec<SessionConfigOption> {
    options
        .into_iter()
        .map(|option| {
            let values: Vec<SessionConfigSelectOption> = option
                .values
                .into_iter()
                .map(|value| SessionConfigSelectOption::new(value.id, value.name).description(value.description))
                .collect();
            let kind = SessionConfigKind::Select(SessionConfigSelect::new(option.current, values));
            let category = option.category.map(|category| match category.as_str() {
                "mode" => SessionConfigOptionCategory::Mode,
                "model" => SessionConfigOptionCategory::Model,
                "model_config" => SessionConfigOptionCategory::ModelConfig,
                "thought_level" => SessionConfigOptionCategory::ThoughtLevel,
                _ => SessionConfigOptionCategory::Other(category),
            });
            SessionConfigOption::new(option.id, option.name, kind).description(option.description).category(category)
        })
        .collect()
}

/// The modes, as responses give them.
pub(super) fn modes(current: Option<String>, modes: Vec<Mode>) -> Option<SessionModeState> {
    let modes: Vec<SessionMode> =
        modes.into_iter().map(|mode| SessionMode::new(mode.id, mode.name).description(mode.description)).collect();
    Some(SessionModeState::new(current?, modes))
}

/// Milliseconds since the epoch in ISO 8601.
pub(super) fn time(milliseconds: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(milliseconds).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests;
