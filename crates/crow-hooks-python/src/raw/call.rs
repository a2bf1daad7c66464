//! The call loop and nothing else.

use pyo3::ffi::{self, Py_ssize_t, PyObject};

use super::{
    few::Few,
    generator::{self, Step as Resumed},
    hook_impl::{Impl, Kind},
    object::{Obj, Raised, Res, raise, take_raised},
    result,
    state::state,
};

/// A wrapper that has yielded and waits for what comes out.
struct Waiting {
    generator: Obj,
    kind: Kind,
    hook_impl: Impl,
}

/// An impl that can be called with the values of a call.
pub(super) trait Callable {
    fn kind(&self) -> Res<Kind>;
    fn hook_impl(&self) -> &Impl;
    /// # Safety
    /// `values` are as many as there are names that this was made for.
    unsafe fn call(&self, values: *const *mut PyObject) -> Res<Obj>;
}

/// Calls impls in order and gives what the hook call gives.
///
/// `values` are the call's arguments, in the order of the names that the impls were prepared for. `hook` is the hook's name.
#[inline]
pub(super) unsafe fn run<C: Callable>(
    impls: impl Iterator<Item = C>,
    firstresult: bool,
    hook: *mut PyObject,
    values: *const *mut PyObject,
) -> Res<Obj> {
    let mut results: Few<Obj, 16> = Few::new();
    let mut waiting: Few<Waiting, 4> = Few::new();
    let mut failed = false;
    for each in impls {
        let Ok((kind, result)) = each.kind().and_then(|kind| Ok((kind, unsafe { each.call(values) }?))) else {
            if is_isolated(hook, each.hook_impl()) {
                continue;
            }
            leave_a_frame();
            failed = true;
            break;
        };
        if kind == Kind::Plain {
            if !result.is_none() {
                results.push(result);
                if firstresult {
                    break;
                }
            }
        } else if let Ok(generator) = started(result) {
            waiting.push(Waiting { generator, kind, hook_impl: each.hook_impl().clone() });
        } else if !is_isolated(hook, each.hook_impl()) {
            failed = true;
            break;
        }
    }
    let outcome = if !failed {
        Ok(if firstresult { results.pop().unwrap_or_else(Obj::none) } else { into_list(results)? })
    } else if waiting.is_empty() {
        return Err(Raised);
    } else {
        Err(take_raised())
    };
    if waiting.is_empty() {
        return outcome.map_err(raise);
    }
    unwind(&unsafe { Obj::borrowed(hook) }, waiting, outcome)
}

/// Whether the impl's hook isolates its impls, and the exception that is raised was reported instead.
#[cold]
fn is_isolated(hook: *mut PyObject, hook_impl: &Impl) -> bool {
    let Some(sink) = hook_impl.sink() else { return false };
    let exception = take_raised();
    if report(&sink, hook, hook_impl, &exception) {
        return true;
    }
    // The sink's own exception, or one that is not for isolating.
    if unsafe { ffi::PyErr_Occurred().is_null() } {
        raise(exception);
    }
    false
}

/// Tells the sink of an `Exception`; whether that is all there is to do.
fn report(sink: &Obj, hook: *mut PyObject, hook_impl: &Impl, exception: &Obj) -> bool {
    let is_ordinary = unsafe { exception.is_a_type(ffi::PyExc_Exception.cast()) };
    is_ordinary && sink.call(&[&unsafe { Obj::borrowed(hook) }, hook_impl.object(), exception]).is_ok()
}

/// Puts a frame of the call loop into the traceback, if somebody wants to see one.
#[cold]
fn leave_a_frame() {
    if let Some(function) = super::state::frame() {
        let exception = take_raised();
        if function.call(&[&exception]).is_ok() {
            raise(exception);
        }
    }
}

fn started(generator: Obj) -> Res<Obj> {
    match generator::start(&generator)? {
        Resumed::Yielded => Ok(generator),
        Resumed::Returned(_) => Err(generator::misbehaved(&generator, "did not yield")),
        Resumed::Raised(exception) => Err(raise(exception)),
    }
}

/// Resumes the wrappers, the innermost first, each with what the one inside it made of the outcome.
#[inline(never)]
fn unwind(hook: &Obj, mut waiting: Few<Waiting, 4>, mut outcome: Result<Obj, Obj>) -> Res<Obj> {
    while let Some(Waiting { generator, kind, hook_impl }) = waiting.pop() {
        let inner = hook_impl.sink().map(|sink| (sink, outcome.clone()));
        outcome = if kind == Kind::OldWrapper {
            after_old_wrapper(hook, &hook_impl, &generator, outcome)
        } else {
            after_wrapper(&generator, outcome)?
        };
        if let (Some((sink, inner)), Err(exception)) = (inner, &outcome)
            && !inner.as_ref().is_err_and(|pending| pending.is(exception))
            && report(&sink, hook.as_ptr(), &hook_impl, exception)
        {
            outcome = inner;
        }
    }
    outcome.map_err(raise)
}

/// A wrapper's `return` is the new result, an exception that leaves it the new exception.
///
/// The error of a second `yield` passes by the wrappers outside.
fn after_wrapper(generator: &Obj, outcome: Result<Obj, Obj>) -> Res<Result<Obj, Obj>> {
    let resumed = match &outcome {
        Ok(result) => generator::send(generator, result),
        Err(exception) => generator::throw(generator, exception),
    };
    match resumed {
        Resumed::Returned(value) => Ok(Ok(value)),
        Resumed::Raised(exception) => {
            if let Err(pending) = outcome {
                match generator::stop_became_runtime_error(&exception, &pending) {
                    Ok(true) => {
                        return Ok(Err(match generator::close(generator) {
                            Ok(()) => pending,
                            Err(Raised) => take_raised(),
                        }));
                    }
                    Ok(false) => {}
                    Err(Raised) => return Ok(Err(take_raised())),
                }
            }
            Ok(Err(exception))
        }
        Resumed::Yielded => match generator::close(generator) {
            Ok(()) => Err(generator::misbehaved(generator, "has second yield")),
            Err(Raised) => Ok(Err(take_raised())),
        },
    }
}

/// An old-style wrapper gets a `Result` and may change it; what it returns does not matter.
fn after_old_wrapper(hook: &Obj, hook_impl: &Impl, generator: &Obj, outcome: Result<Obj, Obj>) -> Result<Obj, Obj> {
    let pending = outcome.as_ref().err().cloned();
    let result = match outcome {
        Ok(value) => result::build(value, Obj::none()),
        Err(exception) => result::build(Obj::none(), exception),
    };
    let result = result.map_err(|Raised| take_raised())?;
    match generator::send(generator, &result) {
        Resumed::Returned(_) => {}
        Resumed::Raised(exception) => {
            let exception = match warn_of_teardown(hook, hook_impl, &exception) {
                Ok(()) => exception,
                Err(Raised) => in_context(take_raised(), exception),
            };
            return Err(closed(generator, exception));
        }
        Resumed::Yielded => {
            let Raised = generator::misbehaved(generator, "has second yield");
            return Err(closed(generator, take_raised()));
        }
    }
    result::outcome(&result).map_err(|exception| {
        if !generator::is_stop_iteration(&exception) || pending.is_some_and(|pending| pending.is(&exception)) {
            return exception;
        }
        generator::stop_as_runtime_error(exception)
    })
}

/// Closes a generator that ended with an exception; one that `close` raises comes instead.
fn closed(generator: &Obj, exception: Obj) -> Obj {
    match generator::close(generator) {
        Ok(()) => exception,
        Err(Raised) => in_context(take_raised(), exception),
    }
}

fn in_context(exception: Obj, context: Obj) -> Obj {
    if !exception.is(&context) {
        unsafe { ffi::PyException_SetContext(exception.as_ptr(), context.into_ptr()) };
    }
    exception
}

/// Attributed to the code that called the hook: no frame of ours lies between.
fn warn_of_teardown(hook: &Obj, hook_impl: &Impl, exception: &Obj) -> Res<()> {
    let class = exception.type_of().attr(&state().names.type_name)?.display()?;
    let text = format!(
        "A plugin raised an exception during an old-style hookwrapper teardown.\n\
         Plugin: {}, Hook: {}\n{class}: {}\n\
         For more information see https://pluggy.readthedocs.io/en/stable/api_reference.html#pluggy.PluggyTeardownRaisedWarning",
        hook_impl.plugin_name().display()?,
        hook.display()?,
        exception.display()?,
    );
    warn(&super::state::python(c"crow_hooks._errors", "PluggyTeardownRaisedWarning")?, &text, 1)
}

/// `warnings.warn` at the Python code that is running (`level` 1), or at what called it (2).
pub(super) fn warn(category: &Obj, text: &str, level: isize) -> Res<()> {
    let text = std::ffi::CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    super::object::check(unsafe { ffi::PyErr_WarnEx(category.as_ptr(), text.as_ptr(), level) }).map(drop)
}

#[inline]
fn into_list(mut results: Few<Obj, 16>) -> Res<Obj> {
    unsafe {
        let list = Obj::owned(ffi::PyList_New(results.len() as Py_ssize_t))?;
        let mut at = 0;
        results.drain(|item| {
            #[cfg(not(Py_LIMITED_API))]
            ffi::PyList_SET_ITEM(list.as_ptr(), at, item.into_ptr());
            #[cfg(Py_LIMITED_API)]
            ffi::PyList_SetItem(list.as_ptr(), at, item.into_ptr());
            at += 1;
        });
        Ok(list)
    }
}

/// Notes which plugin gave which result.
pub(super) struct Noted<'l, C> {
    pub(super) callable: C,
    pub(super) log: &'l Obj,
}

impl<C: Callable> Callable for Noted<'_, C> {
    fn kind(&self) -> Res<Kind> {
        self.callable.kind()
    }

    fn hook_impl(&self) -> &Impl {
        self.callable.hook_impl()
    }

    unsafe fn call(&self, values: *const *mut PyObject) -> Res<Obj> {
        let result = unsafe { self.callable.call(values) }?;
        if !result.is_none() && self.kind()? == Kind::Plain {
            self.log.append(&Obj::tuple(&[&self.hook_impl().plugin_name(), &result])?)?;
        }
        Ok(result)
    }
}
