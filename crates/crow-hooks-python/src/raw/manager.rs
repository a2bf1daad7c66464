//! Who executes a call: the native loop, at best; or a monitor, a tracer, or a manager's own method.

use std::{
    cell::Cell,
    ffi::{c_int, c_void},
    mem::offset_of,
    ptr,
};

use pyo3::ffi::{self, Py_ssize_t, PyMethodDef, PyObject, PyTypeObject};

use super::{
    call::{self, Noted},
    hook_impl::Impl,
    object::{Obj, Raised, Res, clear, guarded, guarded_status, raise, raised_is},
    plan::{Unplanned, position},
    result,
    slots::{
        FastMethod, Rest, Slots, getter, getters, init_parameters, member, members, method, methods, parameters, slot,
        vectorcall_offset,
    },
    state::state,
};

const INNER: usize = 0;

/// What `_inner_hookexec` is.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    /// The native loop.
    #[default]
    Native,
    /// A tracer around the native loop.
    Traced,
    Other,
}

#[derive(Default)]
pub(super) struct ManagerState {
    mode: Cell<Mode>,
}

impl Rest for ManagerState {}

/// The part of `PluginManager` that calls look at.
type Manager = Slots<1, ManagerState>;

pub(super) fn make_manager_type() -> Res<*mut PyTypeObject> {
    Manager::make_type(
        c"crow_hooks._native.ManagerBase",
        ffi::Py_TPFLAGS_BASETYPE,
        None,
        &[
            slot(ffi::Py_tp_new, new_manager as *mut c_void),
            getters(vec![getter(c"_inner_hookexec", inner, Some(set_inner))]),
            methods(vec![method(c"_hookexec", hookexec, c"Every hook call comes through here, unless nobody looks.")]),
        ],
    )
}

unsafe extern "C" fn new_manager(class: *mut PyTypeObject, _: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    guarded(|| {
        let object = unsafe { Manager::alloc(class) }?;
        unsafe { Manager::of(object.as_ptr()) }.set(INNER, Some(state().multicall.clone()));
        Ok(object)
    })
}

unsafe extern "C" fn inner(object: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    guarded(|| Ok(unsafe { Manager::of(object) }.get_or_none(INNER)))
}

unsafe extern "C" fn set_inner(object: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    guarded_status(|| {
        let value = unsafe { Obj::maybe(value) }.unwrap_or_else(Obj::none);
        let this = unsafe { Manager::of(object) };
        this.rest.mode.set(if value.is(&state().multicall) {
            Mode::Native
        } else if TracingMonitor::of(&value).is_some() {
            Mode::Traced
        } else {
            Mode::Other
        });
        this.set(INNER, Some(value));
        Ok(())
    })
}

const HOOKEXEC: [&str; 4] = ["hook_name", "methods", "kwargs", "firstresult"];

unsafe extern "C" fn hookexec(
    object: *mut PyObject,
    args: *const *mut PyObject,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let inner = unsafe { Manager::of(object) }.get_or_none(INNER);
        match unsafe { parameters("PluginManager._hookexec", HOOKEXEC, 4, args, given, kwnames) }? {
            [Some(name), Some(impls), Some(kwargs), Some(firstresult)] => {
                inner.call(&[&name, &impls, &kwargs, &firstresult])
            }
            _ => Err(Raised),
        }
    })
}

/// How a caller's `_hookexec` is to be treated.
#[derive(Clone, Copy)]
pub(super) enum Executor {
    /// It is the native loop itself.
    Loop,
    /// It is the stock method of this manager, which the caller keeps alive by way of it.
    Stock(*mut PyObject),
    /// It is somebody's function.
    Any,
}

impl Executor {
    pub(super) fn of(hookexec: &Obj) -> Self {
        if hookexec.is(&state().multicall) {
            return Self::Loop;
        }
        if !hookexec.is_exactly(&state().builtin_type) {
            return Self::Any;
        }
        let names = &state().names;
        let (Ok(manager), Ok(name)) = (hookexec.attr(&names.method_self), hookexec.attr(&names.type_name)) else {
            clear();
            return Self::Any;
        };
        if manager.is_a_type(state().types.manager) && name.to_text().is_ok_and(|name| name == "_hookexec") {
            Self::Stock(manager.as_ptr())
        } else {
            Self::Any
        }
    }

    #[inline]
    fn mode(self) -> Mode {
        match self {
            Self::Loop => Mode::Native,
            Self::Stock(manager) => unsafe { Manager::of(manager) }.rest.mode.get(),
            Self::Any => Mode::Other,
        }
    }

    /// Whether nobody stands between a call and the native loop.
    #[inline]
    pub(super) fn is_native(self) -> bool {
        self.mode() == Mode::Native
    }

    /// What the stock method would call.
    pub(super) fn inner(self) -> Option<Obj> {
        match self {
            Self::Stock(manager) => unsafe { Manager::of(manager) }.get(INNER),
            _ => None,
        }
    }

    /// The tracer around the native loop, if it has nothing to write to.
    pub(super) fn quiet_trace(self) -> Option<TracingMonitor> {
        if self.mode() != Mode::Traced {
            return None;
        }
        TracingMonitor::of(&self.inner()?).filter(|monitor| is_quiet(&monitor.tracer))
    }
}

const BEFORE: usize = 0;
const AFTER: usize = 1;
const OLD: usize = 2;
const TRACER: usize = 3;

type Monitor = Slots<4, MonitorState>;

pub(super) struct MonitorState {
    vectorcall: ffi::vectorcallfunc,
}

impl Default for MonitorState {
    fn default() -> Self {
        Self { vectorcall: monitored }
    }
}

impl Rest for MonitorState {}

pub(super) fn make_monitor_type() -> Res<*mut PyTypeObject> {
    let at = Monitor::offset;
    let place = offset_of!(Monitor, rest) + offset_of!(MonitorState, vectorcall);
    Monitor::make_type(
        c"crow_hooks._native.Monitor",
        ffi::Py_TPFLAGS_HAVE_VECTORCALL,
        None,
        &[
            slot(ffi::Py_tp_new, new_monitor as *mut c_void),
            slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
            members(vec![
                member(c"before", at(BEFORE)),
                member(c"after", at(AFTER)),
                member(c"old", at(OLD)),
                vectorcall_offset(place),
            ]),
        ],
    )
}

unsafe extern "C" fn new_monitor(
    class: *mut PyTypeObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let names = ["before", "after", "old", "tracer"];
        let parts = unsafe { init_parameters("Monitor", names, 4, args, kwargs) }?;
        let object = unsafe { Monitor::alloc(class) }?;
        for (at, part) in parts.into_iter().enumerate() {
            unsafe { Monitor::of(object.as_ptr()) }.set(at, part);
        }
        Ok(object)
    })
}

unsafe extern "C" fn monitored(
    object: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let this = unsafe { Monitor::of(object) };
        let names = ["hook_name", "hook_impls", "caller_kwargs", "firstresult"];
        let given = unsafe { ffi::PyVectorcall_NARGS(nargsf) };
        match unsafe { parameters("traced_hookexec", names, 4, args, given, kwnames) }? {
            [Some(name), Some(impls), Some(kwargs), Some(firstresult)] => {
                let (after, old) = (this.get_or_none(AFTER), this.get_or_none(OLD));
                this.get_or_none(BEFORE).call(&[&name, &impls, &kwargs])?;
                let outcome = if old.is(&state().multicall) {
                    firstresult.truth().and_then(|firstresult| multicall(&name, &impls, &kwargs, firstresult))
                } else {
                    old.call(&[&name, &impls, &kwargs, &firstresult])
                };
                let outcome = result::from_outcome(outcome)?;
                after.call(&[&outcome, &name, &impls, &kwargs])?;
                result::outcome(&outcome).map_err(raise)
            }
            _ => Err(Raised),
        }
    })
}

/// A monitor made by `enable_tracing`, around nothing but the native loop.
pub(super) struct TracingMonitor {
    after: Obj,
    tracer: Obj,
}

impl TracingMonitor {
    fn of(object: &Obj) -> Option<Self> {
        if !object.is_a_type(state().types.monitor) {
            return None;
        }
        let this = unsafe { Monitor::of(object.as_ptr()) };
        let tracer = this.get(TRACER).filter(|tracer| tracer.is_a_type(state().types.tracer))?;
        if !this.get(OLD)?.is(&state().multicall) {
            return None;
        }
        Some(Self { after: this.get(AFTER)?, tracer })
    }

    /// What tracing does when it has nothing to write: it counts how deep calls are.
    pub(super) fn trace(&self, name: &Obj, call: impl FnOnce() -> Res<Obj>) -> Res<Obj> {
        deepen(&self.tracer, 1)?;
        let outcome = call();
        if is_quiet(&self.tracer) {
            let exception = outcome.as_ref().err().map(|Raised| super::object::take_raised());
            deepen(&self.tracer, -1)?;
            return exception.map_or(outcome, |exception| Err(raise(exception)));
        }
        // Somebody began to listen during the call.
        let outcome = result::from_outcome(outcome)?;
        self.after.call(&[&outcome, name, &Obj::list(&[])?, &Obj::dict()?])?;
        result::outcome(&outcome).map_err(raise)
    }
}

const WRITER: usize = 0;
const PROCESSORS: usize = 1;
const INDENT: usize = 2;

/// The part of `TagTracer` that tells whether anybody listens.
type Tracer = Slots<3, ()>;

pub(super) fn make_tracer_type() -> Res<*mut PyTypeObject> {
    let at = Tracer::offset;
    Tracer::make_type(
        c"crow_hooks._native.TracerBase",
        ffi::Py_TPFLAGS_BASETYPE,
        None,
        &[
            slot(ffi::Py_tp_new, Tracer::tp_new as *mut c_void),
            members(vec![
                member(c"_writer", at(WRITER)),
                member(c"_tags2proc", at(PROCESSORS)),
                member(c"indent", at(INDENT)),
            ]),
        ],
    )
}

fn is_quiet(tracer: &Obj) -> bool {
    let this = unsafe { Tracer::of(tracer.as_ptr()) };
    let processors = this.get_or_none(PROCESSORS);
    this.get_or_none(WRITER).is_none() && processors.is_dict() && unsafe { ffi::PyDict_Size(processors.as_ptr()) } == 0
}

fn deepen(tracer: &Obj, by: i64) -> Res<()> {
    let this = unsafe { Tracer::of(tracer.as_ptr()) };
    let indent = this.get_or_none(INDENT).to_i64()?;
    this.set(INDENT, Some(Obj::from_i64(indent + by)?));
    Ok(())
}

/// `_multicall(hook_name, hook_impls, caller_kwargs, firstresult)`.
pub(super) fn multicall(name: &Obj, impls: &Obj, kwargs: &Obj, firstresult: bool) -> Res<Obj> {
    let impls = if impls.is_list() || impls.is_tuple() { impls.items() } else { impls.to_list()?.items() };
    multicall_of(name, impls, kwargs, firstresult)
}

/// The same, with pairs of plugin name and result added to a list.
pub(super) fn named_multicall(name: &Obj, impls: &Obj, kwargs: &Obj, firstresult: bool, log: &Obj) -> Res<Obj> {
    let impls = impls.items().into_iter().map(Impl::new).collect::<Res<Vec<_>>>()?;
    let entries = kwargs.entries();
    let values: Vec<*mut PyObject> = entries.iter().map(|(_, value)| value.as_ptr()).collect();
    let noted = impls.iter().rev().map(|hook_impl| Noted { callable: Unplanned { hook_impl, entries: &entries }, log });
    unsafe { call::run(noted, firstresult, name.as_ptr(), values.as_ptr()) }
}

/// The same for impls that are in no list of Python's.
pub(super) fn multicall_of(name: &Obj, impls: Vec<Obj>, kwargs: &Obj, firstresult: bool) -> Res<Obj> {
    let impls = impls.into_iter().map(Impl::new).collect::<Res<Vec<_>>>()?;
    let entries = if kwargs.is_dict() { kwargs.entries() } else { asked_for(&impls, kwargs)? };
    let values: Vec<*mut PyObject> = entries.iter().map(|(_, value)| value.as_ptr()).collect();
    let unplanned = impls.iter().rev().map(|hook_impl| Unplanned { hook_impl, entries: &entries });
    unsafe { call::run(unplanned, firstresult, name.as_ptr(), values.as_ptr()) }
}

/// The arguments that impls want of a mapping that is no dict.
fn asked_for(impls: &[Impl], kwargs: &Obj) -> Res<Vec<(Obj, Obj)>> {
    let mut found: Vec<(Obj, Obj)> = Vec::new();
    for each in impls {
        for name in each.argnames().items().into_iter().chain(each.kwargnames().items()) {
            let names: Vec<Obj> = found.iter().map(|(name, _)| name.clone()).collect();
            if position(&names, &name)?.is_some() {
                continue;
            }
            match kwargs.subscript(&name) {
                Ok(value) => found.push((name, value)),
                Err(Raised) if raised_is(unsafe { ffi::PyExc_KeyError }) => clear(),
                Err(Raised) => return Err(Raised),
            }
        }
    }
    Ok(found)
}

unsafe extern "C" fn multicall_function(
    _: *mut PyObject,
    args: *const *mut PyObject,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let names = ["hook_name", "hook_impls", "caller_kwargs", "firstresult"];
        match unsafe { parameters("_multicall", names, 4, args, given, kwnames) }? {
            [Some(name), Some(impls), Some(kwargs), Some(firstresult)] => {
                multicall(&name, &impls, &kwargs, firstresult.truth()?)
            }
            _ => Err(Raised),
        }
    })
}

/// A function of the module.
pub(super) fn function(name: &'static std::ffi::CStr, function: FastMethod, doc: &'static std::ffi::CStr) -> Res<Obj> {
    let definition: &'static mut PyMethodDef = Box::leak(Box::new(method(name, function, doc)));
    let module = Obj::name("crow_hooks._native")?;
    unsafe { Obj::owned(ffi::PyCFunction_NewEx(definition, ptr::null_mut(), module.as_ptr())) }
}

pub(super) fn multicall_object() -> Res<Obj> {
    function(c"_multicall", multicall_function, c"Call hookimpls in order: the call loop.")
}
