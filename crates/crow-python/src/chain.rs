//! The objects that one call of a hook shows to its impls: for an argument that may be edited, one object for all of
//! them.

use std::collections::VecDeque;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tokio::task;

use crate::bridge::Bridge;
use crate::plain::{Given, Plain};

/// How many objects are kept for impls that may follow.
const KEPT: usize = 32;

/// Objects of calls under way.
#[derive(Debug, Default)]
pub(crate) struct Chains(VecDeque<Shared>);

/// Which argument of which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) task: Option<task::Id>,
    pub(crate) hook: &'static str,
    pub(crate) arg: &'static str,
    /// The argument's address: calls inside each other have different ones.
    pub(crate) place: usize,
}

/// An object that impls of one call share.
#[derive(Debug)]
struct Shared {
    key: Key,
    object: Py<PyAny>,
    /// What it was lent from last.
    given: Arc<Given>,
    /// What it holds.
    holds: Plain,
    /// The impls that have had it. One of them again: another call.
    users: Vec<u64>,
}

impl Chains {
    /// The object for `user`, with what `given` says in it.
    pub(crate) fn object<'py>(
        &mut self,
        py: Python<'py>,
        bridge: &Bridge,
        key: Key,
        user: u64,
        given: &Arc<Given>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let same =
            |shared: &Shared| shared.key.task == key.task && shared.key.hook == key.hook && shared.key.arg == key.arg;
        if let Some(shared) = self.0.iter_mut().find(|shared| shared.key == key && !shared.users.contains(&user)) {
            shared.users.push(user);
            let object = shared.object.bind(py).clone();
            if shared.given.settled().as_ref() != Some(&given.plain) && shared.holds != given.plain {
                refill(py, bridge, &object, &shared.holds, &given.plain)?;
                shared.holds = given.plain.clone();
            }
            shared.given = given.clone();
            return Ok(object);
        }
        self.0.retain(|shared| !(same(shared) && shared.key.place == key.place));
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        let object = given.plain.show(py, bridge)?;
        let users = vec![user];
        self.0.push_back(Shared {
            key,
            object: object.clone().unbind(),
            given: given.clone(),
            holds: given.plain.clone(),
            users,
        });
        Ok(object)
    }

    /// Remembers what an impl left in the object.
    pub(crate) fn left(&mut self, key: Key, holds: &Plain) {
        if let Some(shared) = self.0.iter_mut().find(|shared| shared.key == key) {
            shared.holds = holds.clone();
        }
    }
}

/// Puts `new` in the place of what `object` holds. It stays the same object, and so do the items that are as they were.
pub(crate) fn refill(
    py: Python<'_>,
    bridge: &Bridge,
    object: &Bound<'_, PyAny>,
    old: &Plain,
    new: &Plain,
) -> PyResult<()> {
    if let Ok(list) = object.cast::<PyList>() {
        let (old, new) = (old.clone().items().unwrap_or_default(), new.clone().items().unwrap_or_default());
        let mut items = Vec::with_capacity(new.len());
        for (at, item) in new.iter().enumerate() {
            let kept = if old.get(at) == Some(item) { list.get_item(at).ok() } else { None };
            items.push(kept.map_or_else(|| item.show(py, bridge), Ok)?);
        }
        return list.set_slice(0, list.len(), PyList::new(py, items)?.as_any());
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        let (old, new) = (old.clone().entries().unwrap_or_default(), new.clone().entries().unwrap_or_default());
        for (key, _) in &old {
            if !new.iter().any(|(name, _)| name == key) && dict.contains(key)? {
                dict.del_item(key)?;
            }
        }
        for entry in new {
            if !old.contains(&entry) || !dict.contains(&entry.0)? {
                dict.set_item(&entry.0, entry.1.show(py, bridge)?)?;
            }
        }
    }
    Ok(())
}
