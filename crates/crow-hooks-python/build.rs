//! Passes on which CPython this is built for (`Py_3_12`, `Py_LIMITED_API`).
fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_extension_module_link_args();
}
