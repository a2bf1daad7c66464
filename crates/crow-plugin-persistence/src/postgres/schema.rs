//! The tables, and how a store of an earlier version becomes one of today's: version by version the same as in the file.

use postgres::Client;

use super::connect::failed;
use super::server::Server;
use crate::error::StoreError;

/// Step N brings a store from version N to N + 1. Steps are only ever added, together with those of the file.
const STEPS: &[&str] = &[
    // Ids compare byte by byte, as everywhere else.
    "
    CREATE TABLE sessions (
        key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text COLLATE \"C\" NOT NULL UNIQUE,
        cwd text NOT NULL,
        title text,
        model text,
        mode text,
        parent text,
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL,
        prompts bigint NOT NULL DEFAULT 0,
        input_tokens bigint NOT NULL DEFAULT 0,
        cached_input_tokens bigint NOT NULL DEFAULT 0,
        output_tokens bigint NOT NULL DEFAULT 0,
        reasoning_tokens bigint NOT NULL DEFAULT 0,
        cost double precision
    );
    CREATE INDEX sessions_newest ON sessions (updated_at, id);
    CREATE TABLE events (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        session bigint NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
        seq bigint NOT NULL,
        at bigint NOT NULL,
        type text NOT NULL,
        data text NOT NULL,
        words tsvector,
        UNIQUE (session, seq)
    );
    CREATE INDEX events_words ON events USING gin (words);
    CREATE TABLE messages (
        session bigint NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
        seq bigint NOT NULL,
        at bigint NOT NULL,
        role text NOT NULL,
        input_tokens bigint,
        cached_input_tokens bigint,
        output_tokens bigint,
        reasoning_tokens bigint,
        total_tokens bigint,
        cost double precision,
        excluded boolean NOT NULL DEFAULT false,
        PRIMARY KEY (session, seq)
    );
    ",
];

/// The version this program writes: that of the file.
pub(super) const VERSION: u32 = crate::sqlite::VERSION;
const _: () = assert!(STEPS.len() == VERSION as usize);

/// What a database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Nothing of ours, nor in our way.
    Empty,
    /// A store of this version.
    Store(u32),
}

/// Refuses what is not a store, or is a later one; says what it is otherwise.
pub(super) fn check(client: &mut Client, server: &Server) -> Result<Contents, StoreError> {
    let failed = |error: postgres::Error| failed(server, &error);
    let tables = client
        .query_one(
            "SELECT to_regclass('crow.schema_version') IS NOT NULL,
                    EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'crow')",
            &[],
        )
        .map_err(failed)?;
    let (ours, any): (bool, bool) = (tables.get(0), tables.get(1));
    if !ours {
        return if any { Err(StoreError::Foreign { store: server.clone().into() }) } else { Ok(Contents::Empty) };
    }
    let row = client.query_one("SELECT max(version) FROM crow.schema_version", &[]).map_err(failed)?;
    let version: Option<i32> = row.get(0);
    match version.map(i32::unsigned_abs) {
        None => Err(StoreError::Foreign { store: server.clone().into() }),
        Some(found) if found > VERSION => {
            Err(StoreError::Newer { store: server.clone().into(), found, known: VERSION })
        }
        Some(version) => Ok(Contents::Store(version)),
    }
}

/// Brings the store to this version, all steps or none.
pub(super) fn migrate(client: &mut Client) -> Result<(), postgres::Error> {
    apply(client, STEPS)
}

fn apply(client: &mut Client, steps: &[&str]) -> Result<(), postgres::Error> {
    let mut transaction = client.transaction()?;
    // One process at a time; what it made is then there for the others.
    transaction.batch_execute("SELECT pg_advisory_xact_lock(7167346533847)")?;
    let there: bool =
        transaction.query_one("SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'crow')", &[])?.get(0);
    // Whoever may not make a schema may have been given one.
    if !there {
        transaction.batch_execute("CREATE SCHEMA crow")?;
    }
    transaction.batch_execute(
        "SET LOCAL search_path = crow;
         CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, applied_at text NOT NULL)",
    )?;
    let reached: Option<i32> = transaction.query_one("SELECT max(version) FROM schema_version", &[])?.get(0);
    for (version, step) in (1_i32..).zip(steps).skip(reached.map_or(0, i32::unsigned_abs) as usize) {
        transaction.batch_execute(step)?;
        transaction.execute("INSERT INTO schema_version VALUES ($1, now()::text)", &[&version])?;
    }
    transaction.commit()
}
