//! Kills a process that writes, at random moments, and looks at what is left.
//!
//! The process is this test program itself, started again with `CROW_CRASH_STORE` set. It says on its standard output what
//! it was promised; whatever it said must be there afterwards.
#![cfg(unix)]

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crow_acp::{Event, EventKind, Message, Part, Role, Secrets, SessionQuery, ToolCall};
use crow_plugin_persistence::{Archive, Options, Store, StoreError};
use serde_json::json;

use common::{answer, check_invariants, runtime, summary, tool, user};

const VARIABLE: &str = "CROW_CRASH_STORE";
const SESSIONS: [&str; 2] = ["left", "right"];

/// The process that is killed: two sessions that write as an agent does, until the end.
#[test]
#[ignore = "the other tests of this file start it"]
fn child() {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    runtime().block_on(async {
        let store = Store::start(PathBuf::from(path).into(), Options::default(), Secrets::default()).unwrap();
        let sessions = SESSIONS.map(|id| tokio::spawn(work(store.clone(), id)));
        for session in sessions {
            session.await.unwrap();
        }
    });
}

async fn work(store: Store, id: &'static str) {
    let mut seq = match store.load(id).await.unwrap() {
        Some(record) => record.events.last().map_or(0, |event| event.seq),
        None => 0,
    };
    store.resume_session(summary(id)).await.unwrap();
    loop {
        seq += 1;
        store.commit(id, user(seq, "fix the bug")).await.unwrap();
        say(&format!("{id} {seq}"));
        // The model takes its time: nothing else brings to disk what was promised.
        tokio::time::sleep(Duration::from_millis(3)).await;
        seq += 1;
        for size in 1..5 {
            let message = Message::assistant("word ".repeat(size * 100));
            store.append(id, Event::new(seq, 0, EventKind::Partial { message }));
            tokio::time::sleep(Duration::from_micros(500)).await;
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
        say(&format!("{id} {seq}"));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// All events of the session up to this one are promised.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

#[test]
fn nothing_that_was_promised_is_lost_wherever_the_process_is_killed() {
    const KILLS: u32 = 60;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("crow.db");
    let mut promised: HashMap<String, u64> = HashMap::new();
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos() | 1;
    for kill in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        // The first milliseconds, in which the store is opened and repaired, are hit often.
        let life = Duration::from_micros(u64::from(random % if kill % 2 == 0 { 150_000 } else { 30_000 }));
        run_and_kill(&path, life, &mut promised);
        check(&path, &promised);
    }
    assert!(promised.values().sum::<u64>() > 100, "the process never got anywhere: {promised:?}");
}

fn run_and_kill(path: &Path, life: Duration, promised: &mut HashMap<String, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(VARIABLE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || out.lines().map_while(Result::ok).collect::<Vec<_>>());
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    for line in reader.join().unwrap() {
        // The test harness of the child talks, too.
        if let Some((id, seq)) = line.split_once(' ')
            && SESSIONS.contains(&id)
            && let Ok(seq) = seq.parse()
        {
            promised.insert(id.to_owned(), seq);
        }
    }
}

fn check(path: &Path, promised: &HashMap<String, u64>) {
    check_invariants(path);
    let Some(archive) = Archive::open(&path.into(), &Options::default()).unwrap() else {
        return assert!(promised.is_empty());
    };
    for (id, promised) in promised {
        let record = archive.record(id).unwrap().expect("the session is gone");
        let last = record.events.last().map_or(0, |event| event.seq);
        assert!(last >= *promised, "{id}: {promised} events were promised, {last} are there");
        let open: Vec<_> = open_calls(&record.events);
        assert!(open.is_empty(), "{id}: calls without a result: {open:?}");
        assert!(!record.events.iter().any(|event| matches!(event.kind, EventKind::Partial { .. })));
    }
    assert!(archive.list(&SessionQuery::newest(10)).unwrap().len() <= SESSIONS.len());
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
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("crow.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(VARIABLE, &path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("left ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the other process ended");
    }
    // It goes on talking; nobody listening would stop it.
    let listener = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));

    let expected = format!("the session left is open in another Crow (process {}). Close it there first", child.id());
    runtime().block_on(async {
        let store = Store::start(path.clone().into(), Options::default(), Secrets::default()).unwrap();
        for refused in [
            store.load("left").await.map(drop),
            store.resume_session(summary("left")).await,
            store.delete("left").await.map(drop),
        ] {
            let error = refused.unwrap_err();
            assert!(matches!(error, StoreError::InUse { .. }), "{error}");
            assert_eq!(error.to_string(), expected);
        }
        // Looking is possible.
        assert!(!store.list(SessionQuery::newest(10)).await.unwrap().is_empty());
        let archive = Archive::open(&path.clone().into(), &Options::default()).unwrap().unwrap();
        assert!(!archive.record("left").unwrap().unwrap().events.is_empty());
        assert!(matches!(archive.delete("left"), Err(StoreError::InUse { .. })));

        child.kill().unwrap();
        child.wait().unwrap();
        assert!(store.load("left").await.unwrap().is_some());
        store.close().await.unwrap();
    });
    listener.join().unwrap().unwrap();
}
