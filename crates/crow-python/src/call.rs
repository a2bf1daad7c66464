//! Calls of Python functions as hook impls and wrappers.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use crow_acp::Session;
use crow_acp::crow_hooks::{BoxError, BoxFuture, Chain, DynAnswer, DynCall, DynLeave, DynWrap, HookSpec, Lent};
use pyo3::exceptions::{PyBaseException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use tokio::sync::oneshot;
use tokio::task;

use crate::bridge::{Bridge, absent};
use crate::chain::{self, Key};
use crate::courier::{Courier, Job};
use crate::deltas::Port;
use crate::error::{exception, raised};
use crate::future::CallChain;
use crate::plain::{Given, Plain};
use crate::world::World;

/// How long a plain function of a hook that cannot wait may take.
const SYNC_PATIENCE: Duration = Duration::from_secs(10);

/// A method of a plugin, and what is known of it.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) function: Py<PyAny>,
    /// The arguments it takes, in its own order.
    pub(crate) names: Vec<String>,
    /// Distinguishes it from every other.
    pub(crate) id: u64,
}

/// An impl in Python.
#[derive(Debug, Clone)]
pub(crate) struct Impl(pub(crate) Arc<Method>);

/// A wrapper in Python: a generator.
#[derive(Debug, Clone)]
pub(crate) struct Wrapper(pub(crate) Arc<Method>);

type Outcome = Result<Plain, BoxError>;

/// Takes the result of a Python function, once.
#[pyclass(frozen)]
pub(crate) struct Done(Mutex<Option<Finish>>);

type Finish = Box<dyn FnOnce(Python<'_>, PyResult<Bound<'_, PyAny>>) + Send>;

impl Done {
    pub(crate) fn new(
        py: Python<'_>,
        finish: impl FnOnce(Python<'_>, PyResult<Bound<'_, PyAny>>) + Send + 'static,
    ) -> PyResult<Bound<'_, Self>> {
        Bound::new(py, Self(Mutex::new(Some(Box::new(finish)))))
    }
}

#[pymethods]
impl Done {
    fn __call__(&self, py: Python<'_>, result: Bound<'_, PyAny>, error: Option<Bound<'_, PyBaseException>>) {
        let finish = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(finish) = finish {
            finish(py, error.map_or(Ok(result), |error| Err(PyErr::from_value(error.into_any()))));
        }
    }
}

/// What Python was asked for, and the way to call it off.
#[derive(Debug, Default)]
struct Ticket {
    cancelled: AtomicBool,
    /// The asyncio task, if it became one.
    handle: Mutex<Option<Py<PyAny>>>,
}

impl Ticket {
    fn keep(&self, handle: Option<Py<PyAny>>) {
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    fn cancel(self: &Arc<Self>) {
        self.cancelled.store(true, Ordering::Relaxed);
        let ticket = self.clone();
        Courier::get().post(move |py| {
            let handle = ticket.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(handle) = handle
                && let Err(error) = handle.call_method0(py, "cancel")
            {
                tracing::error!("a Python task cannot be cancelled: {error}");
            }
        });
    }
}

/// The answer of Python, awaited. Dropped before it came, the task is cancelled.
pub(crate) struct Reply {
    bridge: Arc<Bridge>,
    /// What the loop is to do, until it is asked.
    start: Option<Job>,
    waits: bool,
    receiver: oneshot::Receiver<Outcome>,
    ticket: Arc<Ticket>,
    port: Option<Arc<Port>>,
    came: bool,
}

/// What finishes a [`Reply`].
pub(crate) type Answer = oneshot::Sender<Outcome>;

impl Reply {
    /// Has the loop `start` something that ends by finishing the answer: it gives what can be cancelled, if it waits.
    pub(crate) fn to(
        bridge: &Arc<Bridge>,
        port: Option<Arc<Port>>,
        start: impl FnOnce(Python<'_>, Answer) -> PyResult<Option<Py<PyAny>>> + Send + 'static,
    ) -> Self {
        let (answer, receiver) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let own = ticket.clone();
        let start = move |py: Python<'_>| {
            if own.cancelled.load(Ordering::Relaxed) {
                return;
            }
            match start(py, answer) {
                Ok(handle) => own.keep(handle),
                // The sender is gone with `start`, which the receiver understands.
                Err(error) => tracing::error!("Python could not be called: {error}"),
            }
        };
        let start: Option<Job> = Some(Box::new(start));
        Self { bridge: bridge.clone(), start, waits: false, receiver, ticket, port, came: false }
    }
}

impl Future for Reply {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Outcome> {
        if let Some(start) = self.start.take() {
            if !std::mem::replace(&mut self.waits, true) {
                // The impl's clock is made when it has had to wait: Python must not ask for it to stop before it is there.
                self.start = Some(start);
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            Courier::get().post(start);
        }
        let outcome = match Pin::new(&mut self.receiver).poll(task) {
            Poll::Ready(Ok(outcome)) => outcome,
            Poll::Ready(Err(_)) => Err("Python's event loop ended, or could not call it".into()),
            Poll::Pending => {
                if let Some(port) = &self.port
                    && port.listen(task.waker())
                {
                    task.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
        };
        self.came = true;
        Poll::Ready(outcome)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.came && self.start.is_none() {
            self.ticket.cancel();
            self.bridge.check();
        }
    }
}

/// The arguments of a call on their way to the loop.
#[derive(Clone)]
struct Arguments {
    hook: &'static HookSpec,
    task: Option<task::Id>,
    chain: Chain,
    lent: Lent<World>,
}

impl Arguments {
    fn of(hook: &'static HookSpec, lent: &Lent<World>) -> Self {
        Self { hook, task: task::try_id(), chain: Chain::current(), lent: lent.clone() }
    }

    fn chain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, CallChain>> {
        Bound::new(py, CallChain { chain: self.chain.clone(), task: self.task })
    }

    fn port(&self) -> Option<Arc<Port>> {
        self.lent.iter().find_map(|(_, given)| match &given.plain {
            Plain::Deltas(port) => Some(port.clone()),
            _ => None,
        })
    }

    fn session(&self) -> Option<&Session> {
        self.lent.iter().find_map(|(_, given)| match &given.plain {
            Plain::Session(session) => Some(session),
            _ => None,
        })
    }

    /// Makes Python objects of what `method` takes.
    fn objects(&self, py: Python<'_>, method: &Method) -> PyResult<Objects> {
        let mut objects = Objects { args: Vec::new(), edited: Vec::new(), hook: self.hook };
        for name in &method.names {
            let Some((name, given)) = self.lent.iter().find(|(lent, _)| lent == name) else {
                return Err(PyTypeError::new_err(format!("the hook has no argument `{name}`")));
            };
            let mutable =
                self.hook.args.iter().any(|arg| arg.name == *name && arg.ty.replace(' ', "").starts_with("&mut"));
            let object = if mutable {
                let key = Key { task: self.task, hook: self.hook.name, arg: name, place: given.place };
                let object = method.bridge.chains(|chains| chains.object(py, &method.bridge, key, method.id, given))?;
                objects.edited.push(Edited { key, given: given.clone(), object: object.clone().unbind() });
                object
            } else {
                given.plain.show(py, &method.bridge)?
            };
            objects.args.push(object.unbind());
        }
        Ok(objects)
    }
}

/// The arguments as Python has them.
struct Objects {
    args: Vec<Py<PyAny>>,
    edited: Vec<Edited>,
    hook: &'static HookSpec,
}

/// An argument that Python may edit.
struct Edited {
    key: Key,
    given: Arc<Given>,
    object: Py<PyAny>,
}

impl Objects {
    fn tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.args.iter().map(|arg| arg.bind(py)))
    }

    /// Takes over what Python did to the arguments.
    fn settle(&self, py: Python<'_>, bridge: &Bridge) -> PyResult<()> {
        for edited in &self.edited {
            let now = Plain::read(edited.object.bind(py)).map_err(|error| {
                let text = format!("`{}` holds {}", edited.key.arg, error.value(py));
                PyTypeError::new_err(text)
            })?;
            if now != edited.given.plain {
                bridge.chains(|chains| chains.left(edited.key, &now));
                edited.given.give_back(now);
            }
        }
        Ok(())
    }

    /// The value of an impl. The very object it was given is no value: it was edited in place.
    fn value(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<Plain> {
        if self.edited.iter().any(|edited| edited.object.bind(py).is(result)) || self.hook.output == "()" {
            return Ok(Plain::NOTHING);
        }
        Plain::read(result)
    }
}

impl DynCall<World> for Impl {
    fn call(&self, hook: &'static HookSpec, args: &Lent<World>) -> DynAnswer<World> {
        let bridge = &self.0.bridge;
        if Courier::get().is_stuck() {
            return DynAnswer::Ready(absent(hook).map(|()| Given::of(Plain::NOTHING)));
        }
        let args = Arguments::of(hook, args);
        if hook.sync {
            return DynAnswer::Ready(self.now(args).map(Given::of));
        }
        let (method, port) = (self.0.clone(), args.port());
        let reply = Reply::to(bridge, port, move |py, answer| start(py, &method, &args, answer));
        DynAnswer::Later(Box::pin(async move { reply.await.map(Given::of) }))
    }
}

impl Impl {
    /// Calls it and waits for it: nobody can await a hook that is a plain function.
    fn now(&self, args: Arguments) -> Outcome {
        let method = self.0.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut answer = Some(sender);
        let run = move |py: Python<'_>| {
            let (answered, outcome) = oneshot::channel();
            let mut outcome: oneshot::Receiver<Outcome> = outcome;
            if let Err(error) = start(py, &method, &args, answered) {
                tracing::error!("Python could not be called: {error}");
            }
            if let (Some(answer), Ok(outcome)) = (answer.take(), outcome.try_recv()) {
                // Nobody waits any more if it took too long.
                let _ = answer.send(outcome);
            }
        };
        let waiting = || {
            receiver.recv_timeout(SYNC_PATIENCE).unwrap_or_else(|_| {
                self.0.bridge.check();
                Err("it did not answer in time, and nobody can wait for it any longer".into())
            })
        };
        if Courier::get().is_here() {
            Python::attach(run);
            return waiting();
        }
        Courier::get().post(run);
        match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(tokio::runtime::RuntimeFlavor::MultiThread) => task::block_in_place(waiting),
            _ => waiting(),
        }
    }
}

/// Calls a method on the loop's thread.
fn start(py: Python<'_>, method: &Arc<Method>, args: &Arguments, answer: Answer) -> PyResult<Option<Py<PyAny>>> {
    let objects = match args.objects(py, method) {
        Ok(objects) => objects,
        Err(error) => {
            // Nobody waits any more if the call was dropped; the same below.
            let _ = answer.send(Err(raised(py, error)));
            return Ok(None);
        }
    };
    let tuple = objects.tuple(py)?;
    let owner = method.clone();
    let done = Done::new(py, move |py, result| {
        let outcome = result.and_then(|result| {
            objects.settle(py, &owner.bridge)?;
            objects.value(py, &result)
        });
        let outcome = outcome.map_err(|error| {
            // What was edited before it failed counts.
            let _ = objects.settle(py, &owner.bridge);
            raised(py, error)
        });
        let _ = answer.send(outcome);
    })?;
    let session = args.session().map(Session::id);
    let runtime = py.import("crow_acp._runtime")?;
    let handle = runtime.call_method1("call", (method.function.bind(py), tuple, session, args.chain(py)?, done))?;
    Ok((!handle.is_none()).then(|| handle.unbind()))
}

impl DynWrap<World> for Wrapper {
    fn enter(
        &self,
        hook: &'static HookSpec,
        args: &Lent<World>,
    ) -> BoxFuture<'static, Result<Box<dyn DynLeave<World>>, BoxError>> {
        let bridge = &self.0.bridge;
        if Courier::get().is_stuck() {
            let absent = absent(hook).map(|()| Box::new(Away) as Box<dyn DynLeave<World>>);
            return Box::pin(async move { absent });
        }
        let (method, args) = (self.0.clone(), Arguments::of(hook, args));
        let entered: Arc<Mutex<Option<Entered>>> = Arc::default();
        let place = entered.clone();
        let reply = Reply::to(bridge, None, move |py, answer| {
            let objects = args.objects(py, &method)?;
            let runtime = py.import("crow_acp._runtime")?;
            let session = args.session().map(Session::id);
            let function = method.function.bind(py);
            let wrapper = runtime.call_method1("Wrapper", (function, objects.tuple(py)?, session, args.chain(py)?))?;
            let object = wrapper.clone().unbind();
            let done = Done::new(py, move |py, result| {
                let outcome = result.and_then(|_| objects.settle(py, &method.bridge));
                let outcome = outcome.map(|()| Plain::NOTHING).map_err(|error| raised(py, error));
                let entered = Entered { method, wrapper: Some(Arc::new(object)), objects: Some(objects) };
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(entered);
                let _ = answer.send(outcome);
            })?;
            let handle = wrapper.call_method1("enter", (done,))?;
            Ok((!handle.is_none()).then(|| handle.unbind()))
        });
        Box::pin(async move {
            reply.await?;
            let entered = entered.lock().unwrap_or_else(PoisonError::into_inner).take();
            let entered = entered.ok_or("Python's event loop ended")?;
            Ok(Box::new(entered) as Box<dyn DynLeave<World>>)
        })
    }
}

/// A wrapper that is not there: plugins in Python are suspended.
struct Away;

impl DynLeave<World> for Away {
    fn leave(
        self: Box<Self>,
        inner: Result<crate::world::Value, BoxError>,
        _: &Lent<World>,
    ) -> BoxFuture<'static, Result<crate::world::Value, BoxError>> {
        Box::pin(async move { inner })
    }
}

/// A generator at its `yield`.
struct Entered {
    method: Arc<Method>,
    wrapper: Option<Arc<Py<PyAny>>>,
    objects: Option<Objects>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(wrapper) = self.wrapper.take() {
            Courier::get().post(move |py| {
                if let Err(error) = wrapper.call_method0(py, "close") {
                    tracing::error!("a Python wrapper cannot be closed: {error}");
                }
            });
        }
    }
}

impl DynLeave<World> for Entered {
    fn leave(
        mut self: Box<Self>,
        inner: Result<crate::world::Value, BoxError>,
        args: &Lent<World>,
    ) -> BoxFuture<'static, Result<crate::world::Value, BoxError>> {
        let (Some(wrapper), Some(mut objects)) = (self.wrapper.take(), self.objects.take()) else {
            return Box::pin(async move { inner });
        };
        let (method, lent) = (self.method.clone(), args.clone());
        let bridge = method.bridge.clone();
        let original: Arc<Mutex<Option<BoxError>>> = Arc::default();
        let kept = original.clone();
        let reply = Reply::to(&bridge, None, move |py, answer| {
            // The generator sees what the impls made of the arguments.
            for edited in &mut objects.edited {
                if let Some((_, given)) = lent.iter().find(|(name, _)| *name == edited.key.arg) {
                    let object = edited.object.bind(py);
                    let holds = Plain::read(object)?;
                    if holds != given.plain && given.place == edited.key.place {
                        chain::refill(py, &method.bridge, object, &holds, &given.plain)?;
                        method.bridge.chains(|chains| chains.left(edited.key, &given.plain));
                    }
                    edited.given = given.clone();
                }
            }
            let hook = objects.hook;
            let (result, thrown) = match inner {
                // As pluggy has it: the result of a hook whose impls give nothing is an empty list.
                Ok(_) if hook.output == "()" => (PyList::empty(py).into_any(), None),
                Ok(value) => (value.plain.show(py, &method.bridge)?, None),
                Err(error) => {
                    let exception = exception(py, &*error).into_value(py);
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    (py.None().into_bound(py), Some(exception))
                }
            };
            let passed = thrown.as_ref().map(|thrown| thrown.clone_ref(py));
            let done = Done::new(py, move |py, result| {
                let outcome = match result {
                    Ok(result) => objects.settle(py, &method.bridge).and_then(|()| match hook.output {
                        "()" => Ok(Plain::NOTHING),
                        _ => Plain::read(&result),
                    }),
                    Err(error) => Err(error),
                };
                let outcome = outcome.map_err(|error| {
                    let _ = objects.settle(py, &method.bridge);
                    // What came from inside goes on as it came.
                    let same = passed.as_ref().is_some_and(|passed| passed.bind(py).is(error.value(py)));
                    let before = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
                    before.filter(|_| same).unwrap_or_else(|| raised(py, error))
                });
                let _ = answer.send(outcome);
            })?;
            let handle = wrapper.call_method1(py, "leave", (result, thrown, done))?;
            Ok((!handle.is_none(py)).then_some(handle))
        });
        drop(original);
        Box::pin(async move { reply.await.map(Given::of) })
    }
}
