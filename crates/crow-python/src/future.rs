//! Rust's futures as awaitables of asyncio.

use std::sync::Arc;

use crow_acp::crow_hooks::BoxError;
use pyo3::prelude::*;

use crate::bridge::Bridge;
use crate::courier::{Courier, runtime};
use crate::error::exception;
use crate::plain::Plain;

/// Runs `work` on Rust's threads, as a future of the running loop. Cancelling that drops the work.
pub(crate) fn spawn<'py>(
    py: Python<'py>,
    bridge: &Arc<Bridge>,
    work: impl Future<Output = Result<Plain, BoxError>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let helpers = py.import("crow_acp._runtime")?;
    let future = helpers.call_method0("new_future")?;
    let (waiting, bridge) = (future.clone().unbind(), bridge.clone());
    let chain = helpers.call_method0("current_chain")?;
    let chain = chain.cast::<CallChain>().ok().map(|chain| chain.get().chain.clone());
    let work = async move {
        let result = work.await;
        Courier::get().post(move |py| {
            let settled = match result {
                Ok(plain) => plain.show(py, &bridge).map(|value| (value, None)),
                Err(error) => Ok((py.None().into_bound(py), Some(exception(py, &*error).into_value(py)))),
            };
            let settled = settled.and_then(|(value, error)| {
                py.import("crow_acp._runtime")?.call_method1("resolve", (waiting, value, error))
            });
            if let Err(error) = settled {
                tracing::error!("a Python future could not be resolved: {error}");
            }
        });
    };
    let task = match chain {
        Some(chain) => runtime()?.spawn(chain.carry(work)),
        None => runtime()?.spawn(work),
    };
    let stop = Bound::new(py, Abort(task.abort_handle()))?;
    future.call_method1("add_done_callback", (stop,))?;
    Ok(future)
}

/// Ends Rust's work when the future that stands for it is done, as by being cancelled.
#[pyclass(frozen)]
struct Abort(tokio::task::AbortHandle);

#[pymethods]
impl Abort {
    fn __call__(&self, _future: &Bound<'_, PyAny>) {
        self.0.abort();
    }
}

/// The hook calls that a Python function stands in: calls it makes count as calls inside them.
#[pyclass(frozen)]
pub(crate) struct CallChain {
    pub(crate) chain: crow_acp::crow_hooks::Chain,
    /// The task that made the call, whose clock runs.
    pub(crate) task: Option<tokio::task::Id>,
}

/// The task that the running Python code was called by.
pub(crate) fn caller(py: Python<'_>) -> PyResult<Option<tokio::task::Id>> {
    let chain = py.import("crow_acp._runtime")?.call_method0("current_chain")?;
    Ok(chain.cast::<CallChain>().ok().and_then(|chain| chain.get().task))
}

/// Does something on the loop's thread, and waits for that.
pub(crate) async fn visit(what: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) {
    let (done, visited) = tokio::sync::oneshot::channel::<()>();
    Courier::get().post(move |py| {
        if let Err(error) = what(py) {
            tracing::error!("Python: {error}");
        }
        drop(done);
    });
    // It ends by being dropped, done or not.
    let _ = visited.await;
}
