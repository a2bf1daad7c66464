//! Reading: lists, records, search. Works on any connection, the writer's or one that only reads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crow_acp::{Event, SessionQuery, SessionRecord, SessionSummary};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::projection;
use crate::search::Hit;

const SUMMARY: &str = "sessions.id, cwd, title, model, created_at, updated_at, parent";

fn summary(row: &Row<'_>) -> rusqlite::Result<SessionSummary> {
    let mut summary =
        SessionSummary::new(row.get::<_, String>(0)?, PathBuf::from(row.get::<_, String>(1)?), row.get(4)?);
    summary.title = row.get(2)?;
    // A name that is none any more is no reason to hide the session.
    summary.model = row.get::<_, Option<String>>(3)?.and_then(|model| model.parse().ok());
    summary.updated_at = row.get(5)?;
    summary.parent = row.get(6)?;
    Ok(summary)
}

/// The sessions that `query` asks for, newest first.
pub(crate) fn sessions(connection: &Connection, query: &SessionQuery) -> rusqlite::Result<Vec<SessionSummary>> {
    let (before, id) = query.before.clone().map_or((i64::MAX, String::new()), |(at, id)| (at, id));
    let cwd = query.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned());
    let mut list = connection.prepare_cached(&format!(
        "SELECT {SUMMARY} FROM sessions WHERE (updated_at, sessions.id) < (?1, ?2) AND (?3 IS NULL OR cwd = ?3)
         ORDER BY updated_at DESC, sessions.id DESC LIMIT ?4"
    ))?;
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    list.query_map(params![before, id, cwd, limit], summary)?.collect()
}

/// A session's summary.
pub(crate) fn session(connection: &Connection, id: &str) -> rusqlite::Result<Option<SessionSummary>> {
    let sql = format!("SELECT {SUMMARY} FROM sessions WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], summary).optional()
}

/// The sessions whose id begins with `prefix`, at most two.
pub(crate) fn sessions_beginning(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<SessionSummary>> {
    let sql = format!("SELECT {SUMMARY} FROM sessions WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2");
    connection.prepare_cached(&sql)?.query_map([prefix], summary)?.collect()
}

/// A session with its whole log, as it was written.
pub(crate) fn record(connection: &mut Connection, path: &Path, id: &str) -> Result<Option<SessionRecord>, StoreError> {
    let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
    // One transaction, so that the row and the events are of the same moment.
    let transaction = connection.transaction().map_err(sqlite)?;
    let Some(summary) = session(&transaction, id).map_err(sqlite)? else { return Ok(None) };
    let mut events = Vec::new();
    let mut select = transaction
        .prepare_cached(
            "SELECT seq, data FROM events WHERE session = (SELECT key FROM sessions WHERE id = ?1) ORDER BY seq",
        )
        .map_err(sqlite)?;
    let mut rows = select.query([id]).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let seq = row.get::<_, i64>(0).map_err(sqlite)? as u64;
        let unreadable = |detail: String| StoreError::Unreadable { session: id.to_owned(), seq, detail };
        let data = row.get_ref(1).map_err(sqlite)?.as_str().map_err(|error| unreadable(error.to_string()))?;
        events.push(serde_json::from_str::<Event>(data).map_err(|error| unreadable(error.to_string()))?);
    }
    Ok(Some(SessionRecord::new(summary, events)))
}

/// The newest events in which all of `words` occur; the last word may be the beginning of one.
pub(crate) fn search(connection: &Connection, words: &str, limit: usize) -> rusqlite::Result<Vec<Hit>> {
    let Some(query) = match_expression(words) else { return Ok(Vec::new()) };
    let mut find = connection.prepare_cached(&format!(
        "SELECT {SUMMARY}, events.seq, events.at, events.data
         FROM (SELECT rowid AS hit FROM search WHERE search MATCH ?1 ORDER BY rowid DESC LIMIT ?2)
         JOIN events ON events.id = hit JOIN sessions ON sessions.key = events.session ORDER BY hit DESC"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let hits = find.query_map(params![query, limit], |row| {
        let event: Option<Event> = serde_json::from_str(row.get_ref(9)?.as_str()?).ok();
        let text = event.as_ref().map(|event| projection::words(&event.kind)).unwrap_or_default();
        Ok(Hit::new(summary(row)?, row.get::<_, i64>(7)? as u64, row.get(8)?, &text, words))
    })?;
    hits.collect()
}

/// The words as FTS5 wants them: each quoted, so that none of them is an operator.
fn match_expression(words: &str) -> Option<String> {
    let quoted: Vec<String> =
        words.split_whitespace().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    if quoted.is_empty() { None } else { Some(quoted.join(" ") + "*") }
}

/// Whether there are events that the search index lacks.
pub(crate) fn lags(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT coalesce((SELECT max(id) FROM events), 0) > (SELECT indexed FROM search_progress)";
    connection.query_row(sql, [], |row| row.get(0))
}

/// The sessions that nothing happened to for `age`, and those a day old in which nothing was ever said.
pub(crate) fn outdated(connection: &Connection, age: Option<Duration>, now: i64) -> rusqlite::Result<Vec<String>> {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let before = age.map(|age| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
    let mut query = connection.prepare(
        "SELECT id FROM sessions WHERE updated_at < ?1
            OR (updated_at < ?2 AND prompts = 0 AND NOT EXISTS (SELECT 1 FROM events WHERE session = key AND type = 'command'))",
    )?;
    let ids = query.query_map(params![before, now - DAY], |row| row.get(0))?;
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_person_types_is_an_operator() {
        assert_eq!(match_expression("  "), None);
        assert_eq!(match_expression("a OR \"b* -c"), Some("\"a\" \"OR\" \"\"\"b*\" \"-c\"*".into()));
    }
}
