//! The store on real databases: every test here runs on a SQLite file and on a PostgreSQL server. What only one of them
//! has is in `file.rs` and `server.rs`.

#[path = "../common/mod.rs"]
mod common;
mod file;
mod server;

use std::time::Duration;

use crow_acp::{
    Event, EventKind, Message, ModelId, Part, Role, Secrets, SessionQuery, SessionRecord, SessionSummary, Settings,
    ToolCall,
};
use crow_plugin_persistence::{Archive, Options, Store, StoreError};
use serde_json::json;

use common::{Place, answer, eventually, partial, summary, tool, user};

/// Options with which nothing is written unasked.
fn lazy() -> Options {
    let mut options = Options::default();
    options.flush_interval_ms = 60_000;
    options
}

macro_rules! on_both {
    ($($test:ident)*) => {
        mod on_a_file {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Place::file()).await;
            })*
        }
        mod on_a_server {
            $(#[tokio::test]
            async fn $test() {
                if let Some(place) = super::Place::server() {
                    super::$test(place).await;
                }
            })*
        }
    };
}

on_both! {
    a_session_comes_back_as_it_was
    the_tables_beside_the_log_say_what_it_says
    a_partial_answer_gives_way_to_the_whole
    events_are_written_when_there_are_enough
    events_are_written_after_a_while
    a_commit_brings_what_waits_along_in_order
    lists_are_newest_first_and_paged
    a_deleted_session_is_gone_and_stays_gone
    a_torn_session_is_repaired_on_disk_too
    one_bad_event_does_not_stop_the_others
    processes_that_make_the_store_together_do_not_collide
    secrets_never_reach_a_title
    a_session_that_was_refused_works_once_it_is_free
    words_are_found_newest_first
    old_sessions_are_dropped_if_the_configuration_says_so
    a_closed_store_says_so
    a_locked_store_says_so_and_loses_nothing
    the_command_line_finds_shows_and_removes
    a_fork_is_a_copy_with_a_parent
    a_fork_of_what_is_open_elsewhere_is_possible
    a_session_goes_on_in_another_process
    sessions_are_put_in_whole_and_once
    anything_a_person_can_type_is_stored
    many_events_at_once_are_as_many_one_by_one
}

async fn a_session_comes_back_as_it_was(place: Place) {
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
    place.check_invariants();
}

async fn the_tables_beside_the_log_say_what_it_says(place: Place) {
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
    place.check_invariants();
    assert_eq!(place.text("SELECT title || mode || model FROM sessions"), "A titleplanopenai/gpt");
    assert_eq!(place.number("SELECT prompts FROM sessions"), 2);
    assert_eq!(place.number("SELECT input_tokens + output_tokens FROM sessions"), 220);
    assert_eq!(place.text("SELECT cost FROM sessions"), "0.5");
    assert_eq!(place.text("SELECT string_agg(role, ' ' ORDER BY seq) FROM messages"), "user assistant assistant user");
    assert_eq!(place.number("SELECT total_tokens FROM messages WHERE seq = 3"), 110);
    assert_eq!(place.text("SELECT string_agg(CAST(seq AS text), ',') FROM messages WHERE excluded"), "5");

    // One price that nobody knows makes the sum unknown.
    let (model, usage) = (ModelId::new("p", "m"), crow_acp::Usage::new(1, 1));
    let unknown = EventKind::Assistant { message: Message::assistant("3"), model, usage, cost: None };
    store.append("s", Event::new(7, 70, unknown));
    store.append("s", answer(8, Message::assistant("4")));
    store.flush().await.unwrap();
    assert_eq!(place.text("SELECT cost FROM sessions"), "");
}

async fn a_partial_answer_gives_way_to_the_whole(place: Place) {
    let store = place.store();
    store.start_session(summary("s"));
    store.commit("s", user(1, "go")).await.unwrap();
    store.append("s", partial(2, "on"));
    eventually("a partial answer is written at once", || place.events() == 2);
    store.append("s", partial(2, "one, tw"));
    store.append("s", answer(2, Message::assistant("one, two")));
    store.flush().await.unwrap();
    let record = place.archive().record("s").unwrap().unwrap();
    assert_eq!(record.events, [user(1, "go"), answer(2, Message::assistant("one, two"))]);
    place.check_invariants();
}

async fn events_are_written_when_there_are_enough(place: Place) {
    let mut options = lazy();
    options.flush_events = 5.try_into().unwrap();
    let store = place.store_with(options);
    store.resume_session(summary("s")).await.unwrap();
    for seq in 1..=3 {
        store.append("s", user(seq, "x"));
    }
    // The session's row counts: one more makes five.
    store.append("s", user(4, "x"));
    eventually("five changes are written", || place.events() == 4);
    store.append("s", user(5, "x"));
    // A reader that goes another way than through the writer sees what is on disk alone.
    assert_eq!(place.events(), 4);
    store.flush().await.unwrap();
    assert_eq!(place.events(), 5);
}

async fn events_are_written_after_a_while(place: Place) {
    let mut options = Options::default();
    options.flush_interval_ms = 1;
    let store = place.store_with(options);
    store.start_session(summary("s"));
    store.flush().await.unwrap();
    store.append("s", user(1, "x"));
    eventually("what waits is written", || place.events() == 1);
}

async fn a_commit_brings_what_waits_along_in_order(place: Place) {
    let store = place.store_with(lazy());
    store.start_session(summary("s"));
    store.append("s", Event::new(1, 1, EventKind::Injected { message: Message::system("be kind") }));
    store.commit("s", user(2, "go")).await.unwrap();
    assert_eq!(place.events(), 2);
}

async fn lists_are_newest_first_and_paged(place: Place) {
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

async fn a_deleted_session_is_gone_and_stays_gone(place: Place) {
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
    assert_eq!(place.events(), 2);
    place.check_invariants();
}

async fn a_torn_session_is_repaired_on_disk_too(place: Place) {
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
    place.check_invariants();
}

async fn one_bad_event_does_not_stop_the_others(place: Place) {
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

async fn processes_that_make_the_store_together_do_not_collide(place: Place) {
    let stores: Vec<Store> = (0..8).map(|_| place.store()).collect();
    for (n, store) in stores.iter().enumerate() {
        store.start_session(summary(&n.to_string()));
    }
    for (n, store) in stores.iter().enumerate() {
        store.commit(&n.to_string(), user(1, "x")).await.unwrap();
    }
    assert_eq!(stores[0].list(SessionQuery::newest(10)).await.unwrap().len(), 8);
}

async fn secrets_never_reach_a_title(place: Place) {
    let secrets = Secrets::default();
    secrets.add("sk-planted");
    let store = Store::start(place.location(), Options::default(), secrets).unwrap();
    let mut titled = summary("s");
    titled.title = Some("my key is sk-planted".into());
    store.start_session(titled);
    store.flush().await.unwrap();
    assert_eq!(place.text("SELECT title FROM sessions"), "my key is ***");
    let mut settings = Settings::default();
    settings.title = Some("use sk-planted".into());
    store.append("s", Event::new(1, 10, EventKind::Settings(settings)));
    store.flush().await.unwrap();
    assert_eq!(place.text("SELECT title FROM sessions"), "use ***");
}

async fn a_session_that_was_refused_works_once_it_is_free(place: Place) {
    let (first, second) = (place.store(), place.store());
    first.resume_session(summary("s")).await.unwrap();
    second.start_session(summary("s"));
    assert!(matches!(second.commit("s", user(1, "x")).await, Err(StoreError::InUse { .. })));
    second.append("s", user(2, "y"));
    second.flush().await.unwrap();
    first.close().await.unwrap();
    assert_eq!(place.events(), 0);
    second.commit("s", user(3, "z")).await.unwrap();
    assert_eq!(place.events(), 1);
}

async fn words_are_found_newest_first(place: Place) {
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

async fn old_sessions_are_dropped_if_the_configuration_says_so(place: Place) {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let now = jiff::Timestamp::now().as_millisecond();
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

async fn a_closed_store_says_so(place: Place) {
    let store = place.store();
    store.start_session(summary("s"));
    store.append("s", user(1, "x"));
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.commit("s", user(2, "y")).await, Err(StoreError::Closed)));
    assert_eq!(place.events(), 1);
}

async fn a_locked_store_says_so_and_loses_nothing(place: Place) {
    let mut options = Options::default();
    options.busy_timeout_ms = 1;
    let store = place.store_with(options);
    store.resume_session(summary("s")).await.unwrap();
    store.commit("s", user(1, "one")).await.unwrap();

    let lock = place.lock();
    let error = store.commit("s", user(2, "two")).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    store.append("s", answer(3, Message::assistant("3")));
    assert!(store.flush().await.is_err());
    drop(lock);
    store.flush().await.unwrap();
    let record = place.archive().record("s").unwrap().unwrap();
    // What was refused is not there, and says so; what was queued is.
    let refused = Event::new(2, 20, EventKind::Refused { excluded: 2, reason: error.to_string() });
    assert_eq!(record.events, [user(1, "one"), refused, answer(3, Message::assistant("3"))]);
    place.check_invariants();
}

async fn the_command_line_finds_shows_and_removes(place: Place) {
    assert!(Archive::open(&place.location(), &Options::default()).unwrap().is_none());
    let store = place.store();
    store.start_session(summary("abc1"));
    store.start_session(summary("abd2"));
    store.commit("abc1", user(1, "x")).await.unwrap();
    store.close().await.unwrap();
    let archive = place.archive();
    assert_eq!(archive.find("abc").unwrap().unwrap().id, "abc1");
    assert_eq!(archive.find("ab").unwrap(), None);
    assert_eq!(archive.find("").unwrap(), None);
    assert_eq!(archive.find("abd2").unwrap().unwrap().id, "abd2");
    assert!(archive.delete("abc1").unwrap());
    assert!(!archive.delete("abc1").unwrap());
    assert_eq!(archive.record("abc1").unwrap(), None);
    assert_eq!(archive.list(&SessionQuery::newest(10)).unwrap().len(), 1);
}

async fn a_fork_is_a_copy_with_a_parent(place: Place) {
    let store = place.store();
    let mut original = summary("s");
    original.title = Some("A title".into());
    store.start_session(original);
    let calls = vec![Part::ToolCall(ToolCall::new("a", "read", json!({})))];
    store.commit("s", user(1, "go")).await.unwrap();
    store.append("s", answer(2, Message::new(Role::Assistant, calls)));

    let fork = store.fork("s", "f").await.unwrap().unwrap();
    assert_eq!(fork.summary.parent.as_deref(), Some("s"));
    assert_eq!((fork.summary.id.as_str(), fork.summary.title.as_deref()), ("f", Some("A title")));
    // The call that is under way has no result in the copy's log; it is told so there, and the original goes on.
    assert_eq!(fork.events.len(), 3);
    assert!(matches!(&fork.events[2].kind, EventKind::Tool(tool) if tool.call.id == "a"));
    store.append("s", tool(3, "a", "text"));
    store.commit("s", user(4, "more")).await.unwrap();
    store.commit("f", user(4, "another way")).await.unwrap();
    assert_eq!(store.fork("nobody", "g").await.unwrap(), None);

    let archive = place.archive();
    let texts = |id: &str| {
        let events = archive.record(id).unwrap().unwrap().events;
        events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::User { message } => Some(message.text()),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(texts("s"), ["go", "more"]);
    assert_eq!(texts("f"), ["go", "another way"]);
    // The copy is leased like any session that is open.
    assert!(matches!(place.store().load("f").await, Err(StoreError::InUse { .. })));
    place.check_invariants();
    // The original may go.
    assert!(store.delete("s").await.unwrap());
    assert_eq!(archive.find("f").unwrap().unwrap().parent.as_deref(), Some("s"));
    assert_eq!(texts("f").len(), 2);
}

async fn a_fork_of_what_is_open_elsewhere_is_possible(place: Place) {
    let (first, second) = (place.store(), place.store());
    first.resume_session(summary("s")).await.unwrap();
    first.commit("s", user(1, "go")).await.unwrap();
    assert!(second.load("s").await.is_err());
    assert_eq!(second.fork("s", "f").await.unwrap().unwrap().events, [user(1, "go")]);
    first.commit("s", user(2, "on")).await.unwrap();
}

async fn a_session_goes_on_in_another_process(place: Place) {
    let (first, second) = (place.store(), place.store());
    first.resume_session(summary("s")).await.unwrap();
    first.commit("s", user(1, "here")).await.unwrap();
    first.append("s", answer(2, Message::assistant("1")));
    let error = second.load("s").await.unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    first.end_session("s");
    first.flush().await.unwrap();
    let record = second.load("s").await.unwrap().unwrap();
    assert_eq!(record.events, [user(1, "here"), answer(2, Message::assistant("1"))]);
    second.commit("s", user(3, "there")).await.unwrap();
    assert!(first.load("s").await.is_err());
    second.close().await.unwrap();
    assert_eq!(first.load("s").await.unwrap().unwrap().events.len(), 3);
    place.check_invariants();
}

async fn sessions_are_put_in_whole_and_once(place: Place) {
    let archive = place.archive_to_be();
    let record = SessionRecord::new(summary("s"), vec![user(1, "needle"), answer(2, Message::assistant("found"))]);
    assert!(archive.insert(record.clone()).unwrap());
    assert!(!archive.insert(record.clone()).unwrap());
    assert_eq!(archive.record("s").unwrap().unwrap().events, record.events);
    assert_eq!(archive.search("needle", 10).unwrap().len(), 1);
    place.check_invariants();
}

async fn anything_a_person_can_type_is_stored(place: Place) {
    let store = place.store();
    let mut titled = SessionSummary::new("a\u{1}b'\"", "/work/\u{e9} '", 4_102_444_800_000);
    titled.title = Some("nul \0 inside".into());
    store.start_session(titled);
    let long = format!("{} {}", "\u{e9}\u{301}\u{1f426}".repeat(2000), "word ".repeat(100_000));
    for (seq, text) in (1..).zip(["\0\u{1}\u{7f}\u{ffff}", "' \\ \" : * & | ! <-> ()", &long, ""]) {
        store.commit("a\u{1}b'\"", user(seq, text)).await.unwrap();
    }
    store.close().await.unwrap();
    let events = place.archive().record("a\u{1}b'\"").unwrap().unwrap().events;
    assert_eq!(events.len(), 4);
    assert_eq!(events[0], user(1, "\0\u{1}\u{7f}\u{ffff}"));
    assert_eq!(events[2], user(3, &long));
    assert_eq!(place.archive().search("word", 10).unwrap().len(), 1);
    place.check_invariants();
}

async fn many_events_at_once_are_as_many_one_by_one(place: Place) {
    let store = place.store();
    store.start_session(summary("s"));
    store.commit("s", user(1, "before")).await.unwrap();
    store.append("s", answer(2, Message::assistant("x")));
    store.flush().await.unwrap();
    // Longer than any batch, with a prompt that is taken back in the middle of it and one from before it.
    let mut events = vec![Event::new(3, 30, EventKind::Refused { excluded: 1, reason: "no".into() })];
    events.push(user(4, "one"));
    events.push(answer(5, Message::assistant("1")));
    events.push(user(6, "two"));
    events.push(Event::new(7, 70, EventKind::Refused { excluded: 6, reason: "no".into() }));
    events.extend((8..1300).map(|seq| answer(seq, Message::assistant(format!("answer {seq}")))));
    for event in &events {
        store.append("s", event.clone());
    }
    store.flush().await.unwrap();
    assert_eq!(
        place.text("SELECT string_agg(CAST(seq AS text), ' ' ORDER BY seq) FROM messages WHERE excluded"),
        "1 2 6"
    );
    assert_eq!(place.number("SELECT prompts FROM sessions"), 3);
    assert_eq!(place.number("SELECT output_tokens FROM sessions"), 10 * 1294);
    place.check_invariants();
    let fork = store.fork("s", "f").await.unwrap().unwrap();
    assert_eq!(fork.events.len(), 1299);
    assert_eq!(place.archive().record("f").unwrap().unwrap().events, fork.events);
    let of = |id: &str| place.text(&format!("SELECT cost * 1000000 + prompts FROM sessions WHERE id = '{id}'"));
    assert_eq!(of("f"), of("s"));
    place.check_invariants();
}
