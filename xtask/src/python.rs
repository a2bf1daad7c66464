//! Python's `crow_acp`: its own tests, those of the example packages, and what type checkers say.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    setup,
    step::{Failed, command, root, step, target, timed, watched},
    test::Counts,
    wheel::{self, Interpreters},
};

pub(crate) const HELP: &str = "\
usage: cargo xtask python [--all] [-- ARGUMENTS FOR pytest]

Builds the wheel of crow-acp (not optimised), installs it into environments of its own below target/test-deps, and runs
the tests of the package and of the example packages, and mypy and pyright in strict mode. `cargo xtask test` does this too.

  --all    on every CPython that is found, from 3.10 on; otherwise on the one named python3

  cargo xtask python -- -k wrappers    only the package's tests with `wrappers` in their name";

/// Packages of plugins, each with its tests.
const EXAMPLES: &[&str] = &["crow-persistence", "crow-skills-rag", "crow-weather-tool"];

pub(crate) fn run(args: &[String]) -> Result<(), Failed> {
    let mut counts = Counts::default();
    let all = args.first().is_some_and(|arg| arg == "--all");
    let rest: Vec<String> = args.iter().skip(usize::from(all)).skip_while(|arg| *arg == "--").cloned().collect();
    let passed = if all { on_each(&rest, &mut counts)? } else { check(&rest, &mut counts)? };
    println!("{counts}");
    if passed { Ok(()) } else { Err(Failed::new("tests failed")) }
}

/// Does all of it on one CPython and adds to `counts`. False: something failed; the rest was done all the same.
pub(crate) fn check(args: &[String], counts: &mut Counts) -> Result<bool, Failed> {
    let python = setup::python_tools()?.join("python");
    let minor = wheel::minor(&python).ok_or_else(|| Failed::new("`python3` is older than 3.10"))?;
    let wheels = wheel::build(&["crow-acp"], &Interpreters::from([(minor, python.clone())]), true)?;
    on(minor, &python, &wheels, args, counts)
}

/// The same on every CPython that is found, without the type checkers, which have nothing new to say.
fn on_each(args: &[String], counts: &mut Counts) -> Result<bool, Failed> {
    let pythons = wheel::interpreters();
    let wheels = wheel::build(&["crow-acp"], &pythons, true)?;
    let mut passed = true;
    for (minor, python) in &pythons {
        passed &= on(*minor, python, &wheels, args, counts)?;
    }
    Ok(passed)
}

fn on(minor: u32, python: &Path, wheels: &Path, args: &[String], counts: &mut Counts) -> Result<bool, Failed> {
    let tools = setup::python_tools()?;
    let wheel = built(wheels, minor)?;
    let own = environment(&tools, python, &format!("package-3.{minor}"), &[&wheel])?;
    let mut pytest = command(own.join("bin/python"));
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).args(args);
    pytest.current_dir(root().join("python/crow-acp"));
    pytest.env("CROW_WHEEL", &wheel).env("CROW_UV", tools.join("uv"));
    let mut passed = tests(&format!("crow-acp on CPython 3.{minor}"), &mut pytest, counts)?;
    if !args.is_empty() {
        return Ok(passed);
    }
    let checked = wheel::minor(&tools.join("python")) == Some(minor);
    for example in EXAMPLES {
        let folder = root().join("python/examples").join(example);
        let environment = environment(&tools, python, &format!("{example}-3.{minor}"), &[&wheel, &folder])?;
        let mut pytest = command(environment.join("bin/python"));
        pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).current_dir(&folder);
        passed &= tests(&format!("{example} on CPython 3.{minor}"), &mut pytest, counts)?;
        passed &= !checked || types(&tools, &environment, &[&folder]);
    }
    if checked {
        passed &= types(&tools, &own, &[&root().join("python/crow-acp/src"), &root().join("python/crow-acp/tests")]);
    }
    Ok(passed)
}

fn built(wheels: &Path, minor: u32) -> Result<PathBuf, Failed> {
    let tag = format!("-cp3{minor}-");
    let entries = fs::read_dir(wheels).into_iter().flatten().flatten().map(|entry| entry.path());
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("crow_acp-") && name.contains(&tag)
    };
    entries
        .into_iter()
        .find(fits)
        .ok_or_else(|| Failed(format!("{}: no wheel of crow-acp for CPython 3.{minor}", wheels.display())))
}

/// A fresh environment with pytest and these packages.
fn environment(tools: &Path, python: &Path, name: &str, packages: &[&Path]) -> Result<PathBuf, Failed> {
    let folder = target().join("test-deps/python-agent").join(name);
    let mut uv = command(tools.join("uv"));
    uv.args(["venv", "--quiet", "--clear", "--python"]).arg(python).arg(&folder);
    let made = uv.status().is_ok_and(|status| status.success());
    if !made {
        return Err(Failed(format!("uv venv {}: failed", folder.display())));
    }
    let mut uv = command(tools.join("uv"));
    uv.args(["pip", "install", "--quiet", "--python"]).arg(folder.join("bin/python"));
    // Built again under the same version, it must not come from uv's cache.
    uv.args(["--refresh", "pytest==9.2.0"]).args(packages);
    step(&format!("environment for the tests of {name}"), &mut uv)?;
    Ok(folder)
}

fn tests(name: &str, pytest: &mut std::process::Command, counts: &mut Counts) -> Result<bool, Failed> {
    pytest.env("PYTHONDONTWRITEBYTECODE", "1");
    timed(&format!("tests of {name}"), || watched(pytest, |line| counts.add_pytest(line)))
}

/// mypy and pyright, strict.
fn types(tools: &Path, environment: &Path, folders: &[&Path]) -> bool {
    let python = environment.join("bin/python");
    let names: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let mut mypy = command(tools.join("mypy"));
    mypy.args(["--strict", "--python-executable"]).arg(&python).args(folders);
    mypy.arg("--cache-dir").arg(target().join("mypy"));
    let mypy = step(&format!("mypy --strict {}", names.join(" ")), &mut mypy);
    let mut pyright = command(tools.join("pyright"));
    pyright.arg("--pythonpath").arg(&python).args(folders);
    let pyright = step(&format!("pyright {}", names.join(" ")), &mut pyright);
    for failed in [&mypy, &pyright].into_iter().filter_map(|result| result.as_ref().err()) {
        eprintln!("{}", failed.0);
    }
    mypy.is_ok() && pyright.is_ok()
}
