//! Typed, async, pluggy-style hooks.
#![forbid(unsafe_code)]

mod answer;
mod call;
mod error;
mod guard;
mod hook;
mod list;
mod manager;
mod monitor;
mod next;
mod order;
mod plugin;
mod time;

pub use answer::{Answer, BoxError, BoxFuture, Given, IntoAnswer, IntoOutcome, Outcome};
pub use call::Call;
pub use crow_hooks_macros::{hookimpls, hookspecs};
pub use error::{ErrorKind, HookError, RegisterError};
pub use hook::{ArgSpec, AsyncHook, Budget, Collect, Contract, Hook, HookSpec, Kind, Named, SyncHook, Visitor};
pub use manager::{Deprecation, Listed, MonitorId, PluginManager, Snapshot};
pub use monitor::{Ended, ImplOutcome, Monitor, Step, Trail};
pub use next::{Next, Run, SyncNext};
pub use plugin::{ImplInfo, PluginInfo, PluginName, Tier};
pub use time::Timer;

/// What the macros' output refers to. Not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::{
        hook::Accepts,
        list::{AnyList, AnyListMut, HookList},
        next::{Frame, Guard, Wrapped},
        plugin::{Attach, Registrar, Slot},
    };
    pub use std::{any::Any, sync::Arc};
}
