//! Running the tests, and counting them.

use std::{fs, path::Path};

use crate::{
    python, setup,
    step::{Failed, cargo, step, target, timed, watched},
    suites,
};

pub(crate) const HELP: &str = "\
usage: cargo xtask test [-- ARGUMENTS FOR cargo test]

Sets up what the tests need (cargo xtask setup), builds the `crow` binary, and runs every test of the workspace,
documentation examples included. The last line says how many there were.

  cargo xtask test -- --test e2e cancel    only the end-to-end tests with `cancel` in their name";

pub(crate) const CONFORMANCE_HELP: &str = "\
usage: cargo xtask conformance [--release] [--binary PATH]

Checks the requirements of the ACP test kit (version 1) one by one against the `crow` binary and lists them.
  --release      check the release build
  --binary PATH  check any ACP agent's executable, started as `PATH acp`";

pub(crate) fn run(args: &[String]) -> Result<(), Failed> {
    let rest = args.iter().skip_while(|arg| *arg == "--");
    setup::run(&[])?;
    step("build the crow binary", &mut cargo(["build", "--workspace", "--bins"]))?;
    let mut command = cargo(["test", "--workspace", "--no-fail-fast"]);
    command.args(rest);
    // The hook engine is compared with pluggy itself.
    command.env("CROW_PLUGGY_PYTHON", target().join("test-deps/python/bin/python"));
    // What a test cannot do on this machine it says here, in one line.
    let skipped = target().join("test-skipped.txt");
    let _ = fs::remove_file(&skipped);
    command.env("CROW_TEST_SKIPPED", &skipped);
    let mut counts = Counts::default();
    let passed = timed("cargo test", || watched(&mut command, |line| counts.add(line)))?;
    let skipped = fs::read_to_string(&skipped).unwrap_or_default();
    skipped.lines().for_each(|line| println!("{line}"));
    counts.skipped = skipped.lines().count();
    println!("{counts}");
    let _ = fs::write(counts_file(), counts.to_string());
    if !passed {
        return Err(Failed::new("tests failed"));
    }
    // Arguments choose among Rust's tests.
    if !args.is_empty() {
        return Ok(());
    }
    suites::test()?;
    let passed = python::check(&[], &mut counts)?;
    println!("{counts}");
    let _ = fs::write(counts_file(), counts.to_string());
    if passed { Ok(()) } else { Err(Failed::new("tests failed")) }
}

/// Where the last run left its one line.
pub(crate) fn counts_file() -> std::path::PathBuf {
    target().join("test-counts.txt")
}

pub(crate) fn conformance(args: &[String]) -> Result<(), Failed> {
    setup::run(&[])?;
    let mut args = args.iter();
    let mut binary = None;
    let mut release = false;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--release" => release = true,
            "--binary" => {
                binary = Some(args.next().ok_or_else(|| Failed::new("--binary needs a path"))?.clone());
            }
            other => return Err(Failed(format!("unknown option `{other}`"))),
        }
    }
    if binary.is_none() {
        let mut build = cargo(["build", "--package", "crow"]);
        if release {
            build.arg("--release");
        }
        step("build the crow binary", &mut build)?;
        binary = Some(target().join(if release { "release/crow" } else { "debug/crow" }).display().to_string());
    }
    // For the whole workspace, so that what `cargo xtask test` built is used again.
    let mut command = cargo(["test", "--quiet", "--workspace", "--test", "e2e"]);
    command.args(["--", "--format=pretty", "conformance::"]);
    command.env("CROW_BIN", Path::new(&binary.unwrap_or_default()));
    let mut counts = Counts::default();
    let mut results = Vec::new();
    let passed = timed("conformance", || {
        watched(&mut command, |line| {
            counts.add(line);
            if let Some((name, outcome)) =
                line.strip_prefix("test conformance::").and_then(|rest| rest.split_once(" ... "))
            {
                results.push((requirement(name), outcome.to_owned()));
            }
        })
    })?;
    results.sort();
    println!();
    for (id, outcome) in &results {
        println!("  {id:<16} {outcome}");
    }
    println!("{counts}");
    if passed && counts.passed > 0 { Ok(()) } else { Err(Failed::new("not conformant")) }
}

/// `session::new_001_gives_an_id` → `NEW-001`: the test's first two words are the requirement's id.
fn requirement(test: &str) -> String {
    let name = test.rsplit("::").next().unwrap_or(test);
    let mut words = name.split('_');
    format!("{}-{}", words.next().unwrap_or_default().to_uppercase(), words.next().unwrap_or_default())
}

/// The sums of cargo's `test result:` lines.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
    /// Those that passed without having been done, because something is not installed.
    skipped: usize,
    binaries: u32,
}

impl Counts {
    fn add(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else {
            return;
        };
        self.binaries += 1;
        for part in rest.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next().and_then(|word| word.parse::<u32>().ok()), words.next())
            else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl Counts {
    /// Adds pytest's last line: `3 failed, 80 passed, 1 skipped in 2.10s`.
    pub(crate) fn add_pytest(&mut self, line: &str) {
        let Some((outcomes, _)) = line.trim_matches(['=', ' ']).rsplit_once(" in ") else { return };
        let pairs: Vec<_> = outcomes.split(", ").filter_map(|pair| pair.split_once(' ')).collect();
        let all = ["passed", "failed", "error", "errors", "skipped", "xfailed", "warning", "warnings", "deselected"];
        if pairs.is_empty() || !pairs.iter().all(|(count, what)| count.parse::<u32>().is_ok() && all.contains(what)) {
            return;
        }
        self.binaries += 1;
        for (count, what) in pairs {
            let count: u32 = count.parse().unwrap_or_default();
            match what {
                "passed" => self.passed += count,
                "failed" | "error" | "errors" => self.failed += count,
                "skipped" => self.skipped += count as usize,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, ignored, skipped, binaries } = self;
        write!(f, "tests: {passed} passed, {failed} failed, {ignored} ignored")?;
        if *skipped > 0 {
            write!(f, ", {skipped} skipped for want of something (see above)")?;
        }
        write!(f, ", in {binaries} test programs")
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, requirement};

    #[test]
    fn sums_up_what_cargo_says() {
        let mut counts = Counts::default();
        counts.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.25s");
        counts.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s");
        counts.add("running 3 tests");
        assert_eq!(counts.to_string(), "tests: 13 passed, 2 failed, 1 ignored, in 2 test programs");
        counts.add_pytest("........ [100%]");
        counts.add_pytest("3 failed, 80 passed, 1 error in 2.10s");
        assert_eq!(counts.to_string(), "tests: 93 passed, 6 failed, 1 ignored, in 3 test programs");
        counts.skipped = 3;
        assert!(counts.to_string().contains("3 skipped for want of something"), "{counts}");
    }

    #[test]
    fn a_test_is_named_after_its_requirement() {
        assert_eq!(requirement("session_003_ids_differ"), "SESSION-003");
        assert_eq!(requirement("mandatory::init_001_valid"), "INIT-001");
    }
}
