//! Around the call.

use std::sync::Mutex;

use crow_hooks::{Closures, ErrorKind, HookError, Next, Outcome, SyncNext, hookimpls};

use crate::contract::{
    Choose, Gather, GatherArgs, Kinds, Numbered, Observe, Plain, PlainObserve, Survey, gathered, manager, reports,
    writer,
};

struct Around(&'static str);

#[hookimpls(name = "around")]
impl Kinds for Around {
    #[hookimpl(wrapper)]
    async fn gather(&self, mut next: Next<'_, Gather>) -> Outcome<Gather> {
        next.args.log.push(format!("{} in", self.0));
        let result = next.run().await;
        tokio::task::yield_now().await;
        next.args.log.push(format!("{} out", self.0));
        result
    }

    #[hookimpl(wrapper)]
    fn plain(&self, mut next: SyncNext<'_, Plain>) -> Outcome<Plain> {
        next.args.log.push(format!("{} in", self.0));
        let mut values = next.run()?;
        values.push(100);
        Ok(values)
    }
}

#[tokio::test]
async fn wrappers_are_outermost_and_unwind_in_reverse_even_when_something_fails() {
    let plugins = manager();
    plugins.register_as("w1", Around("w1")).unwrap();
    plugins.register(writer("impl")).unwrap();
    plugins.register_as("w2", Around("w2")).unwrap();
    assert_eq!(gathered(&plugins).await, ["w2 in", "w1 in", "impl", "w1 out", "w2 out"]);

    plugins.register(Closures::new("bad").on(Gather).sync(|_| Err::<u32, _>(Numbered(5)))).unwrap();
    let mut log = Vec::new();
    let error = plugins.hooks().gather("", &mut log).await.unwrap_err();
    assert_eq!(log, ["w2 in", "w1 in", "w1 out", "w2 out"]);
    assert_eq!((error.plugin(), error.hook()), ("bad", "gather"), "wrappers that pass an error on do not sign it");
    assert_eq!(error.downcast::<Numbered>().unwrap(), Numbered(5));
}

#[test]
fn sync_hooks_have_sync_wrappers() {
    let plugins = manager();
    plugins.register(Around("w")).unwrap();
    plugins.register(Closures::new("p").on(Plain).sync(|_| 1)).unwrap();
    assert_eq!(plugins.hooks().plain("", &mut Vec::new()).unwrap(), [1, 100]);
}

/// Does what its test says.
struct Does<F>(F);

type Choice = for<'a> fn(Next<'a, Choose>) -> crow_hooks::BoxFuture<'a, Outcome<Choose>>;

#[hookimpls(name = "does")]
impl Kinds for Does<Choice> {
    #[hookimpl(wrapper)]
    async fn choose(&self, next: Next<'_, Choose>) -> Outcome<Choose> {
        (self.0)(next).await
    }
}

async fn chosen(does: Choice, inner: Result<Option<u32>, Numbered>) -> Result<Option<u32>, HookError> {
    let plugins = manager();
    let inner = Mutex::new(Some(inner));
    plugins
        .register(Closures::new("inner").on(Choose).sync(move |call| {
            call.args.log.push("inner".into());
            inner.lock().unwrap().take().expect("called once")
        }))
        .unwrap();
    plugins.register(Does(does)).unwrap();
    plugins.hooks().choose(&mut Vec::new()).await
}

#[tokio::test]
async fn a_wrapper_sees_and_replaces_the_result() {
    let doubled = chosen(|mut next| Box::pin(async move { Ok(next.run().await?.map(|value| value * 2)) }), Ok(Some(4)));
    assert_eq!(doubled.await.unwrap(), Some(8));
}

#[tokio::test]
async fn a_wrapper_may_recover() {
    let recovered = chosen(
        |mut next| {
            Box::pin(async move {
                let error = next.run().await.unwrap_err();
                let error = error.downcast_ref::<HookError>().expect("what comes from inside is a HookError");
                assert_eq!(error.plugin(), "inner");
                Ok(Some(error.downcast_ref::<Numbered>().map_or(0, |error| error.0)))
            })
        },
        Err(Numbered(6)),
    );
    assert_eq!(recovered.await.unwrap(), Some(6));
}

#[tokio::test]
async fn a_wrapper_that_fails_is_named() {
    let error = chosen(
        |mut next| {
            Box::pin(async move {
                next.run().await?;
                Err(Numbered(1))?
            })
        },
        Ok(None),
    )
    .await
    .unwrap_err();
    assert_eq!(error.plugin(), "does");
    let error = chosen(|_| Box::pin(async { Err(Numbered(2))? }), Ok(None)).await.unwrap_err();
    assert_eq!(error.to_string(), "plugin `does` failed in `choose`: number 2", "a refusal need not answer");
}

#[tokio::test]
async fn a_wrapper_may_answer_without_going_on() {
    let answered = chosen(|mut next| Box::pin(async move { next.answer(Some(11)) }), Err(Numbered(0)));
    assert_eq!(answered.await.unwrap(), Some(11));
}

#[tokio::test]
async fn neither_running_nor_answering_is_an_error() {
    let error = chosen(|_| Box::pin(async { Ok(Some(1)) }), Ok(Some(2))).await.unwrap_err();
    assert_eq!((error.plugin(), error.kind()), ("does", ErrorKind::WrapperSilent));
    assert!(error.to_string().contains("next.run()"), "{error}");
}

#[tokio::test]
async fn a_second_run_is_an_error() {
    let error = chosen(
        |mut next| {
            Box::pin(async move {
                next.run().await?;
                next.run().await
            })
        },
        Ok(Some(2)),
    )
    .await
    .unwrap_err();
    assert_eq!((error.plugin(), error.kind()), ("does", ErrorKind::WrapperRanTwice));
}

struct Tee;

#[hookimpls]
impl Kinds for Tee {
    #[hookimpl(wrapper)]
    async fn gather(&self, mut next: Next<'_, Gather>) -> Outcome<Gather> {
        let mut own = Vec::new();
        let word = format!("{}!", next.args.word);
        let values = next.with(|_| GatherArgs { word: &word, log: &mut own }).await?;
        next.args.log.push(format!("seen {own:?}"));
        Ok(values)
    }
}

#[tokio::test]
async fn a_wrapper_may_give_the_inner_call_other_arguments() {
    let plugins = manager();
    plugins.register(Tee).unwrap();
    plugins
        .register(Closures::new("p").on(Gather).sync(|call| {
            call.args.log.push(call.args.word.to_owned());
            1
        }))
        .unwrap();
    let mut log = Vec::new();
    assert_eq!(plugins.hooks().gather("hey", &mut log).await.unwrap(), [1]);
    assert_eq!(log, [r#"seen ["hey!"]"#]);
}

/// Fails where it is told to.
struct Fails {
    before: bool,
}

#[hookimpls]
impl Kinds for Fails {
    #[hookimpl(wrapper)]
    async fn observe(&self, mut next: Next<'_, Observe>) -> Outcome<Observe> {
        if !self.before {
            next.run().await?;
        }
        Err(Numbered(1))?
    }

    #[hookimpl(wrapper)]
    async fn survey(&self, mut next: Next<'_, Survey>) -> Outcome<Survey> {
        if !self.before {
            next.run().await?;
        }
        panic!("on purpose")
    }

    #[hookimpl(wrapper)]
    fn plain_observe(&self, mut next: SyncNext<'_, PlainObserve>) -> Outcome<PlainObserve> {
        if !self.before {
            next.run()?;
        }
        Err(Numbered(3))?
    }
}

#[tokio::test]
async fn in_an_isolated_hook_a_failing_wrapper_is_reported_and_the_inner_result_stands() {
    for before in [false, true] {
        let plugins = manager();
        let reports = reports(&plugins);
        plugins.register(Fails { before }).unwrap();
        plugins
            .register(
                Closures::new("p")
                    .on(Observe)
                    .sync(|call| call.args.log.push("observed".into()))
                    .on(Survey)
                    .sync(|_| 5)
                    .on(PlainObserve)
                    .sync(|call| call.args.log.push("plain".into())),
            )
            .unwrap();
        let mut log = Vec::new();
        plugins.hooks().observe(&mut log).await.unwrap();
        plugins.hooks().plain_observe(&mut log).unwrap();
        assert_eq!(log, ["observed", "plain"], "failing before: {before}");
        assert_eq!(plugins.hooks().survey(&mut log).await.unwrap(), [5]);
        assert_eq!(
            *reports.lock().unwrap(),
            [
                "plugin `fails` failed in `observe`: number 1",
                "plugin `fails` failed in `plain_observe`: number 3",
                "plugin `fails` panicked in `survey`: on purpose"
            ]
        );
    }
}

#[tokio::test]
async fn values_changed_by_a_wrapper_are_named_after_it() {
    struct Adds;
    #[hookimpls]
    impl Kinds for Adds {
        #[hookimpl(wrapper)]
        async fn gather(&self, mut next: Next<'_, Gather>) -> Outcome<Gather> {
            let mut values = next.run().await?;
            values.push(0);
            Ok(values)
        }
    }
    let plugins = manager();
    plugins.register(Adds).unwrap();
    plugins.register(Closures::new("p").on(Gather).sync(|_| 1)).unwrap();
    let named = plugins.hooks().gather("", &mut Vec::new()).named().await.unwrap();
    assert_eq!(named.iter().map(|named| &*named.plugin).collect::<Vec<_>>(), ["adds", "adds"]);
}
