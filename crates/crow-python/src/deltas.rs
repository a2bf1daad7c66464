//! Fragments of an answer that Python makes, on their way to Rust.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use crow_acp::Delta;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::plain::Plain;
use crate::shape::Read;

/// Where Python puts fragments and Rust takes them.
#[derive(Debug, Default)]
pub(crate) struct Port(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    waiting: VecDeque<Delta>,
    waker: Option<Waker>,
}

impl Port {
    pub(crate) fn open() -> Arc<Self> {
        Arc::default()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, delta: Delta) {
        let waker = self.with(|inside| {
            inside.waiting.push_back(delta);
            inside.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What has come since the last time.
    pub(crate) fn drain(&self) -> VecDeque<Delta> {
        self.with(|inside| std::mem::take(&mut inside.waiting))
    }

    /// Wakes `waker` when something comes. True: something has.
    pub(crate) fn listen(&self, waker: &Waker) -> bool {
        self.with(|inside| {
            if inside.waiting.is_empty() {
                inside.waker = Some(waker.clone());
            }
            !inside.waiting.is_empty()
        })
    }
}

/// `deltas`: takes the fragments of an answer.
#[pyclass(frozen, name = "Deltas", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct DeltaPort(pub(crate) Arc<Port>);

#[pymethods]
impl DeltaPort {
    /// Hands over a fragment: text, or a dict with `kind` and `text`.
    fn push(&self, fragment: &Bound<'_, PyAny>) -> PyResult<()> {
        let delta = Delta::read(Plain::read(fragment)?).map_err(|error| PyTypeError::new_err(error.to_string()))?;
        self.0.push(delta);
        Ok(())
    }
}
