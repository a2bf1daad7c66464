//! Historic hooks: calls that are remembered for plugins that register later.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Collect, Contract, Hook, HookError, ImplInfo, Snapshot,
    call::{Env, failed, not_sync, run_sync},
    guard::caught,
    list::{Act, Rare, Turn},
};

/// The calls of a manager's historic hooks so far.
#[derive(Default)]
pub(crate) struct History(Mutex<Vec<Remembered>>);

impl History {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call: which hook, and a [`Past`] of it.
#[derive(Clone)]
pub(crate) struct Remembered {
    pub(crate) hook: &'static str,
    pub(crate) call: Arc<dyn Any + Send + Sync>,
}

/// The arguments of a call that is over, and who wants the values it gives.
struct Past<H: Hook> {
    args: Mutex<H::Args<'static>>,
    each: Box<dyn Fn(H::Output) + Send + Sync>,
}

impl<H: Hook> Past<H> {
    fn args(&self) -> Option<H::Args<'static>> {
        H::again(&self.args.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Remembers a call, then makes it.
///
/// Whoever is registered at this moment is called now, whichever snapshot the call is made on; whoever comes
/// later is given it then: nobody misses it or gets it twice.
pub(crate) fn call<C: Contract + ?Sized, H: Hook<Contract = C>>(
    snapshot: &Snapshot<C>,
    args: H::Args<'static>,
    each: Box<dyn Fn(H::Output) + Send + Sync>,
) -> Result<(), HookError> {
    let past = Arc::new(Past::<H> { args: Mutex::new(args), each });
    let current = snapshot.manager.upgrade().map(|manager| {
        let mut history = manager.history.lock();
        history.push(Remembered { hook: H::SPEC.name, call: Arc::clone(&past) as Arc<dyn Any + Send + Sync> });
        manager.snapshot()
    });
    let on = current.as_deref().filter(|_| !snapshot.derived).unwrap_or(snapshot);
    let Some(mut args) = past.args() else { return Ok(()) };
    let values = run_sync(H::list(&on.tables), &on.env, None, H::reborrow(&mut args))?;
    values.each(&mut |value| (past.each)(value));
    Ok(())
}

/// Gives a remembered call to one impl.
pub(crate) fn replay<H: Hook>(
    run: &Arc<dyn Act<H>>,
    info: &ImplInfo,
    call: &dyn Any,
    env: &Env,
) -> Result<(), HookError> {
    let Some(past) = call.downcast_ref::<Past<H>>() else { return Ok(()) };
    let Some(mut args) = past.args() else { return Ok(()) };
    let mut values = H::Collected::default();
    let error = match caught(info, || run.act(H::reborrow(&mut args), None, &mut values)) {
        Ok(Turn::Value | Turn::Last | Turn::None) => {
            values.each(&mut |value| (past.each)(value));
            return Ok(());
        }
        Ok(Turn::Rare(rare)) => match *rare {
            Rare::Failed(source) => failed(info, source),
            Rare::Waits(_) | Rare::NotSync => not_sync(info),
        },
        Err(panicked) => panicked,
    };
    if H::SPEC.isolate {
        env.report(&error);
        return Ok(());
    }
    Err(error)
}
