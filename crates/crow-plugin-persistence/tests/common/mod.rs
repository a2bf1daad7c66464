//! What the tests of the store have in common.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

mod place;

use std::path::Path;
use std::time::{Duration, Instant};

use crow_acp::{Event, EventKind, Message, ModelId, SessionSummary, ToolCall, ToolEvent, ToolStatus, Usage};
use rusqlite::Connection;
use serde_json::json;

pub(crate) use place::{Place, check_server, location, server};

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(crate) fn summary(id: &str) -> SessionSummary {
    // Now, so that housekeeping leaves it alone.
    SessionSummary::new(id, "/work", jiff::Timestamp::now().as_millisecond())
}

pub(crate) fn user(seq: u64, text: &str) -> Event {
    Event::new(seq, 10 * seq as i64, EventKind::User { message: Message::user(text) })
}

pub(crate) fn partial(seq: u64, text: &str) -> Event {
    Event::new(seq, 10 * seq as i64, EventKind::Partial { message: Message::assistant(text) })
}

pub(crate) fn answer(seq: u64, message: Message) -> Event {
    let (model, usage) = (ModelId::new("openai", "gpt"), Usage::new(100, 10));
    Event::new(seq, 10 * seq as i64, EventKind::Assistant { message, model, usage, cost: Some(0.25) })
}

pub(crate) fn tool(seq: u64, call: &str, text: &str) -> Event {
    let event = ToolEvent::new(
        ToolCall::new(call, "read", json!({})),
        ToolStatus::Completed,
        Message::tool_result(call, "read", text, false),
    );
    Event::new(seq, 10 * seq as i64, EventKind::Tool(Box::new(event)))
}

/// Waits for what another thread does; the limit is there to fail, not to measure.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The sessions whose tables disagree.
pub(crate) const BROKEN: &str = "SELECT id FROM sessions s WHERE
    (SELECT count(*) FROM events WHERE session = s.key)
        <> coalesce((SELECT max(seq) FROM events WHERE session = s.key), 0)
 OR prompts <> (SELECT count(*) FROM events WHERE session = s.key AND type = 'user')
 OR (SELECT count(*) FROM messages WHERE session = s.key)
        <> (SELECT count(*) FROM events WHERE session = s.key AND
            (type IN ('user', 'injected', 'assistant', 'tool')
             OR (type = 'cancelled' AND data ->> 'message' IS NOT NULL)))
 OR output_tokens <> coalesce((SELECT sum(output_tokens) FROM messages WHERE session = s.key), 0)
 OR cost <> coalesce((SELECT sum(cost) FROM messages WHERE session = s.key), 0)";

/// The file is whole, logs have no gaps, and the other tables say what follows from the log.
pub(crate) fn check_invariants(path: &Path) {
    if !path.exists() {
        return;
    }
    let connection = Connection::open(path).unwrap();
    let whole: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    let has_tables: bool = connection
        .query_row("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'sessions'", [], |row| row.get(0))
        .unwrap();
    if !has_tables {
        return;
    }
    let broken: Vec<String> =
        connection.prepare(BROKEN).unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(broken.is_empty(), "sessions whose tables disagree: {broken:?}");
}
