//! The index by itself, for programs that want retrieval without an agent.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::index::{self, Cut};
use crate::search::{Query, search};
use crate::settings::Settings;
use crate::sources::{self, Sources};
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};

/// Why the index cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct IndexError(String);

impl From<StoreError> for IndexError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// A piece of a document that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// The number by which the index knows it.
    pub id: i64,
    /// Its file, absolute.
    pub path: String,
    /// Its first line, from 1.
    pub first_line: u32,
    /// Its last line.
    pub last_line: u32,
    /// The headings it stands under, with `>` between.
    pub heading: String,
    /// Its text.
    pub text: String,
}

/// An index of documents in a SQLite file. Every call waits for the disk.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let project = directory.path();
/// std::fs::write(project.join("guide.md"), "# Guide\n\nBread needs yeast.\n")?;
/// let mut index = crow_plugin_skills_rag::Index::open(&project.join("index.db"))?;
/// index.update(project, &["**/*.md".into()])?;
/// let found = index.search(project, "What does bread need?", None, 5)?;
/// assert_eq!((found[0].first_line, found[0].text.as_str()), (1, "# Guide\n\nBread needs yeast."));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Index(Sqlite);

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Index {
    /// The index in the file at `path`, made if it is missing.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        Ok(Self(Sqlite::open(path)?))
    }

    /// Brings the index of `project` up to the files that `paths` mean: files, directories or globs, relative to it.
    ///
    /// # Errors
    /// A path makes no sense or is absolute, or the index cannot be written.
    pub fn update(&mut self, project: &Path, paths: &[String]) -> Result<(), IndexError> {
        if let Some(error) = paths.iter().find_map(|path| sources::check(path).err()) {
            return Err(IndexError(error));
        }
        if let Some(path) = paths.iter().find(|path| Path::new(path).is_absolute()) {
            return Err(IndexError(format!("`{path}` is not relative to the project")));
        }
        let settings = Settings { paths: paths.to_vec(), ..Settings::default() };
        let cut = Cut { chunk_bytes: settings.chunk_bytes(), largest: settings.max_file_bytes };
        let sources = Sources::new(&settings, project, &[]);
        for root in &sources.roots {
            let (files, _) = sources.files(root);
            index::update(&mut self.0, &root.key, &files, cut, &AtomicBool::new(false))?;
        }
        Ok(())
    }

    /// At most `most` pieces of `project` that have no vector yet: their ids, and what to embed.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn unembedded(&mut self, project: &Path, most: usize) -> Result<Vec<(i64, String)>, IndexError> {
        Ok(self.0.without_vector(&roots(project), 0, most)?)
    }

    /// Adds the vectors of pieces, all of one embedder.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn add_vectors(&mut self, vectors: &[(i64, Vec<f32>)]) -> Result<(), IndexError> {
        Ok(self.0.add_vectors(vectors)?)
    }

    /// The pieces of `project` that fit `text`, and `vector` if there is one; the best first, at most `most`.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn search(
        &mut self,
        project: &Path,
        text: &str,
        vector: Option<Vec<f32>>,
        most: usize,
    ) -> Result<Vec<Hit>, IndexError> {
        let query = Query { text: text.to_owned(), vector, ..Query::default() };
        let found = search(&mut self.0, &roots(project), &query)?;
        let hit = |piece: crate::store::Piece| Hit {
            id: piece.id,
            path: piece.path,
            first_line: piece.chunk.first,
            last_line: piece.chunk.last,
            heading: piece.chunk.heading,
            text: piece.chunk.text,
        };
        Ok(found.into_iter().take(most).map(hit).collect())
    }
}

fn roots(project: &Path) -> Vec<String> {
    vec![project.display().to_string()]
}
