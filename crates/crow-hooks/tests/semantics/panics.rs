//! A panic anywhere leaves the manager usable.

use crow_hooks::{Closures, ErrorKind, Next, Outcome, SyncNext, hookimpls};

use crate::contract::{Choose, Gather, Kinds, Plain, gathered, manager, reports, writer};

/// Where to panic.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Plain,
    BeforeAwait,
    AfterAwait,
    WrapperBefore,
    WrapperAfter,
    SyncWrapperBefore,
    SyncWrapperAfter,
    Drop,
}

struct Panics(At);

impl Panics {
    fn at(&self, at: At) {
        assert!(self.0 != at, "at {at:?}");
    }
}

struct DropPanics(bool);

impl Drop for DropPanics {
    fn drop(&mut self) {
        assert!(!self.0, "at Drop");
    }
}

#[hookimpls]
impl Kinds for Panics {
    async fn gather(&self, log: &mut Vec<String>) -> u32 {
        let _in_the_future = DropPanics(self.0 == At::Drop);
        self.at(At::BeforeAwait);
        tokio::task::yield_now().await;
        self.at(At::AfterAwait);
        log.push("done".into());
        1
    }

    fn plain(&self) -> u32 {
        self.at(At::Plain);
        1
    }

    #[hookimpl(wrapper, specname = "gather")]
    async fn around(&self, mut next: Next<'_, Gather>) -> Outcome<Gather> {
        self.at(At::WrapperBefore);
        let out = next.run().await;
        self.at(At::WrapperAfter);
        out
    }

    #[hookimpl(wrapper, specname = "plain")]
    fn around_plain(&self, mut next: SyncNext<'_, Plain>) -> Outcome<Plain> {
        self.at(At::SyncWrapperBefore);
        let out = next.run();
        self.at(At::SyncWrapperAfter);
        out
    }
}

#[tokio::test]
async fn a_panic_is_an_error_that_names_plugin_and_hook() {
    for at in [
        At::Plain,
        At::BeforeAwait,
        At::AfterAwait,
        At::WrapperBefore,
        At::WrapperAfter,
        At::SyncWrapperBefore,
        At::SyncWrapperAfter,
        At::Drop,
    ] {
        let plugins = manager();
        plugins.register(Panics(at)).unwrap();
        let hooks = plugins.hooks();
        let mut log = Vec::new();
        let gathered = hooks.gather("", &mut log).await.map(drop);
        let error = gathered.and_then(|()| hooks.plain("", &mut log).map(drop)).unwrap_err();
        assert_eq!(
            (error.plugin(), error.kind(), error.reason()),
            ("panics", ErrorKind::Panicked, format!("at {at:?}"))
        );

        assert!(plugins.unregister("panics"));
        plugins.register(writer("fine")).unwrap();
        assert_eq!(super::contract::gathered(&plugins).await, ["fine"], "after a panic at {at:?}");
    }
}

#[tokio::test]
async fn a_panic_while_a_cancelled_impl_is_dropped_is_reported() {
    let plugins = manager();
    let reports = reports(&plugins);
    plugins.register(Panics(At::Drop)).unwrap();
    let hooks = plugins.hooks();
    {
        let mut log = Vec::new();
        let mut call = Box::pin(hooks.gather("", &mut log));
        assert!(
            std::future::Future::poll(call.as_mut(), &mut std::task::Context::from_waker(std::task::Waker::noop()))
                .is_pending()
        );
    }
    assert_eq!(*reports.lock().unwrap(), ["plugin `panics` panicked in `gather`: at Drop"]);
}

#[tokio::test]
async fn a_payload_that_is_no_text_is_no_trouble() {
    let plugins = manager();
    plugins
        .register(Closures::new("odd").on(Choose).sync(|_| -> Option<u32> { std::panic::panic_any(DropPanics(true)) }))
        .unwrap();
    let error = plugins.hooks().choose(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.reason(), "a panic without a message");
    assert!(gathered(&plugins).await.is_empty());
}
