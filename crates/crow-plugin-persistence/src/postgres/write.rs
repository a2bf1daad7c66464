//! Writing: one round trip for an event and all that follows from it.

use std::borrow::Cow;

use crow_acp::{Event, Secrets, SessionSummary, Usage};
use postgres::{Client, GenericClient, Statement};

use super::connect::failed;
use super::lease::Leases;
use super::server::Server;
use super::words;
use crate::backend::{Change, Written, stored};
use crate::error::StoreError;
use crate::projection::{self, PARTIAL, project, role_name, type_name};

/// Makes the session's row, unless there is one.
const SESSION: &str = "
    INSERT INTO sessions (id, cwd, title, model, parent, created_at, updated_at, cost)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0) ON CONFLICT (id) DO UPDATE SET cwd = excluded.cwd";

/// Appends an event, which may take the place of a partial answer, and brings the other tables up to date with it. Gives
/// the session's key, if there is such a session, and whether the event found its place.
const EVENT: &str = "
    WITH known AS (SELECT key FROM sessions WHERE id = $1),
    appended AS (
        INSERT INTO events (session, seq, at, type, data, words)
        SELECT key, $2::int8, $3::int8, $4::text, $5::text, $6::text::tsvector FROM known
        ON CONFLICT (session, seq) DO UPDATE
            SET at = excluded.at, type = excluded.type, data = excluded.data, words = excluded.words
            WHERE events.type = 'partial'
        RETURNING session
    ),
    message AS (
        INSERT INTO messages (session, seq, at, role, input_tokens, cached_input_tokens, output_tokens,
            reasoning_tokens, total_tokens, cost)
        SELECT session, $2, $3, $7::text, $8::int8, $9::int8, $10::int8, $11::int8, $8 + $10, $12::float8
        FROM appended WHERE $7 IS NOT NULL
    ),
    taken_back AS (
        UPDATE messages SET excluded = true FROM appended
        WHERE messages.session = appended.session AND messages.seq >= $13::int8
    ),
    followed AS (
        UPDATE sessions SET updated_at = greatest(updated_at, $3), prompts = prompts + $14::int8,
            model = coalesce($15::text, model), title = coalesce($16::text, title), mode = coalesce($17::text, mode),
            input_tokens = input_tokens + coalesce($8, 0),
            cached_input_tokens = cached_input_tokens + coalesce($9, 0),
            output_tokens = output_tokens + coalesce($10, 0),
            reasoning_tokens = reasoning_tokens + coalesce($11, 0),
            cost = cost + $18::float8
        FROM appended WHERE key = appended.session
    )
    SELECT (SELECT key FROM known), EXISTS (SELECT 1 FROM appended)";

/// The statements that are sent again and again.
pub(super) struct Statements {
    session: Statement,
    event: Statement,
}

impl Statements {
    pub(super) fn prepare(client: &mut Client) -> Result<Self, postgres::Error> {
        Ok(Self { session: client.prepare(SESSION)?, event: client.prepare(EVENT)? })
    }
}

/// Changes on their way, and what it takes to write them.
pub(super) struct Batch<'a> {
    pub(super) statements: &'a Statements,
    pub(super) leases: &'a Leases,
    pub(super) secrets: &'a Secrets,
    /// Whether words are indexed.
    pub(super) search: bool,
}

impl Batch<'_> {
    /// All in one transaction.
    pub(super) fn together(&mut self, client: &mut Client, changes: &[Change]) -> Result<Written, postgres::Error> {
        let mut written = Written::default();
        // One statement is a transaction of its own, and saves two round trips.
        if let [change] = changes {
            let done = self.change(client, change)?;
            let _ = written.note(done);
            return Ok(written);
        }
        let mut transaction = client.transaction()?;
        for change in changes {
            let done = self.change(&mut transaction, change)?;
            let _ = written.note(done);
        }
        transaction.commit()?;
        Ok(written)
    }

    /// Each in a transaction of its own; what the database cannot take is left out.
    pub(super) fn one_by_one(
        &mut self,
        client: &mut Client,
        changes: &[Change],
        server: &Server,
    ) -> Result<Written, postgres::Error> {
        let mut written = Written::default();
        for change in changes {
            let done = match self.change(client, change) {
                Err(error) if concerns_data(&error) => Err(match change {
                    Change::Event { session, event } => StoreError::Unreadable {
                        session: session.to_string(),
                        seq: event.seq,
                        detail: super::connect::words(&error),
                    },
                    Change::Session(_) => failed(server, &error),
                }),
                done => done?,
            };
            let _ = written.note(done);
        }
        Ok(written)
    }

    fn change(
        &self,
        client: &mut impl GenericClient,
        change: &Change,
    ) -> Result<Result<usize, StoreError>, postgres::Error> {
        match change {
            Change::Session(summary) => self.session(client, summary).map(|()| Ok(0)),
            Change::Event { session, event } => {
                if let Some(lost) = self.leases.lost(session) {
                    return Ok(Err(lost));
                }
                match stored(session, event, self.secrets) {
                    Ok((event, data)) => self.event(client, session, &event, &data),
                    Err(error) => Ok(Err(error)),
                }
            }
        }
    }

    fn session(&self, client: &mut impl GenericClient, summary: &SessionSummary) -> Result<(), postgres::Error> {
        let model = summary.model.as_ref().map(ToString::to_string);
        let cwd = summary.cwd.to_string_lossy();
        client.execute(
            &self.statements.session,
            &[
                &storable(&summary.id),
                &storable(&cwd),
                &summary.title.as_deref().map(storable),
                &model.as_deref().map(storable),
                &summary.parent,
                &summary.created_at,
                &summary.updated_at,
            ],
        )?;
        Ok(())
    }

    fn event(
        &self,
        client: &mut impl GenericClient,
        session: &str,
        event: &Event,
        data: &str,
    ) -> Result<Result<usize, StoreError>, postgres::Error> {
        let change = project(event);
        let kind = type_name(&event.kind);
        let words =
            if self.search && kind != PARTIAL { words::document(&projection::words(&event.kind)) } else { None };
        let tokens = |pick: fn(&Usage) -> u64| change.spent.as_ref().map(|(usage, _)| pick(usage) as i64);
        let row = client.query_one(
            &self.statements.event,
            &[
                &session,
                &(event.seq as i64),
                &event.at,
                &kind,
                &data,
                &words,
                &change.role.map(role_name),
                &tokens(|usage| usage.input_tokens),
                &tokens(|usage| usage.cached_input_tokens),
                &tokens(|usage| usage.output_tokens),
                &tokens(|usage| usage.reasoning_tokens),
                &change.spent.and_then(|(_, cost)| cost),
                &change.excluded.map(|seq| seq as i64),
                &i64::from(change.prompts),
                &change.model.as_deref().map(storable),
                &change.title.as_deref().map(storable),
                &change.mode.as_deref().map(storable),
                &change.spent.map_or(Some(0.0), |(_, cost)| cost),
            ],
        )?;
        let session = || session.to_owned();
        let (key, appended): (Option<i64>, bool) = (row.try_get(0)?, row.try_get(1)?);
        let Some(key) = key else { return Ok(Err(StoreError::UnknownSession { session: session() })) };
        if appended {
            return Ok(Ok(data.len()));
        }
        // After a connection broke nobody knows what had been committed: then it is there as it should be.
        let sql = "SELECT data = $3 FROM events WHERE session = $1 AND seq = $2";
        let same = client.query_opt(sql, &[&key, &(event.seq as i64), &data])?;
        Ok(match same.map(|row| row.try_get(0)).transpose()? {
            Some(true) => Ok(0),
            _ => Err(StoreError::DuplicateEvent { session: session(), seq: event.seq }),
        })
    }
}

/// Forgets a session. False: there was none. Messages and events go with the row.
pub(super) fn delete(client: &mut Client, session: &str) -> Result<bool, postgres::Error> {
    Ok(client.execute("DELETE FROM sessions WHERE id = $1", &[&session])? > 0)
}

/// The error is about what was to be stored, not about the store.
pub(super) fn concerns_data(error: &postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("54"))
}

/// The server has no text with a zero in it. In JSON it is escaped.
fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "").into() } else { text.into() }
}
