//! Calls that are remembered.

use std::sync::{Arc, Mutex};

use crow_hooks::{Closures, Outcome, RegisterError, hookimpls};

use crate::contract::{Joined, Kinds, Numbered, Told, manager};

fn listener(name: &'static str, heard: &Arc<Mutex<Vec<String>>>) -> Closures<dyn Kinds> {
    let heard = Arc::clone(heard);
    Closures::new(name)
        .on(Told)
        .sync(move |call| heard.lock().unwrap().push(format!("{name} hears of {}", call.args.who)))
}

#[test]
fn later_plugins_are_given_the_calls_they_missed_in_order() {
    let plugins = manager();
    let heard = Arc::default();
    plugins.register(listener("a", &heard)).unwrap();
    plugins.hooks().told("x".into()).unwrap();
    plugins.hooks().told("y".into()).unwrap();
    plugins.register(listener("b", &heard)).unwrap();
    assert_eq!(*heard.lock().unwrap(), ["a hears of x", "a hears of y", "b hears of x", "b hears of y"]);
    heard.lock().unwrap().clear();
    plugins.hooks().told("z".into()).unwrap();
    assert_eq!(*heard.lock().unwrap(), ["b hears of z", "a hears of z"]);
}

#[test]
fn values_go_to_the_callback_now_and_later() {
    let plugins = manager();
    let values = Arc::new(Mutex::new(Vec::new()));
    plugins.register(Closures::new("a").on(Joined).sync(|call| call.args.times)).unwrap();
    let sink = Arc::clone(&values);
    plugins.hooks().joined("x".into(), 2, move |value| sink.lock().unwrap().push(value)).unwrap();
    plugins.register(Closures::new("b").on(Joined).sync(|call| call.args.times * 10)).unwrap();
    plugins.register(Closures::new("c").on(Joined).sync(|_| None)).unwrap();
    assert_eq!(*values.lock().unwrap(), [2, 20]);
}

#[test]
fn a_call_is_heard_by_whoever_is_there_even_on_an_old_snapshot() {
    let plugins = manager();
    let heard = Arc::default();
    let old = plugins.hooks();
    plugins.register(listener("a", &heard)).unwrap();
    old.told("x".into()).unwrap();
    assert_eq!(*heard.lock().unwrap(), ["a hears of x"]);
}

#[test]
fn calls_made_during_a_replay_are_replayed_too_each_once() {
    let plugins = manager();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    plugins.hooks().told("first".into()).unwrap();
    plugins.hooks().told("second".into()).unwrap();
    let (inside, own) = (plugins.clone(), Arc::clone(&heard));
    plugins
        .register(Closures::new("a").on(Told).sync(move |call| {
            own.lock().unwrap().push(call.args.who.clone());
            if call.args.who == "first" {
                inside.hooks().told("third".into()).unwrap();
            }
        }))
        .unwrap();
    assert_eq!(*heard.lock().unwrap(), ["first", "second", "third"]);
}

#[test]
fn a_plugin_that_fails_in_a_replay_is_not_registered() {
    let plugins = manager();
    plugins.hooks().told("x".into()).unwrap();
    let error = plugins.register(Closures::new("bad").on(Told).sync(|_| Err::<(), _>(Numbered(3)))).unwrap_err();
    assert_eq!(error.to_string(), "plugin `bad` failed when `told` was replayed to it: number 3");
    assert!(!plugins.has_plugin("bad"));
}

struct Wraps;

#[hookimpls]
impl Kinds for Wraps {
    #[hookimpl(wrapper)]
    fn told(&self, mut next: crow_hooks::SyncNext<'_, Told>) -> Outcome<Told> {
        next.run()
    }
}

#[test]
fn a_historic_hook_cannot_be_wrapped() {
    assert!(matches!(manager().register(Wraps), Err(RegisterError::HistoricWrapper { hook: "told", .. })));
}
