//! Owned references, the error indicator, and calls: what the rest of the crate needs of CPython, as safe functions.
//!
//! Everything here runs with the GIL held, because only Python calls into this crate. `Obj` is neither `Send` nor `Sync`.

use std::{
    ffi::CStr,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::{self, NonNull},
};

use pyo3::ffi::{
    self, PY_VECTORCALL_ARGUMENTS_OFFSET, Py_ssize_t, PyObject, PyTypeObject, PyUnicode_FromStringAndSize,
    PyUnicode_InternInPlace,
};

/// Python's error indicator is set; whoever gets this hands it on or takes the exception.
#[derive(Debug)]
pub(crate) struct Raised;

pub(crate) type Res<T> = Result<T, Raised>;

/// A strong reference to a Python object.
#[derive(Debug)]
pub(crate) struct Obj(NonNull<PyObject>);

impl Drop for Obj {
    fn drop(&mut self) {
        unsafe { ffi::Py_DECREF(self.0.as_ptr()) }
    }
}

impl Clone for Obj {
    fn clone(&self) -> Self {
        unsafe { ffi::Py_INCREF(self.0.as_ptr()) };
        Self(self.0)
    }
}

impl Obj {
    /// Takes over a new reference; null means that the error indicator is set.
    pub(super) unsafe fn owned(ptr: *mut PyObject) -> Res<Self> {
        NonNull::new(ptr).map(Self).ok_or(Raised)
    }

    /// A new reference to an object that somebody else holds. Must not be null.
    pub(super) unsafe fn borrowed(ptr: *mut PyObject) -> Self {
        unsafe {
            ffi::Py_INCREF(ptr);
            Self(NonNull::new_unchecked(ptr))
        }
    }

    /// As `borrowed`, but null is nothing.
    pub(super) unsafe fn maybe(ptr: *mut PyObject) -> Option<Self> {
        if ptr.is_null() { None } else { Some(unsafe { Self::borrowed(ptr) }) }
    }

    pub(super) fn as_ptr(&self) -> *mut PyObject {
        self.0.as_ptr()
    }

    pub(super) fn into_ptr(self) -> *mut PyObject {
        let ptr = self.0.as_ptr();
        std::mem::forget(self);
        ptr
    }

    pub(crate) fn none() -> Self {
        unsafe { Self::borrowed(ffi::Py_None()) }
    }

    pub(crate) fn bool(value: bool) -> Self {
        unsafe { Self::borrowed(if value { ffi::Py_True() } else { ffi::Py_False() }) }
    }

    pub(crate) fn str(text: &str) -> Res<Self> {
        unsafe { Self::owned(PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as Py_ssize_t)) }
    }

    /// A name, interned: equal names are the same object.
    pub(crate) fn name(text: &str) -> Res<Self> {
        let mut ptr = Self::str(text)?.into_ptr();
        unsafe {
            PyUnicode_InternInPlace(&raw mut ptr);
            Self::owned(ptr)
        }
    }

    pub(crate) fn tuple(items: &[&Self]) -> Res<Self> {
        unsafe {
            let tuple = Self::owned(ffi::PyTuple_New(items.len() as Py_ssize_t))?;
            for (at, item) in items.iter().enumerate() {
                if ffi::PyTuple_SetItem(tuple.as_ptr(), at as Py_ssize_t, (*item).clone().into_ptr()) < 0 {
                    return Err(Raised);
                }
            }
            Ok(tuple)
        }
    }

    pub(crate) fn list(items: &[Self]) -> Res<Self> {
        unsafe {
            let list = Self::owned(ffi::PyList_New(items.len() as Py_ssize_t))?;
            for (at, item) in items.iter().enumerate() {
                if ffi::PyList_SetItem(list.as_ptr(), at as Py_ssize_t, item.clone().into_ptr()) < 0 {
                    return Err(Raised);
                }
            }
            Ok(list)
        }
    }

    pub(crate) fn dict() -> Res<Self> {
        unsafe { Self::owned(ffi::PyDict_New()) }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    pub(crate) fn is_none(&self) -> bool {
        self.as_ptr() == unsafe { ffi::Py_None() }
    }

    pub(crate) fn is_dict(&self) -> bool {
        unsafe { ffi::PyDict_Check(self.as_ptr()) != 0 }
    }

    pub(crate) fn is_tuple(&self) -> bool {
        unsafe { ffi::PyTuple_Check(self.as_ptr()) != 0 }
    }

    pub(crate) fn is_list(&self) -> bool {
        unsafe { ffi::PyList_Check(self.as_ptr()) != 0 }
    }

    pub(crate) fn is_exception(&self) -> bool {
        unsafe { self.is_a_type(ffi::PyExc_BaseException.cast()) }
    }

    pub(crate) fn is_str(&self) -> bool {
        unsafe { ffi::PyUnicode_Check(self.as_ptr()) != 0 }
    }

    pub(crate) fn type_of(&self) -> Self {
        unsafe { Self::borrowed(ffi::Py_TYPE(self.as_ptr()).cast()) }
    }

    /// Whether the type of the object is exactly `class`.
    pub(crate) fn is_exactly(&self, class: &Self) -> bool {
        unsafe { ffi::Py_TYPE(self.as_ptr()) == class.as_ptr().cast() }
    }

    /// Whether the type of the object is `class` or derived from it; asks no `__class__`.
    pub(crate) fn is_a(&self, class: &Self) -> bool {
        self.is_a_type(class.as_ptr().cast())
    }

    pub(super) fn is_a_type(&self, class: *mut PyTypeObject) -> bool {
        unsafe { ffi::PyObject_TypeCheck(self.as_ptr(), class) != 0 }
    }

    /// `isinstance(self, class)`.
    pub(crate) fn isinstance(&self, class: &Self) -> Res<bool> {
        check(unsafe { ffi::PyObject_IsInstance(self.as_ptr(), class.as_ptr()) })
    }

    #[inline]
    pub(crate) fn truth(&self) -> Res<bool> {
        if self.as_ptr() == unsafe { ffi::Py_False() } {
            return Ok(false);
        }
        check(unsafe { ffi::PyObject_IsTrue(self.as_ptr()) })
    }

    /// `self != other`.
    pub(crate) fn differs(&self, other: &Self) -> Res<bool> {
        unsafe { Self::owned(ffi::PyObject_RichCompare(self.as_ptr(), other.as_ptr(), ffi::Py_NE)) }?.truth()
    }

    /// `item in self`.
    pub(crate) fn contains(&self, item: &Self) -> Res<bool> {
        check(unsafe { ffi::PySequence_Contains(self.as_ptr(), item.as_ptr()) })
    }

    pub(crate) fn attr(&self, name: &Self) -> Res<Self> {
        unsafe { Self::owned(ffi::PyObject_GetAttr(self.as_ptr(), name.as_ptr())) }
    }

    /// `object.__getattribute__(self, name)`, or nothing if there is no such attribute.
    pub(crate) fn own_attr(&self, name: &Self) -> Res<Option<Self>> {
        match unsafe { Self::owned(ffi::PyObject_GenericGetAttr(self.as_ptr(), name.as_ptr())) } {
            Ok(value) => Ok(Some(value)),
            Err(Raised) if raised_is(unsafe { ffi::PyExc_AttributeError }) => {
                clear();
                Ok(None)
            }
            Err(Raised) => Err(Raised),
        }
    }

    pub(crate) fn call(&self, args: &[&Self]) -> Res<Self> {
        let mut slots = [ptr::null_mut(); 8];
        if args.len() >= slots.len() {
            return Err(error(unsafe { ffi::PyExc_SystemError }, "too many arguments"));
        }
        for (slot, arg) in slots[1..].iter_mut().zip(args) {
            *slot = arg.as_ptr();
        }
        let flags = args.len() | PY_VECTORCALL_ARGUMENTS_OFFSET;
        unsafe { Self::owned(ffi::PyObject_Vectorcall(self.as_ptr(), slots.as_ptr().add(1), flags, ptr::null_mut())) }
    }

    pub(crate) fn call_method(&self, name: &Self, args: &[&Self]) -> Res<Self> {
        self.attr(name)?.call(args)
    }

    /// The length of a list or tuple.
    pub(crate) fn len(&self) -> usize {
        let ptr = self.as_ptr();
        let length = unsafe { if self.is_list() { ffi::PyList_Size(ptr) } else { ffi::PyTuple_Size(ptr) } };
        usize::try_from(length).unwrap_or(0)
    }

    /// The items of a list or tuple.
    pub(crate) fn items(&self) -> Vec<Self> {
        let length = self.len();
        let mut items = Vec::with_capacity(length);
        items.extend((0..length).filter_map(|at| self.item(at)));
        items
    }

    pub(crate) fn item(&self, at: usize) -> Option<Self> {
        let (ptr, at) = (self.as_ptr(), at as Py_ssize_t);
        unsafe {
            let item = if self.is_list() { ffi::PyList_GetItem(ptr, at) } else { ffi::PyTuple_GetItem(ptr, at) };
            if item.is_null() {
                clear();
            }
            Self::maybe(item)
        }
    }

    /// The value of a key in a dict.
    pub(crate) fn get(&self, key: &Self) -> Res<Option<Self>> {
        unsafe {
            let value = ffi::PyDict_GetItemWithError(self.as_ptr(), key.as_ptr());
            if value.is_null() && !ffi::PyErr_Occurred().is_null() {
                return Err(Raised);
            }
            Ok(Self::maybe(value))
        }
    }

    /// Sets a key of a dict.
    pub(crate) fn set(&self, key: &Self, value: &Self) -> Res<()> {
        check(unsafe { ffi::PyDict_SetItem(self.as_ptr(), key.as_ptr(), value.as_ptr()) }).map(drop)
    }

    pub(crate) fn append(&self, item: &Self) -> Res<()> {
        check(unsafe { ffi::PyList_Append(self.as_ptr(), item.as_ptr()) }).map(drop)
    }

    /// Keys and values of a dict.
    pub(crate) fn entries(&self) -> Vec<(Self, Self)> {
        let size = unsafe { ffi::PyDict_Size(self.as_ptr()) };
        let mut entries = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let (mut at, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        unsafe {
            while ffi::PyDict_Next(self.as_ptr(), &raw mut at, &raw mut key, &raw mut value) != 0 {
                entries.push((Self::borrowed(key), Self::borrowed(value)));
            }
        }
        entries
    }

    /// A number that fits; nothing otherwise.
    pub(crate) fn to_i64(&self) -> Res<i64> {
        let value = unsafe { ffi::PyLong_AsLongLong(self.as_ptr()) };
        if value == -1 && unsafe { !ffi::PyErr_Occurred().is_null() } { Err(Raised) } else { Ok(value) }
    }

    pub(crate) fn from_i64(value: i64) -> Res<Self> {
        unsafe { Self::owned(ffi::PyLong_FromLongLong(value)) }
    }

    pub(crate) fn to_text(&self) -> Res<String> {
        let mut length = 0;
        unsafe {
            let bytes = ffi::PyUnicode_AsUTF8AndSize(self.as_ptr(), &raw mut length);
            if bytes.is_null() {
                return Err(Raised);
            }
            let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), usize::try_from(length).unwrap_or(0));
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }

    /// `repr(self)`.
    pub(crate) fn repr(&self) -> Res<String> {
        unsafe { Self::owned(ffi::PyObject_Repr(self.as_ptr())) }?.to_text()
    }

    /// `str(self)`.
    pub(crate) fn display(&self) -> Res<String> {
        unsafe { Self::owned(ffi::PyObject_Str(self.as_ptr())) }?.to_text()
    }

    /// `dir(self)`.
    pub(crate) fn dir(&self) -> Res<Self> {
        unsafe { Self::owned(ffi::PyObject_Dir(self.as_ptr())) }
    }

    /// `list(self)`.
    pub(crate) fn to_list(&self) -> Res<Self> {
        unsafe { Self::owned(ffi::PySequence_List(self.as_ptr())) }
    }

    /// The items `from..to` of a tuple.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Res<Self> {
        unsafe { Self::owned(ffi::PyTuple_GetSlice(self.as_ptr(), from as Py_ssize_t, to as Py_ssize_t)) }
    }

    /// `self[key]`.
    pub(crate) fn subscript(&self, key: &Self) -> Res<Self> {
        unsafe { Self::owned(ffi::PyObject_GetItem(self.as_ptr(), key.as_ptr())) }
    }
}

pub(crate) fn import(module: &CStr) -> Res<Obj> {
    unsafe { Obj::owned(ffi::PyImport_ImportModule(module.as_ptr())) }
}

/// `-1` is a raised exception, anything else a truth value.
pub(super) fn check(status: std::ffi::c_int) -> Res<bool> {
    if status < 0 { Err(Raised) } else { Ok(status != 0) }
}

/// Raises one of Python's own exceptions.
pub(super) fn error(class: *mut PyObject, text: &str) -> Raised {
    if let Ok(text) = Obj::str(text) {
        unsafe { ffi::PyErr_SetObject(class, text.as_ptr()) };
    }
    Raised
}

pub(crate) fn type_error(text: &str) -> Raised {
    error(unsafe { ffi::PyExc_TypeError }, text)
}

pub(crate) fn value_error(text: &str) -> Raised {
    error(unsafe { ffi::PyExc_ValueError }, text)
}

pub(crate) fn assertion_error(text: &str) -> Raised {
    error(unsafe { ffi::PyExc_AssertionError }, text)
}

pub(crate) fn runtime_error(text: &str) -> Raised {
    error(unsafe { ffi::PyExc_RuntimeError }, text)
}

/// Whether the exception that is raised is of this class.
pub(super) fn raised_is(class: *mut PyObject) -> bool {
    unsafe { ffi::PyErr_ExceptionMatches(class) != 0 }
}

/// Forgets the exception that is raised.
pub(crate) fn clear() {
    unsafe { ffi::PyErr_Clear() };
}

/// Takes the exception that is raised, its traceback attached.
#[cfg(Py_3_12)]
pub(super) fn take_raised() -> Obj {
    unsafe { Obj::owned(ffi::PyErr_GetRaisedException()) }.unwrap_or_else(|Raised| Obj::none())
}

/// Takes the exception that is raised, its traceback attached.
#[cfg(not(Py_3_12))]
pub(super) fn take_raised() -> Obj {
    let (mut class, mut value, mut traceback) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    unsafe {
        ffi::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback);
        ffi::PyErr_NormalizeException(&raw mut class, &raw mut value, &raw mut traceback);
        if !traceback.is_null() {
            ffi::PyException_SetTraceback(value, traceback);
            ffi::Py_DECREF(traceback);
        }
        ffi::Py_XDECREF(class);
        Obj::owned(value).unwrap_or_else(|Raised| Obj::none())
    }
}

/// Raises an exception with the traceback and the context that it has.
#[cfg(Py_3_12)]
pub(crate) fn raise(exception: Obj) -> Raised {
    unsafe { ffi::PyErr_SetRaisedException(exception.into_ptr()) };
    Raised
}

/// Raises an exception with the traceback and the context that it has.
#[cfg(not(Py_3_12))]
pub(crate) fn raise(exception: Obj) -> Raised {
    unsafe {
        let traceback = ffi::PyException_GetTraceback(exception.as_ptr());
        let class = exception.type_of().into_ptr();
        ffi::PyErr_Restore(class, exception.into_ptr(), traceback);
    }
    Raised
}

/// Runs the body of a function that Python calls. A panic becomes an exception: it must not cross into C.
pub(super) fn guarded(body: impl FnOnce() -> Res<Obj>) -> *mut PyObject {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value.into_ptr(),
        Ok(Err(Raised)) => ptr::null_mut(),
        Err(_) => {
            error(unsafe { ffi::PyExc_SystemError }, "crow_hooks panicked; please report this");
            ptr::null_mut()
        }
    }
}

/// The same for functions that give only success or failure.
pub(super) fn guarded_status(body: impl FnOnce() -> Res<()>) -> std::ffi::c_int {
    let result = guarded(|| body().map(|()| Obj::none()));
    if result.is_null() {
        return -1;
    }
    unsafe { ffi::Py_DECREF(result) };
    0
}
