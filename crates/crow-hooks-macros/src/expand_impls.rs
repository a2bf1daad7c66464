//! Writes what a plugin becomes: its methods as they are, and the glue that attaches them.
//!
//! The glue names no path but the contract's own, so a plugin needs no dependency on the engine: types come from
//! inference. Hooks and arguments are looked up as fields, with the person's own spans: it is rustc that says
//! "no field `user_imput`; a field with a similar name exists: `user_input`".

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, Type, spanned::Spanned};

use crate::{
    expand_absent::stand_in,
    options::{ImplOptions, duration_tokens},
    parse_impls::{Method, Plugin},
};

pub(crate) fn expand(plugin: &Plugin) -> TokenStream {
    let Plugin { item, contract, .. } = plugin;
    let (generics, _, bounds) = item.generics.split_for_impl();
    let (attrs, ty, methods) = (&item.attrs, &item.self_ty, &item.items);
    let about = about(plugin);
    let glue = plugin.methods.iter().map(|method| glue(plugin, method));
    quote! {
        #(#attrs)*
        // What a person is asked to write by a contract is not theirs to simplify.
        #[allow(
            clippy::unused_self, clippy::unused_async, clippy::unnecessary_wraps, clippy::needless_pass_by_value,
            clippy::trivially_copy_pass_by_ref, clippy::ptr_arg, clippy::needless_pass_by_ref_mut, clippy::ref_option,
            clippy::ref_option_ref, clippy::too_many_arguments
        )]
        impl #generics #ty #bounds { #(#methods)* }

        #[allow(clippy::all, clippy::pedantic)]
        impl #generics #contract for #ty #bounds {
            #about
            fn __attach(self: ::std::sync::Arc<Self>, __into: &mut dyn ::core::any::Any) {
                let ::core::option::Option::Some(__into) = <dyn #contract + 'static>::__registrar(__into) else { return };
                #[allow(unused_mut, unused_variables)]
                let mut __plugin = __into.plugin(&self);
                #(#glue)*
            }
        }
    }
}

/// Name, version and the rest of what a plugin says of itself.
fn about(plugin: &Plugin) -> TokenStream {
    let Plugin { item, contract, options, .. } = plugin;
    let name = options.name.as_ref().map_or_else(|| kebab_case(&item.self_ty), syn::LitStr::value);
    let version = match &options.version {
        Some(version) => quote!(::core::option::Option::Some(#version)),
        _ => quote!(::core::option_env!("CARGO_PKG_VERSION")),
    };
    let budget = options
        .budget
        .map(duration_tokens)
        .map_or_else(|| quote!(::core::option::Option::None), |time| quote!(::core::option::Option::Some(#time)));
    quote! {
        fn __about(&self) -> (&'static str, ::core::option::Option<&'static str>, &'static str, u32, ::core::option::Option<::core::time::Duration>) {
            (#name, #version, ::core::any::type_name::<Self>(), <dyn #contract + 'static>::API, #budget)
        }
    }
}

/// `SystemPrompt` → `system-prompt`
fn kebab_case(ty: &Type) -> String {
    let name = match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    };
    let letters: Vec<char> = name.chars().collect();
    let mut kebab = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && (letters[at - 1].is_lowercase() || letters[at - 1].is_ascii_digit());
        let ends_acronym =
            at > 0 && letters[at - 1].is_uppercase() && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_lower || ends_acronym) {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab
}

fn glue(plugin: &Plugin, method: &Method) -> TokenStream {
    let contract = &plugin.contract;
    let Method { cfgs, name, hook, args, options, .. } = method;
    let text = name.to_string();
    let taken = args.iter().filter(|_| !options.wrapper).map(|(name, _)| name.to_string());
    let chosen = chosen(options);
    let attach = if options.wrapper { wrapper(method) } else { implementation(method) };
    if options.optionalhook {
        let stand_in = stand_in(method);
        return quote! {
            #(#cfgs)*
            {
                #stand_in
                <dyn #contract + 'static>::HOOKS.#hook().__slot(&mut __plugin, &self, #text, &[#(#taken),*]) #chosen #attach;
            }
        };
    }
    let at = place(method);
    quote_spanned! {at=>
        #(#cfgs)*
        __plugin.hook(<dyn #contract + 'static>::HOOKS.#hook, #text, &[#(#taken),*]) #chosen #attach;
    }
}

fn chosen(options: &ImplOptions) -> TokenStream {
    let mut chosen = TokenStream::new();
    if options.tryfirst {
        chosen.extend(quote!(.tryfirst()));
    }
    if options.trylast {
        chosen.extend(quote!(.trylast()));
    }
    for name in &options.before {
        chosen.extend(quote!(.before(#name)));
    }
    for name in &options.after {
        chosen.extend(quote!(.after(#name)));
    }
    if let Some(time) = options.budget.map(duration_tokens) {
        chosen.extend(quote!(.budget(#time)));
    }
    chosen
}

/// Where the person wrote the method, for messages.
fn place(method: &Method) -> Span {
    Span::call_site().located_at(method.name.span())
}

/// Boxes a future and polls it for the first time, here, where its type is known: most are done then, and the compiler
/// sees through all of it. The box comes first, so that the future is made in place and not moved.
fn polled(body: &TokenStream, at: Span) -> TokenStream {
    quote_spanned! {at=>
        let __place = ::std::boxed::Box::new_uninit();
        let mut __future = ::std::boxed::Box::into_pin(::std::boxed::Box::write(__place, async move { #body }));
        match ::core::future::Future::poll(__future.as_mut(), __task) {
            ::core::task::Poll::Ready(__done) => ::core::result::Result::Ok(__done),
            ::core::task::Poll::Pending => ::core::result::Result::Err(::core::option::Option::Some(__future)),
        }
    }
}

fn implementation(method: &Method) -> TokenStream {
    let (name, at) = (&method.name, place(method));
    let locals: Vec<_> = (0..method.args.len()).map(|at| format_ident!("__arg{at}")).collect();
    let takes: TokenStream = if method.args.is_empty() {
        quote!(let _ = __args;)
    } else {
        let take =
            |((name, ty), local): (&(Ident, Type), &Ident)| quote_spanned!(ty.span()=> let #local: #ty = __args.#name;);
        method.args.iter().zip(&locals).map(take).collect()
    };
    if method.asynchronous {
        let polled = polled(&quote_spanned! {at=> #takes __to.answer(Self::#name(__this, #(#locals),*).await)}, at);
        quote_spanned!(at=> .later(|__this, __args, __to, __task| { #polled }))
    } else {
        quote_spanned! {at=>
            .sync(|__this, __args, __to| {
                #takes
                __to.answer(Self::#name(__this, #(#locals),*))
            })
        }
    }
}

fn wrapper(method: &Method) -> TokenStream {
    let (name, at) = (&method.name, place(method));
    let ty = method.args.first().map(|(_, ty)| ty);
    if method.asynchronous {
        let around = quote_spanned! {at=>
            let __outcome = {
                let (__next, __guard) = __frame.enter();
                let __next: #ty = __next;
                let __wrapper = ::core::pin::pin!(Self::#name(__this, __next));
                __guard.run(__wrapper).await.map(|__outcome| __to.outcome(__outcome))
            };
            match __frame.leave(__outcome) {
                ::core::option::Option::Some(__result) => __result,
                ::core::option::Option::None => __frame.skip().await,
            }
        };
        let polled = polled(&around, at);
        quote_spanned!(at=> .wrap(|__this, mut __frame, __to, __task| { #polled }))
    } else {
        quote_spanned! {at=>
            .wrap_sync(|__this, __next, __to| {
                let __next: #ty = __next;
                __to.outcome(Self::#name(__this, __next))
            })
        }
    }
}
