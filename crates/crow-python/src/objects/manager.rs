//! `agent._pm`: the plugin manager, with pluggy's face.

use std::sync::Arc;

use pyo3::exceptions::{PyAssertionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::builtin::BuiltIn;
use super::relay::Relay;
use crate::bridge::Bridge;
use crate::error::register_error;

/// Connects the agent and its plugins, those in Rust included.
#[pyclass(frozen, name = "PluginManager", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct Plugins(pub(crate) Arc<Bridge>);

impl Plugins {
    /// The name of a plugin in Python.
    fn name_of(&self, plugin: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        for (name, known) in self.0.registered(plugin.py()) {
            if known.bind(plugin.py()).is(plugin) || known.bind(plugin.py()).eq(plugin)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

#[pymethods]
impl Plugins {
    /// The project whose hooks these are.
    #[getter]
    fn project_name(&self) -> &'static str {
        "crow-acp"
    }

    /// The hooks, to be called.
    #[getter]
    fn hook(&self) -> Relay {
        Relay(self.0.clone())
    }

    /// Registers a plugin and returns its name; `None` if the name is blocked. One of a built-in plugin's name takes its
    /// place.
    #[pyo3(signature = (plugin, name=None))]
    fn register(&self, plugin: &Bound<'_, PyAny>, name: Option<String>) -> PyResult<Option<String>> {
        if plugin.is_none() {
            return Ok(None);
        }
        if let Some(known) = self.name_of(plugin)? {
            return Err(PyValueError::new_err(format!("Plugin already registered under a different name: {known}")));
        }
        if let Ok(built_in) = plugin.cast::<BuiltIn>() {
            let own = built_in.get().name;
            if name.is_some_and(|name| name != own) {
                return Err(PyValueError::new_err(format!("the built-in plugin `{own}` has that name and no other")));
            }
            self.0.give_way(own);
            built_in.get().register(&self.0.plugins).map_err(|error| register_error(&error))?;
            if !self.0.plugins.has_plugin(own) {
                return Ok(None);
            }
            self.0.keep(own, plugin);
            return Ok(Some(own.to_owned()));
        }
        self.0.register(plugin, name)
    }

    /// Lets go of a plugin, given itself or by name, and returns it.
    #[pyo3(signature = (plugin=None, name=None))]
    fn unregister(
        &self,
        py: Python<'_>,
        plugin: Option<&Bound<'_, PyAny>>,
        name: Option<String>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let name = match (plugin, name) {
            (None, None) => return Err(PyAssertionError::new_err("one of name or plugin needs to be specified")),
            (Some(plugin), _) => {
                let name = self.name_of(plugin)?;
                Some(name.ok_or_else(|| PyAssertionError::new_err("plugin is not registered"))?)
            }
            (None, name) => name,
        };
        Ok(name.and_then(|name| self.0.unregister(py, &name)))
    }

    /// The plugin of that name, if it is one in Python or was registered from there.
    fn get_plugin(&self, py: Python<'_>, name: &str) -> Option<Py<PyAny>> {
        let plugins = self.0.registered(py);
        let plugin = plugins.into_iter().find(|(known, _)| known == name)?.1;
        self.0.plugins.has_plugin(name).then_some(plugin)
    }

    /// Whether a plugin of that name is registered.
    fn has_plugin(&self, name: &str) -> bool {
        self.0.plugins.has_plugin(name)
    }

    /// Whether a plugin of that name is registered.
    fn hasplugin(&self, name: &str) -> bool {
        self.0.plugins.has_plugin(name)
    }

    /// The plugins that are in Python, or were registered from there.
    fn get_plugins(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        self.0.registered(py).into_iter().map(|(_, plugin)| plugin).collect()
    }

    /// All plugins by name, those in Rust with themselves as `None`.
    fn list_name_plugin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let python = self.0.registered(py);
        let blocked = self.0.plugins.blocked();
        let names = self.0.plugins.names().into_iter().chain(blocked);
        let all = names.map(|name| {
            let plugin = python.iter().find(|(known, _)| **known == *name).map(|(_, plugin)| plugin.clone_ref(py));
            (name.to_string(), plugin)
        });
        PyList::new(py, all.collect::<Vec<_>>())
    }

    /// The name of a plugin.
    fn get_name(&self, plugin: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        self.name_of(plugin)
    }

    /// The name that a plugin gets if none is given.
    fn get_canonical_name(&self, plugin: &Bound<'_, PyAny>) -> PyResult<String> {
        plugin.py().import("crow_acp._plugins")?.call_method1("canonical_name", (plugin,))?.extract()
    }

    /// Whether that very plugin is registered.
    fn is_registered(&self, plugin: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.name_of(plugin)?.is_some())
    }

    /// Lets go of the plugin of that name, and keeps it out.
    fn set_blocked(&self, py: Python<'_>, name: &str) {
        let gone = self.0.unregister(py, name);
        self.0.plugins.block(name);
        drop(gone);
    }

    /// Whether that name is kept out.
    fn is_blocked(&self, name: &str) -> bool {
        self.0.plugins.is_blocked(name)
    }

    /// Lets that name in again. False: it was not kept out.
    fn unblock(&self, name: &str) -> bool {
        self.0.plugins.unblock(name)
    }

    /// Checks that every impl has its hook.
    fn check_pending(&self) -> PyResult<()> {
        self.0.plugins.check_pending().map_err(|error| register_error(&error))
    }

    /// The impls of a hook in call order, wrappers first: the names of their plugins.
    fn order_of(&self, hook: &str) -> Vec<String> {
        let hooks = self.0.plugins.hooks();
        hooks.order_of(hook).iter().map(|imp| imp.plugin.to_string()).collect()
    }

    /// Adds hooks of a plugin's own: an object whose methods are marked by `crow_acp.hookspec`.
    fn add_hookspecs(&self, namespace: &Bound<'_, PyAny>) -> PyResult<()> {
        namespace.py().import("crow_acp._contracts")?.call_method1("add", (namespace,))?;
        Ok(())
    }

    /// Installed plugins are found by themselves: this is for programs written for pluggy. Returns how many there are.
    #[pyo3(signature = (group, name=None))]
    fn load_setuptools_entrypoints(&self, py: Python<'_>, group: &str, name: Option<&str>) -> PyResult<usize> {
        if group != "crow-acp" {
            let text = "an agent's plugins are those of the entry point group `crow-acp`";
            return Err(PyValueError::new_err(text));
        }
        let found = crate::discover::installed(py)?;
        let chosen = found.into_iter().filter(|entry| name.is_none_or(|name| entry.name == name));
        let mut loaded = 0;
        for entry in chosen.collect::<Vec<_>>() {
            if !self.0.plugins.is_blocked(&entry.name) && self.get_plugin(py, &entry.name).is_none() {
                crate::plugin::load_one(py, &self.0, &entry)?;
                loaded += 1;
            }
        }
        Ok(loaded)
    }

    fn __repr__(&self) -> String {
        format!("<crow_acp.PluginManager {:?}>", self.0.plugins.names())
    }

    /// The hooks and what they take, as data.
    #[staticmethod]
    fn specs(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        crate::spec::specs(py)
    }
}
