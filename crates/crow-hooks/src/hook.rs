//! What a hook and a contract are to the engine. `#[hookspecs]` implements these traits.

use std::{fmt, sync::Arc, time::Duration};

use crate::{list::HookList, snapshot::Snapshot};

/// How the results of a hook's impls become the result of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Every impl runs; the values are collected in call order.
    Collect,
    /// The call stops at the first impl that gives a value.
    FirstResult,
    /// Every impl runs, and impls that are registered later are given the calls they missed.
    Historic,
}

/// The wall-clock time one impl may take. See [`Timer`](crate::Timer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// At most this long.
    Limited(Duration),
    /// As long as it likes.
    Unbounded,
}

/// One argument of a hook, as the contract declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArgSpec {
    /// The name impls take it by.
    pub name: &'static str,
    /// The type as written in the contract.
    pub ty: &'static str,
    /// Text of `#[warn_on_impl("...")]`: shown when an impl that takes this argument registers.
    pub warn_on_impl: Option<&'static str>,
}

impl ArgSpec {
    #[doc(hidden)]
    pub const fn new(name: &'static str, ty: &'static str, warn_on_impl: Option<&'static str>) -> Self {
        Self { name, ty, warn_on_impl }
    }
}

/// Everything a contract says of one hook, as data: the source of reference documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HookSpec {
    /// The hook's name, e.g. `after_turn`.
    pub name: &'static str,
    /// The doc comment.
    pub doc: &'static str,
    /// The arguments in declaration order.
    pub args: &'static [ArgSpec],
    /// The type of one impl's value as written, `()` if it gives none.
    pub output: &'static str,
    /// How results are put together.
    pub kind: Kind,
    /// Whether a failing impl is reported instead of ending the call.
    pub isolate: bool,
    /// Whether the hook and its impls are plain functions.
    pub sync: bool,
    /// The time an impl may take, if the contract says.
    pub budget: Option<Budget>,
    /// Text of `warn_on_impl = "..."`: shown when an impl of this hook registers.
    pub warn_on_impl: Option<&'static str>,
}

impl HookSpec {
    #[doc(hidden)]
    pub const fn new(name: &'static str, doc: &'static str, args: &'static [ArgSpec], output: &'static str) -> Self {
        Self {
            name,
            doc,
            args,
            output,
            kind: Kind::Collect,
            isolate: false,
            sync: false,
            budget: None,
            warn_on_impl: None,
        }
    }

    #[doc(hidden)]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    #[doc(hidden)]
    pub const fn isolated(mut self) -> Self {
        self.isolate = true;
        self
    }

    #[doc(hidden)]
    pub const fn synchronous(mut self) -> Self {
        self.sync = true;
        self
    }

    #[doc(hidden)]
    pub const fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    #[doc(hidden)]
    pub const fn warn_on_impl(mut self, text: &'static str) -> Self {
        self.warn_on_impl = Some(text);
        self
    }
}

/// A hook: the marker type that `#[hookspecs]` makes for each function of a contract.
///
/// Nobody implements it by hand.
pub trait Hook: Copy + Send + Sync + Sized + 'static {
    /// The contract the hook belongs to.
    type Contract: Contract + ?Sized;
    /// The arguments of a call, one public field each.
    type Args<'a>: Send;
    /// The value of one impl.
    type Output: Send + 'static;
    /// The value of a call: `Vec<Output>`, `Option<Output>`, or `()`.
    type Collected: Collect<Self::Output>;

    /// What the contract says of the hook.
    const SPEC: &'static HookSpec;

    /// The same arguments for a shorter time, so that the next impl can have them afterwards.
    fn reborrow<'s, 'a: 's>(args: &'s mut Self::Args<'a>) -> Self::Args<'s>;

    /// A copy of the inner result for when a wrapper of an `isolate` hook fails after it.
    #[doc(hidden)]
    fn keep(_: &Self::Collected) -> Option<Self::Collected> {
        None
    }

    /// The arguments of a historic call, once more.
    #[doc(hidden)]
    fn again(_: &Self::Args<'static>) -> Option<Self::Args<'static>> {
        None
    }

    #[doc(hidden)]
    fn list(tables: &<Self::Contract as Contract>::Tables) -> &Arc<HookList<Self>>;

    #[doc(hidden)]
    fn list_mut(tables: &mut <Self::Contract as Contract>::Tables) -> &mut Arc<HookList<Self>>;
}

/// A hook declared with `async fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is a sync hook: its impls are plain `fn`s",
    label = "this impl is `async`",
    note = "hooks declared as `fn` in the contract are called without a runtime, so nothing in them can be awaited"
)]
pub trait AsyncHook: Hook {}

/// A hook declared with `fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is an async hook: a wrapper of it is an `async fn` that takes `Next`",
    label = "this wrapper is a plain `fn`"
)]
pub trait SyncHook: Hook {}

/// A set of hooks: `dyn MyHooks` for a trait declared with `#[hookspecs]`.
///
/// Nobody implements it by hand.
pub trait Contract: Send + Sync + 'static {
    /// The project the contract belongs to.
    const PROJECT: &'static str;
    /// The major version of the contract.
    const API: u32;
    /// Every hook of the contract, in declaration order.
    const SPECS: &'static [&'static HookSpec];
    /// The snapshot on which hooks are methods.
    type Relay: From<Arc<Snapshot<Self>>> + Clone + Send + Sync;
    #[doc(hidden)]
    type Tables: Clone + Default + Send + Sync + 'static;

    #[doc(hidden)]
    fn each_list<'t>(tables: &'t Self::Tables, each: &mut dyn FnMut(&'t dyn crate::list::AnyList));

    #[doc(hidden)]
    fn each_list_mut(tables: &mut Self::Tables, each: &mut dyn FnMut(&mut dyn crate::list::AnyListMut));

    /// Shows every hook of the contract, with its types, to `visitor`.
    fn visit<V: Visitor<Self>>(visitor: &mut V);
}

/// Sees every hook of a contract with its types: the way to be generic over all hooks at once.
pub trait Visitor<C: Contract + ?Sized> {
    /// Called once per hook, in declaration order.
    fn hook<H: Hook<Contract = C>>(&mut self, hook: H);
}

/// A contract that takes plugins of type `P`: implemented for every `P` that implements the contract's trait.
#[doc(hidden)]
pub trait Accepts<P: ?Sized>: Contract {
    fn info(plugin: &P) -> crate::plugin::PluginInfo;
    fn attach(plugin: Arc<P>, into: &mut crate::plugin::Registrar<Self>);
}

/// Puts the values of impls together into the value of a call.
pub trait Collect<T>: Default + Send + 'static {
    /// The same with the name of the plugin beside each value.
    type Named;

    /// Takes one more value; `false` ends the call.
    fn add(&mut self, value: T) -> bool;

    /// Pairs each value with who gave it.
    #[doc(hidden)]
    fn named(self, names: &[crate::PluginName], wrapper: Option<&crate::PluginName>) -> Self::Named;

    /// The values one by one.
    #[doc(hidden)]
    fn each(self, then: &mut dyn FnMut(T));
}

/// A value and the plugin that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T> {
    /// Who gave it: the plugin of the impl, or of the outermost wrapper if a wrapper put other values in.
    pub plugin: crate::PluginName,
    /// What was given.
    pub value: T,
}

impl<T: Send + 'static> Collect<T> for Vec<T> {
    type Named = Vec<Named<T>>;

    fn add(&mut self, value: T) -> bool {
        self.push(value);
        true
    }

    fn named(self, names: &[crate::PluginName], wrapper: Option<&crate::PluginName>) -> Self::Named {
        let paired = self.len() == names.len();
        let name = |at: usize| if paired { names.get(at) } else { wrapper };
        let name = |at| name(at).cloned().unwrap_or_default();
        self.into_iter().enumerate().map(|(at, value)| Named { plugin: name(at), value }).collect()
    }

    fn each(self, then: &mut dyn FnMut(T)) {
        self.into_iter().for_each(then);
    }
}

impl<T: Send + 'static> Collect<T> for Option<T> {
    type Named = Option<Named<T>>;

    fn add(&mut self, value: T) -> bool {
        *self = Some(value);
        false
    }

    fn named(self, names: &[crate::PluginName], wrapper: Option<&crate::PluginName>) -> Self::Named {
        let plugin = names.first().or(wrapper).cloned().unwrap_or_default();
        self.map(|value| Named { plugin, value })
    }

    fn each(self, then: &mut dyn FnMut(T)) {
        self.into_iter().for_each(then);
    }
}

impl Collect<()> for () {
    type Named = ();

    fn add(&mut self, (): ()) -> bool {
        true
    }

    fn named(self, _: &[crate::PluginName], _: Option<&crate::PluginName>) {}

    fn each(self, _: &mut dyn FnMut(())) {}
}

impl fmt::Display for HookSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asynchronous = if self.sync { "" } else { "async " };
        write!(f, "{asynchronous}fn {}(", self.name)?;
        for (at, arg) in self.args.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}: {}", arg.name, arg.ty)?;
        }
        f.write_str(")")?;
        if self.output == "()" { Ok(()) } else { write!(f, " -> {}", self.output) }
    }
}
