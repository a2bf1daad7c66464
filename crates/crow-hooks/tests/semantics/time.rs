//! Wall-clock budgets by the host's timer. Tokio's clock is paused: nothing here takes real time, except where a
//! plain function blocks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crow_hooks::{BoxFuture, Closures, ErrorKind, Next, Outcome, Timer, hookimpls};

use crate::contract::{Endless, Gather, Kinds, Limited, Plain, manager, reports};

struct Clock(Arc<AtomicU32>);

impl Timer for Clock {
    fn wait(&self, budget: Duration) -> BoxFuture<'static, ()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(tokio::time::sleep(budget))
    }
}

fn slow(time: u64) -> Closures<dyn Kinds> {
    let wait = move || {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(time)).await;
            1
        })
    };
    Closures::new("slow")
        .on(Gather)
        .later(move |_| wait())
        .on(Limited)
        .later(move |_| wait())
        .on(Endless)
        .later(move |_| wait())
}

#[tokio::test(start_paused = true)]
async fn the_hooks_budget_comes_before_the_managers() {
    let plugins = manager();
    plugins.limit_time(Clock(Arc::default()), Some(Duration::from_millis(500)));
    plugins.register(slow(100)).unwrap();
    let hooks = plugins.hooks();
    assert_eq!(hooks.gather("", &mut Vec::new()).await.unwrap(), [1]);
    let error = hooks.limited().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut(Duration::from_millis(50)));
    assert_eq!(error.to_string(), "plugin `slow` ran out of time in `limited`: it took longer than the 50ms it has");
    plugins.unregister("slow");
    plugins.register(slow(5_000)).unwrap();
    let hooks = plugins.hooks();
    assert_eq!(
        hooks.gather("", &mut Vec::new()).await.unwrap_err().kind(),
        ErrorKind::TimedOut(Duration::from_millis(500))
    );
    assert_eq!(hooks.endless().await.unwrap(), [1]);
}

struct Own;

#[hookimpls(budget = "1s")]
impl Kinds for Own {
    async fn limited(&self) -> u32 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        2
    }

    #[hookimpl(budget = "10ms")]
    async fn endless(&self) -> u32 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        2
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugins_own_budget_comes_first() {
    let plugins = manager();
    plugins.limit_time(Clock(Arc::default()), None);
    plugins.register(Own).unwrap();
    assert_eq!(plugins.hooks().limited().await.unwrap(), [2]);
    assert!(plugins.hooks().endless().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn impls_that_are_ready_at_once_need_no_timer() {
    let plugins = manager();
    let made = Arc::new(AtomicU32::new(0));
    plugins.limit_time(Clock(Arc::clone(&made)), Some(Duration::from_secs(1)));
    plugins.register(Closures::new("quick").on(Limited).later(|_| Box::pin(async { 1 }))).unwrap();
    plugins.hooks().limited().await.unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 0);
}

struct SlowWrapper;

#[hookimpls(budget = "20ms")]
impl Kinds for SlowWrapper {
    #[hookimpl(wrapper)]
    async fn endless(&self, mut next: Next<'_, Endless>) -> Outcome<Endless> {
        let inner = next.run().await?;
        if inner == [1] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        } else {
            std::future::pending::<()>().await;
        }
        Ok(inner)
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrappers_time_does_not_include_what_it_wraps() {
    let plugins = manager();
    plugins.limit_time(Clock(Arc::default()), None);
    plugins.register(SlowWrapper).unwrap();
    assert_eq!(plugins.hooks().endless().await.unwrap_err().plugin(), "slow-wrapper");
    plugins.register(slow(10_000)).unwrap();
    assert_eq!(plugins.hooks().endless().await.unwrap(), [1]);
}

#[test]
fn a_plain_function_that_blocks_is_reported_not_interrupted() {
    let plugins = manager();
    let reports = reports(&plugins);
    plugins.limit_time(Clock(Arc::default()), Some(Duration::from_nanos(1)));
    plugins
        .register(Closures::new("blocker").on(Plain).sync(|_| {
            std::thread::sleep(Duration::from_millis(2));
            1
        }))
        .unwrap();
    assert_eq!(plugins.hooks().plain("", &mut Vec::new()).unwrap(), [1]);
    let reports = reports.lock().unwrap();
    assert!(reports[0].starts_with("plugin `blocker` is slow in `plain`: it blocked its thread for"), "{reports:?}");
}
