//! From the tree to types, by serde. Errors carry the place of the key or value they are about, and never a value that
//! might be a secret.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::error::{ConfigError, suggestion};
use super::tree::{Entry, Node, Origin, Table, Value};

/// Reads `table`, which stands at the dotted `path`, as a `T`.
pub(super) fn from_table<T: DeserializeOwned>(table: &Table, path: &[&str], origin: &Origin) -> Result<T, ConfigError> {
    T::deserialize(Tree { value: Borrowed::Table(table), origin })
        .map_err(|error| error.into_config_error(path, origin))
}

/// An error on its way up; the place and the path are filled in as it passes.
#[derive(Debug)]
pub(super) struct TreeError {
    kind: Kind,
    origin: Option<Origin>,
    /// Innermost first.
    path: Vec<String>,
}

#[derive(Debug)]
enum Kind {
    Unknown { key: String, known: &'static [&'static str] },
    Missing(&'static str),
    Other(String),
}

impl TreeError {
    fn new(kind: Kind) -> Self {
        Self { kind, origin: None, path: Vec::new() }
    }

    fn within(mut self, key: &str, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self.path.push(key.to_owned());
        self
    }

    fn into_config_error(self, path: &[&str], origin: &Origin) -> ConfigError {
        let inner = self.path.iter().rev().map(String::as_str);
        let path = path.iter().copied().chain(inner).collect::<Vec<_>>().join(".");
        let place = |path: &str| if path.is_empty() { String::new() } else { format!(" in `{path}`") };
        let message = match self.kind {
            Kind::Unknown { key, known } => {
                format!("unknown key `{key}`{}{}", place(&path), suggestion(&key, known, "keys there"))
            }
            Kind::Missing(field) => format!("the key `{field}` is missing{}", place(&path)),
            Kind::Other(message) if path.is_empty() => message,
            Kind::Other(message) => format!("`{path}`: {message}"),
        };
        ConfigError::at(self.origin.as_ref().unwrap_or(origin), message)
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Unknown { key, .. } => write!(f, "unknown key `{key}`"),
            Kind::Missing(field) => write!(f, "the key `{field}` is missing"),
            Kind::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for TreeError {}

impl serde::de::Error for TreeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Other(message.to_string()))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::Unknown { key: field.to_owned(), known: expected })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("`{variant}` is not one of the values{}", suggestion(variant, expected, "values")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing(field))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format!("expected {}, found {}", plain(expected), kind_of(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format!("expected {}, found {}", plain(expected), kind_of(found)))
    }
}

/// What was found, without the text of a string: it may be a secret at the wrong place.
fn kind_of(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(number) => format!("`{number}`"),
        Unexpected::Signed(number) => format!("`{number}`"),
        Unexpected::Float(number) => format!("`{number}`"),
        Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "text".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map | Unexpected::StructVariant => "a table".into(),
        _ => "something else".into(),
    }
}

/// What was expected, in words for people who don't know Rust.
fn plain(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a string" | "path string" => "text in quotes".into(),
        "a sequence" => "a list".into(),
        "a map" => "a table".into(),
        other if other.starts_with("struct ") => "a table".into(),
        other if other.starts_with("enum ") || other == "variant identifier" => "text in quotes".into(),
        _ => expected,
    }
}

#[derive(Clone, Copy)]
enum Borrowed<'a> {
    Value(&'a Value),
    Table(&'a Table),
}

#[derive(Clone, Copy)]
struct Tree<'a> {
    value: Borrowed<'a>,
    origin: &'a Origin,
}

impl<'a> Tree<'a> {
    fn node(node: &'a Node) -> Self {
        Self { value: Borrowed::Value(&node.value), origin: &node.origin }
    }

    fn mark(self) -> impl FnOnce(TreeError) -> TreeError {
        move |mut error| {
            error.origin.get_or_insert_with(|| self.origin.clone());
            error
        }
    }
}

impl<'de> Deserializer<'de> for Tree<'_> {
    type Error = TreeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        let value = match self.value {
            Borrowed::Table(table) => return visitor.visit_map(Entries::of(table)).map_err(self.mark()),
            Borrowed::Value(value) => value,
        };
        match value {
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter() }),
            Value::Table(table) => visitor.visit_map(Entries::of(table)),
            Value::Unset { variable } => {
                Err(TreeError::custom(format!("the environment variable `{variable}` is not set")))
            }
        }
        .map_err(self.mark())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        let table = match self.value {
            Borrowed::Value(Value::String(name)) => {
                let name: StrDeserializer<'_, TreeError> = name.as_str().into_deserializer();
                return visitor.visit_enum(name).map_err(self.mark());
            }
            Borrowed::Table(table) | Borrowed::Value(Value::Table(table)) => table,
            Borrowed::Value(_) => return self.deserialize_any(visitor),
        };
        match table.iter().next() {
            Some((name, entry)) if table.len() == 1 => {
                visitor.visit_enum(Variant { name, entry }).map_err(|error| error.within(name, &entry.node.origin))
            }
            _ => Err(self.mark()(TreeError::custom("expected a table of one key"))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = TreeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TreeError> {
        self.items.next().map(|node| seed.deserialize(Tree::node(node))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a> {
    entries: std::collections::btree_map::Iter<'a, String, Entry>,
    current: Option<(&'a str, &'a Entry)>,
}

impl<'a> Entries<'a> {
    fn of(table: &'a Table) -> Self {
        Self { entries: table.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = TreeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TreeError> {
        let Some((key, entry)) = self.entries.next() else { return Ok(None) };
        self.current = Some((key, entry));
        let name: StrDeserializer<'_, TreeError> = key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|mut error| {
            error.origin.get_or_insert_with(|| entry.key.clone());
            error
        })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, TreeError> {
        let Some((key, entry)) = self.current.take() else {
            return Err(TreeError::custom("a value was asked for before its key"));
        };
        seed.deserialize(Tree::node(&entry.node)).map_err(|error| error.within(key, &entry.node.origin))
    }
}

struct Variant<'a> {
    name: &'a str,
    entry: &'a Entry,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = TreeError;
    type Variant = Tree<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Tree<'a>), TreeError> {
        let name: StrDeserializer<'_, TreeError> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Tree::node(&self.entry.node)))
    }
}

impl<'de> VariantAccess<'de> for Tree<'_> {
    type Error = TreeError;

    fn unit_variant(self) -> Result<(), TreeError> {
        Err(TreeError::custom("expected the name alone"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, TreeError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, TreeError> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        self.deserialize_any(visitor)
    }
}
