//! Between one agent and its plugins in Python.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crow_acp::crow_hooks::{BoxError, Budget, DynImpl, DynPlugin, HookSpec, PluginInfo, Tier};
use crow_acp::{Agent, CrowHooks, Notice, PluginManager, Session, Severity};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyWeakrefReference};

use crate::call::{Impl, Method, Wrapper};
use crate::chain::Chains;
use crate::courier::Courier;
use crate::error::register_error;
use crate::objects::agent::AcpAgent;
use crate::objects::session::PySession;
use crate::world::World;

/// Hooks that may refuse: without its answer nothing goes on.
const GATES: [&str; 9] = [
    "before_prompt",
    "before_run",
    "before_llm_request",
    "guard_request",
    "before_tool_call",
    "request_permission",
    "guard_tool_call",
    "on_stream_delta",
    "on_option_change",
];

/// How an agent's handlers in Python find their bridge.
struct Way(Weak<Bridge>);

/// The bridge that was made last: providers do not know their agent.
static LAST: Mutex<Weak<Bridge>> = Mutex::new(Weak::new());

/// Remembers the bridge for [`any`].
pub(crate) fn remember(bridge: &Arc<Bridge>) {
    *lock(&LAST) = Arc::downgrade(bridge);
}

/// The bridge that was made last.
pub(crate) fn any() -> Option<Arc<Bridge>> {
    lock(&LAST).upgrade()
}

/// The bridge of an agent.
pub(crate) fn bridge_of(agent: &Agent) -> Option<Arc<Bridge>> {
    agent.get::<Way>()?.0.upgrade()
}

/// What a call of `hook` comes to while plugins are suspended: those that may refuse fail, the others are left out.
pub(crate) fn absent(hook: &'static HookSpec) -> Result<(), BoxError> {
    if GATES.contains(&hook.name) {
        return Err("plugins in Python are suspended because one of them blocks, and this one may refuse".into());
    }
    Ok(())
}

/// What one agent's plugins in Python share.
#[derive(Debug)]
pub(crate) struct Bridge {
    me: Weak<Bridge>,
    /// The agent's plugins, those in Rust included.
    pub(crate) plugins: PluginManager,
    /// The impls of `on_stream_delta` in Python, which get their fragments in batches.
    pub(crate) listeners: PluginManager,
    agent: OnceLock<Agent>,
    object: Mutex<Option<Py<AcpAgent>>>,
    sessions: Mutex<HashMap<String, Py<PyWeakrefReference>>>,
    chains: Mutex<Chains>,
    /// The plugins in Python, by name.
    registered: Mutex<Vec<(String, Py<PyAny>)>>,
    /// What the user is to be told when there is a session to tell it in.
    troubles: Mutex<Vec<String>>,
    ids: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bridge {
    pub(crate) fn new(plugins: PluginManager) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            plugins,
            listeners: PluginManager::new(),
            agent: OnceLock::new(),
            object: Mutex::new(None),
            sessions: Mutex::default(),
            chains: Mutex::default(),
            registered: Mutex::default(),
            troubles: Mutex::default(),
            ids: AtomicU64::new(0),
        })
    }

    fn shared(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// The agent runs.
    pub(crate) fn meet(&self, agent: &Agent) {
        if self.agent.get().is_none() && self.agent.set(agent.clone()).is_ok() {
            agent.insert(Way(self.me.clone()));
            Courier::get().remember_runtime();
        }
    }

    /// Tells the user of impls whose hook does not exist.
    pub(crate) fn check_hooks(&self) {
        if let Err(error) = self.plugins.check_pending() {
            self.trouble(error.to_string());
        }
    }

    /// Whether a plugin in Python has that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        lock(&self.registered).iter().any(|(known, _)| known == name)
    }

    /// The agent, once it runs.
    pub(crate) fn agent(&self) -> Option<&Agent> {
        self.agent.get()
    }

    /// The agent as plugins see it: the same object every time.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, AcpAgent>> {
        if let Some(object) = &*lock(&self.object) {
            return Ok(object.bind(py).clone());
        }
        let shared = self.shared().ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("the agent is gone"))?;
        let object = Bound::new(py, AcpAgent::of(shared))?;
        self.adopt(&object);
        Ok(object)
    }

    /// The agent that a program in Python made.
    pub(crate) fn adopt(&self, object: &Bound<'_, AcpAgent>) {
        lock(&self.object).get_or_insert_with(|| object.clone().unbind());
    }

    /// A session as plugins see it: the same object for as long as somebody has it.
    pub(crate) fn session<'py>(&self, py: Python<'py>, session: &Session) -> PyResult<Bound<'py, PySession>> {
        let known = lock(&self.sessions).get(session.id()).map(|known| known.clone_ref(py));
        if let Some(known) = known.and_then(|known| known.bind(py).upgrade())
            && let Ok(known) = known.cast_into::<PySession>()
            && known.get().session == *session
        {
            return Ok(known);
        }
        let object = Bound::new(py, PySession { session: session.clone(), bridge: self.shared() })?;
        let weak = PyWeakrefReference::new(&object)?.unbind();
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, known| known.bind(py).upgrade().is_some());
        sessions.insert(session.id().to_owned(), weak);
        Ok(object)
    }

    pub(crate) fn chains<T>(&self, look: impl FnOnce(&mut Chains) -> T) -> T {
        look(&mut lock(&self.chains))
    }

    /// Tells the user of something that is wrong, in every session from now on.
    pub(crate) fn trouble(&self, text: String) {
        tracing::warn!("{text}");
        if let Some(agent) = self.agent() {
            agent.notify(Notice::new(Severity::Warning, text.clone()));
        }
        lock(&self.troubles).push(text);
    }

    /// What is wrong.
    pub(crate) fn troubles(&self) -> Vec<String> {
        lock(&self.troubles).clone()
    }

    /// Looks whether the plugins still answer, and tells the user if not.
    pub(crate) fn check(&self) {
        let (stuck, well) = (self.me.clone(), self.me.clone());
        Courier::get().check(
            move || {
                if let Some(bridge) = stuck.upgrade() {
                    bridge.say("plugins in Python are suspended: one of them blocks the thread that they all share");
                }
            },
            move || {
                if let Some(bridge) = well.upgrade() {
                    bridge.say("plugins in Python are back");
                }
            },
        );
    }

    fn say(&self, text: &str) {
        tracing::warn!("{text}");
        if let Some(agent) = self.agent() {
            agent.notify(Notice::new(Severity::Warning, text));
        }
    }

    /// Registers a plugin in Python under `name`. `None`: the name is blocked.
    ///
    /// # Errors
    /// It is no plugin, or the manager refuses it.
    pub(crate) fn register(&self, plugin: &Bound<'_, PyAny>, name: Option<String>) -> PyResult<Option<String>> {
        let py = plugin.py();
        let shared = self.shared().ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("the agent is gone"))?;
        let described = py.import("crow_acp._plugins")?.call_method1("describe", (plugin, name))?;
        let described: Bound<'_, PyDict> = described.extract()?;
        let text = |key: &str| -> PyResult<String> { need(&described, key)?.extract() };
        let name = text("name")?;
        let (mut impls, mut listening) = (Vec::new(), Vec::new());
        for imp in need(&described, "impls")?.try_iter()? {
            let imp: Bound<'_, PyDict> = imp?.extract()?;
            let hook: String = need(&imp, "hook")?.extract()?;
            let list = if hook == "on_stream_delta" { &mut listening } else { &mut impls };
            list.push(self.method(&shared, &imp)?);
        }
        let mut info = PluginInfo::new(name.as_str(), <dyn CrowHooks as crow_acp::crow_hooks::Contract>::API);
        info.origin = text("origin")?.into();
        info.version = need(&described, "version")?.extract::<Option<String>>()?.map(Into::into);
        self.give_way(&name);
        let plugin_impls = DynPlugin { info: info.clone(), context: shared.clone(), impls };
        let registered = self.plugins.add_dyn::<World>(plugin_impls).map_err(|error| register_error(&error))?;
        if registered.is_none() {
            return Ok(None);
        }
        if !listening.is_empty() {
            let listener = DynPlugin { info, context: shared, impls: listening };
            let added = self.listeners.add_dyn::<World>(listener);
            if let Err(error) = added {
                self.plugins.unregister(&name);
                return Err(register_error(&error));
            }
        }
        lock(&self.registered).push((name.clone(), plugin.clone().unbind()));
        self.refresh();
        Ok(Some(name))
    }

    /// A built-in plugin makes room for one of its name.
    pub(crate) fn give_way(&self, name: &str) {
        let python = lock(&self.registered).iter().any(|(known, _)| known == name);
        if !python && crow::built_in_names().contains(&name) {
            self.plugins.unregister(name);
        }
    }

    /// Keeps the object of a plugin that was registered in some other way.
    pub(crate) fn keep(&self, name: &str, plugin: &Bound<'_, PyAny>) {
        lock(&self.registered).push((name.to_owned(), plugin.clone().unbind()));
        self.refresh();
    }

    /// Lets go of the plugin called `name`.
    pub(crate) fn unregister(&self, py: Python<'_>, name: &str) -> Option<Py<PyAny>> {
        self.plugins.unregister(name);
        self.listeners.unregister(name);
        let mut registered = lock(&self.registered);
        let at = registered.iter().position(|(known, _)| known == name)?;
        let (_, plugin) = registered.remove(at);
        drop(registered);
        let forgotten = py.import("crow_acp._contracts").and_then(|own| own.call_method1("forget", (name,)));
        if let Err(error) = forgotten {
            tracing::error!("hooks of plugins' own: {error}");
        }
        self.refresh();
        Some(plugin.clone_ref(py))
    }

    /// The plugins in Python, by name.
    pub(crate) fn registered(&self, py: Python<'_>) -> Vec<(String, Py<PyAny>)> {
        lock(&self.registered).iter().map(|(name, plugin)| (name.clone(), plugin.clone_ref(py))).collect()
    }

    /// Asks for tools, commands and providers again, once there is an agent that has asked.
    fn refresh(&self) {
        let Some(agent) = self.agent().cloned() else { return };
        if agent.sessions().is_empty() {
            return;
        }
        if let Ok(runtime) = crate::courier::runtime() {
            runtime.spawn(async move { agent.refresh().await });
        }
    }

    fn method(&self, shared: &Arc<Self>, imp: &Bound<'_, PyDict>) -> PyResult<DynImpl<World>> {
        let hook: String = need(imp, "hook")?.extract()?;
        let names: Vec<String> = need(imp, "args")?.extract()?;
        let flag = |key: &str| need(imp, key)?.is_truthy();
        let method = Arc::new(Method {
            bridge: shared.clone(),
            function: need(imp, "function")?.unbind(),
            names: names.clone(),
            id: self.ids.fetch_add(1, Ordering::Relaxed),
        });
        let mut made = match (flag("wrapper")?, flag("sync_hook")? && !flag("is_async")?) {
            (true, _) => DynImpl::wrapper(&hook, Wrapper(method)),
            (false, true) => DynImpl::sync(&hook, Impl(method)),
            (false, false) => DynImpl::later(&hook, Impl(method)),
        };
        let tier = match (flag("tryfirst")?, flag("trylast")?) {
            (_, true) => Tier::Last,
            (true, false) => Tier::First,
            (false, false) => Tier::Plain,
        };
        made = made.args(names).method(need(imp, "method")?.extract::<String>()?).tier(tier);
        for other in need(imp, "before")?.extract::<Vec<String>>()? {
            made = made.before(other);
        }
        for other in need(imp, "after")?.extract::<Vec<String>>()? {
            made = made.after(other);
        }
        if let Some(seconds) = need(imp, "budget")?.extract::<Option<f64>>()? {
            let limit = std::time::Duration::try_from_secs_f64(seconds);
            made = made.budget(limit.map_or(Budget::Unbounded, Budget::Limited));
        }
        Ok(if flag("optionalhook")? { made.optional() } else { made })
    }
}

fn need<'py>(dict: &Bound<'py, PyDict>, key: &str) -> PyResult<Bound<'py, PyAny>> {
    dict.get_item(key)?.ok_or_else(|| pyo3::exceptions::PyKeyError::new_err(key.to_owned()))
}
