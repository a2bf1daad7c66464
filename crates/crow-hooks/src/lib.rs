//! Typed, async, pluggy-style hooks.
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
mod plugin;
mod time;
mod trace;

pub use answer::{Answer, BoxError, BoxFuture, Given, IntoAnswer, IntoOutcome, Outcome};
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
pub use manager::{Deprecation, Listed, MonitorId, PluginManager, Snapshot};
pub use monitor::{Ended, ImplOutcome, Monitor, Step, Trail};
pub use next::{Next, Run, SyncNext};
pub use plugin::{ImplInfo, PluginInfo, PluginName, Tier};
pub use time::Timer;

/// What the macros' output refers to. Not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::{
        guard::Guard,
        hook::Accepts,
        list::{AnyList, AnyListMut, HookList},
        next::{Frame, Wrapped},
        plugin::{Attach, Registrar, Slot},
    };
    pub use std::{any::Any, sync::Arc};
}
