//! Opening the database file: private, checked before it is touched, and set up for one writer and many readers.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::schema::{self, Contents};
use crate::error::StoreError;

/// Opens the store at `path` for writing, made or migrated if need be.
pub(crate) fn open(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    make_private(path).map_err(|error| StoreError::NoAccess { store: path.into(), detail: error.to_string() })?;
    let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(busy_timeout).map_err(sqlite)?;
    let contents = schema::check(&connection, path)?;
    set_up(&connection, contents, busy_timeout).map_err(sqlite)?;
    if contents != Contents::Store(schema::VERSION) {
        schema::migrate(&mut connection).map_err(sqlite)?;
        connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(sqlite)?;
    }
    Ok(connection)
}

/// Opens the store at `path` for reading. `None`: there is none yet.
pub(crate) fn open_read_only(path: &Path, busy_timeout: Duration) -> Result<Option<Connection>, StoreError> {
    if !path.try_exists().unwrap_or(true) {
        return Ok(None);
    }
    let connection = connect_read_only(path, busy_timeout)?;
    match schema::check(&connection, path)? {
        Contents::Store(schema::VERSION) => Ok(Some(connection)),
        Contents::Empty => Ok(None),
        // A store of an earlier version is brought up to date first.
        _ => open(path, busy_timeout).map(Some),
    }
}

/// On a medium that cannot be written, SQLite cannot make the files it shares with a writer; then there is no writer,
/// and the file is read as it stands.
fn connect_read_only(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let sqlite = |error: rusqlite::Error| StoreError::sqlite(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(busy_timeout).map_err(sqlite)?;
    match schema::contents(&connection).map_err(sqlite) {
        Err(StoreError::NoAccess { .. }) => {
            let uri = format!("file:{}?immutable=1", percent_encoded(path));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).map_err(sqlite)
        }
        Err(error) => Err(error),
        Ok(_) => Ok(connection),
    }
}

fn set_up(connection: &Connection, contents: Contents, busy_timeout: Duration) -> rusqlite::Result<()> {
    if contents == Contents::Empty {
        // There is nothing to lose yet, and somebody may wait for the first message: the disk gets its time at the first
        // checkpoint.
        connection.execute_batch("PRAGMA synchronous = OFF")?;
    } else {
        connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    }
    // Turning on WAL needs the file for itself for a moment and does not wait for it, so that two processes which make
    // the store at the same time would collide.
    let start = Instant::now();
    loop {
        match connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;") {
            Err(error) if is_busy(&error) && start.elapsed() < busy_timeout => {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => break done?,
        }
    }
    // Checkpoints wait for the disk. The writer makes them when nobody waits for it: not with a commit, and not when the
    // agent goes down.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;",
    )
}

/// Moves what is in the log beside the database into it.
pub(crate) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)")?;
    // The next to write begins the log anew and waits for the disk once more. That shall not be somebody's message.
    connection.execute_batch("UPDATE search_progress SET indexed = indexed")
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}

/// Makes the directory and the file if they are missing, and closes the file to others. SQLite gives the files it puts
/// beside it the same permissions.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        create_private_dir(directory)?;
    }
    let file = private_file().open(path)?;
    close_to_others(&file)
}

/// Makes `directory` and what is missing above it, for the user alone.
pub(crate) fn create_private_dir(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// How to open a file that is the user's alone, without cutting what it holds.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn close_to_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
fn close_to_others(_: &File) -> io::Result<()> {
    Ok(())
}

/// The path as SQLite's URIs want it.
fn percent_encoded(path: &Path) -> String {
    use std::fmt::Write;

    let mut encoded = String::new();
    for byte in path.to_string_lossy().bytes() {
        if byte.is_ascii() && !b"%?#".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Where the leases of the store at `path` are.
pub(crate) fn locks(path: &Path) -> PathBuf {
    path.with_file_name("locks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_called_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("crow.db");
        let connection = open(&path, Duration::ZERO).unwrap();
        connection.execute_batch("PRAGMA max_page_count = 40; CREATE TABLE filler (x)").unwrap();
        let fill = || connection.execute("INSERT INTO filler VALUES (zeroblob(100000))", []);
        let error = (0..10).find_map(|_| fill().err()).unwrap();
        let error = StoreError::sqlite(&path, &error);
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }

    #[test]
    fn paths_in_uris_are_the_same_paths() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b%20?#\u{e9}.db");
        drop(open(&path, Duration::ZERO).unwrap());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let uri = format!("file:{}?immutable=1", percent_encoded(&path));
        assert!(Connection::open_with_flags(uri, flags).is_ok());
    }
}
