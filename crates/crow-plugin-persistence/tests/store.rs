//! The store on real files.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crow_acp::{
    Event, EventKind, Message, ModelId, Part, Role, Secrets, SessionQuery, SessionSummary, Settings, ToolCall,
};
use crow_plugin_persistence::{Archive, Options, Store, StoreError, export_jsonl};
use rusqlite::Connection;
use serde_json::json;

use common::{answer, check_invariants, eventually, partial, summary, tool, user};

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("home/crow.db")
    }

    fn store(&self) -> Store {
        self.store_with(Options::default())
    }

    fn store_with(&self, options: Options) -> Store {
        Store::start(self.path(), options, Secrets::default()).unwrap()
    }

    fn archive(&self) -> Archive {
        Archive::open(&self.path(), &Options::default()).unwrap().unwrap()
    }

    fn sql<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        Connection::open(self.path()).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
    }
}

/// Options with which nothing is written unasked.
fn lazy() -> Options {
    let mut options = Options::default();
    options.flush_interval_ms = 60_000;
    options
}

fn events_on_disk(place: &Place) -> i64 {
    place.sql("SELECT count(*) FROM events")
}

#[tokio::test]
async fn a_session_comes_back_as_it_was() {
    let place = Place::new();
    let store = place.store();
    let call = Part::ToolCall(ToolCall::from_raw("c1", "read", "{\"path\": \"a\" }"));
    let events = vec![
        user(1, "hello \u{1f426}"),
        answer(2, Message::new(Role::Assistant, vec![Part::text("hi"), call])),
        tool(3, "c1", "text"),
        answer(4, Message::assistant("done")),
    ];
    store.start_session(summary("s"));
    store.commit("s", events[0].clone()).await.unwrap();
    for event in &events[1..] {
        store.append("s", event.clone());
    }
    store.close().await.unwrap();

    let store = place.store();
    let record = store.load("s").await.unwrap().unwrap();
    assert_eq!(record.events, events);
    assert_eq!(record.summary.model, Some(ModelId::new("openai", "gpt")));
    assert_eq!(store.load("other").await.unwrap(), None);
    check_invariants(&place.path());
}

#[tokio::test]
async fn the_tables_beside_the_log_say_what_it_says() {
    let place = Place::new();
    let store = place.store();
    store.start_session(summary("s"));
    let mut settings = Settings::default();
    settings.title = Some("A title".into());
    settings.mode = Some("plan".into());
    store.append("s", Event::new(1, 10, EventKind::Settings(settings)));
    store.append("s", user(2, "one"));
    store.append("s", answer(3, Message::assistant("1")));
    store.append("s", answer(4, Message::assistant("2")));
    store.append("s", user(5, "two"));
    store.append("s", Event::new(6, 60, EventKind::Refused { excluded: 5, reason: "no".into() }));
    store.flush().await.unwrap();
    check_invariants(&place.path());
    assert_eq!(place.sql::<String>("SELECT title || mode || model FROM sessions"), "A titleplanopenai/gpt");
    assert_eq!(place.sql::<i64>("SELECT prompts FROM sessions"), 2);
    assert_eq!(place.sql::<i64>("SELECT input_tokens + output_tokens FROM sessions"), 220);
    assert!((place.sql::<f64>("SELECT cost FROM sessions") - 0.5).abs() < 1e-9);
    assert_eq!(place.sql::<String>("SELECT group_concat(role, ' ') FROM messages"), "user assistant assistant user");
    assert_eq!(place.sql::<i64>("SELECT total_tokens FROM messages WHERE seq = 3"), 110);
    assert_eq!(place.sql::<String>("SELECT group_concat(seq) FROM messages WHERE excluded"), "5");

    // One price that nobody knows makes the sum unknown.
    let (model, usage) = (ModelId::new("p", "m"), crow_acp::Usage::new(1, 1));
    let unknown = EventKind::Assistant { message: Message::assistant("3"), model, usage, cost: None };
    store.append("s", Event::new(7, 70, unknown));
    store.append("s", answer(8, Message::assistant("4")));
    store.flush().await.unwrap();
    assert_eq!(place.sql::<Option<f64>>("SELECT cost FROM sessions"), None);
}

#[tokio::test]
async fn a_partial_answer_gives_way_to_the_whole() {
    let place = Place::new();
    let store = place.store();
    store.start_session(summary("s"));
    store.commit("s", user(1, "go")).await.unwrap();
    store.append("s", partial(2, "on"));
    eventually("a partial answer is written at once", || events_on_disk(&place) == 2);
    store.append("s", partial(2, "one, tw"));
    store.append("s", answer(2, Message::assistant("one, two")));
    store.flush().await.unwrap();
    let record = place.archive().record("s").unwrap().unwrap();
    assert_eq!(record.events, [user(1, "go"), answer(2, Message::assistant("one, two"))]);
    check_invariants(&place.path());
}

#[tokio::test]
async fn events_are_written_when_there_are_enough() {
    let place = Place::new();
    let mut options = lazy();
    options.flush_events = 5.try_into().unwrap();
    let store = place.store_with(options);
    store.resume_session(summary("s")).await.unwrap();
    for seq in 1..=3 {
        store.append("s", user(seq, "x"));
    }
    // The session's row counts: one more makes five.
    store.append("s", user(4, "x"));
    eventually("five changes are written", || events_on_disk(&place) == 4);
    store.append("s", user(5, "x"));
    // A reader that goes another way than through the writer sees what is on disk alone.
    assert_eq!(events_on_disk(&place), 4);
    store.flush().await.unwrap();
    assert_eq!(events_on_disk(&place), 5);
}

#[tokio::test]
async fn events_are_written_after_a_while() {
    let place = Place::new();
    let mut options = Options::default();
    options.flush_interval_ms = 1;
    let store = place.store_with(options);
    store.start_session(summary("s"));
    store.flush().await.unwrap();
    store.append("s", user(1, "x"));
    eventually("what waits is written", || events_on_disk(&place) == 1);
}

#[tokio::test]
async fn a_commit_brings_what_waits_along_in_order() {
    let place = Place::new();
    let store = place.store_with(lazy());
    store.start_session(summary("s"));
    store.append("s", Event::new(1, 1, EventKind::Injected { message: Message::system("be kind") }));
    store.commit("s", user(2, "go")).await.unwrap();
    assert_eq!(events_on_disk(&place), 2);
}

#[tokio::test]
async fn lists_are_newest_first_and_paged() {
    let place = Place::new();
    let store = place.store();
    for (id, cwd, at) in [("a", "/one", 10), ("b", "/two", 30), ("c", "/one", 20), ("d", "/one", 30)] {
        let mut summary = SessionSummary::new(id, cwd, at);
        summary.parent = (id == "c").then(|| "a".into());
        store.start_session(summary);
    }
    let ids = |list: &[SessionSummary]| list.iter().map(|summary| summary.id.clone()).collect::<String>();
    let all = store.list(SessionQuery::newest(10)).await.unwrap();
    assert_eq!(ids(&all), "dbca");
    assert_eq!(all[2].parent.as_deref(), Some("a"));
    let mut query = SessionQuery::newest(2);
    assert_eq!(ids(&store.list(query.clone()).await.unwrap()), "db");
    query.before = Some((30, "b".into()));
    assert_eq!(ids(&store.list(query.clone()).await.unwrap()), "ca");
    query.cwd = Some("/one".into());
    query.before = Some((30, "d".into()));
    assert_eq!(ids(&store.list(query).await.unwrap()), "ca");
}

#[tokio::test]
async fn a_deleted_session_is_gone_and_stays_gone() {
    let place = Place::new();
    let store = place.store();
    store.start_session(summary("s"));
    store.start_session(summary("t"));
    store.commit("s", user(1, "secret plans")).await.unwrap();
    store.commit("t", user(1, "other plans")).await.unwrap();
    assert_eq!(place.archive().search("plans", 10).unwrap().len(), 2);
    assert!(store.delete("s").await.unwrap());
    assert!(!store.delete("s").await.unwrap());
    // What a run that was under way still has to say does not bring it back, and does not harm others.
    store.append("s", user(2, "late"));
    let error = store.commit("s", user(3, "later")).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownSession { .. }), "{error}");
    store.commit("t", user(2, "go on")).await.unwrap();
    assert_eq!(place.archive().search("plans", 10).unwrap().len(), 1);
    assert_eq!(store.load("s").await.unwrap(), None);
    assert_eq!(events_on_disk(&place), 2);
    check_invariants(&place.path());
}

#[tokio::test]
async fn a_torn_session_is_repaired_on_disk_too() {
    let place = Place::new();
    let store = place.store();
    let calls = vec![
        Part::ToolCall(ToolCall::new("a", "read", json!({}))),
        Part::ToolCall(ToolCall::new("b", "read", json!({}))),
    ];
    store.start_session(summary("s"));
    store.commit("s", user(1, "go")).await.unwrap();
    store.append("s", answer(2, Message::new(Role::Assistant, calls)));
    store.append("s", tool(3, "b", "text"));
    store.start_session(summary("t"));
    store.commit("t", user(1, "go")).await.unwrap();
    store.append("t", partial(2, "half an ans"));
    store.close().await.unwrap();

    let store = place.store();
    let record = store.load("s").await.unwrap().unwrap();
    assert_eq!(record.events.len(), 4);
    let EventKind::Tool(tool) = &record.events[3].kind else { panic!("{:?}", record.events[3]) };
    assert_eq!(tool.call.id, "a");
    // The next event has a number that is free.
    store.commit("s", user(5, "next")).await.unwrap();
    let partial = store.load("t").await.unwrap().unwrap();
    let EventKind::Cancelled { message: Some(kept) } = &partial.events[1].kind else {
        panic!("{:?}", partial.events[1])
    };
    assert_eq!(kept.text(), "half an ans");
    store.close().await.unwrap();

    let again = place.archive().record("s").unwrap().unwrap();
    assert_eq!(again.events[..4], record.events);
    assert_eq!(again.events[4], user(5, "next"));
    check_invariants(&place.path());
}

#[tokio::test]
async fn one_bad_event_does_not_stop_the_others() {
    let place = Place::new();
    let store = place.store_with(lazy());
    store.start_session(summary("s"));
    store.commit("s", user(1, "one")).await.unwrap();
    store.append("s", user(1, "one again"));
    store.append("s", user(2, "two"));
    let error = store.flush().await.unwrap_err();
    assert!(matches!(error, StoreError::DuplicateEvent { seq: 1, .. }), "{error}");
    store.flush().await.unwrap();
    store.append("nobody", user(1, "x"));
    // The error of another event is not that of this commit.
    store.commit("s", user(3, "three")).await.unwrap();
    assert!(matches!(store.flush().await, Err(StoreError::UnknownSession { .. })));
    let record = place.archive().record("s").unwrap().unwrap();
    assert_eq!(record.events, [user(1, "one"), user(2, "two"), user(3, "three")]);
}

#[tokio::test]
async fn a_locked_store_says_so_and_loses_nothing() {
    let place = Place::new();
    let mut options = Options::default();
    options.busy_timeout_ms = 1;
    let store = place.store_with(options);
    store.resume_session(summary("s")).await.unwrap();
    store.commit("s", user(1, "one")).await.unwrap();

    let other = Connection::open(place.path()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = store.commit("s", user(2, "two")).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    store.append("s", answer(3, Message::assistant("3")));
    assert!(store.flush().await.is_err());
    other.execute_batch("COMMIT").unwrap();
    store.flush().await.unwrap();
    let record = place.archive().record("s").unwrap().unwrap();
    // What was refused is not there, and says so; what was queued is.
    let refused = Event::new(2, 20, EventKind::Refused { excluded: 2, reason: error.to_string() });
    assert_eq!(record.events, [user(1, "one"), refused, answer(3, Message::assistant("3"))]);
    check_invariants(&place.path());
}

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
        let place = Place::new();
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
            let error = Archive::open(&path, &Options::default()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

#[tokio::test]
async fn a_store_that_was_broken_works_once_it_is_not() {
    let place = Place::new();
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
async fn processes_that_make_the_store_together_do_not_collide() {
    let place = Place::new();
    let stores: Vec<Store> = (0..8).map(|_| place.store()).collect();
    for (n, store) in stores.iter().enumerate() {
        store.start_session(summary(&n.to_string()));
    }
    for (n, store) in stores.iter().enumerate() {
        store.commit(&n.to_string(), user(1, "x")).await.unwrap();
    }
    assert_eq!(stores[0].list(SessionQuery::newest(10)).await.unwrap().len(), 8);
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_the_users_alone() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
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
    let place = Place::new();
    let secrets = Secrets::default();
    secrets.add("sk-planted-\"quoted\"-key");
    let store = Store::start(place.path(), Options::default(), secrets).unwrap();
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
async fn secrets_never_reach_a_title() {
    let place = Place::new();
    let secrets = Secrets::default();
    secrets.add("sk-planted");
    let store = Store::start(place.path(), Options::default(), secrets).unwrap();
    let mut titled = summary("s");
    titled.title = Some("my key is sk-planted".into());
    store.start_session(titled);
    store.flush().await.unwrap();
    assert_eq!(place.sql::<String>("SELECT title FROM sessions"), "my key is ***");
    let mut settings = Settings::default();
    settings.title = Some("use sk-planted".into());
    store.append("s", Event::new(1, 10, EventKind::Settings(settings)));
    store.flush().await.unwrap();
    assert_eq!(place.sql::<String>("SELECT title FROM sessions"), "use ***");
}

#[tokio::test]
async fn a_session_that_was_refused_works_once_it_is_free() {
    let place = Place::new();
    let (first, second) = (place.store(), place.store());
    first.resume_session(summary("s")).await.unwrap();
    second.start_session(summary("s"));
    assert!(matches!(second.commit("s", user(1, "x")).await, Err(StoreError::InUse { .. })));
    second.append("s", user(2, "y"));
    second.flush().await.unwrap();
    first.close().await.unwrap();
    assert_eq!(events_on_disk(&place), 0);
    second.commit("s", user(3, "z")).await.unwrap();
    assert_eq!(events_on_disk(&place), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_that_cannot_be_written_can_be_read() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
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
async fn words_are_found_newest_first() {
    let place = Place::new();
    let store = place.store();
    store.start_session(summary("s"));
    store.start_session(summary("t"));
    store.commit("s", user(1, "why does the Parser fail?\nsecond line")).await.unwrap();
    store.append("s", partial(2, "because"));
    store.append("s", answer(2, Message::assistant("the parser caf\u{e9} is closed")));
    store.append("t", tool(1, "c", "parser.rs: 12"));
    store.flush().await.unwrap();
    let archive = place.archive();
    let found = |words: &str| -> Vec<(String, u64)> {
        archive.search(words, 10).unwrap().into_iter().map(|hit| (hit.session.id, hit.seq)).collect()
    };
    assert_eq!(found("parser"), [("t".to_owned(), 1), ("s".to_owned(), 2), ("s".to_owned(), 1)]);
    assert_eq!(found("pars fail"), []);
    assert_eq!(found("fail pars"), [("s".to_owned(), 1)]);
    assert_eq!(found("CAFE"), [("s".to_owned(), 2)]);
    assert_eq!(found("because"), []);
    assert_eq!(found("\" OR ( NEAR"), []);
    assert_eq!(archive.search("second", 1).unwrap()[0].excerpt, "second line");
}

#[tokio::test]
async fn the_agent_indexes_when_it_has_nothing_to_do() {
    for search in [true, false] {
        let place = Place::new();
        let mut options = Options::default();
        options.flush_interval_ms = 1;
        options.search = search;
        let store = place.store_with(options);
        store.start_session(summary("s"));
        store.commit("s", user(1, "needle")).await.unwrap();
        let indexed = || place.sql::<i64>("SELECT indexed FROM search_progress") == 1;
        if search {
            eventually("the message is indexed", indexed);
        } else {
            store.list(SessionQuery::newest(1)).await.unwrap();
            std::thread::sleep(Duration::from_millis(50));
            assert!(!indexed());
        }
    }
}

#[tokio::test]
async fn old_sessions_are_dropped_if_the_configuration_says_so() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let now = jiff::Timestamp::now().as_millisecond();
    let place = Place::new();
    let store = place.store();
    for (id, age, said) in
        [("old", 40, true), ("new", 1, true), ("held", 40, true), ("silent", 2, false), ("fresh", 0, false)]
    {
        store.start_session(SessionSummary::new(id, "/work", now - age * DAY));
        if said {
            store.commit(id, user(1, "x")).await.unwrap();
        }
    }
    store.close().await.unwrap();

    let other = place.store();
    assert!(other.load("held").await.unwrap().is_some());
    let ids = || {
        let list = place.archive().list(&SessionQuery::newest(10)).unwrap();
        list.into_iter().map(|summary| summary.id).collect::<Vec<_>>()
    };
    eventually("sessions in which nothing was said are dropped", || ids() == ["fresh", "new", "old", "held"]);

    let mut options = Options::default();
    options.flush_interval_ms = 1;
    options.retention_days = Some(30.try_into().unwrap());
    let store = place.store_with(options);
    eventually("old ones are dropped, but not what another process has", || ids() == ["fresh", "new", "held"]);
    store.close().await.unwrap();
    other.close().await.unwrap();
    assert_eq!(place.archive().prune(Duration::from_hours(30 * 24)).unwrap(), ["held"]);
    assert_eq!(ids(), ["fresh", "new"]);
}

#[tokio::test]
async fn the_command_line_finds_shows_and_removes() {
    let place = Place::new();
    assert!(Archive::open(&place.path(), &Options::default()).unwrap().is_none());
    assert!(!place.path().exists(), "looking makes nothing");
    let store = place.store();
    store.start_session(summary("abc1"));
    store.start_session(summary("abd2"));
    store.commit("abc1", user(1, "x")).await.unwrap();
    store.close().await.unwrap();
    let mut archive = place.archive();
    assert_eq!(archive.find("abc").unwrap().unwrap().id, "abc1");
    assert_eq!(archive.find("ab").unwrap(), None);
    assert_eq!(archive.find("").unwrap(), None);
    assert_eq!(archive.find("abd2").unwrap().unwrap().id, "abd2");
    assert!(archive.delete("abc1").unwrap());
    assert!(!archive.delete("abc1").unwrap());
    assert_eq!(archive.record("abc1").unwrap(), None);
    assert_eq!(archive.list(&SessionQuery::newest(10)).unwrap().len(), 1);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let place = Place::new();
    let store = place.store();
    store.start_session(summary("s"));
    store.append("s", user(1, "x"));
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.commit("s", user(2, "y")).await, Err(StoreError::Closed)));
    assert_eq!(events_on_disk(&place), 1);
}
