//! Errors on their way: an exception passes through Rust as the very object it is, and comes out as that.

use std::error::Error;
use std::fmt;

use crow_acp::crow_hooks::{self, BoxError, RegisterError};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    crow_acp,
    HookError,
    PyException,
    "A plugin in Rust failed: `plugin`, `hook` and `reason` say which, where and why."
);
create_exception!(
    crow_acp,
    Refused,
    PyException,
    "Refuses what the user or the model wants; the text is what they are told."
);

/// An exception.
pub(crate) struct Raised {
    error: PyErr,
    text: String,
}

impl Raised {
    pub(crate) fn new(py: Python<'_>, error: PyErr) -> Self {
        let text = error.value(py).str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
        let kind = error.get_type(py).name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let refused = error.is_instance_of::<Refused>(py);
        let text = match (refused, text.is_empty()) {
            (_, true) => kind,
            (true, false) => text,
            (false, false) => format!("{kind}: {text}"),
        };
        if !refused {
            tracing::warn!("{}", trace(py, &error));
        }
        Self { error, text }
    }
}

/// The traceback, for the log.
fn trace(py: Python<'_>, error: &PyErr) -> String {
    let lines = error.traceback(py).and_then(|trace| trace.format().ok()).unwrap_or_default();
    format!("{lines}{error}")
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Raised").field(&self.text).finish()
    }
}

impl Error for Raised {}

/// The exception inside an error, else one that says what the error does.
pub(crate) fn exception(py: Python<'_>, error: &(dyn Error + 'static)) -> PyErr {
    let mut inner = Some(error);
    while let Some(error) = inner {
        if let Some(raised) = error.downcast_ref::<Raised>() {
            return raised.error.clone_ref(py);
        }
        inner = error.source();
    }
    let exception = HookError::new_err(error.to_string());
    let value = exception.value(py);
    let hook = error.downcast_ref::<crow_hooks::HookError>();
    let about = [
        ("plugin", hook.map(|hook| hook.plugin().to_owned())),
        ("hook", hook.map(|hook| hook.hook().to_owned())),
        ("reason", Some(hook.map_or_else(|| error.to_string(), crow_hooks::HookError::reason))),
    ];
    for (name, text) in about {
        // An exception takes any attribute.
        let _ = value.setattr(name, text);
    }
    exception
}

/// An error for the engine.
pub(crate) fn raised(py: Python<'_>, error: PyErr) -> BoxError {
    Box::new(Raised::new(py, error))
}

create_exception!(
    crow_acp,
    PluginValidationError,
    PyException,
    "A plugin does not fit the hooks: `plugin` and the text say which and why."
);

/// Why a plugin was not registered.
pub(crate) fn register_error(error: &RegisterError) -> PyErr {
    match error {
        RegisterError::NameTaken { .. } | RegisterError::AlreadyRegistered { .. } => {
            pyo3::exceptions::PyValueError::new_err(error.to_string())
        }
        _ => PluginValidationError::new_err(error.to_string()),
    }
}
