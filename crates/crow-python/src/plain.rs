//! Values on their way between Rust and Python: as data that neither needs the interpreter nor borrows anything.
//!
//! Rust's side makes and reads them without the GIL; only the thread of the event loop turns them into Python objects and
//! back.

use std::sync::{Arc, Mutex, PoisonError};

use crow_acp::{Command, ProviderDescriptor, Session, ToolDescriptor};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};
use serde_json::{Map, Number, Value as Json};

use crate::bridge::Bridge;
use crate::deltas::{DeltaPort, Port};
use crate::objects::agent::AcpAgent;
use crate::objects::config::{PyConfig, Settings};
use crate::objects::handlers::{PyCommand, PyProvider, PyTool};
use crate::objects::session::PySession;

/// How deep values may be nested: more is a loop.
const DEEPEST: usize = 100;

/// A value on its way.
#[derive(Debug, Clone)]
pub(crate) enum Plain {
    /// Nothing, numbers, text, lists and maps of such.
    Json(Json),
    /// A list that holds more than data.
    List(Vec<Plain>),
    /// A map that holds more than data.
    Map(Vec<(String, Plain)>),
    /// The agent.
    Agent,
    /// A session.
    Session(Session),
    /// A tool, with the code that runs it.
    Tool(Arc<ToolDescriptor>),
    /// A slash command, with the code that answers it.
    Command(Command),
    /// A provider, with the code that reaches it.
    Provider(ProviderDescriptor),
    /// Where the fragments of an answer go.
    Deltas(Arc<Port>),
    /// What an impl of `configure` sets.
    Config(Arc<Settings>),
}

impl From<Json> for Plain {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}

impl From<&str> for Plain {
    fn from(text: &str) -> Self {
        Self::Json(text.into())
    }
}

impl PartialEq for Plain {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(one), Self::Json(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => one == other,
            (Self::Agent, Self::Agent) => true,
            (Self::Session(one), Self::Session(other)) => one == other,
            (Self::Tool(one), Self::Tool(other)) => Arc::ptr_eq(one, other),
            (Self::Command(one), Self::Command(other)) => Arc::ptr_eq(&one.handler, &other.handler) && one == other,
            (Self::Provider(one), Self::Provider(other)) => Arc::ptr_eq(&one.handler, &other.handler),
            (Self::Deltas(one), Self::Deltas(other)) => Arc::ptr_eq(one, other),
            (Self::Config(one), Self::Config(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Plain {
    /// What stands for nothing.
    pub(crate) const NOTHING: Self = Self::Json(Json::Null);

    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }

    /// Data; for anything else, the name of what it is.
    pub(crate) fn json(self) -> Result<Json, &'static str> {
        Ok(match self {
            Self::Json(json) => json,
            Self::List(items) => Json::Array(items.into_iter().map(Self::json).collect::<Result<_, _>>()?),
            Self::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| value.json().map(|value| (key, value)));
                Json::Object(entries.collect::<Result<_, _>>()?)
            }
            Self::Agent => return Err("the agent"),
            Self::Session(_) => return Err("a session"),
            Self::Tool(_) => return Err("a tool"),
            Self::Command(_) => return Err("a command"),
            Self::Provider(_) => return Err("a provider"),
            Self::Deltas(_) => return Err("the deltas"),
            Self::Config(_) => return Err("the configuration"),
        })
    }

    /// The items of a list.
    pub(crate) fn items(self) -> Option<Vec<Plain>> {
        match self {
            Self::List(items) => Some(items),
            Self::Json(Json::Array(items)) => Some(items.into_iter().map(Self::Json).collect()),
            _ => None,
        }
    }

    /// The entries of a map.
    pub(crate) fn entries(self) -> Option<Vec<(String, Plain)>> {
        match self {
            Self::Map(entries) => Some(entries),
            Self::Json(Json::Object(entries)) => {
                Some(entries.into_iter().map(|(key, value)| (key, Self::Json(value))).collect())
            }
            _ => None,
        }
    }

    /// As a Python object.
    pub(crate) fn show<'py>(&self, py: Python<'py>, bridge: &Bridge) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Self::Json(json) => show_json(py, json)?,
            Self::List(items) => {
                let items = items.iter().map(|item| item.show(py, bridge)).collect::<PyResult<Vec<_>>>()?;
                PyList::new(py, items)?.into_any()
            }
            Self::Map(entries) => {
                let dict = PyDict::new(py);
                for (key, value) in entries {
                    dict.set_item(key, value.show(py, bridge)?)?;
                }
                dict.into_any()
            }
            Self::Agent => bridge.object(py)?.into_any(),
            Self::Session(session) => bridge.session(py, session)?.into_any(),
            Self::Tool(tool) => Bound::new(py, PyTool(tool.clone()))?.into_any(),
            Self::Command(command) => Bound::new(py, PyCommand(command.clone()))?.into_any(),
            Self::Provider(provider) => Bound::new(py, PyProvider(provider.clone()))?.into_any(),
            Self::Deltas(port) => Bound::new(py, DeltaPort(port.clone()))?.into_any(),
            Self::Config(settings) => Bound::new(py, PyConfig(settings.clone()))?.into_any(),
        })
    }

    /// What a Python object says.
    ///
    /// # Errors
    /// It is nothing that Rust could read.
    pub(crate) fn read(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        read(object, DEEPEST)
    }
}

fn show_json<'py>(py: Python<'py>, json: &Json) -> PyResult<Bound<'py, PyAny>> {
    Ok(match json {
        Json::Null => py.None().into_bound(py),
        Json::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_pyobject(py)?.into_any(),
            (None, Some(number)) => number.into_pyobject(py)?.into_any(),
            _ => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any(),
        },
        Json::String(text) => PyString::new(py, text).into_any(),
        Json::Array(items) => {
            let items = items.iter().map(|item| show_json(py, item)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Json::Object(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries {
                dict.set_item(key, show_json(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

fn read(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Plain> {
    if depth == 0 {
        return Err(PyTypeError::new_err("a value that is nested too deeply, or holds itself"));
    }
    if object.is_none() {
        return Ok(Plain::NOTHING);
    }
    // Before numbers: `True` is one, too.
    if let Ok(value) = object.cast::<PyBool>() {
        return Ok(Json::Bool(value.is_true()).into());
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Json::String(text.to_str()?.to_owned()).into());
    }
    if object.cast::<PyInt>().is_ok() {
        let number = match object.extract::<i64>() {
            Ok(number) => Some(Number::from(number)),
            Err(_) => object.extract::<u64>().ok().map(Number::from),
        };
        let large = || PyTypeError::new_err("a whole number of more than 64 bits");
        return Ok(Json::Number(number.ok_or_else(large)?).into());
    }
    if let Ok(number) = object.cast::<PyFloat>() {
        // JSON knows no infinity and no NaN.
        return Ok(Number::from_f64(number.value()).map_or(Json::Null, Json::Number).into());
    }
    if object.cast::<PyList>().is_ok() || object.cast::<PyTuple>().is_ok() {
        let items = object.try_iter()?.map(|item| read(&item?, depth - 1)).collect::<PyResult<Vec<_>>>()?;
        return Ok(list(items));
    }
    if let Ok(session) = object.cast::<PySession>() {
        return Ok(Plain::Session(session.get().session.clone()));
    }
    if object.cast::<AcpAgent>().is_ok() {
        return Ok(Plain::Agent);
    }
    if let Ok(tool) = object.cast::<PyTool>() {
        return Ok(Plain::Tool(tool.get().0.clone()));
    }
    if let Ok(command) = object.cast::<PyCommand>() {
        return Ok(Plain::Command(command.get().0.clone()));
    }
    if let Ok(provider) = object.cast::<PyProvider>() {
        return Ok(Plain::Provider(provider.get().0.clone()));
    }
    if let Ok(port) = object.cast::<DeltaPort>() {
        return Ok(Plain::Deltas(port.get().0.clone()));
    }
    if let Ok(config) = object.cast::<PyConfig>() {
        return Ok(Plain::Config(config.get().0.clone()));
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let mut entries = Vec::new();
        for item in mapping.items()?.iter() {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            let key = key.cast::<PyString>().map_err(|_| PyTypeError::new_err("a key that is no text"))?;
            entries.push((key.to_str()?.to_owned(), read(&value, depth - 1)?));
        }
        return Ok(map(entries));
    }
    // The live list of a session's messages, sets, dict views and whatever else can be gone through.
    if let Ok(items) = object.try_iter()
        && object.hasattr("__len__")?
        && !object.hasattr("decode")?
    {
        let items = items.map(|item| read(&item?, depth - 1)).collect::<PyResult<Vec<_>>>()?;
        return Ok(list(items));
    }
    let kind = object.get_type().fully_qualified_name()?;
    Err(PyTypeError::new_err(format!("{kind} is nothing that a hook could give: use text, numbers, lists and dicts")))
}

fn list(items: Vec<Plain>) -> Plain {
    if items.iter().all(|item| matches!(item, Plain::Json(_))) {
        let json = items.into_iter().filter_map(|item| item.json().ok());
        return Json::Array(json.collect()).into();
    }
    Plain::List(items)
}

fn map(entries: Vec<(String, Plain)>) -> Plain {
    if entries.iter().all(|(_, value)| matches!(value, Plain::Json(_))) {
        let json = entries.into_iter().filter_map(|(key, value)| Some((key, value.json().ok()?)));
        return Json::Object(json.collect::<Map<_, _>>()).into();
    }
    Plain::Map(entries)
}

/// A value that was lent to Python, and what became of it there.
#[derive(Debug)]
pub(crate) struct Given {
    /// Where it lives in Rust: the same for all impls of one call.
    pub(crate) place: usize,
    /// As it was when it was lent.
    pub(crate) plain: Plain,
    /// As Python left it, if that is to be taken over.
    back: Mutex<Option<Plain>>,
    /// As Rust read what Python left: what it will look like when it is lent again.
    settled: Mutex<Option<Plain>>,
}

impl Given {
    pub(crate) fn new(place: usize, plain: Plain) -> Arc<Self> {
        Arc::new(Self { place, plain, back: Mutex::new(None), settled: Mutex::new(None) })
    }

    /// A value that nobody edits.
    pub(crate) fn of(plain: impl Into<Plain>) -> Arc<Self> {
        Self::new(0, plain.into())
    }

    /// Python changed it.
    pub(crate) fn give_back(&self, plain: Plain) {
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = Some(plain);
    }

    /// What Python changed, once.
    pub(crate) fn take_back(&self) -> Option<Plain> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What came of it in Rust.
    pub(crate) fn settle(&self, plain: Plain) {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(plain);
    }

    /// What it looks like in Rust since Python had it.
    pub(crate) fn settled(&self) -> Option<Plain> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
