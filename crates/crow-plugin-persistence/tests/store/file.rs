//! What only the store in a file has.

use std::path::Path;
use std::time::Duration;

use crow_acp::{EventKind, Secrets, SessionQuery};
use crow_plugin_persistence::{Archive, Options, Store, StoreError, export_jsonl};
use rusqlite::Connection;

use crate::common::{Place, eventually, summary, tool, user};

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    type Make = fn(&Path);
    let cases: [(&str, Make); 4] = [
        ("is damaged", |path| {
            std::fs::write(path, "this is not a database, but long enough to be looked at\n".repeat(100)).unwrap();
        }),
        ("is a database of some other program", |path| {
            Connection::open(path).unwrap().execute_batch("CREATE TABLE sessions (session_id TEXT)").unwrap();
        }),
        ("was written by a newer Crow (schema 99; this one knows 1). Update Crow", |path| {
            let sql = "CREATE TABLE schema_version (version INTEGER, applied_at TEXT); INSERT INTO schema_version VALUES (99, '')";
            Connection::open(path).unwrap().execute_batch(sql).unwrap();
        }),
        ("cannot be opened for writing", |path| std::fs::create_dir(path).unwrap()),
    ];
    for (expected, make) in cases {
        let place = Place::file();
        let path = place.path();
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        make(&path);
        let before = std::fs::read(&path).ok();
        let store = place.store();
        store.start_session(summary("s"));
        for error in [
            store.commit("s", user(1, "x")).await.unwrap_err(),
            store.list(SessionQuery::newest(1)).await.unwrap_err(),
            store.close().await.unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains(expected) && text.contains("crow.db"), "expected {expected:?}: {text}");
        }
        if let Some(before) = before {
            assert_eq!(std::fs::read(&path).unwrap(), before, "{expected}: the file was changed");
            let error = Archive::open(&path.clone().into(), &Options::default()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

#[tokio::test]
async fn a_store_that_was_broken_works_once_it_is_not() {
    let place = Place::file();
    std::fs::create_dir_all(place.path()).unwrap();
    let store = place.store();
    store.start_session(summary("s"));
    assert!(store.commit("s", user(1, "x")).await.is_err());
    std::fs::remove_dir(place.path()).unwrap();
    store.commit("s", user(2, "y")).await.unwrap();
    let events = place.archive().record("s").unwrap().unwrap().events;
    assert!(matches!(events[0].kind, EventKind::Refused { excluded: 1, .. }));
    assert_eq!(events[1], user(2, "y"));
}

#[tokio::test]
#[cfg(unix)]
async fn files_are_the_users_alone() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::file();
    let store = place.store();
    store.start_session(summary("s"));
    store.commit("s", user(1, "x")).await.unwrap();
    let home = place.path().parent().unwrap().to_owned();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut seen = 0;
    for directory in [home.clone(), home.join("locks")] {
        assert_eq!(mode(&directory), 0o700);
        for entry in std::fs::read_dir(&directory).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
            assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
            seen += 1;
        }
    }
    assert_eq!(seen, 4, "crow.db, its -wal and -shm, and a lock");
    store.close().await.unwrap();

    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    place.store().list(SessionQuery::newest(1)).await.unwrap();
    assert_eq!(mode(&place.path()), 0o600);
}

#[tokio::test]
async fn secrets_never_reach_the_file() {
    let place = Place::file();
    let secrets = Secrets::default();
    secrets.add("sk-planted-\"quoted\"-key");
    let store = Store::start(place.location(), Options::default(), secrets).unwrap();
    store.start_session(summary("s"));
    store.commit("s", user(1, "my key is sk-planted-\"quoted\"-key, keep it")).await.unwrap();
    store.append("s", tool(2, "c", "OPENAI_API_KEY=sk-planted-\"quoted\"-key"));
    store.close().await.unwrap();
    let record = place.archive().record("s").unwrap().unwrap();
    let mut exported = Vec::new();
    export_jsonl(&record, &mut exported).unwrap();
    assert!(String::from_utf8_lossy(&exported).contains("my key is ***, keep it"));
    for entry in std::fs::read_dir(place.path().parent().unwrap()).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            assert!(!bytes.windows(10).any(|window| window == b"sk-planted"), "{:?}", entry.path());
        }
    }
}

#[tokio::test]
#[cfg(unix)]
async fn a_store_that_cannot_be_written_can_be_read() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::file();
    let store = place.store();
    store.start_session(summary("s"));
    store.commit("s", user(1, "x")).await.unwrap();
    store.close().await.unwrap();
    // As on a medium that was copied to: the file alone.
    Connection::open(place.path()).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let home = place.path().parent().unwrap().to_owned();
    let _ = std::fs::remove_file(home.join("crow.db-shm"));
    let _ = std::fs::remove_file(home.join("crow.db-wal"));
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o400)).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o500)).unwrap();

    let record = place.archive().record("s").unwrap().unwrap();
    assert_eq!(record.events, [user(1, "x")]);
    // The superuser may write all the same.
    if std::fs::write(home.join("probe"), "").is_err() {
        let store = place.store();
        let error = store.list(SessionQuery::newest(1)).await.err();
        assert!(error.is_none(), "{error:?}");
        store.start_session(summary("t"));
        let error = store.commit("t", user(1, "x")).await.unwrap_err();
        assert!(matches!(error, StoreError::NoAccess { .. } | StoreError::Lease { .. }), "{error}");
        assert!(place.archive().delete("s").is_err());
    }
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn the_agent_indexes_when_it_has_nothing_to_do() {
    for search in [true, false] {
        let place = Place::file();
        let mut options = Options::default();
        options.flush_interval_ms = 1;
        options.search = search;
        let store = place.store_with(options);
        store.start_session(summary("s"));
        store.commit("s", user(1, "needle")).await.unwrap();
        let indexed = || place.number("SELECT indexed FROM search_progress") == 1;
        if search {
            eventually("the message is indexed", indexed);
        } else {
            store.list(SessionQuery::newest(1)).await.unwrap();
            std::thread::sleep(Duration::from_millis(50));
            assert!(!indexed());
        }
    }
}

#[test]
fn looking_makes_no_file() {
    let place = Place::file();
    assert!(Archive::open(&place.location(), &Options::default()).unwrap().is_none());
    assert!(!place.path().exists());
}
