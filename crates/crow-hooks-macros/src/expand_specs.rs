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
        Self {
            marker: Ident::new(&camel, spec.name.span()),
            args: Ident::new(&format!("{camel}Args"), spec.name.span()),
        }
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
            /// A name that is only known at run time.
            #[doc(hidden)]
            fn __name(&self) -> ::core::option::Option<#krate::PluginName> {
                ::core::option::Option::None
            }
        }

        #[doc(hidden)]
        impl<T: #name + ?::core::marker::Sized> #name for #private::Arc<T> {
            fn __about(&self) -> (&'static str, ::core::option::Option<&'static str>, &'static str, u32, ::core::option::Option<::core::time::Duration>) {
                T::__about(self)
            }
            fn __attach(self: #private::Arc<Self>, into: &mut dyn #private::Any) {
                T::__attach(#private::Arc::clone(&*self), into);
            }
            fn __name(&self) -> ::core::option::Option<#krate::PluginName> {
                T::__name(self)
            }
        }

        #[doc(hidden)]
        #[derive(Clone, Copy)]
        #[allow(missing_debug_implementations, missing_docs)]
        #vis struct #specs { #(pub #fields: #markers,)* }

        #[doc(hidden)]
        #[allow(missing_docs)]
        impl #specs {
            #(pub fn #fields(&self) -> #markers { #markers })*
        }

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
        impl #name for #krate::Closures<dyn #name> {
            fn __about(&self) -> (&'static str, ::core::option::Option<&'static str>, &'static str, u32, ::core::option::Option<::core::time::Duration>) {
                ("closures", ::core::option::Option::None, "closures", <dyn #name>::API, ::core::option::Option::None)
            }
            fn __attach(self: #private::Arc<Self>, into: &mut dyn #private::Any) {
                if let ::core::option::Option::Some(into) = <dyn #name>::__registrar(into) {
                    self.attach(into);
                }
            }
            fn __name(&self) -> ::core::option::Option<#krate::PluginName> {
                ::core::option::Option::Some(self.name().clone())
            }
        }

        impl<__B: #krate::Backend> #krate::Bridged<__B> for dyn #name
        where
            #(#markers: #krate::Bridge<__B>,)*
        {
            fn visit_bridges<V: #krate::BridgeVisitor<__B, dyn #name>>(visitor: &mut V) {
                #(visitor.hook(#markers);)*
            }
        }

        #[doc(hidden)]
        impl<P: #name + ?::core::marker::Sized> #private::Accepts<P> for dyn #name {
            fn info(plugin: &P) -> #krate::PluginInfo {
                #krate::PluginInfo::about(#name::__about(plugin), #name::__name(plugin))
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
    if spec.options.historic.is_some() {
        return historic_method(contract, spec);
    }
    let result = quote!(::core::result::Result<#collected, #krate::HookError>);
    let (returns, how) =
        if spec.sync { (result, quote!(call_sync)) } else { (quote!(#krate::Call<#lifetime, #marker>), quote!(call)) };
    quote! {
        #(#attrs)*
        pub fn #name #generics (#receiver, #(#names: #types),*) -> #returns {
            self.0.#how::<#marker>(#args { #(#names),* })
        }
    }
}

/// A historic call: what it remembers is given to plugins that register later, with the values to a callback.
fn historic_method(contract: &Contract, spec: &Spec) -> TokenStream {
    let krate = &contract.krate;
    let Names { marker, args } = Names::of(spec);
    let Spec { attrs, name, .. } = spec;
    let names: Vec<_> = spec.args.iter().map(|arg| &arg.name).collect();
    let types = spec.args.iter().map(|arg| &arg.ty);
    let (callback, each) = match &spec.output {
        Some(output) => (
            quote!(each: impl ::core::ops::Fn(#output) + ::core::marker::Send + ::core::marker::Sync + 'static),
            quote!(each),
        ),
        None => (quote!(), quote!(|()| ())),
    };
    quote! {
        #(#attrs)*
        pub fn #name(&self, #(#names: #types,)* #callback) -> ::core::result::Result<(), #krate::HookError> {
            self.0.call_historic::<#marker>(#args { #(#names),* }, #each)
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
    let (generics, of_a, of_s) =
        if spec.borrows { (quote!(<'a>), quote!(<'a>), quote!(<'s>)) } else { (quote!(), quote!(), quote!()) };
    let reborrowed = spec.args.iter().map(reborrow);
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
    let (derive, again) = match &spec.options.historic {
        None => (quote!(), quote!()),
        Some(_) => (
            quote!(#[derive(Clone)]),
            quote! {
                fn again(args: &Self::Args<'static>) -> ::core::option::Option<Self::Args<'static>> {
                    ::core::option::Option::Some(::core::clone::Clone::clone(args))
                }
            },
        ),
    };
    let bridge = bridge(krate, spec);
    quote! {
        #(#attrs)*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #vis struct #marker;

        #[doc = #text]
        #[allow(missing_docs, missing_debug_implementations)]
        #derive
        #vis struct #args #generics { #(pub #fields: #types,)* }

        #[allow(clippy::all, clippy::pedantic)]
        impl #krate::Hook for #marker {
            type Contract = dyn #contract_name;
            type Args<'a> = #args #of_a;
            type Output = #output;
            type Collected = #collected;
            const SPEC: &'static #krate::HookSpec = &#data;

            fn reborrow<'s, 'a: 's>(args: &'s mut Self::Args<'a>) -> #args #of_s {
                #args { #(#reborrowed,)* }
            }

            #keep
            #again

            fn list(tables: &<dyn #contract_name as #krate::Contract>::Tables) -> &#krate::__private::Arc<#krate::__private::HookList<Self>> {
                &tables.#name
            }

            fn list_mut(tables: &mut <dyn #contract_name as #krate::Contract>::Tables) -> &mut #krate::__private::Arc<#krate::__private::HookList<Self>> {
                &mut tables.#name
            }
        }

        impl #krate::#kind for #marker {}

        impl #marker {
            #[doc(hidden)]
            pub fn __slot<'r, P: ::core::marker::Send + ::core::marker::Sync + 'static>(
                self,
                plugin: &'r mut #krate::__private::Attach<'_, dyn #contract_name, P>,
                _: &#krate::__private::Arc<P>,
                method: &'static str,
                args: &'static [&'static str],
            ) -> #krate::__private::Slot<'r, dyn #contract_name, P, Self> {
                plugin.hook(self, method, args)
            }
        }

        #bridge
    }
}

/// How the arguments and results of a hook cross to another world, for every world to which their types can.
fn bridge(krate: &syn::Path, spec: &Spec) -> TokenStream {
    let marker = Names::of(spec).marker;
    let bounds = spec.args.iter().map(|arg| {
        let ty = match &arg.ty {
            syn::Type::Reference(reference) => &*reference.elem,
            ty => ty,
        };
        let ty = match ty {
            // Behind a reference a trait object lives as long as that, not for ever.
            syn::Type::TraitObject(object)
                if !object.bounds.iter().any(|bound| matches!(bound, syn::TypeParamBound::Lifetime(_))) =>
            {
                quote!((#object + 'a))
            }
            ty => quote!(#ty),
        };
        quote!(for<'a> #ty: #krate::Lend<__B>,)
    });
    let lend = spec.args.iter().map(|arg| {
        let (name, text) = (&arg.name, arg.name.to_string());
        let value = match arg.passing {
            Passing::Shared => quote!(args.#name),
            Passing::Mutable => quote!(&*args.#name),
            Passing::Value | Passing::Reborrow => quote!(&args.#name),
        };
        quote! {
            if wanted(#text) {
                into.push((#text, #krate::Lend::<__B>::lend(#value, context)?));
            }
        }
    });
    let reclaim =
        spec.args.iter().filter(|arg| matches!(arg.passing, Passing::Mutable | Passing::Reborrow)).map(|arg| {
            let (name, text) = (&arg.name, arg.name.to_string());
            let place =
                if arg.passing == Passing::Mutable { quote!(&mut *args.#name) } else { quote!(&mut args.#name) };
            quote! {
                if let ::core::option::Option::Some((_, value)) = lent.iter().find(|(name, _)| *name == #text) {
                    #krate::Lend::<__B>::reclaim(#place, value, context)?;
                }
            }
        });
    let (output, collected) =
        (spec.output.as_ref().map_or_else(|| quote!(()), |output| quote!(#output)), collected(spec));
    quote! {
        #[doc(hidden)]
        #[allow(unused_variables, clippy::all, clippy::pedantic)]
        impl<__B: #krate::Backend> #krate::Bridge<__B> for #marker
        where
            #(#bounds)*
            #output: #krate::Take<__B>,
            #collected: #krate::Lend<__B> + #krate::Take<__B>,
        {
            fn lend(
                args: &Self::Args<'_>,
                wanted: &dyn ::core::ops::Fn(&str) -> bool,
                context: &__B::Context,
                into: &mut #krate::Lent<__B>,
            ) -> ::core::result::Result<(), #krate::BoxError> {
                #(#lend)*
                ::core::result::Result::Ok(())
            }

            fn reclaim(args: &mut Self::Args<'_>, lent: &#krate::Lent<__B>, context: &__B::Context) -> ::core::result::Result<(), #krate::BoxError> {
                #(#reclaim)*
                ::core::result::Result::Ok(())
            }

            fn take(value: __B::Value, context: &__B::Context) -> ::core::result::Result<::core::option::Option<Self::Output>, #krate::BoxError> {
                <#output as #krate::Take<__B>>::take(value, context)
            }

            fn lend_result(collected: &Self::Collected, context: &__B::Context) -> ::core::result::Result<__B::Value, #krate::BoxError> {
                #krate::Lend::<__B>::lend(collected, context)
            }

            fn take_result(value: __B::Value, context: &__B::Context) -> ::core::result::Result<Self::Collected, #krate::BoxError> {
                let taken = <#collected as #krate::Take<__B>>::take(value, context)?;
                ::core::result::Result::Ok(taken.unwrap_or_default())
            }
        }
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
