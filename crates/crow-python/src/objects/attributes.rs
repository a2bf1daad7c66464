//! Attributes that plugins set on the agent or a session: whatever object they like, kept in Rust, so that they outlive
//! the Python object they were set on. What JSON can say is an attribute for plugins in Rust, too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crow_acp::{Agent, Session};
use pyo3::PyTypeInfo;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use serde_json::Value as Json;

use crate::bridge::Bridge;
use crate::plain::Plain;

/// What has attributes in Rust.
pub(crate) trait Holder {
    fn attribute(&self, name: &str) -> Option<Json>;
    fn set_attribute(&self, name: &str, value: Json);
}

impl Holder for Agent {
    fn attribute(&self, name: &str) -> Option<Json> {
        self.attribute(name)
    }

    fn set_attribute(&self, name: &str, value: Json) {
        self.set_attribute(name, value);
    }
}

impl Holder for Session {
    fn attribute(&self, name: &str) -> Option<Json> {
        self.attribute(name)
    }

    fn set_attribute(&self, name: &str, value: Json) {
        self.set_attribute(name, value);
    }
}

/// Whether every `T` has an attribute of that name, which is not to be set then.
pub(crate) fn belongs<T: PyTypeInfo>(py: Python<'_>, name: &str) -> PyResult<bool> {
    py.get_type::<T>().getattr("__dict__")?.contains(name)
}

/// The objects, by name, and what Rust was told of them.
#[derive(Debug, Default)]
pub(crate) struct Attributes(Mutex<HashMap<String, (Py<PyAny>, Json)>>);

impl Attributes {
    fn with<T>(&self, look: impl FnOnce(&mut HashMap<String, (Py<PyAny>, Json)>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets one; `holder` is told, once there is one.
    pub(crate) fn set(&self, holder: Option<&dyn Holder>, name: &str, value: &Bound<'_, PyAny>) {
        let json = Plain::read(value).ok().and_then(|plain| plain.json().ok()).unwrap_or_default();
        if let Some(holder) = holder {
            holder.set_attribute(name, json.clone());
        }
        let old = self.with(|all| all.insert(name.to_owned(), (value.clone().unbind(), json)));
        drop(old);
    }

    /// Tells `holder` of what was set before there was one.
    pub(crate) fn tell(&self, holder: &dyn Holder) {
        let all: Vec<_> = self.with(|all| all.iter().map(|(name, (_, json))| (name.clone(), json.clone())).collect());
        for (name, json) in all {
            holder.set_attribute(&name, json);
        }
    }

    /// The one called `name`: the object that was set, unless Rust has set another value since.
    pub(crate) fn get<'py>(
        &self,
        py: Python<'py>,
        bridge: &Bridge,
        holder: Option<&dyn Holder>,
        owner: &str,
        name: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let set = holder.and_then(|holder| holder.attribute(name));
        let known = self.with(|all| all.get(name).map(|(object, json)| (object.clone_ref(py), json.clone())));
        match (known, set) {
            (Some((object, told)), set) if set.is_none() || set.as_ref() == Some(&told) => Ok(object.into_bound(py)),
            // What was removed stays behind as nothing.
            (_, Some(json)) if !json.is_null() => Plain::Json(json).show(py, bridge),
            _ => Err(PyAttributeError::new_err(format!("{owner} has no attribute `{name}`"))),
        }
    }

    /// Removes one. False: there was none.
    pub(crate) fn remove(&self, holder: Option<&dyn Holder>, name: &str) -> bool {
        if let Some(holder) = holder {
            holder.set_attribute(name, Json::Null);
        }
        let old = self.with(|all| all.remove(name));
        old.is_some()
    }
}
