//! Typed plugin hooks: a program declares them, any crate implements them.
//!
//! The semantics are those of Python's [pluggy](https://pluggy.readthedocs.io), which carries pytest: specs and impls,
//! `tryfirst` and `trylast`, wrappers, first results and collected ones. Here they are checked at compile time, async
//! and sync impls stand in one chain, and a failing plugin does not take the host down.
//!
//! ```
//! use crow_hooks::{Outcome, PluginManager, SyncNext, hookimpls, hookspecs};
//!
//! /// A kitchen lets others interfere.
//! #[hookspecs(project = "kitchen")]
//! pub trait Kitchen {
//!     /// Ingredients to add. All answers are used.
//!     fn ingredients(pot: &[String]) -> Vec<String>;
//!     /// How much salt, in grams. The first answer is used.
//!     #[hookspec(firstresult)]
//!     fn salt(pot: &[String]) -> u32;
//! }
//!
//! /// A guest.
//! struct Spicy;
//!
//! #[hookimpls]
//! impl Kitchen for Spicy {
//!     // Takes the arguments it wants, by name.
//!     fn ingredients(&self) -> Vec<String> {
//!         vec!["chili".into()]
//!     }
//!
//!     #[hookimpl(tryfirst)]
//!     fn salt(&self, pot: &[String]) -> Option<u32> {
//!         pot.is_empty().then_some(9)
//!     }
//! }
//!
//! /// Another one, with an eye on everybody's salt.
//! struct Doctor;
//!
//! #[hookimpls]
//! impl Kitchen for Doctor {
//!     #[hookimpl(wrapper)]
//!     fn salt(&self, mut next: SyncNext<'_, Salt>) -> Outcome<Salt> {
//!         Ok(next.run()?.map(|grams| grams.min(2)))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plugins = PluginManager::<dyn Kitchen>::new();
//! plugins.register(Spicy)?;
//! plugins.register(Doctor)?;
//!
//! let hooks = plugins.hooks();
//! assert_eq!(hooks.ingredients(&[])?.concat(), ["chili"]);
//! assert_eq!(hooks.salt(&[])?, Some(2));
//! # Ok(()) }
//! ```
//!
//! With `async fn` in the contract the calls are awaited, and impls may be `async fn` or `fn`, as each needs.
//!
//! # Where to go from here
//!
//! * [Write a plugin](guide::write_a_plugin) for a program that has hooks.
//! * [Host a contract](guide::host_a_contract): open your own program.
//! * [Order](guide::order), [wrappers](guide::wrappers), [errors and panics](guide::errors_and_panics).
//! * [For people who know pluggy](guide::coming_from_pluggy), rule by rule.
//!
//! # What it costs
//!
//! A call of a hook that nobody implements is a length check: it allocates nothing and calls nothing. A plain impl costs
//! about what a boxed closure costs; an `async fn` impl is boxed once, and not at all if the compiler sees that it
//! never waits; where several impls are awaited, so is the rest of the call. Nothing is paid for monitors, trails, budgets
//! and spans that are not used. `cargo bench -p crow-hooks --bench cost` measures all of it beside its floor.
//!
//! # Features
//!
//! None is on by default, and the crate depends on nothing but its macros.
//!
//! * `discover`: `plugins!(manager)?` registers every dependency of the host that is a plugin, so that `cargo add` is all
//!   it takes.
//! * `tracing`: a span around each call and each impl.
//!
//! # Rust versions
//!
//! Tested on Rust 1.95, edition 2024. There is no `unsafe` in the engine, nor in what its macros write.
#![forbid(unsafe_code)]

mod answer;
mod call;
mod closures;
mod depth;
mod dynamic;
mod error;
mod guard;
mod history;
mod hook;
mod list;
mod manager;
mod monitor;
mod next;
mod order;
mod plain;
mod plugin;
mod snapshot;
mod time;
mod trace;

pub use answer::{BoxError, BoxFuture, Given, IntoAnswer, IntoOutcome, Outcome};
pub use call::Call;
pub use closures::{Closures, On, With};
#[cfg(feature = "discover")]
pub use crow_hooks_macros::plugins;
pub use crow_hooks_macros::{hookimpls, hookspecs};
pub use depth::{Carried, Chain};
pub use dynamic::{
    Backend, Bridge, BridgeVisitor, Bridged, DynAnswer, DynCall, DynImpl, DynLeave, DynPlugin, DynWrap, Lend, Lent,
    Take,
};
pub use error::{ErrorKind, HookError, RegisterError};
pub use hook::{ArgSpec, AsyncHook, Budget, Collect, Contract, Hook, HookSpec, Kind, Named, SyncHook, Visitor};
pub use manager::{Deprecation, Listed, MonitorId, PluginManager};
pub use monitor::{Ended, ImplOutcome, Monitor, Step, Trail};
pub use next::{Next, Run, SyncNext};
pub use plugin::{ImplInfo, PluginInfo, PluginName, Tier};
pub use snapshot::Snapshot;
pub use time::Timer;

/// The guide.
pub mod guide {
    #[doc = include_str!("docs/write_a_plugin.md")]
    pub mod write_a_plugin {}

    #[doc = include_str!("docs/host_a_contract.md")]
    pub mod host_a_contract {}

    #[doc = include_str!("docs/order.md")]
    pub mod order {}

    #[doc = include_str!("docs/wrappers.md")]
    pub mod wrappers {}

    #[doc = include_str!("docs/errors_and_panics.md")]
    pub mod errors_and_panics {}

    #[doc = include_str!("docs/coming_from_pluggy.md")]
    pub mod coming_from_pluggy {}
}

/// What the macros' output refers to. Not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::{
        guard::Guard,
        hook::Accepts,
        list::{AnyList, AnyListMut, HookList},
        next::Frame,
        plugin::{Attach, Registrar, Slot},
    };
    pub use std::{any::Any, sync::Arc};
}
