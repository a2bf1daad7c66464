//! The benchmark: Crow beside a bare relay, run by run in turn, against the same scripted model server.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod agent;
mod figures;
mod report;
mod shares;

use std::{env, path::PathBuf, process::ExitCode};

use agent::Contender;
use report::Row;

/// What the command line asks for.
#[derive(Debug, Default)]
struct Options {
    quick: bool,
    json: bool,
    plugins: bool,
    only: Vec<String>,
    binary: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match options(env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("crow-bench: {problem}");
            return ExitCode::from(2);
        }
    };
    let crow = options.binary.clone().unwrap_or_else(crow_tests::binary);
    if options.plugins {
        let shares = shares::measure(&crow, options.quick);
        if options.json {
            println!("{}", shares::json(&shares));
        } else {
            print!("{}", shares::table(&shares));
            println!(
                "Each plugin: Crow with all of them less Crow without it; what is within the noise may be below zero."
            );
        }
        return ExitCode::SUCCESS;
    }
    let relay = crow_tests::built("bare-relay", "CROW_RELAY", "cargo build --release -p crow-tests --bins");
    let contenders = [Contender::relay(&relay), Contender::crow(&crow)];
    let mut rows: Vec<Row> = Vec::new();
    for figure in figures::ALL {
        let wanted = options.only.is_empty() || options.only.iter().any(|name| figure.name.contains(name.as_str()));
        if !wanted {
            continue;
        }
        if !options.json {
            eprintln!("measuring: {}", figure.name);
        }
        rows.extend((figure.measure)(&contenders, options.quick));
    }
    let missed = rows.iter().filter(|row| !row.met()).count();
    if options.json {
        println!("{}", report::json(&rows));
    } else {
        print!("{}", report::table(&rows));
        println!("{} of {} figures meet their goal", rows.len() - missed, rows.len());
    }
    if missed > 0 && !options.quick { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--quick" => options.quick = true,
            "--json" => options.json = true,
            "--plugins" => options.plugins = true,
            "--only" => options.only.push(value()?),
            "--binary" => options.binary = Some(absolute(value()?)?),
            _ => {
                return Err(format!("unknown option `{arg}`; cargo xtask bench --help lists them"));
            }
        }
    }
    Ok(options)
}

/// The programs are started in directories of their own.
fn absolute(path: String) -> Result<PathBuf, String> {
    std::path::absolute(&path).map_err(|error| format!("{path}: {error}"))
}
