//! `before` and `after` a named plugin, for hookimpls in Python's hands.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    raw::{Impl, Obj, Raised, Res, python, raise_object, state},
    settle::{Conflict, Entry, call_order, check_sections},
};

/// Gives an impl its number: later registered is greater.
pub(crate) fn number(hook_impl: &Impl) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    hook_impl.set_seq(NEXT.fetch_add(1, Ordering::Relaxed));
}

/// Whether an impl names plugins that it comes before or after.
pub(crate) fn is_constrained(hook_impl: &Impl) -> Res<bool> {
    let opts = hook_impl.opts();
    let names = &state().names;
    Ok(opts.is_dict() && (opts.get(&names.before)?.is_some() || opts.get(&names.after)?.is_some()))
}

/// Impls as they stand in a list, put in order: the last is called first, wrappers stand at the end.
pub(crate) fn arranged(hook: &str, impls: Vec<Obj>) -> Res<Vec<Obj>> {
    let (mut wrappers, mut others) = (Vec::new(), Vec::new());
    for each in impls {
        let each = Impl::new(each)?;
        let entry = entry(&each)?;
        if each.is_wrapper()? { &mut wrappers } else { &mut others }.push((each, entry));
    }
    let entries = |impls: &[(Impl, Entry)]| -> Vec<Entry> { impls.iter().map(|(_, entry)| entry.clone()).collect() };
    let (outer, inner) = (entries(&wrappers), entries(&others));
    let order = check_sections(&outer, &inner).and_then(|()| Ok((call_order(&inner)?, call_order(&outer)?)));
    let (inner, outer) = match order {
        Ok(order) => order,
        Err(conflict) => return Err(refuse(hook, &conflict, wrappers.iter().chain(&others))),
    };
    let inner = inner.into_iter().rev().map(|at| others[at].0.object().clone());
    let outer = outer.into_iter().rev().map(|at| wrappers[at].0.object().clone());
    Ok(inner.chain(outer).collect())
}

fn entry(hook_impl: &Impl) -> Res<Entry> {
    let names = &state().names;
    let tier = if hook_impl.is_trylast()? { 2 } else { u8::from(!hook_impl.is_tryfirst()?) };
    let opts = hook_impl.opts();
    let (before, after) = (plugins(&opts, &names.before)?, plugins(&opts, &names.after)?);
    Ok(Entry { plugin: hook_impl.plugin_name().display()?, tier, seq: hook_impl.seq(), before, after })
}

/// One name or several.
fn plugins(opts: &Obj, option: &Obj) -> Res<Vec<String>> {
    let Some(value) = (if opts.is_dict() { opts.get(option)? } else { None }) else {
        return Ok(Vec::new());
    };
    if value.is_none() {
        return Ok(Vec::new());
    }
    if value.is_str() {
        return Ok(vec![value.to_text()?]);
    }
    value.to_list()?.items().iter().map(Obj::display).collect()
}

/// `PluginValidationError`, with the latest plugin that has a part in the conflict.
fn refuse<'a>(hook: &str, conflict: &Conflict, impls: impl Iterator<Item = &'a (Impl, Entry)>) -> Raised {
    let (text, names) = match conflict {
        Conflict::AcrossTiers(first, second) => (
            format!(
                "hook {hook:?}: plugin {first:?} cannot come before plugin {second:?}, which is called earlier whatever \
                 before= and after= say (wrappers, then tryfirst, then plain, then trylast)"
            ),
            vec![first.clone(), second.clone()],
        ),
        Conflict::Cycle(plugins) => {
            let circle = plugins.iter().chain(plugins.first()).map(|name| format!("{name:?}")).collect::<Vec<_>>();
            (format!("hook {hook:?}: before= and after= make a circle: {}", circle.join(" before ")), plugins.clone())
        }
    };
    let latest = impls.filter(|(_, entry)| names.contains(&entry.plugin)).max_by_key(|(_, entry)| entry.seq);
    let plugin = latest.map_or_else(Obj::none, |(each, _)| each.plugin());
    let error = python(c"crow_hooks._errors", "PluginValidationError")
        .and_then(|class| class.call(&[&plugin, &Obj::str(&text)?]));
    match error {
        Ok(error) => raise_object(error),
        Err(raised) => raised,
    }
}
