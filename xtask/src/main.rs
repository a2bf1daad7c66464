//! `cargo xtask`: every chore of this repository.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod bench;
mod ci;
mod docs;
mod python;
mod setup;
mod step;
mod suites;
mod test;
mod wheel;

use std::{env, process::ExitCode};

use step::Failed;

/// One chore: its name, what it does, its help, and what runs it.
struct Task {
    name: &'static str,
    about: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<(), Failed>,
}

const TASKS: &[Task] = &[
    Task {
        name: "setup",
        about: "install what the tests need below target/test-deps (npm and PyPI packages)",
        help: setup::HELP,
        run: setup::run,
    },
    Task { name: "test", about: "set up, build the binary, run every test", help: test::HELP, run: test::run },
    Task {
        name: "conformance",
        about: "the requirements of the ACP test kit, one by one, against the binary",
        help: test::CONFORMANCE_HELP,
        run: test::conformance,
    },
    Task { name: "bench", about: "measure the release binary beside a bare relay", help: bench::HELP, run: bench::run },
    Task {
        name: "python",
        about: "the tests of crow_acp and its example packages, and their types",
        help: python::HELP,
        run: python::run,
    },
    Task { name: "wheel", about: "build the Python packages into target/wheels", help: wheel::HELP, run: wheel::run },
    Task {
        name: "pluggy-suites",
        about: "the suites of pluggy, pytest, tox and apluggy, on pluggy and on crow-hooks",
        help: suites::HELP,
        run: suites::run,
    },
    Task {
        name: "bench-python",
        about: "measure crow_hooks beside pluggy and a bare loop in C",
        help: suites::BENCH_HELP,
        run: suites::bench,
    },
    Task { name: "docs", about: "build the documentation; a warning is an error", help: docs::HELP, run: docs::run },
    Task { name: "ci", about: "everything that must pass before a merge", help: ci::HELP, run: ci::run },
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let Some(name) = args.first().filter(|name| !is_help(name)) else {
        usage();
        return ExitCode::SUCCESS;
    };
    let Some(task) = TASKS.iter().find(|task| task.name == *name) else {
        eprintln!("there is no task `{name}`");
        usage();
        return ExitCode::from(2);
    };
    let rest = &args[1..];
    if rest.iter().take_while(|arg| *arg != "--").any(|arg| is_help(arg)) {
        println!("{}", task.help);
        return ExitCode::SUCCESS;
    }
    match (task.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(reason)) => {
            eprintln!("xtask {name}: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn is_help(arg: &str) -> bool {
    matches!(arg, "help" | "-h" | "--help")
}

fn usage() {
    println!("usage: cargo xtask TASK [OPTIONS]    (cargo xtask TASK --help says more)\n");
    for task in TASKS {
        println!("  {:<12} {}", task.name, task.about);
    }
}
