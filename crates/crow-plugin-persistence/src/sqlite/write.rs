//! Writing: one event or one session's row at a time, inside a transaction of the caller's.

use std::path::Path;

use crow_acp::{Event, SessionSummary};
use rusqlite::{Connection, OptionalExtension, named_params, params};

use crate::error::StoreError;
use crate::projection::{self, PARTIAL, project, role_name, type_name};

/// Makes the session's row, unless there is one.
pub(crate) fn session(connection: &Connection, summary: &SessionSummary) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO sessions (id, cwd, title, model, parent, created_at, updated_at, cost)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0) ON CONFLICT (id) DO UPDATE SET cwd = excluded.cwd",
    )?;
    insert.execute(params![
        summary.id,
        summary.cwd.to_string_lossy(),
        summary.title,
        summary.model.as_ref().map(ToString::to_string),
        summary.parent,
        summary.created_at,
        summary.updated_at,
    ])?;
    Ok(())
}

/// Appends an event, whose JSON is `data`, and brings the other tables up to date with it.
pub(crate) fn event(
    connection: &Connection,
    path: &Path,
    session: &str,
    event: &Event,
    data: &str,
) -> Result<(), StoreError> {
    let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
    let Some(key) = key_of(connection, session).map_err(sqlite)? else {
        return Err(StoreError::UnknownSession { session: session.to_owned() });
    };
    replace_partial(connection, key, event.seq).map_err(sqlite)?;
    insert(connection, key, event, data).map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => {
            StoreError::DuplicateEvent { session: session.to_owned(), seq: event.seq }
        }
        _ => sqlite(error),
    })?;
    follow(connection, key, event).map_err(sqlite)
}

/// The internal key of a session.
pub(crate) fn key_of(connection: &Connection, session: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT key FROM sessions WHERE id = ?1")?
        .query_row([session], |row| row.get(0))
        .optional()
}

fn replace_partial(connection: &Connection, key: i64, seq: u64) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM events WHERE session = ?1 AND seq = ?2 AND type = ?3")?;
    delete.execute(params![key, seq as i64, PARTIAL])?;
    Ok(())
}

fn insert(connection: &Connection, key: i64, event: &Event, data: &str) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT INTO events (session, seq, at, type, data) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    insert.execute(params![key, event.seq as i64, event.at, type_name(&event.kind), data])?;
    Ok(())
}

fn follow(connection: &Connection, key: i64, event: &Event) -> rusqlite::Result<()> {
    let change = project(event);
    let (usage, cost) = change.spent.unwrap_or((crow_acp::Usage::default(), Some(0.0)));
    let mut update = connection.prepare_cached(
        "UPDATE sessions SET updated_at = max(updated_at, :at), prompts = prompts + :prompts,
            model = coalesce(:model, model), title = coalesce(:title, title), mode = coalesce(:mode, mode),
            input_tokens = input_tokens + :input, cached_input_tokens = cached_input_tokens + :cached,
            output_tokens = output_tokens + :output, reasoning_tokens = reasoning_tokens + :reasoning,
            cost = cost + :cost
         WHERE key = :key",
    )?;
    update.execute(named_params! {
        ":key": key, ":at": event.at, ":prompts": change.prompts,
        ":model": change.model, ":title": change.title, ":mode": change.mode,
        ":input": usage.input_tokens as i64, ":cached": usage.cached_input_tokens as i64,
        ":output": usage.output_tokens as i64, ":reasoning": usage.reasoning_tokens as i64,
        ":cost": cost,
    })?;
    if let Some(role) = change.role {
        let mut insert = connection.prepare_cached(
            "INSERT INTO messages (session, seq, at, role, input_tokens, cached_input_tokens, output_tokens,
                reasoning_tokens, total_tokens, cost) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let spent = change.spent.map(|(usage, _)| usage);
        insert.execute(params![
            key,
            event.seq as i64,
            event.at,
            role_name(role),
            spent.map(|usage| usage.input_tokens as i64),
            spent.map(|usage| usage.cached_input_tokens as i64),
            spent.map(|usage| usage.output_tokens as i64),
            spent.map(|usage| usage.reasoning_tokens as i64),
            spent.map(|usage| usage.total() as i64),
            change.spent.and_then(|(_, cost)| cost),
        ])?;
    }
    if let Some(seq) = change.excluded {
        let mut exclude =
            connection.prepare_cached("UPDATE messages SET excluded = 1 WHERE session = ?1 AND seq >= ?2")?;
        exclude.execute(params![key, seq as i64])?;
    }
    Ok(())
}

/// Forgets a session. False: there was none.
pub(crate) fn delete(connection: &mut Connection, session: &str) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let Some(key) = key_of(&transaction, session)? else { return Ok(false) };
    transaction.execute("DELETE FROM search WHERE rowid IN (SELECT id FROM events WHERE session = ?1)", [key])?;
    // Messages and events go with the row.
    transaction.execute("DELETE FROM sessions WHERE key = ?1", [key])?;
    transaction.commit()?;
    connection.execute_batch("PRAGMA incremental_vacuum")?;
    Ok(true)
}

/// Adds the next events to the search index. True: there may be more.
pub(crate) fn index(connection: &mut Connection) -> rusqlite::Result<bool> {
    const BATCH: usize = 200;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let reached: i64 = transaction.query_row("SELECT indexed FROM search_progress", [], |row| row.get(0))?;
    let mut count = 0;
    let mut last = reached;
    {
        let mut events =
            transaction.prepare_cached("SELECT id, type, data FROM events WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        let mut add = transaction.prepare_cached("INSERT INTO search (rowid, text) VALUES (?1, ?2)")?;
        let mut rows = events.query(params![reached, BATCH as i64])?;
        while let Some(row) = rows.next()? {
            count += 1;
            last = row.get(0)?;
            // What replaces a partial answer has a number, and its turn here, of its own.
            if row.get_ref(1)?.as_str()? == PARTIAL {
                continue;
            }
            let Ok(event) = serde_json::from_str::<Event>(row.get_ref(2)?.as_str()?) else { continue };
            let words = projection::words(&event.kind);
            if !words.is_empty() {
                add.execute(params![last, words])?;
            }
        }
    }
    if count > 0 {
        transaction.execute("UPDATE search_progress SET indexed = ?1", [last])?;
    }
    transaction.commit()?;
    Ok(count == BATCH)
}
