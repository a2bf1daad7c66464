//! Shared state: behind a short lock, or kept by plugins on an agent or a session.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// A value behind a short lock that is never held across an await and recovers from poisoning.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(Mutex<T>);

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What plugins keep on an agent or a session: values by type, and attributes by name.
#[derive(Default)]
pub(crate) struct Extensions {
    by_type: Shared<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    by_name: Shared<HashMap<String, Value>>,
}

impl Extensions {
    pub(crate) fn insert<T: Send + Sync + 'static>(&self, value: T) {
        self.by_type.with(|values| values.insert(TypeId::of::<T>(), Arc::new(value)));
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.by_type.with(|values| values.get(&TypeId::of::<T>()).cloned())?.downcast().ok()
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<Value> {
        self.by_name.with(|values| values.get(name).cloned())
    }

    pub(crate) fn set_attribute(&self, name: &str, value: Value) {
        self.by_name.with(|values| values.insert(name.to_owned(), value));
    }
}
