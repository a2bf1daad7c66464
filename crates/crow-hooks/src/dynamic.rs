//! Impls from other worlds (Python, a process, a sandbox): one generic bridge, no code per hook.
//!
//! A [`Backend`] is such a world: it has values and a context to make them in. [`Lend`] shows it a Rust value,
//! [`Take`] gets one back. `#[hookspecs]` writes, for every hook, how its arguments are lent and its result is
//! taken ([`Bridge`]); [`DynPlugin`] puts impls of that world into the same chains, with the same order.

use std::{any::Any, borrow::Cow, fmt, future::poll_fn, marker::PhantomData, sync::Arc, task::Context};

use crate::{
    BoxError, BoxFuture, Budget, Contract, Hook, HookSpec, PluginInfo, PluginManager, PluginName, RegisterError, Tier,
    answer::{Answer, Given, polled},
    call::Called,
    list::{Implement, Wrap},
    next::{Frame, Wrapped},
    plugin::{Registrar, Slot},
};

/// Another world whose functions can implement hooks.
pub trait Backend: Send + Sync + Sized + 'static {
    /// What is needed to make and read its values.
    type Context: Send + Sync + 'static;
    /// Any of its values.
    type Value: Send + Sync + 'static;

    /// Arguments that cross with every call of a hook that has them, whether or not the impl takes them: the world may
    /// need them for itself.
    const ALWAYS: &'static [&'static str] = &[];

    /// The value that stands for nothing.
    fn nothing(context: &Self::Context) -> Self::Value;
}

/// A Rust value that a [`Backend`] can be shown.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be shown to `{B}`",
    note = "implement `Lend<{B}>` for it: it is the type of an argument or the result of a hook"
)]
pub trait Lend<B: Backend> {
    /// The value as the other world sees it.
    ///
    /// # Errors
    /// It cannot be shown.
    fn lend(&self, context: &B::Context) -> Result<B::Value, BoxError>;

    /// Takes over what the other world made of it, for arguments passed as `&mut` or as a reborrow. Called when an impl
    /// is done, and each time before one that waits is polled again, so that a sink may pass on what has come so far.
    ///
    /// # Errors
    /// What the other world left there is no such value.
    fn reclaim(&mut self, _lent: &B::Value, _context: &B::Context) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A Rust value that can be made from one of a [`Backend`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from `{B}`",
    note = "implement `Take<{B}>` for it: it is the output of a hook"
)]
pub trait Take<B: Backend>: Sized {
    /// The value, or `None` if the other world gave nothing.
    ///
    /// # Errors
    /// It is something else.
    fn take(value: B::Value, context: &B::Context) -> Result<Option<Self>, BoxError>;
}

impl<B: Backend> Lend<B> for () {
    fn lend(&self, context: &B::Context) -> Result<B::Value, BoxError> {
        Ok(B::nothing(context))
    }
}

impl<B: Backend> Take<B> for () {
    fn take(_: B::Value, _: &B::Context) -> Result<Option<Self>, BoxError> {
        Ok(Some(()))
    }
}

/// The arguments of a call as another world sees them, by name.
pub type Lent<B> = Vec<(&'static str, <B as Backend>::Value)>;

/// A hook whose arguments and results can all cross to `B`. Written by `#[hookspecs]`.
pub trait Bridge<B: Backend>: Hook {
    #[doc(hidden)]
    fn lend(
        args: &Self::Args<'_>,
        wanted: &dyn Fn(&str) -> bool,
        context: &B::Context,
        into: &mut Lent<B>,
    ) -> Result<(), BoxError>;
    #[doc(hidden)]
    fn reclaim(args: &mut Self::Args<'_>, lent: &Lent<B>, context: &B::Context) -> Result<(), BoxError>;
    #[doc(hidden)]
    fn take(value: B::Value, context: &B::Context) -> Result<Option<Self::Output>, BoxError>;
    #[doc(hidden)]
    fn lend_result(collected: &Self::Collected, context: &B::Context) -> Result<B::Value, BoxError>;
    #[doc(hidden)]
    fn take_result(value: B::Value, context: &B::Context) -> Result<Self::Collected, BoxError>;
}

/// A contract whose hooks can all cross to `B`: `impl Bridged<B> for dyn MyHooks` is written by `#[hookspecs]` for
/// every `B` to which all argument and result types can be lent.
pub trait Bridged<B: Backend>: Contract {
    /// Shows every hook to `visitor`.
    fn visit_bridges<V: BridgeVisitor<B, Self>>(visitor: &mut V);
}

/// Sees every hook of a contract as one that crosses to `B`.
pub trait BridgeVisitor<B: Backend, C: Contract + ?Sized> {
    /// Called once per hook, in declaration order.
    fn hook<H: Hook<Contract = C> + Bridge<B>>(&mut self, hook: H);
}

/// What a function of another world gives.
pub enum DynAnswer<B: Backend> {
    /// Its value, at once. What stands for nothing becomes `None`.
    Ready(Result<B::Value, BoxError>),
    /// Its value, later.
    Later(BoxFuture<'static, Result<B::Value, BoxError>>),
}

impl<B: Backend> fmt::Debug for DynAnswer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynAnswer")
    }
}

/// A function of another world.
pub trait DynCall<B: Backend>: Send + Sync {
    /// Calls it. The caller keeps `args` to see what became of them, so values are shared ones where the world has
    /// such.
    fn call(&self, hook: &'static HookSpec, args: &Lent<B>) -> DynAnswer<B>;
}

/// A wrapper of another world, in two steps: it is entered, and left with the inner result.
pub trait DynWrap<B: Backend>: Send + Sync {
    /// Enters it. An error refuses the call.
    fn enter(
        &self,
        hook: &'static HookSpec,
        args: &Lent<B>,
    ) -> BoxFuture<'static, Result<Box<dyn DynLeave<B>>, BoxError>>;
}

/// A wrapper that has been entered. Dropped, the call was cancelled.
pub trait DynLeave<B: Backend>: Send {
    /// Leaves it: gives it the inner result, and the arguments as the inner call left them, and gets the result it makes
    /// of that.
    fn leave(
        self: Box<Self>,
        inner: Result<B::Value, BoxError>,
        args: &Lent<B>,
    ) -> BoxFuture<'static, Result<B::Value, BoxError>>;
}

enum What<B: Backend> {
    Impl(Arc<dyn DynCall<B>>),
    /// An impl that is awaited.
    Later(Arc<dyn DynCall<B>>),
    Wrapper(Arc<dyn DynWrap<B>>),
}

/// One impl of another world, before it is attached.
pub struct DynImpl<B: Backend> {
    hook: String,
    method: String,
    args: Option<Vec<String>>,
    tier: Tier,
    before: Vec<String>,
    after: Vec<String>,
    budget: Option<Budget>,
    optional: bool,
    what: What<B>,
}

impl<B: Backend> fmt::Debug for DynImpl<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynImpl").field("hook", &self.hook).field("method", &self.method).finish_non_exhaustive()
    }
}

impl<B: Backend> DynImpl<B> {
    fn new(hook: impl Into<String>, what: What<B>) -> Self {
        let hook = hook.into();
        Self {
            method: hook.clone(),
            hook,
            args: None,
            tier: Tier::Plain,
            before: Vec::new(),
            after: Vec::new(),
            budget: None,
            optional: false,
            what,
        }
    }

    /// A function that answers at once.
    pub fn sync(hook: impl Into<String>, call: impl DynCall<B> + 'static) -> Self {
        Self::new(hook, What::Impl(Arc::new(call)))
    }

    /// A function that may answer later. Only for async hooks.
    pub fn later(hook: impl Into<String>, call: impl DynCall<B> + 'static) -> Self {
        Self::new(hook, What::Later(Arc::new(call)))
    }

    /// A wrapper. Only for async hooks.
    pub fn wrapper(hook: impl Into<String>, wrap: impl DynWrap<B> + 'static) -> Self {
        Self::new(hook, What::Wrapper(Arc::new(wrap)))
    }

    /// The arguments it takes; all of them if this is not called.
    pub fn args(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Its own name, if it is not the hook's.
    pub fn method(mut self, name: impl Into<String>) -> Self {
        self.method = name.into();
        self
    }

    /// Where it stands among the hook's impls.
    pub fn tier(mut self, tier: Tier) -> Self {
        self.tier = tier;
        self
    }

    /// Before the impls of that plugin.
    pub fn before(mut self, plugin: impl Into<String>) -> Self {
        self.before.push(plugin.into());
        self
    }

    /// After the impls of that plugin.
    pub fn after(mut self, plugin: impl Into<String>) -> Self {
        self.after.push(plugin.into());
        self
    }

    /// The time it may take.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// It is no error if the hook does not exist.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// A plugin of another world: its impls, attached with [`PluginManager::add_dyn`].
pub struct DynPlugin<B: Backend> {
    /// What it says of itself.
    pub info: PluginInfo,
    /// The context its values are made in.
    pub context: Arc<B::Context>,
    /// Its impls. As everywhere, the last is called first.
    pub impls: Vec<DynImpl<B>>,
}

impl<B: Backend> fmt::Debug for DynPlugin<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynPlugin").field("info", &self.info).field("impls", &self.impls).finish_non_exhaustive()
    }
}

impl<C: Contract + ?Sized> PluginManager<C> {
    /// Registers a plugin of another world. Its impls join the chains of its hooks like any others.
    ///
    /// Impls of hooks that do not exist wait for [`check_pending`](Self::check_pending) to name them.
    ///
    /// # Errors
    /// As for [`register`](Self::register); also an argument that the hook does not have, or an impl to be awaited
    /// (or a wrapper) on a sync hook.
    pub fn add_dyn<B: Backend>(&self, plugin: DynPlugin<B>) -> Result<Option<PluginName>, RegisterError>
    where
        C: Bridged<B>,
    {
        let DynPlugin { info, context, impls } = plugin;
        let mut registrar = self.registrar(&info);
        let mut attach = Attaching { context, impls, registrar: &mut registrar, error: None };
        C::visit_bridges(&mut attach);
        let (left, error) = (attach.impls, attach.error);
        if let Some(error) = error {
            return Err(error);
        }
        registrar.pending = left.into_iter().filter(|imp| !imp.optional).map(|imp| imp.hook).collect();
        // Hooks were visited in the contract's order; among the impls of one hook the given order was kept.
        self.commit(info, registrar)
    }
}

/// Attaches impls to the hooks they name.
struct Attaching<'r, B: Backend, C: Contract + ?Sized> {
    context: Arc<B::Context>,
    impls: Vec<DynImpl<B>>,
    registrar: &'r mut Registrar<C>,
    error: Option<RegisterError>,
}

impl<B: Backend, C: Contract + ?Sized> BridgeVisitor<B, C> for Attaching<'_, B, C> {
    fn hook<H: Hook<Contract = C> + Bridge<B>>(&mut self, _: H) {
        let (mine, rest) = std::mem::take(&mut self.impls).into_iter().partition(|imp| imp.hook == H::SPEC.name);
        self.impls = rest;
        for imp in mine {
            if let Err(error) = self.attach::<H>(imp) {
                self.error.get_or_insert(error);
            }
        }
    }
}

impl<B: Backend, C: Contract + ?Sized> Attaching<'_, B, C> {
    fn attach<H: Hook<Contract = C> + Bridge<B>>(&mut self, imp: DynImpl<B>) -> Result<(), RegisterError> {
        let plugin = self.registrar.name.clone();
        let names = match &imp.args {
            None => H::SPEC.args.iter().map(|arg| arg.name).collect(),
            Some(names) => arguments(&plugin, H::SPEC, names)?,
        };
        if H::SPEC.sync && !matches!(imp.what, What::Impl(_)) {
            return Err(RegisterError::NotSync { plugin, hook: H::SPEC.name });
        }
        let context = Arc::clone(&self.context);
        // Plugins may share a context: it is not what tells them apart.
        let holder: Arc<dyn Any + Send + Sync> = Arc::new(Arc::clone(&self.context));
        let mut attached = self.registrar.holder(holder);
        let slot: Slot<'_, C, _, H> =
            attached.slot(Cow::Owned(imp.method), &[]).ordered(imp.tier, &imp.before, &imp.after);
        let slot = slot.limited(imp.budget);
        let crossing = Crossing { context, names, hook: PhantomData };
        match imp.what {
            What::Impl(call) => slot.add_impl(Arc::new(Outside { crossing, call }), false),
            What::Later(call) => slot.add_impl(Arc::new(Outside { crossing, call }), true),
            What::Wrapper(wrap) => slot.add_wrapper(Arc::new(OutsideWrapper { crossing, wrap })),
        }
        Ok(())
    }
}

fn arguments(
    plugin: &PluginName,
    spec: &'static HookSpec,
    names: &[String],
) -> Result<Vec<&'static str>, RegisterError> {
    let find = |name: &String| {
        let known = spec.args.iter().find(|arg| arg.name == name);
        known.map(|arg| arg.name).ok_or_else(|| RegisterError::UnknownArgument {
            plugin: plugin.clone(),
            hook: spec.name,
            argument: name.clone(),
        })
    };
    names.iter().map(find).collect()
}

/// How one impl's arguments cross.
struct Crossing<B: Backend, H> {
    context: Arc<B::Context>,
    names: Vec<&'static str>,
    hook: PhantomData<fn() -> H>,
}

impl<B: Backend, H: Bridge<B>> Crossing<B, H> {
    fn lend(&self, args: &H::Args<'_>) -> Result<Lent<B>, BoxError> {
        let mut lent = Vec::with_capacity(self.names.len());
        let wanted = |name: &str| self.names.contains(&name) || B::ALWAYS.contains(&name);
        H::lend(args, &wanted, &self.context, &mut lent)?;
        Ok(lent)
    }

    /// The value of an impl, once what it did to the arguments is taken over.
    fn settle(&self, args: &mut H::Args<'_>, lent: &Lent<B>, value: Result<B::Value, BoxError>) -> Given<H::Output> {
        H::reclaim(args, lent, &self.context)?;
        H::take(value?, &self.context)
    }
}

/// An impl of another world.
struct Outside<B: Backend, H> {
    crossing: Crossing<B, H>,
    call: Arc<dyn DynCall<B>>,
}

impl<B: Backend, H: Bridge<B>> Implement<H> for Outside<B, H> {
    fn call<'a>(&'a self, mut args: H::Args<'a>, task: Option<&mut Context<'_>>) -> Answer<'a, H::Output> {
        let lent = match self.crossing.lend(&args) {
            Ok(lent) => lent,
            Err(error) => return Ok(Err(error)),
        };
        match self.call.call(H::SPEC, &lent) {
            DynAnswer::Ready(value) => Ok(self.crossing.settle(&mut args, &lent, value)),
            DynAnswer::Later(future) => match task {
                Some(task) => polled(outside(&self.crossing, args, lent, future), task),
                None => Err(None),
            },
        }
    }
}

/// Awaits an impl of another world.
fn outside<'a, B: Backend, H: Bridge<B>>(
    crossing: &'a Crossing<B, H>,
    mut args: H::Args<'a>,
    lent: Lent<B>,
    future: BoxFuture<'static, Result<B::Value, BoxError>>,
) -> BoxFuture<'a, Given<H::Output>> {
    let mut future = future;
    Box::pin(async move {
        let value = poll_fn(|task| {
            H::reclaim(&mut args, &lent, &crossing.context)?;
            future.as_mut().poll(task)
        });
        let value = value.await;
        crossing.settle(&mut args, &lent, value)
    })
}

/// A wrapper of another world.
struct OutsideWrapper<B: Backend, H> {
    crossing: Crossing<B, H>,
    wrap: Arc<dyn DynWrap<B>>,
}

impl<B: Backend, H: Bridge<B>> Wrap<H> for OutsideWrapper<B, H> {
    fn wrap<'a>(&'a self, frame: Frame<'a, H>, task: Option<&mut Context<'_>>) -> Wrapped<'a, H> {
        match task {
            Some(task) => polled(self.around(frame), task),
            None => Err(None),
        }
    }
}

impl<B: Backend, H: Bridge<B>> OutsideWrapper<B, H> {
    fn around<'a>(&'a self, mut frame: Frame<'a, H>) -> BoxFuture<'a, Called<H>> {
        Box::pin(async move {
            let outcome = {
                let (mut next, guard) = frame.enter();
                let run = std::pin::pin!(async move {
                    let context = &self.crossing.context;
                    let lent = self.crossing.lend(&next.args)?;
                    let entered = self.wrap.enter(H::SPEC, &lent).await?;
                    H::reclaim(&mut next.args, &lent, context)?;
                    drop(lent);
                    let inner = next.run().await.and_then(|collected| H::lend_result(&collected, context));
                    let lent = self.crossing.lend(&next.args)?;
                    let left = entered.leave(inner, &lent).await;
                    H::reclaim(&mut next.args, &lent, context)?;
                    H::take_result(left?, context)
                });
                guard.run(run).await
            };
            match frame.leave(outcome) {
                Some(result) => result,
                None => frame.skip().await,
            }
        })
    }
}
