//! The options in the parentheses of the attributes.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, Error, Expr, ExprLit, Ident, Lit, LitInt, LitStr, Path, Result, Token, bracketed,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

/// `#[hookspecs(..)]`
pub(crate) struct ContractOptions {
    pub(crate) project: Option<LitStr>,
    pub(crate) api: Option<LitInt>,
    pub(crate) krate: Option<Path>,
}

impl Parse for ContractOptions {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self { project: None, api: None, krate: None };
        each_option(input, |name, input| {
            match name.to_string().as_str() {
                "project" => options.project = Some(value(input)?),
                "api" => options.api = Some(value(input)?),
                "crate" => options.krate = Some(value(input)?),
                _ => return Err(unknown(&name, "hookspecs", &["project", "api", "crate"])),
            }
            Ok(())
        })?;
        Ok(options)
    }
}

/// `#[hookimpls(..)]`
pub(crate) struct PluginOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitStr>,
    pub(crate) budget: Option<Duration>,
}

impl Parse for PluginOptions {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self { name: None, version: None, budget: None };
        each_option(input, |name, input| {
            match name.to_string().as_str() {
                "name" => options.name = Some(value(input)?),
                "version" => options.version = Some(value(input)?),
                "budget" => options.budget = Some(duration(&value(input)?)?),
                _ => return Err(unknown(&name, "hookimpls", &["name", "version", "budget"])),
            }
            Ok(())
        })?;
        Ok(options)
    }
}

/// `#[hookspec(..)]`
#[derive(Default)]
pub(crate) struct SpecOptions {
    pub(crate) firstresult: Option<Ident>,
    pub(crate) historic: Option<Ident>,
    pub(crate) isolate: bool,
    pub(crate) budget: Option<SpecBudget>,
    pub(crate) warn_on_impl: Option<LitStr>,
}

/// The time that a contract gives the impls of a hook.
pub(crate) enum SpecBudget {
    Limited(Duration),
    Unbounded,
}

impl SpecOptions {
    /// Takes the options out of `attrs`.
    pub(crate) fn take(attrs: &mut Vec<Attribute>) -> Result<Self> {
        let mut options = Self::default();
        for attr in take(attrs, "hookspec") {
            attr.parse_args_with(|input: ParseStream<'_>| each_option(input, |name, input| options.set(name, input)))?;
        }
        if let (Some(_), Some(historic)) = (&options.firstresult, &options.historic) {
            return Err(Error::new(
                historic.span(),
                "a hook cannot be both `firstresult` and `historic`: nobody waits for the result of a call that is replayed",
            ));
        }
        Ok(options)
    }

    fn set(&mut self, name: Ident, input: ParseStream<'_>) -> Result<()> {
        match name.to_string().as_str() {
            "firstresult" => self.firstresult = Some(name),
            "historic" => self.historic = Some(name),
            "isolate" => self.isolate = true,
            "unbounded" => self.budget = Some(SpecBudget::Unbounded),
            "budget" => self.budget = Some(SpecBudget::Limited(duration(&value(input)?)?)),
            "warn_on_impl" => self.warn_on_impl = Some(value(input)?),
            _ => {
                let known = ["firstresult", "historic", "isolate", "budget", "unbounded", "warn_on_impl"];
                return Err(unknown(&name, "hookspec", &known));
            }
        }
        Ok(())
    }
}

/// `#[hookimpl(..)]`
#[derive(Default)]
pub(crate) struct ImplOptions {
    pub(crate) tryfirst: bool,
    pub(crate) trylast: bool,
    pub(crate) wrapper: bool,
    pub(crate) optionalhook: bool,
    pub(crate) specname: Option<LitStr>,
    pub(crate) before: Vec<LitStr>,
    pub(crate) after: Vec<LitStr>,
    pub(crate) budget: Option<Duration>,
}

impl ImplOptions {
    /// Takes the options out of `attrs`.
    pub(crate) fn take(attrs: &mut Vec<Attribute>) -> Result<Self> {
        let mut options = Self::default();
        for attr in take(attrs, "hookimpl") {
            if matches!(attr.meta, syn::Meta::Path(_)) {
                continue;
            }
            attr.parse_args_with(|input: ParseStream<'_>| each_option(input, |name, input| options.set(&name, input)))?;
            if options.tryfirst && options.trylast {
                return Err(Error::new_spanned(&attr, "an impl cannot be both `tryfirst` and `trylast`"));
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &Ident, input: ParseStream<'_>) -> Result<()> {
        match name.to_string().as_str() {
            "tryfirst" => self.tryfirst = true,
            "trylast" => self.trylast = true,
            "wrapper" => self.wrapper = true,
            "optionalhook" => self.optionalhook = true,
            "specname" => self.specname = Some(value(input)?),
            "before" => self.before = names(input)?,
            "after" => self.after = names(input)?,
            "budget" => self.budget = Some(duration(&value(input)?)?),
            _ => {
                let known = ["tryfirst", "trylast", "wrapper", "optionalhook", "specname", "before", "after", "budget"];
                return Err(unknown(name, "hookimpl", &known));
            }
        }
        Ok(())
    }
}

/// Takes the attributes of this name out of `attrs`.
pub(crate) fn take(attrs: &mut Vec<Attribute>, name: &str) -> Vec<Attribute> {
    let named = |attr: &Attribute| attr.path().segments.last().is_some_and(|last| last.ident == name);
    let (taken, left) = std::mem::take(attrs).into_iter().partition(named);
    *attrs = left;
    taken
}

/// Reads `name`, or `name = value`, again and again.
fn each_option(input: ParseStream<'_>, mut read: impl FnMut(Ident, ParseStream<'_>) -> Result<()>) -> Result<()> {
    while !input.is_empty() {
        let name = input.call(Ident::parse_any)?;
        read(name, input)?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(())
}

fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `"a"` or `["a", "b"]`
fn names(input: ParseStream<'_>) -> Result<Vec<LitStr>> {
    input.parse::<Token![=]>()?;
    if input.peek(LitStr) {
        return Ok(vec![input.parse()?]);
    }
    let list;
    bracketed!(list in input);
    Ok(Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect())
}

fn unknown(name: &Ident, attribute: &str, known: &[&str]) -> Error {
    let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
    let text = format!("`#[{attribute}]` has no option `{name}`; it has {}", known.join(", "));
    Error::new(name.span(), text)
}

/// Reads `"250ms"`, `"10s"`, `"2m"`, `"1h"`.
fn duration(text: &LitStr) -> Result<Duration> {
    let wrong = || Error::new(text.span(), "a time is written like \"250ms\", \"10s\", \"2m\" or \"1h\"");
    let value = text.value();
    let digits = value.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = value.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs).ok_or_else(wrong);
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => Err(wrong()),
    }
}

/// A duration as an expression.
pub(crate) fn duration_tokens(time: Duration) -> TokenStream {
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    quote!(::core::time::Duration::new(#seconds, #nanos))
}

/// The text of the doc comments among `attrs`.
pub(crate) fn doc_text(attrs: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        if let syn::Meta::NameValue(pair) = &attr.meta
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value
        {
            let text = text.value();
            lines.extend(text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned()));
        }
    }
    lines.join("\n").trim().to_owned()
}
