//! `agent.hook`: the hooks, to be called from Python.

use std::sync::Arc;

use crow_acp::crow_hooks::{BoxError, Contract};
use crow_acp::{Agent, CrowHooks, Message, Sections, Session, SubagentSpec, ToolCall, ToolOutcome, Usage};
use pyo3::exceptions::{PyAttributeError, PyNotImplementedError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use serde_json::Value as Json;

use crate::bridge::Bridge;
use crate::chain::refill;
use crate::future;
use crate::plain::Plain;
use crate::shape::{Edit, Fields, Misfit, Read, Show};

/// The hooks, by name.
#[pyclass(frozen, name = "HookRelay", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct Relay(pub(crate) Arc<Bridge>);

#[pymethods]
impl Relay {
    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        if let Some(spec) = <dyn CrowHooks as Contract>::SPECS.iter().find(|spec| spec.name == name) {
            let caller = HookCaller { bridge: self.0.clone(), name: spec.name };
            return Ok(Bound::new(py, caller)?.into_any());
        }
        let own = py.import("crow_acp._contracts")?.call_method1("caller", (name,))?;
        if own.is_none() {
            return Err(PyAttributeError::new_err(format!("there is no hook `{name}`")));
        }
        Ok(own)
    }

    fn __dir__(&self) -> Vec<&'static str> {
        <dyn CrowHooks as Contract>::SPECS.iter().map(|spec| spec.name).collect()
    }
}

/// A hook, to be called with its arguments by name, and awaited.
#[pyclass(frozen, name = "HookCaller", module = "crow_acp")]
#[derive(Debug)]
pub(crate) struct HookCaller {
    bridge: Arc<Bridge>,
    name: &'static str,
}

#[pymethods]
impl HookCaller {
    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.name
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !args.is_empty() {
            let text = format!("a hook takes its arguments by name: {}(session=session, …)", self.name);
            return Err(PyTypeError::new_err(text));
        }
        let not_yet = || PyRuntimeError::new_err("the agent does not run yet");
        let agent = self.bridge.agent().ok_or_else(not_yet)?.clone();
        let kwargs = kwargs.cloned().unwrap_or_else(|| PyDict::new(py));
        let plain = Plain::read(kwargs.as_any())?;
        let args = Fields::of("arguments by name", plain).map_err(|error| PyTypeError::new_err(error.to_string()))?;
        let call =
            call(self.name, agent, args).map_err(|error| PyTypeError::new_err(format!("{}: {error}", self.name)))?;
        let Some(call) = call else {
            let text = format!("`{}` is called by the agent only", self.name);
            return Err(PyNotImplementedError::new_err(text));
        };
        let (bridge, edited) = (self.bridge.clone(), kwargs.unbind());
        future::spawn(py, &self.bridge, async move {
            let called = call.await?;
            let Some((name, plain)) = called.edited else { return Ok(called.result) };
            // What was edited is seen in the very object that was passed.
            future::visit(move |py| {
                let Some(object) = edited.bind(py).get_item(name)? else { return Ok(()) };
                let holds = Plain::read(&object)?;
                refill(py, &bridge, &object, &holds, &plain)
            })
            .await;
            Ok(called.result)
        })
    }

    fn __repr__(&self) -> String {
        format!("<crow_acp.HookCaller {}>", self.name)
    }
}

/// What a call gave.
struct Called {
    result: Plain,
    /// The argument that impls may have edited.
    edited: Option<(&'static str, Plain)>,
}

type Calling = std::pin::Pin<Box<dyn Future<Output = Result<Called, BoxError>> + Send>>;

fn given(result: impl Into<Plain>) -> Called {
    Called { result: result.into(), edited: None }
}

fn session(args: &mut Fields) -> Result<Session, Misfit> {
    match args.need("session")? {
        Plain::Session(session) => Ok(session),
        _ => Err(Misfit::new("expected a session as `session`")),
    }
}

fn edit<T: Edit>(mut start: T, plain: Plain) -> Result<T, Misfit> {
    start.edit(plain)?;
    Ok(start)
}

/// Prepares the call of a hook. `None`: only the agent calls it.
fn call(name: &str, agent: Agent, mut args: Fields) -> Result<Option<Calling>, Misfit> {
    macro_rules! hook {
        // Arguments that are only looked at.
        ($hook:ident ( $($arg:ident : $ty:ty),* ) $($session:ident)?) => {{
            $( let $session = session(&mut args)?; )?
            $( let $arg: $ty = Read::read(args.need(stringify!($arg))?)?; )*
            let calling: Calling = Box::pin(async move {
                let result = agent.hooks().$hook(&agent, $( &$session, )? $( &$arg ),*).await?;
                Ok(given(result.show()))
            });
            Some(calling)
        }};
        // One that impls may edit, the last.
        ($hook:ident ( $($arg:ident : $ty:ty),* ) $($session:ident)? edits $edited:ident = $start:expr) => {{
            $( let $session = session(&mut args)?; )?
            $( let $arg: $ty = Read::read(args.need(stringify!($arg))?)?; )*
            let mut $edited = edit($start, args.need(stringify!($edited))?)?;
            let calling: Calling = Box::pin(async move {
                let result = agent.hooks().$hook(&agent, $( &$session, )? $( &$arg, )* &mut $edited).await?;
                Ok(Called { result: result.show(), edited: Some((stringify!($edited), $edited.show())) })
            });
            Some(calling)
        }};
    }
    Ok(match name {
        "on_startup" => hook!(on_startup()),
        "on_shutdown" => hook!(on_shutdown()),
        "register_providers" => hook!(register_providers()),
        "register_tools" => hook!(register_tools() session),
        "register_commands" => hook!(register_commands() session),
        "register_modes" => hook!(register_modes() session),
        "register_config_options" => hook!(register_config_options() session),
        "on_session_start" => hook!(on_session_start() session),
        "load_session" => hook!(load_session(session_id: String)),
        "delete_session" => hook!(delete_session(session_id: String)),
        "record_event" => hook!(record_event(event: crow_acp::Event) session),
        "before_prompt" => hook!(before_prompt() session edits prompt = Message::user("")),
        "before_run" => hook!(before_run(user_input: String) session),
        "embed" => hook!(embed(texts: Vec<String>)),
        "system_prompt" => hook!(system_prompt() session edits sections = Sections::default()),
        "before_llm_request" => hook!(before_llm_request() session edits messages = Vec::<Message>::new()),
        "before_tool_call" => hook!(before_tool_call() session edits call = ToolCall::new("", "", Json::Null)),
        "request_permission" => hook!(request_permission(call: ToolCall) session),
        "guard_tool_call" => hook!(guard_tool_call(call: ToolCall) session),
        "call_tool" => hook!(call_tool() session edits call = ToolCall::new("", "", Json::Null)),
        "after_tool_call" => hook!(after_tool_call(call: ToolCall) session edits outcome = ToolOutcome::ok("")),
        "after_turn" => hook!(after_turn(usage: Usage) session),
        "before_stop" => hook!(before_stop(reason: crow_acp::StopReason) session),
        "on_cancel" => hook!(on_cancel() session),
        "before_subagent" => hook!(before_subagent() session edits spec = SubagentSpec::new(Message::user(""))),
        "ext_method" => hook!(ext_method(method: String, params: Json)),
        _ => None,
    })
}

impl Show for () {
    fn show(&self) -> Plain {
        Json::Array(Vec::new()).into()
    }
}

impl Edit for Vec<Message> {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit> {
        *self = Read::read(plain)?;
        Ok(())
    }
}
