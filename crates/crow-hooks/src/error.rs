//! Errors of calls and of registration.

use std::{any::Any, error::Error, fmt, time::Duration};

use crate::{BoxError, PluginName};

/// Why an impl failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It took longer than its budget and was dropped.
    TimedOut(Duration),
    /// It is a plain function and took longer than its budget. It was not interrupted; this is only ever reported.
    Blocked(Duration),
    /// It is a wrapper and neither ran what it wraps nor answered in its place.
    WrapperSilent,
    /// It is a wrapper and ran what it wraps a second time.
    WrapperRanTwice,
    /// It is an async impl that was put on a sync hook by hand.
    NotSync,
    /// Hooks call each other deeper than the host allows; the call was not made.
    TooDeep,
}

/// A failed impl: which plugin, which hook, and why.
///
/// ```
/// # use crow_hooks::HookError;
/// #[derive(Debug)]
/// struct DiskFull;
/// # impl std::fmt::Display for DiskFull { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("disk full") } }
/// # impl std::error::Error for DiskFull {}
/// let error = HookError::new("persistence", "after_turn", DiskFull);
/// assert_eq!(error.to_string(), "plugin `persistence` failed in `after_turn`: disk full");
/// assert!(error.downcast_ref::<DiskFull>().is_some());
/// ```
pub struct HookError(Box<Inner>);

struct Inner {
    plugin: PluginName,
    hook: &'static str,
    kind: ErrorKind,
    source: Option<BoxError>,
}

impl HookError {
    /// An error of `plugin` in `hook`, for hosts that call plugins' handlers outside a hook.
    pub fn new(plugin: impl Into<PluginName>, hook: &'static str, source: impl Into<BoxError>) -> Self {
        Self::of(plugin.into(), hook, ErrorKind::Failed, Some(source.into()))
    }

    pub(crate) fn of(plugin: PluginName, hook: &'static str, kind: ErrorKind, source: Option<BoxError>) -> Self {
        Self(Box::new(Inner { plugin, hook, kind, source }))
    }

    pub(crate) fn panicked(plugin: PluginName, hook: &'static str, payload: Box<dyn Any + Send>) -> Self {
        Self::of(plugin, hook, ErrorKind::Panicked, Some(panic_text(payload).into()))
    }

    /// The plugin that failed.
    pub fn plugin(&self) -> &str {
        &self.0.plugin
    }

    /// The hook it failed in.
    pub fn hook(&self) -> &'static str {
        self.0.hook
    }

    /// The way in which it failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Why, in the plugin's own words: without the names of plugin and hook.
    pub fn reason(&self) -> String {
        match (&self.0.source, self.0.kind) {
            (Some(source), _) => source.to_string(),
            (None, ErrorKind::TimedOut(budget)) => format!("it took longer than the {budget:?} it has"),
            (None, ErrorKind::Blocked(took)) => format!("it blocked its thread for {took:?}"),
            (None, ErrorKind::WrapperSilent) => {
                "the wrapper neither ran what it wraps (`next.run()`, `next.with(..)`) nor answered (`next.answer(..)`)"
                    .into()
            }
            (None, ErrorKind::WrapperRanTwice) => "the wrapper ran what it wraps a second time".into(),
            (None, ErrorKind::NotSync) => "an async impl cannot serve a sync hook".into(),
            (None, ErrorKind::Failed | ErrorKind::Panicked | ErrorKind::TooDeep) => "no reason given".into(),
        }
    }

    /// The plugin's own error, if it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.source.as_ref()?.downcast_ref()
    }

    /// The plugin's own error, if it is an `E`; otherwise this error again.
    pub fn downcast<E: Error + 'static>(mut self) -> Result<E, Self> {
        match self.0.source.take().map(<dyn Error + Send + Sync>::downcast::<E>) {
            Some(Ok(error)) => Ok(*error),
            Some(Err(source)) => {
                self.0.source = Some(source);
                Err(self)
            }
            None => Err(self),
        }
    }
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.kind == ErrorKind::TooDeep {
            return f.write_str(&self.reason());
        }
        let verb = match self.0.kind {
            ErrorKind::Panicked => "panicked",
            ErrorKind::TimedOut(_) => "ran out of time",
            ErrorKind::Blocked(_) => "is slow",
            _ => "failed",
        };
        write!(f, "plugin `{}` {verb} in `{}`: {}", self.0.plugin, self.0.hook, self.reason())
    }
}

impl fmt::Debug for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookError")
            .field("plugin", &self.0.plugin)
            .field("hook", &self.0.hook)
            .field("kind", &self.0.kind)
            .field("source", &self.0.source)
            .finish()
    }
}

impl Error for HookError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

/// The words of a panic. A payload that is no text is leaked: dropping it could panic again.
fn panic_text(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(payload) => {
                std::mem::forget(payload);
                "a panic without a message".to_owned()
            }
        },
    }
}

/// Why a plugin was not registered. Nothing of it stays behind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another plugin has the name.
    NameTaken {
        /// The name both want.
        name: PluginName,
        /// The type (and version) of the plugin that has it.
        holder: String,
        /// The type (and version) of the plugin that was to be registered.
        newcomer: String,
    },
    /// The very same plugin is registered already.
    AlreadyRegistered {
        /// The name it was to have.
        name: PluginName,
        /// The name it has.
        registered_as: PluginName,
    },
    /// The plugin was made for another major version of the contract.
    Api {
        /// The plugin.
        name: PluginName,
        /// The project of the contract.
        project: &'static str,
        /// The version the plugin was made for.
        plugin: u32,
        /// The version of this host.
        host: u32,
    },
    /// `before` and `after` of these plugins contradict each other.
    Cycle {
        /// The hook.
        hook: &'static str,
        /// The plugins, each of which must run before the next, and the last before the first.
        plugins: Vec<PluginName>,
    },
    /// A named order that `tryfirst`, `trylast` or `wrapper` makes impossible.
    AcrossTiers {
        /// The hook.
        hook: &'static str,
        /// The plugin that would have to run first.
        first: PluginName,
        /// The plugin that would have to run after it, but is in an earlier tier.
        second: PluginName,
    },
    /// A wrapper for a historic hook: there is no call left to wrap when it is replayed.
    HistoricWrapper {
        /// The hook.
        hook: &'static str,
        /// The plugin.
        plugin: PluginName,
    },
    /// The plugin failed when it was told of a historic call that it had missed.
    Replay {
        /// The plugin.
        plugin: PluginName,
        /// The hook.
        hook: &'static str,
        /// What it said.
        reason: String,
    },
    /// A dynamic impl for a hook that the contract lacks.
    UnknownHook {
        /// The plugin.
        plugin: PluginName,
        /// The name it asked for.
        hook: String,
        /// The name it may have meant.
        similar: Option<&'static str>,
    },
    /// A dynamic impl that is to be awaited, or a dynamic wrapper, on a sync hook.
    NotSync {
        /// The plugin.
        plugin: PluginName,
        /// The hook.
        hook: &'static str,
    },
    /// A dynamic impl takes an argument that the hook lacks.
    UnknownArgument {
        /// The plugin.
        plugin: PluginName,
        /// The hook.
        hook: &'static str,
        /// The argument it asked for.
        argument: String,
    },
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken { name, holder, newcomer } => {
                write!(f, "two plugins want the name `{name}`: {holder} has it, so {newcomer} cannot register")
            }
            Self::AlreadyRegistered { name, registered_as } => {
                write!(f, "plugin `{name}` is registered already, as `{registered_as}`")
            }
            Self::Api { name, project, plugin, host } => write!(
                f,
                "plugin `{name}` was made for version {plugin} of the hooks of {project}, but this is version {host}: {} the plugin",
                if plugin < host { "update" } else { "update the host or use an older version of" }
            ),
            Self::Cycle { hook, plugins } => {
                write!(f, "the order of hook `{hook}` contradicts itself: ")?;
                for plugin in plugins {
                    write!(f, "`{plugin}` before ")?;
                }
                write!(f, "`{}`", plugins.first().map_or("", |name| name))
            }
            Self::AcrossTiers { hook, first, second } => write!(
                f,
                "`{first}` cannot run before `{second}` in hook `{hook}`: its tier (wrapper, tryfirst, plain, trylast) comes later"
            ),
            Self::HistoricWrapper { hook, plugin } => {
                write!(f, "plugin `{plugin}` wraps `{hook}`, but a historic hook cannot be wrapped")
            }
            Self::Replay { plugin, hook, reason } => {
                write!(f, "plugin `{plugin}` failed when `{hook}` was replayed to it: {reason}")
            }
            Self::UnknownHook { plugin, hook, similar } => {
                write!(f, "plugin `{plugin}` implements `{hook}`, which is no hook")?;
                similar.map_or(Ok(()), |name| write!(f, ": did it mean `{name}`?"))
            }
            Self::NotSync { plugin, hook } => {
                write!(f, "plugin `{plugin}` has an async impl or a wrapper of `{hook}`, which is a sync hook")
            }
            Self::UnknownArgument { plugin, hook, argument } => {
                write!(f, "plugin `{plugin}` takes an argument `{argument}` that hook `{hook}` does not have")
            }
        }
    }
}

impl Error for RegisterError {}
