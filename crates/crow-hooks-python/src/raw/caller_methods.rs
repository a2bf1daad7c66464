//! The methods of `HookCaller`.

use pyo3::ffi::{Py_ssize_t, PyObject, PyType_Slot};

use super::{
    caller::Caller,
    hook_impl::{self, Impl},
    object::{Obj, Raised, Res, assertion_error, guarded, value_error},
    slots::{method, methods, parameters},
    spec::{firstresult, spec_defaults, warn_of_missing},
};
use crate::order;

pub(super) fn table() -> PyType_Slot {
    methods(vec![
        method(c"has_spec", has_spec, c"Whether the hook has a specification."),
        method(c"is_historic", is_historic, c"Whether calls are remembered for plugins to come."),
        method(c"set_specification", set_specification, c"Give the hook its specification."),
        method(c"get_hookimpls", get_hookimpls, c"A list of all implementations; the last is called first."),
        method(c"call_extra", call_extra, c"Call the hook with more functions, for this call only."),
        method(c"call_historic", call_historic, c"Call the hook now, and again for each plugin to come."),
        method(c"_add_hookimpl", add_hookimpl, c"Put an implementation in its place."),
        method(c"_check_order", check_order, c"Raise if an implementation could not be put in its place."),
        method(c"_remove_plugin", remove_plugin, c"Remove all implementations of a plugin."),
        method(c"_maybe_apply_history", apply_history, c"Replay the calls so far to an implementation."),
        method(c"_apply_defaults", apply_defaults, c"The arguments of a call with the specification's defaults."),
        method(c"_verify_all_args_are_provided", verify_arguments, c"Warn of arguments that a call lacks."),
    ])
}

type Args = *const *mut PyObject;

impl Caller {
    /// Whether a call with this mapping may go ahead, and the mapping with the hookspec's defaults.
    fn checked(&self, kwargs: &Obj) -> Res<Obj> {
        let spec = self.spec();
        let kwargs = spec_defaults(&spec)?.applied(kwargs)?;
        warn_of_missing(&spec, &kwargs, 1)?;
        Ok(kwargs)
    }

    /// Where pluggy puts an impl: within its section behind the plain ones, or at either end.
    fn with_added(&self, added: &Impl) -> Res<Vec<Obj>> {
        let mut impls = self.impls()?;
        let wrapper = |each: &Obj| Impl::new(each.clone())?.is_wrapper();
        let mut split = impls.len();
        for (at, each) in impls.iter().enumerate() {
            if wrapper(each)? {
                split = at;
                break;
            }
        }
        let (start, end) = if added.is_wrapper()? { (split, impls.len()) } else { (0, split) };
        let mut at = end;
        if added.is_trylast()? {
            at = start;
        } else if !added.is_tryfirst()? {
            while at > start && Impl::new(impls[at - 1].clone())?.is_tryfirst()? {
                at -= 1;
            }
        }
        impls.insert(at, added.object().clone());
        Ok(impls)
    }

    /// The impls with one more, in order.
    fn arranged(&self, added: &Impl) -> Res<Vec<Obj>> {
        let impls = self.with_added(added)?;
        if !self.rest.constrained.get() && !order::is_constrained(added)? {
            return Ok(impls);
        }
        order::arranged(&self.get_or_none(super::caller::NAME).display()?, impls)
    }
}

unsafe extern "C" fn has_spec(object: *mut PyObject, _: Args, _: Py_ssize_t, _: *mut PyObject) -> *mut PyObject {
    guarded(|| Ok(Obj::bool(!unsafe { Caller::of(object) }.spec().is_none())))
}

unsafe extern "C" fn is_historic(object: *mut PyObject, _: Args, _: Py_ssize_t, _: *mut PyObject) -> *mut PyObject {
    guarded(|| Ok(Obj::bool(!unsafe { Caller::of(object) }.call_history().is_none())))
}

unsafe extern "C" fn get_hookimpls(object: *mut PyObject, _: Args, _: Py_ssize_t, _: *mut PyObject) -> *mut PyObject {
    guarded(|| Obj::list(&unsafe { Caller::of(object) }.impls()?))
}

unsafe extern "C" fn set_specification(
    object: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let names = ["specmodule_or_class", "spec_opts"];
        match unsafe { parameters("HookCaller.set_specification", names, 2, args, given, kwnames) }? {
            [Some(namespace), Some(opts)] => unsafe { Caller::of(object) }.set_specification(&namespace, &opts)?,
            _ => return Err(Raised),
        }
        Ok(Obj::none())
    })
}

unsafe extern "C" fn call_extra(
    object: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let names = ["methods", "kwargs"];
        let [methods, kwargs] = unsafe { parameters("HookCaller.call_extra", names, 2, args, given, kwnames) }?;
        let this = unsafe { Caller::of(object) };
        if !this.call_history().is_none() {
            return Err(assertion_error("Cannot directly call a historic hook - use call_historic instead."));
        }
        let kwargs = this.checked(&kwargs.unwrap_or_else(Obj::none))?;
        let mut impls = this.impls()?;
        let opts = hook_impl::temporary_opts()?;
        for function in methods.unwrap_or_else(Obj::none).to_list()?.items() {
            let extra = hook_impl::temporary(&function, &opts)?;
            let mut at = impls.len();
            while at > 0 {
                let before = Impl::new(impls[at - 1].clone())?;
                if !before.is_wrapper()? && !before.is_tryfirst()? {
                    break;
                }
                at -= 1;
            }
            impls.insert(at, extra.object().clone());
        }
        this.execute(impls, &kwargs, &firstresult(&this.spec())?)
    })
}

unsafe extern "C" fn call_historic(
    object: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let names = ["result_callback", "kwargs"];
        let [callback, kwargs] = unsafe { parameters("HookCaller.call_historic", names, 0, args, given, kwnames) }?;
        let this = unsafe { Caller::of(object) };
        let history = this.call_history();
        if history.is_none() {
            return Err(assertion_error("call_historic is for historic hooks"));
        }
        let callback = callback.unwrap_or_else(Obj::none);
        let kwargs = match kwargs {
            Some(kwargs) if kwargs.truth()? => kwargs,
            _ => Obj::dict()?,
        };
        let kwargs = this.checked(&kwargs)?;
        // Remembered before it is done, so that plugins registered meanwhile get it too.
        history.append(&Obj::tuple(&[&kwargs, &callback])?)?;
        let results = this.execute(this.impls()?, &kwargs, &Obj::bool(false))?;
        if !callback.is_none() && results.is_list() {
            let mut at = 0;
            while let Some(result) = results.item(at) {
                callback.call(&[&result])?;
                at += 1;
            }
        }
        Ok(Obj::none())
    })
}

unsafe extern "C" fn apply_history(
    object: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let [added] = unsafe { parameters("_maybe_apply_history", ["method"], 1, args, given, kwnames) }?;
        let this = unsafe { Caller::of(object) };
        let history = this.call_history();
        let added = added.unwrap_or_else(Obj::none);
        let mut at = 0;
        // The list may grow while its calls are replayed, and those are replayed too.
        while history.is_list()
            && let Some(call) = history.item(at)
        {
            at += 1;
            let (Some(kwargs), Some(callback)) = (call.item(0), call.item(1)) else { continue };
            let results = this.execute(vec![added.clone()], &kwargs, &Obj::bool(false))?;
            if callback.is_none() || !results.truth()? {
                continue;
            }
            if let Some(result) = results.item(0) {
                callback.call(&[&result])?;
            }
        }
        Ok(Obj::none())
    })
}

unsafe extern "C" fn add_hookimpl(
    object: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let [added] = unsafe { parameters("_add_hookimpl", ["hookimpl"], 1, args, given, kwnames) }?;
        let added = Impl::new(added.unwrap_or_else(Obj::none))?;
        order::number(&added);
        let this = unsafe { Caller::of(object) };
        let arranged = this.arranged(&added)?;
        this.replace_impls(&arranged)?;
        if order::is_constrained(&added)? {
            this.rest.constrained.set(true);
        }
        Ok(Obj::none())
    })
}

unsafe extern "C" fn check_order(
    object: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let [added] = unsafe { parameters("_check_order", ["hookimpl"], 1, args, given, kwnames) }?;
        let added = Impl::new(added.unwrap_or_else(Obj::none))?;
        order::number(&added);
        let this = unsafe { Caller::of(object) };
        if this.rest.constrained.get() || order::is_constrained(&added)? {
            this.arranged(&added)?;
        }
        Ok(Obj::none())
    })
}

unsafe extern "C" fn remove_plugin(
    object: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let [plugin] = unsafe { parameters("_remove_plugin", ["plugin"], 1, args, given, kwnames) }?;
        let plugin = plugin.unwrap_or_else(Obj::none);
        let this = unsafe { Caller::of(object) };
        let before = this.impls()?;
        let mut kept = Vec::with_capacity(before.len());
        for each in &before {
            if Impl::new(each.clone())?.plugin().differs(&plugin)? {
                kept.push(each.clone());
            }
        }
        if kept.len() == before.len() {
            return Err(value_error(&format!("plugin {} not found", plugin.repr()?)));
        }
        if this.rest.constrained.get() {
            // Whoever waited for the plugin takes its own place again.
            kept = order::arranged(&this.get_or_none(super::caller::NAME).display()?, kept)?;
        }
        this.replace_impls(&kept)?;
        Ok(Obj::none())
    })
}

unsafe extern "C" fn apply_defaults(
    object: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let [kwargs] = unsafe { parameters("_apply_defaults", ["kwargs"], 1, args, given, kwnames) }?;
        spec_defaults(&unsafe { Caller::of(object) }.spec())?.applied(&kwargs.unwrap_or_else(Obj::none))
    })
}

unsafe extern "C" fn verify_arguments(
    object: *mut PyObject,
    args: Args,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| {
        let names = ["kwargs", "stacklevel"];
        let [kwargs, level] = unsafe { parameters("_verify_all_args_are_provided", names, 1, args, given, kwnames) }?;
        let level = level.map_or(Ok(1), |level| level.to_i64())?;
        warn_of_missing(&unsafe { Caller::of(object) }.spec(), &kwargs.unwrap_or_else(Obj::none), level as isize)?;
        Ok(Obj::none())
    })
}
