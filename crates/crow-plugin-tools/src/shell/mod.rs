//! A shell that lives across commands, on a terminal of its own.
//!
//! The shell reads its commands from a pipe and everything it runs has the terminal as input and output, so that there is
//! no prompt and no echo to filter out, and nothing that runs can swallow the next command. Whoever drops a [`Shell`]
//! ends everything it started. If the agent is killed outright, the terminal closes and the system hangs up on the shell
//! and the command that runs; the pipe closes too.

mod inbox;
mod kill;
mod marker;

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::termios::{LocalModes, OptionalActions, OutputModes, QueueSelector, Termios};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::time::Instant;

use self::inbox::Inbox;
use self::marker::{Marker, Status};
use crate::screen::Characters;

/// What the terminal says its size is. Wide, because programs shorten what does not fit.
const ROWS: u16 = 50;
const COLUMNS: u16 = 160;

/// A command that reads its input finds it at its end. Several times over, for scripts that read more than once.
const END_OF_INPUT: [u8; 8] = [4; 8];

/// Output that is still on its way when a shell has gone arrives within this.
const LAST_WORDS: Duration = Duration::from_millis(30);

/// Output that nothing follows for so long is worth showing.
const SETTLED: Duration = Duration::from_millis(40);

/// How a shell is started.
#[derive(Debug, Clone)]
pub(crate) struct ShellOptions {
    /// The program and its arguments, for example `bash`. It must understand POSIX shell syntax.
    pub(crate) program: Vec<String>,
    /// Where it starts.
    pub(crate) cwd: PathBuf,
    /// Whether what runs may use colours and the like.
    pub(crate) escapes: bool,
}

/// Why there is no shell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    #[error("the shell `{0}` cannot be started: {1}")]
    Start(String, std::io::Error),
    #[error("the directory {} does not exist any more", .0.display())]
    Directory(PathBuf),
    #[error("no terminal can be opened: {0}")]
    Terminal(#[from] pty_process::Error),
    #[error("the terminal cannot be set up: {0}")]
    Setup(#[from] rustix::io::Errno),
    #[error("a command cannot contain a NUL character")]
    Nul,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The shell is ready for the next.
    Finished {
        /// The exit code; above 128 a signal ended it.
        code: i32,
    },
    /// The shell is gone with it, because of `exit`, `exec`, `set -e` or a signal.
    ShellGone {
        /// The exit code of the shell, if it was not a signal that ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// It took too long. The shell must be dropped.
    TimedOut,
}

/// A shell that is ready for a command. Dropping it kills it and everything it started.
#[derive(Debug)]
pub(crate) struct Shell {
    /// `None` only while it is being dropped.
    process: Option<Process>,
    commands: ChildStdin,
    keyboard: pty_process::OwnedWritePty,
    /// Our own hold on the terminal's other side: to put right what a command did to it.
    terminal: Arc<OwnedFd>,
    modes: Termios,
    inbox: Arc<Inbox>,
    reader: tokio::task::AbortHandle,
    eval: &'static str,
    marker: Marker,
    cwd: PathBuf,
}

#[derive(Debug)]
struct Process {
    child: Child,
    tree: kill::Tree,
}

impl Shell {
    /// Starts a shell.
    pub(crate) fn start(options: &ShellOptions) -> Result<Self, ShellError> {
        if !options.cwd.is_dir() {
            return Err(ShellError::Directory(options.cwd.clone()));
        }
        let (pty, pts) = pty_process::open()?;
        pty.resize(pty_process::Size::new(ROWS, COLUMNS))?;
        let terminal = pts.as_fd().try_clone_to_owned().map_err(pty_process::Error::Io)?;
        let mut modes = rustix::termios::tcgetattr(&terminal)?;
        modes.local_modes -= LocalModes::ECHO;
        // A newline stays a newline.
        modes.output_modes -= OutputModes::ONLCR;
        rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &modes)?;

        let Some((program, arguments)) = options.program.split_first() else {
            return Err(ShellError::Start(String::new(), std::io::ErrorKind::NotFound.into()));
        };
        let mark = random_word();
        let mut child = pty_process::Command::new(program)
            .args(arguments)
            .current_dir(&options.cwd)
            .env("TERM", if options.escapes { "xterm-256color" } else { "dumb" })
            // Nobody is there to turn the page or to type a password.
            .envs([("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GIT_TERMINAL_PROMPT", "0")])
            .env("PWD", &options.cwd)
            .env(kill::MARK, &mark)
            .stdin(Stdio::piped())
            .spawn(pts)
            .map_err(|error| match error {
                pty_process::Error::Io(error) => ShellError::Start(program.clone(), error),
                other => ShellError::Terminal(other),
            })?;
        let (Some(commands), Some(pid)) = (child.stdin.take(), child.id()) else {
            return Err(ShellError::Start(program.clone(), std::io::ErrorKind::BrokenPipe.into()));
        };
        let (output, keyboard) = pty.into_split();
        let inbox = Arc::new(Inbox::default());
        let reader = tokio::spawn(read_all(output, Arc::clone(&inbox))).abort_handle();
        let is_zsh = Path::new(program).file_name() == Some(OsStr::new("zsh"));
        Ok(Self {
            process: Some(Process { child, tree: kill::Tree::new(pid, mark) }),
            commands,
            keyboard,
            terminal: Arc::new(terminal),
            modes,
            inbox,
            reader,
            // `command` keeps a mistake in the syntax from ending the shell; zsh means something else by it.
            eval: if is_zsh { "eval" } else { "command eval" },
            marker: Marker::new(random_word()),
            cwd: options.cwd.clone(),
        })
    }

    /// The directory the shell was in after its last command.
    pub(crate) fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// Whether it still runs: a job in the background may have ended it.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.child.try_wait(), Ok(None)))
    }

    /// Runs a command for at most `limit`, handing its output on as it comes, and nothing once it has settled. What jobs
    /// in the background have printed since the last command comes first.
    ///
    /// Dropping the future leaves the command running: drop the shell too.
    pub(crate) async fn run(
        &mut self,
        command: &str,
        limit: Duration,
        mut on_output: impl FnMut(&str),
    ) -> Result<End, ShellError> {
        if command.contains('\0') {
            return Err(ShellError::Nul);
        }
        let deadline = Instant::now() + limit;
        rustix::termios::tcflush(&*self.terminal, QueueSelector::IFlush)?;
        rustix::termios::tcsetattr(&*self.terminal, OptionalActions::Now, &self.modes)?;
        let _listening = self.inbox.listen();
        let script = self.script(command);
        let Some(process) = &mut self.process else { return Ok(End::ShellGone { code: None, signal: None }) };
        let mut characters = Characters::default();
        let work = async {
            let send = async {
                let _ = self.keyboard.write_all(&END_OF_INPUT).await;
                arrived(Arc::clone(&self.terminal)).await;
                // If the shell is gone this fails, and waiting for it tells.
                let _ = self.commands.write_all(script.as_bytes()).await;
                let _ = self.commands.flush().await;
                std::future::pending::<()>().await;
            };
            let receive = async {
                let mut is_settled = true;
                loop {
                    let bytes = if is_settled {
                        self.inbox.take().await
                    } else if let Ok(bytes) = tokio::time::timeout(SETTLED, self.inbox.take()).await {
                        bytes
                    } else {
                        on_output("");
                        is_settled = true;
                        continue;
                    };
                    is_settled = false;
                    let (shown, status) = self.marker.split(&bytes);
                    on_output(&characters.push(&shown));
                    if let Some(status) = status {
                        return status;
                    }
                }
            };
            tokio::select! {
                status = receive => Ok(status),
                ended = process.child.wait() => Err(ended),
                () = send => Err(Err(std::io::ErrorKind::BrokenPipe.into())),
            }
        };
        match tokio::time::timeout_at(deadline, work).await {
            Err(_) => Ok(End::TimedOut),
            Ok(Ok(Status { code, cwd })) => {
                self.cwd = cwd;
                Ok(End::Finished { code })
            }
            Ok(Err(ended)) => {
                while let Ok(bytes) = tokio::time::timeout(LAST_WORDS, self.inbox.take()).await {
                    on_output(&characters.push(&self.marker.split(&bytes).0));
                }
                let ended: Option<ExitStatus> = ended.ok();
                Ok(End::ShellGone { code: ended.and_then(|e| e.code()), signal: ended.and_then(|e| e.signal()) })
            }
        }
    }

    /// What is written to the shell to run `command` and to hear of its end.
    fn script(&self, command: &str) -> String {
        let quoted = command.replace('\'', r"'\''");
        let (eval, report) = (self.eval, self.marker.print());
        format!("{eval} '{quoted}' </dev/tty >/dev/tty 2>&1\n{report}\n")
    }

    /// Ends the shell and everything it started, and resolves when that is done.
    pub(crate) async fn close(mut self) {
        if let Some(killing) = self.kill() {
            let _ = tokio::task::spawn_blocking(move || killing.join()).await;
        }
    }

    fn kill(&mut self) -> Option<std::thread::JoinHandle<()>> {
        self.reader.abort();
        let Process { child, tree } = self.process.take()?;
        tree.kill(child)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until what was typed has arrived: a command that changes the terminal's modes at once would else see it echoed.
async fn arrived(terminal: Arc<OwnedFd>) {
    let wait = move || {
        let mut input = [PollFd::new(&*terminal, PollFlags::IN)];
        let limit = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        rustix::event::poll(&mut input, Some(&limit))
    };
    let _ = tokio::task::spawn_blocking(wait).await;
}

/// Reads what the terminal prints until nobody holds its other side.
async fn read_all(mut output: pty_process::OwnedReadPty, inbox: Arc<Inbox>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(size @ 1..) = output.read(&mut buffer).await {
        inbox.put(&buffer[..size]).await;
    }
}

/// A word that no program prints by chance.
fn random_word() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The first of `names` that is a program in the search path.
pub(crate) fn first_program(names: &[&str]) -> Option<String> {
    let path: OsString = std::env::var_os("PATH")?;
    let exists = |name: &&&str| std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    names.iter().find(exists).map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests;
