//! Where a test keeps its sessions: in a file, or on a server. What is tested of one is tested of the other.

use std::any::Any;
use std::path::PathBuf;
use std::sync::{OnceLock, mpsc};

use crow_acp::{Config, Secrets};
use crow_plugin_persistence::{Archive, Location, Options, Store};
use crow_tests::Postgres;
use rusqlite::Connection;

/// A store of one test's own.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    url: Option<String>,
}

impl Place {
    /// A SQLite file.
    pub(crate) fn file() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), url: None }
    }

    /// A database of the server that the tests of this program share. `None`: there is no server to be had, and the user
    /// was told.
    pub(crate) fn server() -> Option<Self> {
        let url = server()?.database();
        Some(Self { directory: tempfile::tempdir().unwrap(), url: Some(url) })
    }

    /// The file, of a store in a file.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("home/crow.db")
    }

    pub(crate) fn location(&self) -> Location {
        location(self.url.as_deref(), self.path())
    }

    pub(crate) fn url(&self) -> &str {
        self.url.as_deref().unwrap()
    }

    pub(crate) fn store(&self) -> Store {
        self.store_with(Options::default())
    }

    pub(crate) fn store_with(&self, options: Options) -> Store {
        Store::start(self.location(), options, Secrets::default()).unwrap()
    }

    pub(crate) fn archive(&self) -> Archive {
        Archive::open(&self.location(), &Options::default()).unwrap().unwrap()
    }

    /// The store as a command finds it that may have to make it.
    pub(crate) fn archive_to_be(&self) -> Archive {
        let key = self.url.as_ref().map(|url| format!("url = \"{url}\"")).unwrap_or_default();
        let toml = format!("[plugins.persistence]\n{key}\n");
        let config = Config::from_toml(self.directory.path().join("home"), &toml).unwrap();
        Archive::to_be(&config).unwrap()
    }

    /// Keeps everybody else from writing until what is returned goes.
    pub(crate) fn lock(&self) -> Box<dyn Any> {
        let Some(url) = self.url.clone() else {
            let other = Connection::open(self.path()).unwrap();
            other.execute_batch("BEGIN EXCLUSIVE").unwrap();
            return Box::new(other);
        };
        let (locked, is_locked) = mpsc::channel();
        let (guard, end) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
            client.batch_execute("BEGIN; LOCK TABLE crow.events, crow.sessions").unwrap();
            locked.send(()).unwrap();
            let _ = end.recv();
            client.batch_execute("ROLLBACK").unwrap();
        });
        is_locked.recv().unwrap();
        Box::new(Lock { guard: Some(guard), thread: Some(thread) })
    }

    /// The one value that a query gives; nothing for NULL.
    pub(crate) fn text(&self, query: &str) -> String {
        match &self.url {
            Some(url) => server().unwrap().query(url, &format!("SET search_path = crow; {query}")),
            None => {
                let value: rusqlite::types::Value =
                    Connection::open(self.path()).unwrap().query_row(query, [], |row| row.get(0)).unwrap();
                match value {
                    rusqlite::types::Value::Null => String::new(),
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Real(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    rusqlite::types::Value::Blob(_) => panic!("{query} gives a blob"),
                }
            }
        }
    }

    pub(crate) fn number(&self, query: &str) -> i64 {
        self.text(query).parse().unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    pub(crate) fn events(&self) -> i64 {
        self.number("SELECT count(*) FROM events")
    }

    /// The store is whole, logs have no gaps, and the other tables say what follows from the log.
    pub(crate) fn check_invariants(&self) {
        match &self.url {
            Some(url) => check_server(server().unwrap(), url),
            None => super::check_invariants(&self.path()),
        }
    }
}

struct Lock {
    guard: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.guard = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The server of this test program.
pub(crate) fn server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    let mut first = false;
    let server = SERVER.get_or_init(|| {
        first = true;
        Postgres::start()
    });
    if server.is_none() && !first {
        crow_tests::skipped("there is no PostgreSQL on this machine");
    }
    server.as_ref()
}

pub(crate) fn location(url: Option<&str>, path: PathBuf) -> Location {
    match url {
        Some(url) => url.parse::<crow_plugin_persistence::Server>().unwrap().into(),
        None => path.into(),
    }
}

/// As for the file, of a database on a server.
pub(crate) fn check_server(server: &Postgres, url: &str) {
    if server.query(url, "SELECT to_regclass('crow.sessions') IS NULL") == "t" {
        return;
    }
    let data = super::BROKEN.replace("data ->>", "data::json ->>");
    let broken = server.query(url, &format!("SET search_path = crow; {data}"));
    assert_eq!(broken, "", "sessions whose tables disagree");
}
