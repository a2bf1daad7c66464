//! The manager: which plugins there are, and the snapshot that calls run on.

use std::{
    any::Any,
    collections::BTreeSet,
    fmt,
    marker::PhantomData,
    mem,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    Closures, Contract, HookError, Monitor, PluginInfo, PluginName, RegisterError, Snapshot, Timer,
    call::Env,
    history::{History, Remembered},
    hook::{Accepts, HookSpec},
    monitor::Installed,
    plugin::{Registrar, Staged},
    snapshot::Registered,
};

/// Connects a host and its plugins: registers, orders, checks, and hands out [snapshots](Self::hooks) to call.
///
/// A handle, cheap to clone; every clone is the same manager. All of it may be used from any thread and from
/// inside a hook: a call under way keeps the plugins it began with.
///
/// ```
/// use crow_hooks::{hookimpls, hookspecs, PluginManager};
///
/// #[hookspecs(project = "doc")]
/// pub trait Greeter {
///     fn greet(name: &str) -> String;
/// }
///
/// struct Polite;
/// #[hookimpls]
/// impl Greeter for Polite {
///     fn greet(&self, name: &str) -> String { format!("Good day, {name}.") }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plugins = PluginManager::<dyn Greeter>::new();
/// plugins.register(Polite)?;
/// assert_eq!(plugins.hooks().greet("Ada")?, ["Good day, Ada."]);
/// # Ok(()) }
/// ```
pub struct PluginManager<C: Contract + ?Sized> {
    /// A `Shared<C>`. Its type is hidden because the compiler forgets the `'static` of `dyn Greeter` in the state of
    /// an `async fn` and could then not see that a manager may move between threads.
    shared: Arc<dyn Any + Send + Sync>,
    contract: PhantomData<fn(&C)>,
}

pub(crate) struct Shared<C: Contract + ?Sized> {
    current: RwLock<Arc<Snapshot<C>>>,
    ids: AtomicU64,
    pub(crate) history: History,
}

impl<C: Contract + ?Sized> Shared<C> {
    pub(crate) fn snapshot(&self) -> Arc<Snapshot<C>> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A plugin as data: see [`PluginManager::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// What the plugin says of itself, with the name it is registered under.
    pub info: PluginInfo,
    /// The hooks it implements, in the contract's order.
    pub hooks: Vec<&'static str>,
}

/// Text that a contract shows to whoever still implements something that is on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deprecation {
    /// Whose impl it is.
    pub plugin: PluginName,
    /// The hook.
    pub hook: &'static str,
    /// The argument, if it is not the hook as a whole.
    pub argument: Option<&'static str>,
    /// The contract's text.
    pub text: &'static str,
}

/// An installed monitor, for [`PluginManager::remove_monitor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonitorId(u64);

impl<C: Contract + ?Sized> Clone for PluginManager<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), contract: PhantomData }
    }
}

impl<C: Contract + ?Sized> Default for PluginManager<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Contract + ?Sized> fmt::Debug for PluginManager<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginManager").field("project", &C::PROJECT).field("plugins", &self.names()).finish()
    }
}

impl<C: Contract + ?Sized> PluginManager<C> {
    /// A manager without plugins.
    pub fn new() -> Self {
        let shared = |manager: &Weak<Shared<C>>| {
            let empty = Snapshot {
                tables: C::Tables::default(),
                env: Env::default(),
                plugins: Vec::new(),
                blocked: BTreeSet::new(),
                next_seq: 0,
                manager: manager.clone(),
                derived: false,
            };
            Shared { current: RwLock::new(Arc::new(empty)), ids: AtomicU64::new(0), history: History::default() }
        };
        Self { shared: Arc::new_cyclic(shared), contract: PhantomData }
    }

    fn shared(&self) -> &Shared<C> {
        match self.shared.downcast_ref() {
            Some(shared) => shared,
            None => unreachable!("`new` puts a `Shared` of this contract in"),
        }
    }

    /// The hooks, to be called, with the plugins of this moment. Cheap; hold one for as long as the set of
    /// plugins should not change, for instance for a request.
    pub fn hooks(&self) -> C::Relay {
        C::Relay::from(self.snapshot())
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot<C>> {
        self.shared().snapshot()
    }

    /// Changes a copy and puts it in place. The old snapshot, and with it perhaps a plugin, is dropped
    /// after the lock is free.
    fn edit<T>(&self, change: impl FnOnce(&mut Snapshot<C>) -> T) -> T {
        let mut current = self.shared().current.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&current);
        let made = change(&mut next);
        let old = mem::replace(&mut *current, Arc::new(next));
        drop(current);
        drop(old);
        made
    }

    /// Registers a plugin under the name it gives itself. `Ok(None)`: the name is blocked, nothing happened.
    ///
    /// `plugin` is a value whose type has a `#[hookimpls]` block for this contract, or an `Arc` of one, also of
    /// the contract's trait object.
    ///
    /// # Errors
    /// The name is taken, the plugin was made for another version, or its order is impossible. Then nothing of
    /// it is registered.
    pub fn register<P: Send + Sync + 'static>(&self, plugin: P) -> Result<Option<PluginName>, RegisterError>
    where
        C: Accepts<P>,
    {
        let info = C::info(&plugin);
        self.add(info, plugin)
    }

    /// Where `plugins!` begins.
    #[doc(hidden)]
    pub fn __found(&self) -> Result<Vec<PluginName>, RegisterError> {
        Ok(Vec::new())
    }

    /// What `plugins!` has in place of a plugin.
    #[doc(hidden)]
    pub fn __none(&self) -> Option<Closures<C>> {
        None
    }

    /// Registers a plugin under another name. Otherwise like [`register`](Self::register).
    ///
    /// # Errors
    /// As for `register`.
    pub fn register_as<P: Send + Sync + 'static>(
        &self,
        name: impl Into<PluginName>,
        plugin: P,
    ) -> Result<Option<PluginName>, RegisterError>
    where
        C: Accepts<P>,
    {
        let info = PluginInfo { name: name.into(), ..C::info(&plugin) };
        self.add(info, plugin)
    }

    fn add<P: Send + Sync + 'static>(&self, info: PluginInfo, plugin: P) -> Result<Option<PluginName>, RegisterError>
    where
        C: Accepts<P>,
    {
        let mut registrar = self.registrar(&info);
        C::attach(Arc::new(plugin), &mut registrar);
        self.commit(info, registrar)
    }

    pub(crate) fn registrar(&self, info: &PluginInfo) -> Registrar<C> {
        let id = self.shared().ids.fetch_add(1, Ordering::Relaxed);
        Registrar::new(info.name.clone(), id, info.budget)
    }

    /// Makes everything that was staged visible at once, or nothing.
    ///
    /// A plugin hears of the historic calls it missed before it is visible; calls made meanwhile are among them.
    pub(crate) fn commit(
        &self,
        info: PluginInfo,
        registrar: Registrar<C>,
    ) -> Result<Option<PluginName>, RegisterError> {
        let Registrar { name, id, instance, staged, pending, .. } = registrar;
        let plugin = Arc::new(Registered { info, id, instance, pending });
        let mut heard = 0;
        let old = loop {
            // Dropped after the lock is free: it may hold the last of a plugin.
            let current;
            let history = self.shared().history.lock();
            current = self.snapshot();
            let mut next = Snapshot::clone(&current);
            if !next.add(&plugin, &staged)? {
                return Ok(None);
            }
            if let Some(call) = history.get(heard).cloned() {
                drop(history);
                heard += 1;
                replay(&staged, &call, &current.env)?;
            } else if let Some(old) = self.replace(&current, next) {
                break old;
            }
        };
        drop(old);
        let deprecations = deprecations(&staged);
        if let Some(sink) = self.snapshot().env.on_deprecation.clone() {
            for deprecation in &deprecations {
                sink(deprecation);
            }
        }
        Ok(Some(name))
    }

    /// Puts `next` in place of `current`; nothing if somebody else was faster. Gives back what it replaced, to be
    /// dropped after the lock is free: a plugin may be among it.
    fn replace(&self, current: &Arc<Snapshot<C>>, next: Snapshot<C>) -> Option<Arc<Snapshot<C>>> {
        let mut place = self.shared().current.write().unwrap_or_else(PoisonError::into_inner);
        Arc::ptr_eq(&place, current).then(|| mem::replace(&mut *place, Arc::new(next)))
    }

    /// Takes the plugin of this name out. `false` if there is none. Calls under way still end with it.
    pub fn unregister(&self, name: &str) -> bool {
        self.edit(|next| next.remove(name))
    }

    /// Takes the plugin of this name out and keeps the name from being registered.
    pub fn block(&self, name: impl Into<PluginName>) {
        let name = name.into();
        self.edit(|next| {
            next.remove(&name);
            next.blocked.insert(name);
        });
    }

    /// Allows the name again. `false` if it was not blocked.
    pub fn unblock(&self, name: &str) -> bool {
        self.edit(|next| next.blocked.remove(name))
    }

    /// Tells whether the name is blocked.
    pub fn is_blocked(&self, name: &str) -> bool {
        self.snapshot().blocked.contains(name)
    }

    /// The blocked names.
    pub fn blocked(&self) -> Vec<PluginName> {
        self.snapshot().blocked.iter().cloned().collect()
    }

    /// Tells whether a plugin of this name is registered.
    pub fn has_plugin(&self, name: &str) -> bool {
        self.snapshot().find(name).is_some()
    }

    /// The plugin of this name, if it is a `T`.
    pub fn get_plugin<T: Send + Sync + 'static>(&self, name: &str) -> Option<Arc<T>> {
        let instance = self.snapshot().find(name)?.instance.clone()?;
        instance.downcast::<T>().ok()
    }

    /// The first registered plugin that is a `T`, and its name.
    pub fn find_plugin<T: Send + Sync + 'static>(&self) -> Option<(PluginName, Arc<T>)> {
        self.snapshot().plugins.iter().find_map(|plugin| {
            let instance = plugin.instance.clone()?.downcast::<T>().ok()?;
            Some((plugin.info.name.clone(), instance))
        })
    }

    /// The name under which this very plugin is registered.
    pub fn name<T: Send + Sync + 'static>(&self, plugin: &Arc<T>) -> Option<PluginName> {
        let same = |registered: &&Arc<Registered>| {
            registered
                .instance
                .as_ref()
                .is_some_and(|instance| std::ptr::addr_eq(Arc::as_ptr(instance), Arc::as_ptr(plugin)))
        };
        self.snapshot().plugins.iter().find(same).map(|registered| registered.info.name.clone())
    }

    /// The names of the plugins in the order in which they were registered.
    pub fn names(&self) -> Vec<PluginName> {
        self.snapshot().plugins.iter().map(|plugin| plugin.info.name.clone()).collect()
    }

    /// The plugins in the order in which they were registered, with the hooks each implements.
    pub fn list(&self) -> Vec<Listed> {
        let snapshot = self.snapshot();
        let mut listed: Vec<Listed> = Vec::new();
        for plugin in &snapshot.plugins {
            let mut hooks = Vec::new();
            snapshot.each_list(&mut |list| {
                if list.infos().iter().any(|info| info.id == plugin.id) {
                    hooks.push(list.spec().name);
                }
            });
            listed.push(Listed { info: plugin.info.clone(), hooks });
        }
        listed
    }

    /// Tells `sink` of errors that end no call: failures in `isolate` hooks, slow plain functions, panics while
    /// something is dropped. Without a sink they are lost.
    pub fn on_error(&self, sink: impl Fn(&HookError) + Send + Sync + 'static) {
        self.edit(|next| next.env.on_error = Some(Arc::new(sink)));
    }

    /// Tells `sink` when a plugin registers an impl that its contract wants to be rid of.
    pub fn on_deprecation(&self, sink: impl Fn(&Deprecation) + Send + Sync + 'static) {
        self.edit(|next| next.env.on_deprecation = Some(Arc::new(sink)));
    }

    /// Gives impls the time that contract and plugins allow them, by the clock of `timer`; `default` holds where
    /// neither says.
    pub fn limit_time(&self, timer: impl Timer + 'static, default: Option<Duration>) {
        self.edit(|next| {
            next.env.timer = Some(Arc::new(timer));
            next.env.default_budget = default;
        });
    }

    /// Refuses calls that stand inside `deepest` others: hooks that call hooks must end somewhere. Calls under way
    /// count on the task that makes them; [`Chain::carry`](crate::Chain::carry) takes them along to another.
    pub fn limit_depth(&self, deepest: usize) {
        self.edit(|next| next.env.deepest = Some(deepest));
    }

    /// Watches every call from now on. Monitors nest: the first one added sees the start first and the end last.
    pub fn add_monitor(&self, monitor: Arc<dyn Monitor>) -> MonitorId {
        let id = self.shared().ids.fetch_add(1, Ordering::Relaxed);
        let calls = monitor.watches_calls();
        self.edit(|next| next.env.monitors.push(Installed { id, calls, watch: monitor }));
        MonitorId(id)
    }

    /// Checks that every dynamic impl has its hook. (Impls in Rust are checked by the compiler.)
    ///
    /// # Errors
    /// The first impl, in order of registration, whose hook does not exist and that is not optional.
    pub fn check_pending(&self) -> Result<(), RegisterError> {
        for plugin in &self.snapshot().plugins {
            if let Some(hook) = plugin.pending.first() {
                return Err(RegisterError::UnknownHook {
                    plugin: plugin.info.name.clone(),
                    hook: hook.clone(),
                    similar: similar(hook, C::SPECS),
                });
            }
        }
        Ok(())
    }

    /// Takes a monitor out, whichever order they came in. `false` if it was gone.
    pub fn remove_monitor(&self, id: MonitorId) -> bool {
        self.edit(|next| {
            let before = next.env.monitors.len();
            next.env.monitors.retain(|monitor| monitor.id != id.0);
            next.env.monitors.len() < before
        })
    }
}

/// The hook whose name is most like `wrong`.
fn similar(wrong: &str, specs: &[&'static HookSpec]) -> Option<&'static str> {
    let close = |spec: &&HookSpec| (distance(wrong, spec.name), spec.name);
    specs.iter().map(close).min().filter(|(distance, _)| *distance <= 2 + wrong.len() / 5).map(|(_, name)| name)
}

/// How many letters have to be changed, put in or taken out to get from one word to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (done, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = done + 1;
        for (at, wanted) in other.iter().enumerate() {
            let change = diagonal + usize::from(letter != *wanted);
            diagonal = row[at + 1];
            row[at + 1] = change.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

/// Gives a call that is over to the impls of a new plugin.
fn replay<C: Contract + ?Sized>(staged: &[Staged<C>], call: &Remembered, env: &Env) -> Result<(), RegisterError> {
    // As in any call, what was attached last comes first.
    for Staged { info, replay, .. } in staged.iter().rev().filter(|staged| staged.spec.name == call.hook) {
        if let Some(replay) = replay {
            replay(info, &*call.call, env).map_err(|error| RegisterError::Replay {
                plugin: info.plugin.clone(),
                hook: call.hook,
                reason: error.reason(),
            })?;
        }
    }
    Ok(())
}

fn deprecations<C: Contract + ?Sized>(staged: &[Staged<C>]) -> Vec<Deprecation> {
    let mut found = Vec::new();
    for Staged { info, spec, .. } in staged {
        let deprecation = |argument, text| Deprecation { plugin: info.plugin.clone(), hook: spec.name, argument, text };
        found.extend(spec.warn_on_impl.map(|text| deprecation(None, text)));
        for arg in spec.args.iter().filter(|arg| info.args.contains(&arg.name)) {
            found.extend(arg.warn_on_impl.map(|text| deprecation(Some(arg.name), text)));
        }
    }
    found
}
