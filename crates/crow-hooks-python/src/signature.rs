//! The parameters of a function, by name.

use crate::raw::{Obj, Res, optional_attr, python, state};

/// Positional parameters without and with a default, the bound one left out. Keyword-only ones are not counted.
pub(crate) fn varnames(function: &Obj) -> Res<(Obj, Obj)> {
    varnames_of(function, false)
}

/// `legacy_noself`: warn of a method of a class of hookspecs that lacks `self`.
pub(crate) fn varnames_of(function: &Obj, legacy_noself: bool) -> Res<(Obj, Obj)> {
    if let Some(found) = plain(function, legacy_noself)? {
        return Ok(found);
    }
    let slow = python(c"crow_hooks._signature", "varnames")?;
    let found = slow.call(&[function, &Obj::bool(legacy_noself)])?;
    let part = |at| found.item(at).unwrap_or_else(Obj::none);
    Ok((part(0), part(1)))
}

/// For functions and bound methods that wrap nothing: nearly all.
fn plain(function: &Obj, legacy_noself: bool) -> Res<Option<(Obj, Obj)>> {
    let state = state();
    let names = &state.names;
    let bound = function.is_exactly(&state.method_type);
    let function = if bound { function.attr(&names.func)? } else { function.clone() };
    if !function.is_exactly(&state.function_type) || optional_attr(&function, &names.wrapped)?.is_some() {
        return Ok(None);
    }
    let code = function.attr(&names.code)?;
    let defaults = function.attr(&names.defaults)?;
    let all = code.attr(&names.co_varnames)?;
    let count = usize::try_from(code.attr(&names.co_argcount)?.to_i64()?).unwrap_or(0);
    let optional = if defaults.is_tuple() { defaults.len() } else { 0 };
    let required = count.saturating_sub(optional);
    let mut first = 0;
    if required > 0 {
        if bound {
            first = 1;
        } else {
            let name = all.item(0).unwrap_or_else(Obj::none);
            let implicit = name.is(&names.self_) || name.is(&names.cls);
            if (implicit || legacy_noself) && is_in_a_class(&function)? {
                if !implicit {
                    return Ok(None);
                }
                first = 1;
            }
        }
    }
    Ok(Some((all.slice(first, required)?, all.slice(required, count)?)))
}

/// Whether a function was defined in the body of a class, by its qualified name.
fn is_in_a_class(function: &Obj) -> Res<bool> {
    let qualname = function.attr(&state().names.qualname)?.to_text()?;
    Ok(qualname.rsplit("<locals>.").next().unwrap_or(&qualname).contains('.'))
}
