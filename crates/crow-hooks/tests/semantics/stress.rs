//! Many threads call, register, unregister and block at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crow_hooks::Closures;

use crate::contract::{Gather, Kinds, Plain, Told, manager};

fn plugin(name: String, told: &Arc<AtomicUsize>) -> Closures<dyn Kinds> {
    let told = Arc::clone(told);
    Closures::new(name)
        .on(Plain)
        .sync(|_| 1)
        .on(Gather)
        .later(|_| {
            Box::pin(async {
                tokio::task::yield_now().await;
                1
            })
        })
        .on(Told)
        .sync(move |_| {
            told.fetch_add(1, Ordering::Relaxed);
        })
}

#[test]
fn registration_from_many_threads_during_calls() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 150;
    let plugins = manager();
    let told = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    plugins.register(plugin("always".into(), &told)).unwrap();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    let mut calls = 0;
                    while !done.load(Ordering::Relaxed) {
                        let hooks = plugins.hooks();
                        let impls = hooks.order_of("plain").len();
                        assert_eq!(
                            hooks.plain("", &mut Vec::new()).unwrap().len(),
                            impls,
                            "a snapshot does not change"
                        );
                        let gathered = runtime.block_on(hooks.gather("", &mut Vec::new())).unwrap();
                        assert_eq!(gathered.len(), impls);
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        let changers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (plugins, told) = (&plugins, &told);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let name = format!("plugin {thread}");
                        plugins.register(plugin(name.clone(), told)).unwrap();
                        assert!(plugins.register(plugin(name.clone(), told)).is_err());
                        if round % 3 == 0 {
                            plugins.block(name.clone());
                            assert_eq!(plugins.register(plugin(name.clone(), told)).unwrap(), None);
                            assert!(plugins.unblock(&name));
                        } else {
                            assert!(plugins.unregister(&name));
                        }
                    }
                })
            })
            .collect();
        for changer in changers {
            changer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for caller in callers {
            assert!(caller.join().unwrap() > 0);
        }
    });
    assert_eq!(plugins.names().len(), 1);
}

#[test]
fn every_plugin_hears_of_every_historic_call_exactly_once() {
    const CALLS: usize = 100;
    const PLUGINS: usize = 100;
    let plugins = manager();
    let heard: Vec<_> = (0..PLUGINS).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            for call in 0..CALLS {
                plugins.hooks().told(call.to_string()).unwrap();
            }
        });
        for half in [&heard[..PLUGINS / 2], &heard[PLUGINS / 2..]] {
            let (plugins, all) = (&plugins, &heard);
            scope.spawn(move || {
                for count in half {
                    let at = all.iter().position(|other| Arc::ptr_eq(other, count)).unwrap();
                    plugins.register(plugin(format!("plugin {at}"), count)).unwrap();
                }
            });
        }
    });
    for count in &heard {
        assert_eq!(count.load(Ordering::Relaxed), CALLS);
    }
}
