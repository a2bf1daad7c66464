//! What is looked up once, when the module is loaded: names, Python's own types, our types.

use std::{
    ffi::CStr,
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};

use pyo3::ffi::{PyObject, PyTypeObject};

use super::object::{Obj, Res, import};

macro_rules! names {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// Interned names.
        #[derive(Debug)]
        pub(crate) struct Names { $(pub(crate) $name: Obj),* }

        impl Names {
            fn new() -> Res<Self> {
                Ok(Self { $($name: Obj::name($text)?),* })
            }
        }
    };
}

names! {
    after = "after",
    argnames = "argnames",
    before = "before",
    cause = "__cause__",
    check_order = "_check_order",
    close = "close",
    cls = "cls",
    code = "__code__",
    co_argcount = "co_argcount",
    co_filename = "co_filename",
    co_firstlineno = "co_firstlineno",
    co_flags = "co_flags",
    co_name = "co_name",
    co_varnames = "co_varnames",
    copy = "copy",
    defaults = "__defaults__",
    dict = "__dict__",
    firstresult = "firstresult",
    func = "__func__",
    get = "__get__",
    get_opt = "get",
    gi_code = "gi_code",
    has_spec = "has_spec",
    historic = "historic",
    hook = "hook",
    hookwrapper = "hookwrapper",
    kwargdefaults = "kwargdefaults",
    kwargnames = "kwargnames",
    method_self = "__self__",
    mro = "__mro__",
    name = "name",
    namespace = "namespace",
    optionalhook = "optionalhook",
    opts = "opts",
    project_name = "project_name",
    qualname = "__qualname__",
    self_ = "self",
    send = "send",
    specname = "specname",
    temp = "<temp>",
    throw = "throw",
    tryfirst = "tryfirst",
    trylast = "trylast",
    type_name = "__name__",
    value = "value",
    verify_hook = "_verify_hook",
    warn_on_impl = "warn_on_impl",
    warn_on_impl_args = "warn_on_impl_args",
    wrapped = "__wrapped__",
    wrapper = "wrapper",
}

/// Our own types.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Types {
    pub(super) hook_impl: *mut PyTypeObject,
    pub(super) result: *mut PyTypeObject,
    pub(super) caller: *mut PyTypeObject,
    pub(super) subset: *mut PyTypeObject,
    pub(super) manager: *mut PyTypeObject,
    pub(super) tracer: *mut PyTypeObject,
    pub(super) monitor: *mut PyTypeObject,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) names: Names,
    pub(crate) empty_tuple: Obj,
    pub(crate) getattr: Obj,
    pub(crate) object_type: Obj,
    pub(crate) object_dict: Obj,
    pub(crate) type_type: Obj,
    /// The getters of `type`, which no metaclass can shadow.
    pub(crate) type_dict: Obj,
    pub(crate) type_mro: Obj,
    pub(crate) function_type: Obj,
    pub(crate) method_type: Obj,
    pub(crate) builtin_type: Obj,
    pub(crate) module_type: Obj,
    pub(crate) generator_type: Obj,
    pub(crate) member_type: Obj,
    pub(crate) staticmethod_type: Obj,
    pub(crate) classmethod_type: Obj,
    /// The options of a hookimpl that has none.
    pub(super) no_opts: Obj,
    pub(super) types: Types,
    /// The native call loop as Python sees it.
    pub(super) multicall: Obj,
}

/// A function that raises its argument again, for the sake of its own frame in the traceback.
static FRAME: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

pub(super) fn frame() -> Option<Obj> {
    unsafe { Obj::maybe(FRAME.load(Ordering::Relaxed)) }
}

pub(super) fn set_frame(function: Option<Obj>) {
    let before = FRAME.swap(function.map_or(ptr::null_mut(), Obj::into_ptr), Ordering::Relaxed);
    drop(unsafe { Obj::owned(before) });
}

static STATE: AtomicPtr<State> = AtomicPtr::new(ptr::null_mut());

/// Goes up whenever an attribute of a hookimpl is set: what was worked out from it is no longer true.
static EPOCH: AtomicUsize = AtomicUsize::new(0);

pub(super) fn epoch() -> usize {
    EPOCH.load(Ordering::Relaxed)
}

pub(super) fn next_epoch() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
}

/// What `init` found. Nothing of this crate runs before `init`.
pub(crate) fn state() -> &'static State {
    unsafe { &*STATE.load(Ordering::Relaxed) }
}

pub(super) fn init(types: Types, multicall: Obj) -> Res<()> {
    let builtins = import(c"builtins")?;
    // Always loaded, unlike `types`, and it has a specimen of each.
    let abc = import(c"_collections_abc")?;
    let from = |module: &Obj, name: &str| module.attr(&Obj::name(name)?);
    let names = Names::new()?;
    let object_type = from(&builtins, "object")?;
    let type_type = from(&builtins, "type")?;
    let type_dicts = type_type.attr(&names.dict)?;
    let object_dict = object_type.attr(&names.dict)?.call_method(&names.copy, &[])?;
    let no_opts = Obj::dict()?;
    for name in [&names.wrapper, &names.hookwrapper, &names.optionalhook, &names.trylast, &names.tryfirst] {
        no_opts.set(name, &Obj::bool(false))?;
    }
    no_opts.set(&names.specname, &Obj::none())?;
    let state = State {
        no_opts,
        empty_tuple: Obj::tuple(&[])?,
        getattr: from(&builtins, "getattr")?,
        object_dict,
        object_type,
        type_dict: type_dicts.subscript(&names.dict)?,
        type_mro: type_dicts.subscript(&names.mro)?,
        type_type,
        function_type: from(&abc, "_check_methods")?.type_of(),
        method_type: from(&from(&abc, "Set")?, "register")?.type_of(),
        builtin_type: from(&builtins, "getattr")?.type_of(),
        module_type: builtins.type_of(),
        generator_type: from(&abc, "generator")?,
        member_type: from(&unsafe { Obj::borrowed(types.hook_impl.cast()) }, "function")?.type_of(),
        staticmethod_type: from(&builtins, "staticmethod")?,
        classmethod_type: from(&builtins, "classmethod")?,
        names,
        types,
        multicall,
    };
    STATE.store(Box::into_raw(Box::new(state)), Ordering::Relaxed);
    Ok(())
}

/// Something of the package that is written in Python, because it is called rarely.
pub(crate) fn python(module: &CStr, name: &str) -> Res<Obj> {
    import(module)?.attr(&Obj::name(name)?)
}

/// `getattr(object, name, None)`, with nothing for `None`. Only a missing attribute is swallowed.
pub(crate) fn optional_attr(object: &Obj, name: &Obj) -> Res<Option<Obj>> {
    let value = state().getattr.call(&[object, name, &Obj::none()])?;
    Ok(if value.is_none() { None } else { Some(value) })
}
