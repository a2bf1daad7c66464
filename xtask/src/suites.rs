//! Python's `crow_hooks`: its own tests on every CPython, and other projects' suites on pluggy and on it, side by side.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    setup,
    step::{Failed, command, root, step, target, timed},
    wheel::{self, Interpreters},
};

pub(crate) const HELP: &str = "\
usage: cargo xtask pluggy-suites [--full] [--only SUITE]

Runs the suites of pluggy 1.7.0, apluggy, tox's plugins and pytest 9.2.0, from their sdists, twice: on pluggy and on
crow-hooks in its place. Every test must have the same outcome; one that differs is run again, on both, before it counts.
`cargo xtask test` does this too.
  --full         all of pytest's suite; without it, the files that are about plugins, configuration and reports
  --only SUITE   pluggy, apluggy, tox or pytest; or crow-hooks: its own tests on every CPython that is found, and its types";

/// Somebody's suite.
struct Suite {
    name: &'static str,
    sdist: &'static str,
    /// The environments it runs in.
    requirements: &'static str,
    /// What pytest is given, and what instead when not all is wanted.
    args: &'static [&'static str],
    reduced: Option<&'static [&'static str]>,
    /// How many must pass, whatever the other side does.
    at_least: usize,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "pluggy",
        sdist: "pluggy==1.7.0",
        requirements: "requirements-others.txt",
        // Not its benchmark, which needs a plugin of pytest's.
        args: &["testing", "--ignore=testing/benchmark.py", "-p", "no:asyncio"],
        reduced: None,
        at_least: 219,
    },
    Suite {
        name: "apluggy",
        sdist: "apluggy==1.1.2",
        requirements: "requirements-others.txt",
        args: &["tests", "-o", "addopts="],
        reduced: None,
        at_least: 1,
    },
    Suite {
        name: "tox",
        sdist: "tox==4.67.13",
        requirements: "requirements-others.txt",
        args: &["tests/plugin", "-p", "no:asyncio"],
        reduced: None,
        at_least: 1,
    },
    Suite {
        name: "pytest",
        sdist: "pytest==9.2.0",
        requirements: "requirements-pytest.txt",
        args: &["testing", "-n", "2"],
        reduced: Some(&[
            "testing/test_pluginmanager.py",
            "testing/test_config.py",
            "testing/test_conftest.py",
            "testing/test_helpconfig.py",
            "testing/test_runner.py",
            "testing/test_session.py",
            "testing/test_setuponly.py",
            "testing/test_stepwise.py",
            "testing/test_warnings.py",
            "testing/test_reports.py",
            "testing/logging",
        ]),
        at_least: 1,
    },
];

pub(crate) fn run(args: &[String]) -> Result<(), Failed> {
    let (mut full, mut only) = (false, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--full" => full = true,
            "--only" => only = args.next(),
            other => return Err(Failed(format!("unknown option `{other}`"))),
        }
    }
    if only.is_some_and(|name| name == "crow-hooks") {
        return own().map(drop);
    }
    if let Some(name) = only
        && !SUITES.iter().any(|suite| suite.name == name)
    {
        return Err(Failed(format!("there is no suite `{name}`")));
    }
    let wheels = wheel::build(&["crow-hooks", "pluggy"], &first_only()?, true)?;
    let suites: Vec<_> = SUITES.iter().filter(|suite| only.is_none_or(|name| suite.name == name)).collect();
    side_by_side(&suites, &wheels, full)
}

/// What `cargo xtask test` runs: the package's own tests and types, then the suites in their reduced form.
pub(crate) fn test() -> Result<(), Failed> {
    let wheels = own()?;
    side_by_side(&SUITES.iter().collect::<Vec<_>>(), &wheels, false)
}

/// The package's own tests on every CPython, and its types; gives the folder of the wheels.
fn own() -> Result<PathBuf, Failed> {
    let pythons = wheel::interpreters();
    let wheels = wheel::build(&["crow-hooks", "pluggy"], &pythons, true)?;
    let pluggy = sdist(&SUITES[0])?;
    for (minor, python) in &pythons {
        let venv = environment(
            &format!("own-3.{minor}"),
            python,
            &["pytest==9.2.0".to_owned()],
            &wheels,
            &["crow-hooks", "pluggy==1.7.0+crow"],
        )?;
        let mut own = command(venv.join("bin/python"));
        own.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "python/crow-hooks"]);
        step(&format!("crow_hooks' own tests on CPython 3.{minor}"), &mut own)?;
        // pytest itself runs on it here.
        let mut pluggys = command(venv.join("bin/python"));
        pluggys.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "testing", "--ignore=testing/benchmark.py"]);
        pluggys.current_dir(&pluggy);
        step(&format!("pluggy's tests of crow_hooks on CPython 3.{minor}"), &mut pluggys)?;
    }
    types()?;
    Ok(wheels)
}

/// The stubs, and what they make of calls, by two type checkers.
fn types() -> Result<(), Failed> {
    let tools = setup::python_tools()?;
    let (minor, _) = first()?;
    let python = venvs().join(format!("own-3.{minor}/bin/python"));
    let mut mypy = command(tools.join("mypy"));
    mypy.args(["--strict", "--no-incremental", "--python-executable"])
        .arg(&python)
        .arg("python/crow-hooks/tests/typing");
    step("mypy --strict on the types of crow_hooks", &mut mypy)?;
    let mut pyright = command(tools.join("pyright"));
    pyright.arg("--pythonpath").arg(&python).args(["--project", "python/crow-hooks/tests/typing"]);
    step("pyright, strict, on the types of crow_hooks", &mut pyright)
}

pub(crate) const BENCH_HELP: &str = "\
usage: cargo xtask bench-python [--instructions] [--json] [--rounds N] [--only NAME] [--python PATH]

Measures crow_hooks beside pluggy 1.7.0 and beside a bare loop in C, run by run in turn in one process.
  --instructions   instructions per call, by callgrind, instead of nanoseconds (needs valgrind)
  --python PATH    with this CPython; the one named python3 if not given
The rest goes to python/crow-hooks/benches/bench.py. Exit status 1 when a figure misses its goal.";

pub(crate) fn bench(args: &[String]) -> Result<(), Failed> {
    let mut rest = Vec::new();
    let (mut minor, mut python) = first()?;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--python" {
            python = PathBuf::from(args.next().ok_or_else(|| Failed::new("--python needs a path"))?);
            minor = wheel::minor(&python).ok_or_else(|| Failed::new("this is no CPython from 3.10 on"))?;
        } else {
            rest.push(arg);
        }
    }
    let wheels = wheel::build(&["crow-hooks"], &Interpreters::from([(minor, python.clone())]), false)?;
    let venv =
        environment(&format!("bench-3.{minor}"), &python, &["pluggy==1.7.0".to_owned()], &wheels, &["crow-hooks"])?;
    // As users have it: compiled once, when it was installed or first imported.
    let mut compile = command(venv.join("bin/python"));
    step("compile", compile.args(["-m", "compileall", "-q"]).arg(venv.join("lib")))?;
    let mut bench = command(venv.join("bin/python"));
    bench.arg("python/crow-hooks/benches/bench.py").args(rest);
    step("benchmark", &mut bench)
}

/// The CPython that the suites run on: the one named `python3`, if it is new enough.
fn first() -> Result<(u32, PathBuf), Failed> {
    let usual = PathBuf::from("python3");
    if let Some(minor) = wheel::minor(&usual) {
        return Ok((minor, usual));
    }
    wheel::interpreters().pop_first().ok_or_else(|| Failed::new("there is no CPython from 3.10 on"))
}

fn first_only() -> Result<Interpreters, Failed> {
    first().map(|each| Interpreters::from([each]))
}

fn venvs() -> PathBuf {
    target().join("test-deps/python-venvs")
}

/// A virtual environment of its own, with these requirements from the index and these packages of ours.
fn environment(
    name: &str,
    python: &Path,
    requirements: &[String],
    wheels: &Path,
    ours: &[&str],
) -> Result<PathBuf, Failed> {
    let uv = setup::python_tools()?.join("uv");
    let venv = venvs().join(name);
    let quiet = |mut command: Command, what: &str| {
        let output = command.output().map_err(|error| Failed(format!("{what}: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        Err(Failed(format!("{what} failed:\n{}", String::from_utf8_lossy(&output.stderr))))
    };
    timed(&format!("environment {name}"), || {
        let mut create = command(&uv);
        create.args(["venv", "--quiet", "--clear", "--python"]).arg(python).arg(&venv);
        quiet(create, "uv venv")?;
        let install = || {
            let mut install = command(&uv);
            install.args(["pip", "install", "--quiet", "--python"]).arg(venv.join("bin/python"));
            install
        };
        let mut theirs = install();
        theirs.args(requirements);
        quiet(theirs, "uv pip install")?;
        if ours.is_empty() {
            return Ok(());
        }
        let mut own = install();
        own.args(["--no-deps", "--reinstall", "--no-index", "--find-links"]).arg(wheels);
        own.args(ours);
        quiet(own, "uv pip install")?;
        if ours.len() > 1 {
            let mut whose = command(venv.join("bin/python"));
            whose.args(["-c", "import pluggy, crow_hooks; assert pluggy.HookCaller is crow_hooks.HookCaller"]);
            quiet(whose, "crow_hooks in pluggy's place")?;
        }
        Ok(())
    })?;
    Ok(venv)
}

/// Both sides of a comparison.
struct Sides {
    pluggy: PathBuf,
    crow: PathBuf,
}

fn side_by_side(suites: &[&Suite], wheels: &Path, full: bool) -> Result<(), Failed> {
    let (_, python) = first()?;
    let mut rows = Vec::new();
    let mut differing = Vec::new();
    for requirements in ["requirements-others.txt", "requirements-pytest.txt"] {
        let suites: Vec<_> = suites.iter().filter(|suite| suite.requirements == requirements).collect();
        if suites.is_empty() {
            continue;
        }
        let list = root().join("python/suites").join(requirements);
        let needs = ["-r".to_owned(), list.display().to_string(), "pluggy==1.7.0".to_owned()];
        let name = requirements.trim_start_matches("requirements-").trim_end_matches(".txt");
        let sides = Sides {
            pluggy: environment(&format!("{name}-on-pluggy"), &python, &needs, wheels, &[])?,
            crow: environment(
                &format!("{name}-on-crow"),
                &python,
                &needs,
                wheels,
                &["crow-hooks", "pluggy==1.7.0+crow"],
            )?,
        };
        for suite in suites {
            let (theirs, ours) = timed(&format!("{}'s suite, on pluggy and on crow_hooks", suite.name), || {
                compare(suite, &sides, full)
            })?;
            differing.extend(differences(&theirs, &ours).into_iter().map(|test| format!("{}: {test}", suite.name)));
            if count(&ours, "passed") < suite.at_least {
                differing.push(format!("{}: fewer than {} passed", suite.name, suite.at_least));
            }
            let form = if !full && suite.reduced.is_some() { " (reduced)" } else { "" };
            rows.push((format!("{}{form}", suite.sdist), theirs, ours));
        }
    }
    println!("\n{:<26}{:<60}on crow_hooks", "", "on pluggy");
    for (name, theirs, ours) in &rows {
        println!("{name:<26}{:<60}{}", told(theirs), told(ours));
    }
    if differing.is_empty() {
        return Ok(());
    }
    Err(Failed(format!("other outcomes than on pluggy:\n  {}", differing.join("\n  "))))
}

/// Outcomes by test.
type Outcomes = BTreeMap<String, String>;

fn compare(suite: &Suite, sides: &Sides, full: bool) -> Result<(Outcomes, Outcomes), Failed> {
    let source = sdist(suite)?;
    let args = if full { suite.args } else { suite.reduced.unwrap_or(suite.args) };
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let (mut theirs, mut ours) = both(suite, &source, sides, &args)?;
    let again: Vec<String> =
        differences(&theirs, &ours).into_iter().filter(|test| !test.starts_with("collecting")).collect();
    if !again.is_empty() && again.len() <= 50 {
        println!("    again: {}", again.join(" "));
        let (more_theirs, more_ours) = both(suite, &source, sides, &again)?;
        theirs.extend(more_theirs);
        ours.extend(more_ours);
    }
    Ok((theirs, ours))
}

/// The suite's sources, from the index.
fn sdist(suite: &Suite) -> Result<PathBuf, Failed> {
    let folder = target().join("test-deps/sdists");
    let unpacked = folder.join(suite.sdist.replace("==", "-"));
    if unpacked.is_dir() {
        return Ok(unpacked);
    }
    let tools = setup::python_tools()?;
    let mut download = command(tools.join("python"));
    download.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-binary", ":all:"]);
    download.args(["--no-deps", suite.sdist, "--dest"]).arg(&folder);
    step(&format!("sdist of {}", suite.sdist), &mut download)?;
    let mut unpack = command(tools.join("python"));
    let archive = folder.join(format!("{}.tar.gz", suite.sdist.replace("==", "-")));
    unpack.args(["-m", "tarfile", "-e"]).arg(archive).arg(&folder);
    step("unpack", &mut unpack)?;
    Ok(unpacked)
}

/// Runs tests on both sides at once, each in a copy of the sources.
fn both(suite: &Suite, source: &Path, sides: &Sides, args: &[String]) -> Result<(Outcomes, Outcomes), Failed> {
    let runs = target().join("test-deps/suite-runs");
    let start = |venv: &Path, side: &str| -> Result<(Child, PathBuf), Failed> {
        let folder = runs.join(format!("{}-on-{side}", suite.name));
        let outcomes = runs.join(format!("{}-on-{side}.txt", suite.name));
        let _ = fs::remove_dir_all(&folder);
        let _ = fs::remove_file(&outcomes);
        copy(source, &folder)?;
        let log = fs::File::create(runs.join(format!("{}-on-{side}.log", suite.name)));
        let log = log.map_err(|error| Failed(error.to_string()))?;
        let mut pytest = command(venv.join("bin/python"));
        pytest.current_dir(&folder).args(["-m", "pytest", "-q", "-p", "crow_outcomes"]).args(args);
        pytest.arg(format!("--basetemp={}", runs.join(format!("tmp-{}-{side}", suite.name)).display()));
        pytest.env("PYTHONPATH", root().join("python/suites")).env("CROW_OUTCOMES", &outcomes);
        // As outside of any continuous integration and any terminal: some tests look for it.
        for variable in ["CI", "BUILD_NUMBER", "COLUMNS", "PYTEST_ADDOPTS", "NO_COLOR", "FORCE_COLOR"] {
            pytest.env_remove(variable);
        }
        let err = log.try_clone().map_err(|error| Failed(error.to_string()))?;
        pytest.stdin(Stdio::null()).stdout(log).stderr(err);
        let child = pytest.spawn().map_err(|error| Failed(format!("pytest: {error}")))?;
        Ok((child, outcomes))
    };
    let end = |(mut child, outcomes): (Child, PathBuf)| -> Result<Outcomes, Failed> {
        let status = child.wait().map_err(|error| Failed(error.to_string()))?;
        let text = fs::read_to_string(&outcomes).map_err(|_| {
            Failed(format!(
                "{}'s suite did not run ({status}); see {}",
                suite.name,
                outcomes.with_extension("log").display()
            ))
        })?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(outcome, test)| (test.into(), outcome.into()))
            .collect())
    };
    let first = start(&sides.pluggy, "pluggy")?;
    let second = start(&sides.crow, "crow");
    let theirs = end(first)?;
    Ok((theirs, end(second?)?))
}

fn copy(from: &Path, to: &Path) -> Result<(), Failed> {
    let told = |error: std::io::Error| Failed(format!("{}: {error}", from.display()));
    fs::create_dir_all(to).map_err(told)?;
    for entry in fs::read_dir(from).map_err(told)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(told)?;
        }
    }
    Ok(())
}

/// Tests with another outcome, or on one side only.
fn differences(theirs: &Outcomes, ours: &Outcomes) -> Vec<String> {
    let tests = theirs.keys().chain(ours.keys().filter(|test| !theirs.contains_key(*test)));
    tests.filter(|test| theirs.get(*test) != ours.get(*test)).cloned().collect()
}

fn count(outcomes: &Outcomes, outcome: &str) -> usize {
    outcomes.values().filter(|each| *each == outcome).count()
}

fn told(outcomes: &Outcomes) -> String {
    let kinds = ["passed", "failed", "error", "skipped", "xfailed", "xpassed"];
    let counts = kinds.iter().map(|kind| (count(outcomes, kind), kind)).filter(|(count, _)| *count > 0);
    counts.map(|(count, kind)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Outcomes, differences, told};

    fn outcomes(each: &[(&str, &str)]) -> Outcomes {
        each.iter().map(|(test, outcome)| ((*test).to_owned(), (*outcome).to_owned())).collect()
    }

    #[test]
    fn a_test_that_is_missing_differs() {
        let theirs = outcomes(&[("a", "passed"), ("b", "passed"), ("c", "skipped")]);
        let ours = outcomes(&[("a", "failed"), ("c", "skipped"), ("d", "passed")]);
        assert_eq!(differences(&theirs, &ours), ["a", "b", "d"]);
        assert_eq!(told(&theirs), "2 passed, 1 skipped");
    }
}
