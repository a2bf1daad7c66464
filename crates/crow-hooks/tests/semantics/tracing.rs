//! Spans, with the feature `tracing`.

use std::{
    fmt::{Debug, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crow_hooks::{Closures, Next, Outcome, hookimpls};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::contract::{Gather, Kinds, manager};

/// Writes down what is entered and left.
#[derive(Clone, Default)]
struct Writes {
    names: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Vec<String>>>,
    next: Arc<AtomicU64>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Writes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "crow_hooks"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = Text(span.metadata().name().to_owned());
        span.record(&mut text);
        self.names.lock().unwrap().push(text.0);
        Id::from_u64(self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        let name = self.names.lock().unwrap()[span.into_u64() as usize - 1].clone();
        self.seen.lock().unwrap().push(name);
    }

    fn exit(&self, _: &Id) {
        self.seen.lock().unwrap().push("left".into());
    }
}

struct Around;

#[hookimpls]
impl Kinds for Around {
    #[hookimpl(wrapper)]
    async fn gather(&self, mut next: Next<'_, Gather>) -> Outcome<Gather> {
        next.run().await
    }
}

#[test]
fn calls_and_impls_have_spans_that_nest() {
    let plugins = manager();
    plugins.register(Around).unwrap();
    plugins.register(Closures::new("a").on(Gather).sync(|_| 1)).unwrap();
    let writes = Writes::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tracing::subscriber::with_default(writes.clone(), || {
        let gathered = runtime.block_on(plugins.hooks().gather("", &mut Vec::new()));
        assert_eq!(gathered.unwrap(), [1]);
    });
    assert_eq!(
        *writes.seen.lock().unwrap(),
        [
            "hook name=\"gather\"",
            "hookimpl plugin=\"around\" hook=\"gather\" wrapper=true",
            "hookimpl plugin=\"a\" hook=\"gather\" wrapper=false",
            "left",
            "left",
            "left"
        ]
    );
}
