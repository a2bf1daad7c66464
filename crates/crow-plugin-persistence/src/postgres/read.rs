//! Reading: lists, records, search.

use std::path::PathBuf;
use std::time::Duration;

use crow_acp::{Event, SessionQuery, SessionRecord, SessionSummary};
use postgres::{Client, GenericClient, IsolationLevel, Row};

use super::words;
use crate::error::StoreError;
use crate::projection;
use crate::search::Hit;

const SUMMARY: &str = "sessions.id, cwd, title, model, created_at, updated_at, parent";

fn summary(row: &Row) -> Result<SessionSummary, postgres::Error> {
    let cwd: String = row.try_get(1)?;
    let mut summary = SessionSummary::new(row.try_get::<_, String>(0)?, PathBuf::from(cwd), row.try_get(4)?);
    summary.title = row.try_get(2)?;
    // A name that is none any more is no reason to hide the session.
    summary.model = row.try_get::<_, Option<String>>(3)?.and_then(|model| model.parse().ok());
    summary.updated_at = row.try_get(5)?;
    summary.parent = row.try_get(6)?;
    Ok(summary)
}

/// The sessions that `query` asks for, newest first.
pub(super) fn sessions(client: &mut Client, query: &SessionQuery) -> Result<Vec<SessionSummary>, postgres::Error> {
    let (before, id) = query.before.clone().unwrap_or((i64::MAX, String::new()));
    let cwd = query.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned());
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let rows = client.query(
        &format!(
            "SELECT {SUMMARY} FROM sessions WHERE (updated_at, id) < ($1, $2) AND ($3::text IS NULL OR cwd = $3)
             ORDER BY updated_at DESC, id DESC LIMIT $4"
        ),
        &[&before, &id, &cwd, &limit],
    )?;
    rows.iter().map(summary).collect()
}

/// A session's summary.
pub(super) fn session(client: &mut impl GenericClient, id: &str) -> Result<Option<SessionSummary>, postgres::Error> {
    let row = client.query_opt(&format!("SELECT {SUMMARY} FROM sessions WHERE id = $1"), &[&id])?;
    row.as_ref().map(summary).transpose()
}

/// The sessions whose id begins with `prefix`, at most two.
pub(super) fn sessions_beginning(client: &mut Client, prefix: &str) -> Result<Vec<SessionSummary>, postgres::Error> {
    let sql = format!("SELECT {SUMMARY} FROM sessions WHERE left(id, length($1)) = $1 LIMIT 2");
    client.query(&sql, &[&prefix])?.iter().map(summary).collect()
}

/// A session with its whole log, as it was written.
pub(super) fn record(
    client: &mut Client,
    id: &str,
) -> Result<Result<Option<SessionRecord>, StoreError>, postgres::Error> {
    // One snapshot, so that the row and the events are of the same moment.
    let mut snapshot =
        client.build_transaction().read_only(true).isolation_level(IsolationLevel::RepeatableRead).start()?;
    let Some(summary) = session(&mut snapshot, id)? else { return Ok(Ok(None)) };
    let rows = snapshot.query(
        "SELECT seq, data FROM events WHERE session = (SELECT key FROM sessions WHERE id = $1) ORDER BY seq",
        &[&id],
    )?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        let seq = row.try_get::<_, i64>(0)? as u64;
        match serde_json::from_str::<Event>(row.try_get(1)?) {
            Ok(event) => events.push(event),
            Err(error) => {
                let (session, detail) = (id.to_owned(), error.to_string());
                return Ok(Err(StoreError::Unreadable { session, seq, detail }));
            }
        }
    }
    Ok(Ok(Some(SessionRecord::new(summary, events))))
}

/// The newest events in which all of `words` occur; the last word may be the beginning of one.
pub(super) fn search(client: &mut Client, words: &str, limit: usize) -> Result<Vec<Hit>, postgres::Error> {
    let Some(query) = words::query(words) else { return Ok(Vec::new()) };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = client.query(
        &format!(
            "SELECT {SUMMARY}, hits.seq, hits.at, hits.data
             FROM (SELECT id, session, seq, at, data FROM events WHERE words @@ $1::text::tsquery
                   ORDER BY id DESC LIMIT $2) hits
             JOIN sessions ON sessions.key = hits.session ORDER BY hits.id DESC"
        ),
        &[&query, &limit],
    )?;
    let hit = |row: &Row| {
        let event: Option<Event> = serde_json::from_str(row.try_get(9)?).ok();
        let text = event.as_ref().map(|event| projection::words(&event.kind)).unwrap_or_default();
        Ok(Hit::new(summary(row)?, row.try_get::<_, i64>(7)? as u64, row.try_get(8)?, &text, words))
    };
    rows.iter().map(hit).collect()
}

/// The sessions that nothing happened to for `age`, and those a day old in which nothing was ever said.
pub(super) fn outdated(client: &mut Client, age: Option<Duration>, now: i64) -> Result<Vec<String>, postgres::Error> {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let before = age.map(|age| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
    let rows = client.query(
        "SELECT id FROM sessions WHERE updated_at < $1 OR (updated_at < $2 AND prompts = 0
            AND NOT EXISTS (SELECT 1 FROM events WHERE session = key AND type = 'command')) ORDER BY updated_at",
        &[&before, &(now - DAY)],
    )?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
