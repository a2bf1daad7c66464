//! Writing: one round trip for many events and all that follows from them.

use std::borrow::Cow;
use std::sync::Arc;

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

/// Appends events, each of which may take the place of a partial answer, and brings the other tables up to date with
/// them. Gives those that did not find their place: the number in the batch, and the key of the session if there is one.
const EVENTS: &str = "
    WITH given AS (
        SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::float8[], $13::int8[], $14::int8[], $15::text[],
            $16::text[], $17::text[], $18::float8[]) WITH ORDINALITY
        AS given (id, seq, at, type, data, words, role, input, cached, output, reasoning, cost, taken_back, prompts,
            model, title, mode, spent, place)
    ),
    event AS (SELECT given.*, sessions.key FROM given LEFT JOIN sessions ON sessions.id = given.id),
    appended AS (
        INSERT INTO events (session, seq, at, type, data, words)
        SELECT key, seq, at, type, data, words::tsvector FROM event WHERE key IS NOT NULL ORDER BY place
        ON CONFLICT (session, seq) DO UPDATE
            SET at = excluded.at, type = excluded.type, data = excluded.data, words = excluded.words
            WHERE events.type = 'partial'
        RETURNING session AS key, seq
    ),
    new AS (SELECT event.* FROM event JOIN appended USING (key, seq)),
    message AS (
        INSERT INTO messages (session, seq, at, role, input_tokens, cached_input_tokens, output_tokens,
            reasoning_tokens, total_tokens, cost, excluded)
        SELECT key, seq, at, role, input, cached, output, reasoning, input + output, cost, EXISTS (
            SELECT 1 FROM new later
            WHERE later.key = new.key AND later.taken_back <= new.seq AND later.seq > new.seq)
        FROM new WHERE role IS NOT NULL
    ),
    taken_back AS (
        UPDATE messages SET excluded = true FROM new
        WHERE messages.session = new.key AND messages.seq >= new.taken_back AND messages.seq < new.seq
    ),
    change AS (
        SELECT key, max(at) AS at, sum(prompts) AS prompts, coalesce(sum(input), 0) AS input,
            coalesce(sum(cached), 0) AS cached, coalesce(sum(output), 0) AS output,
            coalesce(sum(reasoning), 0) AS reasoning,
            (array_agg(model ORDER BY seq DESC) FILTER (WHERE model IS NOT NULL))[1] AS model,
            (array_agg(title ORDER BY seq DESC) FILTER (WHERE title IS NOT NULL))[1] AS title,
            (array_agg(mode ORDER BY seq DESC) FILTER (WHERE mode IS NOT NULL))[1] AS mode,
            CASE WHEN bool_or(spent IS NULL) THEN NULL ELSE sum(spent) END AS spent
        FROM new GROUP BY key
    ),
    followed AS (
        UPDATE sessions SET updated_at = greatest(updated_at, change.at), prompts = sessions.prompts + change.prompts,
            model = coalesce(change.model, sessions.model), title = coalesce(change.title, sessions.title),
            mode = coalesce(change.mode, sessions.mode),
            input_tokens = input_tokens + input, cached_input_tokens = cached_input_tokens + cached,
            output_tokens = output_tokens + output, reasoning_tokens = reasoning_tokens + reasoning,
            cost = cost + spent
        FROM change WHERE sessions.key = change.key
    )
    SELECT place, key FROM event WHERE NOT EXISTS (
        SELECT 1 FROM appended WHERE appended.key = event.key AND appended.seq = event.seq)";

/// So many events, or bytes of them, go in one round trip.
const MOST_EVENTS: usize = 500;
const MOST_BYTES: usize = 4 << 20;

/// The statements that are sent again and again.
pub(super) struct Statements {
    session: Statement,
    events: Statement,
}

impl Statements {
    pub(super) fn prepare(client: &mut Client) -> Result<Self, postgres::Error> {
        Ok(Self { session: client.prepare(SESSION)?, events: client.prepare(EVENTS)? })
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

/// The same column of many events: what one statement takes.
#[derive(Default)]
struct Columns<'a> {
    session: Vec<&'a str>,
    seq: Vec<i64>,
    at: Vec<i64>,
    kind: Vec<&'static str>,
    data: Vec<String>,
    words: Vec<Option<String>>,
    role: Vec<Option<&'static str>>,
    input: Vec<Option<i64>>,
    cached: Vec<Option<i64>>,
    output: Vec<Option<i64>>,
    reasoning: Vec<Option<i64>>,
    cost: Vec<Option<f64>>,
    taken_back: Vec<Option<i64>>,
    prompts: Vec<i64>,
    model: Vec<Option<String>>,
    title: Vec<Option<String>>,
    mode: Vec<Option<String>>,
    /// The cost, and nothing for what costs nothing: a price that is not known makes the sum unknown.
    spent: Vec<Option<f64>>,
    bytes: usize,
}

impl<'a> Columns<'a> {
    fn push(&mut self, session: &'a str, event: &Event, data: String, search: bool) {
        let change = project(event);
        let kind = type_name(&event.kind);
        let words = if search && kind != PARTIAL { words::document(&projection::words(&event.kind)) } else { None };
        let tokens = |pick: fn(&Usage) -> u64| change.spent.as_ref().map(|(usage, _)| pick(usage) as i64);
        let storable = |text: Option<String>| text.map(|text| storable(&text).into_owned());
        self.bytes += data.len() + words.as_ref().map_or(0, String::len);
        self.session.push(session);
        self.seq.push(event.seq as i64);
        self.at.push(event.at);
        self.kind.push(kind);
        self.data.push(data);
        self.words.push(words);
        self.role.push(change.role.map(role_name));
        self.input.push(tokens(|usage| usage.input_tokens));
        self.cached.push(tokens(|usage| usage.cached_input_tokens));
        self.output.push(tokens(|usage| usage.output_tokens));
        self.reasoning.push(tokens(|usage| usage.reasoning_tokens));
        self.cost.push(change.spent.and_then(|(_, cost)| cost));
        self.taken_back.push(change.excluded.map(|seq| seq as i64));
        self.prompts.push(i64::from(change.prompts));
        self.model.push(storable(change.model));
        self.title.push(storable(change.title));
        self.mode.push(storable(change.mode));
        self.spent.push(change.spent.map_or(Some(0.0), |(_, cost)| cost));
    }
}

impl Batch<'_> {
    /// All in one transaction.
    pub(super) fn together(&mut self, client: &mut Client, changes: &[Change]) -> Result<Written, postgres::Error> {
        let mut written = Written::default();
        // One statement is a transaction of its own, and saves two round trips.
        if changes.len() == 1 {
            self.write(client, changes, &mut written)?;
            return Ok(written);
        }
        let mut transaction = client.transaction()?;
        self.write(&mut transaction, changes, &mut written)?;
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
            match self.write(client, std::slice::from_ref(change), &mut written) {
                Err(error) if concerns_data(&error) => {
                    let detail = super::connect::words(&error);
                    let _ = written.note(Err(match change {
                        Change::Event { session, event } => {
                            StoreError::Unreadable { session: session.to_string(), seq: event.seq, detail }
                        }
                        Change::Session(_) => failed(server, &error),
                    }));
                }
                done => done?,
            }
        }
        Ok(written)
    }

    fn write(
        &self,
        client: &mut impl GenericClient,
        changes: &[Change],
        written: &mut Written,
    ) -> Result<(), postgres::Error> {
        let mut columns = Columns::default();
        for change in changes {
            match change {
                Change::Session(summary) => {
                    self.append(client, std::mem::take(&mut columns), written)?;
                    self.session(client, summary)?;
                    let _ = written.note(Ok(0));
                }
                Change::Event { session, event } => {
                    let event = self.admit(session, event);
                    match event {
                        Ok((event, data)) => columns.push(session, &event, data, self.search),
                        Err(error) => {
                            // In order: whether the last change is written is what is asked for.
                            self.append(client, std::mem::take(&mut columns), written)?;
                            let _ = written.note(Err(error));
                        }
                    }
                    if columns.seq.len() >= MOST_EVENTS || columns.bytes >= MOST_BYTES {
                        self.append(client, std::mem::take(&mut columns), written)?;
                    }
                }
            }
        }
        self.append(client, columns, written)
    }

    /// An event as it is stored, unless its session is another's by now.
    fn admit<'e>(&self, session: &Arc<str>, event: &'e Event) -> Result<(Cow<'e, Event>, String), StoreError> {
        match self.leases.lost(session) {
            Some(lost) => Err(lost),
            None => stored(session, event, self.secrets),
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

    fn append(
        &self,
        client: &mut impl GenericClient,
        columns: Columns<'_>,
        written: &mut Written,
    ) -> Result<(), postgres::Error> {
        if columns.seq.is_empty() {
            return Ok(());
        }
        let rows = client.query(
            &self.statements.events,
            &[
                &columns.session,
                &columns.seq,
                &columns.at,
                &columns.kind,
                &columns.data,
                &columns.words,
                &columns.role,
                &columns.input,
                &columns.cached,
                &columns.output,
                &columns.reasoning,
                &columns.cost,
                &columns.taken_back,
                &columns.prompts,
                &columns.model,
                &columns.title,
                &columns.mode,
                &columns.spent,
            ],
        )?;
        let mut left_out: Vec<Option<StoreError>> = columns.seq.iter().map(|_| None).collect();
        for row in rows {
            let (place, key): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
            let at = (place - 1) as usize;
            let session = columns.session[at].to_owned();
            left_out[at] = match key {
                None => Some(StoreError::UnknownSession { session }),
                // After a connection broke nobody knows what had been committed: then it is there as it should be.
                Some(key) if is_stored(client, key, columns.seq[at], &columns.data[at])? => None,
                Some(_) => Some(StoreError::DuplicateEvent { session, seq: columns.seq[at] as u64 }),
            };
        }
        for (error, data) in left_out.into_iter().zip(&columns.data) {
            let _ = written.note(error.map_or(Ok(data.len()), Err));
        }
        Ok(())
    }
}

fn is_stored(client: &mut impl GenericClient, key: i64, seq: i64, data: &str) -> Result<bool, postgres::Error> {
    let sql = "SELECT data = $3 FROM events WHERE session = $1 AND seq = $2";
    let same = client.query_opt(sql, &[&key, &seq, &data])?;
    same.map_or(Ok(false), |row| row.try_get(0))
}

/// Forgets a session. False: there was none. Messages and events go with the row.
pub(super) fn delete(client: &mut Client, session: &str) -> Result<bool, postgres::Error> {
    Ok(client.execute("DELETE FROM sessions WHERE id = $1", &[&session])? > 0)
}

/// The error is about what was to be stored, not about the store: something the server cannot take, too much of it, or
/// the same number twice.
pub(super) fn concerns_data(error: &postgres::Error) -> bool {
    error.code().is_some_and(|code| ["21", "22", "54"].iter().any(|class| code.code().starts_with(class)))
}

/// The server has no text with a zero in it. In JSON it is escaped.
fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "").into() } else { text.into() }
}
