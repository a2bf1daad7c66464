//! Hooks that call hooks: counted along the task, carried to others, refused when there are too many.

use std::sync::{Arc, Mutex, OnceLock};

use crow_hooks::{Chain, ErrorKind, PluginManager, hookimpls};

use crate::contract::{Kinds, manager};

type Shared = Arc<OnceLock<PluginManager<dyn Kinds>>>;

struct Nested {
    plugins: Shared,
    seen: Arc<Mutex<Vec<String>>>,
}

#[hookimpls]
impl Kinds for Nested {
    fn plain(&self, word: &str, log: &mut Vec<String>) -> u32 {
        self.seen.lock().unwrap().push(Chain::current().to_string());
        if word == "end" {
            return 1;
        }
        let Some(plugins) = self.plugins.get() else { return 0 };
        match plugins.hooks().plain(word, log) {
            Ok(_) => 0,
            Err(error) => {
                log.push(error.to_string());
                assert_eq!(error.kind(), ErrorKind::TooDeep);
                0
            }
        }
    }

    async fn endless(&self) -> u32 {
        self.seen.lock().unwrap().push(Chain::current().to_string());
        1
    }
}

fn nested() -> (PluginManager<dyn Kinds>, Arc<Mutex<Vec<String>>>) {
    let plugins = manager();
    let (shared, seen) = (Shared::default(), Arc::<Mutex<Vec<String>>>::default());
    plugins.register(Nested { plugins: shared.clone(), seen: seen.clone() }).unwrap();
    assert!(shared.set(plugins.clone()).is_ok());
    plugins.limit_depth(3);
    (plugins, seen)
}

#[test]
fn the_call_that_is_too_deep_is_refused_with_the_chain() {
    let (plugins, seen) = nested();
    let mut log = Vec::new();
    plugins.hooks().plain("again", &mut log).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["plain", "plain → plain", "plain → plain → plain"]);
    assert_eq!(log, ["hooks call each other more than 3 deep: plain → plain → plain → plain"]);
    assert_eq!(Chain::current().hooks(), [""; 0], "nothing is left behind");
}

#[tokio::test]
async fn a_task_stands_outside_unless_the_chain_is_carried() {
    let (plugins, seen) = nested();
    let carried = plugins.hooks();
    let plain = plugins.hooks();
    // As if a hook had started two tasks.
    let chain = {
        let inside: Arc<OnceLock<Chain>> = Arc::default();
        let slot = inside.clone();
        let closures =
            crow_hooks::Closures::<dyn Kinds>::new("starter").on(crate::contract::PlainObserve).sync(move |_| {
                slot.get_or_init(Chain::current);
            });
        plugins.register(closures).unwrap();
        plugins.hooks().plain_observe(&mut Vec::new()).unwrap();
        inside.get().cloned().unwrap()
    };
    assert_eq!(chain.hooks(), ["plain_observe"]);
    tokio::spawn(chain.carry(async move { carried.endless().await.unwrap() })).await.unwrap();
    tokio::spawn(async move { plain.endless().await.unwrap() }).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["plain_observe → endless", "endless"]);
}
