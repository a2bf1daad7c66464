//! The tables, and how a store of an earlier version becomes one of today's.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::error::StoreError;

/// Step N brings a store from version N to N + 1. Steps are only ever added.
const STEPS: &[&str] = &[
    // `events` is the truth; `sessions` and `messages` are what follows from it, for lists and for people with a SQL
    // shell. Numbers of events are never reused, because the search index remembers how far it has come.
    "
    CREATE TABLE sessions (
        key INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        cwd TEXT NOT NULL,
        title TEXT,
        model TEXT,
        mode TEXT,
        parent TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        prompts INTEGER NOT NULL DEFAULT 0,
        input_tokens INTEGER NOT NULL DEFAULT 0,
        cached_input_tokens INTEGER NOT NULL DEFAULT 0,
        output_tokens INTEGER NOT NULL DEFAULT 0,
        reasoning_tokens INTEGER NOT NULL DEFAULT 0,
        cost REAL
    );
    CREATE INDEX sessions_newest ON sessions (updated_at, id);
    CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        session INTEGER NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        type TEXT NOT NULL,
        data TEXT NOT NULL,
        UNIQUE (session, seq)
    );
    CREATE TABLE messages (
        session INTEGER NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        role TEXT NOT NULL,
        input_tokens INTEGER,
        cached_input_tokens INTEGER,
        output_tokens INTEGER,
        reasoning_tokens INTEGER,
        total_tokens INTEGER,
        cost REAL,
        excluded INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (session, seq)
    ) WITHOUT ROWID;
    CREATE VIRTUAL TABLE search USING fts5 (
        text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
    );
    CREATE TABLE search_progress (indexed INTEGER NOT NULL);
    INSERT INTO search_progress VALUES (0);
    ",
];

/// The version this program writes.
pub(crate) const VERSION: u32 = STEPS.len() as u32;

/// What a database file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Nothing at all.
    Empty,
    /// A store of this version.
    Store(u32),
    /// Tables of somebody else.
    Foreign,
}

/// Looks without changing anything.
pub(crate) fn contents(connection: &Connection) -> rusqlite::Result<Contents> {
    let has_table = |sql| connection.query_row(sql, [], |_| Ok(())).optional();
    if has_table("SELECT 1 FROM sqlite_schema LIMIT 1")?.is_none() {
        return Ok(Contents::Empty);
    }
    if has_table("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'")?.is_none() {
        return Ok(Contents::Foreign);
    }
    let version =
        connection.query_row("SELECT max(version) FROM schema_version", [], |row| row.get::<_, Option<u32>>(0))?;
    Ok(version.map_or(Contents::Foreign, Contents::Store))
}

/// Refuses what is not a store, or is a later one; says what it is otherwise.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<Contents, StoreError> {
    match contents(connection).map_err(|error| StoreError::sqlite(path, &error))? {
        Contents::Foreign => Err(StoreError::Foreign { store: path.into() }),
        Contents::Store(found) if found > VERSION => {
            Err(StoreError::Newer { store: path.into(), found, known: VERSION })
        }
        known => Ok(known),
    }
}

/// Brings the store to this version, all steps or none.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    apply(connection, STEPS)
}

fn apply(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)",
    )?;
    // Read inside the transaction: another process may have been faster.
    let reached: Option<u32> =
        transaction.query_row("SELECT max(version) FROM schema_version", [], |row| row.get(0))?;
    for (version, step) in (1_u32..).zip(steps).skip(reached.unwrap_or(0) as usize) {
        transaction.execute_batch(step)?;
        transaction.execute("INSERT INTO schema_version VALUES (?1, datetime('now'))", [version])?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_missing_steps_run() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &["CREATE TABLE a (x)"]).unwrap();
        assert_eq!(contents(&connection).unwrap(), Contents::Store(1));
        let later = &["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y; INSERT INTO a VALUES (1, 2)"];
        apply(&mut connection, later).unwrap();
        apply(&mut connection, later).unwrap();
        assert_eq!(contents(&connection).unwrap(), Contents::Store(2));
        let rows: i64 = connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_step_that_fails_leaves_the_store_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, &["CREATE TABLE a (x)"]).unwrap();
        let broken = &["CREATE TABLE a (x)", "CREATE TABLE b (x)", "CREATE TABLE b (x)"];
        assert!(apply(&mut connection, broken).is_err());
        assert_eq!(contents(&connection).unwrap(), Contents::Store(1));
        assert!(connection.prepare("SELECT * FROM b").is_err());
    }
}
