//! A server's process: in a group of its own, so that it goes with everything it started.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::spec::Spec;

/// How much of what a server says on its standard error is kept: the end, in bytes.
const KEPT_ERRORS: usize = 2048;

/// How long a server may take to leave after its input has ended, and again after it was told to.
const LEAVING: Duration = Duration::from_millis(300);

/// Variables that a server gets from our own environment. Keys and tokens stay here, unless its configuration names them.
const INHERITED: [&str; 21] = [
    "HOME",
    "LOGNAME",
    "USER",
    "PATH",
    "SHELL",
    "TERM",
    "LANG",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "PYTHONUTF8",
];

/// Beginnings of further such variables.
const INHERITED_BEGINNINGS: [&str; 5] = ["LC_", "XDG_", "UV_", "NPM_CONFIG_", "npm_config_"];

/// A running server. Dropping it ends the whole group at once.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Option<Pid>,
    errors: Arc<Errors>,
}

impl Process {
    /// Starts the program of `spec`, which must be one.
    pub(crate) fn start(spec: &Spec) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let Spec::Stdio { command, args, env, cwd, .. } = spec else {
            return Err(io::Error::other("it is not a program"));
        };
        let mut child = Command::new(command);
        child
            .args(args.iter().map(crow_acp::Secret::expose))
            .env_clear()
            .envs(inherited(std::env::vars_os()))
            .envs(env.iter().map(|(name, value)| (name, value.expose())))
            .current_dir(cwd)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let missing = || io::Error::other("it has no input or output");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let errors = Arc::new(Errors::default());
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(Arc::clone(&errors).read(stderr));
        }
        Ok((Self { child, group, errors }, stdin, stdout))
    }

    /// Resolves when the server has left. What it started goes, too.
    pub(crate) async fn exited(&mut self) -> String {
        let status = self.child.wait().await;
        self.signal(Signal::KILL);
        self.group = None;
        match status {
            Ok(status) => in_words(status),
            Err(error) => format!("it was lost: {error}"),
        }
    }

    /// Waits for a server whose input has ended; one that stays is told to go, and then made to.
    pub(crate) async fn leave(mut self) {
        if timeout(LEAVING, self.exited()).await.is_err() {
            self.signal(Signal::TERM);
            drop(timeout(LEAVING, self.exited()).await);
        }
    }

    /// How it ended, if it does so within a moment.
    pub(crate) async fn ending(&mut self) -> Option<String> {
        timeout(LEAVING, self.exited()).await.ok()
    }

    /// The end of what it said on its standard error, on one line.
    pub(crate) fn errors(&self) -> String {
        self.errors.text()
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // There may be nobody left.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it left with exit code {code}"),
        (None, Some(signal)) => format!("signal {signal} ended it"),
        (None, None) => "it left".into(),
    }
}

fn inherited<T: AsRef<std::ffi::OsStr>>(all: impl Iterator<Item = (T, T)>) -> impl Iterator<Item = (T, T)> {
    all.filter(|(name, _)| {
        name.as_ref().to_str().is_some_and(|name| {
            INHERITED.contains(&name) || INHERITED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        })
    })
}

/// What a server says on its standard error: read to the end, so that it never waits, and kept in part.
#[derive(Debug, Default)]
struct Errors(Mutex<VecDeque<u8>>);

impl Errors {
    async fn read(self: Arc<Self>, mut from: ChildStderr) {
        let mut piece = vec![0; KEPT_ERRORS];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(&piece[..length]);
            let surplus = kept.len().saturating_sub(KEPT_ERRORS);
            kept.drain(..surplus);
        }
    }

    fn text(&self) -> String {
        let kept: Vec<u8> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&kept);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut last: Vec<&str> = lines.rev().take(3).collect();
        last.reverse();
        crate::text::short(&last.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_ours_are_not_handed_on() {
        let ours = ["PATH", "OPENAI_API_KEY", "LC_ALL", "HOME", "GITHUB_TOKEN", "XDG_CACHE_HOME"];
        let kept: Vec<&str> = inherited(ours.into_iter().map(|name| (name, "x"))).map(|(name, _)| name).collect();
        assert_eq!(kept, ["PATH", "LC_ALL", "HOME", "XDG_CACHE_HOME"]);
    }
}
