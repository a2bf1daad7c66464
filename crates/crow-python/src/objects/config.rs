//! The configuration, as an impl of `configure` gets it.

use std::sync::{Arc, Mutex, PoisonError};

use crow_acp::Config;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use serde_json::Value as Json;

use crate::plain::Plain;

/// What is known of the configuration, and what is to be set.
#[derive(Debug)]
pub(crate) struct Settings {
    home: String,
    model: Option<String>,
    set: Mutex<Vec<(String, Json)>>,
}

impl Settings {
    pub(crate) fn of(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            home: config.home().to_string_lossy().into_owned(),
            model: config.model().map(ToString::to_string),
            set: Mutex::default(),
        })
    }

    /// What was set since the last time.
    pub(crate) fn take(&self) -> Vec<(String, Json)> {
        std::mem::take(&mut *self.set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `config`
#[pyclass(frozen, name = "Config", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct PyConfig(pub(crate) Arc<Settings>);

#[pymethods]
impl PyConfig {
    /// `CROW_HOME`.
    #[getter]
    fn home(&self) -> &str {
        &self.0.home
    }

    /// The model, as `PROVIDER/MODEL`.
    #[getter]
    fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// Sets a key, for example `config.set("max_turns", 20)`.
    fn set(&self, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = Plain::read(value)?.json().map_err(|what| PyTypeError::new_err(format!("{what} is no setting")))?;
        self.0.set.lock().unwrap_or_else(PoisonError::into_inner).push((key.to_owned(), value));
        Ok(())
    }
}
