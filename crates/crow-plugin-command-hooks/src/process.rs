//! Runs a command: a shell of its own in a process group of its own, what it is told on standard input, and bounded
//! output. When it has to end, all that it started ends.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// How long output is waited for after the command has ended: what it left running may keep its output open.
const REST: Duration = Duration::from_millis(200);

/// What to run.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) command: &'a str,
    pub(crate) cwd: &'a Path,
    pub(crate) env: &'a [(&'static str, OsString)],
    pub(crate) input: &'a [u8],
    pub(crate) timeout: Duration,
    /// Bytes of output, and of errors, that are read.
    pub(crate) limit: usize,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// There was more output than is read.
    pub(crate) cut: bool,
}

/// Kills the process group unless the command has ended by itself.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Job<'_> {
    /// Runs it. Dropping the future kills it and what it started.
    ///
    /// # Errors
    /// It could not be started, took too long or was killed: in words.
    pub(crate) async fn run(self) -> Result<Exit, String> {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(self.command)
            .current_dir(self.cwd)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("could not be started: {error}"))?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id as i32)));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());

        let (mut out, mut err) = (Kept::new(self.limit), Kept::new(self.limit));
        let work = async {
            let told = async {
                if let Some(mut stdin) = stdin {
                    // Many commands don't read what they are told.
                    let _ = stdin.write_all(self.input).await;
                }
            };
            let read = async {
                tokio::join!(out.read(stdout), err.read(stderr));
            };
            tokio::pin!(told, read);
            let (mut is_told, mut is_read) = (false, false);
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status,
                    () = &mut told, if !is_told => is_told = true,
                    () = &mut read, if !is_read => is_read = true,
                }
            };
            if !is_read {
                let _ = tokio::time::timeout(REST, read).await;
            }
            status
        };
        let ended = tokio::time::timeout(self.timeout, work).await;
        let status = match ended {
            Err(_) => return Err(format!("took longer than {}", spoken(self.timeout))),
            Ok(Err(error)) => return Err(format!("could not be waited for: {error}")),
            Ok(Ok(status)) => status,
        };
        // What it leaves running on purpose may go on.
        group.0 = None;
        match status.code() {
            None => Err("was killed".to_owned()),
            Some(126 | 127) => Err(format!("could not be started: {}", first_line(&err.text()))),
            Some(code) => Ok(Exit { code, cut: out.cut || err.cut, stdout: out.text(), stderr: err.text() }),
        }
    }
}

fn spoken(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("the shell did not find it").trim()
}

/// The beginning of an output; the rest is read and dropped, so that nobody waits for a full pipe.
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    cut: bool,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, cut: false }
    }

    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let room = self.limit - self.bytes.len();
            self.cut |= read > room;
            self.bytes.extend_from_slice(&buffer[..read.min(room)]);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(command: &str, timeout: Duration) -> Result<Exit, String> {
        let env = [("CROW_PROJECT_DIR", OsString::from("/p"))];
        Job { command, cwd: Path::new("/"), env: &env, input: b"{\"a\":1}", timeout, limit: 1000 }.run().await
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn it_reads_what_it_is_told_and_its_output_is_bounded() {
        let exit = run("cat; pwd; echo $CROW_PROJECT_DIR; echo oh >&2; exit 3", LONG).await.unwrap();
        assert_eq!((exit.code, exit.stdout.as_str(), exit.stderr.as_str()), (3, "{\"a\":1}/\n/p", "oh"));
        let exit = run("yes | head -c 1000000", LONG).await.unwrap();
        assert_eq!((exit.stdout.len(), exit.cut), (999, true), "the last byte of a thousand is a line feed");
    }

    #[tokio::test]
    async fn what_cannot_be_run_is_an_error() {
        assert!(run("/no/such/program", LONG).await.unwrap_err().contains("could not be started"));
        assert!(run("kill -9 $$", LONG).await.unwrap_err().contains("was killed"));
    }

    #[tokio::test]
    async fn what_is_left_running_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("done");
        let exit = run(&format!("(sleep 1; touch {}) & echo here", file.display()), LONG).await.unwrap();
        assert_eq!(exit.stdout, "here");
        for _ in 0..400 {
            if file.exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("it was killed");
    }

    #[tokio::test]
    async fn too_late_means_the_whole_group_ends() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        let command = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let error = run(&command, Duration::from_millis(500)).await.unwrap_err();
        assert_eq!(error, "took longer than 500 ms");
        let pid: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        for _ in 0..400 {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the sleep lives on");
    }
}
