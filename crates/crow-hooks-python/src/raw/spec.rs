//! What a hook's specification says about a call: defaults, missing arguments, how many results.

use pyo3::ffi;

use super::{
    call,
    object::{Obj, Res, check},
    plan::position,
    state::state,
};

/// The defaults of a hookspec's arguments.
pub(super) struct Defaults(Vec<(Obj, Obj)>);

pub(super) fn spec_defaults(spec: &Obj) -> Res<Defaults> {
    if spec.is_none() {
        return Ok(Defaults(Vec::new()));
    }
    let defaults = spec.attr(&state().names.kwargdefaults)?;
    Ok(Defaults(if defaults.is_dict() { defaults.entries() } else { Vec::new() }))
}

impl Defaults {
    /// Those that a call with these names does not give.
    pub(super) fn filter_missing(self, names: &[Obj]) -> Res<Vec<(Obj, Obj)>> {
        let mut missing = Vec::new();
        for (name, value) in self.0 {
            if position(names, &name)?.is_none() {
                missing.push((name, value));
            }
        }
        Ok(missing)
    }

    /// `{**defaults, **kwargs}`, or `kwargs` itself when there are none.
    pub(super) fn applied(self, kwargs: &Obj) -> Res<Obj> {
        if self.0.is_empty() {
            return Ok(kwargs.clone());
        }
        let merged = Obj::dict()?;
        for (name, value) in &self.0 {
            merged.set(name, value)?;
        }
        check(unsafe { ffi::PyDict_Update(merged.as_ptr(), kwargs.as_ptr()) })?;
        Ok(merged)
    }
}

/// The warning about arguments of the hookspec that a call lacks.
pub(super) fn missing_arguments(spec: &Obj, names: &[Obj]) -> Res<Option<String>> {
    if spec.is_none() {
        return Ok(None);
    }
    let mut missing = Vec::new();
    for argname in spec.attr(&state().names.argnames)?.items() {
        if position(names, &argname)?.is_none() {
            missing.push(argname.repr()?);
        }
    }
    Ok(warning(&missing))
}

fn warning(missing: &[String]) -> Option<String> {
    let text = "which are declared in the hookspec cannot be found in this hook call";
    (!missing.is_empty()).then(|| format!("Argument(s) {} {text}", missing.join(", ")))
}

/// The same for a call that has a mapping; warns at once.
pub(super) fn warn_of_missing(spec: &Obj, kwargs: &Obj, level: isize) -> Res<()> {
    if spec.is_none() {
        return Ok(());
    }
    let mut missing = Vec::new();
    for argname in spec.attr(&state().names.argnames)?.items() {
        if !kwargs.contains(&argname)? {
            missing.push(argname.repr()?);
        }
    }
    match warning(&missing) {
        Some(text) => call::warn(&unsafe { Obj::borrowed(ffi::PyExc_UserWarning) }, &text, level),
        None => Ok(()),
    }
}

/// The value of the hookspec's option, `False` without a hookspec.
pub(super) fn firstresult(spec: &Obj) -> Res<Obj> {
    if spec.is_none() {
        return Ok(Obj::bool(false));
    }
    let names = &state().names;
    let opts = spec.attr(&names.opts)?;
    if opts.is_dict() {
        return Ok(opts.get(&names.firstresult)?.unwrap_or_else(|| Obj::bool(false)));
    }
    opts.call_method(&names.get_opt, &[&names.firstresult, &Obj::bool(false)])
}
