//! Handing over: where plugins are installed, `crow` is the program that was built with them.
//!
//! This costs one file that is looked for where none are installed, and reading it where some are. Nothing that is
//! wrong here keeps Crow from starting: it then starts without the plugins, and says so.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command as Program;

use crow_acp::Sources;

use crate::args::{Cli, Command};
use crate::commands::plugin::{self, Place};
use crate::exit::Failure;
use crate::help::Topic;

/// The variable that keeps Crow without installed plugins.
const WITHOUT: &str = "CROW_NO_HOST";

/// Replaces this process by the program with the installed plugins, if there are any. Otherwise returns, with what the
/// user should know about it.
pub(crate) fn to_program(cli: &Result<Cli, Failure>, args: &[OsString]) -> Option<String> {
    let own = matches!(cli, Ok(Cli { command: Command::Plugin(_) | Command::Help(Topic::Plugin), .. }));
    if own || std::env::var_os(WITHOUT).is_some_and(|value| !value.is_empty() && value != "0") {
        return None;
    }
    let place = Place::new(Sources::from_process().ok()?.home);
    if !place.built().is_file() {
        return None;
    }
    let again = "`crow plugin update` builds them again";
    let Some(built) = plugin::installed(&place) else {
        return Some(format!(
            "the installed plugins are not in use: {} cannot be read; {again}",
            place.built().display()
        ));
    };
    if !built.is_current() {
        let old = built.crow;
        return Some(format!("the installed plugins are not in use: they were built for crow {old}; {again}"));
    }
    let program = place.program();
    // The program itself, if somebody starts it by its path, must not start itself for ever.
    if is_this(&program) {
        return None;
    }
    if let Err(why) = may_be_started(&program, built.size) {
        return Some(format!("the installed plugins are not in use: {} {why}; {again}", program.display()));
    }
    if std::io::stderr().is_terminal() && is_older(&program) {
        // It is the same version and does the work; whoever builds Crow from changed sources should know.
        let _ =
            writeln!(std::io::stderr(), "crow: this crow is newer than the one with the installed plugins; {again}");
    }
    let error = replace(&program, args);
    Some(format!("the installed plugins are not in use: {}: {error}; {again}", program.display()))
}

fn is_this(program: &Path) -> bool {
    let this = std::env::current_exe().and_then(std::fs::canonicalize);
    this.is_ok_and(|this| std::fs::canonicalize(program).is_ok_and(|program| program == this))
}

/// Only what was built, whole, is started, and only if nobody but this user can have put it there. (The system would take
/// a file that is no program for a shell script.)
fn may_be_started(program: &Path, size: u64) -> Result<(), String> {
    let file = std::fs::metadata(program).map_err(|error| format!("cannot be started: {error}"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if file.uid() != rustix::process::getuid().as_raw() {
            return Err("belongs to another user".to_owned());
        }
        if file.mode() & 0o022 != 0 {
            return Err("can be changed by other users".to_owned());
        }
    }
    if file.is_file() && file.len() == size { Ok(()) } else { Err("is not what was built".to_owned()) }
}

/// Whether a program was built before this one.
fn is_older(program: &Path) -> bool {
    let built = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let this = std::env::current_exe().ok().and_then(|this| built(&this));
    built(program).is_some_and(|program| this.is_some_and(|this| this > program))
}

/// Returns only if it cannot be done.
#[cfg(unix)]
fn replace(program: &Path, args: &[OsString]) -> std::io::Error {
    use std::os::unix::process::CommandExt;
    Program::new(program).args(args).exec()
}

#[cfg(not(unix))]
fn replace(_: &Path, _: &[OsString]) -> std::io::Error {
    std::io::Error::other("programs cannot replace themselves here; start it by its path")
}
