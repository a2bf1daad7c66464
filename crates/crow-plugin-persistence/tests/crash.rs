//! Kills a process that writes, at random moments, and looks at what is left: on a SQLite file and on a PostgreSQL server.
//!
//! The process is this test program itself, started again with `CROW_CRASH_STORE` set. It says on its standard output what
//! it was promised; whatever it said must be there afterwards. `CROW_CRASH_KILLS` says how often; 100 times otherwise.
#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "the figures are for whoever asked for hundreds of kills")]

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crow_acp::{Event, EventKind, Message, Part, Role, Secrets, SessionQuery, ToolCall};
use crow_plugin_persistence::{Archive, Location, Options, Store, StoreError};
use serde_json::json;

use common::{Place, answer, location, runtime, summary, tool, user};

const VARIABLE: &str = "CROW_CRASH_STORE";
const SESSIONS: [&str; 2] = ["left", "right"];

/// What may be missing of an answer that was streaming.
const MOST_LOST: Duration = Duration::from_millis(200);

/// The process that is killed: two sessions that write as an agent does, until the end.
#[test]
#[ignore = "the other tests of this file start it"]
fn child() {
    let Some(place) = std::env::var_os(VARIABLE) else { return };
    let url = place.to_str().filter(|place| place.starts_with("postgresql://"));
    let location = location(url, PathBuf::from(&place));
    runtime().block_on(async {
        let store = Store::start(location, Options::default(), Secrets::default()).unwrap();
        let begun = Instant::now();
        let sessions = SESSIONS.map(|id| tokio::spawn(work(store.clone(), id, begun)));
        for session in sessions {
            session.await.unwrap();
        }
    });
}

async fn work(store: Store, id: &'static str, begun: Instant) {
    let mut seq = match store.load(id).await.unwrap() {
        Some(record) => record.events.last().map_or(0, |event| event.seq),
        None => 0,
    };
    store.resume_session(summary(id)).await.unwrap();
    loop {
        seq += 1;
        store.commit(id, user(seq, "fix the bug")).await.unwrap();
        say(&format!("{id} turn {seq} 0 0"));
        // The model takes its time: nothing else brings to disk what was promised.
        tokio::time::sleep(Duration::from_millis(3)).await;
        seq += 1;
        for size in 1..12 {
            let message = Message::assistant("word ".repeat(size * 100));
            store.append(id, Event::new(seq, 0, EventKind::Partial { message }));
            say(&format!("{id} stream {seq} {size} {}", begun.elapsed().as_micros()));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let calls = [format!("{id}-{seq}-a"), format!("{id}-{seq}-b")];
        let mut parts = vec![Part::text("let me look")];
        parts.extend(calls.iter().map(|call| Part::ToolCall(ToolCall::new(call, "read", json!({})))));
        store.append(id, answer(seq, Message::new(Role::Assistant, parts)));
        for call in &calls {
            tokio::time::sleep(Duration::from_micros(300)).await;
            seq += 1;
            store.append(id, tool(seq, call, "some text"));
        }
        store.flush().await.unwrap();
        say(&format!("{id} turn {seq} 0 0"));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// What the killed process was promised of a session.
#[derive(Debug, Default)]
struct Promised {
    /// All events up to this one are stored.
    seq: u64,
    /// What was streaming since: event, size, microseconds.
    stream: Vec<(u64, usize, u64)>,
}

#[test]
fn nothing_that_was_promised_is_lost_wherever_the_process_is_killed() {
    kill_and_look(&Place::file(), None);
}

#[test]
fn nothing_that_was_promised_is_lost_on_a_server_either() {
    let Some(place) = Place::server() else { return };
    kill_and_look(&place, Some(place.url()));
}

fn kill_and_look(place: &Place, url: Option<&str>) {
    let kills = std::env::var("CROW_CRASH_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(100);
    let variable = url.map_or_else(|| place.path().into_os_string(), Into::into);
    let mut promised: HashMap<String, Promised> = HashMap::new();
    let mut most_lost = Duration::ZERO;
    let mut turns = 0;
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos() | 1;
    for kill in 0..kills {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        // The beginning, in which the store is opened and repaired, is hit as often as what comes after it.
        let begins = if url.is_some() { 300_000 } else { 30_000 };
        let working = kill % 2 == 0;
        let life = Duration::from_micros(u64::from(random % if working { 100_000 } else { begins }));
        for promised in promised.values_mut() {
            promised.stream.clear();
        }
        run_and_kill(&variable, working, life, &mut promised);
        turns = promised.values().map(|promised| promised.seq).sum();
        most_lost = most_lost.max(check(place, &promised));
    }
    assert!(turns > 100, "the process never got anywhere: {promised:?}");
    println!("{kills} kills, {turns} events promised and found, at most {most_lost:?} of a stream lost");
}

fn start(variable: &std::ffi::OsStr) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(VARIABLE, variable)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills it `life` after it began, or, if it shall be `working`, after it was first promised something.
fn run_and_kill(variable: &std::ffi::OsStr, working: bool, life: Duration, promised: &mut HashMap<String, Promised>) {
    let mut child = start(variable);
    let out = BufReader::new(child.stdout.take().unwrap());
    let (begun, begins) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut lines = Vec::new();
        for line in out.lines().map_while(Result::ok) {
            if line.contains(" turn ") {
                let _ = begun.send(());
            }
            lines.push(line);
        }
        lines
    });
    if working {
        begins.recv_timeout(Duration::from_mins(1)).expect("the process begins to work");
    }
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    for line in reader.join().unwrap() {
        // The test harness of the child talks, too, and the last line may be cut off.
        let words: Vec<&str> = line.split(' ').collect();
        let [id, kind, seq, size, at] = words[..] else { continue };
        let (Ok(seq), Ok(size), Ok(at)) = (seq.parse(), size.parse(), at.parse()) else { continue };
        let promised = promised.entry(id.to_owned()).or_default();
        if kind == "turn" {
            promised.seq = seq;
            promised.stream.clear();
        } else {
            promised.stream.push((seq, size, at));
        }
    }
}

/// Looks for all that was promised, and gives the time of streaming that is lost.
fn check(place: &Place, promised: &HashMap<String, Promised>) -> Duration {
    place.check_invariants();
    let Some(archive) = Archive::open(&place.location(), &Options::default()).unwrap() else {
        assert!(promised.is_empty());
        return Duration::ZERO;
    };
    let mut most_lost = Duration::ZERO;
    for (id, promised) in promised {
        let record = archive.record(id).unwrap().expect("the session is gone");
        let last = record.events.last().map_or(0, |event| event.seq);
        assert!(last >= promised.seq, "{id}: {} events were promised, {last} are there", promised.seq);
        let open: Vec<_> = open_calls(&record.events);
        assert!(open.is_empty(), "{id}: calls without a result: {open:?}");
        assert!(!record.events.iter().any(|event| matches!(event.kind, EventKind::Partial { .. })));
        let lost = lost(&record.events, &promised.stream);
        assert!(lost <= MOST_LOST, "{id}: {lost:?} of the stream are lost");
        most_lost = most_lost.max(lost);
    }
    assert!(archive.list(&SessionQuery::newest(10)).unwrap().len() <= SESSIONS.len());
    most_lost
}

/// From the newest fragment that is stored, or the beginning of the stream, to the last that there was.
fn lost(events: &[Event], stream: &[(u64, usize, u64)]) -> Duration {
    let (Some((_, _, first)), Some((seq, _, last))) = (stream.first(), stream.last()) else { return Duration::ZERO };
    let stored = match events.iter().find(|event| event.seq == *seq).map(|event| &event.kind) {
        Some(EventKind::Cancelled { message: Some(message) }) => message.text().len() / 500,
        Some(_) => return Duration::ZERO,
        None => 0,
    };
    let newest = stream.iter().filter(|(_, size, _)| *size <= stored).map(|(.., at)| *at).next_back();
    Duration::from_micros(last - newest.unwrap_or(*first))
}

/// The calls that no event answers.
fn open_calls(events: &[Event]) -> Vec<String> {
    let mut open = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::Assistant { message, .. } => open.extend(message.tool_calls().map(|call| call.id.clone())),
            EventKind::Tool(tool) => open.retain(|id| *id != tool.call.id),
            _ => {}
        }
    }
    open
}

#[test]
fn a_lease_ends_with_its_process() {
    second_process(&Place::file(), None);
}

#[test]
fn a_lease_on_a_server_ends_with_its_process() {
    let Some(place) = Place::server() else { return };
    second_process(&place, Some(place.url()));
}

fn second_process(place: &Place, url: Option<&str>) {
    let variable = url.map_or_else(|| place.path().into_os_string(), Into::into);
    let mut child = start(&variable);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("left ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the other process ended");
    }
    // It goes on talking; nobody listening would stop it.
    let listener = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));

    let expected = format!("the session left is open in another Crow (process {}", child.id());
    runtime().block_on(async {
        let at: Location = place.location();
        let store = Store::start(at.clone(), Options::default(), Secrets::default()).unwrap();
        for refused in [
            store.load("left").await.map(drop),
            store.resume_session(summary("left")).await,
            store.delete("left").await.map(drop),
        ] {
            let error = refused.unwrap_err();
            assert!(matches!(error, StoreError::InUse { .. }), "{error}");
            assert!(error.to_string().starts_with(&expected), "{error}");
            assert!(error.to_string().ends_with("). Close it there first"), "{error}");
        }
        // Looking is possible, and so is a copy to go on from.
        assert!(!store.list(SessionQuery::newest(10)).await.unwrap().is_empty());
        assert!(store.fork("left", "copy").await.unwrap().is_some());
        let archive = Archive::open(&at, &Options::default()).unwrap().unwrap();
        assert!(!archive.record("left").unwrap().unwrap().events.is_empty());
        assert!(matches!(archive.delete("left"), Err(StoreError::InUse { .. })));

        child.kill().unwrap();
        child.wait().unwrap();
        assert!(store.load("left").await.unwrap().is_some());
        store.close().await.unwrap();
    });
    listener.join().unwrap().unwrap();
}
