//! Reading: lists, records, search. Works on any connection, the writer's or one that only reads.

use std::path::{Path, PathBuf};

use crow_acp::{Event, SessionQuery, SessionRecord, SessionSummary};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::projection;

const SUMMARY: &str = "sessions.id, cwd, title, model, created_at, updated_at, parent";

/// A place where searched-for words occur.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// The session.
    pub session: SessionSummary,
    /// The event's number in it.
    pub seq: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The line around the first of the words, at most 200 bytes.
    pub excerpt: String,
}

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
        Ok(Hit {
            session: summary(row)?,
            seq: row.get::<_, i64>(7)? as u64,
            at: row.get(8)?,
            excerpt: excerpt(&text, words),
        })
    })?;
    hits.collect()
}

/// The words as FTS5 wants them: each quoted, so that none of them is an operator.
fn match_expression(words: &str) -> Option<String> {
    let quoted: Vec<String> =
        words.split_whitespace().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    if quoted.is_empty() { None } else { Some(quoted.join(" ") + "*") }
}

/// The part of `text` that shows the first of `words`.
fn excerpt(text: &str, words: &str) -> String {
    const LENGTH: usize = 200;
    let lower = text.to_lowercase();
    let found = words.split_whitespace().find_map(|word| lower.find(&word.to_lowercase())).unwrap_or(0);
    // Lower case may be of another length; then the place is a guess, which is good enough for an excerpt.
    let found = text.floor_char_boundary(found.min(text.len()));
    let line = text[..found].rfind('\n').map_or(0, |at| at + 1);
    let start = text.ceil_char_boundary(line.max(found.saturating_sub(LENGTH / 2)));
    let rest = &text[start..];
    let end = rest.find('\n').unwrap_or(rest.len()).min(LENGTH);
    rest[..rest.floor_char_boundary(end)].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_person_types_is_an_operator() {
        assert_eq!(match_expression("  "), None);
        assert_eq!(match_expression("a OR \"b* -c"), Some("\"a\" \"OR\" \"\"\"b*\" \"-c\"*".into()));
    }

    #[test]
    fn an_excerpt_is_the_line_around_the_word() {
        let text = "one\ntwo three\nfour";
        assert_eq!(excerpt(text, "Three"), "two three");
        assert_eq!(excerpt(text, "absent"), "one");
        let long = format!("{} needle {}", "\u{e9}".repeat(500), "\u{e9}".repeat(500));
        let found = excerpt(&long, "needle");
        assert!(found.contains("needle") && found.len() <= 200, "{found}");
        assert_eq!(excerpt("", "x"), "");
    }
}
