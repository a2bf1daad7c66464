//! Stepping the generators of wrappers.

use std::ptr;

use pyo3::ffi::{self, PyObject};

use super::{
    object::{Obj, Raised, Res, raised_is, runtime_error, take_raised, type_error},
    state::state,
};

/// What a generator did when it was resumed.
pub(super) enum Step {
    Yielded,
    Returned(Obj),
    Raised(Obj),
}

/// `next(generator)` for the first time.
pub(super) fn start(generator: &Obj) -> Res<Step> {
    if generator.is_exactly(&state().generator_type) {
        return Ok(send_exact(generator, &Obj::none()));
    }
    if unsafe { ffi::PyIter_Check(generator.as_ptr()) } == 0 {
        let class = generator.type_of().attr(&state().names.type_name)?.to_text()?;
        let hint = if class == "async_generator" { ": await the call, with `ahook` instead of `hook`" } else { "" };
        return Err(type_error(&format!("'{class}' object is not an iterator{hint}")));
    }
    Ok(match unsafe { Obj::owned(ffi::PyIter_Next(generator.as_ptr())) } {
        Ok(_) => Step::Yielded,
        Err(Raised) if unsafe { ffi::PyErr_Occurred().is_null() } => Step::Returned(Obj::none()),
        Err(Raised) => Step::Raised(take_raised()),
    })
}

/// `generator.send(value)`.
pub(super) fn send(generator: &Obj, value: &Obj) -> Step {
    if generator.is_exactly(&state().generator_type) {
        return send_exact(generator, value);
    }
    outcome(generator.call_method(&state().names.send, &[value]))
}

/// `generator.throw(exception)`.
pub(super) fn throw(generator: &Obj, exception: &Obj) -> Step {
    outcome(generator.call_method(&state().names.throw, &[exception]))
}

pub(super) fn close(generator: &Obj) -> Res<()> {
    generator.call_method(&state().names.close, &[]).map(drop)
}

/// Without a `StopIteration` object when it returns.
fn send_exact(generator: &Obj, value: &Obj) -> Step {
    let mut result: *mut PyObject = ptr::null_mut();
    unsafe {
        let status = ffi::PyIter_Send(generator.as_ptr(), value.as_ptr(), &raw mut result);
        match (Obj::owned(result), status) {
            (Ok(_), ffi::PySendResult::PYGEN_NEXT) => Step::Yielded,
            (Ok(value), ffi::PySendResult::PYGEN_RETURN) => Step::Returned(value),
            _ => Step::Raised(take_raised()),
        }
    }
}

fn outcome(result: Res<Obj>) -> Step {
    match result {
        Ok(_) => Step::Yielded,
        Err(Raised) if raised_is(unsafe { ffi::PyExc_StopIteration }) => {
            let stop = take_raised();
            stop.attr(&state().names.value).map_or_else(|Raised| Step::Raised(take_raised()), Step::Returned)
        }
        Err(Raised) => Step::Raised(take_raised()),
    }
}

/// The error of a wrapper that yields never, or twice.
pub(super) fn misbehaved(generator: &Obj, what: &str) -> Raised {
    let raised = || {
        let names = &state().names;
        let code = generator.attr(&names.gi_code)?;
        let name = code.attr(&names.co_name)?.repr()?;
        let file = code.attr(&names.co_filename)?.display()?;
        let line = code.attr(&names.co_firstlineno)?.display()?;
        Ok(runtime_error(&format!("wrap_controller at {name} {file}:{line} {what}")))
    };
    raised().unwrap_or_else(|raised| raised)
}

pub(super) fn is_stop_iteration(exception: &Obj) -> bool {
    unsafe { exception.is_a_type(ffi::PyExc_StopIteration.cast()) }
}

/// Python turns a `StopIteration` that leaves a generator into a `RuntimeError` (PEP 479).
pub(super) fn stop_became_runtime_error(exception: &Obj, pending: &Obj) -> Res<bool> {
    if !is_stop_iteration(pending) || unsafe { !exception.is_a_type(ffi::PyExc_RuntimeError.cast()) } {
        return Ok(false);
    }
    Ok(exception.attr(&state().names.cause)?.is(pending))
}

/// The same `RuntimeError`, made by hand.
pub(super) fn stop_as_runtime_error(stop: Obj) -> Obj {
    let Raised = runtime_error("generator raised StopIteration");
    let error = take_raised();
    unsafe {
        ffi::PyException_SetContext(error.as_ptr(), stop.clone().into_ptr());
        ffi::PyException_SetCause(error.as_ptr(), stop.into_ptr());
    }
    error
}
