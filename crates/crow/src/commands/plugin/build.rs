//! Running cargo: what it says goes to a log, how far it is to one line of the terminal. Ctrl-C ends it.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::host::Place;
use crate::exit::{Exit, Failure};
use crate::signals::Interrupts;

/// How long cargo may take to leave when it is told to.
const GRACE: Duration = Duration::from_secs(5);

/// How long a new program may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many lines of an error are shown; the log has all of them.
const SHOWN: usize = 24;

/// The variable that names the profile to build with. For tests of Crow itself, where time counts more than speed.
const PROFILE: &str = "CROW_HOST_PROFILE";

/// Runs cargo in the staging directory.
#[derive(Debug)]
pub(crate) struct Cargo<'a> {
    place: &'a Place,
    interrupts: &'a mut Interrupts,
    log: File,
}

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    /// It worked.
    pub(crate) success: bool,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error, without the signs of progress.
    pub(crate) stderr: String,
}

impl<'a> Cargo<'a> {
    /// Looks for cargo, and starts a new log.
    ///
    /// # Errors
    /// There is no cargo, or the log cannot be written.
    pub(crate) async fn find(place: &'a Place, interrupts: &'a mut Interrupts) -> Result<Self, Failure> {
        let found = Command::new("cargo").arg("--version").stdin(Stdio::null()).output().await;
        if !found.is_ok_and(|output| output.status.success()) {
            return Err(Failure::failed("plugins are compiled, and there is no cargo here")
                .next("Install Rust from https://rustup.rs (1.95 or later), then try again."));
        }
        let path = place.log();
        let log = super::host::private_file(&path).and_then(|file| file.set_len(0).map(|()| file));
        let log = log.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))?;
        Ok(Self { place, interrupts, log })
    }

    /// Builds the program that is staged and returns where it is.
    ///
    /// # Errors
    /// It does not compile, with the compiler's first error; or the user cancelled.
    pub(crate) async fn build(&mut self) -> Result<PathBuf, Failure> {
        let profile = std::env::var(PROFILE).ok().filter(|name| !name.is_empty());
        let profile = profile.unwrap_or_else(|| "release".to_owned());
        let args = ["build", "--offline", "--locked", "--profile", &profile, "--message-format", "json"];
        let ended = self.run(&args).await?;
        let messages: Vec<Value> = ended.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let errors: Vec<&str> = messages.iter().filter_map(compiler_error).collect();
        for error in &errors {
            let _ = writeln!(self.log, "{error}");
        }
        if !ended.success {
            let first = errors.first().map_or_else(|| first_error(&ended.stderr), |error| cut(error));
            return Err(self.failed("it does not compile", &first));
        }
        let program = messages.iter().rev().find_map(|message| message["executable"].as_str());
        program.map(PathBuf::from).ok_or_else(|| self.failed("cargo built no program", ""))
    }

    /// A failure with what cargo or the compiler says, and where the rest is.
    pub(crate) fn failed(&self, what: &str, first: &str) -> Failure {
        let log = format!("Nothing was changed. All of it: {}", self.place.log().display());
        Failure::failed(what).next(if first.is_empty() { log } else { format!("{}\n{log}", first.trim_end()) })
    }

    /// Starts a program that was built, to hear what it says of itself.
    ///
    /// # Errors
    /// It cannot be started, does not end, or the user cancelled.
    pub(crate) async fn try_out(&mut self, program: &Path, args: &[&str]) -> Result<Ended, Failure> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true).process_group(0);
        let output = tokio::select! {
            output = tokio::time::timeout(PATIENCE, command.output()) => output,
            () = self.interrupts.next() => return Err(cancelled()),
        };
        let output = match output {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                return Err(self.failed("the program that was built cannot be started", &error.to_string()));
            }
            Err(_) => return Err(self.failed("the program that was built does not answer", "Some `plugin()` hangs.")),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ended { success: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Runs cargo.
    ///
    /// # Errors
    /// It cannot be started, or the user cancelled.
    pub(crate) async fn run(&mut self, args: &[&str]) -> Result<Ended, Failure> {
        let _ = writeln!(self.log, "$ cargo {}", args.join(" "));
        let mut command = Command::new("cargo");
        command.args(args).current_dir(self.place.staging());
        // Where the user has all targets in one place, it stays there.
        if !std::env::var_os("CARGO_TARGET_DIR").is_some_and(|target| Path::new(&target).is_absolute()) {
            command.env("CARGO_TARGET_DIR", self.place.target());
        }
        command.env("CARGO_TERM_COLOR", "never").env("CARGO_TERM_PROGRESS_WHEN", "always");
        command.env("CARGO_TERM_PROGRESS_WIDTH", "200").env("CARGO_TERM_QUIET", "false");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // A group of its own: Ctrl-C comes to this process, which ends cargo and the compilers, and then tidies up.
        command.process_group(0);
        let mut child =
            command.spawn().map_err(|error| Failure::failed(format!("cargo cannot be started: {error}")))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut progress = Progress::new();
        let log = &mut self.log;
        let ended = {
            let all = async {
                let (stdout, stderr) = tokio::join!(read(stdout), follow(stderr, log, &mut progress));
                (child.wait().await, stdout, stderr)
            };
            tokio::select! {
                ended = all => Some(ended),
                () = self.interrupts.next() => None,
            }
        };
        progress.clear();
        let Some((status, stdout, stderr)) = ended else {
            stop(&mut child).await;
            return Err(cancelled());
        };
        Ok(Ended { success: status.is_ok_and(|status: ExitStatus| status.success()), stdout, stderr })
    }
}

fn cancelled() -> Failure {
    Failure { exit: Exit::Cancelled, what: "cancelled: nothing was changed".into(), next: None }
}

/// Ends cargo and everything it started.
async fn stop(child: &mut Child) {
    let group = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.wait().await;
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads standard error: progress is shown, everything else is logged and returned.
async fn follow(pipe: Option<impl AsyncRead + Unpin>, log: &mut File, progress: &mut Progress) -> String {
    let mut said = String::new();
    let Some(mut pipe) = pipe else { return said };
    let (mut pending, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = pipe.read(&mut chunk).await.unwrap_or(0);
        pending.extend_from_slice(&chunk[..count]);
        // Signs of progress end with a carriage return.
        while let Some(end) = pending.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            match step(line) {
                Some(step) => progress.show(&step),
                None if line.is_empty() => {}
                None => {
                    if let Some(waiting) = waiting(line) {
                        progress.show(waiting);
                    }
                    let _ = writeln!(log, "{line}");
                    said.push_str(line);
                    said.push('\n');
                }
            }
        }
        if count == 0 {
            said.push_str(&String::from_utf8_lossy(&pending));
            return said;
        }
    }
}

/// `Building [==>  ] 12/250: syn, libc…` → `12/250  syn, libc…`
fn step(line: &str) -> Option<String> {
    let line = line.trim();
    let (what, rest) = line.split_once(" [")?;
    if what.contains(' ') {
        return None;
    }
    let (_, rest) = rest.split_once("] ")?;
    let (count, names) = rest.split_once(": ").unwrap_or((rest, ""));
    Some(format!("{what} {}  {}", count.trim(), names.trim()))
}

/// What cargo does when it does not count, if it is worth a line.
fn waiting(line: &str) -> Option<&str> {
    let line = line.trim();
    ["Blocking ", "Updating ", "Downloading ", "Locking "].iter().any(|start| line.starts_with(start)).then_some(line)
}

fn compiler_error(message: &Value) -> Option<&str> {
    let message = (message["reason"] == "compiler-message").then(|| &message["message"])?;
    if message["level"] == "error" { message["rendered"].as_str() } else { None }
}

/// The first error that cargo itself reports.
pub(crate) fn first_error(stderr: &str) -> String {
    let from = stderr.lines().position(|line| line.starts_with("error")).unwrap_or(0);
    let lines: Vec<&str> = stderr.lines().skip(from).collect();
    cut(&lines.join("\n"))
}

fn cut(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let mut shown = lines.iter().take(SHOWN).copied().collect::<Vec<_>>().join("\n");
    if lines.len() > SHOWN {
        shown.push_str("\n…");
    }
    shown
}

/// One line of a terminal that changes; nothing where there is no terminal.
#[derive(Debug)]
struct Progress {
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, text: &str) {
        if self.terminal {
            let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
            let text: String = text.chars().take(width.saturating_sub(3)).collect();
            self.write(&format!("\r\x1b[K  {text}"));
        }
    }

    fn clear(&mut self) {
        if self.terminal {
            self.write("\r\x1b[K");
        }
    }

    fn write(&mut self, text: &str) {
        let mut out = std::io::stderr();
        self.terminal = out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_from_what_matters() {
        let building = "    Building [=====>                    ] 12/250: syn, libc(build)   ";
        assert_eq!(step(building).as_deref(), Some("Building 12/250  syn, libc(build)"));
        assert_eq!(step("   Compiling word-count v0.1.0 (/src/[x] y)"), None);
        assert_eq!(step("error[E0308]: mismatched types"), None);
        assert_eq!(
            waiting("    Blocking waiting for file lock on package cache").map(|line| &line[..8]),
            Some("Blocking")
        );
    }

    #[test]
    fn the_first_error_is_the_one_to_read() {
        let stderr = "    Updating crates.io index\nerror: no matching package named `x` found\nlocation searched: y\n";
        assert_eq!(first_error(stderr), "error: no matching package named `x` found\nlocation searched: y");
        let long = format!("error: {}", "line\n".repeat(100));
        assert_eq!(first_error(&long).lines().count(), SHOWN + 1);
    }
}
