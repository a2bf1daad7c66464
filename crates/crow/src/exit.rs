//! How the program ends: the exit codes that scripts rely on, and errors that say what to do next.

use std::fmt;

/// The exit codes. `crow --help` lists them; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked to.
    Done = 0,
    /// The run failed or was refused.
    Failed = 1,
    /// The command line or the configuration cannot be used.
    Usage = 2,
    /// The user cancelled.
    Cancelled = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command cannot go on: what is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The code to end with.
    pub(crate) exit: Exit,
    /// What is wrong, on one line; empty if there is nothing to say.
    pub(crate) what: String,
    /// What to do next.
    pub(crate) next: Option<String>,
}

impl Failure {
    /// The command line or the configuration cannot be used.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, what: what.into(), next: None }
    }

    /// Something did not work.
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, what: what.into(), next: None }
    }

    /// With what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crow: {}", self.what)?;
        for line in self.next.iter().flat_map(|next| next.lines()) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

impl From<crow_acp::ConfigError> for Failure {
    fn from(error: crow_acp::ConfigError) -> Self {
        Self::usage(error.to_string()).next("`crow doctor` checks the whole configuration.")
    }
}

impl From<crow_acp::RunError> for Failure {
    fn from(error: crow_acp::RunError) -> Self {
        Self::failed(error.message)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // Whoever reads has seen enough, as in `crow hooks | head`: nothing went wrong.
            return Self { exit: Exit::Done, what: String::new(), next: None };
        }
        Self::failed(error.to_string())
    }
}
