//! The module `crow_hooks._native`.

use std::ffi::CStr;

use pyo3::ffi::{self, Py_ssize_t, PyObject};

use super::{
    caller, hook_impl,
    manager::{self, function},
    object::{Obj, Raised, Res, check, guarded, raise, type_error},
    result,
    slots::parameters,
    state::{self, Types},
};
use crate::{discovery, order, signature, verify};

/// Python's entry point.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn PyInit__native() -> *mut PyObject {
    guarded(module)
}

fn module() -> Res<Obj> {
    let multicall = manager::multicall_object()?;
    let (caller, subset) = caller::make_types()?;
    let types = Types {
        hook_impl: hook_impl::make_type()?,
        result: result::make_type()?,
        caller,
        subset,
        manager: manager::make_manager_type()?,
        tracer: manager::make_tracer_type()?,
        monitor: manager::make_monitor_type()?,
    };
    state::init(types, multicall.clone())?;
    let definition = Box::leak(Box::new(ffi::PyModuleDef {
        m_base: ffi::PyModuleDef_HEAD_INIT,
        m_name: c"crow_hooks._native".as_ptr(),
        m_doc: c"The native part of crow_hooks.".as_ptr(),
        m_size: -1,
        ..unsafe { std::mem::zeroed() }
    }));
    let module = unsafe { Obj::owned(ffi::PyModule_Create(definition))? };
    let add = |name: &CStr, value: &Obj| {
        check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), name.as_ptr(), value.as_ptr()) })
    };
    for (name, class) in [
        (c"HookImpl", types.hook_impl),
        (c"Result", types.result),
        (c"HookCaller", types.caller),
        (c"_SubsetHookCaller", types.subset),
        (c"ManagerBase", types.manager),
        (c"TracerBase", types.tracer),
        (c"Monitor", types.monitor),
    ] {
        add(name, &unsafe { Obj::borrowed(class.cast()) })?;
    }
    add(c"_multicall", &multicall)?;
    add(c"varnames", &function(c"varnames", varnames, c"The positional and the keyword parameters of a function.")?)?;
    add(
        c"static_hook_attr",
        &function(c"static_hook_attr", static_hook_attr, c"An attribute, without running code.")?,
    )?;
    add(c"marker_opts", &function(c"marker_opts", marker_opts, c"What a marker left on a function.")?)?;
    add(c"find_impls", &function(c"find_impls", find_impls, c"All hookimpls of a plugin, verified.")?)?;
    add(c"is_plainly_valid", &function(c"is_plainly_valid", is_plainly_valid, c"Whether a hookimpl fits its hook.")?)?;
    add(c"raise_again", &function(c"raise_again", raise_again, c"Raise an exception with the traceback it has.")?)?;
    add(
        c"set_frame",
        &function(c"set_frame", set_frame, c"Have a function called with each exception, to raise it again.")?,
    )?;
    add(
        c"named_multicall",
        &function(c"named_multicall", named_multicall, c"The call loop, noting who gave which result.")?,
    )?;
    add(c"arrange", &function(c"arrange", arrange, c"Hookimpls in order.")?)?;
    Ok(module)
}

type Args = *const *mut PyObject;

unsafe extern "C" fn varnames(
    _: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let [function, legacy] = unsafe { parameters("varnames", ["func", "legacy_noself"], 1, args, given, kwnames) }?;
        let legacy = legacy.unwrap_or_else(|| Obj::bool(false)).truth()?;
        let (args, kwargs) = signature::varnames_of(&function.unwrap_or_else(Obj::none), legacy)?;
        Obj::tuple(&[&args, &kwargs])
    })
}

unsafe extern "C" fn static_hook_attr(
    _: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| match unsafe { parameters("static_hook_attr", ["obj", "name"], 2, args, given, kwnames) }? {
        [Some(object), Some(name)] => match discovery::Searched::new(&object)?.find(&name)? {
            Some(found) => Obj::tuple(&[&found.holder, &found.function()?]),
            None => Ok(Obj::none()),
        },
        _ => Err(Raised),
    })
}

unsafe extern "C" fn marker_opts(
    _: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| match unsafe { parameters("marker_opts", ["obj", "name", "marker"], 3, args, given, kwnames) }? {
        [Some(object), Some(name), Some(marker)] => {
            let Some(found) = discovery::Searched::new(&object)?.find(&name)? else {
                return Ok(Obj::none());
            };
            // Bound as `getattr` would, whether it is needed or not: that may fail.
            found.function()?;
            Ok(discovery::marker_opts(&found.holder, &marker)?.unwrap_or_else(Obj::none))
        }
        _ => Err(Raised),
    })
}

unsafe extern "C" fn find_impls(
    _: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let names = ["manager", "plugin", "plugin_name", "parse"];
        match unsafe { parameters("find_impls", names, 4, args, given, kwnames) }? {
            [Some(manager), Some(plugin), Some(name), Some(parse)] => {
                let parse = Some(parse).filter(|parse| !parse.is_none());
                discovery::find_impls(&manager, &plugin, &name, parse.as_ref())
            }
            _ => Err(Raised),
        }
    })
}

unsafe extern "C" fn is_plainly_valid(
    _: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| match unsafe { parameters("is_plainly_valid", ["hook", "hookimpl"], 2, args, given, kwnames) }? {
        [Some(hook), Some(hook_impl)] => Ok(Obj::bool(verify::is_plainly_valid(&hook, &hook_impl)?)),
        _ => Err(Raised),
    })
}

unsafe extern "C" fn arrange(_: *mut PyObject, args: Args, given: Py_ssize_t, kwnames: *mut PyObject) -> *mut PyObject {
    guarded(|| match unsafe { parameters("arrange", ["hook", "impls"], 2, args, given, kwnames) }? {
        [Some(hook), Some(impls)] => Obj::list(&order::arranged(&hook.display()?, impls.to_list()?.items())?),
        _ => Err(Raised),
    })
}

unsafe extern "C" fn raise_again(
    _: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| match unsafe { parameters("raise_again", ["exception"], 1, args, given, kwnames) }? {
        [Some(exception)] if exception.is_exception() => Err(raise(exception)),
        _ => Err(type_error("raise_again() needs an exception")),
    })
}

unsafe extern "C" fn set_frame(
    _: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let [function] = unsafe { parameters("set_frame", ["function"], 1, args, given, kwnames) }?;
        state::set_frame(function.filter(|function| !function.is_none()));
        Ok(Obj::none())
    })
}

unsafe extern "C" fn named_multicall(
    _: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let names = ["hook_name", "hook_impls", "caller_kwargs", "firstresult", "log"];
        match unsafe { parameters("named_multicall", names, 5, args, given, kwnames) }? {
            [Some(name), Some(impls), Some(kwargs), Some(firstresult), Some(log)]
                if impls.is_list() && kwargs.is_dict() && log.is_list() =>
            {
                manager::named_multicall(&name, &impls, &kwargs, firstresult.truth()?, &log)
            }
            _ => Err(type_error("named_multicall() takes a name, a list, a dict, a truth value and a list")),
        }
    })
}
