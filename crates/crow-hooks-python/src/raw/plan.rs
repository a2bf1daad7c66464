//! What a call will do, worked out once for the names that a call site passes.

use std::{ffi::c_int, ptr};

use pyo3::ffi::{self, PyObject};

use super::{
    call::{self, Callable},
    hook_impl::{ARGNAMES, Impl, KWARGNAMES, Kind},
    object::{Obj, Raised, Res, clear},
    state::{epoch, state},
};

/// One impl to be called.
pub(super) struct Step {
    pub(super) hook_impl: Impl,
    pub(super) kind: Kind,
    /// What to call: for a bound method, its function.
    pub(super) function: Obj,
    /// The first argument of a bound method.
    pub(super) receiver: Option<Obj>,
    /// Where the arguments come from: positions in the call's values.
    pub(super) sources: Box<[u32]>,
    /// How many of them are passed by position, the receiver not counted.
    pub(super) positional: usize,
    /// The names of the others.
    pub(super) keywords: Option<Obj>,
    /// An argument that the call does not give.
    pub(super) missing: Option<Obj>,
}

/// The impls of one call in call order, with the arguments of each.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) firstresult: bool,
    epoch: usize,
}

impl Plan {
    /// `impls` as they stand in the list: the last is called first. `names` are the names of the call's values.
    pub(super) fn new(impls: &[Obj], names: &[Obj], firstresult: bool) -> Res<Self> {
        let epoch = epoch();
        let steps = impls.iter().rev().map(|each| Step::new(Impl::new(each.clone())?, names)).collect::<Res<_>>()?;
        Ok(Self { steps, firstresult, epoch })
    }

    /// Calls the impls. `values` are as many as the names that this was made for; `hook` is the hook's name.
    #[inline]
    pub(super) unsafe fn run(&self, hook: *mut PyObject, values: *const *mut PyObject) -> Res<Obj> {
        if self.steps.is_empty() {
            return if self.firstresult { Ok(Obj::none()) } else { unsafe { Obj::owned(ffi::PyList_New(0)) } };
        }
        unsafe { call::run(self.steps.iter(), self.firstresult, hook, values) }
    }

    /// Whether no hookimpl was changed since.
    #[inline]
    pub(super) fn is_current(&self) -> bool {
        self.epoch == epoch()
    }

    /// Whether these impls, in the order of the list, are the ones of this plan.
    pub(super) fn is_for(&self, list: &Obj) -> bool {
        list.len() == self.steps.len()
            && self.steps.iter().rev().enumerate().all(|(at, step)| unsafe {
                ffi::PyList_GetItem(list.as_ptr(), at as isize) == step.hook_impl.object().as_ptr()
            })
    }

    pub(super) fn visit(&self, visit: &mut dyn FnMut(*mut PyObject) -> c_int) -> c_int {
        for step in &self.steps {
            let others = [step.receiver.as_ref(), step.keywords.as_ref(), step.missing.as_ref()];
            for each in [step.hook_impl.object(), &step.function].into_iter().chain(others.into_iter().flatten()) {
                let status = visit(each.as_ptr());
                if status != 0 {
                    return status;
                }
            }
        }
        0
    }
}

impl Step {
    fn new(hook_impl: Impl, names: &[Obj]) -> Res<Self> {
        let kind = hook_impl.kind()?;
        let state = state();
        let mut function = hook_impl.function();
        let mut receiver = None;
        if function.is_exactly(&state.method_type) {
            receiver = Some(function.attr(&state.names.method_self)?);
            function = function.attr(&state.names.func)?;
        }
        let argnames = hook_impl.argnames();
        let positional = argnames.len();
        let mut sources = Vec::with_capacity(positional);
        let mut missing = None;
        for at in 0..positional {
            let Some(name) = argnames.item(at) else { break };
            match position(names, &name)? {
                Some(at) => sources.push(at),
                None => {
                    missing = Some(name);
                    break;
                }
            }
        }
        let mut keywords = Vec::new();
        for name in hook_impl.kwargnames().items() {
            if let (Some(at), None) = (position(names, &name)?, &missing) {
                sources.push(at);
                keywords.push(name);
            }
        }
        let keywords = if keywords.is_empty() { None } else { Some(Obj::tuple(&keywords.iter().collect::<Vec<_>>())?) };
        let sources = sources.into_boxed_slice();
        Ok(Self { hook_impl, kind, function, receiver, sources, positional, keywords, missing })
    }

    #[cold]
    unsafe fn call_with_many(&self, values: *const *mut PyObject) -> Res<Obj> {
        let mut slots = vec![ptr::null_mut()];
        slots.extend(self.receiver.as_ref().map(Obj::as_ptr));
        slots.extend(self.sources.iter().map(|source| unsafe { *values.add(*source as usize) }));
        unsafe { self.vectorcall(slots.as_ptr().add(1)) }
    }

    #[inline]
    unsafe fn vectorcall(&self, args: *const *mut PyObject) -> Res<Obj> {
        let given = self.positional + usize::from(self.receiver.is_some());
        let keywords = self.keywords.as_ref().map_or(ptr::null_mut(), Obj::as_ptr);
        let flags = given | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
        unsafe { Obj::owned(ffi::PyObject_Vectorcall(self.function.as_ptr(), args, flags, keywords)) }
    }
}

impl Callable for &Step {
    #[inline]
    fn kind(&self) -> Res<Kind> {
        Ok(self.kind)
    }

    fn hook_impl(&self) -> &Impl {
        &self.hook_impl
    }

    /// Calls the function with its share of the call's values.
    #[inline]
    unsafe fn call(&self, values: *const *mut PyObject) -> Res<Obj> {
        const INLINE: usize = 8;
        if self.missing.is_some() {
            return Err(lacks_an_argument(self.missing.clone()));
        }
        if self.sources.len() + 2 > INLINE {
            return unsafe { self.call_with_many(values) };
        }
        // The place before the arguments is CPython's to use.
        let mut slots = [ptr::null_mut(); INLINE];
        let mut end = 1;
        if let Some(receiver) = &self.receiver {
            slots[1] = receiver.as_ptr();
            end = 2;
        }
        for source in &self.sources {
            unsafe { *slots.get_unchecked_mut(end) = *values.add(*source as usize) };
            end += 1;
        }
        unsafe { self.vectorcall(slots.as_ptr().add(1)) }
    }
}

#[cold]
fn lacks_an_argument(name: Option<Obj>) -> Raised {
    let raised = || {
        let name = name.unwrap_or_else(Obj::none);
        let class = super::state::python(c"crow_hooks._errors", "HookCallError")?;
        let error = class.call(&[&Obj::str(&format!("hook call must provide argument {}", name.repr()?))?])?;
        unsafe {
            let key_error = Obj::borrowed(ffi::PyExc_KeyError).call(&[&name])?;
            ffi::PyException_SetContext(error.as_ptr(), key_error.clone().into_ptr());
            ffi::PyException_SetCause(error.as_ptr(), key_error.into_ptr());
        }
        Ok(super::object::raise(error))
    };
    raised().unwrap_or_else(|raised| raised)
}

/// An impl that is called once, so that a plan would not pay.
pub(super) struct Unplanned<'c> {
    pub(super) hook_impl: &'c Impl,
    pub(super) entries: &'c [(Obj, Obj)],
}

impl Callable for Unplanned<'_> {
    #[inline]
    fn kind(&self) -> Res<Kind> {
        self.hook_impl.kind()
    }

    fn hook_impl(&self) -> &Impl {
        self.hook_impl
    }

    #[inline]
    unsafe fn call(&self, values: *const *mut PyObject) -> Res<Obj> {
        const INLINE: usize = 8;
        let (argnames, kwargnames) = (self.hook_impl.slot(ARGNAMES), self.hook_impl.slot(KWARGNAMES));
        let given = unsafe { ffi::PyTuple_Size(argnames) };
        if given < 0 || given >= INLINE as isize || unsafe { ffi::PyTuple_Size(kwargnames) } != 0 {
            clear();
            let names: Vec<Obj> = self.entries.iter().map(|(name, _)| name.clone()).collect();
            let step = Step::new(self.hook_impl.clone(), &names)?;
            return unsafe { (&step).call(values) };
        }
        let mut slots: [*mut PyObject; INLINE] = [ptr::null_mut(); INLINE];
        for at in 0..given {
            let name = unsafe { ffi::PyTuple_GetItem(argnames, at) };
            let found = self.entries.iter().find(|(each, _)| each.as_ptr() == name);
            let value = match found {
                Some((_, value)) => value.as_ptr(),
                None => self.value_of(&unsafe { Obj::borrowed(name) })?,
            };
            slots[at as usize + 1] = value;
        }
        let flags = given as usize | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
        let function = self.hook_impl.function();
        unsafe {
            Obj::owned(ffi::PyObject_Vectorcall(function.as_ptr(), slots.as_ptr().add(1), flags, ptr::null_mut()))
        }
    }
}

impl Unplanned<'_> {
    /// For a name that is not interned.
    #[cold]
    fn value_of(&self, name: &Obj) -> Res<*mut PyObject> {
        let names: Vec<Obj> = self.entries.iter().map(|(name, _)| name.clone()).collect();
        match position(&names, name)? {
            Some(at) => Ok(self.entries[at as usize].1.as_ptr()),
            None => Err(lacks_an_argument(Some(name.clone()))),
        }
    }
}

/// Where a name stands. Names are interned, nearly always, so the same name is the same object.
pub(super) fn position(names: &[Obj], name: &Obj) -> Res<Option<u32>> {
    if let Some(at) = names.iter().position(|each| each.is(name)) {
        return Ok(Some(at as u32));
    }
    for (at, each) in names.iter().enumerate() {
        let order = unsafe { ffi::PyUnicode_Compare(each.as_ptr(), name.as_ptr()) };
        if order == 0 {
            return Ok(Some(at as u32));
        }
        if order == -1 && unsafe { !ffi::PyErr_Occurred().is_null() } {
            if !each.is_str() || !name.is_str() {
                clear();
                continue;
            }
            return Err(Raised);
        }
    }
    Ok(None)
}
