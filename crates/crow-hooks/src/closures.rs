//! Closures as plugins.

use std::{fmt, marker::PhantomData, pin::pin, sync::Arc};

use crate::{
    AsyncHook, BoxFuture, Contract, Hook, IntoAnswer, Next, Outcome, PluginName, SyncHook, SyncNext, Tier,
    answer::polled,
    plugin::{Registrar, Slot},
};

/// Attaches one closure.
type AttachOne<C> = Box<dyn Fn(&mut Registrar<C>, &Arc<Closures<C>>) + Send + Sync>;

/// A plugin made of closures, for a few lines that do not deserve a type.
///
/// ```
/// use crow_hooks::{hookspecs, Closures, PluginManager};
///
/// #[hookspecs(project = "doc")]
/// pub trait Greeter {
///     fn greet(name: &str) -> String;
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plugins = PluginManager::<dyn Greeter>::new();
/// plugins.register(
///     Closures::new("short")
///         .on(Greet).sync(|call| format!("Hi {}", call.args.name))
///         .on(Greet).tryfirst().sync(|call| (call.args.name == "Ada").then(|| "Hello Countess".to_owned())),
/// )?;
/// assert_eq!(plugins.hooks().greet("Ada")?, ["Hello Countess", "Hi Ada"]);
/// # Ok(()) }
/// ```
pub struct Closures<C: Contract + ?Sized> {
    pub(crate) name: PluginName,
    attach: Vec<AttachOne<C>>,
}

impl<C: Contract + ?Sized> fmt::Debug for Closures<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closures").field("name", &self.name).field("impls", &self.attach.len()).finish()
    }
}

impl<C: Contract + ?Sized> Closures<C> {
    /// A plugin of this name that implements nothing yet.
    pub fn new(name: impl Into<PluginName>) -> Self {
        Self { name: name.into(), attach: Vec::new() }
    }

    /// The closure that follows implements `hook`.
    pub fn on<H: Hook<Contract = C>>(self, _: H) -> On<C, H> {
        On { plugin: self, tier: Tier::Plain, before: Vec::new(), after: Vec::new(), hook: PhantomData }
    }

    #[doc(hidden)]
    pub fn name(&self) -> &PluginName {
        &self.name
    }

    #[doc(hidden)]
    pub fn attach(self: &Arc<Self>, into: &mut Registrar<C>) {
        for attach in &self.attach {
            attach(into, self);
        }
    }
}

/// What a closure is given: `|call| call.args.name`.
pub struct With<'a, H: Hook> {
    /// The arguments of the call.
    pub args: H::Args<'a>,
}

impl<H: Hook> fmt::Debug for With<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "With({})", H::SPEC.name)
    }
}

/// A hook that is about to get a closure: options, then [`sync`](Self::sync),
/// [`later`](Self::later), [`wrap`](Self::wrap) or [`wrap_sync`](Self::wrap_sync).
#[must_use = "a closure must follow"]
pub struct On<C: Contract + ?Sized, H> {
    plugin: Closures<C>,
    tier: Tier,
    before: Vec<String>,
    after: Vec<String>,
    hook: PhantomData<fn() -> H>,
}

impl<C: Contract + ?Sized, H> fmt::Debug for On<C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On").field("plugin", &self.plugin).field("tier", &self.tier).finish_non_exhaustive()
    }
}

impl<C: Contract + ?Sized, H: Hook<Contract = C>> On<C, H> {
    /// Before the plain impls.
    pub fn tryfirst(mut self) -> Self {
        self.tier = Tier::First;
        self
    }

    /// After the plain impls.
    pub fn trylast(mut self) -> Self {
        self.tier = Tier::Last;
        self
    }

    /// Before the impls of that plugin in the same tier.
    pub fn before(mut self, plugin: impl Into<String>) -> Self {
        self.before.push(plugin.into());
        self
    }

    /// After the impls of that plugin in the same tier.
    pub fn after(mut self, plugin: impl Into<String>) -> Self {
        self.after.push(plugin.into());
        self
    }

    /// A plain closure. It returns what a hookimpl may return.
    pub fn sync<F, R>(self, call: F) -> Closures<C>
    where
        F: for<'a> Fn(With<'a, H>) -> R + Send + Sync + 'static,
        R: IntoAnswer<H::Output>,
    {
        let call = Arc::new(call);
        self.put(move |slot| {
            let call = Arc::clone(&call);
            slot.sync(move |_, args, _| call(With { args }).into_answer());
        })
    }

    /// A closure that gives a boxed future: `|call| Box::pin(async move { .. })`.
    pub fn later<F, R>(self, call: F) -> Closures<C>
    where
        H: AsyncHook,
        F: for<'a> Fn(With<'a, H>) -> BoxFuture<'a, R> + Send + Sync + 'static,
        R: IntoAnswer<H::Output> + 'static,
    {
        let call = Arc::new(call);
        self.put(move |slot| {
            let call = Arc::clone(&call);
            slot.later(move |_, args, _, task| {
                let future = call(With { args });
                polled(Box::pin(async move { future.await.into_answer() }), task)
            });
        })
    }

    /// A wrapper: `|mut next| Box::pin(async move { next.run().await })`.
    pub fn wrap<F>(self, call: F) -> Closures<C>
    where
        H: AsyncHook,
        F: for<'a> Fn(Next<'a, H>) -> BoxFuture<'a, Outcome<H>> + Send + Sync + 'static,
    {
        let call = Arc::new(call);
        self.put(move |slot| {
            let call = Arc::clone(&call);
            slot.wrap(move |_, mut frame, _, task| {
                let call = Arc::clone(&call);
                let around = async move {
                    let outcome = {
                        let (next, guard) = frame.enter();
                        // The future is made inside, so that a panic there is caught as well.
                        let wrapper = pin!(async { call(next).await });
                        guard.run(wrapper).await
                    };
                    match frame.leave(outcome) {
                        Some(result) => result,
                        None => frame.skip().await,
                    }
                };
                polled(Box::pin(around), task)
            });
        })
    }

    /// A wrapper of a sync hook: `|mut next| next.run()`.
    pub fn wrap_sync<F>(self, call: F) -> Closures<C>
    where
        H: SyncHook,
        F: for<'a> Fn(SyncNext<'a, H>) -> Outcome<H> + Send + Sync + 'static,
    {
        let call = Arc::new(call);
        self.put(move |slot| {
            let call = Arc::clone(&call);
            slot.wrap_sync(move |_, next, _| call(next));
        })
    }

    fn put(self, attach: impl Fn(Slot<'_, C, Closures<C>, H>) + Send + Sync + 'static) -> Closures<C> {
        let Self { mut plugin, tier, before, after, .. } = self;
        plugin.attach.push(Box::new(move |registrar, this| {
            let mut attached = registrar.plugin(this);
            let slot = attached.slot(H::SPEC.name, &[]).ordered(tier, &before, &after);
            attach(slot);
        }));
        plugin
    }
}
