//! Failing impls.

use std::error::Error as _;

use crow_hooks::{Closures, ErrorKind, HookError};

use crate::contract::{Choose, Gather, Numbered, Observe, PlainObserve, Survey, manager, reports, writer};

#[tokio::test]
async fn an_error_stops_the_rest_and_names_plugin_and_hook_and_keeps_its_source() {
    let plugins = manager();
    plugins.register(writer("never")).unwrap();
    plugins
        .register(Closures::new("bad").on(Gather).later(|_| Box::pin(async { Err::<u32, _>(Numbered(7)) })))
        .unwrap();
    plugins.register(writer("first")).unwrap();
    let mut log = Vec::new();
    let error = plugins.hooks().gather("", &mut log).await.unwrap_err();
    assert_eq!(log, ["first"]);
    assert_eq!(error.to_string(), "plugin `bad` failed in `gather`: number 7");
    assert_eq!((error.plugin(), error.hook(), error.kind()), ("bad", "gather", ErrorKind::Failed));
    assert_eq!(error.reason(), "number 7");
    assert_eq!(error.downcast_ref::<Numbered>(), Some(&Numbered(7)));
    assert!(error.source().is_some_and(|source| source.is::<Numbered>()));
    let error = error.downcast::<std::io::Error>().unwrap_err();
    assert_eq!(error.downcast::<Numbered>().unwrap(), Numbered(7));
}

#[tokio::test]
async fn isolated_hooks_report_and_go_on() {
    let plugins = manager();
    let reports = reports(&plugins);
    let good = |name: &'static str| {
        Closures::new(name)
            .on(Observe)
            .sync(move |call| call.args.log.push(name.into()))
            .on(PlainObserve)
            .sync(move |call| call.args.log.push(name.into()))
            .on(Survey)
            .later(|_| Box::pin(async { 1 }))
    };
    plugins.register(good("a")).unwrap();
    plugins
        .register(
            Closures::new("bad")
                .on(Observe)
                .sync(|_| Err::<(), _>(Numbered(1)))
                .on(PlainObserve)
                .sync(|_| -> () { panic!("plainly") })
                .on(Survey)
                .later(|_| Box::pin(async { if true { panic!("later") } else { 0 } })),
        )
        .unwrap();
    plugins.register(good("b")).unwrap();
    let mut log = Vec::new();
    plugins.hooks().observe(&mut log).await.unwrap();
    plugins.hooks().plain_observe(&mut log).unwrap();
    assert_eq!(log, ["b", "a", "b", "a"]);
    assert_eq!(plugins.hooks().survey(&mut log).await.unwrap(), [1, 1]);
    assert_eq!(
        *reports.lock().unwrap(),
        [
            "plugin `bad` failed in `observe`: number 1",
            "plugin `bad` panicked in `plain_observe`: plainly",
            "plugin `bad` panicked in `survey`: later"
        ]
    );
}

#[tokio::test]
async fn an_error_from_a_hook_called_inside_a_hook_is_the_source_of_the_outer_one() {
    let plugins = manager();
    plugins.register(Closures::new("inner").on(Choose).sync(|_| Err::<u32, _>(Numbered(1)))).unwrap();
    let manager = plugins.clone();
    plugins
        .register(Closures::new("outer").on(Gather).later(move |_| {
            let hooks = manager.hooks();
            Box::pin(async move { hooks.choose(&mut Vec::new()).await })
        }))
        .unwrap();
    let error = plugins.hooks().gather("", &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "plugin `outer` failed in `gather`: plugin `inner` failed in `choose`: number 1");
    assert_eq!(error.downcast_ref::<HookError>().map(HookError::plugin), Some("inner"));
}
