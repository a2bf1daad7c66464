//! Plugins: their names, and how their impls reach a hook.

use std::{any::Any, borrow::Cow, marker::PhantomData, sync::Arc, task::Context, time::Duration};

use crate::{
    AsyncHook, BoxFuture, Budget, Contract, Hook, HookError, Kind, RegisterError, SyncHook,
    answer::{Given, To},
    call::{Called, Env},
    history,
    list::{Act, Bound, Deferred, Entry, Plain, PlainWrapping, Surround, Wrapping},
    next::{Frame, SyncNext},
};

/// The name of a plugin, cheap to clone.
pub type PluginName = Arc<str>;

/// Distinguishes registrations: a plugin that goes and comes back has another.
pub(crate) type PluginId = u64;

/// What `#[hookimpls]` writes down of a plugin, in types that need no path: name, version, type, contract version,
/// budget.
type About = (&'static str, Option<&'static str>, &'static str, u32, Option<Duration>);

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginInfo {
    /// The name, unique within a manager.
    pub name: PluginName,
    /// The version of its crate or package, if it has one.
    pub version: Option<Cow<'static, str>>,
    /// The major version of the contract it was made for.
    pub api: u32,
    /// The type it is, or where it comes from: for messages.
    pub origin: Cow<'static, str>,
    /// The time each of its impls may take, if it is not to be the hook's or the manager's.
    pub budget: Option<Budget>,
}

impl PluginInfo {
    /// A plugin named `name`, made for version `api` of a contract.
    pub fn new(name: impl Into<PluginName>, api: u32) -> Self {
        Self { name: name.into(), version: None, api, origin: Cow::Borrowed("a plugin"), budget: None }
    }

    #[doc(hidden)]
    pub fn about(about: About, own_name: Option<PluginName>) -> Self {
        let (name, version, origin, api, budget) = about;
        Self {
            name: own_name.unwrap_or_else(|| name.into()),
            version: version.map(Cow::Borrowed),
            api,
            origin: Cow::Borrowed(origin),
            budget: budget.map(Budget::Limited),
        }
    }

    pub(crate) fn describe(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.origin),
            None => self.origin.to_string(),
        }
    }
}

/// Where an impl stands among its hook's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tier {
    /// `tryfirst`
    First,
    /// neither
    #[default]
    Plain,
    /// `trylast`
    Last,
}

/// One impl as data: whose it is and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImplInfo {
    /// The plugin.
    pub plugin: PluginName,
    /// The hook.
    pub hook: &'static str,
    /// The method of the plugin: the hook's name unless `specname` is used.
    pub method: Cow<'static, str>,
    /// `tryfirst`, plain or `trylast`.
    pub tier: Tier,
    /// Whether it wraps the others.
    pub wrapper: bool,
    /// The plugins it asked to run before.
    pub before: Vec<Box<str>>,
    /// The plugins it asked to run after.
    pub after: Vec<Box<str>>,
    /// The time it may take, if its plugin says.
    pub budget: Option<Budget>,
    /// The arguments it takes.
    pub args: &'static [&'static str],
    pub(crate) id: PluginId,
    pub(crate) seq: u64,
}

/// Collects the impls of one plugin before any of them is visible.
#[doc(hidden)]
pub struct Registrar<C: Contract + ?Sized> {
    pub(crate) name: PluginName,
    pub(crate) id: PluginId,
    pub(crate) budget: Option<Budget>,
    pub(crate) instance: Option<Arc<dyn Any + Send + Sync>>,
    pub(crate) staged: Vec<Staged<C>>,
    pub(crate) pending: Vec<String>,
}

/// Puts an impl into the tables.
type Put<C> = Box<dyn Fn(ImplInfo, &mut <C as Contract>::Tables) -> Result<(), RegisterError> + Send>;

/// Gives a remembered call to one impl.
pub(crate) type Replay = Box<dyn Fn(&ImplInfo, &dyn Any, &Env) -> Result<(), HookError> + Send>;

/// One impl on its way into the tables.
pub(crate) struct Staged<C: Contract + ?Sized> {
    pub(crate) info: ImplInfo,
    pub(crate) spec: &'static crate::HookSpec,
    pub(crate) put: Put<C>,
    /// For historic hooks: gives one remembered call to this impl alone.
    pub(crate) replay: Option<Replay>,
}

impl<C: Contract + ?Sized> std::fmt::Debug for Registrar<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registrar").field("plugin", &self.name).finish_non_exhaustive()
    }
}

impl<C: Contract + ?Sized> Registrar<C> {
    pub(crate) fn new(name: PluginName, id: PluginId, budget: Option<Budget>) -> Self {
        Self { name, id, budget, instance: None, staged: Vec::new(), pending: Vec::new() }
    }

    /// The impls that follow are methods of `plugin`.
    pub fn plugin<P: Send + Sync + 'static>(&mut self, plugin: &Arc<P>) -> Attach<'_, C, P> {
        self.instance = Some(Arc::clone(plugin) as Arc<dyn Any + Send + Sync>);
        Attach { registrar: self, plugin: Arc::clone(plugin) }
    }
}

impl<C: Contract + ?Sized> Registrar<C> {
    /// The impls that follow belong to a plugin without a type of its own.
    pub(crate) fn holder(&mut self, instance: Arc<dyn Any + Send + Sync>) -> Attach<'_, C, ()> {
        self.instance.get_or_insert(instance);
        Attach { registrar: self, plugin: Arc::new(()) }
    }
}

/// A plugin whose hooks are being attached.
#[doc(hidden)]
pub struct Attach<'r, C: Contract + ?Sized, P> {
    registrar: &'r mut Registrar<C>,
    plugin: Arc<P>,
}

impl<C: Contract + ?Sized, P> std::fmt::Debug for Attach<'_, C, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attach").finish_non_exhaustive()
    }
}

impl<C: Contract + ?Sized, P: Send + Sync + 'static> Attach<'_, C, P> {
    /// The impl that follows is one of `hook`.
    pub fn hook<H: Hook<Contract = C>>(
        &mut self,
        _: H,
        method: &'static str,
        args: &'static [&'static str],
    ) -> Slot<'_, C, P, H> {
        self.slot(method, args)
    }

    pub(crate) fn slot<H: Hook<Contract = C>>(
        &mut self,
        method: impl Into<Cow<'static, str>>,
        args: &'static [&'static str],
    ) -> Slot<'_, C, P, H> {
        let info = ImplInfo {
            plugin: self.registrar.name.clone(),
            hook: H::SPEC.name,
            method: method.into(),
            tier: Tier::Plain,
            wrapper: false,
            before: Vec::new(),
            after: Vec::new(),
            budget: self.registrar.budget,
            args,
            id: self.registrar.id,
            seq: 0,
        };
        Slot { registrar: self.registrar, plugin: Arc::clone(&self.plugin), info, hook: PhantomData }
    }
}

/// One impl that is being attached: options first, then the function.
#[doc(hidden)]
pub struct Slot<'r, C: Contract + ?Sized, P, H> {
    registrar: &'r mut Registrar<C>,
    plugin: Arc<P>,
    info: ImplInfo,
    hook: PhantomData<fn() -> H>,
}

impl<C: Contract + ?Sized, P, H> std::fmt::Debug for Slot<'_, C, P, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("info", &self.info).finish_non_exhaustive()
    }
}

impl<C: Contract + ?Sized, P: Send + Sync + 'static, H: Hook<Contract = C>> Slot<'_, C, P, H> {
    pub fn tryfirst(mut self) -> Self {
        self.info.tier = Tier::First;
        self
    }

    pub fn trylast(mut self) -> Self {
        self.info.tier = Tier::Last;
        self
    }

    pub fn before(mut self, plugin: &str) -> Self {
        self.info.before.push(plugin.into());
        self
    }

    pub fn after(mut self, plugin: &str) -> Self {
        self.info.after.push(plugin.into());
        self
    }

    pub fn budget(mut self, budget: Duration) -> Self {
        self.info.budget = Some(Budget::Limited(budget));
        self
    }

    pub(crate) fn ordered(mut self, tier: Tier, before: &[String], after: &[String]) -> Self {
        self.info.tier = tier;
        self.info.before.extend(before.iter().map(|name| name.as_str().into()));
        self.info.after.extend(after.iter().map(|name| name.as_str().into()));
        self
    }

    pub(crate) fn limited(mut self, budget: Option<Budget>) -> Self {
        self.info.budget = budget.or(self.info.budget);
        self
    }

    /// A plain function.
    pub fn sync<F>(self, call: F)
    where
        F: for<'a> Fn(&'a P, H::Args<'a>, To<H>) -> Given<H::Output> + Send + Sync + 'static,
    {
        let run = Arc::new(Plain(Bound { plugin: Arc::clone(&self.plugin), call }));
        self.add_impl(run, false);
    }

    /// An `async fn`, called and polled for the first time by `call`: its value, or the future if it waits.
    pub fn later<F>(self, call: F)
    where
        H: AsyncHook,
        F: for<'a> Fn(
                &'a P,
                H::Args<'a>,
                To<H>,
                &mut Context<'_>,
            ) -> Result<Given<H::Output>, Option<BoxFuture<'a, Given<H::Output>>>>
            + Send
            + Sync
            + 'static,
    {
        let run = Arc::new(Deferred(Bound { plugin: Arc::clone(&self.plugin), call }));
        self.add_impl(run, true);
    }

    /// An `async fn` around an async hook, likewise.
    pub fn wrap<F>(self, call: F)
    where
        H: AsyncHook,
        F: for<'a> Fn(
                &'a P,
                Frame<'a, H>,
                To<H>,
                &mut Context<'_>,
            ) -> Result<Called<H>, Option<BoxFuture<'a, Called<H>>>>
            + Send
            + Sync
            + 'static,
    {
        let run = Arc::new(Wrapping(Bound { plugin: Arc::clone(&self.plugin), call }));
        self.add_wrapper(run);
    }

    /// A plain function around a sync hook.
    pub fn wrap_sync<F>(self, call: F)
    where
        H: SyncHook,
        F: for<'p, 'a> Fn(&'p P, SyncNext<'a, H>, To<H>) -> crate::Outcome<H> + Send + Sync + 'static,
    {
        let run = Arc::new(PlainWrapping(Bound { plugin: Arc::clone(&self.plugin), call }));
        self.add_wrapper(run);
    }

    pub(crate) fn add_impl(self, run: Arc<dyn Act<H>>, deferred: bool) {
        let historic = H::SPEC.kind == Kind::Historic;
        let again = Arc::clone(&run);
        self.registrar.staged.push(Staged {
            info: self.info,
            spec: H::SPEC,
            put: Box::new(move |info, tables| {
                let entry = Entry { info: Arc::new(info), run: Arc::clone(&run), deferred };
                let list = H::list_mut(tables);
                *list = Arc::new(list.with_impl(&entry)?);
                Ok(())
            }),
            replay: historic
                .then(|| -> Replay { Box::new(move |info, call, env| history::replay::<H>(&again, info, call, env)) }),
        });
    }

    pub(crate) fn add_wrapper(mut self, run: Arc<dyn Surround<H>>) {
        self.info.wrapper = true;
        self.registrar.staged.push(Staged {
            info: self.info,
            spec: H::SPEC,
            put: Box::new(move |info, tables| {
                let entry = Entry { info: Arc::new(info), run: Arc::clone(&run), deferred: true };
                let list = H::list_mut(tables);
                *list = Arc::new(list.with_wrapper(&entry)?);
                Ok(())
            }),
            replay: None,
        });
    }
}
