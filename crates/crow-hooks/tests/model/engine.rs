//! Programs on the engine.

use std::{
    fmt,
    pin::pin,
    task::{Context, Poll, Waker},
};

use crow_hooks::{
    BoxFuture, Closures, Collect, Hook, HookError, Next, On, Outcome, PluginManager, RegisterError, With, hookspecs,
};

use crate::{
    naive::simple,
    program::{Came, Does, Imp, Op, PANIC, Place, Program, What, Which, Wraps, name},
};

/// The hooks of every program.
#[hookspecs(project = "model")]
pub trait Model {
    /// Collects.
    async fn gather(log: &mut Vec<String>) -> u32;
    /// The first result.
    #[hookspec(firstresult)]
    async fn choose(log: &mut Vec<String>) -> u32;
    /// Collects, isolated.
    #[hookspec(isolate)]
    async fn survey(log: &mut Vec<String>) -> u32;
}

#[derive(Debug)]
struct Failed(u32);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for Failed {}

type Manager = PluginManager<dyn Model>;

pub fn run(program: &Program) -> Vec<Came> {
    // Panics are part of the programs: they need not be read.
    std::panic::set_hook(Box::new(|info| {
        if info.payload_as_str() != Some("on purpose") {
            eprintln!("{info}");
        }
    }));
    let plugins = Manager::new();
    program.0.iter().map(|op| step(&plugins, op)).collect()
}

fn step(plugins: &Manager, op: &Op) -> Came {
    match op {
        Op::Register(plugin, impls) => Came::Registered(register(plugins, *plugin, impls)),
        Op::Unregister(plugin) => Came::Done(plugins.unregister(&name(*plugin))),
        Op::Block(plugin) => {
            plugins.block(name(*plugin));
            Came::Done(true)
        }
        Op::Unblock(plugin) => Came::Done(plugins.unblock(&name(*plugin))),
        Op::Call(hook) => {
            let (hooks, mut log) = (plugins.hooks(), Vec::new());
            let outcome = match hook {
                Which::Gather => wait(hooks.gather(&mut log)),
                Which::Choose => wait(hooks.choose(&mut log)).map(|value| value.into_iter().collect()),
                Which::Survey => wait(hooks.survey(&mut log)),
            };
            Came::Called(log, outcome.map_err(|error| numbered(&error)))
        }
    }
}

fn numbered(error: &HookError) -> (String, u32) {
    (error.plugin().to_owned(), error.downcast_ref::<Failed>().map_or(PANIC, |failed| failed.0))
}

/// Polls until it is ready: what waits here wakes by itself.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// Waits once, if it is to.
async fn pause(later: bool) {
    let mut waited = !later;
    std::future::poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

fn register(plugins: &Manager, plugin: u8, impls: &[Imp]) -> &'static str {
    let mut closures = Closures::new(name(plugin));
    for (at, imp) in impls.iter().enumerate() {
        let who = format!("{}.m{at}", name(plugin));
        closures = match imp.hook {
            Which::Gather => attach::<Gather>(closures.on(Gather), imp, who, plugins, |args| args.log),
            Which::Choose => attach::<Choose>(closures.on(Choose), imp, who, plugins, |args| args.log),
            Which::Survey => attach::<Survey>(closures.on(Survey), imp, who, plugins, |args| args.log),
        };
    }
    match plugins.register(closures) {
        Ok(Some(_)) => "ok",
        Ok(None) => "blocked",
        Err(RegisterError::NameTaken { .. }) => "taken",
        Err(RegisterError::Cycle { .. } | RegisterError::AcrossTiers { .. }) => "impossible order",
        Err(error) => panic!("{error}"),
    }
}

/// Where the log is among a hook's arguments.
type Log<H> = for<'s, 'a> fn(&'s mut <H as Hook>::Args<'a>) -> &'s mut Vec<String>;

fn attach<H>(on: On<dyn Model, H>, imp: &Imp, who: String, plugins: &Manager, log: Log<H>) -> Closures<dyn Model>
where
    H: crow_hooks::AsyncHook<Contract = dyn Model, Output = u32>,
{
    let on = match imp.place {
        Place::First => on.tryfirst(),
        Place::Plain => on,
        Place::Last => on.trylast(),
    };
    let on = imp.before.iter().fold(on, |on, plugin| on.before(name(*plugin)));
    let on = imp.after.iter().fold(on, |on, plugin| on.after(name(*plugin)));
    let later = imp.later;
    match imp.what.clone() {
        What::Impl(does) => {
            let plugins = plugins.clone();
            let act = move |mut call: With<'_, H>| {
                log(&mut call.args).push(who.clone());
                act(&plugins, &does)
            };
            if !later {
                return on.sync(act);
            }
            let act = std::sync::Arc::new(act);
            on.later(move |call| {
                let act = std::sync::Arc::clone(&act);
                Box::pin(async move {
                    pause(true).await;
                    act(call)
                })
            })
        }
        What::Wrapper(wraps) => on.wrap(move |next| -> BoxFuture<'_, Outcome<H>> {
            Box::pin(around(next, wraps.clone(), who.clone(), log, later))
        }),
    }
}

fn act(plugins: &Manager, does: &Does) -> Result<Option<u32>, Failed> {
    match does {
        Does::Value(number) => return Ok(Some(*number)),
        Does::Nothing => {}
        Does::Fails(number) => return Err(Failed(*number)),
        Does::Panics => panic!("on purpose"),
        Does::Unregisters(plugin) => drop(plugins.unregister(&name(*plugin))),
        Does::Registers(plugin) => drop(register(plugins, *plugin, &simple())),
    }
    Ok(None)
}

fn one<H: Hook<Output = u32>>(number: u32) -> H::Collected {
    let mut collected = H::Collected::default();
    collected.add(number);
    collected
}

async fn around<H>(mut next: Next<'_, H>, wraps: Wraps, who: String, log: Log<H>, later: bool) -> Outcome<H>
where
    H: Hook<Output = u32>,
{
    log(&mut next.args).push(format!("{who}>"));
    pause(later).await;
    match wraps {
        Wraps::FailsBefore(number) => return Err(Failed(number).into()),
        Wraps::Panics => panic!("on purpose"),
        Wraps::Answers(number) => return next.answer(one::<H>(number)),
        _ => {}
    }
    let result = next.run().await;
    log(&mut next.args).push(format!("{who}<"));
    pause(later).await;
    match wraps {
        Wraps::Replaces(number) => Ok(one::<H>(number)),
        Wraps::Recovers(number) => result.or_else(|_| Ok(one::<H>(number))),
        Wraps::Adds(number) => result.map(|collected| {
            let first = H::SPEC.kind == crow_hooks::Kind::FirstResult;
            let mut values = Vec::new();
            collected.each(&mut |value| values.push(value));
            if first {
                return one::<H>(values.first().unwrap_or(&0) + number);
            }
            values.push(number);
            let mut collected = H::Collected::default();
            for value in values {
                collected.add(value);
            }
            collected
        }),
        Wraps::FailsAfter(number) => Err(Failed(number).into()),
        _ => result,
    }
}
