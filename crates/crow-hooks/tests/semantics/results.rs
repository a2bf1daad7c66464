//! What a call gives, and what impls may return and take.

use crow_hooks::{Closures, Trail, hookimpls};

use crate::contract::{Choose, Gather, Kinds, Numbered, Plain, PlainFirst, Sink, Sponge, manager};

struct Forms;

#[hookimpls]
impl Kinds for Forms {
    fn gather(&self) -> u32 {
        1
    }

    #[hookimpl(specname = "gather")]
    async fn option(&self, word: &str) -> Option<u32> {
        tokio::task::yield_now().await;
        (word == "yes").then_some(2)
    }

    #[hookimpl(specname = "gather")]
    fn result(&self, log: &mut Vec<String>, word: &str) -> Result<u32, Numbered> {
        log.push(word.into());
        Ok(3)
    }

    #[hookimpl(specname = "gather")]
    async fn both(&self) -> Result<Option<u32>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Some(4))
    }
}

#[tokio::test]
async fn collect_gives_values_in_call_order_and_leaves_none_out() {
    let plugins = manager();
    plugins.register(Forms).unwrap();
    let mut log = Vec::new();
    assert_eq!(plugins.hooks().gather("yes", &mut log).await.unwrap(), [4, 3, 2, 1]);
    assert_eq!(plugins.hooks().gather("no", &mut log).await.unwrap(), [4, 3, 1]);
    assert_eq!(log, ["yes", "no"]);
}

#[tokio::test]
async fn firstresult_stops_at_the_first_value_after_awaiting() {
    let plugins = manager();
    let plugin = |name: &'static str, value: Option<u32>| {
        Closures::new(name).on(Choose).later(move |call| {
            Box::pin(async move {
                tokio::task::yield_now().await;
                call.args.log.push(name.to_owned());
                value
            })
        })
    };
    plugins.register(plugin("c", Some(3))).unwrap();
    plugins.register(plugin("b", Some(0))).unwrap();
    plugins.register(plugin("a", None)).unwrap();
    let mut log = Vec::new();
    assert_eq!(plugins.hooks().choose(&mut log).await.unwrap(), Some(0), "a value that looks empty is one");
    assert_eq!(log, ["a", "b"]);
    assert_eq!(manager().hooks().choose(&mut log).await.unwrap(), None);
}

#[test]
fn sync_hooks_need_no_runtime() {
    let plugins = manager();
    plugins
        .register(Closures::new("a").on(Plain).sync(|call| call.args.word.len() as u32).on(PlainFirst).sync(|_| 7))
        .unwrap();
    plugins.register(Closures::new("b").on(PlainFirst).sync(|_| None)).unwrap();
    let mut log = Vec::new();
    assert_eq!(plugins.hooks().plain("four", &mut log).unwrap(), [4]);
    assert_eq!(plugins.hooks().plain_first(&mut log).unwrap(), Some(7));
    plugins.hooks().plain_observe(&mut log).unwrap();
}

#[tokio::test]
async fn values_can_be_had_with_the_names_of_their_plugins() {
    let plugins = manager();
    plugins.register(Closures::new("a").on(Gather).sync(|_| 1)).unwrap();
    plugins.register(Closures::new("b").on(Gather).sync(|_| None)).unwrap();
    plugins.register(Closures::new("c").on(Gather).later(|_| Box::pin(async { 3 })).on(Choose).sync(|_| 9)).unwrap();
    let mut log = Vec::new();
    let named = plugins.hooks().gather("", &mut log).named().await.unwrap();
    let pairs: Vec<_> = named.iter().map(|named| (&*named.plugin, named.value)).collect();
    assert_eq!(pairs, [("c", 3), ("a", 1)]);
    assert_eq!(&*plugins.hooks().choose(&mut log).named().await.unwrap().unwrap().plugin, "c");
    assert!(manager().hooks().choose(&mut log).named().await.unwrap().is_none());
}

#[tokio::test]
async fn a_trail_tells_who_ran() {
    let plugins = manager();
    plugins.register(Closures::new("a").on(Choose).sync(|_| 1)).unwrap();
    plugins.register(Closures::new("b").on(Choose).sync(|_| Some(2))).unwrap();
    plugins.register(Closures::new("c").on(Choose).sync(|_| None)).unwrap();
    let trail = Trail::new();
    plugins.hooks().choose(&mut Vec::new()).trail(&trail).await.unwrap();
    assert_eq!(trail.plugins().iter().map(|name| &**name).collect::<Vec<_>>(), ["c", "b"]);
    let trail = Trail::new();
    let args = crate::contract::PlainArgs { word: "", log: &mut Vec::new() };
    plugins.hooks().trail_sync(Plain, args, &trail).unwrap();
    assert!(trail.steps().is_empty());
}

struct Borrower;

#[hookimpls]
impl Kinds for Borrower {
    async fn lend(&self, sink: Sink<'_>, tag: Option<&str>) {
        tokio::task::yield_now().await;
        sink.words.push(tag.unwrap_or("none").to_owned());
    }
}

struct Extender;

#[hookimpls]
impl Kinds for Extender {
    async fn lend(&self, dynamic: &mut dyn Sponge, sink: Sink<'_>) {
        dynamic.soak("from dyn");
        sink.words.push("again".to_owned());
    }
}

#[tokio::test]
async fn arguments_may_borrow_and_each_impl_gets_them_anew() {
    let plugins = manager();
    plugins.register(Borrower).unwrap();
    plugins.register(Extender).unwrap();
    let (mut words, mut others) = (Vec::new(), Vec::new());
    plugins.hooks().lend(Sink { words: &mut words }, Some("tag"), &mut others).await.unwrap();
    assert_eq!(words, ["again", "tag"]);
    assert_eq!(others, ["from dyn"]);
}

#[tokio::test]
async fn a_call_can_be_moved_to_another_thread() {
    let plugins = manager();
    plugins.register(Forms).unwrap();
    let hooks = plugins.hooks();
    let sum = tokio::spawn(async move { hooks.gather("yes", &mut Vec::new()).await.unwrap().iter().sum::<u32>() });
    assert_eq!(sum.await.unwrap(), 10);
}

#[tokio::test]
async fn a_manager_may_be_held_across_an_await_in_a_spawned_task() {
    async fn sum(plugins: crow_hooks::PluginManager<dyn Kinds>) -> u32 {
        tokio::task::yield_now().await;
        let gathered = plugins.hooks().gather("no", &mut Vec::new()).await;
        plugins.block("forms");
        gathered.map_or(0, |values| values.iter().sum())
    }
    let plugins = manager();
    plugins.register(Forms).unwrap();
    assert_eq!(tokio::spawn(sum(plugins)).await.unwrap(), 8);
}

#[test]
fn impls_are_ordinary_methods() {
    assert_eq!(Forms.gather(), 1);
}
