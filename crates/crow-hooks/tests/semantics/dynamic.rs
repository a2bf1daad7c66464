//! Another world: JSON values and boxed functions.

use std::sync::{Arc, Mutex};

use crow_hooks::{
    Backend, BoxError, BoxFuture, Closures, DynAnswer, DynCall, DynImpl, DynLeave, DynPlugin, DynWrap, HookSpec, Lend,
    Lent, PluginInfo, PluginManager, RegisterError, Take, Tier,
};
use serde_json::{Value, json};

use crate::contract::{Gather, Kinds, Numbered, Sink, Sponge, manager};

/// JSON values, shared so that what a function does to them is seen.
pub struct Json;

type Shared = Arc<Mutex<Value>>;

impl Backend for Json {
    type Context = ();
    type Value = Shared;

    fn nothing((): &()) -> Shared {
        Arc::new(Mutex::new(Value::Null))
    }
}

fn shared(value: Value) -> Result<Shared, BoxError> {
    Ok(Arc::new(Mutex::new(value)))
}

macro_rules! lend_as_json {
    ($($ty:ty),*) => {$(
        impl Lend<Json> for $ty {
            fn lend(&self, (): &()) -> Result<Shared, BoxError> {
                shared(json!(self))
            }
        }
    )*};
}

lend_as_json!(str, String, u32, Option<&str>, Vec<u32>, Option<u32>);

impl Lend<Json> for Vec<String> {
    fn lend(&self, (): &()) -> Result<Shared, BoxError> {
        shared(json!(self))
    }

    fn reclaim(&mut self, lent: &Shared, (): &()) -> Result<(), BoxError> {
        *self = serde_json::from_value(lent.lock().unwrap().clone())?;
        Ok(())
    }
}

impl Lend<Json> for Sink<'_> {
    fn lend(&self, (): &()) -> Result<Shared, BoxError> {
        self.words.lend(&())
    }
}

impl Lend<Json> for dyn Sponge + '_ {
    fn lend(&self, (): &()) -> Result<Shared, BoxError> {
        Ok(Json::nothing(&()))
    }
}

macro_rules! take_from_json {
    ($($ty:ty),*) => {$(
        impl Take<Json> for $ty {
            fn take(value: Shared, (): &()) -> Result<Option<Self>, BoxError> {
                Ok(serde_json::from_value::<Option<$ty>>(value.lock().unwrap().clone())?)
            }
        }
    )*};
}

take_from_json!(u32, Vec<u32>);

impl Take<Json> for Option<u32> {
    fn take(value: Shared, (): &()) -> Result<Option<Self>, BoxError> {
        Ok(Some(u32::take(value, &())?))
    }
}

/// A function of the other world.
struct Function<F>(F);

impl<F: Fn(&Lent<Json>) -> Result<Value, BoxError> + Send + Sync> DynCall<Json> for Function<F> {
    fn call(&self, _: &'static HookSpec, args: &Lent<Json>) -> DynAnswer<Json> {
        DynAnswer::Ready((self.0)(args).and_then(shared))
    }
}

struct Slow<F>(F);

impl<F: Fn(&Lent<Json>) -> Result<Value, BoxError> + Send + Sync> DynCall<Json> for Slow<F> {
    fn call(&self, _: &'static HookSpec, args: &Lent<Json>) -> DynAnswer<Json> {
        let value = (self.0)(args).and_then(shared);
        DynAnswer::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            value
        }))
    }
}

fn plugin(name: &str, impls: Vec<DynImpl<Json>>) -> DynPlugin<Json> {
    DynPlugin { info: PluginInfo::new(name, 3), context: Arc::new(()), impls }
}

fn writes(name: &'static str) -> impl Fn(&Lent<Json>) -> Result<Value, BoxError> {
    move |args| {
        let (_, log) = args.iter().find(|(name, _)| *name == "log").expect("it was asked for");
        log.lock().unwrap().as_array_mut().expect("a list").push(json!(name));
        Ok(json!(args.len()))
    }
}

#[tokio::test]
async fn dynamic_impls_join_the_chain_in_the_same_order_and_edit_arguments() {
    let plugins = manager();
    plugins.register(crate::contract::writer("rust 1")).unwrap();
    let gather = DynImpl::sync("gather", Function(writes("json"))).args(["log"]);
    let last = DynImpl::later("gather", Slow(writes("json last"))).tier(Tier::Last);
    plugins.add_dyn(plugin("json", vec![gather, last])).unwrap();
    plugins.register(crate::contract::writer("rust 2")).unwrap();
    let mut log = Vec::new();
    assert_eq!(plugins.hooks().gather("w", &mut log).await.unwrap(), [1, 2]);
    assert_eq!(log, ["rust 2", "json", "rust 1", "json last"]);
    assert_eq!(plugins.list()[1].hooks, ["gather"]);
    assert!(plugins.unregister("json"));
    assert_eq!(plugins.hooks().gather("w", &mut log).await.unwrap(), [0; 0]);
}

#[tokio::test]
async fn nothing_is_none_and_errors_keep_their_source() {
    let plugins = manager();
    plugins
        .add_dyn(plugin("nothing", vec![DynImpl::sync("choose", Function(|_: &Lent<Json>| Ok(Value::Null)))]))
        .unwrap();
    assert_eq!(plugins.hooks().choose(&mut Vec::new()).await.unwrap(), None);
    let bad = DynImpl::sync("choose", Function(|_: &Lent<Json>| Err(Numbered(4).into())));
    plugins.add_dyn(plugin("bad", vec![bad])).unwrap();
    let error = plugins.hooks().choose(&mut Vec::new()).await.unwrap_err();
    assert_eq!((error.plugin(), error.downcast_ref::<Numbered>()), ("bad", Some(&Numbered(4))));
}

struct Doubles;

impl DynWrap<Json> for Doubles {
    fn enter(
        &self,
        _: &'static HookSpec,
        args: &Lent<Json>,
    ) -> BoxFuture<'static, Result<Box<dyn DynLeave<Json>>, BoxError>> {
        let entered = writes("entered")(args);
        Box::pin(async move { entered.map(|_| Box::new(Doubles) as Box<dyn DynLeave<Json>>) })
    }
}

impl DynLeave<Json> for Doubles {
    fn leave(
        self: Box<Self>,
        inner: Result<Shared, BoxError>,
        args: &Lent<Json>,
    ) -> BoxFuture<'static, Result<Shared, BoxError>> {
        let left = writes("left")(args);
        Box::pin(async move {
            tokio::task::yield_now().await;
            left?;
            match inner {
                Ok(values) => {
                    let twice: Vec<u32> = serde_json::from_value::<Vec<u32>>(values.lock().unwrap().clone())?;
                    shared(json!(twice.iter().map(|value| value * 2).collect::<Vec<_>>()))
                }
                Err(_) => shared(json!([0])),
            }
        })
    }
}

#[tokio::test]
async fn dynamic_wrappers_see_and_replace_the_result_and_recover() {
    let plugins = manager();
    plugins.register(Closures::new("one").on(Gather).sync(|_| 1)).unwrap();
    plugins.add_dyn(plugin("doubles", vec![DynImpl::wrapper("gather", Doubles)])).unwrap();
    let mut log = Vec::new();
    assert_eq!(plugins.hooks().gather("", &mut log).await.unwrap(), [2]);
    assert_eq!(log, ["entered", "left"], "it may edit the arguments before and after");
    plugins.register(Closures::new("bad").on(Gather).sync(|_| Err::<u32, _>(Numbered(1)))).unwrap();
    assert_eq!(plugins.hooks().gather("", &mut log).await.unwrap(), [0]);
}

fn anything() -> DynImpl<Json> {
    DynImpl::sync("gahter", Function(|_: &Lent<Json>| Ok(Value::Null)))
}

#[test]
fn unknown_hooks_are_pending_unless_optional() {
    let plugins: PluginManager<dyn Kinds> = manager();
    plugins.add_dyn(plugin("optional", vec![anything().optional()])).unwrap();
    plugins.check_pending().unwrap();
    plugins.add_dyn(plugin("typo", vec![anything()])).unwrap();
    let error = plugins.check_pending().unwrap_err();
    assert_eq!(error.to_string(), "plugin `typo` implements `gahter`, which is no hook: did it mean `gather`?");
    plugins.unregister("typo");
    plugins.check_pending().unwrap();
}

#[test]
fn unknown_arguments_and_async_impls_of_sync_hooks_are_refused() {
    let plugins = manager();
    let wrong = DynImpl::sync("gather", Function(|_: &Lent<Json>| Ok(Value::Null))).args(["wrod"]);
    assert!(matches!(
        plugins.add_dyn(plugin("a", vec![wrong])),
        Err(RegisterError::UnknownArgument { hook: "gather", .. })
    ));
    let later = DynImpl::later("plain", Slow(|_: &Lent<Json>| Ok(Value::Null)));
    assert!(matches!(plugins.add_dyn(plugin("a", vec![later])), Err(RegisterError::NotSync { hook: "plain", .. })));
    assert!(plugins.list().is_empty());
}
