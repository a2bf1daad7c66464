//! Names, blocking, looking up, and changing things while calls are under way.

use std::sync::Arc;

use crow_hooks::{Closures, PluginInfo, RegisterError, hookimpls};

use crate::contract::{Gather, Kinds, Old, gathered, manager, writer};

struct Named {
    number: u32,
}

#[hookimpls]
impl Kinds for Named {
    fn gather(&self) -> u32 {
        self.number
    }
}

struct HTTPServer2Plugin;

#[hookimpls(version = "9.9")]
impl Kinds for HTTPServer2Plugin {}

#[test]
fn a_plugin_has_a_name_a_version_and_can_be_found_again() {
    let plugins = manager();
    assert_eq!(plugins.register(Named { number: 4 }).unwrap().as_deref(), Some("named"));
    plugins.register(HTTPServer2Plugin).unwrap();
    assert_eq!(plugins.names().iter().map(|name| &**name).collect::<Vec<_>>(), ["named", "http-server2-plugin"]);
    assert_eq!(plugins.get_plugin::<Named>("named").unwrap().number, 4);
    assert!(plugins.get_plugin::<HTTPServer2Plugin>("named").is_none(), "another type");
    assert!(plugins.get_plugin::<Named>("nobody").is_none());
    let (name, found) = plugins.find_plugin::<Named>().unwrap();
    assert_eq!((&*name, found.number), ("named", 4));
    assert_eq!(plugins.name(&found).as_deref(), Some("named"));
    assert_eq!(plugins.name(&Arc::new(Named { number: 4 })), None, "another one of the same type");
    let listed = plugins.list();
    assert_eq!((&*listed[0].info.name, listed[0].hooks.as_slice()), ("named", ["gather"].as_slice()));
    assert_eq!(listed[0].info.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!((listed[1].info.version.as_deref(), listed[1].info.api), (Some("9.9"), 3));
    assert!(listed[1].hooks.is_empty());
}

#[test]
fn registering_twice_names_both() {
    let plugins = manager();
    plugins.register(Named { number: 1 }).unwrap();
    let error = plugins.register_as("named", HTTPServer2Plugin).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Named") && text.contains("HTTPServer2Plugin 9.9") && text.contains("`named`"), "{text}");

    let shared = Arc::new(Named { number: 2 });
    plugins.register_as("one", Arc::clone(&shared)).unwrap();
    let error = plugins.register_as("two", shared).unwrap_err();
    assert_eq!(error, RegisterError::AlreadyRegistered { name: "two".into(), registered_as: "one".into() });
    plugins.register_as("three", Named { number: 2 }).unwrap();
}

#[tokio::test]
async fn plugins_can_be_held_in_lists() {
    fn plugin() -> Arc<dyn Kinds> {
        Arc::new(Named { number: 3 })
    }
    let plugins = manager();
    plugins.register(plugin()).unwrap();
    assert_eq!(plugins.get_plugin::<Named>("named").unwrap().number, 3, "under the trait object is the type");
    assert_eq!(plugins.hooks().gather("", &mut Vec::new()).await.unwrap(), [3]);
}

#[tokio::test]
async fn blocking_takes_out_and_keeps_out() {
    let plugins = manager();
    plugins.register(writer("a")).unwrap();
    plugins.block("a");
    assert!(plugins.is_blocked("a") && !plugins.has_plugin("a"));
    assert_eq!(plugins.register(writer("a")).unwrap(), None);
    assert!(gathered(&plugins).await.is_empty());
    assert_eq!(plugins.blocked().iter().map(|name| &**name).collect::<Vec<_>>(), ["a"]);
    assert!(plugins.unblock("a") && !plugins.unblock("a"));
    plugins.register(writer("a")).unwrap();
    assert_eq!(gathered(&plugins).await, ["a"]);
    assert!(!plugins.unregister("nobody"));
}

#[tokio::test]
async fn a_call_under_way_keeps_the_plugins_it_began_with() {
    let plugins = manager();
    plugins.register(writer("victim")).unwrap();
    let inside = plugins.clone();
    plugins
        .register(Closures::new("changer").on(Gather).sync(move |call| {
            assert!(inside.unregister("victim"));
            inside.register(writer("newcomer")).unwrap();
            call.args.log.push("changer".into());
            None
        }))
        .unwrap();
    assert_eq!(gathered(&plugins).await, ["changer", "victim"]);
    assert!(plugins.unregister("changer"));
    assert_eq!(gathered(&plugins).await, ["newcomer"]);
}

#[tokio::test]
async fn a_snapshot_does_not_change() {
    let plugins = manager();
    let before = plugins.hooks();
    plugins.register(writer("a")).unwrap();
    assert!(!before.has_impls(Gather) && plugins.hooks().has_impls(Gather));
    let mut log = Vec::new();
    before.gather("", &mut log).await.unwrap();
    assert!(log.is_empty());
}

#[tokio::test]
async fn some_calls_may_go_without_some_plugins_or_with_others() {
    let plugins = manager();
    for name in ["a", "b", "c"] {
        plugins.register(writer(name)).unwrap();
    }
    let first = Closures::new("first").on(Gather).tryfirst().sync(|call| {
        call.args.log.push("first".into());
        None
    });
    plugins.register(first).unwrap();
    let mut log = Vec::new();
    plugins.hooks().without(&["b", "nobody"]).gather("", &mut log).await.unwrap();
    assert_eq!(log, ["first", "c", "a"]);
    log.clear();
    let extra = plugins.hooks().with_extra(writer("x")).unwrap().with_extra(writer("y")).unwrap();
    extra.gather("", &mut log).await.unwrap();
    assert_eq!(log, ["first", "y", "x", "c", "b", "a"]);
    assert_eq!(gathered(&plugins).await, ["first", "c", "b", "a"]);
}

/// Another contract, with a hook of the same name.
mod other {
    #[crow_hooks::hookspecs(project = "other")]
    pub trait Others {
        /// Also gathers.
        fn gather(n: u32) -> u32;
    }
}

#[hookimpls]
impl other::Others for Named {
    #[hookimpl(specname = "gather")]
    fn gather_other(&self, n: u32) -> u32 {
        self.number + n
    }
}

#[tokio::test]
async fn one_type_may_serve_several_contracts_with_the_same_state() {
    let (one, other) = (manager(), crow_hooks::PluginManager::<dyn other::Others>::new());
    let plugin = Arc::new(Named { number: 5 });
    one.register(Arc::clone(&plugin)).unwrap();
    other.register(plugin).unwrap();
    assert_eq!(one.hooks().gather("", &mut Vec::new()).await.unwrap(), [5]);
    assert_eq!(other.hooks().gather(10).unwrap(), [15]);
}

#[test]
fn a_plugin_for_another_version_is_refused_in_words() {
    let plugins = manager();
    let error = plugins
        .add_dyn::<crate::dynamic::Json>(crow_hooks::DynPlugin {
            info: PluginInfo::new("ancient", 2),
            context: Arc::new(()),
            impls: Vec::new(),
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `ancient` was made for version 2 of the hooks of kinds, but this is version 3: update the plugin"
    );
}

#[test]
fn deprecated_hooks_and_arguments_warn_whoever_implements_them() {
    struct Outdated;
    #[hookimpls]
    impl Kinds for Outdated {
        fn old(&self, a: u32) {
            let _ = a;
        }
    }
    let plugins = manager();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    plugins.on_deprecation(move |warning| {
        sink.lock().unwrap().push((warning.plugin.to_string(), warning.argument, warning.text))
    });
    plugins.register(Outdated).unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [("outdated".to_owned(), None, "use `gather`"), ("outdated".to_owned(), Some("a"), "`a` will go")]
    );
    plugins.register(Closures::new("b").on(Old).sync(|_| ())).unwrap();
    assert_eq!(seen.lock().unwrap().len(), 3, "a closure takes no argument by name");
}

/// A plugin may be dropped in any thread; it may use the manager meanwhile.
#[test]
fn a_plugin_that_uses_the_manager_while_it_is_dropped_does_no_harm() {
    struct Last(crow_hooks::PluginManager<dyn Kinds>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.block("dropped");
        }
    }
    #[hookimpls]
    impl Kinds for Last {}
    let plugins = manager();
    plugins.register(Last(plugins.clone())).unwrap();
    assert!(plugins.unregister("last"));
    assert!(plugins.is_blocked("dropped"));
    plugins.unblock("dropped");
    plugins.register_as("taken", Named { number: 0 }).unwrap();
    plugins.register_as("taken", Last(plugins.clone())).unwrap_err();
    assert!(plugins.is_blocked("dropped"));
}
