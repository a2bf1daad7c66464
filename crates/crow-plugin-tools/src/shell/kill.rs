//! Ending a shell with everything it started: its process group, whatever else is left on its terminal, and whatever
//! has left that but still carries the shell's mark in its environment.

use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::Child;

/// The variable by which the descendants of a shell are known.
pub(super) const MARK: &str = "CROW_TERMINAL";

/// Programs get this long to put their things away.
const GRACE: Duration = Duration::from_millis(25);

/// What was killed is gone within so many milliseconds, or the system has other worries.
const COLLECTING: u32 = 500;

/// A shell and its descendants.
#[derive(Debug)]
pub(super) struct Tree {
    shell: Option<Pid>,
    mark: String,
}

impl Tree {
    pub(super) fn new(shell: u32, mark: String) -> Self {
        Self { shell: Pid::from_raw(shell as i32), mark }
    }

    /// Asks all of them to end at once, and makes them end soon after, in a thread of its own: this is called where
    /// nothing can be awaited. The shell's number stays taken until then because nobody has collected it.
    pub(super) fn kill(self, mut child: Child) -> Option<JoinHandle<()>> {
        self.signal_group(Signal::TERM);
        // What is stopped would not hear of it.
        self.signal_group(Signal::CONT);
        let finish = move || {
            std::thread::sleep(GRACE);
            self.signal_group(Signal::KILL);
            self.sweep();
            // Collected here: nobody else waits for it, and uncollected it would keep its number.
            for _ in 0..COLLECTING {
                if !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        std::thread::Builder::new().name("crow-kill".to_owned()).spawn(finish).ok()
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(shell) = self.shell {
            let _ = rustix::process::kill_process_group(shell, signal);
        }
    }

    /// Kills what is not in the group any more.
    #[cfg(target_os = "linux")]
    fn sweep(&self) {
        // What forks faster than we look is found in the next round.
        for _ in 0..5 {
            let Ok(processes) = std::fs::read_dir("/proc") else { return };
            let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            let killed = numbers.filter(|number| self.kill_if_ours(*number)).count();
            if killed == 0 {
                return;
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn sweep(&self) {}

    /// The handle is taken before looking, so that the number cannot come to mean another process meanwhile.
    #[cfg(target_os = "linux")]
    fn kill_if_ours(&self, number: i32) -> bool {
        let Some(pid) = Pid::from_raw(number).filter(|pid| Some(*pid) != self.shell) else { return false };
        let Ok(handle) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return false };
        let on_terminal = || {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
            // The name comes in parentheses and may contain anything; state, parent, group and session follow it.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let is_alive = fields.next()? != "Z";
            let session: i32 = fields.nth(2)?.parse().ok()?;
            Some(is_alive && Pid::from_raw(session) == self.shell)
        };
        let marked = || {
            let environment = std::fs::read(format!("/proc/{number}/environ")).ok()?;
            let ours = format!("{MARK}={}", self.mark);
            Some(environment.split(|byte| *byte == 0).any(|variable| variable == ours.as_bytes()))
        };
        let ours = on_terminal().unwrap_or(false) || marked().unwrap_or(false);
        ours && rustix::process::pidfd_send_signal(&handle, Signal::KILL).is_ok()
    }
}
