//! The plugins of one moment, and the calls that are made on them.

use std::{
    any::Any,
    collections::BTreeSet,
    fmt,
    sync::{Arc, Weak},
};

use crate::{
    Contract, Hook, HookError, ImplInfo, PluginInfo, PluginName, RegisterError, Trail,
    call::{Call, Called, Env, run_sync},
    history,
    hook::{Accepts, HookSpec, SyncHook},
    list::AnyList,
    manager::Shared,
    plugin::{PluginId, Registrar, Staged},
};

/// The plugins of one moment. Calls made on it see these and no others.
///
/// A contract's relay (`GreeterRelay` for `Greeter`) dereferences to it and adds one method per hook.
pub struct Snapshot<C: Contract + ?Sized> {
    pub(crate) tables: C::Tables,
    pub(crate) env: Env,
    pub(crate) plugins: Vec<Arc<Registered>>,
    pub(crate) blocked: BTreeSet<PluginName>,
    pub(crate) next_seq: u64,
    pub(crate) manager: Weak<Shared<C>>,
    /// Made by `without` or `with_extra`: not what the manager has.
    pub(crate) derived: bool,
}

/// A plugin that is registered.
pub(crate) struct Registered {
    pub(crate) info: PluginInfo,
    pub(crate) id: PluginId,
    pub(crate) instance: Option<Arc<dyn Any + Send + Sync>>,
    /// Names of dynamic impls for which there is no hook.
    pub(crate) pending: Vec<String>,
}

/// The id of all plugins that are there for some calls only.
const EXTRA: PluginId = PluginId::MAX;

impl<C: Contract + ?Sized> Clone for Snapshot<C> {
    fn clone(&self) -> Self {
        Self {
            tables: self.tables.clone(),
            env: self.env.clone(),
            plugins: self.plugins.clone(),
            blocked: self.blocked.clone(),
            next_seq: self.next_seq,
            manager: self.manager.clone(),
            derived: self.derived,
        }
    }
}

impl<C: Contract + ?Sized> fmt::Debug for Snapshot<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.plugins.iter().map(|plugin| &plugin.info.name).collect();
        f.debug_struct("Snapshot").field("project", &C::PROJECT).field("plugins", &names).finish_non_exhaustive()
    }
}

impl<C: Contract + ?Sized> Snapshot<C> {
    /// `false`: the name is blocked.
    pub(crate) fn add(&mut self, plugin: &Arc<Registered>, staged: &[Staged<C>]) -> Result<bool, RegisterError> {
        let info = &plugin.info;
        if self.blocked.contains(&info.name) {
            return Ok(false);
        }
        if info.api != C::API {
            return Err(RegisterError::Api {
                name: info.name.clone(),
                project: C::PROJECT,
                plugin: info.api,
                host: C::API,
            });
        }
        if let Some(same) = self.plugins.iter().find(|other| other.is(plugin)) {
            return Err(RegisterError::AlreadyRegistered {
                name: info.name.clone(),
                registered_as: same.info.name.clone(),
            });
        }
        if let Some(holder) = self.find(&info.name) {
            return Err(RegisterError::NameTaken {
                name: info.name.clone(),
                holder: holder.info.describe(),
                newcomer: info.describe(),
            });
        }
        self.put(staged)?;
        self.plugins.push(Arc::clone(plugin));
        Ok(true)
    }

    fn put(&mut self, staged: &[Staged<C>]) -> Result<(), RegisterError> {
        for Staged { info, put, .. } in staged {
            let info = ImplInfo { seq: self.next_seq, ..info.clone() };
            self.next_seq += 1;
            put(info, &mut self.tables)?;
        }
        Ok(())
    }

    /// The same hooks without the plugins of these names, for some calls.
    pub fn without(&self, names: &[&str]) -> C::Relay {
        let mut derived = self.derive();
        let gone: Vec<PluginId> = derived
            .plugins
            .iter()
            .filter(|plugin| names.contains(&&*plugin.info.name))
            .map(|plugin| plugin.id)
            .collect();
        derived.plugins.retain(|plugin| !gone.contains(&plugin.id));
        derived.remove_impls(&|id| gone.contains(&id));
        C::Relay::from(Arc::new(derived))
    }

    /// The same hooks with a further plugin, for some calls. Its impls stand where they would if it were
    /// registered now: after `tryfirst` and before the other plain ones.
    ///
    /// # Errors
    /// The order it asks for is impossible.
    pub fn with_extra<P: Send + Sync + 'static>(&self, plugin: P) -> Result<C::Relay, RegisterError>
    where
        C: Accepts<P>,
    {
        let mut derived = self.derive();
        let info = C::info(&plugin);
        let mut registrar = Registrar::new(info.name.clone(), EXTRA, info.budget);
        C::attach(Arc::new(plugin), &mut registrar);
        derived.put(&registrar.staged)?;
        Ok(C::Relay::from(Arc::new(derived)))
    }

    fn derive(&self) -> Self {
        let mut derived = self.clone();
        derived.derived = true;
        derived
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let Some(at) = self.plugins.iter().position(|plugin| *plugin.info.name == *name) else { return false };
        let id = self.plugins.remove(at).id;
        self.remove_impls(&|other| other == id);
        true
    }

    pub(crate) fn remove_impls(&mut self, gone: &dyn Fn(PluginId) -> bool) {
        C::each_list_mut(&mut self.tables, &mut |list| list.remove(gone));
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Registered>> {
        self.plugins.iter().find(|plugin| *plugin.info.name == *name)
    }

    pub(crate) fn each_list<'t>(&'t self, each: &mut dyn FnMut(&'t dyn AnyList)) {
        C::each_list(&self.tables, each);
    }

    /// Tells whether anybody implements or wraps the hook: `hooks.has_impls(AfterTurn)`.
    #[inline]
    pub fn has_impls<H: Hook<Contract = C>>(&self, _: H) -> bool {
        !H::list(&self.tables).is_empty()
    }

    /// Every hook with its impls in call order, wrappers first.
    pub fn order(&self) -> Vec<(&'static HookSpec, Vec<Arc<ImplInfo>>)> {
        let mut order = Vec::new();
        self.each_list(&mut |list| order.push((list.spec(), list.infos().to_vec())));
        order
    }

    /// The impls of one hook in call order, wrappers first; nothing if there is no such hook.
    pub fn order_of(&self, hook: &str) -> Vec<Arc<ImplInfo>> {
        let mut order = Vec::new();
        self.each_list(&mut |list| {
            if list.spec().name == hook {
                order = list.infos().to_vec();
            }
        });
        order
    }

    #[doc(hidden)]
    #[inline]
    pub fn call<'a, H: Hook<Contract = C>>(&'a self, args: H::Args<'a>) -> Call<'a, H> {
        Call::new(H::list(&self.tables), &self.env, args)
    }

    #[doc(hidden)]
    #[inline]
    pub fn call_sync<'a, H: SyncHook<Contract = C>>(&'a self, args: H::Args<'a>) -> Called<H> {
        let list = H::list(&self.tables);
        if list.is_empty() && !self.env.watches_calls() {
            return Ok(H::Collected::default());
        }
        run_sync(list, &self.env, None, args)
    }

    /// Calls a historic hook and remembers the call for plugins that register later.
    #[doc(hidden)]
    pub fn call_historic<H: SyncHook<Contract = C>>(
        &self,
        args: H::Args<'static>,
        each: impl Fn(H::Output) + Send + Sync + 'static,
    ) -> Result<(), HookError> {
        history::call::<C, H>(self, args, Box::new(each))
    }

    /// Calls a sync hook and records in `trail` which impls ran. For an async hook see [`Call::trail`].
    ///
    /// # Errors
    /// What an impl or wrapper failed with.
    pub fn trail_sync<'a, H: SyncHook<Contract = C>>(&'a self, _: H, args: H::Args<'a>, trail: &'a Trail) -> Called<H> {
        run_sync(H::list(&self.tables), &self.env, Some(trail), args)
    }
}

impl Registered {
    fn is(&self, other: &Self) -> bool {
        match (&self.instance, &other.instance) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}
