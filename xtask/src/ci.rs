//! Everything that must pass before a merge, in the order that finds a mistake soonest.

use std::{fs, process::Command, time::Instant};

use crate::{
    bench, docs,
    step::{Failed, cargo, has, root, step},
    test,
};

pub(crate) const HELP: &str = "\
usage: cargo xtask ci

Formatting, lints, all tests, documentation, a release build with a short benchmark and the conformance list on it;
then cargo deny, cargo hack and the fuzz targets where these tools are installed. Stops at the first failure.
`.ci/run` does the same after installing the system packages that are missing.";

pub(crate) fn run(_args: &[String]) -> Result<(), Failed> {
    let start = Instant::now();
    step("formatting", &mut cargo(["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    step("lints", &mut cargo(clippy))?;
    test::run(&[])?;
    // What is built only where it is asked for.
    let otel = ["--quiet", "--features", "otel", "--package"];
    step("the exporter", &mut cargo([&["test"], &otel[..], &["crow-plugin-analytics"]].concat()))?;
    step("crow with the exporter", &mut cargo([&["check"], &otel[..], &["crow"]].concat()))?;
    docs::run(&[])?;
    bench::run(&["--quick".to_owned()])?;
    let instructions = ["bench", "--quiet", "--package", "crow-hooks", "--bench", "instructions"];
    step("instructions per hook call", &mut cargo(instructions))?;
    test::conformance(&["--release".to_owned()])?;
    if has("cargo-deny", "--version") {
        step("licences and advisories", &mut cargo(["deny", "--offline", "check", "bans", "licenses", "sources"]))?;
    }
    if has("cargo-hack", "--version") {
        let hack =
            ["hack", "check", "--each-feature", "--no-dev-deps", "--package", "crow-hooks", "--package", "crow-acp"];
        step("each feature on its own", &mut cargo(hack))?;
    }
    if has("cargo-fuzz", "--version") {
        for target in fuzz_targets() {
            let mut fuzz = cargo(["fuzz", "run", &target, "--", "-max_total_time=20"]);
            step(&format!("fuzz {target}"), &mut fuzz)?;
        }
    }
    no_registry_host()?;
    let counts = fs::read_to_string(test::counts_file()).unwrap_or_default();
    println!("ci: passed in {:.1} min; {counts}", start.elapsed().as_secs_f64() / 60.0);
    Ok(())
}

fn fuzz_targets() -> Vec<String> {
    let entries = fs::read_dir(root().join("fuzz/fuzz_targets")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    names.collect()
}

/// Lock files must work wherever they are used: they name no host but the public registries' own.
fn no_registry_host() -> Result<(), Failed> {
    let list = Command::new("git").current_dir(root()).args(["ls-files", "*.lock", "*-lock.json", "*.npmrc"]).output();
    let list = list.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for name in list.lines() {
        let text = fs::read_to_string(root().join(name)).unwrap_or_default();
        let resolved = text.lines().find(|line| line.contains("\"resolved\": \"http"));
        let foreign = text
            .lines()
            .find(|line| line.contains("registry+") && !line.contains("github.com/rust-lang/crates.io-index"));
        if let Some(line) = resolved.or(foreign) {
            return Err(Failed(format!("{name} names a registry host: {}", line.trim())));
        }
    }
    Ok(())
}
