//! Watching calls.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crow_hooks::{Closures, HookError, HookSpec, ImplInfo, ImplOutcome, Monitor, Next, Outcome, hookimpls};

use crate::contract::{Gather, Kinds, Numbered, manager};

struct Writes(&'static str, Arc<Mutex<Vec<String>>>);

impl Writes {
    fn add(&self, text: String) {
        self.1.lock().unwrap().push(format!("{}: {text}", self.0));
    }
}

impl Monitor for Writes {
    fn before_call(&self, hook: &'static HookSpec) {
        self.add(format!("call {}", hook.name));
    }
    fn after_call(&self, hook: &'static HookSpec, outcome: Option<Result<(), &HookError>>, _: Duration) {
        let outcome = match outcome {
            None => "dropped".to_owned(),
            Some(Ok(())) => "ok".to_owned(),
            Some(Err(error)) => error.to_string(),
        };
        self.add(format!("end {} {outcome}", hook.name));
    }
    fn impl_started(&self, which: &ImplInfo) {
        self.add(format!("start {}", which.plugin));
    }
    fn impl_finished(&self, which: &ImplInfo, outcome: ImplOutcome<'_>, _: Duration) {
        let outcome = match outcome {
            ImplOutcome::Value => "value",
            ImplOutcome::None => "none",
            ImplOutcome::Failed(_) => "failed",
            ImplOutcome::Cancelled => "cancelled",
            _ => "?",
        };
        self.add(format!("finish {} {outcome}", which.plugin));
    }
}

struct Wrap;

#[hookimpls]
impl Kinds for Wrap {
    #[hookimpl(wrapper)]
    async fn gather(&self, mut next: Next<'_, Gather>) -> Outcome<Gather> {
        next.run().await
    }
}

#[tokio::test]
async fn a_monitor_sees_calls_and_impls_with_their_outcomes() {
    let plugins = manager();
    let seen = Arc::default();
    plugins.register(Closures::new("a").on(Gather).sync(|_| Err::<u32, _>(Numbered(1)))).unwrap();
    plugins.register(Closures::new("b").on(Gather).later(|_| Box::pin(async { None }))).unwrap();
    plugins.register(Closures::new("c").on(Gather).sync(|_| 1)).unwrap();
    plugins.register(Wrap).unwrap();
    plugins.add_monitor(Arc::new(Writes("m", Arc::clone(&seen))));
    let hooks = plugins.hooks();
    hooks.gather("", &mut Vec::new()).await.unwrap_err();
    hooks.choose(&mut Vec::new()).await.unwrap();
    hooks.plain("", &mut Vec::new()).unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "m: call gather",
            "m: start wrap",
            "m: start c",
            "m: finish c value",
            "m: start b",
            "m: finish b none",
            "m: start a",
            "m: finish a failed",
            "m: finish wrap failed",
            "m: end gather plugin `a` failed in `gather`: number 1",
            "m: call choose",
            "m: end choose ok",
            "m: call plain",
            "m: end plain ok",
        ]
    );
}

#[tokio::test]
async fn a_dropped_call_is_seen_as_such() {
    let plugins = manager();
    let seen = Arc::default();
    plugins.register(Closures::new("slow").on(Gather).later(|_| Box::pin(std::future::pending::<u32>()))).unwrap();
    plugins.add_monitor(Arc::new(Writes("m", Arc::clone(&seen))));
    let hooks = plugins.hooks();
    let mut log = Vec::new();
    let call = hooks.gather("", &mut log);
    tokio::select! { biased; _ = call => unreachable!(), () = tokio::task::yield_now() => {} }
    assert_eq!(
        *seen.lock().unwrap(),
        ["m: call gather", "m: start slow", "m: finish slow cancelled", "m: end gather dropped"]
    );
}

#[test]
fn monitors_nest_and_are_undone_in_any_order() {
    let plugins = manager();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let one = plugins.add_monitor(Arc::new(Writes("1", Arc::clone(&seen))));
    let two = plugins.add_monitor(Arc::new(Writes("2", Arc::clone(&seen))));
    let call = || {
        seen.lock().unwrap().clear();
        plugins.hooks().plain("", &mut Vec::new()).unwrap();
        seen.lock().unwrap().clone()
    };
    assert_eq!(call(), ["1: call plain", "2: call plain", "2: end plain ok", "1: end plain ok"]);
    assert!(plugins.remove_monitor(one) && !plugins.remove_monitor(one));
    assert_eq!(call(), ["2: call plain", "2: end plain ok"]);
    assert!(plugins.remove_monitor(two));
    assert!(call().is_empty());
}

/// Adds up impls, and does not care for calls.
struct Counts(Arc<Mutex<Vec<&'static str>>>);

impl Monitor for Counts {
    fn before_call(&self, _: &'static HookSpec) {
        self.0.lock().unwrap().push("call");
    }
    fn impl_finished(&self, which: &ImplInfo, _: ImplOutcome<'_>, _: Duration) {
        self.0.lock().unwrap().push(which.hook);
    }
    fn watches_calls(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_monitor_of_impls_alone_costs_calls_without_impls_nothing() {
    let plugins = manager();
    let seen = Arc::default();
    plugins.register(Closures::new("a").on(Gather).sync(|_| 1)).unwrap();
    plugins.add_monitor(Arc::new(Counts(Arc::clone(&seen))));
    let hooks = plugins.hooks();
    hooks.gather("", &mut Vec::new()).await.unwrap();
    hooks.choose(&mut Vec::new()).await.unwrap();
    hooks.plain("", &mut Vec::new()).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["gather"]);
}
