//! The attributes of [`crow-hooks`](https://docs.rs/crow-hooks), which re-exports and documents them.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use syn::parse_macro_input;

#[cfg(feature = "discover")]
mod discover;
mod expand_absent;
mod expand_impls;
mod expand_specs;
mod options;
mod parse_impls;
mod parse_specs;
mod types;

/// Turns a trait into a contract: each function is a hook.
///
/// ```ignore
/// #[hookspecs(project = "shop", api = 1)]
/// pub trait Shop {
///     /// Before an order is taken. Impls may change it, or refuse it with an error.
///     async fn before_order(customer: &Customer, order: &mut Order);
///     /// The price of shipping: the first answer counts.
///     #[hookspec(firstresult, budget = "2s")]
///     async fn shipping(order: &Order) -> Money;
///     /// After an order. One failing observer does not keep the others from hearing of it.
///     #[hookspec(isolate, unbounded)]
///     async fn after_order(order: &Order);
///     /// A `fn` is called without a runtime, and its impls are `fn`s.
///     fn label(order: &Order) -> String;
/// }
/// ```
///
/// For `Shop` this makes, next to the trait: `ShopRelay`, the snapshot with one method per hook; and per hook a marker
/// type (`BeforeOrder`) and its arguments (`BeforeOrderArgs`).
///
/// Of the trait itself: `project` names it in messages (default: the crate), `api` is its major version (default: 1),
/// and `crate = path` says where the engine is if it is not `::crow_hooks`.
///
/// Options of `#[hookspec(..)]`: `firstresult`, `historic`, `isolate`, `budget = "10s"`, `unbounded`,
/// `warn_on_impl = "text"`. On an argument: `#[warn_on_impl("text")]`, and `#[reborrow]` for a value that holds a
/// mutable borrow (`deltas: Deltas<'_>`), which must have a method `reborrow(&mut self) -> Deltas<'_>`. Other arguments
/// by value are cloned for each impl.
#[proc_macro_attribute]
pub fn hookspecs(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as options::ContractOptions);
    let item = parse_macro_input!(item as syn::ItemTrait);
    let contract = parse_specs::parse(options, item);
    contract.map_or_else(syn::Error::into_compile_error, |contract| expand_specs::expand(&contract)).into()
}

/// Makes a type a plugin: each method implements the hook of its name.
///
/// ```ignore
/// #[hookimpls]
/// impl Shop for Fraud {
///     #[hookimpl(tryfirst)]
///     async fn before_order(&self, order: &mut Order) -> Result<(), Refused> { .. }
///
///     #[hookimpl(wrapper)]
///     async fn shipping(&self, mut next: Next<'_, Shipping>) -> Outcome<Shipping> { .. }
/// }
/// ```
///
/// A method takes `&self` and any of the hook's arguments, by name, in any order. It returns the hook's output `T`,
/// or `Option<T>`, `Result<T, E>`, `Result<Option<T>, E>`. Impls of async hooks may be `async fn` or `fn`.
/// The methods stay ordinary methods of the type, to be called in its tests.
///
/// Of the whole: `#[hookimpls(name = "fraud")]` (default: the type's name in kebab case), `version = "1.2"` (default:
/// the crate's), `budget = "5s"` for each impl.
///
/// Options of `#[hookimpl(..)]`: `tryfirst`, `trylast`, `wrapper`, `optionalhook`, `specname = "hook"`,
/// `before = "plugin"`, `after = "plugin"` (or lists: `["a", "b"]`), `budget = "5s"`.
#[proc_macro_attribute]
pub fn hookimpls(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as options::PluginOptions);
    let item = parse_macro_input!(item as syn::ItemImpl);
    let plugin = parse_impls::parse(options, item);
    plugin.map_or_else(syn::Error::into_compile_error, |plugin| expand_impls::expand(&plugin)).into()
}

/// Registers every dependency of this crate that is a plugin: `plugins!(manager)?`.
///
/// A plugin crate exports `pub fn plugin()`. The macro reads the `[dependencies]` of the crate it is used in, so that
/// after `cargo add crow-foo` nothing else is to be written. Renamed dependencies, those behind a feature and those of
/// `[target.'cfg(..)']` are understood; crates without a `plugin` function are passed over.
///
/// The order of registration is that of the dependencies' names, alphabetically, so an impl of `zebra` is called before
/// one of `ant` (last in, first out); plugins that care use `tryfirst`, `before = ".."` and the like. What the manager
/// has [blocked](https://docs.rs/crow-hooks/latest/crow_hooks/struct.PluginManager.html#method.block) stays out, and
/// `plugins!(manager, skip = ["crow-foo"])` does not even look at a dependency.
///
/// The value is `Result<Vec<PluginName>, RegisterError>`: the names in order of registration, or the first error.
#[cfg(feature = "discover")]
#[proc_macro]
pub fn plugins(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as discover::Input);
    discover::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
