//! The impls of one hook, in call order.

use std::{marker::PhantomData, sync::Arc, task::Context};

use crate::{
    BoxError, BoxFuture, Collect, ImplInfo, Outcome, RegisterError,
    answer::{Answer, Given, To},
    call::Cx,
    hook::{Hook, HookSpec},
    next::{Frame, SyncNext, Wrapped},
    order::{Arranged, arranged, left},
};

/// An impl, whatever its plugin's type.
pub(crate) trait Implement<H: Hook>: Send + Sync {
    /// With a task, an `async fn` is called and polled for the first time.
    fn call<'a>(&'a self, args: H::Args<'a>, task: Option<&mut Context<'_>>) -> Answer<'a, H::Output>;
}

/// An impl's turn in a call. It puts its value where the call collects them, so that no value is handed about.
pub(crate) trait Act<H: Hook>: Send + Sync {
    /// With a task, an `async fn` is called and polled for the first time.
    fn act<'a>(
        &'a self,
        args: H::Args<'a>,
        task: Option<&mut Context<'_>>,
        out: &mut H::Collected,
    ) -> Turn<'a, H::Output>;
}

/// How a turn ended. It fits into two registers: going through memory would cost more than all the rest.
pub(crate) enum Turn<'a, T> {
    /// With a value.
    Value,
    /// Without one. (Next to `Value`, so that both are told apart from the rest by one comparison.)
    None,
    /// With a value that ends the call.
    Last,
    /// In any other way.
    Rare(Box<Rare<'a, T>>),
}

/// How else a turn can end.
pub(crate) enum Rare<'a, T> {
    /// With an error.
    Failed(BoxError),
    /// It has to wait and has been polled once.
    Waits(BoxFuture<'a, Given<T>>),
    /// It would have to be awaited, and there is no task to do that in.
    NotSync,
}

impl<H: Hook, I: Implement<H>> Act<H> for I {
    #[inline]
    fn act<'a>(
        &'a self,
        args: H::Args<'a>,
        task: Option<&mut Context<'_>>,
        out: &mut H::Collected,
    ) -> Turn<'a, H::Output> {
        match self.call(args, task) {
            Ok(Ok(Some(value))) => {
                if out.add(value) {
                    Turn::Value
                } else {
                    Turn::Last
                }
            }
            Ok(Ok(None)) => Turn::None,
            Ok(Err(error)) => Turn::Rare(Box::new(Rare::Failed(error))),
            Err(Some(future)) => Turn::Rare(Box::new(Rare::Waits(future))),
            Err(None) => Turn::Rare(Box::new(Rare::NotSync)),
        }
    }
}

/// A wrapper, whatever its plugin's type.
pub(crate) trait Wrap<H: Hook>: Send + Sync {
    /// With a task, an async wrapper is called and polled for the first time.
    fn wrap<'a>(&'a self, frame: Frame<'a, H>, task: Option<&mut Context<'_>>) -> Wrapped<'a, H>;
}

/// A wrapper's turn in a call. (What makes a call's frame is compiled together with what takes it: it is not moved.)
pub(crate) trait Surround<H: Hook>: Send + Sync {
    /// With a task, an async wrapper is called and polled for the first time. `level` is its place among the wrappers.
    fn surround<'a>(
        &'a self,
        cx: &Cx<'a, H>,
        level: usize,
        args: H::Args<'a>,
        task: Option<&mut Context<'_>>,
    ) -> Wrapped<'a, H>;
}

impl<H: Hook, W: Wrap<H>> Surround<H> for W {
    #[inline]
    fn surround<'a>(
        &'a self,
        cx: &Cx<'a, H>,
        level: usize,
        args: H::Args<'a>,
        task: Option<&mut Context<'_>>,
    ) -> Wrapped<'a, H> {
        self.wrap(Frame::new(*cx, level, args), task)
    }
}

/// An impl or a wrapper, and who it is.
pub(crate) struct Entry<R: ?Sized> {
    pub(crate) info: Arc<ImplInfo>,
    pub(crate) run: Arc<R>,
    /// It may have to be awaited: then it cannot borrow the arguments from the stack.
    pub(crate) deferred: bool,
}

/// The impls of one hook in call order: wrappers, then the rest.
///
/// A list never changes; a changed one is put in its place. All that needs no types happens to `infos` in
/// [`order`](crate::order), once for all hooks: what is written here is compiled anew for each.
#[doc(hidden)]
pub struct HookList<H: Hook> {
    pub(crate) wrappers: Vec<Entry<dyn Surround<H>>>,
    pub(crate) impls: Vec<Entry<dyn Act<H>>>,
    /// The same as data: wrappers, then the rest.
    infos: Vec<Arc<ImplInfo>>,
}

impl<H: Hook> std::fmt::Debug for HookList<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.infos.fmt(f)
    }
}

impl<H: Hook> Default for HookList<H> {
    fn default() -> Self {
        Self { wrappers: Vec::new(), impls: Vec::new(), infos: Vec::new() }
    }
}

impl<H: Hook> HookList<H> {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }

    /// The list with one more impl.
    pub(crate) fn with_impl(&self, entry: &Entry<dyn Act<H>>) -> Result<Self, RegisterError> {
        let (wrappers, impls) = self.infos.split_at(self.wrappers.len());
        let order = arranged(H::SPEC, wrappers.to_vec(), with(impls, &entry.info))?;
        Ok(self.picked(order, None, Some(entry)))
    }

    /// The list with one more wrapper.
    pub(crate) fn with_wrapper(&self, entry: &Entry<dyn Surround<H>>) -> Result<Self, RegisterError> {
        let (wrappers, impls) = self.infos.split_at(self.wrappers.len());
        let order = arranged(H::SPEC, with(wrappers, &entry.info), impls.to_vec())?;
        Ok(self.picked(order, Some(entry), None))
    }

    fn picked(
        &self,
        order: Arranged,
        wrapper: Option<&Entry<dyn Surround<H>>>,
        entry: Option<&Entry<dyn Act<H>>>,
    ) -> Self {
        Self {
            wrappers: pick(&self.wrappers, wrapper, &order.wrappers),
            impls: pick(&self.impls, entry, &order.impls),
            infos: order.infos,
        }
    }
}

fn with(infos: &[Arc<ImplInfo>], one: &Arc<ImplInfo>) -> Vec<Arc<ImplInfo>> {
    let mut infos = infos.to_vec();
    infos.push(Arc::clone(one));
    infos
}

/// The entries at these positions; `extra` is at the one behind the last.
fn pick<R: ?Sized>(entries: &[Entry<R>], extra: Option<&Entry<R>>, order: &[usize]) -> Vec<Entry<R>> {
    let mut picked = Vec::with_capacity(order.len());
    for &at in order {
        let entry = if at < entries.len() { Some(&entries[at]) } else { extra };
        if let Some(Entry { info, run, deferred }) = entry {
            picked.push(Entry { info: Arc::clone(info), run: Arc::clone(run), deferred: *deferred });
        }
    }
    picked
}

/// A list whose hook does not matter.
#[doc(hidden)]
pub trait AnyList {
    fn spec(&self) -> &'static HookSpec;
    /// In call order, wrappers first.
    fn infos(&self) -> &[Arc<ImplInfo>];
}

impl<H: Hook> AnyList for HookList<H> {
    fn spec(&self) -> &'static HookSpec {
        H::SPEC
    }

    fn infos(&self) -> &[Arc<ImplInfo>] {
        &self.infos
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
        if let Some(order) = left(H::SPEC, &self.infos, self.wrappers.len(), gone) {
            *self = Arc::new(self.picked(order, None, None));
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
