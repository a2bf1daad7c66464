//! What plugins in Python offer: tools, commands, providers, with the functions behind them.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crow_acp::{
    Agent, BoxFuture, Command, CommandCall, CommandError, CommandHandler, CommandReply, Completion, Deltas, Model,
    ModelId, Provider, ProviderDescriptor, ProviderError, ProviderErrorKind, Request, Session, ToolCall, ToolContext,
    ToolDescriptor, ToolError, ToolHandler, ToolKind, ToolOutcome, ToolPreview,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use serde_json::{Value as Json, json};

use crate::bridge::{Bridge, bridge_of};
use crate::call::{Done, Reply};
use crate::deltas::Port;
use crate::error::raised;
use crate::plain::Plain;
use crate::shape::{Fields, Read, Show, parse};

fn type_error(error: impl std::fmt::Display) -> PyErr {
    PyTypeError::new_err(error.to_string())
}

/// Calls a function on the loop's thread; an awaitable is awaited.
fn ask(
    bridge: &Arc<Bridge>,
    function: &Arc<Py<PyAny>>,
    session: Option<&Session>,
    port: Option<Arc<Port>>,
    args: Vec<Plain>,
) -> Reply {
    let (function, owner) = (function.clone(), bridge.clone());
    let session = session.map(|session| session.id().to_owned());
    let (chain, task) = (crow_acp::crow_hooks::Chain::current(), tokio::task::try_id());
    Reply::to(bridge, port, move |py, answer| {
        let args = args.iter().map(|arg| arg.show(py, &owner)).collect::<PyResult<Vec<_>>>()?;
        let done = Done::new(py, move |py, result| {
            let outcome = result.and_then(|result| Plain::read(&result)).map_err(|error| raised(py, error));
            // Nobody waits any more if the call was dropped.
            let _ = answer.send(outcome);
        })?;
        let runtime = py.import("crow_acp._runtime")?;
        let chain = Bound::new(py, crate::future::CallChain { chain, task })?;
        let args = PyTuple::new(py, args)?;
        let handle = runtime.call_method1("call", (function.bind(py), args, session, chain, done))?;
        Ok((!handle.is_none()).then(|| handle.unbind()))
    })
}

/// A tool: a function, with what the model is told of it.
#[pyclass(frozen, name = "Tool", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct PyTool(pub(crate) Arc<ToolDescriptor>);

#[pymethods]
impl PyTool {
    #[new]
    #[pyo3(signature = (name, description, input_schema, function, kind="other", read_only=false))]
    fn new(
        name: String,
        description: String,
        input_schema: &Bound<'_, PyAny>,
        function: Py<PyAny>,
        kind: &str,
        read_only: bool,
    ) -> PyResult<Self> {
        let schema = Plain::read(input_schema)?.json().map_err(type_error)?;
        let known = |kind: &str| serde_json::from_value::<ToolKind>(kind.into()).ok();
        let kind = known(kind).ok_or_else(|| PyValueError::new_err(format!("there is no kind of tool `{kind}`")))?;
        let mut tool = ToolDescriptor::new(name, description, schema, Function(Arc::new(function))).kind(kind);
        tool.read_only = read_only;
        Ok(Self(Arc::new(tool)))
    }

    /// What the model calls it.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// What it does, for the model.
    #[getter]
    fn description(&self) -> &str {
        &self.0.description
    }

    /// JSON Schema of the arguments.
    #[getter]
    fn input_schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let json = py.import("json")?;
        json.call_method1("loads", (self.0.input_schema.to_string(),))
    }

    /// What it does, for the editor.
    #[getter]
    fn kind(&self) -> String {
        serde_json::to_value(self.0.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Whether it changes nothing.
    #[getter]
    fn read_only(&self) -> bool {
        self.0.read_only
    }

    fn __repr__(&self) -> String {
        format!("<crow_acp.Tool {}>", self.0.name)
    }
}

/// A Python function behind something that was registered.
struct Function(Arc<Py<PyAny>>);

fn call_of(cx: &ToolContext) -> [Plain; 3] {
    [Plain::Agent, Plain::Session(cx.session.clone()), cx.call_id.as_str().into()]
}

impl ToolHandler for Function {
    fn preview<'a>(&'a self, _: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        // `get_weather(city="Bern")`, as short as a line.
        let arguments = call.arguments.as_object().into_iter().flatten();
        let mut shown: Vec<String> = arguments.map(|(name, value)| format!("{name}={value}")).collect();
        for text in &mut shown {
            if let Some((end, _)) = text.char_indices().nth(60) {
                text.truncate(end);
                text.push('…');
            }
        }
        let title = format!("{}({})", call.name, shown.join(", "));
        Box::pin(async move { ToolPreview::new(title) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async move {
            let bridge = bridge_of(&cx.agent).ok_or_else(|| ToolError::new("Python has gone down"))?;
            let mut args = vec![Plain::Json(call.arguments.clone())];
            args.extend(call_of(cx));
            let answer = ask(&bridge, &self.0, Some(&cx.session), None, args).await;
            let answer = answer.map_err(|error| ToolError::new(error.to_string()))?;
            Ok(match answer {
                Plain::Json(Json::Null) => ToolOutcome::ok("done"),
                Plain::Json(Json::String(text)) => ToolOutcome::ok(text),
                // A dict with `text` says what it is; anything else is data for the model.
                Plain::Json(Json::Object(entries)) if entries.contains_key("text") => {
                    ToolOutcome::read(Json::Object(entries).into())
                        .map_err(|error| ToolError::new(error.to_string()))?
                }
                other => ToolOutcome::ok(other.json().map_err(ToolError::new)?.to_string()),
            })
        })
    }
}

/// A slash command: a function, with what the user is told of it.
#[pyclass(frozen, name = "Command", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct PyCommand(pub(crate) Command);

#[pymethods]
impl PyCommand {
    #[new]
    #[pyo3(signature = (name, description, function, hint=None))]
    fn new(name: String, description: String, function: Py<PyAny>, hint: Option<String>) -> Self {
        let mut command = Command::new(name, description, Function(Arc::new(function)));
        command.hint = hint;
        Self(command)
    }

    /// Without the slash.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// One line.
    #[getter]
    fn description(&self) -> &str {
        &self.0.description
    }

    /// What to type behind it.
    #[getter]
    fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("<crow_acp.Command /{}>", self.0.name)
    }
}

impl CommandHandler for Function {
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let bridge = bridge_of(agent).ok_or_else(|| CommandError("Python has gone down".into()))?;
            let args = vec![call.arguments.as_str().into(), Plain::Agent, Plain::Session(session.clone()), call.show()];
            let answer = ask(&bridge, &self.0, Some(session), None, args).await;
            let answer = answer.map_err(|error| CommandError(error.to_string()))?;
            if answer.is_nothing() {
                return Ok(CommandReply::Text(String::new()));
            }
            CommandReply::read(answer).map_err(|error| CommandError(error.to_string()))
        })
    }
}

/// A provider: a function that streams answers, and its models.
#[pyclass(frozen, name = "Provider", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct PyProvider(pub(crate) ProviderDescriptor);

#[pymethods]
impl PyProvider {
    #[new]
    fn new(name: String, models: &Bound<'_, PyAny>, function: Py<PyAny>) -> PyResult<Self> {
        let list = Plain::read(models)?.items().ok_or_else(|| type_error("the models are a list"))?;
        let models = list.into_iter().map(|model| read_model(&name, model)).collect::<PyResult<Vec<_>>>()?;
        Ok(Self(ProviderDescriptor::new(name, models, Function(Arc::new(function)))))
    }

    /// The name before the slash in `PROVIDER/MODEL`.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Its models, as `PROVIDER/MODEL`.
    #[getter]
    fn models(&self) -> Vec<String> {
        self.0.models.iter().map(|model| model.id.to_string()).collect()
    }

    fn __repr__(&self) -> String {
        format!("<crow_acp.Provider {}>", self.0.name)
    }
}

/// A model's own name, or a dict with `name` and what else is known of it.
fn read_model(provider: &str, plain: Plain) -> PyResult<Model> {
    if let Plain::Json(Json::String(name)) = plain {
        return Ok(Model::new(ModelId::new(provider, name.strip_prefix(&format!("{provider}/")).unwrap_or(&name))));
    }
    let mut fields = Fields::of("a model: its name, or a dict with `name`", plain).map_err(type_error)?;
    let name = fields.text("name").map_err(type_error)?;
    let mut whole = json!({ "id": format!("{provider}/{name}"), "images": false, "reasoning": false });
    for key in ["context_window", "max_output", "images", "reasoning", "price"] {
        if let Some(value) = fields.maybe::<Json>(key).map_err(type_error)? {
            whole[key] = value;
        }
    }
    parse("a model", whole.into()).map_err(type_error)
}

impl Provider for Function {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(async move {
            let failed = |text: String| ProviderError::new(ProviderErrorKind::Protocol, text);
            let bridge = crate::bridge::any().ok_or_else(|| failed("Python has gone down".into()))?;
            let port = Port::open();
            let session = bridge.agent().and_then(|agent| agent.session(&request.session_id));
            let args = vec![request.show(), Plain::Deltas(port.clone())];
            let mut reply = ask(&bridge, &self.0, session.as_ref(), Some(port.clone()), args);
            let ended = loop {
                for delta in port.drain() {
                    deltas.push(delta).await.map_err(|refused| failed(refused.to_string()))?;
                }
                let ended = poll_fn(|task| match Pin::new(&mut reply).poll(task) {
                    Poll::Ready(ended) => Poll::Ready(Some(ended)),
                    Poll::Pending if port.listen(task.waker()) => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                });
                if let Some(ended) = ended.await {
                    break ended;
                }
            };
            for delta in port.drain() {
                deltas.push(delta).await.map_err(|refused| failed(refused.to_string()))?;
            }
            let ended = ended.map_err(|error| failed(error.to_string()))?;
            let mut fields = Fields::of("how an answer ended", ended).map_err(|error| failed(error.to_string()))?;
            if let Some(error) = fields.take("error") {
                return Err(provider_error(error));
            }
            let finish = fields.maybe("finish").map_err(|error| failed(error.to_string()))?;
            let usage = fields.maybe("usage").map_err(|error| failed(error.to_string()))?;
            Ok(Completion::new(finish.unwrap_or(crow_acp::Finish::Stop), usage))
        })
    }
}

/// What `crow_acp.ProviderError` says.
fn provider_error(error: Plain) -> ProviderError {
    let error = error.json().unwrap_or_default();
    let kind = serde_json::from_value(error["kind"].clone()).unwrap_or(ProviderErrorKind::Protocol);
    let after = error["retry_after"].as_f64().and_then(|after| std::time::Duration::try_from_secs_f64(after).ok());
    ProviderError::new(kind, error["message"].as_str().unwrap_or("the provider failed")).with_retry_after(after)
}
