//! Reads a plugin.

use syn::{Error, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Pat, Path, Result, Type};

use crate::options::{ImplOptions, PluginOptions};

/// A plugin, read.
pub(crate) struct Plugin {
    pub(crate) item: ItemImpl,
    pub(crate) contract: Path,
    pub(crate) options: PluginOptions,
    pub(crate) methods: Vec<Method>,
}

/// One hookimpl, read.
pub(crate) struct Method {
    pub(crate) cfgs: Vec<syn::Attribute>,
    pub(crate) name: Ident,
    /// The hook, with the place where the person wrote it.
    pub(crate) hook: Ident,
    pub(crate) asynchronous: bool,
    pub(crate) args: Vec<(Ident, Type)>,
    pub(crate) options: ImplOptions,
}

pub(crate) fn parse(options: PluginOptions, mut item: ItemImpl) -> Result<Plugin> {
    let Some((not, contract, _)) = item.trait_.clone() else {
        return Err(Error::new_spanned(&item.self_ty, "`#[hookimpls]` goes on `impl Contract for Plugin`"));
    };
    if let Some(not) = not {
        return Err(Error::new_spanned(not, "a plugin cannot be the opposite of one"));
    }
    let mut methods = Vec::new();
    for item in &mut item.items {
        match item {
            ImplItem::Fn(function) => methods.push(method(function)?),
            other => return Err(Error::new_spanned(other, "only hookimpls go in here: methods named after a hook")),
        }
    }
    Ok(Plugin { item, contract, options, methods })
}

fn method(function: &mut ImplItemFn) -> Result<Method> {
    let options = ImplOptions::take(&mut function.attrs)?;
    let signature = &function.sig;
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            "a hookimpl cannot be generic: it is called with the hook's own types",
        ));
    }
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        Some(FnArg::Receiver(receiver)) => {
            return Err(Error::new_spanned(
                receiver,
                "a hookimpl takes `&self`: calls may run at the same time, so what it changes is behind a lock or an atomic",
            ));
        }
        _ => return Err(Error::new_spanned(&signature.ident, "a hookimpl takes `&self` first")),
    }
    let args = inputs.map(argument).collect::<Result<Vec<_>>>()?;
    if options.wrapper && args.len() != 1 {
        return Err(Error::new_spanned(
            &signature.inputs,
            "a wrapper takes `&self` and `mut next: Next<'_, Hook>`; the hook's arguments are in `next.args`",
        ));
    }
    if options.wrapper && options.optionalhook {
        return Err(Error::new_spanned(
            &signature.ident,
            "a wrapper cannot be an `optionalhook`: it names its hook's type in `Next`, which must exist",
        ));
    }
    let hook = match &options.specname {
        Some(name) => name.parse().map_err(|_| Error::new(name.span(), "`specname` is the name of a hook"))?,
        None => signature.ident.clone(),
    };
    Ok(Method {
        cfgs: function.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned().collect(),
        name: signature.ident.clone(),
        hook,
        asynchronous: signature.asyncness.is_some(),
        args,
        options,
    })
}

fn argument(input: &FnArg) -> Result<(Ident, Type)> {
    let FnArg::Typed(input) = input else {
        return Err(Error::new_spanned(input, "`self` comes first"));
    };
    match &*input.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Ok((pat.ident.clone(), (*input.ty).clone())),
        other => {
            Err(Error::new_spanned(other, "an argument of a hookimpl is a plain name: the name it has in the contract"))
        }
    }
}
