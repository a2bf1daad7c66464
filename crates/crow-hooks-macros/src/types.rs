//! Types of arguments: giving them their lifetime, and writing them the way a person does.

use syn::{
    Error, GenericArgument, Lifetime, Result, Type,
    spanned::Spanned,
    visit_mut::{self, VisitMut},
};

/// How the next impl gets an argument again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passing {
    /// `&T`
    Shared,
    /// `&mut T`
    Mutable,
    /// `T`, cloned for each impl
    Value,
    /// `T<'_>` with a `reborrow` method
    Reborrow,
}

/// Gives every elided lifetime the name `'a`. Tells whether there was one.
pub(crate) fn name_lifetimes(ty: &mut Type) -> Result<bool> {
    let mut namer = Namer { used: false, error: None };
    namer.visit_type_mut(ty);
    match namer.error {
        Some(error) => Err(error),
        None => Ok(namer.used),
    }
}

struct Namer {
    used: bool,
    error: Option<Error>,
}

impl VisitMut for Namer {
    fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
        if reference.lifetime.is_none() {
            reference.lifetime = Some(Lifetime::new("'a", reference.and_token.span()));
            self.used = true;
        }
        if reference.mutability.is_some() && holds_lifetime(&reference.elem) {
            self.error.get_or_insert_with(|| {
                Error::new_spanned(
                    &reference.elem,
                    "a hook cannot lend `&mut` of a type that borrows itself: take the value (`#[reborrow] x: X<'_>`, \
                     with a method `reborrow(&mut self) -> X<'_>`), or `&mut dyn Trait`",
                )
            });
        }
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = Lifetime::new("'a", lifetime.span());
        }
        match lifetime.ident.to_string().as_str() {
            "a" => self.used = true,
            "static" => {}
            _ => {
                self.error.get_or_insert_with(|| {
                    Error::new(lifetime.span(), "the lifetimes of a hook's arguments are left out, or written `'_`")
                });
            }
        }
    }

    fn visit_type_bare_fn_mut(&mut self, _: &mut syn::TypeBareFn) {
        // `fn(&T)` has lifetimes of its own.
    }
}

/// Tells whether a type has a lifetime inside. `dyn Trait` has one that may shrink.
fn holds_lifetime(ty: &Type) -> bool {
    struct Finder(bool);
    impl VisitMut for Finder {
        fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
            let fixed = reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static");
            self.0 |= !fixed;
            visit_mut::visit_type_mut(self, &mut reference.elem);
        }
        fn visit_generic_argument_mut(&mut self, argument: &mut GenericArgument) {
            if let GenericArgument::Lifetime(lifetime) = argument {
                self.0 |= lifetime.ident != "static";
            }
            visit_mut::visit_generic_argument_mut(self, argument);
        }
        fn visit_type_trait_object_mut(&mut self, _: &mut syn::TypeTraitObject) {}
        fn visit_type_bare_fn_mut(&mut self, _: &mut syn::TypeBareFn) {}
    }
    let mut finder = Finder(false);
    finder.visit_type_mut(&mut ty.clone());
    finder.0
}

/// The type as a person writes it: `&mut Vec<Message>`.
pub(crate) fn written(ty: &Type) -> String {
    let mut text = String::new();
    let tokens = quote::quote!(#ty).to_string();
    let mut words = tokens.split_whitespace().peekable();
    while let Some(word) = words.next() {
        text.push_str(word);
        let Some(next) = words.peek() else { break };
        let glued_after =
            matches!(word, "&" | "<" | "(" | "[" | "::" | "*" | "!") || word.ends_with("::") || word.ends_with('<');
        let glued_before = matches!(*next, ">" | ")" | "]" | "<" | "::" | "," | ";" | "(")
            || next.starts_with('>')
            || next.starts_with("::");
        let arrow = *next == "->" || word == "->";
        if arrow || !(glued_after || glued_before) {
            text.push(' ');
        }
    }
    text
}
