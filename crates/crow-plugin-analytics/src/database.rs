//! The database: a private file, made when there is something to write.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};

use crate::record::{Compaction, HookTally, Record, Request, Run, ToolCall};

/// How long to wait for another process that is writing.
const BUSY: Duration = Duration::from_secs(2);

/// What the file says it is: "crow" in ASCII.
const APPLICATION: i32 = 0x6372_6f77;

/// The version of the schema that this program writes.
const VERSION: i32 = 1;

const SCHEMA: &str = "
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, session TEXT NOT NULL, project TEXT NOT NULL, run INTEGER,
    model TEXT NOT NULL, turn INTEGER, attempt INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, cached_input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL, estimated INTEGER NOT NULL, cost REAL, first_us INTEGER,
    took_us INTEGER NOT NULL, error TEXT
);
CREATE INDEX requests_at ON requests (at);
CREATE INDEX requests_session ON requests (session);
CREATE TABLE tools (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, session TEXT NOT NULL, project TEXT NOT NULL, run INTEGER,
    tool TEXT NOT NULL, ended TEXT NOT NULL, took_us INTEGER
);
CREATE INDEX tools_at ON tools (at);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, session TEXT NOT NULL, project TEXT NOT NULL, run INTEGER,
    ended TEXT NOT NULL, turns INTEGER NOT NULL, took_us INTEGER NOT NULL
);
CREATE INDEX runs_at ON runs (at);
CREATE TABLE compactions (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, session TEXT NOT NULL, project TEXT NOT NULL, run INTEGER,
    cause TEXT NOT NULL, tokens_before INTEGER NOT NULL, tokens_after INTEGER NOT NULL
);
CREATE INDEX compactions_at ON compactions (at);
CREATE TABLE hooks (
    day TEXT NOT NULL, plugin TEXT NOT NULL, hook TEXT NOT NULL, wrapper INTEGER NOT NULL,
    calls INTEGER NOT NULL, errors INTEGER NOT NULL, total_ns INTEGER NOT NULL, longest_ns INTEGER NOT NULL,
    PRIMARY KEY (day, plugin, hook, wrapper)
) WITHOUT ROWID;
";

/// The tables whose rows have a time.
const TIMED: [&str; 4] = ["requests", "tools", "runs", "compactions"];

/// Why nothing can be recorded or read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyticsError {
    /// The file was written by a later version.
    #[error("{path} was written by a newer Crow: update Crow, or set plugins.analytics.path to another file")]
    Newer {
        /// The database file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error(
        "{path} is not a file of this plugin, or is damaged ({detail}): move it away, or set plugins.analytics.path to another file"
    )]
    Foreign {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// The file cannot be opened, read or written.
    #[error("{path} cannot be used: {detail}")]
    Failed {
        /// The database file.
        path: PathBuf,
        /// What the system says.
        detail: String,
    },
    /// The configuration says something that makes no sense.
    #[error("{0}")]
    Configuration(String),
    /// The recorder has ended.
    #[error("nothing is recorded any more: the agent goes down")]
    Closed,
}

impl AnalyticsError {
    pub(crate) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, detail) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Foreign { path, detail },
            _ => Self::Failed { path, detail },
        }
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        Self::Failed { path: path.to_owned(), detail: error.to_string() }
    }
}

/// Opens the file for writing, made if there is none, and drops what is older than `retention_days`.
pub(crate) fn open(path: &Path, retention_days: u32) -> Result<Connection, AnalyticsError> {
    make_private(path).map_err(|error| AnalyticsError::io(path, &error))?;
    let failed = |error: rusqlite::Error| AnalyticsError::sqlite(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    let empty = check(&connection, path)?;
    set_up(&mut connection, empty).map_err(failed)?;
    if retention_days > 0 {
        prune(&connection, retention_days).map_err(failed)?;
    }
    Ok(connection)
}

/// Opens the file for reading. `None`: there is none yet.
pub(crate) fn open_read_only(path: &Path) -> Result<Option<Connection>, AnalyticsError> {
    if !path.try_exists().unwrap_or(true) {
        return Ok(None);
    }
    let failed = |error: rusqlite::Error| AnalyticsError::sqlite(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    Ok((!check(&connection, path)?).then_some(connection))
}

/// Whether the file is empty; an error if it is not ours.
fn check(connection: &Connection, path: &Path) -> Result<bool, AnalyticsError> {
    let failed = |error: rusqlite::Error| AnalyticsError::sqlite(path, &error);
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    let version = number("PRAGMA user_version").map_err(failed)?;
    let application = number("PRAGMA application_id").map_err(failed)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    match (application, version, tables) {
        (0, 0, 0) => Ok(true),
        (APPLICATION, VERSION, _) => Ok(false),
        (APPLICATION, ..) => Err(AnalyticsError::Newer { path: path.to_owned() }),
        _ => Err(AnalyticsError::Foreign { path: path.to_owned(), detail: "some other program's tables".to_owned() }),
    }
}

fn set_up(connection: &mut Connection, empty: bool) -> rusqlite::Result<()> {
    // Turning on WAL does not wait for others, so that two processes which make the file at once would collide.
    let start = Instant::now();
    while let Err(error) = connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;") {
        if start.elapsed() > BUSY {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // The end of the process is not the time to wait for the disk.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch("PRAGMA cache_size = -256")?;
    if empty {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Another process may have been faster.
        if transaction.query_row("PRAGMA user_version", [], |row| row.get::<_, i32>(0))? == 0 {
            transaction.execute_batch(SCHEMA)?;
            transaction
                .execute_batch(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"))?;
        }
        transaction.commit()?;
    }
    Ok(())
}

fn prune(connection: &Connection, days: u32) -> rusqlite::Result<()> {
    for table in TIMED {
        let sql = format!("DELETE FROM {table} WHERE at < (unixepoch('now') - ?1 * 86400) * 1000");
        connection.execute(&sql, [days])?;
    }
    connection.execute("DELETE FROM hooks WHERE day < date('now', 'localtime', '-' || ?1 || ' days')", [days])?;
    Ok(())
}

/// Makes the directory and the file if they are missing, for the user alone. SQLite gives the files it puts beside it
/// the same permissions.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut permissions = file.metadata()?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o600);
            file.set_permissions(permissions)?;
        }
    }
    drop(file);
    Ok(())
}

/// Writes records, all or none.
pub(crate) fn write(connection: &mut Connection, records: &[Record]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for record in records {
        match record {
            Record::Request(request) => insert_request(&transaction, request)?,
            Record::Tool(call) => insert_tool(&transaction, call)?,
            Record::Run(run) => insert_run(&transaction, run)?,
            Record::Compaction(compaction) => insert_compaction(&transaction, compaction)?,
            Record::Hooks(tallies) => tallies.iter().try_for_each(|tally| add_hook(&transaction, tally))?,
        }
    }
    transaction.commit()
}

fn insert_request(transaction: &Transaction<'_>, request: &Request) -> rusqlite::Result<()> {
    let Request { at, place, model, turn, attempt, usage, estimated, cost, first, took, error, finish: _ } = request;
    transaction
        .prepare_cached(
            "INSERT INTO requests (at, session, project, run, model, turn, attempt, input_tokens, cached_input_tokens, \
             output_tokens, reasoning_tokens, estimated, cost, first_us, took_us, error) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute((
            at,
            &place.session,
            &place.project,
            place.run,
            model,
            turn,
            attempt,
            usage.input_tokens as i64,
            usage.cached_input_tokens as i64,
            usage.output_tokens as i64,
            usage.reasoning_tokens as i64,
            estimated,
            cost,
            first.map(micros),
            micros(*took),
            error,
        ))?;
    Ok(())
}

fn insert_tool(transaction: &Transaction<'_>, call: &ToolCall) -> rusqlite::Result<()> {
    let ToolCall { at, place, tool, ended, took } = call;
    transaction
        .prepare_cached(
            "INSERT INTO tools (at, session, project, run, tool, ended, took_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((at, &place.session, &place.project, place.run, tool, ended.name(), took.map(micros)))?;
    Ok(())
}

fn insert_run(transaction: &Transaction<'_>, run: &Run) -> rusqlite::Result<()> {
    let Run { at, place, ended, turns, took } = run;
    transaction
        .prepare_cached(
            "INSERT INTO runs (at, session, project, run, ended, turns, took_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((at, &place.session, &place.project, place.run, ended, turns, micros(*took)))?;
    Ok(())
}

fn insert_compaction(transaction: &Transaction<'_>, compaction: &Compaction) -> rusqlite::Result<()> {
    let Compaction { at, place, cause, before, after } = compaction;
    transaction
        .prepare_cached(
            "INSERT INTO compactions (at, session, project, run, cause, tokens_before, tokens_after) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((at, &place.session, &place.project, place.run, cause, *before as i64, *after as i64))?;
    Ok(())
}

fn add_hook(transaction: &Transaction<'_>, tally: &HookTally) -> rusqlite::Result<()> {
    let HookTally { plugin, hook, wrapper, calls, errors, total, longest } = tally;
    transaction
        .prepare_cached(
            "INSERT INTO hooks VALUES (date('now', 'localtime'), ?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, errors = errors + excluded.errors, \
             total_ns = total_ns + excluded.total_ns, longest_ns = max(longest_ns, excluded.longest_ns)",
        )?
        .execute((
            plugin,
            hook,
            wrapper,
            *calls as i64,
            *errors as i64,
            total.as_nanos() as i64,
            longest.as_nanos() as i64,
        ))?;
    Ok(())
}

fn micros(time: Duration) -> i64 {
    time.as_micros() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(open(&path, 0), Err(AnalyticsError::Foreign { .. })));
        std::fs::write(&path, "a text file, and not a short one").unwrap();
        assert!(matches!(open(&path, 0), Err(AnalyticsError::Foreign { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a text file, and not a short one");
        let newer = directory.path().join("newer.db");
        open(&newer, 0).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        assert!(matches!(open(&newer, 0), Err(AnalyticsError::Newer { .. })));
        assert!(open_read_only(&directory.path().join("none.db")).unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_the_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("home/analytics.db");
        let connection = open(&path, 0).unwrap();
        connection.execute_batch("INSERT INTO hooks VALUES ('d', 'p', 'h', 0, 1, 0, 1, 1)").unwrap();
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
        }
    }

    #[test]
    fn what_is_old_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let connection = open(&path, 0).unwrap();
        let day = |ago: i64| format!("(unixepoch('now') - {ago} * 86400) * 1000");
        for ago in [1, 6, 8] {
            let sql = format!(
                "INSERT INTO runs (at, session, project, ended, turns, took_us) VALUES ({}, 's', 'p', 'end_turn', 1, 1);
                 INSERT INTO hooks VALUES (date('now', 'localtime', '-{ago} days'), 'p', 'h', 0, 1, 0, 1, 1);",
                day(ago)
            );
            connection.execute_batch(&sql).unwrap();
        }
        drop(connection);
        let left = |days| {
            let connection = open(&path, days).unwrap();
            let count = |table| {
                connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u32>(0)).unwrap()
            };
            (count("runs"), count("hooks"))
        };
        assert_eq!(left(0), (3, 3), "0 keeps everything");
        assert_eq!(left(7), (2, 2));
    }
}
