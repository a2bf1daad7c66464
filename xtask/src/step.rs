//! Running one program after the other, and saying so.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// A step that failed, with the one line to tell.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl Failed {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The target directory of the workspace.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// A command in the workspace's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs us, with these arguments.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Whether a program can be started at all.
pub(crate) fn has(program: &str, probe: &str) -> bool {
    let mut command = command(program);
    command.arg(probe).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Says what comes, runs it, says how long it took.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<(), Failed> {
    timed(what, || {
        let status = command.status().map_err(|error| Failed(format!("{what}: cannot start: {error}")))?;
        if status.success() { Ok(()) } else { Err(Failed(format!("{what}: failed ({status})"))) }
    })
}

/// Says what comes, does it, says how long it took.
pub(crate) fn timed<T>(what: &str, work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    println!("==> {what}");
    let _ = std::io::stdout().flush();
    let start = Instant::now();
    let result = work();
    let word = if result.is_ok() { "done" } else { "FAILED" };
    println!("<== {what}: {word} in {:.1} s", start.elapsed().as_secs_f64());
    result
}

/// Runs a command whose stdout is shown line by line as it comes, and handed to `each` as well.
pub(crate) fn watched(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool, Failed> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failed(format!("{} cannot be started: {error}", command.get_program().display())))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            each(&line);
            println!("{line}");
        }
    }
    child.wait().map(|status| status.success()).map_err(|error| Failed(error.to_string()))
}
