//! `session.messages`: the conversation, live.

use crow_acp::{Message, Session};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PySlice};

use crate::bridge::Bridge;
use crate::plain::Plain;
use crate::shape::{Read, Show};
use std::sync::Arc;

/// A list of what was said: what is in it now, each time one looks. It grows at its end.
#[pyclass(frozen, sequence, name = "Messages", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) session: Session,
    pub(crate) bridge: Arc<Bridge>,
}

impl Messages {
    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        Ok(self.session.messages().show().show(py, &self.bridge)?.cast_into()?)
    }

    fn put(&self, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let message = Message::read(Plain::read(message)?).map_err(|error| PyTypeError::new_err(error.to_string()))?;
        self.session.push_message(message);
        Ok(())
    }
}

#[pymethods]
impl Messages {
    fn __len__(&self) -> usize {
        self.session.messages().len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, at: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if at.cast::<PySlice>().is_ok() {
            return self.list(py)?.as_any().get_item(at);
        }
        let at: isize = at.extract()?;
        let messages = self.session.messages();
        let index = if at < 0 { messages.len().checked_add_signed(at) } else { usize::try_from(at).ok() };
        let message = index.and_then(|index| messages.get(index));
        message.ok_or_else(|| PyIndexError::new_err("there is no such message"))?.show().show(py, &self.bridge)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.list(py)?.try_iter()?.into_any())
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.list(py)?.eq(PyList::new(py, other.try_iter()?.collect::<PyResult<Vec<_>>>()?)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.list(py)?.repr().map(|text| text.to_string_lossy().into_owned())
    }

    /// Puts a message in: a dict with `role` and `content`, or text of the user's.
    fn append(&self, message: &Bound<'_, PyAny>) -> PyResult<()> {
        self.put(message)
    }

    /// Puts messages in, one after the other.
    fn extend(&self, messages: &Bound<'_, PyAny>) -> PyResult<()> {
        messages.try_iter()?.try_for_each(|message| self.put(&message?))
    }

    /// The messages as they are now, in a list of one's own.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.list(py)
    }

    fn __setitem__(&self, _at: &Bound<'_, PyAny>, _message: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(grows_only())
    }

    fn __delitem__(&self, _at: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(grows_only())
    }
}

fn grows_only() -> PyErr {
    PyTypeError::new_err(
        "what was said stays said: append messages here, edit what the model is sent in `before_llm_request`",
    )
}
