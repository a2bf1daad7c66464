//! `plugins!`: reads the host's `Cargo.toml` and registers every dependency that is a plugin.
//!
//! Whether a dependency is one cannot be known here, so rustc is asked: in a block that imports everything from the
//! dependency, `plugin` is the dependency's function if it has one, and otherwise the one outside the block, which
//! says that there is none.

use std::{collections::BTreeMap, path::PathBuf};

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Error, Expr, Ident, LitStr, Result, Token, bracketed,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};
use toml::{Table, Value};

/// `plugins!(manager, skip = ["crow-foo"])`
pub(crate) struct Input {
    manager: Expr,
    skip: Vec<LitStr>,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let manager = input.parse()?;
        let mut skip = Vec::new();
        if input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let name: Ident = input.parse()?;
            if name != "skip" {
                return Err(Error::new(name.span(), "`plugins!` takes a manager and `skip = [\"crate\", ..]`"));
            }
            input.parse::<Token![=]>()?;
            let list;
            bracketed!(list in input);
            skip = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect();
        }
        Ok(Self { manager, skip })
    }
}

pub(crate) fn expand(input: &Input) -> Result<TokenStream> {
    let manifest = manifest()?;
    let mut dependencies = dependencies(&manifest);
    for name in &input.skip {
        if dependencies.remove(&name.value()).is_none() {
            return Err(Error::new(name.span(), "this crate has no such dependency"));
        }
    }
    let manager = &input.manager;
    let found = dependencies.iter().map(|(name, conditions)| found(name, conditions));
    Ok(quote! {{
        // The macro is expanded again when the manifest changes.
        const _: &[u8] = ::core::include_bytes!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        struct __NotAPlugin;
        #[allow(dead_code)]
        fn plugin() -> __NotAPlugin { __NotAPlugin }
        struct __Found<T>(::core::option::Option<T>);
        #[allow(dead_code)]
        trait __Skip: Sized { fn take_plugin<X>(self, none: ::core::option::Option<X>) -> ::core::option::Option<X> { none } }
        impl __Skip for __Found<__NotAPlugin> {}
        #[allow(dead_code)]
        trait __Keep<T> { fn take_plugin<X>(&mut self, none: ::core::option::Option<X>) -> ::core::option::Option<T>; }
        impl<T> __Keep<T> for __Found<T> {
            fn take_plugin<X>(&mut self, _: ::core::option::Option<X>) -> ::core::option::Option<T> { self.0.take() }
        }
        let __manager = &#manager;
        #[allow(unused_mut)]
        let mut __all = __manager.__found();
        #(#found)*
        __all
    }})
}

/// Registers one dependency, unless it is no plugin.
fn found(name: &str, conditions: &[TokenStream]) -> TokenStream {
    let krate = Ident::new(&name.replace('-', "_"), Span::call_site());
    let condition = match conditions {
        [] => quote!(),
        conditions => quote!(#[cfg(any(#(#conditions),*))]),
    };
    quote! {
        #condition
        if __all.is_ok() {
            #[allow(unused_imports, unused_mut)]
            let mut __found = {
                use ::#krate::*;
                __Found(::core::option::Option::Some(plugin()))
            };
            if let ::core::option::Option::Some(__plugin) = __found.take_plugin(__manager.__none()) {
                match __manager.register(__plugin) {
                    ::core::result::Result::Ok(__name) => {
                        if let ::core::result::Result::Ok(__names) = &mut __all { __names.extend(__name); }
                    }
                    ::core::result::Result::Err(__error) => __all = ::core::result::Result::Err(__error),
                }
            }
        }
    }
}

fn manifest() -> Result<Table> {
    let here = Span::call_site();
    let directory = std::env::var_os("CARGO_MANIFEST_DIR")
        .ok_or_else(|| Error::new(here, "`plugins!` reads Cargo.toml, so it has to be built by cargo"))?;
    let path = PathBuf::from(directory).join("Cargo.toml");
    let text =
        std::fs::read_to_string(&path).map_err(|error| Error::new(here, format!("{}: {error}", path.display())))?;
    text.parse().map_err(|error| Error::new(here, format!("{}: {error}", path.display())))
}

/// The dependencies by the names they have in code, each with the conditions under which it is there: none, or any of.
fn dependencies(manifest: &Table) -> BTreeMap<String, Vec<TokenStream>> {
    let mut found = BTreeMap::new();
    for (name, dependency) in table(manifest, "dependencies") {
        found.insert(name.clone(), features(manifest, name, dependency));
    }
    for (target, tables) in table(manifest, "target") {
        let condition = target.strip_prefix("cfg(").and_then(|rest| rest.strip_suffix(')'));
        let condition: Option<TokenStream> = condition.and_then(|condition| condition.parse().ok());
        let (Some(condition), Some(tables)) = (condition, tables.as_table()) else { continue };
        for (name, dependency) in table(tables, "dependencies") {
            let features = features(manifest, name, dependency);
            let both =
                if features.is_empty() { condition.clone() } else { quote!(all(#condition, any(#(#features),*))) };
            found.entry(name.clone()).or_insert_with(Vec::new).push(both);
        }
    }
    found
}

fn table<'t>(of: &'t Table, key: &str) -> impl Iterator<Item = (&'t String, &'t Value)> {
    of.get(key).and_then(Value::as_table).into_iter().flatten()
}

/// The features that bring an optional dependency in.
fn features(manifest: &Table, name: &str, dependency: &Value) -> Vec<TokenStream> {
    if dependency.get("optional").and_then(Value::as_bool) != Some(true) {
        return Vec::new();
    }
    let explicit = format!("dep:{name}");
    let through = format!("{name}/");
    let (mut features, mut named) = (Vec::new(), false);
    for (feature, brings) in table(manifest, "features") {
        for bring in brings.as_array().into_iter().flatten().filter_map(Value::as_str) {
            named |= bring == explicit;
            if bring == explicit || bring.starts_with(&through) {
                features.push(quote!(feature = #feature));
            }
        }
    }
    // Without `dep:` anywhere the dependency has a feature of its own name.
    if !named {
        features.push(quote!(feature = #name));
    }
    features
}
