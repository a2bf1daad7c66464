//! `session`

use std::sync::Arc;

use crow_acp::{Message, ModelId, Notice, Origin, Part, Role, Session, Severity, ToolContent, ToolProgress};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use super::attributes::{Attributes, belongs};
use super::messages::Messages;
use crate::bridge::Bridge;
use crate::future;
use crate::plain::Plain;
use crate::shape::{Read, Show};

/// One conversation: a handle to the agent's own.
#[pyclass(frozen, weakref, name = "Session", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct PySession {
    pub(crate) session: Session,
    pub(crate) bridge: Option<Arc<Bridge>>,
}

impl PySession {
    fn bridge(&self) -> PyResult<&Arc<Bridge>> {
        self.bridge.as_ref().ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("the agent is gone"))
    }

    fn attributes(&self) -> Arc<Attributes> {
        if let Some(attributes) = self.session.get::<Attributes>() {
            return attributes;
        }
        self.session.insert(Attributes::default());
        self.session.get().unwrap_or_default()
    }

    fn show<'py>(&self, py: Python<'py>, value: &(impl Show + ?Sized)) -> PyResult<Bound<'py, PyAny>> {
        value.show().show(py, self.bridge()?)
    }
}

/// `info`, `warning` or `error`
pub(crate) fn severity(name: &str) -> PyResult<Severity> {
    match name {
        "info" => Ok(Severity::Info),
        "warning" => Ok(Severity::Warning),
        "error" => Ok(Severity::Error),
        other => Err(PyValueError::new_err(format!("there is no severity `{other}`: info, warning, error"))),
    }
}

pub(crate) fn notice(title: &str, severity_name: &str, description: Option<String>) -> PyResult<Notice> {
    let mut notice = Notice::new(severity(severity_name)?, title);
    notice.description = description;
    Ok(notice)
}

#[pymethods]
impl PySession {
    /// Its id, unique across processes.
    #[getter]
    fn session_id(&self) -> &str {
        self.session.id()
    }

    /// Its id, unique across processes.
    #[getter]
    fn id(&self) -> &str {
        self.session.id()
    }

    /// Its working directory, absolute.
    #[getter]
    fn cwd(&self) -> String {
        self.session.cwd().to_string_lossy().into_owned()
    }

    /// The directories it works in.
    #[getter]
    fn roots(&self) -> Vec<String> {
        self.session.roots().iter().map(|root| root.to_string_lossy().into_owned()).collect()
    }

    /// How it came to be: new, loaded, resumed or forked.
    #[getter]
    fn origin(&self) -> &'static str {
        match self.session.origin() {
            Origin::New => "new",
            Origin::Loaded => "loaded",
            Origin::Resumed => "resumed",
            Origin::Forked => "forked",
            _ => "other",
        }
    }

    /// When it was made, in milliseconds since 1970.
    #[getter]
    fn created_at(&self) -> i64 {
        self.session.created_at()
    }

    /// The session it was forked from.
    #[getter]
    fn parent(&self) -> Option<&str> {
        self.session.parent()
    }

    /// The conversation: a list that is live, and grows at its end.
    #[getter]
    fn messages(&self) -> PyResult<Messages> {
        Ok(Messages { session: self.session.clone(), bridge: self.bridge()?.clone() })
    }

    /// The model, as `PROVIDER/MODEL`.
    #[getter]
    fn model(&self) -> Option<String> {
        self.session.model().map(|model| model.to_string())
    }

    /// The mode that is on.
    #[getter]
    fn mode(&self) -> Option<String> {
        self.session.mode()
    }

    /// The title.
    #[getter]
    fn title(&self) -> Option<String> {
        self.session.title()
    }

    /// The tokens of all its requests.
    #[getter]
    fn usage<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.show(py, &self.session.usage())
    }

    /// Tokens now in the context.
    #[getter]
    fn context_used(&self) -> u64 {
        self.session.context_used()
    }

    /// US dollars so far, if every price was known.
    #[getter]
    fn cost(&self) -> Option<f64> {
        self.session.cost()
    }

    /// The tools the model may call.
    #[getter]
    fn tools<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Plain::List(self.session.tools().into_iter().map(Plain::Tool).collect()).show(py, self.bridge()?)
    }

    /// The slash commands.
    #[getter]
    fn commands<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.show(py, &self.session.commands())
    }

    /// Puts a message in: text of a role (`system`, `user`, `assistant`).
    #[pyo3(signature = (role, content, owner=None))]
    fn add_message(&self, role: &str, content: &str, owner: Option<String>) -> PyResult<()> {
        let role = match role {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => return Err(PyValueError::new_err(format!("there is no role `{other}`: system, user, assistant"))),
        };
        let mut message = Message::new(role, vec![Part::text(content)]);
        message.owner = owner;
        self.session.push_message(message);
        Ok(())
    }

    /// Puts retrieved context at the end of the user's turn, fenced and named.
    #[pyo3(signature = (title, text, owner="python"))]
    fn inject(&self, title: &str, text: &str, owner: &str) {
        self.session.inject(owner, title, text);
    }

    /// Tells the user something that is not part of the conversation.
    #[pyo3(signature = (title, severity="info", description=None))]
    fn notify(&self, py: Python<'_>, title: &str, severity: &str, description: Option<String>) -> PyResult<()> {
        let notice = notice(title, severity, description)?;
        py.detach(|| self.session.notify(notice));
        Ok(())
    }

    /// Shows the user how far a running tool call is: its title, what there is to see so far.
    #[pyo3(signature = (call_id, *, title=None, text=None))]
    fn progress(&self, py: Python<'_>, call_id: &str, title: Option<String>, text: Option<String>) {
        py.detach(|| {
            if let Some(title) = title {
                self.session.tool_progress(call_id, ToolProgress::Title(title));
            }
            if let Some(text) = text {
                self.session.tool_progress(call_id, ToolProgress::Content(vec![ToolContent::text(text)]));
            }
        });
    }

    /// The value of an option, `model` and `mode` included.
    fn option(&self, id: &str) -> Option<String> {
        self.session.option(id)
    }

    /// Chooses the model.
    fn set_model<'py>(&self, py: Python<'py>, model: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let model = ModelId::read(Plain::read(model)?).map_err(|error| PyTypeError::new_err(error.to_string()))?;
        let session = self.session.clone();
        future::spawn(py, self.bridge()?, async move {
            session.set_model(&model).await?;
            Ok(Plain::NOTHING)
        })
    }

    /// Switches to a mode.
    fn set_mode<'py>(&self, py: Python<'py>, mode: String) -> PyResult<Bound<'py, PyAny>> {
        self.set_option(py, "mode".to_owned(), mode)
    }

    /// Chooses a value of an option.
    fn set_option<'py>(&self, py: Python<'py>, id: String, value: String) -> PyResult<Bound<'py, PyAny>> {
        let session = self.session.clone();
        future::spawn(py, self.bridge()?, async move {
            session.set_option(&id, &value).await?;
            Ok(Plain::NOTHING)
        })
    }

    /// Cancels the run under way and the prompts behind it.
    fn cancel(&self) {
        self.session.cancel();
    }

    /// What stores and lists know of it.
    fn summary<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.show(py, &self.session.summary())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().session == self.session)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        pyo3::types::PyString::new(py, self.session.id()).hash()
    }

    fn __repr__(&self) -> String {
        format!("<crow_acp.Session {}>", self.session.id())
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.attributes().get(py, self.bridge()?, Some(&self.session), "the session", name)
    }

    fn __setattr__(&self, py: Python<'_>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if name == "title" {
            let title: String = value.extract()?;
            py.detach(|| self.session.set_title(&title));
            return Ok(());
        }
        if belongs::<Self>(py, name)? {
            return Err(pyo3::exceptions::PyAttributeError::new_err(format!("a session's `{name}` cannot be set")));
        }
        self.attributes().set(Some(&self.session), name, value);
        Ok(())
    }

    fn __delattr__(&self, name: &str) -> PyResult<()> {
        if self.attributes().remove(Some(&self.session), name) {
            return Ok(());
        }
        Err(pyo3::exceptions::PyAttributeError::new_err(format!("the session has no attribute `{name}`")))
    }
}
