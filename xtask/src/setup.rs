//! What the tests need beside Rust: the official clients, in the project's own folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::step::{Failed, command, has, root, step, target};

pub(crate) const HELP: &str = "\
usage: cargo xtask setup

Installs the official ACP clients that the tests drive the binary with, below target/test-deps:
  node/    the TypeScript client (with the protocol's JSON Schema) and acpx, as tests/clients/package-lock.json says
  python/  the Python client and pluggy in a virtual environment, as tests/clients/requirements.txt says
  python-tools/  maturin, uv, pytest, mypy, pyright, as python/requirements.txt says
  mcp-node/, mcp-python/  MCP servers of others, as package-lock.json and requirements.txt in tests/servers say
  pgserver/  PostgreSQL with pgvector, where the system has no pgvector of its own
Nothing outside that folder changes. What the system lacks is named, one line each, and left to you.
Does nothing when everything is there already.";

pub(crate) fn run(_args: &[String]) -> Result<(), Failed> {
    let missing = missing();
    if !missing.is_empty() {
        return Err(Failed::new(missing.join("\n             ")));
    }
    node("node", "tests/clients", "the official TypeScript client, acpx")?;
    python("python", "tests/clients", "the official Python client")?;
    node("mcp-node", "tests/servers", "an MCP server")?;
    python("mcp-python", "tests/servers", "MCP servers")?;
    python_tools()?;
    pgvector()
}

/// What the system lacks, one line each.
fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    let mut need = |there: bool, line: &str| {
        if !there {
            missing.push(line.to_owned());
        }
    };
    let install = "(Debian, Ubuntu: sudo apt-get install";
    need(has("node", "--version"), &format!("`node` is missing: install Node.js 20 or newer {install} nodejs)"));
    need(has("npm", "--version"), &format!("`npm` is missing: install it with Node.js {install} npm)"));
    if has("python3", "--version") {
        let probe = command("python3").args(["-c", "import ensurepip, venv"]).output();
        let there = probe.is_ok_and(|output| output.status.success());
        need(there, &format!("Python's `venv` module is missing {install} python3-venv)"));
    } else {
        need(false, &format!("`python3` is missing: install Python 3.10 or newer {install} python3 python3-venv)"));
    }
    missing
}

/// Installs what the lock file in `from` names.
fn node(folder: &str, from: &str, what: &str) -> Result<(), Failed> {
    let folder = target().join("test-deps").join(folder);
    let sources = [".npmrc", "package.json", "package-lock.json"];
    let wanted = contents(from, &sources)?;
    if is_current(&folder, &wanted) {
        return Ok(());
    }
    make(&folder)?;
    for name in sources {
        let from = root().join(from).join(name);
        fs::copy(&from, folder.join(name)).map_err(|error| Failed(format!("{}: {error}", from.display())))?;
    }
    let mut npm = command("npm");
    // Not `npm ci`: it refuses a lock file that lacks an optional package of another platform.
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    step(&format!("npm install ({what})"), &mut npm)?;
    stamp(&folder, &wanted)
}

/// Installs what the requirements in `from` name into a virtual environment.
fn python(folder: &str, from: &str, what: &str) -> Result<(), Failed> {
    let folder = target().join("test-deps").join(folder);
    let wanted = contents(from, &["requirements.txt"])?;
    if is_current(&folder, &wanted) {
        return Ok(());
    }
    make(&folder)?;
    step("python3 -m venv", command("python3").args(["-m", "venv"]).arg(&folder))?;
    let requirements = root().join(from).join("requirements.txt");
    let mut pip = command(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
    step(&format!("pip install ({what})"), &mut pip)?;
    stamp(&folder, &wanted)
}

/// The programs that build and check the Python packages: the folder they are in.
pub(crate) fn python_tools() -> Result<PathBuf, Failed> {
    python("python-tools", "python", "what builds and checks the Python packages")?;
    Ok(target().join("test-deps/python-tools/bin"))
}

/// PostgreSQL with pgvector, built by others, for systems that have no package of it. Tests that need it are skipped, and
/// say so, where this is not to be had either.
fn pgvector() -> Result<(), Failed> {
    const PACKAGE: &str = "pgserver==0.1.4";
    let debian = fs::read_dir("/usr/share/postgresql").into_iter().flatten().flatten();
    let folder = target().join("test-deps/pgserver");
    if debian.map(|entry| entry.path()).any(|path| path.join("extension/vector.control").is_file())
        || is_current(&folder, PACKAGE)
    {
        return Ok(());
    }
    make(&folder)?;
    let mut pip = command(target().join("test-deps/python/bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target"]);
    match step("pip install (PostgreSQL with pgvector)", pip.arg(&folder).arg(PACKAGE)) {
        Ok(()) => stamp(&folder, PACKAGE),
        Err(failed) => {
            println!("{}: tests that need pgvector will be skipped", failed.0);
            Ok(())
        }
    }
}

fn contents(from: &str, names: &[&str]) -> Result<String, Failed> {
    let read = |name: &&str| {
        let path = root().join(from).join(name);
        fs::read_to_string(&path).map_err(|error| Failed(format!("{}: {error}", path.display())))
    };
    names.iter().map(read).collect()
}

fn make(folder: &Path) -> Result<(), Failed> {
    fs::create_dir_all(folder).map_err(|error| Failed(format!("{}: {error}", folder.display())))
}

/// The stamp is written last, so a folder with it was installed to the end.
fn is_current(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join(".installed")).is_ok_and(|installed| installed == wanted)
}

fn stamp(folder: &Path, wanted: &str) -> Result<(), Failed> {
    fs::write(folder.join(".installed"), wanted).map_err(|error| Failed(format!("{}: {error}", folder.display())))
}
