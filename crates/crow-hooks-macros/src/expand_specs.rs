//! Writes what a contract becomes.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Ident, Lifetime};

use crate::{
    options::{SpecBudget, duration_tokens},
    parse_specs::{Arg, Contract, Spec},
    types::{Passing, written},
};

/// The names of what is made for one hook.
struct Names {
    marker: Ident,
    args: Ident,
}

impl Names {
    fn of(spec: &Spec) -> Self {
        let camel = camel_case(&spec.name.to_string());
        Self { marker: Ident::new(&camel, spec.name.span()), args: Ident::new(&format!("{camel}Args"), spec.name.span()) }
    }
}

fn camel_case(snake: &str) -> String {
    let mut camel = String::new();
    for word in snake.trim_start_matches("r#").split('_') {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.extend(letters);
    }
    camel
}

pub(crate) fn expand(contract: &Contract) -> TokenStream {
    let parts = [the_trait(contract), tables(contract), relay(contract)];
    let hooks = contract.hooks.iter().map(|spec| hook(contract, spec));
    quote!(#(#parts)* #(#hooks)*)
}

/// The trait that plugins implement, and the contract as `dyn Trait`.
fn the_trait(contract: &Contract) -> TokenStream {
    let Contract { attrs, vis, name, project, api, krate, hooks } = contract;
    let specs = format_ident!("{name}Specs");
    let tables = format_ident!("{name}Tables");
    let relay = format_ident!("{name}Relay");
    let fields: Vec<_> = hooks.iter().map(|spec| &spec.name).collect();
    let markers: Vec<_> = hooks.iter().map(|spec| Names::of(spec).marker).collect();
    let listing = hooks.iter().map(|spec| {
        let first = spec.doc.lines().next().unwrap_or_default();
        format!("* [`{}`]({}): {first}", spec.name, Names::of(spec).marker)
    });
    let private = quote!(#krate::__private);
    quote! {
        #(#attrs)*
        #[doc = "\n# Hooks\n\nImplemented with `#[hookimpls]`:\n"]
        #(#[doc = #listing])*
        #vis trait #name: ::core::marker::Send + ::core::marker::Sync + 'static {
            #[doc(hidden)]
            fn __about(&self) -> (&'static str, ::core::option::Option<&'static str>, &'static str, u32, ::core::option::Option<::core::time::Duration>);
            #[doc(hidden)]
            fn __attach(self: #private::Arc<Self>, into: &mut dyn #private::Any);
        }

        #[doc(hidden)]
        impl<T: #name + ?::core::marker::Sized> #name for #private::Arc<T> {
            fn __about(&self) -> (&'static str, ::core::option::Option<&'static str>, &'static str, u32, ::core::option::Option<::core::time::Duration>) {
                T::__about(self)
            }
            fn __attach(self: #private::Arc<Self>, into: &mut dyn #private::Any) {
                T::__attach(#private::Arc::clone(&*self), into);
            }
        }

        #[doc(hidden)]
        #[derive(Clone, Copy)]
        #[allow(missing_debug_implementations, missing_docs)]
        #vis struct #specs { #(pub #fields: #markers,)* }

        impl dyn #name {
            /// The hooks, one field each.
            pub const HOOKS: #specs = #specs { #(#fields: #markers,)* };
            /// The major version of the contract.
            pub const API: u32 = #api;

            #[doc(hidden)]
            pub fn __registrar(into: &mut dyn #private::Any) -> ::core::option::Option<&mut #private::Registrar<dyn #name>> {
                into.downcast_mut()
            }
        }

        impl #krate::Contract for dyn #name {
            const PROJECT: &'static str = #project;
            const API: u32 = #api;
            const SPECS: &'static [&'static #krate::HookSpec] = &[#(<#markers as #krate::Hook>::SPEC,)*];
            type Relay = #relay;
            type Tables = #tables;

            fn each_list<'t>(tables: &'t #tables, each: &mut dyn ::core::ops::FnMut(&'t dyn #private::AnyList)) {
                #(each(&*tables.#fields);)*
            }

            fn each_list_mut(tables: &mut #tables, each: &mut dyn ::core::ops::FnMut(&mut dyn #private::AnyListMut)) {
                #(each(&mut tables.#fields);)*
            }

            fn visit<V: #krate::Visitor<dyn #name>>(visitor: &mut V) {
                #(visitor.hook(#markers);)*
            }
        }

        #[doc(hidden)]
        impl<P: #name + ?::core::marker::Sized> #private::Accepts<P> for dyn #name {
            fn info(plugin: &P) -> #krate::PluginInfo {
                #krate::PluginInfo::about(#name::__about(plugin))
            }
            fn attach(plugin: #private::Arc<P>, into: &mut #private::Registrar<dyn #name>) {
                P::__attach(plugin, into);
            }
        }
    }
}

/// One list of impls per hook.
fn tables(contract: &Contract) -> TokenStream {
    let Contract { vis, name, krate, hooks, .. } = contract;
    let tables = format_ident!("{name}Tables");
    let fields: Vec<_> = hooks.iter().map(|spec| &spec.name).collect();
    let markers = hooks.iter().map(|spec| Names::of(spec).marker);
    quote! {
        #[doc(hidden)]
        #[derive(Clone, Default)]
        #[allow(missing_debug_implementations)]
        #vis struct #tables { #(#fields: #krate::__private::Arc<#krate::__private::HookList<#markers>>,)* }
    }
}

/// The snapshot with a method per hook.
fn relay(contract: &Contract) -> TokenStream {
    let Contract { vis, name, krate, hooks, .. } = contract;
    let relay = format_ident!("{name}Relay");
    let methods = hooks.iter().map(|spec| method(contract, spec));
    let text = format!("The hooks of [`{name}`] with the plugins of one moment. Cheap to clone.");
    quote! {
        #[doc = #text]
        #[derive(Clone, Debug)]
        #vis struct #relay(#krate::__private::Arc<#krate::Snapshot<dyn #name>>);

        impl ::core::convert::From<#krate::__private::Arc<#krate::Snapshot<dyn #name>>> for #relay {
            fn from(snapshot: #krate::__private::Arc<#krate::Snapshot<dyn #name>>) -> Self {
                Self(snapshot)
            }
        }

        impl ::core::ops::Deref for #relay {
            type Target = #krate::Snapshot<dyn #name>;
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        #[allow(clippy::too_many_arguments, clippy::all, clippy::pedantic)]
        impl #relay { #(#methods)* }
    }
}

fn method(contract: &Contract, spec: &Spec) -> TokenStream {
    let krate = &contract.krate;
    let Names { marker, args } = Names::of(spec);
    let Spec { attrs, name, .. } = spec;
    let names: Vec<_> = spec.args.iter().map(|arg| &arg.name).collect();
    let types = spec.args.iter().map(|arg| &arg.ty);
    let collected = collected(spec);
    let (generics, receiver, lifetime) = if spec.borrows {
        (quote!(<'a>), quote!(&'a self), Lifetime::new("'a", Span::call_site()))
    } else {
        (quote!(), quote!(&self), Lifetime::new("'_", Span::call_site()))
    };
    let result = quote!(::core::result::Result<#collected, #krate::HookError>);
    let (returns, how) = if spec.sync {
        (result, quote!(call_sync))
    } else {
        (quote!(#krate::Call<#lifetime, #marker>), quote!(call))
    };
    quote! {
        #(#attrs)*
        pub fn #name #generics (#receiver, #(#names: #types),*) -> #returns {
            self.0.#how::<#marker>(#args { #(#names),* })
        }
    }
}

fn collected(spec: &Spec) -> TokenStream {
    match (&spec.output, &spec.options.firstresult) {
        (Some(output), Some(_)) => quote!(::core::option::Option<#output>),
        (Some(output), None) => quote!(::std::vec::Vec<#output>),
        (None, _) => quote!(()),
    }
}

/// One hook: its marker, its arguments, and what the engine asks of it.
fn hook(contract: &Contract, spec: &Spec) -> TokenStream {
    let Contract { vis, name: contract_name, krate, .. } = contract;
    let Names { marker, args } = Names::of(spec);
    let Spec { attrs, name, .. } = spec;
    let fields: Vec<_> = spec.args.iter().map(|arg| &arg.name).collect();
    let types = spec.args.iter().map(|arg| &arg.ty);
    let text = format!("The arguments of [`{marker}`].");
    let (generics, of_a, of_s) = if spec.borrows { (quote!(<'a>), quote!(<'a>), quote!(<'s>)) } else { (quote!(), quote!(), quote!()) };
    let again = spec.args.iter().map(reborrow);
    let output = spec.output.as_ref().map_or_else(|| quote!(()), |output| quote!(#output));
    let collected = collected(spec);
    let data = data(krate, spec);
    let kind = if spec.sync { quote!(SyncHook) } else { quote!(AsyncHook) };
    let keep = spec.options.isolate.then(|| {
        quote! {
            fn keep(inner: &Self::Collected) -> ::core::option::Option<Self::Collected> {
                ::core::option::Option::Some(::core::clone::Clone::clone(inner))
            }
        }
    });
    quote! {
        #(#attrs)*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #vis struct #marker;

        #[doc = #text]
        #[allow(missing_docs, missing_debug_implementations)]
        #vis struct #args #generics { #(pub #fields: #types,)* }

        #[allow(clippy::all, clippy::pedantic)]
        impl #krate::Hook for #marker {
            type Contract = dyn #contract_name;
            type Args<'a> = #args #of_a;
            type Output = #output;
            type Collected = #collected;
            const SPEC: &'static #krate::HookSpec = &#data;

            fn reborrow<'s, 'a: 's>(args: &'s mut Self::Args<'a>) -> #args #of_s {
                #args { #(#again,)* }
            }

            #keep

            fn list(tables: &<dyn #contract_name as #krate::Contract>::Tables) -> &#krate::__private::Arc<#krate::__private::HookList<Self>> {
                &tables.#name
            }

            fn list_mut(tables: &mut <dyn #contract_name as #krate::Contract>::Tables) -> &mut #krate::__private::Arc<#krate::__private::HookList<Self>> {
                &mut tables.#name
            }
        }

        impl #krate::#kind for #marker {}
    }
}

fn reborrow(arg: &Arg) -> TokenStream {
    let name = &arg.name;
    match arg.passing {
        Passing::Shared => quote!(#name: args.#name),
        Passing::Mutable => quote!(#name: &mut *args.#name),
        Passing::Value => quote!(#name: ::core::clone::Clone::clone(&args.#name)),
        Passing::Reborrow => quote!(#name: args.#name.reborrow()),
    }
}

/// The hook as a constant.
fn data(krate: &syn::Path, spec: &Spec) -> TokenStream {
    let name = spec.name.to_string();
    let doc = &spec.doc;
    let args = spec.args.iter().map(|arg| {
        let (name, ty) = (arg.name.to_string(), &arg.written);
        let warn = option(arg.warn_on_impl.as_ref());
        quote!(#krate::ArgSpec::new(#name, #ty, #warn))
    });
    let output = spec.output.as_ref().map_or_else(|| "()".to_owned(), written);
    let mut data = quote!(#krate::HookSpec::new(#name, #doc, &[#(#args),*], #output));
    if spec.options.firstresult.is_some() {
        data.extend(quote!(.kind(#krate::Kind::FirstResult)));
    }
    if spec.options.historic.is_some() {
        data.extend(quote!(.kind(#krate::Kind::Historic)));
    }
    if spec.options.isolate {
        data.extend(quote!(.isolated()));
    }
    if spec.sync {
        data.extend(quote!(.synchronous()));
    }
    match spec.options.budget {
        Some(SpecBudget::Limited(time)) => {
            let time = duration_tokens(time);
            data.extend(quote!(.budget(#krate::Budget::Limited(#time))));
        }
        Some(SpecBudget::Unbounded) => data.extend(quote!(.budget(#krate::Budget::Unbounded))),
        None => {}
    }
    if let Some(text) = &spec.options.warn_on_impl {
        data.extend(quote!(.warn_on_impl(#text)));
    }
    data
}

fn option<T: quote::ToTokens>(value: Option<T>) -> TokenStream {
    value.map_or_else(|| quote!(::core::option::Option::None), |value| quote!(::core::option::Option::Some(#value)))
}
