//! x
#![forbid(unsafe_code)]
use pyo3::prelude::*;

/// t
#[pyclass(frozen, weakref, dict, subclass)]
#[derive(Debug)]
pub struct T { a: i32 }

#[pymethods]
impl T {
    #[new]
    fn new(a: i32) -> Self { Self { a } }
    fn get(&self) -> i32 { self.a }
}

#[pymodule]
mod _crow {
    #[pymodule_export]
    use super::T;
}
