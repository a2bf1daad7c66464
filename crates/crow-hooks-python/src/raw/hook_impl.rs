//! `HookImpl`: one function of a plugin, and what is known about it.

use std::{
    cell::Cell,
    ffi::{c_int, c_void},
};

use pyo3::ffi::{self, PyObject, PyTypeObject};

use super::{
    object::{Obj, Raised, Res, error, guarded, guarded_status},
    slots::{Rest, Slots, init_parameters, member, members, slot},
    state::{next_epoch, state},
};
use crate::signature;

pub(super) const FUNCTION: usize = 0;
pub(super) const ARGNAMES: usize = 1;
pub(super) const KWARGNAMES: usize = 2;
pub(super) const PLUGIN: usize = 3;
pub(super) const OPTS: usize = 4;
pub(super) const PLUGIN_NAME: usize = 5;
pub(super) const WRAPPER: usize = 6;
pub(super) const HOOKWRAPPER: usize = 7;
pub(super) const OPTIONALHOOK: usize = 8;
pub(super) const TRYFIRST: usize = 9;
pub(super) const TRYLAST: usize = 10;
/// Who is told of its errors, if they are to go no further.
const SINK: usize = 11;

#[derive(Default)]
pub(super) struct Place {
    /// When it was added to its hook, counted over all hooks; later is greater.
    pub(super) seq: Cell<u64>,
}

impl Rest for Place {}

pub(super) type HookImpl = Slots<12, Place>;

pub(super) fn make_type() -> Res<*mut PyTypeObject> {
    let at = HookImpl::offset;
    HookImpl::make_type(
        c"crow_hooks.HookImpl",
        0,
        None,
        &[
            slot(ffi::Py_tp_new, new as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
            slot(ffi::Py_tp_setattro, set_attribute as *mut c_void),
            slot(ffi::Py_tp_doc, c"A function of a plugin that implements a hook.".as_ptr().cast_mut().cast()),
            members(vec![
                member(c"function", at(FUNCTION)),
                member(c"argnames", at(ARGNAMES)),
                member(c"kwargnames", at(KWARGNAMES)),
                member(c"plugin", at(PLUGIN)),
                member(c"opts", at(OPTS)),
                member(c"plugin_name", at(PLUGIN_NAME)),
                member(c"wrapper", at(WRAPPER)),
                member(c"hookwrapper", at(HOOKWRAPPER)),
                member(c"optionalhook", at(OPTIONALHOOK)),
                member(c"tryfirst", at(TRYFIRST)),
                member(c"trylast", at(TRYLAST)),
                member(c"_sink", at(SINK)),
            ]),
        ],
    )
}

unsafe extern "C" fn new(_: *mut PyTypeObject, args: *mut PyObject, kwargs: *mut PyObject) -> *mut PyObject {
    guarded(|| {
        let names = ["plugin", "plugin_name", "function", "hook_impl_opts"];
        match unsafe { init_parameters("HookImpl.__init__", names, 4, args, kwargs) }? {
            [Some(plugin), Some(name), Some(function), Some(opts)] => build(&plugin, &name, &function, &opts),
            _ => Err(Raised),
        }
    })
}

/// `HookImpl(plugin, plugin_name, function, opts)`.
pub(crate) fn build(plugin: &Obj, plugin_name: &Obj, function: &Obj, opts: &Obj) -> Res<Obj> {
    let names = &state().names;
    let option = |name: &Obj| opts.subscript(name);
    let flags = [
        option(&names.wrapper)?,
        option(&names.hookwrapper)?,
        option(&names.optionalhook)?,
        option(&names.tryfirst)?,
        option(&names.trylast)?,
    ];
    build_with(plugin, plugin_name, function, opts, flags)
}

fn build_with(plugin: &Obj, plugin_name: &Obj, function: &Obj, opts: &Obj, flags: [Obj; 5]) -> Res<Obj> {
    let (argnames, kwargnames) = signature::varnames(function)?;
    let object = unsafe { HookImpl::alloc(state().types.hook_impl) }?;
    let this = unsafe { HookImpl::of(object.as_ptr()) };
    this.set(FUNCTION, Some(function.clone()));
    this.set(ARGNAMES, Some(argnames));
    this.set(KWARGNAMES, Some(kwargnames));
    this.set(PLUGIN, Some(plugin.clone()));
    this.set(OPTS, Some(opts.clone()));
    this.set(PLUGIN_NAME, Some(plugin_name.clone()));
    for (slot, flag) in [WRAPPER, HOOKWRAPPER, OPTIONALHOOK, TRYFIRST, TRYLAST].into_iter().zip(flags) {
        this.set(slot, Some(flag));
    }
    Ok(object)
}

/// How a hookimpl is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Plain,
    Wrapper,
    OldWrapper,
}

/// A hookimpl as this module's own code sees it.
#[derive(Debug, Clone)]
pub(crate) struct Impl(Obj);

impl Impl {
    pub(crate) fn new(object: Obj) -> Res<Self> {
        if object.is_a_type(state().types.hook_impl) {
            return Ok(Self(object));
        }
        let class = object.type_of().attr(&state().names.type_name)?.to_text()?;
        Err(error(unsafe { ffi::PyExc_TypeError }, &format!("expected a HookImpl, not '{class}'")))
    }

    pub(crate) fn object(&self) -> &Obj {
        &self.0
    }

    pub(super) fn slots(&self) -> &HookImpl {
        unsafe { HookImpl::of(self.0.as_ptr()) }
    }

    pub(crate) fn function(&self) -> Obj {
        self.slots().get_or_none(FUNCTION)
    }

    pub(crate) fn argnames(&self) -> Obj {
        self.slots().get_or_none(ARGNAMES)
    }

    pub(crate) fn kwargnames(&self) -> Obj {
        self.slots().get_or_none(KWARGNAMES)
    }

    pub(crate) fn plugin(&self) -> Obj {
        self.slots().get_or_none(PLUGIN)
    }

    pub(crate) fn plugin_name(&self) -> Obj {
        self.slots().get_or_none(PLUGIN_NAME)
    }

    pub(crate) fn opts(&self) -> Obj {
        self.slots().get_or_none(OPTS)
    }

    /// When it was added to its hook; later is greater.
    pub(crate) fn seq(&self) -> u64 {
        self.slots().rest.seq.get()
    }

    pub(crate) fn set_seq(&self, seq: u64) {
        self.slots().rest.seq.set(seq);
    }

    /// Who is told of its errors, if its hook isolates it.
    pub(super) fn sink(&self) -> Option<Obj> {
        self.slots().get(SINK)
    }

    fn flag(&self, slot: usize) -> Res<bool> {
        self.slots().get_or_none(slot).truth()
    }

    /// What a slot holds, null if nothing.
    #[inline]
    pub(super) fn slot(&self, slot: usize) -> *mut ffi::PyObject {
        self.slots().refs[slot].get()
    }

    #[inline]
    pub(super) fn kind(&self) -> Res<Kind> {
        let no = unsafe { ffi::Py_False() };
        if self.slot(HOOKWRAPPER) == no && self.slot(WRAPPER) == no {
            return Ok(Kind::Plain);
        }
        Ok(match (self.is_old_wrapper()?, self.is_new_wrapper()?) {
            (true, _) => Kind::OldWrapper,
            (false, true) => Kind::Wrapper,
            (false, false) => Kind::Plain,
        })
    }

    pub(crate) fn is_new_wrapper(&self) -> Res<bool> {
        self.flag(WRAPPER)
    }

    pub(crate) fn is_old_wrapper(&self) -> Res<bool> {
        self.flag(HOOKWRAPPER)
    }

    pub(crate) fn is_wrapper(&self) -> Res<bool> {
        Ok(self.is_old_wrapper()? || self.is_new_wrapper()?)
    }

    pub(crate) fn is_tryfirst(&self) -> Res<bool> {
        self.flag(TRYFIRST)
    }

    pub(crate) fn is_trylast(&self) -> Res<bool> {
        self.flag(TRYLAST)
    }
}

unsafe extern "C" fn repr(object: *mut PyObject) -> *mut PyObject {
    guarded(|| {
        let this = unsafe { HookImpl::of(object) };
        let (name, plugin) = (this.get_or_none(PLUGIN_NAME).repr()?, this.get_or_none(PLUGIN).repr()?);
        Obj::str(&format!("<HookImpl plugin_name={name}, plugin={plugin}>"))
    })
}

unsafe extern "C" fn set_attribute(object: *mut PyObject, name: *mut PyObject, value: *mut PyObject) -> c_int {
    guarded_status(|| {
        next_epoch();
        super::object::check(unsafe { ffi::PyObject_GenericSetAttr(object, name, value) }).map(drop)
    })
}

/// The options of `call_extra`'s functions, one dict for all of a call.
pub(super) fn temporary_opts() -> Res<Obj> {
    unsafe { Obj::owned(ffi::PyDict_Copy(state().no_opts.as_ptr())) }
}

/// A function that takes part in one call.
pub(super) fn temporary(function: &Obj, opts: &Obj) -> Res<Impl> {
    let no = || Obj::bool(false);
    Impl::new(build_with(&Obj::none(), &state().names.temp, function, opts, [no(), no(), no(), no(), no()])?)
}
