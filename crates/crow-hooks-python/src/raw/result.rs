//! `Result`: what an old-style wrapper and a monitor get.

use std::{ffi::c_void, ptr};

use pyo3::ffi::{self, Py_ssize_t, PyMethodDef, PyObject, PyTypeObject};

use super::{
    object::{Obj, Raised, Res, guarded, raise, take_raised},
    slots::{Slots, getter, getters, init_parameters, member, members, method, methods, parameters, slot},
    state::state,
};

const RESULT: usize = 0;
const EXCEPTION: usize = 1;
const TRACEBACK: usize = 2;

type Outcome = Slots<3, ()>;

pub(super) fn make_type() -> Res<*mut PyTypeObject> {
    let at = Outcome::offset;
    Outcome::make_type(
        c"crow_hooks.Result",
        0,
        None,
        &[
            slot(ffi::Py_tp_new, new as *mut c_void),
            slot(ffi::Py_tp_doc, c"The outcome of a hook call: a result or an exception.".as_ptr().cast_mut().cast()),
            members(vec![
                member(c"_result", at(RESULT)),
                member(c"_exception", at(EXCEPTION)),
                member(c"_traceback", at(TRACEBACK)),
            ]),
            getters(vec![getter(c"exception", exception, None), getter(c"excinfo", excinfo, None)]),
            methods(vec![
                method(c"get_result", get_result, c"The result, or the exception raised."),
                method(c"force_result", force_result, c"Make this the result, whatever it was."),
                method(c"force_exception", force_exception, c"Make this exception the outcome, whatever it was."),
                class_method(method(c"from_call", from_call, c"The outcome of calling a function.")),
                PyMethodDef {
                    ml_name: c"__class_getitem__".as_ptr(),
                    ml_meth: ffi::PyMethodDefPointer { PyCFunction: of_type },
                    ml_flags: ffi::METH_O | ffi::METH_CLASS,
                    ml_doc: ptr::null(),
                },
            ]),
        ],
    )
}

fn class_method(mut method: PyMethodDef) -> PyMethodDef {
    method.ml_flags |= ffi::METH_CLASS;
    method
}

unsafe extern "C" fn new(_: *mut PyTypeObject, args: *mut PyObject, kwargs: *mut PyObject) -> *mut PyObject {
    guarded(|| match unsafe { init_parameters("Result.__init__", ["result", "exception"], 2, args, kwargs) }? {
        [Some(result), Some(exception)] => build(result, exception),
        _ => Err(Raised),
    })
}

/// `Result(result, exception)`.
pub(super) fn build(result: Obj, exception: Obj) -> Res<Obj> {
    let object = unsafe { Outcome::alloc(state().types.result) }?;
    let this = unsafe { Outcome::of(object.as_ptr()) };
    this.set(RESULT, Some(result));
    set_exception(this, exception);
    Ok(object)
}

fn set_exception(this: &Outcome, exception: Obj) {
    this.set(TRACEBACK, Some(traceback(&exception)));
    this.set(EXCEPTION, Some(exception));
}

/// An exception's traceback changes as it travels; this is what it is now.
fn traceback(exception: &Obj) -> Obj {
    if exception.is_none() {
        return Obj::none();
    }
    let traceback = unsafe { Obj::owned(ffi::PyException_GetTraceback(exception.as_ptr())) };
    traceback.unwrap_or_else(|Raised| Obj::none())
}

/// The result, or the exception with the traceback that it had.
pub(super) fn outcome(object: &Obj) -> Result<Obj, Obj> {
    let this = unsafe { Outcome::of(object.as_ptr()) };
    let exception = this.get_or_none(EXCEPTION);
    if exception.is_none() {
        return Ok(this.get_or_none(RESULT));
    }
    unsafe { ffi::PyException_SetTraceback(exception.as_ptr(), this.get_or_none(TRACEBACK).as_ptr()) };
    Err(exception)
}

unsafe extern "C" fn get_result(
    object: *mut PyObject,
    _: *const *mut PyObject,
    _: Py_ssize_t,
    _: *mut PyObject,
) -> *mut PyObject {
    guarded(|| outcome(&unsafe { Obj::borrowed(object) }).map_err(raise))
}

unsafe extern "C" fn force_result(
    object: *mut PyObject,
    args: *const *mut PyObject,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let [result] = unsafe { parameters("Result.force_result", ["result"], 1, args, given, kwnames) }?;
        let this = unsafe { Outcome::of(object) };
        this.set(RESULT, result);
        set_exception(this, Obj::none());
        Ok(Obj::none())
    })
}

unsafe extern "C" fn force_exception(
    object: *mut PyObject,
    args: *const *mut PyObject,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let [exception] = unsafe { parameters("Result.force_exception", ["exception"], 1, args, given, kwnames) }?;
        let this = unsafe { Outcome::of(object) };
        this.set(RESULT, Some(Obj::none()));
        set_exception(this, exception.unwrap_or_else(Obj::none));
        Ok(Obj::none())
    })
}

/// What a call gives, as a `Result`.
pub(super) fn from_outcome(outcome: Res<Obj>) -> Res<Obj> {
    match outcome {
        Ok(result) => build(result, Obj::none()),
        Err(Raised) => build(Obj::none(), take_raised()),
    }
}

unsafe extern "C" fn from_call(
    _: *mut PyObject,
    args: *const *mut PyObject,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| match unsafe { parameters("Result.from_call", ["func"], 1, args, given, kwnames) }? {
        [Some(function)] => from_outcome(function.call(&[])),
        [None] => Err(Raised),
    })
}

unsafe extern "C" fn of_type(class: *mut PyObject, item: *mut PyObject) -> *mut PyObject {
    unsafe { ffi::Py_GenericAlias(class, item) }
}

unsafe extern "C" fn exception(object: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    guarded(|| Ok(unsafe { Outcome::of(object) }.get_or_none(EXCEPTION)))
}

unsafe extern "C" fn excinfo(object: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    guarded(|| {
        let this = unsafe { Outcome::of(object) };
        let exception = this.get_or_none(EXCEPTION);
        if exception.is_none() {
            return Ok(exception);
        }
        Obj::tuple(&[&exception.type_of(), &exception, &this.get_or_none(TRACEBACK)])
    })
}
