//! A configuration as a tree whose every key and value knows where it came from. Layers are trees laid over each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};
use toml_parser::lexer::TokenKind;

use super::error::ConfigError;

/// Keys nested deeper than this are refused: nobody writes them, and every walk of the tree recurses.
const DEEPEST: usize = 32;

/// Where a layer comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    /// The name of a variable.
    Environment(String),
    /// The argument as it was given.
    CommandLine(String),
    /// A plugin or an embedding program.
    Code,
}

/// Where a key or a value stands.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) source: Arc<Source>,
    /// From 1; 0 where there are no lines.
    pub(super) line: u32,
}

impl Origin {
    pub(super) fn new(source: Source) -> Self {
        Self { source: Arc::new(source), line: 0 }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    String(String),
    Array(Vec<Node>),
    Table(Table),
    /// A string that names an environment variable which is not set.
    Unset {
        variable: String,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Where the key stands; a table that is opened on several lines keeps the first.
    pub(super) key: Origin,
    pub(super) node: Node,
}

pub(super) type Table = BTreeMap<String, Entry>;

/// Reads a TOML document.
pub(super) fn parse(text: &str, source: Source) -> Result<Table, ConfigError> {
    let reader = Reader { lines: line_starts(text), source: Arc::new(source) };
    refuse_deep_keys(text, &reader)?;
    let document = DeTable::parse(text).map_err(|error| {
        let origin = reader.origin(error.span().map_or(0, |span| span.start));
        ConfigError::at(&origin, error.message().lines().collect::<Vec<_>>().join(" "))
    })?;
    reader.table(document.into_inner(), 0)
}

/// Tables nest with every dot of a key, and dropping them recurses: this has to be known before the parser starts.
fn refuse_deep_keys(text: &str, reader: &Reader) -> Result<(), ConfigError> {
    let mut dots = 0;
    for token in toml_parser::Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => dots += 1,
            TokenKind::Equals | TokenKind::Newline | TokenKind::RightSquareBracket => dots = 0,
            _ => {}
        }
        if dots > DEEPEST {
            return Err(ConfigError::at(&reader.origin(token.span().start()), "the key is nested too deeply"));
        }
    }
    Ok(())
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

struct Reader {
    lines: Vec<usize>,
    source: Arc<Source>,
}

impl Reader {
    fn origin(&self, at: usize) -> Origin {
        let line = self.lines.partition_point(|start| *start <= at);
        Origin { source: Arc::clone(&self.source), line: u32::try_from(line).unwrap_or(u32::MAX) }
    }

    fn table(&self, table: DeTable<'_>, depth: usize) -> Result<Table, ConfigError> {
        let mut entries = Table::new();
        for (key, value) in table {
            let origin = self.origin(key.span().start);
            if depth >= DEEPEST {
                return Err(ConfigError::at(&origin, "the key is nested too deeply"));
            }
            let at = self.origin(value.span().start);
            let value = self.value(value.into_inner(), &at, depth + 1)?;
            entries.insert(key.into_inner().into_owned(), Entry { key: origin, node: Node { value, origin: at } });
        }
        Ok(entries)
    }

    fn value(&self, value: DeValue<'_>, origin: &Origin, depth: usize) -> Result<Value, ConfigError> {
        if depth > DEEPEST {
            return Err(ConfigError::at(origin, "the value is nested too deeply"));
        }
        Ok(match value {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Value::Integer)
                .map_err(|_| ConfigError::at(origin, format!("the number `{number}` is too big")))?,
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map(Value::Float)
                .map_err(|_| ConfigError::at(origin, format!("`{number}` is not a number")))?,
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(items) => Value::Array(
                items
                    .into_iter()
                    .map(|item| {
                        let origin = self.origin(item.span().start);
                        let value = self.value(item.into_inner(), &origin, depth + 1)?;
                        Ok(Node { value, origin })
                    })
                    .collect::<Result<_, ConfigError>>()?,
            ),
            DeValue::Table(table) => Value::Table(self.table(table, depth)?),
        })
    }
}

/// A tree of one value at the dotted `path`.
pub(super) fn single(path: &[&str], value: Value, origin: &Origin) -> Table {
    let Some((first, rest)) = path.split_first() else { return Table::new() };
    let value = if rest.is_empty() { value } else { Value::Table(single(rest, value, origin)) };
    let node = Node { value, origin: origin.clone() };
    Table::from([((*first).to_owned(), Entry { key: origin.clone(), node })])
}

/// Lays `over` on `under`: tables are merged, anything else is replaced.
pub(super) fn merge(under: &mut Table, over: Table) {
    for (key, entry) in over {
        match (under.get_mut(&key).map(|below| &mut below.node.value), entry) {
            (Some(Value::Table(below)), Entry { node: Node { value: Value::Table(above), .. }, .. }) => {
                merge(below, above);
            }
            (_, entry) => {
                under.insert(key, entry);
            }
        }
    }
}

/// The node at `path`.
pub(super) fn find<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Entry> {
    let (last, parents) = path.split_last()?;
    let mut table = table;
    for key in parents {
        match &table.get(*key)?.node.value {
            Value::Table(inner) => table = inner,
            _ => return None,
        }
    }
    table.get(*last)
}

/// Reads a file of at most `limit` bytes that is a plain file; `None` if there is none.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<String>, std::io::Error> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    if metadata.len() > limit {
        return Err(std::io::Error::other(format!("it is larger than {} KiB", limit / 1024)));
    }
    std::fs::read_to_string(path).map(Some)
}
