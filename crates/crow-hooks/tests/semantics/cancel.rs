//! Dropping a call.

use std::sync::{Arc, Mutex};

use crow_hooks::{Closures, Next, Outcome, hookimpls};

use crate::contract::{Gather, Kinds, manager, writer};

struct Guard(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

struct Guarded(&'static str, Arc<Mutex<Vec<&'static str>>>);

#[hookimpls(name = "guarded")]
impl Kinds for Guarded {
    #[hookimpl(wrapper)]
    async fn gather(&self, mut next: Next<'_, Gather>) -> Outcome<Gather> {
        let _guard = Guard(self.0, Arc::clone(&self.1));
        next.run().await
    }
}

#[tokio::test]
async fn dropping_a_call_drops_what_is_under_way_inside_out_and_runs_nothing_more() {
    let plugins = manager();
    let dropped: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    plugins.register_as("inner", Guarded("inner wrapper", Arc::clone(&dropped))).unwrap();
    plugins.register_as("outer", Guarded("outer wrapper", Arc::clone(&dropped))).unwrap();
    plugins.register(writer("never")).unwrap();
    let in_impl = Arc::clone(&dropped);
    plugins
        .register(Closures::new("slow").on(Gather).later(move |_| {
            let guard = Guard("impl", Arc::clone(&in_impl));
            Box::pin(async move {
                let _guard = guard;
                std::future::pending::<u32>().await
            })
        }))
        .unwrap();
    let mut log = Vec::new();
    let hooks = plugins.hooks();
    tokio::select! {
        biased;
        _ = hooks.gather("", &mut log) => unreachable!("it never ends"),
        () = tokio::task::yield_now() => {}
    }
    assert!(log.is_empty());
    assert_eq!(*dropped.lock().unwrap(), ["impl", "inner wrapper", "outer wrapper"]);
}

#[tokio::test]
async fn a_call_that_is_never_polled_runs_nothing() {
    let plugins = manager();
    plugins.register(writer("never")).unwrap();
    let mut log = Vec::new();
    drop(plugins.hooks().gather("", &mut log));
    assert!(log.is_empty());
}
