//! `HookCaller`: what `pm.hook.name` is, called by vectorcall.

use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_void},
    mem::{offset_of, take},
    ptr,
    rc::Rc,
};

use pyo3::ffi::{self, Py_ssize_t, PyObject, PyTypeObject};

use super::{
    call,
    hook_impl::Impl,
    manager::{self, Executor},
    object::{Obj, Raised, Res, assertion_error, guarded, guarded_status, type_error},
    plan::Plan,
    slots::{Rest, Slots, getter, getters, init_parameters, member, members, slot, vectorcall_offset},
    spec::{firstresult, missing_arguments, spec_defaults},
    state::{python, state},
};

pub(super) const NAME: usize = 0;
pub(super) const HOOKEXEC: usize = 1;
pub(super) const HOOKIMPLS: usize = 2;
pub(super) const HISTORY: usize = 3;
pub(super) const SPEC: usize = 4;
/// Of a subset: the caller that it is a part of, and the plugins left out.
pub(super) const ORIG: usize = 5;
pub(super) const REMOVED: usize = 6;

pub(super) type Caller = Slots<7, CallerState>;

pub(super) struct CallerState {
    vectorcall: ffi::vectorcallfunc,
    /// Plans for the call sites seen, the latest last.
    plans: RefCell<Vec<Rc<Prepared>>>,
    /// Goes up with every change, so that a plan made meanwhile is not kept.
    version: Cell<u64>,
    /// Python code has the list of impls in its hands and may change it.
    exposed: Cell<bool>,
    /// An impl with `before` or `after` is, or was, here.
    pub(super) constrained: Cell<bool>,
    /// Subsets of this caller, whose plans end with ours. Each takes itself out when it goes.
    subsets: RefCell<Vec<*mut PyObject>>,
    executor: Cell<Executor>,
}

impl Default for CallerState {
    fn default() -> Self {
        Self {
            vectorcall,
            plans: RefCell::default(),
            version: Cell::new(0),
            exposed: Cell::new(false),
            constrained: Cell::new(false),
            subsets: RefCell::default(),
            executor: Cell::new(Executor::Any),
        }
    }
}

impl Rest for CallerState {
    fn visit(&self, visit: &mut dyn FnMut(*mut PyObject) -> c_int) -> c_int {
        for prepared in self.plans.borrow().iter() {
            let status = prepared.visit(visit);
            if status != 0 {
                return status;
            }
        }
        0
    }

    fn clear(&self) {
        self.forget_plans();
    }
}

impl CallerState {
    fn forget_plans(&self) {
        self.version.set(self.version.get() + 1);
        // Dropped after the borrow ends: a destructor may call this very hook.
        let plans = take(&mut *self.plans.borrow_mut());
        drop(plans);
    }
}

/// A plan, and what the caller adds to it.
struct Prepared {
    plan: Plan,
    /// The names passed, as the call site has them.
    kwnames: Obj,
    /// Defaults of the hookspec that the call site leaves out.
    defaults: Box<[(Obj, Obj)]>,
    /// Arguments of the hookspec that are missing: the warning's text.
    warning: Option<String>,
    firstresult: Obj,
}

impl Prepared {
    const KEPT: usize = 8;

    fn visit(&self, visit: &mut dyn FnMut(*mut PyObject) -> c_int) -> c_int {
        let others = self.defaults.iter().flat_map(|(name, value)| [name, value]);
        for each in [&self.kwnames, &self.firstresult].into_iter().chain(others) {
            let status = visit(each.as_ptr());
            if status != 0 {
                return status;
            }
        }
        self.plan.visit(visit)
    }
}

pub(super) fn make_types() -> Res<(*mut PyTypeObject, *mut PyTypeObject)> {
    let at = Caller::offset;
    let flags = ffi::Py_TPFLAGS_BASETYPE | ffi::Py_TPFLAGS_HAVE_VECTORCALL;
    let place = offset_of!(Caller, rest) + offset_of!(CallerState, vectorcall);
    let vectorcall_place = || vectorcall_offset(place);
    let caller = Caller::make_type(
        c"crow_hooks.HookCaller",
        flags,
        None,
        &[
            slot(ffi::Py_tp_new, Caller::tp_new as *mut c_void),
            slot(ffi::Py_tp_init, init as *mut c_void),
            slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
            slot(ffi::Py_tp_doc, c"Calls all implementations of a hook.".as_ptr().cast_mut().cast()),
            members(vec![member(c"name", at(NAME)), vectorcall_place()]),
            getters(vec![
                getter(c"spec", spec, Some(set_spec)),
                getter(c"_hookexec", hookexec, Some(set_hookexec)),
                getter(c"_hookimpls", hookimpls, Some(set_hookimpls)),
                getter(c"_call_history", history, Some(set_history)),
            ]),
            super::caller_methods::table(),
        ],
    )?;
    let subset = Caller::make_type(
        c"crow_hooks._SubsetHookCaller",
        flags,
        Some(caller),
        &[
            slot(ffi::Py_tp_init, init_subset as *mut c_void),
            slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
            slot(ffi::Py_tp_clear, clear_subset as *mut c_void),
            slot(ffi::Py_tp_dealloc, dealloc_subset as *mut c_void),
            members(vec![member(c"_orig", at(ORIG)), member(c"_remove_plugins", at(REMOVED)), vectorcall_place()]),
            getters(vec![
                getter(c"spec", spec, None),
                getter(c"_hookimpls", hookimpls, None),
                getter(c"_call_history", history, None),
            ]),
        ],
    )?;
    Ok((caller, subset))
}

unsafe extern "C" fn vectorcall(
    object: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    guarded(|| unsafe {
        let given = ffi::PyVectorcall_NARGS(nargsf);
        if given != 0 {
            let given = given + 1;
            let text = format!("HookCaller.__call__() takes 1 positional argument but {given} were given");
            return Err(type_error(&text));
        }
        Caller::of(object).call(object, args, kwnames)
    })
}

impl Caller {
    #[inline]
    unsafe fn call(&self, object: *mut PyObject, args: *const *mut PyObject, kwnames: *mut PyObject) -> Res<Obj> {
        let prepared = match self.kept(kwnames) {
            Some(prepared) => prepared,
            None => self.prepare(object, kwnames)?,
        };
        if let Some(text) = &prepared.warning {
            call::warn(&unsafe { Obj::borrowed(ffi::PyExc_UserWarning) }, text, 1)?;
        }
        if self.rest.executor.get().is_native() {
            let name = self.refs[NAME].get();
            if prepared.defaults.is_empty() {
                return unsafe { prepared.plan.run(name, args) };
            }
            let values = unsafe { prepared.values(args) };
            return unsafe { prepared.plan.run(name, values.as_ptr()) };
        }
        unsafe { self.call_by_way_of_others(&prepared, args) }
    }

    /// The plan made for this call site, unless something changed.
    #[inline]
    fn kept(&self, kwnames: *mut PyObject) -> Option<Rc<Prepared>> {
        let kwnames = if kwnames.is_null() { state().empty_tuple.as_ptr() } else { kwnames };
        let plans = self.rest.plans.borrow();
        let by_identity = plans.iter().find(|each| each.kwnames.as_ptr() == kwnames);
        let found = by_identity.or_else(|| plans.iter().find(|each| unsafe { same_names(&each.kwnames, kwnames) }))?;
        if !found.plan.is_current() || (self.is_exposed() && !self.is_still(&found.plan)) {
            return None;
        }
        Some(Rc::clone(found))
    }

    fn is_exposed(&self) -> bool {
        self.rest.exposed.get() || self.orig().is_some_and(|orig| orig.rest.exposed.get())
    }

    #[cold]
    fn is_still(&self, plan: &Plan) -> bool {
        self.impls().and_then(|impls| Obj::list(&impls)).is_ok_and(|list| plan.is_for(&list))
    }

    /// Works out what a call with these names does. Everything that rarely matters is decided here.
    #[cold]
    fn prepare(&self, object: *mut PyObject, kwnames: *mut PyObject) -> Res<Rc<Prepared>> {
        if !self.call_history().is_none() {
            return Err(assertion_error("Cannot directly call a historic hook - use call_historic instead."));
        }
        // What follows asks Python objects, and may change this caller.
        let _alive = unsafe { Obj::borrowed(object) };
        let version = self.version();
        let kwnames = unsafe { Obj::maybe(kwnames) }.unwrap_or_else(|| state().empty_tuple.clone());
        let mut names = kwnames.items();
        let spec = self.spec();
        let defaults = spec_defaults(&spec)?.filter_missing(&names)?;
        names.extend(defaults.iter().map(|(name, _)| name.clone()));
        let warning = missing_arguments(&spec, &names)?;
        let firstresult = firstresult(&spec)?;
        let impls = self.impls()?;
        if impls.iter().any(|each| Impl::new(each.clone()).is_err()) {
            return Err(Raised);
        }
        let plan = Plan::new(&impls, &names, firstresult.truth()?)?;
        let prepared = Rc::new(Prepared { plan, kwnames, defaults: defaults.into(), warning, firstresult });
        if version == self.version() {
            let mut plans = self.rest.plans.borrow_mut();
            let old = plans.iter().position(|each| unsafe { same_names(&each.kwnames, prepared.kwnames.as_ptr()) });
            let gone = match old {
                Some(at) => Some(plans.remove(at)),
                None if plans.len() == Prepared::KEPT => Some(plans.remove(0)),
                None => None,
            };
            plans.push(Rc::clone(&prepared));
            drop(plans);
            drop(gone);
        }
        Ok(prepared)
    }

    fn version(&self) -> u64 {
        self.rest.version.get() + self.orig().map_or(0, |orig| orig.rest.version.get())
    }

    /// The way of pluggy, for monitors, tracing and managers that execute calls themselves: a list and a dict.
    #[cold]
    unsafe fn call_by_way_of_others(&self, prepared: &Prepared, args: *const *mut PyObject) -> Res<Obj> {
        let name = self.get_or_none(NAME);
        let executor = self.rest.executor.get();
        let values = unsafe { prepared.values(args) };
        if let Some(monitor) = executor.quiet_trace() {
            return monitor.trace(&name, || unsafe { prepared.plan.run(name.as_ptr(), values.as_ptr()) });
        }
        let kwargs = Obj::dict()?;
        // Defaults come first, as in `{**defaults, **kwargs}`.
        for (key, value) in &prepared.defaults {
            kwargs.set(key, value)?;
        }
        for (at, key) in prepared.kwnames.items().iter().enumerate() {
            kwargs.set(key, &unsafe { Obj::borrowed(values[at]) })?;
        }
        let impls: Vec<Obj> = prepared.plan.steps.iter().rev().map(|step| step.hook_impl.object().clone()).collect();
        self.execute(impls, &kwargs, &prepared.firstresult)
    }

    /// `self._hookexec(self.name, impls, kwargs, firstresult)`.
    pub(super) fn execute(&self, impls: Vec<Obj>, kwargs: &Obj, firstresult: &Obj) -> Res<Obj> {
        let name = self.get_or_none(NAME);
        let executor = self.rest.executor.get();
        if executor.is_native() {
            return manager::multicall_of(&name, impls, kwargs, firstresult.truth()?);
        }
        if let Some(monitor) = executor.quiet_trace() {
            let firstresult = firstresult.truth()?;
            return monitor.trace(&name, || manager::multicall_of(&name, impls, kwargs, firstresult));
        }
        let function = executor.inner().unwrap_or_else(|| self.get_or_none(HOOKEXEC));
        function.call(&[&name, &Obj::list(&impls)?, kwargs, firstresult])
    }

    pub(super) fn orig(&self) -> Option<&Caller> {
        let orig = self.refs[ORIG].get();
        if orig.is_null() { None } else { Some(unsafe { Caller::of(orig) }) }
    }

    /// The hookspec, or `None`.
    pub(super) fn spec(&self) -> Obj {
        self.orig().unwrap_or(self).get_or_none(SPEC)
    }

    pub(super) fn call_history(&self) -> Obj {
        self.orig().unwrap_or(self).get_or_none(HISTORY)
    }

    /// The impls as they stand in the list: the last is called first.
    pub(super) fn impls(&self) -> Res<Vec<Obj>> {
        let Some(orig) = self.orig() else {
            return Ok(self.get_or_none(HOOKIMPLS).items());
        };
        let removed = self.get_or_none(REMOVED);
        let mut kept = Vec::new();
        for each in orig.get_or_none(HOOKIMPLS).items() {
            if !removed.contains(&Impl::new(each.clone())?.plugin())? {
                kept.push(each);
            }
        }
        Ok(kept)
    }

    /// Something changed that plans depend on.
    pub(super) fn changed(&self) {
        self.rest.forget_plans();
        let subsets: Vec<*mut PyObject> = self.rest.subsets.borrow().clone();
        let subsets: Vec<Obj> = subsets.into_iter().map(|each| unsafe { Obj::borrowed(each) }).collect();
        for subset in subsets {
            unsafe { Caller::of(subset.as_ptr()) }.rest.forget_plans();
        }
    }

    pub(super) fn replace_impls(&self, impls: &[Obj]) -> Res<()> {
        let list = self.get_or_none(HOOKIMPLS);
        let new = Obj::list(impls)?;
        let status = unsafe { ffi::PyList_SetSlice(list.as_ptr(), 0, list.len() as Py_ssize_t, new.as_ptr()) };
        super::object::check(status)?;
        self.changed();
        Ok(())
    }

    fn set_executor(&self, hookexec: Obj) {
        self.rest.executor.set(Executor::of(&hookexec));
        self.set(HOOKEXEC, Some(hookexec));
    }
}

impl Prepared {
    /// The arguments of a call, followed by the defaults.
    unsafe fn values(&self, args: *const *mut PyObject) -> Vec<*mut PyObject> {
        let given = self.kwnames.len();
        let mut values = Vec::with_capacity(given + self.defaults.len());
        for at in 0..given {
            values.push(unsafe { *args.add(at) });
        }
        values.extend(self.defaults.iter().map(|(_, value)| value.as_ptr()));
        values
    }
}

/// Two tuples of interned names.
unsafe fn same_names(one: &Obj, other: *mut PyObject) -> bool {
    unsafe {
        let length = one.len();
        usize::try_from(ffi::PyTuple_Size(other)) == Ok(length)
            && (0..length as Py_ssize_t)
                .all(|at| ffi::PyTuple_GetItem(one.as_ptr(), at) == ffi::PyTuple_GetItem(other, at))
    }
}

unsafe extern "C" fn init(object: *mut PyObject, args: *mut PyObject, kwargs: *mut PyObject) -> c_int {
    guarded_status(|| {
        let names = ["name", "hook_execute", "specmodule_or_class", "spec_opts"];
        let [name, hookexec, namespace, opts] =
            unsafe { init_parameters("HookCaller.__init__", names, 2, args, kwargs) }?;
        let this = unsafe { Caller::of(object) };
        this.set(NAME, name);
        this.set(HOOKIMPLS, Some(Obj::list(&[])?));
        this.set(HISTORY, Some(Obj::none()));
        this.set(SPEC, Some(Obj::none()));
        this.set_executor(hookexec.unwrap_or_else(Obj::none));
        this.changed();
        match (namespace.filter(|each| !each.is_none()), opts) {
            (Some(namespace), Some(opts)) => this.set_specification(&namespace, &opts),
            (Some(_), None) => Err(assertion_error("spec_opts is needed with a specmodule_or_class")),
            (None, _) => Ok(()),
        }
    })
}

impl Caller {
    pub(super) fn set_specification(&self, namespace: &Obj, opts: &Obj) -> Res<()> {
        let names = &state().names;
        let spec = self.get_or_none(SPEC);
        if !spec.is_none() {
            let (name, place) = (spec.attr(&names.name)?.repr()?, spec.attr(&names.namespace)?.display()?);
            let text = format!("Hook {name} is already registered within namespace {place}");
            return Err(super::object::value_error(&text));
        }
        let class = python(c"crow_hooks._markers", "HookSpec")?;
        let spec = class.call(&[namespace, &self.get_or_none(NAME), opts])?;
        self.set(SPEC, Some(spec));
        let historic = opts.call_method(&names.get_opt, &[&names.historic])?;
        if historic.truth()? {
            self.set(HISTORY, Some(Obj::list(&[])?));
        }
        self.changed();
        Ok(())
    }
}

unsafe extern "C" fn init_subset(object: *mut PyObject, args: *mut PyObject, kwargs: *mut PyObject) -> c_int {
    guarded_status(|| {
        let names = ["orig", "remove_plugins"];
        let [orig, removed] = unsafe { init_parameters("_SubsetHookCaller.__init__", names, 2, args, kwargs) }?;
        let orig = orig.filter(|orig| orig.is_a_type(state().types.caller));
        let Some(orig) = orig else {
            return Err(type_error("orig must be a HookCaller"));
        };
        let this = unsafe { Caller::of(object) };
        let whole = unsafe { Caller::of(orig.as_ptr()) };
        this.set(NAME, whole.get(NAME));
        this.set_executor(whole.get_or_none(HOOKEXEC));
        this.leave();
        whole.rest.subsets.borrow_mut().push(object);
        this.set(ORIG, Some(orig));
        this.set(REMOVED, removed);
        this.changed();
        Ok(())
    })
}

impl Caller {
    /// The whole no longer knows this subset.
    fn leave(&self) {
        if let Some(orig) = self.orig() {
            let this = ptr::from_ref(self).cast_mut().cast();
            orig.rest.subsets.borrow_mut().retain(|each| *each != this);
        }
    }
}

/// Before the reference to the whole goes, or it would keep a pointer to what is gone.
unsafe extern "C" fn clear_subset(object: *mut PyObject) -> c_int {
    unsafe {
        Caller::of(object).leave();
        Caller::tp_clear(object)
    }
}

unsafe extern "C" fn dealloc_subset(object: *mut PyObject) {
    unsafe {
        Caller::of(object).leave();
        let dealloc: ffi::destructor =
            std::mem::transmute(ffi::PyType_GetSlot(state().types.caller, ffi::Py_tp_dealloc));
        dealloc(object);
    }
}

unsafe extern "C" fn repr(object: *mut PyObject) -> *mut PyObject {
    guarded(|| {
        let this = unsafe { Caller::of(object) };
        let class = if this.orig().is_some() { "_SubsetHookCaller" } else { "HookCaller" };
        Obj::str(&format!("<{class} {}>", this.get_or_none(NAME).repr()?))
    })
}

unsafe extern "C" fn spec(object: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    guarded(|| Ok(unsafe { Caller::of(object) }.spec()))
}

unsafe extern "C" fn hookexec(object: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    guarded(|| Ok(unsafe { Caller::of(object) }.get_or_none(HOOKEXEC)))
}

unsafe extern "C" fn history(object: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    guarded(|| Ok(unsafe { Caller::of(object) }.call_history()))
}

unsafe extern "C" fn hookimpls(object: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    guarded(|| {
        let this = unsafe { Caller::of(object) };
        if this.orig().is_some() {
            return Obj::list(&this.impls()?);
        }
        this.rest.exposed.set(true);
        Ok(this.get_or_none(HOOKIMPLS))
    })
}

fn set(object: *mut PyObject, slot: usize, value: *mut PyObject) -> c_int {
    guarded_status(|| {
        let this = unsafe { Caller::of(object) };
        this.set(slot, unsafe { Obj::maybe(value) });
        this.changed();
        Ok(())
    })
}

unsafe extern "C" fn set_spec(object: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    set(object, SPEC, value)
}

unsafe extern "C" fn set_history(object: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    set(object, HISTORY, value)
}

unsafe extern "C" fn set_hookimpls(object: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    guarded_status(|| {
        let list = unsafe { Obj::maybe(value) }.filter(Obj::is_list);
        let this = unsafe { Caller::of(object) };
        let Some(list) = list else {
            return Err(type_error("_hookimpls must be a list"));
        };
        this.rest.exposed.set(true);
        this.set(HOOKIMPLS, Some(list));
        this.changed();
        Ok(())
    })
}

unsafe extern "C" fn set_hookexec(object: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    guarded_status(|| {
        unsafe { Caller::of(object) }.set_executor(unsafe { Obj::maybe(value) }.unwrap_or_else(Obj::none));
        Ok(())
    })
}
