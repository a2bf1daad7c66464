//! Whether a hookimpl fits the specification of its hook, when the answer is a plain yes.

use crate::raw::{Impl, Obj, Res, state};

/// Generator functions have this flag.
const CO_GENERATOR: i64 = 0x20;

/// `true` if there is nothing to warn of and nothing wrong. `false` means: look closely, in Python.
pub(crate) fn is_plainly_valid(hook: &Obj, hook_impl: &Obj) -> Res<bool> {
    let names = &state().names;
    let hook_impl = Impl::new(hook_impl.clone())?;
    let spec = hook.attr(&Obj::name("spec")?)?;
    if spec.is_none() || spec.attr(&names.warn_on_impl)?.truth()? || spec.attr(&names.warn_on_impl_args)?.truth()? {
        return Ok(false);
    }
    if hook_impl.is_wrapper()? && !is_good_wrapper(hook, &hook_impl)? {
        return Ok(false);
    }
    let (required, optional) = (spec.attr(&names.argnames)?, spec.attr(&names.kwargnames)?);
    for name in hook_impl.argnames().items() {
        if !required.contains(&name)? && !optional.contains(&name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_good_wrapper(hook: &Obj, hook_impl: &Impl) -> Res<bool> {
    let state = state();
    let names = &state.names;
    if hook_impl.is_old_wrapper()? && hook_impl.is_new_wrapper()? {
        return Ok(false);
    }
    if !hook.attr(&Obj::name("_call_history")?)?.is_none() {
        return Ok(false);
    }
    let mut function = hook_impl.function();
    if function.is_exactly(&state.method_type) {
        function = function.attr(&names.func)?;
    }
    if !function.is_exactly(&state.function_type) {
        return Ok(false);
    }
    Ok(function.attr(&names.code)?.attr(&names.co_flags)?.to_i64()? & CO_GENERATOR != 0)
}
