//! `AcpAgent`

use std::sync::{Arc, OnceLock};

use crow_acp::{Agent, Message, Overrides, Pause, PluginManager, Question, Request, RunError, ToolContent};
use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyTuple};

use super::attributes::{Attributes, Holder, belongs};
use super::manager::Plugins;
use super::relay::Relay;
use super::session::{PySession, notice};
use crate::bridge::Bridge;
use crate::courier::Courier;
use crate::future;
use crate::plain::Plain;
use crate::shape::{Read, Show};

/// The agent: what a program in Python makes, and what every hook gets. Built-in plugins are in it; installed ones are
/// found when it runs.
#[pyclass(frozen, subclass, weakref, dict, name = "AcpAgent", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct AcpAgent {
    pub(crate) bridge: Arc<Bridge>,
    attributes: Arc<Attributes>,
    overrides: OnceLock<Overrides>,
    served: OnceLock<()>,
}

impl AcpAgent {
    /// The agent that runs in this process already.
    pub(crate) fn of(bridge: Arc<Bridge>) -> Self {
        Self { bridge, attributes: Arc::default(), overrides: OnceLock::new(), served: OnceLock::new() }
    }

    fn running(&self) -> PyResult<&Agent> {
        self.bridge.agent().ok_or_else(|| PyRuntimeError::new_err("the agent does not run yet"))
    }

    fn holder(&self) -> Option<&dyn Holder> {
        self.bridge.agent().map(|agent| agent as &dyn Holder)
    }
}

#[pymethods]
impl AcpAgent {
    /// Takes whatever its subclasses take: what it is made of comes with `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_options))]
    fn new(_args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let plugins = PluginManager::new();
        crow::built_in(&plugins).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let bridge = Bridge::new(plugins);
        crate::plugin::install(&bridge).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(Self::of(bridge))
    }

    #[pyo3(signature = (config=None, *, model=None, mode=None))]
    fn __init__(&self, config: Option<&Bound<'_, PyAny>>, model: Option<String>, mode: Option<String>) -> PyResult<()> {
        let mut set = Vec::new();
        if let Some(config) = config {
            let config = config.cast::<PyMapping>().map_err(|_| {
                PyTypeError::new_err("config is a dict of what config.toml may say, for example {\"max_turns\": 20}")
            })?;
            flatten("", &config.clone(), &mut set)?;
        }
        let overrides = Overrides { set, model, mode, blocked: Vec::new() };
        self.overrides.set(overrides).map_err(|_| PyRuntimeError::new_err("the agent is made already"))
    }

    /// The plugin manager.
    #[getter]
    fn _pm(slf: &Bound<'_, Self>) -> Plugins {
        slf.get().bridge.adopt(slf);
        Plugins(slf.get().bridge.clone())
    }

    /// The plugin manager.
    #[getter]
    fn plugins(slf: &Bound<'_, Self>) -> Plugins {
        Self::_pm(slf)
    }

    /// The hooks, to be called: `await agent.hook.after_turn(agent=agent, session=session, usage=usage)`.
    #[getter]
    fn hook(&self) -> Relay {
        Relay(self.bridge.clone())
    }

    /// The open sessions by id.
    #[getter]
    fn _sessions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let sessions = PyDict::new(py);
        for session in self.bridge.agent().map(Agent::sessions).unwrap_or_default() {
            sessions.set_item(session.id(), self.bridge.session(py, &session)?)?;
        }
        Ok(sessions)
    }

    /// The open sessions by id.
    #[getter]
    fn sessions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self._sessions(py)
    }

    /// The id of the session that the running hook is called for; `None` outside of one.
    #[getter]
    fn _session_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("crow_acp._runtime")?.call_method0("session_id")
    }

    /// The models that are known, as `PROVIDER/MODEL`.
    #[getter]
    fn models(&self) -> PyResult<Vec<String>> {
        Ok(self.running()?.models().iter().map(|model| model.id.to_string()).collect())
    }

    /// `CROW_HOME`.
    #[getter]
    fn home(&self) -> PyResult<String> {
        Ok(self.running()?.config().home().to_string_lossy().into_owned())
    }

    /// What the configuration says under `[plugins.NAME]`: a dict.
    fn plugin_config<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let section: Section =
            self.running()?.config().plugin(name).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Plain::Json(serde_json::Value::Object(section.0)).show(py, &self.bridge)
    }

    /// Tells the user of every open session something that is not part of the conversation.
    #[pyo3(signature = (title, severity="info", description=None))]
    fn notify(&self, py: Python<'_>, title: &str, severity: &str, description: Option<String>) -> PyResult<()> {
        let notice = notice(title, severity, description)?;
        let agent = self.running()?;
        py.detach(|| agent.notify(notice));
        Ok(())
    }

    /// Sends a session a prompt and waits until the run is over: a dict with `stop_reason`, `usage`, `error`.
    fn prompt<'py>(
        &self,
        py: Python<'py>,
        session: &Bound<'py, PySession>,
        prompt: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let prompt = Message::read(Plain::read(prompt)?).map_err(|error| PyTypeError::new_err(error.to_string()))?;
        let (agent, session) = (self.running()?.clone(), session.get().session.clone());
        let caller = future::caller(py)?;
        future::spawn(py, &self.bridge, async move {
            let _unhurried = Pause::of(caller);
            Ok(agent.prompt(&session, prompt).await.show())
        })
    }

    /// Asks the user, who chooses one of `choices`: texts, or dicts with `id`, `name` and `kind` (`allow_once`,
    /// `allow_always`, `reject_once`, `reject_always`). Gives the choice's id.
    #[pyo3(signature = (session, title, choices, *, text=None, call_id=""))]
    fn ask<'py>(
        &self,
        py: Python<'py>,
        session: &Bound<'py, PySession>,
        title: &str,
        choices: &Bound<'py, PyAny>,
        text: Option<String>,
        call_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let choices = Read::read(Plain::read(choices)?).map_err(|error| PyTypeError::new_err(error.to_string()))?;
        let mut question = Question::new(call_id, title, choices);
        question.content = text.into_iter().map(ToolContent::text).collect();
        let (agent, session) = (self.running()?.clone(), session.get().session.clone());
        let caller = future::caller(py)?;
        future::spawn(py, &self.bridge, async move {
            let _unhurried = Pause::of(caller);
            Ok(agent.ask(&session, question).await?.show())
        })
    }

    /// Asks a model something beside the conversation: a dict with `message`, `usage`. Nothing of it is shown or logged.
    #[pyo3(signature = (session, messages, model=None))]
    fn complete<'py>(
        &self,
        py: Python<'py>,
        session: &Bound<'py, PySession>,
        messages: &Bound<'py, PyAny>,
        model: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let messages = match Plain::read(messages)? {
            text @ Plain::Json(serde_json::Value::String(_)) => Message::read(text).map(|message| vec![message]),
            list => Read::read(list),
        };
        let messages = messages.map_err(|error| PyTypeError::new_err(error.to_string()))?;
        let (agent, session) = (self.running()?.clone(), session.get().session.clone());
        let wanted = match model {
            Some(model) => Some(model.parse().map_err(|error| PyValueError::new_err(format!("{error}")))?),
            None => session.model(),
        };
        let caller = future::caller(py)?;
        future::spawn(py, &self.bridge, async move {
            let _unhurried = Pause::of(caller);
            let wanted = wanted.ok_or_else(|| RunError::new("the session has no model"))?;
            let model = agent.model(&wanted);
            let model = model.ok_or_else(|| RunError::new(format!("no provider for {wanted}")))?;
            let request = Request::new(session.id(), model, messages);
            Ok(agent.complete(&session, request).await?.show())
        })
    }

    /// Asks the plugins again for what they offer.
    fn refresh<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let agent = self.running()?.clone();
        future::spawn(py, &self.bridge, async move {
            agent.refresh().await;
            Ok(Plain::NOTHING)
        })
    }

    /// Serves on standard input and output until the input ends: `run_agent` awaits it.
    fn _serve<'py>(slf: &Bound<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let own = slf.get();
        own.bridge.adopt(slf);
        if own.served.set(()).is_err() {
            return Err(PyRuntimeError::new_err("the agent runs already, or has run"));
        }
        crate::plugin::name_installed(py);
        let (bridge, overrides, attributes) =
            (own.bridge.clone(), own.overrides.get().cloned().unwrap_or_default(), own.attributes.clone());
        future::spawn(py, &own.bridge, async move {
            let agent = crow::agent(bridge.plugins.clone(), overrides).await?;
            attributes.tell(&agent);
            bridge.meet(&agent);
            crow::serve_apart(agent).await?;
            if Courier::get().answers().await.is_err() {
                // A plugin holds the program's own loop up, perhaps for ever: nobody else could end it.
                std::process::exit(0);
            }
            Ok(Plain::NOTHING)
        })
    }

    /// Ends all sessions and runs `on_shutdown`.
    fn _shutdown<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let agent = self.bridge.agent().cloned();
        future::spawn(py, &self.bridge, async move {
            if let Some(agent) = agent {
                agent.shutdown().await;
            }
            Ok(Plain::NOTHING)
        })
    }

    fn __repr__(&self) -> String {
        format!("<crow_acp.AcpAgent, {} plugins>", self.bridge.plugins.names().len())
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.attributes.get(py, &self.bridge, self.holder(), "the agent", name)
    }

    fn __setattr__(slf: &Bound<'_, Self>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        if belongs::<Self>(py, name)? {
            return Err(PyAttributeError::new_err(format!("the agent's `{name}` cannot be set")));
        }
        // What a subclass has of its own is its own business.
        if let Some(own) = slf.get_type().getattr_opt(name)? {
            if own.hasattr("__set__")? {
                return own.call_method1("__set__", (slf, value)).map(drop);
            }
            return slf.getattr("__dict__")?.set_item(name, value);
        }
        let agent = slf.get();
        agent.attributes.set(agent.holder(), name, value);
        Ok(())
    }

    fn __delattr__(&self, name: &str) -> PyResult<()> {
        if self.attributes.remove(self.holder(), name) {
            return Ok(());
        }
        Err(PyAttributeError::new_err(format!("the agent has no attribute `{name}`")))
    }
}

/// A plugin's section of the configuration, as it stands.
#[derive(serde::Deserialize, Default)]
#[serde(transparent)]
struct Section(serde_json::Map<String, serde_json::Value>);

/// A dict as assignments of dotted keys.
fn flatten(prefix: &str, config: &Bound<'_, PyMapping>, into: &mut Vec<String>) -> PyResult<()> {
    for item in config.items()?.iter() {
        let (key, value): (String, Bound<'_, PyAny>) = item.extract()?;
        let key = format!("{prefix}{key}");
        if let Ok(inner) = value.cast::<PyMapping>() {
            flatten(&format!("{key}."), inner, into)?;
            continue;
        }
        let json = Plain::read(&value)?.json();
        let json = json.map_err(|what| PyTypeError::new_err(format!("`{key}`: {what} is no setting")))?;
        into.push(format!("{key}={json}"));
    }
    Ok(())
}
