//! What a hook call costs, next to what it could cost at least, in one run: `cargo bench -p crow-hooks --bench cost`.
//!
//! With `CROW_PLUGGY_PYTHON=/path/to/python` (one that has pluggy) the same calls are timed there too.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::print_stdout)]

use std::{
    process::Command,
    time::{Duration, Instant},
};

mod cases;

/// Nanoseconds per round: the best of several samples, which is the least disturbed one.
fn time(run: &cases::Run) -> f64 {
    let mut times = 16;
    loop {
        let since = Instant::now();
        run(times);
        if since.elapsed() > Duration::from_millis(4) {
            break;
        }
        times *= 2;
    }
    let sample = || {
        let since = Instant::now();
        run(times);
        since.elapsed().as_nanos() as f64 / times as f64
    };
    (0..25).map(|_| sample()).fold(f64::INFINITY, f64::min)
}

fn row(name: &str, ours: f64, other: &str, floor: f64, goal: &str) {
    println!("| {name} | {ours:.1} | {other} | {floor:.1} | {:.2} | {goal} |", ours / floor);
}

fn against_floors() {
    println!("\n| call | ns | floor | ns | ratio | goal |\n| --- | ---: | --- | ---: | ---: | --- |");
    let empty = time(&cases::floor_no_impls());
    row("async hook, no impls", time(&cases::no_impls()), "empty loop", empty, "≤ 10 ns");
    row("sync hook, no impls", time(&cases::no_impls_plain()), "empty loop", empty, "≤ 10 ns");
    for count in [1, 10, 100] {
        let floor = time(&cases::floor_sync(count));
        let goal = format!("≤ {:.0} ns (30 ns + 1.5 ×)", 30.0 + 1.5 * floor);
        row(&format!("async hook, {count} sync impls"), time(&cases::sync_impls(count)), "dyn Fn", floor, &goal);
        row(&format!("sync hook, {count} impls"), time(&cases::plain_impls(count)), "dyn Fn", floor, &goal);
    }
    for count in [1, 10, 100] {
        let floor = time(&cases::floor_async(count));
        row(&format!("{count} async impls"), time(&cases::async_impls(count)), "boxed futures", floor, "≤ 1.5 ×");
    }
    for count in [1, 10, 100] {
        let floor = time(&cases::floor_gathering(count));
        row(
            &format!("{count} async impls with values"),
            time(&cases::gathering(count)),
            "boxed futures",
            floor,
            "≤ 1.5 ×",
        );
    }
    let (boxed, none) = (time(&cases::floor_async(1)), time(&cases::wrappers(0)));
    row("a wrapper (added to a call)", time(&cases::wrappers(1)) - none, "one boxed future", boxed, "≤ 2 ×");
    let ten = (time(&cases::wrappers(10)) - none) / 10.0;
    row("each of ten wrappers", ten, "one boxed future", boxed, "≤ 2 ×");
}

fn against_others() {
    println!("\n| of the same shape | crow-hooks ns | other | ns | ratio |\n| --- | ---: | --- | ---: | ---: |");
    let row = |name: &str, ours: f64, other: &str, theirs: f64| {
        println!("| {name} | {ours:.1} | {other} | {theirs:.1} | {:.2} |", ours / theirs);
    };
    let pairs = [(10, 10), (50, 1)];
    for (count, implementing) in pairs {
        let name = format!("{count} plugins, {implementing} of them implement the hook");
        let ours = time(&cases::async_hooks(count, implementing));
        row(&name, ours, "async_trait defaults", time(&cases::async_trait(count, implementing)));
    }
    row("10 wrappers", time(&cases::wrappers(10)), "10 boxed tower layers", time(&cases::tower_layers(10)));
    row("10 sync impls", time(&cases::plain_impls(10)), "event bus by TypeId", time(&cases::event_bus(10)));
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
        let (sync, later) = (time(&cases::plain_impls(count)), time(&cases::async_impls(count)));
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
