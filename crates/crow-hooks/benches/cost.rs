//! What a hook call costs, next to what it could cost at least, in one run: `cargo bench -p crow-hooks --bench cost`.
//!
//! With `CROW_PLUGGY_PYTHON=/path/to/python` (one that has pluggy) the same calls are timed there too.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::print_stdout)]

use std::{
    process::Command,
    time::{Duration, Instant},
};

mod cases;

/// Nanoseconds per round of each: the best of several samples, which is the least disturbed one. The samples take turns,
/// so that what disturbs one disturbs the others as well.
fn times<const N: usize>(runs: [cases::Run; N]) -> [f64; N] {
    let rounds = runs.each_ref().map(rounds);
    let mut best = [f64::INFINITY; N];
    for _ in 0..40 {
        for ((run, rounds), best) in runs.iter().zip(rounds).zip(&mut best) {
            let since = Instant::now();
            run(rounds);
            *best = best.min(since.elapsed().as_nanos() as f64 / rounds as f64);
        }
    }
    best
}

/// As many rounds as take a few milliseconds.
fn rounds(run: &cases::Run) -> u64 {
    let mut rounds = 16;
    loop {
        let since = Instant::now();
        run(rounds);
        if since.elapsed() > Duration::from_millis(3) {
            return rounds;
        }
        rounds *= 2;
    }
}

fn row(name: &str, [ours, floor]: [f64; 2], other: &str, goal: &str) {
    println!("| {name} | {ours:.1} | {other} | {floor:.1} | {:.2} | {goal} |", ours / floor);
}

fn against_floors() {
    println!("\n| call | ns | floor | ns | ratio | goal |\n| --- | ---: | --- | ---: | ---: | --- |");
    let none = || cases::floor_no_impls();
    row("async hook, no impls", times([cases::no_impls(), none()]), "empty loop", "≤ 10 ns");
    row("sync hook, no impls", times([cases::no_impls_plain(), none()]), "empty loop", "≤ 10 ns");
    for count in [1, 10, 100] {
        let sync = |name: String, run: cases::Run| {
            let pair = times([run, cases::floor_sync(count)]);
            row(&name, pair, "dyn Fn", &format!("≤ {:.0} ns (30 ns + 1.5 ×)", 30.0 + 1.5 * pair[1]));
        };
        sync(format!("async hook, {count} sync impls"), cases::sync_impls(count));
        sync(format!("sync hook, {count} impls"), cases::plain_impls(count));
    }
    for count in [1, 10, 100] {
        let row =
            |name: &str, pair| row(&format!("{count} async impls{name}"), times(pair), "boxed futures", "≤ 1.5 ×");
        row("", [cases::async_impls(count), cases::floor_async(count)]);
        row(" that could wait", [cases::looking(count), cases::floor_looking(count)]);
        row(" with values", [cases::gathering(count), cases::floor_gathering(count)]);
    }
    let runs = [cases::wrappers(0), cases::wrappers(1), cases::wrappers(10), cases::floor_async(1)];
    let [none, one, ten, boxed] = times(runs);
    row("a wrapper (added to a call)", [one - none, boxed], "one boxed future", "≤ 2 ×");
    row("each of ten wrappers", [(ten - none) / 10.0, boxed], "one boxed future", "");
}

fn against_others() {
    println!("\n| of the same shape | crow-hooks ns | other | ns | ratio |\n| --- | ---: | --- | ---: | ---: |");
    let row = |name: &str, other: &str, pair| {
        let [ours, theirs] = times(pair);
        println!("| {name} | {ours:.1} | {other} | {theirs:.1} | {:.2} |", ours / theirs);
    };
    for (count, implementing) in [(10, 10), (50, 1)] {
        let name = format!("{count} plugins, {implementing} of them implement the hook");
        let pair = [cases::async_hooks(count, implementing), cases::async_trait(count, implementing)];
        row(&name, "async_trait defaults", pair);
    }
    row("10 wrappers", "10 boxed tower layers", [cases::wrappers(10), cases::tower_layers(10)]);
    row("10 sync impls", "event bus by TypeId", [cases::plain_impls(10), cases::event_bus(10)]);
}

/// Times pluggy on this machine's Python, in the same run.
fn against_pluggy() {
    let Some(python) = std::env::var_os("CROW_PLUGGY_PYTHON") else {
        println!("\npluggy: not timed (CROW_PLUGGY_PYTHON names no Python that has it)");
        return;
    };
    let output = Command::new(python).args(["-c", include_str!("pluggy_cost.py")]).output();
    let text = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => return println!("\npluggy: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => return println!("\npluggy: {error}"),
    };
    println!("\n| impls | crow-hooks sync ns | async ns | pluggy ns | sync × | async × | goal |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    for line in text.lines() {
        let mut words = line.split(' ').map(str::parse::<f64>);
        let (Some(Ok(count)), Some(Ok(theirs))) = (words.next(), words.next()) else { continue };
        let count = count as usize;
        let [sync, later] = times([cases::plain_impls(count), cases::async_impls(count)]);
        println!(
            "| {count} | {sync:.1} | {later:.1} | {theirs:.0} | {:.0} | {:.0} | ≥ 50, ≥ 20 |",
            theirs / sync,
            theirs / later
        );
    }
}

fn main() {
    against_floors();
    against_others();
    against_pluggy();
}
