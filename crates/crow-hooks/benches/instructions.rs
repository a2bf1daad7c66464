//! Instructions per call, counted by callgrind, compared with `benches/instructions.txt`: more than 5 % above it is a
//! failure. They do not depend on how busy the machine is. `cargo bench -p crow-hooks --bench instructions`;
//! `CROW_BLESS=1` writes the file anew.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, dead_code, clippy::print_stdout)]

use std::{fmt::Write as _, path::Path, process::Command};

mod cases;

/// What may be added to the committed counts.
const TOLERANCE: f64 = 1.05;

type Case = (&'static str, fn() -> cases::Run);

const CASES: [Case; 14] = [
    ("no impls, async", cases::no_impls),
    ("no impls, sync", cases::no_impls_plain),
    ("1 sync impl", || cases::sync_impls(1)),
    ("100 sync impls", || cases::sync_impls(100)),
    ("100 impls of a sync hook", || cases::plain_impls(100)),
    ("1 async impl", || cases::async_impls(1)),
    ("100 async impls", || cases::async_impls(100)),
    ("100 async impls with values", || cases::gathering(100)),
    ("100 async impls that could wait", || cases::looking(100)),
    ("1 wrapper", || cases::wrappers(1)),
    ("10 wrappers", || cases::wrappers(10)),
    ("floor: 100 dyn Fn", || cases::floor_sync(100)),
    ("floor: 100 boxed futures", || cases::floor_async(100)),
    ("floor: 100 boxed futures that could wait", || cases::floor_looking(100)),
];

/// Runs one case in this process: what callgrind looks at.
fn child(name: &str, times: u64) {
    if let Some((_, make)) = CASES.iter().find(|(case, _)| *case == name) {
        make()(times);
    }
}

/// Instructions of a whole process that runs the case that often.
fn counted(name: &str, times: u64) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .env("CROW_CASE", name)
        .env("CROW_TIMES", times.to_string())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split("Collected :").nth(1)).map(str::trim);
    count.and_then(|count| count.parse().ok()).ok_or_else(|| format!("valgrind said: {text}"))
}

/// Instructions of one round: the difference between many and few, which leaves start and end out.
fn per_call(name: &str) -> Result<u64, String> {
    const FEW: u64 = 200;
    const MANY: u64 = 1200;
    Ok(counted(name, MANY)?.saturating_sub(counted(name, FEW)?) / (MANY - FEW))
}

fn main() -> Result<(), String> {
    if let (Ok(name), Ok(times)) = (std::env::var("CROW_CASE"), std::env::var("CROW_TIMES")) {
        child(&name, times.parse().map_err(|error| format!("CROW_TIMES: {error}"))?);
        return Ok(());
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed");
        return Ok(());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let (mut written, mut worse) = (String::new(), Vec::new());
    println!("| instructions per call | committed | now |\n| --- | ---: | ---: |");
    for (name, _) in CASES {
        let now = per_call(name)?;
        let before =
            committed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse::<u64>().ok());
        println!("| {name} | {} | {now} |", before.map_or_else(|| "–".to_owned(), |count| count.to_string()));
        let _ = writeln!(written, "{name}: {now}");
        if before.is_none_or(|before| now as f64 > before as f64 * TOLERANCE + 1.0) {
            worse.push(name);
        }
    }
    if std::env::var_os("CROW_BLESS").is_some() {
        return std::fs::write(&file, written).map_err(|error| error.to_string());
    }
    if worse.is_empty() {
        Ok(())
    } else {
        Err(format!("more than 5 % above benches/instructions.txt: {}", worse.join(", ")))
    }
}
