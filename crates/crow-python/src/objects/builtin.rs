//! The built-in plugins, for programs that put an agent together by hand.

use crow_acp::PluginManager;
use crow_acp::crow_hooks::RegisterError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A plugin in Rust.
#[pyclass(frozen, name = "BuiltIn", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct BuiltIn {
    /// Its name.
    pub(crate) name: &'static str,
    /// What `system-prompt` says of the agent's role.
    text: Option<String>,
}

impl BuiltIn {
    /// Registers it, unless its name is blocked.
    pub(crate) fn register(&self, plugins: &PluginManager) -> Result<(), RegisterError> {
        crow::register_built_in(plugins, self.name, self.text.as_deref())
    }
}

#[pymethods]
impl BuiltIn {
    /// The built-in plugin of that name; `text` is what `system-prompt` says.
    #[new]
    #[pyo3(signature = (name, text=None))]
    fn new(name: &str, text: Option<String>) -> PyResult<Self> {
        let Some(name) = crow::built_in_names().into_iter().find(|known| *known == name) else {
            let known = crow::built_in_names().join(", ");
            return Err(PyValueError::new_err(format!("there is no built-in plugin `{name}`: {known}")));
        };
        if text.is_some() && name != "system-prompt" {
            return Err(PyValueError::new_err(format!("`{name}` takes no text")));
        }
        Ok(Self { name, text })
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.name
    }

    fn __repr__(&self) -> String {
        format!("<crow_acp built-in plugin `{}`>", self.name)
    }
}
