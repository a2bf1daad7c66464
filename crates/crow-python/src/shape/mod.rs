//! What the arguments and results of hooks look like in Python: text, numbers, lists and dicts.

mod answers;
mod conversation;
mod model;
mod news;
mod offers;

use std::path::{Path, PathBuf};

use crow_acp::crow_hooks::{BoxError, Lend, Take};
use crow_acp::{Agent, Session};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::bridge::Bridge;
use crate::plain::{Given, Plain};
use crate::world::{Value, World};

/// A value that Python can look at.
pub(crate) trait Show {
    fn show(&self) -> Plain;
}

/// A value that Python can make.
pub(crate) trait Read: Sized {
    fn read(plain: Plain) -> Result<Self, Misfit>;
}

/// A value that Python can edit in place.
pub(crate) trait Edit {
    fn edit(&mut self, plain: Plain) -> Result<(), Misfit>;
}

/// What Python gave is not what the hook takes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misfit(String);

impl Misfit {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `expected a list of messages, got 3`
    fn expected(what: &str, got: &Plain) -> Self {
        let got = match got.clone().json() {
            Ok(json) => {
                let mut text = json.to_string();
                if let Some((end, _)) = text.char_indices().nth(80) {
                    text.truncate(end);
                    text.push('…');
                }
                text
            }
            Err(what) => what.to_owned(),
        };
        Self(format!("expected {what}, got {got}"))
    }
}

macro_rules! lend {
    ($($ty:ty),* $(,)?) => {$(
        impl crow_acp::crow_hooks::Lend<$crate::world::World> for $ty {
            fn lend(
                &self,
                _: &$crate::bridge::Bridge,
            ) -> Result<$crate::world::Value, crow_acp::crow_hooks::BoxError> {
                Ok($crate::plain::Given::of($crate::shape::Show::show(self)))
            }
        }
    )*};
}

macro_rules! lend_mut {
    ($($ty:ty),* $(,)?) => {$(
        impl crow_acp::crow_hooks::Lend<$crate::world::World> for $ty {
            fn lend(
                &self,
                _: &$crate::bridge::Bridge,
            ) -> Result<$crate::world::Value, crow_acp::crow_hooks::BoxError> {
                let place = std::ptr::from_ref(self).addr();
                Ok($crate::plain::Given::new(place, $crate::shape::Show::show(self)))
            }

            fn reclaim(
                &mut self,
                lent: &$crate::world::Value,
                _: &$crate::bridge::Bridge,
            ) -> Result<(), crow_acp::crow_hooks::BoxError> {
                if let Some(plain) = lent.take_back() {
                    $crate::shape::Edit::edit(self, plain)?;
                    lent.settle($crate::shape::Show::show(self));
                }
                Ok(())
            }
        }
    )*};
}

macro_rules! take {
    ($($ty:ty),* $(,)?) => {$(
        impl crow_acp::crow_hooks::Take<$crate::world::World> for $ty {
            fn take(
                value: $crate::world::Value,
                _: &$crate::bridge::Bridge,
            ) -> Result<Option<Self>, crow_acp::crow_hooks::BoxError> {
                $crate::shape::given(&value)
            }
        }
    )*};
}

pub(crate) use {lend, lend_mut, take};

pub(crate) fn given<T: Read>(value: &Value) -> Result<Option<T>, BoxError> {
    if value.plain.is_nothing() {
        return Ok(None);
    }
    Ok(Some(T::read(value.plain.clone())?))
}

impl Lend<World> for Agent {
    fn lend(&self, bridge: &Bridge) -> Result<Value, BoxError> {
        bridge.meet(self);
        Ok(Given::of(Plain::Agent))
    }
}

impl Lend<World> for Session {
    fn lend(&self, _: &Bridge) -> Result<Value, BoxError> {
        Ok(Given::of(Plain::Session(self.clone())))
    }
}

impl<T: Show + Read> Lend<World> for Vec<T> {
    fn lend(&self, _: &Bridge) -> Result<Value, BoxError> {
        Ok(Given::new(std::ptr::from_ref(self).addr(), self.show()))
    }

    fn reclaim(&mut self, lent: &Value, _: &Bridge) -> Result<(), BoxError> {
        if let Some(plain) = lent.take_back() {
            *self = Read::read(plain)?;
            lent.settle(self.show());
        }
        Ok(())
    }
}

impl<T: Show> Lend<World> for Option<T> {
    fn lend(&self, _: &Bridge) -> Result<Value, BoxError> {
        Ok(Given::of(self.as_ref().map_or(Plain::NOTHING, Show::show)))
    }
}

impl<T: Read> Take<World> for Vec<T> {
    fn take(value: Value, _: &Bridge) -> Result<Option<Self>, BoxError> {
        given(&value)
    }
}

/// The result of a call with one answer: a wrapper may give none.
impl<T: Read> Take<World> for Option<T> {
    fn take(value: Value, _: &Bridge) -> Result<Option<Self>, BoxError> {
        given(&value).map(Some)
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> Plain {
        self.as_slice().show()
    }
}

impl<T: Show> Show for [T] {
    fn show(&self) -> Plain {
        let items: Vec<Plain> = self.iter().map(Show::show).collect();
        if items.iter().all(|item| matches!(item, Plain::Json(_))) {
            let json = items.into_iter().filter_map(|item| item.json().ok());
            return Json::Array(json.collect()).into();
        }
        Plain::List(items)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        let misfit = Misfit::expected("a list", &plain);
        plain.items().ok_or(misfit)?.into_iter().map(T::read).collect()
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> Plain {
        self.as_ref().map_or(Plain::NOTHING, Show::show)
    }
}

/// Values that look in Python as they do in JSON.
macro_rules! as_json {
    ($($ty:ty: $what:literal),* $(,)?) => {$(
        impl $crate::shape::Show for $ty {
            fn show(&self) -> $crate::plain::Plain {
                $crate::shape::json(self).into()
            }
        }

        impl $crate::shape::Read for $ty {
            fn read(plain: $crate::plain::Plain) -> Result<Self, $crate::shape::Misfit> {
                $crate::shape::parse($what, plain)
            }
        }
    )*};
}

pub(crate) use as_json;

as_json!(String: "text", f32: "a number", Json: "data");

impl Show for str {
    fn show(&self) -> Plain {
        self.into()
    }
}

impl Show for u32 {
    fn show(&self) -> Plain {
        Json::from(*self).into()
    }
}

lend!(str, u32, [String], Json);
take!(String, Json);

pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Json {
    // Nothing of ours has keys that are no text.
    serde_json::to_value(value).unwrap_or_default()
}

pub(crate) fn parse<T: DeserializeOwned>(what: &str, plain: Plain) -> Result<T, Misfit> {
    let got = plain.clone();
    let json = plain.json().map_err(|got| Misfit(format!("expected {what}, got {got}")))?;
    serde_json::from_value(json).map_err(|error| Misfit(format!("{} ({error})", Misfit::expected(what, &got))))
}

pub(crate) fn path(path: &Path) -> Json {
    path.to_string_lossy().into()
}

/// The entries of a dict, taken out one by one.
pub(crate) struct Fields {
    what: &'static str,
    entries: Vec<(String, Plain)>,
}

impl Fields {
    pub(crate) fn of(what: &'static str, plain: Plain) -> Result<Self, Misfit> {
        let misfit = Misfit::expected(what, &plain);
        Ok(Self { what, entries: plain.entries().ok_or(misfit)? })
    }

    /// The entry, unless it is missing or `None`.
    pub(crate) fn take(&mut self, key: &str) -> Option<Plain> {
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.swap_remove(at).1).filter(|value| !value.is_nothing())
    }

    /// All that was not taken.
    pub(crate) fn rest(self) -> Vec<(String, Plain)> {
        self.entries
    }

    pub(crate) fn need(&mut self, key: &str) -> Result<Plain, Misfit> {
        self.take(key).ok_or_else(|| Misfit(format!("expected {}, got a dict without `{key}`", self.what)))
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<String, Misfit> {
        String::read(self.need(key)?)
    }

    pub(crate) fn text_or(&mut self, key: &str, otherwise: &str) -> Result<String, Misfit> {
        self.take(key).map_or_else(|| Ok(otherwise.to_owned()), String::read)
    }

    pub(crate) fn maybe<T: Read>(&mut self, key: &str) -> Result<Option<T>, Misfit> {
        self.take(key).map(T::read).transpose()
    }
}

impl Read for PathBuf {
    fn read(plain: Plain) -> Result<Self, Misfit> {
        parse("a path", plain)
    }
}
