//! The hooks as data, for checks and type stubs.

use crow_acp::CrowHooks;
use crow_acp::crow_hooks::{Contract, Kind};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Every hook: its arguments, in order, and what is done with the results.
#[pyfunction]
pub(crate) fn specs(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let all = PyDict::new(py);
    for spec in <dyn CrowHooks as Contract>::SPECS {
        let about = PyDict::new(py);
        about.set_item("args", PyList::new(py, spec.args.iter().map(|arg| (arg.name, arg.ty)))?)?;
        about.set_item("output", spec.output)?;
        about.set_item("firstresult", spec.kind == Kind::FirstResult)?;
        about.set_item("isolate", spec.isolate)?;
        about.set_item("sync", spec.sync)?;
        about.set_item("doc", spec.doc)?;
        all.set_item(spec.name, about)?;
    }
    Ok(all)
}
