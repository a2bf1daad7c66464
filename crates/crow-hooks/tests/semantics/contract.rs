//! A contract with a hook of every kind, and plugins that are told what to do.

use std::sync::{Arc, Mutex};

use crow_hooks::{Closures, PluginManager, hookspecs};

/// Every kind of hook.
#[hookspecs(project = "kinds", api = 3)]
pub trait Kinds {
    /// Collects.
    async fn gather(word: &str, log: &mut Vec<String>) -> u32;
    /// Stops at the first value.
    #[hookspec(firstresult)]
    async fn choose(log: &mut Vec<String>) -> u32;
    /// Observes.
    #[hookspec(isolate)]
    async fn observe(log: &mut Vec<String>);
    /// Observes and gives something.
    #[hookspec(isolate)]
    async fn survey(log: &mut Vec<String>) -> u32;
    /// Without a runtime.
    fn plain(word: &str, log: &mut Vec<String>) -> u32;
    /// Without a runtime, the first value.
    #[hookspec(firstresult)]
    fn plain_first(log: &mut Vec<String>) -> u32;
    /// Without a runtime, isolated.
    #[hookspec(isolate)]
    fn plain_observe(log: &mut Vec<String>);
    /// Remembered.
    #[hookspec(historic)]
    fn joined(who: String, times: u32) -> u32;
    /// Remembered, without values.
    #[hookspec(historic)]
    fn told(who: String);
    /// On its way out.
    #[hookspec(warn_on_impl = "use `gather`")]
    fn old(#[warn_on_impl("`a` will go")] a: u32, b: u32);
    /// Limited.
    #[hookspec(budget = "50ms")]
    async fn limited() -> u32;
    /// Not limited.
    #[hookspec(unbounded)]
    async fn endless() -> u32;
    /// Values that borrow.
    async fn lend(#[reborrow] sink: Sink<'_>, tag: Option<&str>, dynamic: &mut dyn Sponge);
}

/// An argument that holds a mutable borrow.
pub struct Sink<'a> {
    /// Where words go.
    pub words: &'a mut Vec<String>,
}

impl Sink<'_> {
    /// The same for a shorter time.
    pub fn reborrow(&mut self) -> Sink<'_> {
        Sink { words: self.words }
    }
}

/// Something that takes words.
pub trait Sponge: Send {
    /// Takes a word.
    fn soak(&mut self, word: &str);
}

impl Sponge for Vec<String> {
    fn soak(&mut self, word: &str) {
        self.push(word.to_owned());
    }
}

/// An error with a number, to be found again by its type.
#[derive(Debug, PartialEq, Eq)]
pub struct Numbered(pub u32);

impl std::fmt::Display for Numbered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "number {}", self.0)
    }
}

impl std::error::Error for Numbered {}

/// A manager without plugins.
pub fn manager() -> PluginManager<dyn Kinds> {
    PluginManager::new()
}

/// A plugin that writes its name into the log of `gather`.
pub fn writer(name: &'static str) -> Closures<dyn Kinds> {
    Closures::new(name).on(Gather).sync(move |call| {
        call.args.log.push(name.into());
        None::<u32>
    })
}

/// The order in which `gather` calls.
pub async fn gathered(plugins: &PluginManager<dyn Kinds>) -> Vec<String> {
    let mut log = Vec::new();
    plugins.hooks().gather("", &mut log).await.expect("writers do not fail");
    log
}

/// Where reported errors go.
pub fn reports(plugins: &PluginManager<dyn Kinds>) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    plugins.on_error(move |error| sink.lock().unwrap().push(error.to_string()));
    seen
}
