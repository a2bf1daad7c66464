//! Reads a contract.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, Error, FnArg, Ident, ItemTrait, LitStr, Pat, Path, Result, ReturnType, TraitItem, TraitItemFn, Type,
    Visibility, parse_quote,
};

use crate::{
    options::{ContractOptions, SpecOptions, doc_text, take},
    types::{self, Passing},
};

/// A contract, read.
pub(crate) struct Contract {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) name: Ident,
    pub(crate) project: TokenStream,
    pub(crate) api: TokenStream,
    pub(crate) krate: Path,
    pub(crate) hooks: Vec<Spec>,
}

/// One hook, read.
pub(crate) struct Spec {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) doc: String,
    pub(crate) sync: bool,
    pub(crate) args: Vec<Arg>,
    /// Whether the arguments borrow anything.
    pub(crate) borrows: bool,
    pub(crate) output: Option<Type>,
    pub(crate) options: SpecOptions,
}

/// One argument, read.
pub(crate) struct Arg {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) written: String,
    pub(crate) passing: Passing,
    pub(crate) warn_on_impl: Option<LitStr>,
}

pub(crate) fn parse(options: ContractOptions, item: ItemTrait) -> Result<Contract> {
    if let Some(supertrait) = item.supertraits.first() {
        return Err(Error::new_spanned(supertrait, "a contract has no supertraits: it is only a list of hooks"));
    }
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, "a contract cannot be generic"));
    }
    let mut hooks = Vec::new();
    for item in item.items {
        match item {
            TraitItem::Fn(function) => hooks.push(spec(function)?),
            other => return Err(Error::new_spanned(other, "a contract contains hooks only: `fn` or `async fn`")),
        }
    }
    Ok(Contract {
        attrs: item.attrs,
        vis: item.vis,
        name: item.ident,
        project: options
            .project
            .map_or_else(|| quote::quote!(::core::env!("CARGO_PKG_NAME")), ToTokens::into_token_stream),
        api: options.api.map_or_else(|| quote::quote!(1), ToTokens::into_token_stream),
        krate: options.krate.unwrap_or_else(|| parse_quote!(::crow_hooks)),
        hooks,
    })
}

fn spec(mut function: TraitItemFn) -> Result<Spec> {
    let options = SpecOptions::take(&mut function.attrs)?;
    if let Some(body) = &function.default {
        return Err(Error::new_spanned(body, "a hook has no body: a plugin may supply one with `trylast`"));
    }
    let signature = function.sig;
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            "a hook cannot be generic: its impls are called through one table",
        ));
    }
    let mut args = Vec::new();
    let mut borrows = false;
    for input in signature.inputs {
        let (arg, borrowing) = argument(input)?;
        borrows |= borrowing;
        args.push(arg);
    }
    let output = match signature.output {
        ReturnType::Type(_, ty) if !matches!(&*ty, Type::Tuple(tuple) if tuple.elems.is_empty()) => Some(*ty),
        _ => None,
    };
    if let (Some(firstresult), None) = (&options.firstresult, &output) {
        return Err(Error::new(
            firstresult.span(),
            "a `firstresult` hook needs an output: without one there is no first result",
        ));
    }
    let sync = signature.asyncness.is_none();
    if let Some(historic) = options.historic.as_ref().filter(|_| !sync || borrows) {
        return Err(Error::new(
            historic.span(),
            "a historic hook is a plain `fn` and takes its arguments by value: they are kept and given to plugins that register later",
        ));
    }
    Ok(Spec {
        doc: doc_text(&function.attrs),
        attrs: function.attrs,
        name: signature.ident,
        sync,
        args,
        borrows,
        output,
        options,
    })
}

fn argument(input: FnArg) -> Result<(Arg, bool)> {
    let mut input = match input {
        FnArg::Typed(input) => input,
        FnArg::Receiver(receiver) => {
            return Err(Error::new_spanned(receiver, "a hook has no `self`: it lists the arguments of a call"));
        }
    };
    let name = match &*input.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.mutability.is_none() => pat.ident.clone(),
        other => {
            return Err(Error::new_spanned(other, "an argument of a hook is a plain name: impls take it by that name"));
        }
    };
    let reborrow = !take(&mut input.attrs, "reborrow").is_empty();
    let mut warn_on_impl = None;
    for attr in take(&mut input.attrs, "warn_on_impl") {
        warn_on_impl = Some(attr.parse_args()?);
    }
    let written = types::written(&input.ty);
    let passing = match &*input.ty {
        Type::Reference(reference) if reference.mutability.is_some() => Passing::Mutable,
        Type::Reference(_) => Passing::Shared,
        Type::ImplTrait(_) => {
            return Err(Error::new_spanned(&input.ty, "an argument of a hook has one type: use `&dyn Trait`"));
        }
        _ if reborrow => Passing::Reborrow,
        _ => Passing::Value,
    };
    let mut ty = *input.ty;
    let borrows = types::name_lifetimes(&mut ty)?;
    Ok((Arg { name, ty, written, passing, warn_on_impl }, borrows))
}
