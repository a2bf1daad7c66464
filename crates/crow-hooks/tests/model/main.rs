//! Random programs: what the engine does is what a naive model says, and what pluggy 1.7 does.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p crow-hooks --test model` tries more.
#![allow(unreachable_pub, clippy::print_stderr)]

mod engine;
mod naive;
mod program;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_engine_does_what_the_model_says(program in program::any(program::Scope::Everything)) {
        prop_assert_eq!(engine::run(&program), naive::run(&program));
    }
}

/// How many programs are tried.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3_000)
}

#[test]
fn pluggy_does_the_same() {
    let Some(python) = std::env::var_os("CROW_PLUGGY_PYTHON") else {
        eprintln!(
            "not compared: CROW_PLUGGY_PYTHON names no Python that has pluggy 1.7.0 (`cargo xtask test` sets it)"
        );
        return;
    };
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, b"crow-hooks against pluggy 1.7.0!"),
    );
    let strategy = program::any(program::Scope::Pluggy);
    let tree = |_| strategy.new_tree(&mut runner).expect("no filters").current();
    let programs: Vec<_> = (0..cases()).map(tree).collect();
    let theirs = pluggy(&python, &programs);
    assert_eq!(theirs.len(), programs.len());
    for (program, theirs) in programs.iter().zip(theirs) {
        let ours = program::outcomes_to_json(&engine::run(program));
        assert_eq!(ours, theirs, "the program: {}", program.to_json());
    }
}

/// Runs the programs on pluggy, all in one process.
fn pluggy(python: &std::ffi::OsStr, programs: &[program::Program]) -> Vec<serde_json::Value> {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model/on_pluggy.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = programs.iter().map(|program| program.to_json().to_string() + "\n").collect();
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
