//! The console script `crow-acp`: the `crow` command, with plugins in Python.

use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;

use crate::courier::Courier;
use crate::plugin;

/// How long Python may take to end when everything else is done.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs the command line and gives the exit code.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, args: Vec<OsString>) -> PyResult<u8> {
    // Ctrl-C is Rust's to hear of; Python would raise KeyboardInterrupt when everything is over.
    let signals = py.import("_signal")?;
    signals.call_method1("signal", (signals.getattr("SIGINT")?, signals.getattr("SIG_DFL")?))?;
    // These only look: the plugins have to be there at once, and no agent starts.
    let lists = args.iter().any(|arg| arg == "plugins" || arg == "hooks");
    let code = py.detach(|| {
        let code = crow::run_with(args, if lists { plugin::register_all } else { plugin::register });
        Courier::get().stop();
        if Courier::get().is_stuck() {
            // A plugin holds Python up, perhaps for ever: there is nothing left to wait for.
            std::process::exit(i32::from(code));
        }
        code
    });
    // Threads that plugins left behind must not keep the process alive.
    let ending = thread::Builder::new().name("crow-exit".into()).spawn(move || {
        thread::sleep(FAREWELL);
        tracing::warn!("a plugin in Python left a thread behind that does not end; the process ends without it");
        std::process::exit(i32::from(code));
    });
    if let Err(error) = ending {
        tracing::error!("no thread to watch over the end: {error}");
    }
    Ok(code)
}
