//! Sessions of the earlier Crow, whose SQLite file has other tables: read, and told as logs of today.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crow_acp::{
    Event, EventKind, Message, ModelId, Part, Role, SessionRecord, SessionSummary, Settings, ToolCall, ToolEvent,
    ToolStatus, Usage,
};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::Value;

use crate::error::StoreError;

/// The provider that models without one are said to be of.
const PROVIDER: &str = "imported";

/// What an earlier store holds.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Imported {
    /// Its sessions, as this Crow would have written them.
    pub sessions: Vec<SessionRecord>,
    /// Rows that cannot be read, each with the reason. The rest of their sessions is there.
    pub skipped: Vec<String>,
}

/// Reads the store of an earlier Crow at `path`, whose sessions are shown as of `cwd`: it did not note where they worked.
/// The file is not changed.
///
/// # Errors
/// It is not such a file, or cannot be read.
pub fn read_earlier(path: &Path, cwd: &Path) -> Result<Imported, StoreError> {
    let unreadable = |detail: String| StoreError::Import { path: path.to_owned(), detail };
    // What is to be done about the store is no advice for a file that somebody has named.
    let failed = |error: rusqlite::Error| unreadable(error.to_string());
    std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    if !is_earlier(&connection).map_err(failed)? {
        return Err(StoreError::NotEarlier { path: path.to_owned() });
    }
    let mut imported = Imported::default();
    let mut messages = messages(&connection, &mut imported.skipped).map_err(failed)?;
    let sql = "SELECT session_id, system_prompt, model_identifier, created_at FROM sessions ORDER BY rowid";
    let mut select = connection.prepare(sql).map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        match session(row, cwd) {
            Ok(session) => {
                let messages = messages.remove(&session.id).unwrap_or_default();
                imported.sessions.push(session.record(messages));
            }
            Err(reason) => imported.skipped.push(format!("a session: {reason}")),
        }
    }
    for (id, messages) in messages {
        imported.skipped.push(format!("{} messages of the session {id}, which is not there", messages.len()));
    }
    imported.skipped.sort();
    Ok(imported)
}

fn is_earlier(connection: &Connection) -> rusqlite::Result<bool> {
    const COLUMNS: [(&str, &str); 5] = [
        ("sessions", "session_id"),
        ("sessions", "model_identifier"),
        ("messages", "session_id"),
        ("messages", "data"),
        ("messages", "role"),
    ];
    for (table, column) in COLUMNS {
        let sql = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?2";
        if connection.query_row(sql, [table, column], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A row of `sessions`.
struct Session {
    id: String,
    cwd: PathBuf,
    system: Option<String>,
    model: Option<ModelId>,
    created_at: Option<i64>,
}

/// A row of `messages`.
struct Entry {
    at: Option<i64>,
    role: Role,
    parts: Vec<Part>,
    usage: Usage,
}

fn session(row: &Row<'_>, cwd: &Path) -> Result<Session, String> {
    let id: String = row.get(0).map_err(|_| "it has no id".to_owned())?;
    if id.is_empty() {
        return Err("it has no id".into());
    }
    let model: Option<String> = row.get(2).unwrap_or_default();
    let model = model.filter(|model| !model.is_empty());
    Ok(Session {
        cwd: cwd.to_owned(),
        system: row.get::<_, Option<String>>(1).unwrap_or_default().filter(|text| !text.is_empty()),
        model: model.map(|model| model.parse().unwrap_or_else(|_| ModelId::new(PROVIDER, model))),
        created_at: row.get_ref(3).ok().and_then(time),
        id,
    })
}

/// The messages of each session, in order.
fn messages(connection: &Connection, skipped: &mut Vec<String>) -> rusqlite::Result<HashMap<String, Vec<Entry>>> {
    let mut messages: HashMap<String, Vec<Entry>> = HashMap::new();
    let mut select = connection.prepare(
        "SELECT id, session_id, created_at, data, role, prompt_tokens, completion_tokens FROM messages ORDER BY rowid",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let name = |row: &Row<'_>| match row.get_ref(0) {
            Ok(rusqlite::types::ValueRef::Integer(id)) => format!("message {id}"),
            Ok(rusqlite::types::ValueRef::Text(id)) => format!("message {}", String::from_utf8_lossy(id)),
            _ => "a message".to_owned(),
        };
        let Ok(session) = row.get::<_, String>(1) else {
            skipped.push(format!("{}: it belongs to no session", name(row)));
            continue;
        };
        match entry(row) {
            Ok(entry) => messages.entry(session).or_default().push(entry),
            Err(reason) => skipped.push(format!("{} of the session {session}: {reason}", name(row))),
        }
    }
    Ok(messages)
}

fn entry(row: &Row<'_>) -> Result<Entry, String> {
    let data = row.get_ref(3).ok().and_then(|data| data.as_bytes().ok()).ok_or("it has no data")?;
    let data: Value = serde_json::from_slice(data).map_err(|error| format!("its data is not JSON: {error}"))?;
    let column: Option<String> = row.get(4).unwrap_or_default();
    let role = column.as_deref().or_else(|| data.get("role").and_then(Value::as_str)).unwrap_or_default();
    let role = match role {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => return Err(format!("its role is `{other}`")),
    };
    let tokens = |column| row.get::<_, Option<i64>>(column).ok().flatten().map_or(0, |tokens| tokens.max(0) as u64);
    Ok(Entry {
        at: row.get_ref(2).ok().and_then(time),
        role,
        parts: parts(role, &data)?,
        usage: Usage::new(tokens(5), tokens(6)),
    })
}

/// The parts of a message in the shape of the Chat Completions protocol.
fn parts(role: Role, data: &Value) -> Result<Vec<Part>, String> {
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let content = texts(data.get("content").unwrap_or(data));
    if role == Role::Tool {
        let id = text("tool_call_id");
        if id.is_empty() {
            return Err("it is the result of no call".into());
        }
        let result = Message::tool_result(id, text("name"), content.unwrap_or_default(), false);
        return Ok(result.parts().to_vec());
    }
    let mut parts = Vec::new();
    let reasoning = [text("reasoning_content"), text("reasoning")].into_iter().find(|text| !text.is_empty());
    if let Some(text) = reasoning {
        parts.push(Part::Reasoning { text: text.to_owned(), signature: None, model: None });
    }
    if let Some(text) = content.filter(|text| !text.is_empty()) {
        parts.push(Part::text(text));
    }
    for call in data.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let function = call.get("function").unwrap_or(call);
        let of = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let arguments = match function.get("arguments") {
            Some(Value::String(raw)) => raw.clone(),
            Some(value) => value.to_string(),
            None => "{}".to_owned(),
        };
        let (id, name) = (of(call, "id"), of(function, "name"));
        if id.is_empty() || name.is_empty() {
            return Err("one of its tool calls has no id or no name".into());
        }
        parts.push(Part::ToolCall(ToolCall::from_raw(id, name, arguments)));
    }
    if parts.is_empty() && role != Role::Assistant {
        return Err("there is nothing in it".into());
    }
    Ok(parts)
}

/// The text of a message's content, which is a text or a list of parts.
fn texts(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str).or(part.as_str()));
            Some(texts.collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

/// Milliseconds since the epoch: of a number of seconds or milliseconds, or of a date as SQLite and Python write it.
fn time(value: rusqlite::types::ValueRef<'_>) -> Option<i64> {
    // No conversation was had before 1973 in milliseconds, or after 5000 in seconds.
    const MILLISECONDS: f64 = 1e11;
    let of = |number: f64| if number.abs() < MILLISECONDS { (number * 1000.0) as i64 } else { number as i64 };
    match value {
        rusqlite::types::ValueRef::Integer(number) => Some(of(number as f64)),
        rusqlite::types::ValueRef::Real(number) => Some(of(number)),
        rusqlite::types::ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).ok()?.trim();
            if let Ok(number) = text.parse::<f64>() {
                return Some(of(number));
            }
            let zoned = text.parse::<Timestamp>().ok();
            // Without a zone it is UTC, which is what SQLite's own clock gives.
            zoned.or_else(|| format!("{text}Z").parse().ok()).map(Timestamp::as_millisecond)
        }
        _ => None,
    }
}

impl Session {
    /// The log of a session with these messages.
    fn record(self, messages: Vec<Entry>) -> SessionRecord {
        let at = self.created_at.or_else(|| messages.iter().find_map(|message| message.at)).unwrap_or_default();
        let mut summary = SessionSummary::new(&self.id, &self.cwd, at);
        summary.model.clone_from(&self.model);
        let mut log = Log { events: Vec::new(), at, open: Vec::new() };
        // The model is told of the answers; the session goes on with the one that is configured now, whose provider is known.
        let mut settings = Settings::default();
        settings.title = messages.iter().find(|message| message.role == Role::User).map(title);
        summary.title.clone_from(&settings.title);
        if settings != Settings::default() {
            log.push(EventKind::Settings(settings));
        }
        // The first system message is the system prompt once more.
        if let Some(system) = self.system.filter(|_| messages.first().is_none_or(|first| first.role != Role::System)) {
            log.push(EventKind::Injected { message: Message::system(system) });
        }
        let model = self.model.unwrap_or_else(|| ModelId::new(PROVIDER, "unknown"));
        for entry in messages {
            log.at = entry.at.unwrap_or(log.at);
            log.entry(entry, &model);
        }
        summary.updated_at = log.at.max(at);
        SessionRecord::new(summary, log.events)
    }
}

/// The beginning of what the user first said.
fn title(entry: &Entry) -> String {
    const LONGEST: usize = 80;
    let text = Message::new(entry.role, entry.parts.clone()).text();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}\u{2026}", &line[..end]),
        None => line.to_owned(),
    }
}

/// A log that is being told.
struct Log {
    events: Vec<Event>,
    /// The time of the latest event.
    at: i64,
    /// The calls whose results are to come.
    open: Vec<ToolCall>,
}

impl Log {
    fn push(&mut self, kind: EventKind) {
        let seq = self.events.len() as u64 + 1;
        self.events.push(Event::new(seq, self.at, kind));
    }

    fn entry(&mut self, entry: Entry, model: &ModelId) {
        let message = Message::new(entry.role, entry.parts);
        match entry.role {
            Role::System => self.push(EventKind::Injected { message }),
            Role::User => self.push(EventKind::User { message }),
            Role::Assistant => {
                self.open = message.tool_calls().cloned().collect();
                self.push(EventKind::Assistant { message, model: model.clone(), usage: entry.usage, cost: None });
            }
            Role::Tool => {
                let id = message.tool_call_id().unwrap_or_default();
                let call = match self.open.iter().position(|call| call.id == id) {
                    Some(at) => self.open.remove(at),
                    // A result whose call is not there would be refused by every model.
                    None => return self.push(EventKind::Injected { message: as_text(&message) }),
                };
                let parts = message.parts().iter().map(|part| match part {
                    Part::ToolResult(result) => {
                        let mut result = result.clone();
                        result.name.clone_from(&call.name);
                        Part::ToolResult(result)
                    }
                    other => other.clone(),
                });
                let message = Message::new(Role::Tool, parts.collect());
                self.push(EventKind::Tool(Box::new(ToolEvent::new(call, ToolStatus::Completed, message))));
            }
        }
    }
}

fn as_text(message: &Message) -> Message {
    Message::user(crate::projection::readable(message)).with_owner(PROVIDER)
}
