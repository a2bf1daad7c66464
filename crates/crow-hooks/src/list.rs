//! The impls of one hook, in call order.

use std::{marker::PhantomData, sync::Arc, task::Context};

use crate::{
    ImplInfo, Outcome, RegisterError,
    answer::{Answer, Given, To},
    hook::{Hook, HookSpec, Kind},
    next::{Frame, SyncNext, Wrapped},
    order::call_order,
};

/// An impl, whatever its plugin's type.
pub(crate) trait Implement<H: Hook>: Send + Sync {
    /// With a task, an `async fn` is called and polled for the first time.
    fn call<'a>(&'a self, args: H::Args<'a>, task: Option<&mut Context<'_>>) -> Answer<'a, H::Output>;
}

/// A wrapper, whatever its plugin's type.
pub(crate) trait Wrap<H: Hook>: Send + Sync {
    /// With a task, an async wrapper is called and polled for the first time.
    fn wrap<'a>(&'a self, frame: Frame<'a, H>, task: Option<&mut Context<'_>>) -> Wrapped<'a, H>;
}

/// An impl or a wrapper, and who it is.
pub(crate) struct Entry<R: ?Sized> {
    pub(crate) info: Arc<ImplInfo>,
    pub(crate) run: Arc<R>,
    /// It may have to be awaited: then it cannot borrow the arguments from the stack.
    pub(crate) deferred: bool,
}

impl<R: ?Sized> Clone for Entry<R> {
    fn clone(&self) -> Self {
        Self { info: Arc::clone(&self.info), run: Arc::clone(&self.run), deferred: self.deferred }
    }
}

/// The impls of one hook in call order: wrappers, then the rest.
#[doc(hidden)]
pub struct HookList<H: Hook> {
    pub(crate) wrappers: Vec<Entry<dyn Wrap<H>>>,
    pub(crate) impls: Vec<Entry<dyn Implement<H>>>,
}

impl<H: Hook> std::fmt::Debug for HookList<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.infos().iter().map(|info| &info.plugin)).finish()
    }
}

impl<H: Hook> Default for HookList<H> {
    fn default() -> Self {
        Self { wrappers: Vec::new(), impls: Vec::new() }
    }
}

impl<H: Hook> Clone for HookList<H> {
    fn clone(&self) -> Self {
        Self { wrappers: self.wrappers.clone(), impls: self.impls.clone() }
    }
}

impl<H: Hook> HookList<H> {
    pub(crate) fn add_impl(&mut self, entry: Entry<dyn Implement<H>>) -> Result<(), RegisterError> {
        self.impls.push(entry);
        self.sort()
    }

    pub(crate) fn add_wrapper(&mut self, entry: Entry<dyn Wrap<H>>) -> Result<(), RegisterError> {
        if H::SPEC.kind == Kind::Historic {
            return Err(RegisterError::HistoricWrapper { hook: H::SPEC.name, plugin: entry.info.plugin.clone() });
        }
        self.wrappers.push(entry);
        self.sort()
    }

    fn sort(&mut self) -> Result<(), RegisterError> {
        self.named_order_crosses_no_section()?;
        sort(&mut self.wrappers, H::SPEC)?;
        sort(&mut self.impls, H::SPEC)
    }

    /// A wrapper is always outside: no impl can come before one.
    fn named_order_crosses_no_section(&self) -> Result<(), RegisterError> {
        for wrapper in &self.wrappers {
            for inner in &self.impls {
                if wrapper.info.plugin == inner.info.plugin {
                    continue;
                }
                let wants = |info: &ImplInfo, names: &[Box<str>]| names.iter().any(|name| **name == *info.plugin);
                if wants(&inner.info, &wrapper.info.after) || wants(&wrapper.info, &inner.info.before) {
                    return Err(RegisterError::AcrossTiers {
                        hook: H::SPEC.name,
                        first: inner.info.plugin.clone(),
                        second: wrapper.info.plugin.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn sort<R: ?Sized>(entries: &mut Vec<Entry<R>>, spec: &'static HookSpec) -> Result<(), RegisterError> {
    let infos: Vec<&ImplInfo> = entries.iter().map(|entry| &*entry.info).collect();
    let order = call_order(spec.name, &infos)?;
    *entries = order.into_iter().map(|at| entries[at].clone()).collect();
    Ok(())
}

/// A list whose hook does not matter.
#[doc(hidden)]
pub trait AnyList {
    fn spec(&self) -> &'static HookSpec;
    /// In call order, wrappers first.
    fn infos(&self) -> Vec<Arc<ImplInfo>>;
}

impl<H: Hook> AnyList for HookList<H> {
    fn spec(&self) -> &'static HookSpec {
        H::SPEC
    }

    fn infos(&self) -> Vec<Arc<ImplInfo>> {
        let wrappers = self.wrappers.iter().map(|entry| Arc::clone(&entry.info));
        wrappers.chain(self.impls.iter().map(|entry| Arc::clone(&entry.info))).collect()
    }
}

/// A shared list whose hook does not matter, to be changed.
#[doc(hidden)]
pub trait AnyListMut {
    /// Takes out every impl of the plugins, told by their ids, that `gone` is true for.
    fn remove(&mut self, gone: &dyn Fn(u64) -> bool);
}

impl<H: Hook> AnyListMut for Arc<HookList<H>> {
    fn remove(&mut self, gone: &dyn Fn(u64) -> bool) {
        if self.infos().iter().any(|info| gone(info.id)) {
            let list = Arc::make_mut(self);
            list.wrappers.retain(|entry| !gone(entry.info.id));
            list.impls.retain(|entry| !gone(entry.info.id));
            // Whoever waited for a plugin that is gone takes its own place again. With fewer plugins an order that was
            // possible stays so.
            let sorted = list.sort();
            debug_assert!(sorted.is_ok(), "{sorted:?}");
        }
    }
}

/// A plugin and the function that calls its impl.
pub(crate) struct Bound<P: ?Sized, F> {
    pub(crate) plugin: Arc<P>,
    pub(crate) call: F,
}

/// A plain function as impl.
pub(crate) struct Plain<P: ?Sized, F>(pub(crate) Bound<P, F>);

impl<H: Hook, P, F> Implement<H> for Plain<P, F>
where
    P: Send + Sync + ?Sized,
    F: for<'a> Fn(&'a P, H::Args<'a>, To<H>) -> Given<H::Output> + Send + Sync,
{
    fn call<'a>(&'a self, args: H::Args<'a>, _: Option<&mut Context<'_>>) -> Answer<'a, H::Output> {
        Ok((self.0.call)(&self.0.plugin, args, To(PhantomData)))
    }
}

/// An `async fn` as impl.
pub(crate) struct Deferred<P: ?Sized, F>(pub(crate) Bound<P, F>);

impl<H: Hook, P, F> Implement<H> for Deferred<P, F>
where
    P: Send + Sync + ?Sized,
    F: for<'a> Fn(&'a P, H::Args<'a>, To<H>, &mut Context<'_>) -> Answer<'a, H::Output> + Send + Sync,
{
    fn call<'a>(&'a self, args: H::Args<'a>, task: Option<&mut Context<'_>>) -> Answer<'a, H::Output> {
        match task {
            Some(task) => (self.0.call)(&self.0.plugin, args, To(PhantomData), task),
            None => Err(None),
        }
    }
}

/// An async wrapper.
pub(crate) struct Wrapping<P: ?Sized, F>(pub(crate) Bound<P, F>);

impl<H: Hook, P, F> Wrap<H> for Wrapping<P, F>
where
    P: Send + Sync + ?Sized,
    F: for<'a> Fn(&'a P, Frame<'a, H>, To<H>, &mut Context<'_>) -> Wrapped<'a, H> + Send + Sync,
{
    fn wrap<'a>(&'a self, frame: Frame<'a, H>, task: Option<&mut Context<'_>>) -> Wrapped<'a, H> {
        match task {
            Some(task) => (self.0.call)(&self.0.plugin, frame, To(PhantomData), task),
            None => Err(None),
        }
    }
}

/// A plain wrapper.
pub(crate) struct PlainWrapping<P: ?Sized, F>(pub(crate) Bound<P, F>);

impl<H: Hook, P, F> Wrap<H> for PlainWrapping<P, F>
where
    P: Send + Sync + ?Sized,
    F: for<'p, 'a> Fn(&'p P, SyncNext<'a, H>, To<H>) -> Outcome<H> + Send + Sync,
{
    fn wrap<'a>(&'a self, frame: Frame<'a, H>, _: Option<&mut Context<'_>>) -> Wrapped<'a, H> {
        Ok(frame.around(|next| (self.0.call)(&self.0.plugin, next, To(PhantomData))))
    }
}
