//! Where pieces of documents are kept and found: one trait, in a file of one's own or on a server.

pub(crate) mod postgres;
pub(crate) mod sqlite;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::chunk::Chunk;

/// Why the index cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StoreError(pub(crate) String);

impl StoreError {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// What tells cheaply whether a file is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When it was changed, in nanoseconds since the epoch.
    pub(crate) modified: i64,
    /// Its size in bytes.
    pub(crate) size: i64,
}

/// A file as it is in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) stamp: Stamp,
    /// The digest of its content and of how it was cut.
    pub(crate) digest: String,
}

/// What is to happen to a file of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is new, or another one than it was.
    Put { path: String, known: Known, chunks: Vec<Chunk> },
    /// It has another stamp and the same content.
    Touch { path: String, stamp: Stamp },
    /// It is gone.
    Remove { path: String },
}

/// A piece that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) id: i64,
    /// From 0 to 1: how much of what the words tell it holds, or how close it is in meaning.
    pub(crate) score: f64,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) id: i64,
    pub(crate) path: String,
    pub(crate) chunk: Chunk,
}

/// An index. Calls wait for a disk or a network: they are made where waiting disturbs nobody.
///
/// Files belong to a root, a group that is indexed and searched together; every search says in which.
pub(crate) trait Store: Send {
    /// The files of a root, by path.
    fn files(&mut self, root: &str) -> Result<HashMap<String, Known>, StoreError>;

    /// Makes these changes to a root, all or none. Pieces whose text was there before keep their vectors.
    fn change(&mut self, root: &str, changes: &[Change]) -> Result<(), StoreError>;

    /// Pieces behind `after` that have no vector yet: their ids and what to embed of them.
    fn without_vector(&mut self, roots: &[String], after: i64, most: usize) -> Result<Vec<(i64, String)>, StoreError>;

    /// Adds vectors of pieces; of those that are gone by now it forgets them.
    fn add_vectors(&mut self, vectors: &[(i64, Vec<f32>)]) -> Result<(), StoreError>;

    /// Whether any piece has a vector.
    fn has_vectors(&mut self) -> Result<bool, StoreError>;

    /// The vector by which the embedder of all others is known.
    fn embedder(&mut self) -> Result<Option<Vec<f32>>, StoreError>;

    /// Another embedder: forgets all vectors.
    fn set_embedder(&mut self, probe: &[f32]) -> Result<(), StoreError>;

    /// The pieces that fit the words best, the best first.
    fn by_words(&mut self, roots: &[String], terms: &[String], most: usize) -> Result<Vec<Ranked>, StoreError>;

    /// The pieces that are closest in meaning, the closest first.
    fn by_meaning(&mut self, roots: &[String], vector: &[f32], most: usize) -> Result<Vec<Ranked>, StoreError>;

    /// Pieces by their ids, in any order; without those that are gone.
    fn pieces(&mut self, ids: &[i64]) -> Result<Vec<Piece>, StoreError>;
}

/// How much a word tells that `having` of `all` pieces have: from 1.5 for one that only a single piece has down to 0.5 for
/// one that all have. A word that none has tells something too: that the prompt may be about something else.
pub(crate) fn weight(all: usize, having: usize) -> f64 {
    let rarity = |having: f64| {
        let all = (all as f64).max(having);
        (1.0 + (all - having + 0.5) / (having + 0.5)).ln()
    };
    if having == 0 { 1.0 } else { 0.5 + rarity(having as f64) / rarity(1.0) }
}

/// What is embedded of a piece: where it stands, and what it says.
pub(crate) fn embedded_text(heading: &str, text: &str) -> String {
    if heading.is_empty() { text.to_owned() } else { format!("{heading}\n{text}") }
}
