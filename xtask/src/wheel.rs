//! Building the Python packages.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::{
    setup,
    step::{Failed, command, root, step, target},
};

pub(crate) const HELP: &str = "\
usage: cargo xtask wheel [--debug] [--only PACKAGE]... [--python PATH]...

Builds the wheels of the Python packages into target/wheels:
  crow-hooks   the engine: one for CPython 3.10, one for 3.11, one for 3.12 and later
  crow-acp     the agent: one for each CPython
  pluggy       the shim that puts crow-hooks in pluggy's place
for every CPython from 3.10 on that is found: on the PATH and among pyenv's versions.
  --debug          not optimised, into target/wheels-debug: what the tests use
  --only PACKAGE   only this package
  --python PATH    only for this interpreter";

/// A package, and how it is built.
struct Package {
    name: &'static str,
    folder: &'static str,
    built: Built,
}

/// What a package's wheel depends on.
#[derive(Clone, Copy, PartialEq)]
enum Built {
    /// Python alone.
    Pure,
    /// The version of CPython.
    Native,
    /// The version of CPython; from 3.12 on, one for all by the crate's feature `abi3`.
    NativeOrAbi3,
}

const PACKAGES: &[Package] = &[
    Package { name: "crow-hooks", folder: "python/crow-hooks", built: Built::NativeOrAbi3 },
    Package { name: "crow-acp", folder: "python/crow-acp", built: Built::Native },
    Package { name: "pluggy", folder: "python/pluggy-shim", built: Built::Pure },
];

/// An interpreter, by its minor version.
pub(crate) type Interpreters = BTreeMap<u32, PathBuf>;

pub(crate) fn run(args: &[String]) -> Result<(), Failed> {
    let mut args = args.iter();
    let (mut debug, mut only, mut pythons) = (false, Vec::new(), Interpreters::new());
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| Failed(format!("{arg} needs a value")));
        match arg.as_str() {
            "--debug" => debug = true,
            "--only" => {
                let name = value()?;
                if !PACKAGES.iter().any(|package| package.name == name) {
                    let names: Vec<_> = PACKAGES.iter().map(|package| package.name).collect();
                    return Err(Failed(format!("there is no package `{name}`; there are {}", names.join(", "))));
                }
                only.push(name.clone());
            }
            "--python" => {
                let path = PathBuf::from(value()?);
                let minor =
                    minor(&path).ok_or_else(|| Failed(format!("{} is no CPython from 3.10 on", path.display())))?;
                pythons.insert(minor, path);
            }
            other => return Err(Failed(format!("unknown option `{other}`; cargo xtask wheel --help lists them"))),
        }
    }
    if pythons.is_empty() {
        pythons = interpreters();
    }
    let only: Vec<&str> = only.iter().map(String::as_str).collect();
    let made = build(&only, &pythons, debug)?;
    println!("wheels in {}", made.display());
    Ok(())
}

/// Builds packages (all, if `only` is empty) for `pythons`, and gives the folder of the wheels.
pub(crate) fn build(only: &[&str], pythons: &Interpreters, debug: bool) -> Result<PathBuf, Failed> {
    let tools = setup::python_tools()?;
    let folder = target().join(if debug { "wheels-debug" } else { "wheels" });
    fs::create_dir_all(&folder).map_err(|error| Failed(format!("{}: {error}", folder.display())))?;
    for package in PACKAGES.iter().filter(|package| only.is_empty() || only.contains(&package.name)) {
        forget(&folder, package.name);
        if package.built == Built::Pure {
            let mut uv = command(tools.join("uv"));
            uv.args(["build", "--quiet", "--wheel", "--out-dir"]).arg(&folder).arg(root().join(package.folder));
            step(&format!("wheel of {}", package.name), &mut uv)?;
            continue;
        }
        let mut stable = false;
        for (minor, python) in pythons {
            let abi3 = package.built == Built::NativeOrAbi3 && *minor >= 12;
            if abi3 && std::mem::replace(&mut stable, true) {
                continue;
            }
            let mut maturin = command(tools.join("maturin"));
            maturin.args(["build", "--quiet", "--strip", "--interpreter"]).arg(python).arg("--out").arg(&folder);
            maturin.arg(if debug { "--profile=dev" } else { "--release" });
            if abi3 {
                maturin.args(["--features", "abi3"]);
            }
            maturin.current_dir(root().join(package.folder));
            step(&format!("wheel of {} for CPython 3.{minor}", package.name), &mut maturin)?;
        }
    }
    Ok(folder)
}

/// Removes the wheels of a package that were built before.
fn forget(folder: &Path, package: &str) {
    let prefix = format!("{}-", package.replace('-', "_"));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Every CPython from 3.10 on that is found, one of each version.
pub(crate) fn interpreters() -> Interpreters {
    let mut found = Interpreters::new();
    for python in candidates() {
        if let Some(minor) = minor(&python) {
            found.entry(minor).or_insert(python);
        }
    }
    found
}

fn candidates() -> Vec<PathBuf> {
    let names = (10..20).map(|minor| format!("python3.{minor}")).chain(["python3".to_owned()]);
    let mut candidates: Vec<PathBuf> = Vec::new();
    let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
    let versions = pyenv.and_then(|pyenv| fs::read_dir(pyenv.join("versions")).ok());
    let mut installed: Vec<PathBuf> =
        versions.into_iter().flatten().flatten().map(|entry| entry.path().join("bin/python3")).collect();
    installed.sort();
    candidates.extend(installed);
    candidates.extend(names.map(PathBuf::from));
    candidates
}

/// The minor version of a CPython 3 from 3.10 on that works.
pub(crate) fn minor(python: &Path) -> Option<u32> {
    const ASK: &str = "import sys; print(sys.implementation.name, sys.version_info[0], sys.version_info[1])";
    let output = command(python).args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let told = String::from_utf8(output.stdout).ok()?;
    let mut words = told.split_whitespace();
    if (words.next(), words.next()) != (Some("cpython"), Some("3")) {
        return None;
    }
    words.next()?.parse().ok().filter(|minor| *minor >= 10)
}
