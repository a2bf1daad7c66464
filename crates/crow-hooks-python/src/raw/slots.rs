//! Types whose instances are a row of references and a little Rust data, and how they are made.

use std::{
    cell::Cell,
    ffi::{CStr, c_int, c_void},
    mem::offset_of,
    ptr,
};

use pyo3::ffi::{
    self, Py_ssize_t, PyGetSetDef, PyMemberDef, PyMethodDef, PyObject, PyType_Slot, PyType_Spec, PyTypeObject,
    visitproc,
};

use super::object::{Obj, Raised, Res, type_error};

/// An instance: the references that Python's garbage collector must know, then the rest.
#[repr(C)]
pub(super) struct Slots<const N: usize, T> {
    head: PyObject,
    pub(super) refs: [Cell<*mut PyObject>; N],
    pub(super) rest: T,
}

/// The Rust part of an instance.
pub(super) trait Rest: Default {
    /// Visits what it holds.
    fn visit(&self, _visit: &mut dyn FnMut(*mut PyObject) -> c_int) -> c_int {
        0
    }

    /// Lets go of what it holds.
    fn clear(&self) {}
}

impl Rest for () {}

impl<const N: usize, T: Rest> Slots<N, T> {
    pub(super) unsafe fn of<'a>(object: *mut PyObject) -> &'a Self {
        unsafe { &*object.cast::<Self>() }
    }

    pub(super) fn get(&self, slot: usize) -> Option<Obj> {
        unsafe { Obj::maybe(self.refs[slot].get()) }
    }

    pub(super) fn get_or_none(&self, slot: usize) -> Obj {
        self.get(slot).unwrap_or_else(Obj::none)
    }

    pub(super) fn set(&self, slot: usize, value: Option<Obj>) {
        let before = self.refs[slot].replace(value.map_or(ptr::null_mut(), Obj::into_ptr));
        unsafe { ffi::Py_XDECREF(before) };
    }

    pub(super) unsafe fn alloc(class: *mut PyTypeObject) -> Res<Obj> {
        unsafe {
            let object = Obj::owned(ffi::PyType_GenericAlloc(class, 0))?;
            (&raw mut (*object.as_ptr().cast::<Self>()).rest).write(T::default());
            Ok(object)
        }
    }

    /// `__new__` for types whose `__init__` does the work.
    pub(super) unsafe extern "C" fn tp_new(
        class: *mut PyTypeObject,
        _: *mut PyObject,
        _: *mut PyObject,
    ) -> *mut PyObject {
        super::object::guarded(|| unsafe { Self::alloc(class) })
    }

    unsafe extern "C" fn traverse(object: *mut PyObject, visit: visitproc, arg: *mut c_void) -> c_int {
        unsafe {
            let this = Self::of(object);
            let status = visit(ffi::Py_TYPE(object).cast(), arg);
            if status != 0 {
                return status;
            }
            for each in this.refs.each_ref().map(Cell::get) {
                if !each.is_null() {
                    let status = visit(each, arg);
                    if status != 0 {
                        return status;
                    }
                }
            }
            this.rest.visit(&mut |each| if each.is_null() { 0 } else { visit(each, arg) })
        }
    }

    pub(super) unsafe extern "C" fn tp_clear(object: *mut PyObject) -> c_int {
        let this = unsafe { Self::of(object) };
        this.rest.clear();
        for slot in 0..N {
            this.set(slot, None);
        }
        0
    }

    unsafe extern "C" fn dealloc(object: *mut PyObject) {
        unsafe {
            let class = ffi::Py_TYPE(object);
            ffi::PyObject_GC_UnTrack(object.cast());
            Self::tp_clear(object);
            ptr::drop_in_place(&raw mut (*object.cast::<Self>()).rest);
            let free: ffi::freefunc = std::mem::transmute(ffi::PyType_GetSlot(class, ffi::Py_tp_free));
            free(object.cast());
            ffi::Py_DECREF(class.cast());
        }
    }

    pub(super) const fn offset(slot: usize) -> Py_ssize_t {
        (offset_of!(Self, refs) + slot * size_of::<*mut PyObject>()) as Py_ssize_t
    }

    /// The type itself, with what all such types have in common and `more`.
    pub(super) fn make_type(
        name: &'static CStr,
        flags: u64,
        base: Option<*mut PyTypeObject>,
        more: &[PyType_Slot],
    ) -> Res<*mut PyTypeObject> {
        let mut slots = vec![
            slot(ffi::Py_tp_traverse, Self::traverse as *mut c_void),
            slot(ffi::Py_tp_clear, Self::tp_clear as *mut c_void),
            slot(ffi::Py_tp_dealloc, Self::dealloc as *mut c_void),
        ];
        slots.extend_from_slice(more);
        slots.push(slot(0, ptr::null_mut()));
        let mut spec = PyType_Spec {
            name: name.as_ptr(),
            basicsize: size_of::<Self>() as c_int,
            itemsize: 0,
            flags: u32::try_from(flags | ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC).unwrap_or(0),
            slots: slots.as_mut_ptr(),
        };
        let class = unsafe {
            match base {
                None => ffi::PyType_FromSpec(&raw mut spec),
                Some(base) => ffi::PyType_FromSpecWithBases(&raw mut spec, base.cast()),
            }
        };
        if class.is_null() { Err(Raised) } else { Ok(class.cast()) }
    }
}

pub(super) const fn slot(number: c_int, function: *mut c_void) -> PyType_Slot {
    PyType_Slot { slot: number, pfunc: function }
}

/// The table must outlive the type, which lives as long as the process.
pub(super) fn table<T>(number: c_int, mut entries: Vec<T>, end: T) -> PyType_Slot {
    entries.push(end);
    slot(number, entries.leak().as_mut_ptr().cast())
}

pub(super) fn members(entries: Vec<PyMemberDef>) -> PyType_Slot {
    table(ffi::Py_tp_members, entries, unsafe { std::mem::zeroed() })
}

pub(super) fn methods(entries: Vec<PyMethodDef>) -> PyType_Slot {
    table(ffi::Py_tp_methods, entries, unsafe { std::mem::zeroed() })
}

pub(super) fn getters(entries: Vec<PyGetSetDef>) -> PyType_Slot {
    table(ffi::Py_tp_getset, entries, unsafe { std::mem::zeroed() })
}

/// An attribute that is a slot; deleted or unset, it is missing.
pub(super) fn member(name: &'static CStr, offset: Py_ssize_t) -> PyMemberDef {
    PyMemberDef { name: name.as_ptr(), type_code: ffi::Py_T_OBJECT_EX, offset, flags: 0, doc: ptr::null() }
}

/// The offset of the vectorcall function, which CPython wants as a member.
pub(super) fn vectorcall_offset(offset: usize) -> PyMemberDef {
    PyMemberDef {
        name: c"__vectorcalloffset__".as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    }
}

pub(super) fn getter(name: &'static CStr, get: ffi::getter, set: Option<ffi::setter>) -> PyGetSetDef {
    PyGetSetDef { name: name.as_ptr(), get: Some(get), set, doc: ptr::null(), closure: ptr::null_mut() }
}

pub(super) type FastMethod =
    unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, Py_ssize_t, *mut PyObject) -> *mut PyObject;

/// A method that takes its arguments as vectorcall hands them over.
pub(super) fn method(name: &'static CStr, function: FastMethod, doc: &'static CStr) -> PyMethodDef {
    PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }
}

/// The arguments of a call, matched with the names of the parameters.
pub(super) unsafe fn parameters<const N: usize>(
    function: &str,
    names: [&str; N],
    required: usize,
    args: *const *mut PyObject,
    given: Py_ssize_t,
    kwnames: *mut PyObject,
) -> Res<[Option<Obj>; N]> {
    let mut found = [const { None }; N];
    let given = usize::try_from(given).unwrap_or(0);
    if given > N {
        return Err(type_error(&format!("{function}() takes {N} positional arguments but {given} were given")));
    }
    for (at, slot) in found.iter_mut().enumerate().take(given) {
        *slot = unsafe { Obj::maybe(*args.add(at)) };
    }
    if let Some(keywords) = unsafe { Obj::maybe(kwnames) } {
        for (at, keyword) in keywords.items().iter().enumerate() {
            let keyword = keyword.to_text()?;
            let Some(place) = names.iter().position(|name| *name == keyword) else {
                return Err(type_error(&format!("{function}() got an unexpected keyword argument '{keyword}'")));
            };
            if found[place].is_some() {
                return Err(type_error(&format!("{function}() got multiple values for argument '{keyword}'")));
            }
            found[place] = unsafe { Obj::maybe(*args.add(given + at)) };
        }
    }
    if let Some(missing) = (0..required).find(|at| found[*at].is_none()) {
        return Err(type_error(&format!("{function}() missing 1 required positional argument: '{}'", names[missing])));
    }
    Ok(found)
}

/// The same for `__init__` and `__new__`, which get a tuple and a dict.
pub(super) unsafe fn init_parameters<const N: usize>(
    function: &str,
    names: [&str; N],
    required: usize,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> Res<[Option<Obj>; N]> {
    let positional = unsafe { Obj::borrowed(args) }.items();
    let entries = unsafe { Obj::maybe(kwargs) }.map(|kwargs| kwargs.entries()).unwrap_or_default();
    let keywords: Vec<&Obj> = entries.iter().map(|(key, _)| key).collect();
    let keywords = Obj::tuple(&keywords)?;
    let values: Vec<*mut PyObject> =
        positional.iter().chain(entries.iter().map(|(_, value)| value)).map(Obj::as_ptr).collect();
    let given = positional.len() as Py_ssize_t;
    unsafe { parameters(function, names, required, values.as_ptr(), given, keywords.as_ptr()) }
}
