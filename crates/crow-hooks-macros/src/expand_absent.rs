//! `optionalhook`: an impl of a hook that the contract may lack.
//!
//! The glue asks for the hook by a method. A trait written next to it has that method too, for whatever lacks it of
//! its own; it gives a stand-in to which the same glue can be attached, to no effect. Which of the two it is, rustc
//! decides: a type's own methods come before those of traits.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::{parse_impls::Method, types};

pub(crate) fn stand_in(method: &Method) -> TokenStream {
    let hook = &method.hook;
    let args = format_ident!("__AbsentArgs");
    let fields = method.args.iter().map(|(name, ty)| {
        let mut ty = ty.clone();
        // A type that cannot be lent is an error where the hook exists; here nothing is lent.
        let _ = types::name_lifetimes(&mut ty);
        quote!(#name: #ty)
    });
    quote! {
        struct __Absent;
        struct __AbsentSlot<P>(::core::marker::PhantomData<fn(P)>);
        struct __AbsentTo;
        #[allow(dead_code)]
        struct #args<'a> { #(#fields,)* __life: ::core::marker::PhantomData<&'a ()> }
        #[allow(dead_code)]
        trait __Lacks { fn #hook(&self) -> __Absent { __Absent } }
        impl<T> __Lacks for T {}
        #[allow(dead_code)]
        impl __Absent {
            fn __slot<A, P>(self, _: &mut A, _: &::std::sync::Arc<P>, _: &'static str, _: &'static [&'static str]) -> __AbsentSlot<P> {
                __AbsentSlot(::core::marker::PhantomData)
            }
        }
        #[allow(dead_code)]
        impl __AbsentTo { fn answer<T>(self, _: T) {} }
        #[allow(dead_code)]
        impl<P> __AbsentSlot<P> {
            fn tryfirst(self) -> Self { self }
            fn trylast(self) -> Self { self }
            fn before(self, _: &str) -> Self { self }
            fn after(self, _: &str) -> Self { self }
            fn budget(self, _: ::core::time::Duration) -> Self { self }
            fn sync<F: for<'a> ::core::ops::Fn(&'a P, #args<'a>, __AbsentTo)>(self, _: F) {}
            fn later<F>(self, _: F)
            where
                F: for<'a, 't> ::core::ops::Fn(&'a P, #args<'a>, __AbsentTo, &'t mut ::core::task::Context<'_>)
                    -> ::core::result::Result<(), ::core::option::Option<::core::pin::Pin<::std::boxed::Box<
                        dyn ::core::future::Future<Output = ()> + ::core::marker::Send + 'a>>>>,
            {}
        }
    }
}
