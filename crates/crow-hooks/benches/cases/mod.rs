//! What is measured: each case does one thing `times` times.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    future::poll_fn,
    hint::black_box,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crow_hooks::{BoxFuture, Closures, Next, Outcome, PluginManager, hookimpls, hookspecs};
use tower::{Layer, Service};

/// The contract that is measured.
#[hookspecs(project = "bench")]
pub trait Bench {
    /// Async, without output.
    async fn notify(number: &u64);
    /// Sync, without output.
    fn plain(number: &u64);
    /// Async, collects.
    async fn gather(number: &u64) -> u64;
    /// Async, without output; the impls could wait.
    async fn look(number: &u64);
    /// Async, wrapped.
    async fn wrapped(number: &u64);
}

/// Runs a future that never waits. Inlined everywhere, as `.await` is: floors and calls are then moved equally little.
#[inline(always)]
#[allow(clippy::inline_always)] // otherwise it depends on how often a case uses it
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn hooks(plugin: impl Fn() -> Closures<dyn Bench>, count: usize) -> BenchRelay {
    let plugins = PluginManager::<dyn Bench>::new();
    for at in 0..count {
        plugins.register_as(format!("plugin {at}"), plugin()).expect("names differ");
    }
    plugins.hooks()
}

fn closures() -> Closures<dyn Bench> {
    Closures::new("bench")
}

struct Around;

#[hookimpls]
impl Bench for Around {
    #[hookimpl(wrapper)]
    async fn wrapped(&self, mut next: Next<'_, Wrapped>) -> Outcome<Wrapped> {
        next.run().await
    }
}

/// A plugin as `#[hookimpls]` makes it.
struct Written;

#[hookimpls]
impl Bench for Written {
    fn plain(&self, number: &u64) {
        black_box(number);
    }

    #[hookimpl(specname = "notify")]
    fn notify_at_once(&self, number: &u64) {
        black_box(number);
    }

    async fn gather(&self, number: &u64) -> u64 {
        *black_box(number)
    }

    async fn look(&self, number: &u64) {
        black_box(number);
        perhaps().await;
    }
}

/// Is ready at once, which the compiler cannot know: a future that awaits it has to be kept somewhere.
async fn perhaps() {
    poll_fn(|_| black_box(Poll::Ready(()))).await;
}

struct WrittenLater;

#[hookimpls]
impl Bench for WrittenLater {
    async fn notify(&self, number: &u64) {
        black_box(number);
    }
}

fn written(count: usize) -> BenchRelay {
    let plugins = PluginManager::<dyn Bench>::new();
    for at in 0..count {
        plugins.register_as(format!("plugin {at}"), Written).expect("names differ");
    }
    plugins.hooks()
}

fn written_later(count: usize) -> BenchRelay {
    let plugins = PluginManager::<dyn Bench>::new();
    for at in 0..count {
        plugins.register_as(format!("plugin {at}"), WrittenLater).expect("names differ");
    }
    plugins.hooks()
}

/// One thing, `times` times.
pub type Run = Box<dyn Fn(u64)>;

fn repeat(each: impl Fn(&u64) + 'static) -> Run {
    Box::new(move |times| {
        for number in 0..times {
            each(black_box(&number));
        }
    })
}

/// A call of a hook that nobody implements.
pub fn no_impls() -> Run {
    let hooks = hooks(closures, 0);
    repeat(move |number| now(hooks.notify(number)).expect("nobody fails"))
}

/// A call of a sync hook that nobody implements.
pub fn no_impls_plain() -> Run {
    let hooks = hooks(closures, 0);
    repeat(move |number| hooks.plain(number).expect("nobody fails"))
}

/// The floor of no impls: an empty loop over `dyn Fn`.
pub fn floor_no_impls() -> Run {
    floor_sync(0)
}

/// Sync impls of an async hook.
pub fn sync_impls(count: usize) -> Run {
    let hooks = written(count);
    repeat(move |number| now(hooks.notify(number)).expect("nobody fails"))
}

/// Sync impls of a sync hook.
pub fn plain_impls(count: usize) -> Run {
    let hooks = written(count);
    repeat(move |number| hooks.plain(number).expect("nobody fails"))
}

/// The floor of sync impls: a loop over boxed `dyn Fn`.
pub fn floor_sync(count: usize) -> Run {
    type Each = Box<dyn Fn(&u64)>;
    let all: Vec<Each> = (0..count)
        .map(|_| {
            Box::new(|number: &u64| {
                black_box(number);
            }) as _
        })
        .collect();
    repeat(move |number| black_box(&all).iter().for_each(|each| each(number)))
}

/// Async impls that are ready at once.
pub fn async_impls(count: usize) -> Run {
    let hooks = written_later(count);
    repeat(move |number| now(hooks.notify(number)).expect("nobody fails"))
}

/// Async impls that give values.
pub fn gathering(count: usize) -> Run {
    let hooks = written(count);
    repeat(move |number| drop(black_box(now(hooks.gather(number)).expect("nobody fails"))))
}

/// Async impls that are ready at once and could have waited.
pub fn looking(count: usize) -> Run {
    let hooks = written(count);
    repeat(move |number| now(hooks.look(number)).expect("nobody fails"))
}

/// The floor of those: boxed futures that do the same.
pub fn floor_looking(count: usize) -> Run {
    let each = || -> Later {
        Box::new(|number| {
            Box::pin(async move {
                black_box(number);
                perhaps().await;
            })
        })
    };
    let all: Vec<Later> = (0..count).map(|_| each()).collect();
    repeat(move |number| {
        now(async {
            for each in &all {
                each(number).await;
            }
        });
    })
}

type Later = Box<dyn for<'a> Fn(&'a u64) -> BoxFuture<'a, ()>>;

/// The floor of async impls: boxed futures awaited in a loop.
pub fn floor_async(count: usize) -> Run {
    let each = || -> Later {
        Box::new(|number| {
            Box::pin(async move {
                {
                    black_box(number);
                }
            })
        })
    };
    let all: Vec<Later> = (0..count).map(|_| each()).collect();
    repeat(move |number| {
        now(async {
            for each in &all {
                each(number).await;
            }
        });
    })
}

/// The floor of gathering: boxed futures, their values pushed into a list.
pub fn floor_gathering(count: usize) -> Run {
    type Gives = Box<dyn for<'a> Fn(&'a u64) -> BoxFuture<'a, u64>>;
    let each = || -> Gives { Box::new(|number| Box::pin(async move { *black_box(number) })) };
    let all: Vec<Gives> = (0..count).map(|_| each()).collect();
    repeat(move |number| {
        let values = now(async {
            let mut values = Vec::new();
            for each in &all {
                values.push(each(number).await);
            }
            values
        });
        drop(black_box(values));
    })
}

/// `count` wrappers around one sync impl.
pub fn wrappers(count: usize) -> Run {
    let plugins = PluginManager::<dyn Bench>::new();
    plugins
        .register(closures().on(Wrapped).sync(|call| {
            black_box(call.args.number);
        }))
        .expect("first");
    for at in 0..count {
        plugins.register_as(format!("wrapper {at}"), Around).expect("names differ");
    }
    let hooks = plugins.hooks();
    repeat(move |number| now(hooks.wrapped(number)).expect("nobody fails"))
}

/// A trait as `async_trait` makes it, with a default that does nothing.
trait Hooked {
    fn notify<'a>(&'a self, _: &'a u64) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

struct Implements;

impl Hooked for Implements {
    fn notify<'a>(&'a self, number: &'a u64) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            {
                black_box(number);
            }
        })
    }
}

struct Ignores;

impl Hooked for Ignores {}

/// Plugins as trait objects with default methods; `implementing` of `count` do something.
pub fn async_trait(count: usize, implementing: usize) -> Run {
    let plugin = |at| if at < implementing { Arc::new(Implements) as Arc<dyn Hooked> } else { Arc::new(Ignores) };
    let all: Vec<_> = (0..count).map(plugin).collect();
    repeat(move |number| {
        now(async {
            for each in &all {
                each.notify(number).await;
            }
        });
    })
}

/// The same plugins with hooks: who implements nothing costs nothing.
pub fn async_hooks(count: usize, implementing: usize) -> Run {
    let plugins = PluginManager::<dyn Bench>::new();
    for at in 0..count {
        let name = format!("plugin {at}");
        if at < implementing { plugins.register_as(name, WrittenLater) } else { plugins.register_as(name, closures()) }
            .expect("names differ");
    }
    let hooks = plugins.hooks();
    repeat(move |number| now(hooks.notify(number)).expect("nobody fails"))
}

/// One layer of `tower`: passes on, boxed as services that plugins bring must be.
struct Pass;

struct Passing(BoxService);

type BoxService =
    Box<dyn Service<u64, Response = (), Error = (), Future = Pin<Box<dyn Future<Output = Result<(), ()>>>>>>;

impl Layer<BoxService> for Pass {
    type Service = Passing;

    fn layer(&self, inner: BoxService) -> Passing {
        Passing(inner)
    }
}

impl Service<u64> for Passing {
    type Response = ();
    type Error = ();
    type Future = Pin<Box<dyn Future<Output = Result<(), ()>>>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.0.poll_ready(task)
    }

    fn call(&mut self, number: u64) -> Self::Future {
        let inner = self.0.call(number);
        Box::pin(inner)
    }
}

struct Innermost;

impl Service<u64> for Innermost {
    type Response = ();
    type Error = ();
    type Future = Pin<Box<dyn Future<Output = Result<(), ()>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u64) -> Self::Future {
        Box::pin(async move {
            black_box(number);
            Ok(())
        })
    }
}

/// `count` layers around one service.
pub fn tower_layers(count: usize) -> Run {
    let mut service: BoxService = Box::new(Innermost);
    for _ in 0..count {
        service = Box::new(Pass.layer(service));
    }
    let service = std::cell::RefCell::new(service);
    repeat(move |number| {
        let mut service = service.borrow_mut();
        let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        assert!(ready.is_ready());
        now(service.call(*number)).expect("nobody fails");
    })
}

type Listener = Box<dyn Fn(&dyn Any)>;

/// An event bus: listeners by the type of the event.
pub fn event_bus(count: usize) -> Run {
    let listener = || -> Listener {
        Box::new(|event| {
            black_box(event.downcast_ref::<u64>());
        })
    };
    let listeners: Vec<Listener> = (0..count).map(|_| listener()).collect();
    let bus: HashMap<TypeId, Vec<Listener>> = HashMap::from([(TypeId::of::<u64>(), listeners)]);
    repeat(move |number| {
        for listener in bus.get(&TypeId::of::<u64>()).into_iter().flatten() {
            listener(number);
        }
    })
}
