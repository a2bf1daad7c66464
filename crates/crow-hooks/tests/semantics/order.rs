//! Tiers, last in first out, named order.

use crow_hooks::{Closures, RegisterError, Tier, hookimpls};

use crate::contract::{Gather, Kinds, gathered, manager, writer};

fn placed(name: &'static str, tier: Tier) -> Closures<dyn Kinds> {
    let on = Closures::new(name).on(Gather);
    let on = match tier {
        Tier::First => on.tryfirst(),
        Tier::Plain => on,
        Tier::Last => on.trylast(),
    };
    on.sync(move |call| {
        call.args.log.push(name.into());
        None::<u32>
    })
}

#[tokio::test]
async fn the_last_registered_is_called_first_within_tryfirst_and_plain_and_last_within_trylast() {
    let plugins = manager();
    for (name, tier) in [
        ("p1", Tier::Plain),
        ("l1", Tier::Last),
        ("f1", Tier::First),
        ("p2", Tier::Plain),
        ("l2", Tier::Last),
        ("f2", Tier::First),
    ] {
        plugins.register(placed(name, tier)).unwrap();
    }
    assert_eq!(gathered(&plugins).await, ["f2", "f1", "p2", "p1", "l1", "l2"]);
}

#[tokio::test]
async fn a_plugin_that_comes_back_is_the_latest() {
    let plugins = manager();
    for name in ["a", "b", "c"] {
        plugins.register(writer(name)).unwrap();
    }
    assert!(plugins.unregister("b"));
    plugins.register(writer("b")).unwrap();
    assert_eq!(gathered(&plugins).await, ["b", "c", "a"]);
}

fn ordered(name: &'static str, before: &[&str], after: &[&str]) -> Closures<dyn Kinds> {
    let mut on = Closures::new(name).on(Gather);
    for other in before {
        on = on.before(*other);
    }
    for other in after {
        on = on.after(*other);
    }
    on.sync(move |call| {
        call.args.log.push(name.into());
        None::<u32>
    })
}

#[tokio::test]
async fn a_named_order_holds_whoever_comes_first() {
    for names in [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"]] {
        let plugins = manager();
        for name in names {
            let plugin = match name {
                "a" => ordered("a", &["b"], &[]),
                "c" => ordered("c", &[], &["b"]),
                _ => ordered("b", &[], &[]),
            };
            plugins.register(plugin).unwrap();
        }
        assert_eq!(gathered(&plugins).await, ["a", "b", "c"], "registered in the order {names:?}");
    }
}

#[tokio::test]
async fn when_a_plugin_goes_whoever_waited_for_it_takes_its_own_place_again() {
    let plugins = manager();
    plugins.register(ordered("slow", &[], &[])).unwrap();
    plugins.register(ordered("x", &[], &[])).unwrap();
    plugins.register(ordered("waits", &[], &["slow"])).unwrap();
    assert_eq!(gathered(&plugins).await, ["x", "slow", "waits"]);
    plugins.unregister("slow");
    assert_eq!(gathered(&plugins).await, ["waits", "x"]);
}

#[tokio::test]
async fn an_absent_plugin_constrains_nothing() {
    let plugins = manager();
    plugins.register(ordered("a", &["nobody"], &["no one"])).unwrap();
    assert_eq!(gathered(&plugins).await, ["a"]);
}

#[tokio::test]
async fn a_cycle_is_an_error_that_names_it_and_leaves_nothing_behind() {
    let plugins = manager();
    plugins.register(ordered("a", &["b"], &[])).unwrap();
    plugins.register(ordered("b", &["c"], &[])).unwrap();
    let error = plugins.register(ordered("c", &["a"], &[])).unwrap_err();
    let RegisterError::Cycle { hook: "gather", .. } = &error else { panic!("{error:?}") };
    let text = error.to_string();
    assert!(
        [
            "`a` before `b` before `c` before `a`",
            "`b` before `c` before `a` before `b`",
            "`c` before `a` before `b` before `c`"
        ]
        .iter()
        .any(|cycle| text.contains(cycle)),
        "{text}"
    );
    assert!(!plugins.has_plugin("c"));
    assert_eq!(gathered(&plugins).await, ["a", "b"]);
}

#[test]
fn a_named_order_across_tiers_is_an_error_if_the_tiers_contradict_it() {
    let plugins = manager();
    plugins.register(placed("early", Tier::First)).unwrap();
    let error = plugins.register(ordered("late", &["early"], &[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`late` cannot run before `early` in hook `gather`: its tier (wrapper, tryfirst, plain, trylast) comes later"
    );
    plugins.register(ordered("late", &[], &["early"])).unwrap();
}

struct Two;

#[hookimpls]
impl Kinds for Two {
    fn gather(&self, log: &mut Vec<String>) -> Option<u32> {
        log.push("first written".into());
        None
    }

    #[hookimpl(specname = "gather")]
    async fn again(&self, log: &mut Vec<String>) -> Option<u32> {
        log.push("second written".into());
        None
    }
}

#[tokio::test]
async fn one_plugin_may_implement_a_hook_twice() {
    let plugins = manager();
    plugins.register(Two).unwrap();
    assert_eq!(gathered(&plugins).await, ["second written", "first written"]);
    assert!(plugins.unregister("two"));
    assert!(gathered(&plugins).await.is_empty());
}

#[test]
fn the_effective_order_is_data() {
    let plugins = manager();
    plugins.register(placed("x", Tier::Last)).unwrap();
    plugins.register(Two).unwrap();
    let order = plugins.hooks().order_of("gather");
    let shown: Vec<_> = order.iter().map(|info| (&*info.plugin, &*info.method, info.tier, info.wrapper)).collect();
    assert_eq!(
        shown,
        [
            ("two", "again", Tier::Plain, false),
            ("two", "gather", Tier::Plain, false),
            ("x", "gather", Tier::Last, false)
        ]
    );
    assert_eq!(order[1].args, ["log"]);
    assert!(plugins.hooks().order_of("no such hook").is_empty());
}
