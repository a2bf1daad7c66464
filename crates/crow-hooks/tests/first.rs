use crow_hooks::{hookimpls, hookspecs, PluginManager, Next, Outcome};
pub struct Agent; 
pub struct Deltas<'a> { sink: &'a mut Vec<String> }
impl Deltas<'_> { fn reborrow(&mut self) -> Deltas<'_> { Deltas { sink: self.sink } } }
#[derive(Debug)] pub struct E; impl std::fmt::Display for E { fn fmt(&self,f:&mut std::fmt::Formatter<'_>)->std::fmt::Result{f.write_str("E!")}} impl std::error::Error for E{}
/// C
#[hookspecs(project="x")]
pub trait Hooks {
    /// a
    async fn before_run(agent: &Agent, user_input: &str);
    #[hookspec(firstresult)]
    async fn edit(agent: &Agent, messages: &mut Vec<String>) -> Vec<String>;
    async fn call(agent: &Agent, #[reborrow] deltas: Deltas<'_>) -> u32;
    fn on_delta(delta: &mut String);
    #[hookspec(isolate)]
    async fn bye() -> String;
}
struct P(std::sync::atomic::AtomicU32);
#[hookimpls]
impl Hooks for P {
    async fn before_run(&self, user_input: &str) -> Result<(), E> { tokio::task::yield_now().await; if user_input == "bad" { return Err(E) } Ok(()) }
    fn edit(&self, messages: &mut Vec<String>) -> Option<Vec<String>> { messages.push("x".into()); None }
    async fn call(&self, agent: &Agent, deltas: Deltas<'_>) -> u32 { let _ = agent; deltas.sink.push("d".into()); tokio::task::yield_now().await; 3 }
    fn on_delta(&self, delta: &mut String) { delta.push('!'); }
    #[hookimpl(wrapper)]
    async fn bye(&self, mut next: Next<'_, Bye>) -> Outcome<Bye> { let out = next.run().await; tokio::task::yield_now().await; out }
}
struct Q;
#[hookimpls(name = "qq")]
impl Hooks for Q {
    async fn call(&self, mut deltas: Deltas<'_>) -> u32 { deltas.reborrow().sink.push("q".into()); 4 }
    #[hookimpl(wrapper, specname = "on_delta")]
    fn around(&self, mut next: crow_hooks::SyncNext<'_, OnDelta>) -> Outcome<OnDelta> { next.run()?; next.args.delta.push('?'); Ok(()) }
    #[hookimpl(tryfirst)]
    fn bye(&self) -> Result<String, E> { Err(E) }
}
pub fn plugin() -> std::sync::Arc<dyn Hooks> { std::sync::Arc::new(Q) }
#[tokio::test]
async fn it() {
    let m = PluginManager::<dyn Hooks>::new();
    m.register(P(0.into())).unwrap();
    m.register(plugin()).unwrap();
    let hooks = m.hooks();
    hooks.before_run(&Agent, "x").await.unwrap();
    let e = tokio::spawn({ let hooks = hooks.clone(); async move { hooks.before_run(&Agent, "bad").await }}).await.unwrap().unwrap_err();
    assert_eq!(e.to_string(), "plugin `p` failed in `before_run`: E!");
    let mut messages = vec![];
    assert_eq!(hooks.edit(&Agent, &mut messages).await.unwrap(), None);
    assert_eq!(messages, ["x"]);
    let mut sink = vec![];
    let t = crow_hooks::Trail::new();
    assert_eq!(hooks.call(&Agent, Deltas{sink:&mut sink}).trail(&t).await.unwrap(), [4,3]);
    assert_eq!(t.plugins().iter().map(|p| &**p).collect::<Vec<_>>(), ["qq", "p"]);
    assert_eq!(sink, ["q","d"]);
    let mut d = String::new();
    hooks.on_delta(&mut d).unwrap();
    assert_eq!(d, "!?");
    assert_eq!(hooks.bye().await.unwrap(), Vec::<String>::new());
    let named = hooks.call(&Agent, Deltas{sink:&mut sink}).named().await.unwrap();
    assert_eq!(&*named[0].plugin, "qq");
    assert!(m.get_plugin::<Q>("qq").is_some());
    assert!(m.unregister("qq"));
    assert!(!m.hooks().has_impls(Bye) || true);
}
