//! What the store costs: `cargo bench -p crow-plugin-persistence --bench store`. With `-- large` also on 10,000 sessions with
//! a million events, where nothing may take longer than 50 ms, and with `-- large postgres` on a server of its own as well.
//! The directory is that of `CROW_BENCH_DIR`, or the system's for temporary files.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::path::Path;
use std::time::{Duration, Instant};

use crow_acp::{Event, EventKind, Message, ModelId, Secrets, SessionQuery, SessionSummary, Usage};
use crow_plugin_persistence::{Archive, Location, Options, Server, Store, StoreError};

fn main() -> Result<(), StoreError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let (Ok(runtime), Ok(directory)) = (runtime, directory()) else {
        println!("no runtime or no directory to work in");
        return Ok(());
    };
    let asked = |word: &str| std::env::args().any(|argument| argument == word);
    runtime.block_on(async {
        every_day(&directory.path().join("crow.db")).await?;
        if asked("large") {
            let slow = a_full_store(&directory.path().join("large.db").into()).await?;
            assert!(slow.is_empty(), "slower than {LIMIT:?}: {slow:?}");
        }
        if asked("postgres")
            && let Some(postgres) = crow_tests::Postgres::start()
        {
            println!("\nPostgreSQL, on a socket of this machine:");
            let server: Server = postgres.url().parse().map_err(StoreError::Configuration)?;
            a_full_store(&server.into()).await?;
        }
        Ok(())
    })
}

/// What nothing may exceed that a person waits for, in 95 of 100 cases.
const LIMIT: Duration = Duration::from_millis(50);

fn directory() -> std::io::Result<tempfile::TempDir> {
    match std::env::var_os("CROW_BENCH_DIR") {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    }
}

async fn every_day(path: &Path) -> Result<(), StoreError> {
    let start = Instant::now();
    let store = Store::start(path.into(), Options::default(), Secrets::default())?;
    println!("start, as the caller sees it            {:>10.1?}", start.elapsed());
    store.resume_session(summary("s", 1)).await?;
    store.flush().await?;
    println!("a new store, until it is on disk        {:>10.1?}", start.elapsed());

    let mut seq = 0;
    for (name, size) in [("100 B", 100), ("30 KB", 30_000)] {
        let mut times = Vec::new();
        for _ in 0..300 {
            // A person does not type in a loop: the thread sleeps in between.
            tokio::time::sleep(Duration::from_millis(3)).await;
            seq += 1;
            let event = Event::new(seq, 1, EventKind::User { message: Message::user("word ".repeat(size / 5)) });
            let start = Instant::now();
            store.commit("s", event).await?;
            times.push(start.elapsed());
        }
        print("commit of a user's message", name, &mut times);
    }

    // What a short conversation pays when the agent goes down.
    let short = Store::start(path.with_file_name("short.db").into(), Options::default(), Secrets::default())?;
    short.start_session(summary("short", 1));
    short.commit("short", answer(1, "a short answer")).await?;
    let start = Instant::now();
    short.close().await?;
    println!("close after one message                 {:>10.1?}", start.elapsed());

    let mut times = Vec::new();
    for _ in 0..300 {
        seq += 1;
        store.append("s", answer(seq, "a short answer"));
        let start = Instant::now();
        store.flush().await?;
        times.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    print("flush at the end of a turn", "1 event", &mut times);

    let mut times = Vec::new();
    let mut message = Message::assistant("");
    seq += 1;
    for _ in 0..200 {
        message.push_text(&"delta ".repeat(100));
        let start = Instant::now();
        store.append("s", Event::new(seq, 1, EventKind::Partial { message: message.clone() }));
        times.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    print("append of a partial answer, to 120 KB", "caller", &mut times);
    let start = Instant::now();
    store.flush().await?;
    println!("the writer is behind by                 {:>10.1?}", start.elapsed());

    let start = Instant::now();
    let events = store.load("s").await?.map_or(0, |record| record.events.len());
    println!("load of {events} events, 9 MB of prompts     {:>10.1?}", start.elapsed());
    let start = Instant::now();
    store.close().await?;
    println!("close                                   {:>10.1?}", start.elapsed());
    let start = Instant::now();
    let store = Store::start(path.into(), Options::default(), Secrets::default())?;
    store.flush().await?;
    store.list(SessionQuery::newest(1)).await?;
    println!("open again and list                     {:>10.1?}", start.elapsed());
    store.close().await
}

/// Gives what took too long.
async fn a_full_store(location: &Location) -> Result<Vec<&'static str>, StoreError> {
    const SESSIONS: u64 = 10_000;
    const EVENTS: u64 = 100;
    let mut options = Options::default();
    options.flush_events = options.flush_events.saturating_mul(options.flush_events);
    let start = Instant::now();
    let store = Store::start(location.clone(), options.clone(), Secrets::default())?;
    for session in 0..SESSIONS {
        let id = format!("session-{session}");
        store.resume_session(summary(&id, session as i64)).await?;
        for seq in 1..=EVENTS {
            // One event in a hundred has the word.
            let rare = if (session + seq) % 100 == 0 { "needle" } else { "hay" };
            store.append(
                &id,
                answer(seq, &format!("{rare} in event {seq} of session {session}, {}", "and words ".repeat(20))),
            );
        }
        store.end_session(&id);
    }
    store.close().await?;
    println!("writing {} events                  {:>10.1?}", SESSIONS * EVENTS, start.elapsed());
    let Some(archive) = Archive::open(location, &options)? else { return Ok(Vec::new()) };
    let start = Instant::now();
    archive.search("needle", 1)?;
    println!("indexing them                           {:>10.1?}", start.elapsed());
    let mut times: [Vec<Duration>; 3] = Default::default();
    for round in 0..50 {
        let start = Instant::now();
        archive.list(&SessionQuery::newest(50))?;
        times[0].push(start.elapsed());
        let start = Instant::now();
        archive.record(&format!("session-{}", round * 199))?;
        times[1].push(start.elapsed());
        let start = Instant::now();
        archive.search("needle", 50)?;
        times[2].push(start.elapsed());
    }
    let names = ["list of 50", "load of 100 events", "search, 50 of 10,000 hits"];
    let mut slow = Vec::new();
    for (name, times) in names.into_iter().zip(&mut times) {
        print(name, "1 M", times);
        if times[times.len() * 95 / 100] > LIMIT {
            slow.push(name);
        }
    }
    Ok(slow)
}

fn summary(id: &str, at: i64) -> SessionSummary {
    // In the year 2100, so that housekeeping leaves them alone.
    SessionSummary::new(id, "/work", 4_102_444_800_000 + at)
}

fn answer(seq: u64, text: &str) -> Event {
    let (model, usage) = (ModelId::new("openai", "gpt"), Usage::new(1_000, 100));
    Event::new(seq, 1, EventKind::Assistant { message: Message::assistant(text), model, usage, cost: Some(0.01) })
}

fn print(what: &str, case: &str, times: &mut [Duration]) {
    times.sort();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    println!("{what:<38} {case:<8} p50 {:>9.1?}  p95 {:>9.1?}  max {:>9.1?}", at(50), at(95), at(100));
}
