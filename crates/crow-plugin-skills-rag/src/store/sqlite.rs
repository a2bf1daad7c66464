//! The index in a SQLite file: full text by FTS5, vectors beside the text. It holds nothing that could not be made again.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};

use super::{Change, Known, Piece, Ranked, Stamp, Store, StoreError, embedded_text, weight};
use crate::chunk::Chunk;
use crate::vector::Packed;
use crate::words::fold;

/// The version of the tables. An index of another version is made anew.
const VERSION: i64 = 1;

/// Roots that nobody looked into for so long are forgotten.
const FORGET: Duration = Duration::from_hours(90 * 24);

/// How long to wait for another process that is writing.
const BUSY: Duration = Duration::from_secs(10);

const TABLES: &str = "
    CREATE TABLE roots (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, used INTEGER NOT NULL);
    CREATE TABLE files (
        id INTEGER PRIMARY KEY, root INTEGER NOT NULL, path TEXT NOT NULL, modified INTEGER NOT NULL,
        size INTEGER NOT NULL, digest TEXT NOT NULL, UNIQUE (root, path)
    );
    CREATE TABLE chunks (
        id INTEGER PRIMARY KEY, root INTEGER NOT NULL, file INTEGER NOT NULL, first INTEGER NOT NULL,
        last INTEGER NOT NULL, heading TEXT NOT NULL, text TEXT NOT NULL
    );
    CREATE INDEX chunks_of_file ON chunks (file);
    CREATE TABLE vectors (chunk INTEGER PRIMARY KEY, root INTEGER NOT NULL, scale REAL NOT NULL, numbers BLOB NOT NULL);
    CREATE INDEX vectors_of_root ON vectors (root);
    CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE VIRTUAL TABLE words USING fts5 (
        heading, text, content = '', contentless_delete = 1, tokenize = 'porter unicode61 remove_diacritics 2'
    );
";

/// An index in a file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: Connection,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(error)
    }
}

impl Sqlite {
    /// The index in the file at `path`, made if it is missing, damaged or of another version. Only the user may read it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let told = |error: &dyn std::fmt::Display| StoreError(format!("{}: {error}", path.display()));
        make_private(path).map_err(|error| told(&error))?;
        let opened = Self::connect(path).or_else(|error| {
            if !is_damaged(&error) {
                return Err(error);
            }
            tracing::warn!(path = %path.display(), %error, "the index is damaged and made anew");
            // What SQLite keeps beside it belongs to the damaged one.
            for suffix in ["", "-wal", "-shm"] {
                let mut file = path.as_os_str().to_owned();
                file.push(suffix);
                drop(fs::remove_file(file));
            }
            drop(make_private(path));
            Self::connect(path)
        });
        opened.map_err(|error| told(&error))
    }

    fn connect(path: &Path) -> rusqlite::Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096;",
        )?;
        connection.set_prepared_statement_cache_capacity(32);
        let version = |connection: &Connection| -> rusqlite::Result<i64> {
            connection.pragma_query_value(None, "user_version", |row| row.get(0))
        };
        if version(&connection)? != VERSION {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            // Another process may have been first.
            if version(&transaction)? != VERSION {
                clear(&transaction)?;
                transaction.execute_batch(TABLES)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
            transaction.commit()?;
        }
        Ok(Self { connection })
    }

    /// The ids of the roots that there are.
    fn roots(&self, names: &[String]) -> rusqlite::Result<Vec<i64>> {
        let mut find = self.connection.prepare_cached("SELECT id FROM roots WHERE name = ?")?;
        let ids = names.iter().map(|name| find.query_row([name], |row| row.get(0)).optional());
        ids.filter_map(Result::transpose).collect()
    }

    /// The pieces that have a word, and how many have it. Of a word that very many have, there is no need to know which.
    /// In order.
    fn having(&self, term: &str, most: usize) -> rusqlite::Result<Option<Vec<i64>>> {
        let mut find = self.connection.prepare_cached("SELECT rowid FROM words WHERE words MATCH ? LIMIT ?")?;
        let ids = find.query_map(params![quoted(term), most as i64 + 1], |row| row.get(0))?;
        let ids: Vec<i64> = ids.collect::<Result<_, _>>()?;
        Ok((ids.len() <= most).then_some(ids))
    }
}

impl Store for Sqlite {
    fn files(&mut self, root: &str) -> Result<HashMap<String, Known>, StoreError> {
        let mut files = self.connection.prepare_cached(
            "SELECT path, modified, size, digest FROM files JOIN roots ON roots.id = root WHERE roots.name = ?",
        )?;
        let rows = files.query_map([root], |row| {
            let stamp = Stamp { modified: row.get(1)?, size: row.get(2)? };
            Ok((row.get(0)?, Known { stamp, digest: row.get(3)? }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn change(&mut self, root: &str, changes: &[Change]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        transaction.execute(
            "INSERT INTO roots (name, used) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET used = ?2",
            params![root, now.as_secs() as i64],
        )?;
        let id: i64 = transaction.query_row("SELECT id FROM roots WHERE name = ?", [root], |row| row.get(0))?;
        forget(&transaction, now.saturating_sub(FORGET).as_secs() as i64)?;
        for change in changes {
            match change {
                Change::Put { path, known, chunks } => put(&transaction, id, path, known, chunks)?,
                Change::Remove { path } => drop(remove(&transaction, id, path)?),
                Change::Touch { path, stamp } => drop(transaction.execute(
                    "UPDATE files SET modified = ?, size = ? WHERE root = ? AND path = ?",
                    params![stamp.modified, stamp.size, id, path],
                )?),
            }
        }
        Ok(transaction.commit()?)
    }

    fn without_vector(&mut self, roots: &[String], after: i64, most: usize) -> Result<Vec<(i64, String)>, StoreError> {
        let roots = self.roots(roots)?;
        let sql = format!(
            "SELECT id, heading, text FROM chunks WHERE id > {after} AND root IN ({}) \
             AND NOT EXISTS (SELECT 1 FROM vectors WHERE chunk = chunks.id) ORDER BY id LIMIT {most}",
            marks(roots.len())
        );
        let mut chunks = self.connection.prepare(&sql)?;
        let rows = chunks.query_map(params_from_iter(roots), |row| {
            let (heading, text): (String, String) = (row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, embedded_text(&heading, &text)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn add_vectors(&mut self, vectors: &[(i64, Vec<f32>)]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut add = transaction.prepare_cached(
                "INSERT OR REPLACE INTO vectors (chunk, root, scale, numbers) SELECT id, root, ?2, ?3 FROM chunks WHERE id = ?1",
            )?;
            for (id, vector) in vectors {
                // A text of nothing but unknown words has no direction: an empty vector is close to nothing.
                let packed = Packed::of(vector).unwrap_or(Packed { scale: 0.0, numbers: Vec::new() });
                add.execute(params![id, f64::from(packed.scale), packed.numbers])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn has_vectors(&mut self) -> Result<bool, StoreError> {
        Ok(self.connection.query_row("SELECT EXISTS (SELECT 1 FROM vectors)", [], |row| row.get(0))?)
    }

    fn embedder(&mut self) -> Result<Option<Vec<f32>>, StoreError> {
        let probe: Option<Vec<u8>> = self
            .connection
            .query_row("SELECT value FROM facts WHERE name = 'embedder'", [], |row| row.get(0))
            .optional()?;
        Ok(probe.map(|bytes| bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect()))
    }

    fn set_embedder(&mut self, probe: &[f32]) -> Result<(), StoreError> {
        let bytes: Vec<u8> = probe.iter().flat_map(|number| number.to_le_bytes()).collect();
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute("DELETE FROM vectors", [])?;
        transaction.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('embedder', ?)", [bytes])?;
        Ok(transaction.commit()?)
    }

    fn by_words(&mut self, roots: &[String], terms: &[String], most: usize) -> Result<Vec<Ranked>, StoreError> {
        /// However few pieces there are, a word that no more than these have tells something.
        const FEW: usize = 1_000;
        let roots = self.roots(roots)?;
        let all: i64 = self.connection.query_row("SELECT count(*) FROM chunks", [], |row| row.get(0))?;
        let all = all as usize;
        let mut telling: Vec<(&str, f64, Vec<i64>)> = Vec::new();
        let mut whole = 0.0;
        for term in terms {
            let Some(having) = self.having(term, (all / 3).max(FEW))? else { continue };
            let weight = weight(all, having.len());
            whole += weight;
            if !having.is_empty() {
                telling.push((term, weight, having));
            }
        }
        if telling.is_empty() || roots.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT words.rowid FROM words JOIN chunks ON chunks.id = words.rowid \
             WHERE words MATCH ? AND chunks.root IN ({}) ORDER BY bm25(words, 3.0, 1.0) LIMIT {most}",
            marks(roots.len())
        );
        let query: Vec<String> = telling.iter().map(|(term, ..)| quoted(term)).collect();
        let mut find = self.connection.prepare_cached(&sql)?;
        find.raw_bind_parameter(1, query.join(" OR "))?;
        for (place, root) in roots.iter().enumerate() {
            find.raw_bind_parameter(place + 2, root)?;
        }
        let mut rows = find.raw_query();
        let mut ranked = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let held: f64 = telling
                .iter()
                .filter(|(.., having)| having.binary_search(&id).is_ok())
                .map(|(_, weight, _)| weight)
                .sum();
            ranked.push(Ranked { id, score: held / whole });
        }
        Ok(ranked)
    }

    fn by_meaning(&mut self, roots: &[String], vector: &[f32], most: usize) -> Result<Vec<Ranked>, StoreError> {
        let (roots, Some(wanted)) = (self.roots(roots)?, Packed::of(vector)) else { return Ok(Vec::new()) };
        let sql = format!("SELECT chunk, scale, numbers FROM vectors WHERE root IN ({})", marks(roots.len()));
        let mut vectors = self.connection.prepare_cached(&sql)?;
        let mut rows = vectors.query(params_from_iter(roots))?;
        let mut best: Vec<Ranked> = Vec::with_capacity(2 * most + 1);
        let closest_first = |a: &Ranked, b: &Ranked| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id));
        while let Some(row) = rows.next()? {
            let scale: f64 = row.get(1)?;
            let numbers = row.get_ref(2)?.as_blob().unwrap_or_default();
            if let Some(similarity) = wanted.similarity(scale as f32, numbers) {
                best.push(Ranked { id: row.get(0)?, score: f64::from(similarity) });
                if best.len() > 2 * most {
                    best.sort_by(closest_first);
                    best.truncate(most);
                }
            }
        }
        best.sort_by(closest_first);
        best.truncate(most);
        Ok(best)
    }

    fn pieces(&mut self, ids: &[i64]) -> Result<Vec<Piece>, StoreError> {
        let mut find = self.connection.prepare_cached(
            "SELECT chunks.id, path, first, last, heading, text FROM chunks JOIN files ON files.id = file WHERE chunks.id = ?",
        )?;
        let piece = |row: &rusqlite::Row<'_>| {
            let chunk = Chunk { first: row.get(2)?, last: row.get(3)?, heading: row.get(4)?, text: row.get(5)? };
            Ok(Piece { id: row.get(0)?, path: row.get(1)?, chunk })
        };
        let pieces = ids.iter().map(|id| find.query_row([id], piece).optional());
        Ok(pieces.filter_map(Result::transpose).collect::<Result<_, _>>()?)
    }
}

fn put(transaction: &Transaction<'_>, root: i64, path: &str, known: &Known, chunks: &[Chunk]) -> rusqlite::Result<()> {
    let mut vectors = remove(transaction, root, path)?;
    transaction
        .prepare_cached("INSERT INTO files (root, path, modified, size, digest) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![root, path, known.stamp.modified, known.stamp.size, known.digest])?;
    let file = transaction.last_insert_rowid();
    let mut add = transaction
        .prepare_cached("INSERT INTO chunks (root, file, first, last, heading, text) VALUES (?, ?, ?, ?, ?, ?)")?;
    let mut index = transaction.prepare_cached("INSERT INTO words (rowid, heading, text) VALUES (?, ?, ?)")?;
    let mut keep =
        transaction.prepare_cached("INSERT INTO vectors (chunk, root, scale, numbers) VALUES (?, ?, ?, ?)")?;
    for chunk in chunks {
        let id = add.insert(params![root, file, chunk.first, chunk.last, chunk.heading, chunk.text])?;
        // The name of a file often tells what it is about.
        index.execute(params![id, fold(&format!("{} {}", chunk.heading, stem(path))), fold(&chunk.text)])?;
        if let Some((scale, numbers)) = vectors.remove(&embedded_text(&chunk.heading, &chunk.text)) {
            keep.execute(params![id, root, scale, numbers])?;
        }
    }
    Ok(())
}

/// Removes a file, and gives the vectors of its pieces by what was embedded.
fn remove(transaction: &Transaction<'_>, root: i64, path: &str) -> rusqlite::Result<HashMap<String, (f64, Vec<u8>)>> {
    let file: Option<i64> = transaction
        .prepare_cached("SELECT id FROM files WHERE root = ? AND path = ?")?
        .query_row(params![root, path], |row| row.get(0))
        .optional()?;
    let Some(file) = file else { return Ok(HashMap::new()) };
    let mut vectors = HashMap::new();
    let mut ids = Vec::new();
    {
        let mut chunks = transaction.prepare_cached(
            "SELECT id, heading, text, scale, numbers FROM chunks LEFT JOIN vectors ON chunk = id WHERE file = ?",
        )?;
        let mut rows = chunks.query([file])?;
        while let Some(row) = rows.next()? {
            ids.push(row.get::<_, i64>(0)?);
            if let (Some(scale), Some(numbers)) = (row.get(3)?, row.get(4)?) {
                let (heading, text): (String, String) = (row.get(1)?, row.get(2)?);
                vectors.insert(embedded_text(&heading, &text), (scale, numbers));
            }
        }
    }
    for table in
        ["DELETE FROM words WHERE rowid = ?", "DELETE FROM vectors WHERE chunk = ?", "DELETE FROM chunks WHERE id = ?"]
    {
        let mut delete = transaction.prepare_cached(table)?;
        for id in &ids {
            delete.execute([id])?;
        }
    }
    transaction.execute("DELETE FROM files WHERE id = ?", [file])?;
    Ok(vectors)
}

/// Forgets the roots that were last used before `time`, in seconds since the epoch.
fn forget(transaction: &Transaction<'_>, time: i64) -> rusqlite::Result<()> {
    let any = "SELECT EXISTS (SELECT 1 FROM roots WHERE used < ?)";
    if !transaction.prepare_cached(any)?.query_row([time], |row| row.get(0))? {
        return Ok(());
    }
    transaction.execute_batch(&format!(
        "DELETE FROM words WHERE rowid IN (SELECT id FROM chunks WHERE root IN (SELECT id FROM roots WHERE used < {time}));
         DELETE FROM vectors WHERE root IN (SELECT id FROM roots WHERE used < {time});
         DELETE FROM chunks WHERE root IN (SELECT id FROM roots WHERE used < {time});
         DELETE FROM files WHERE root IN (SELECT id FROM roots WHERE used < {time});
         DELETE FROM roots WHERE used < {time};"
    ))
}

fn clear(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in ["words", "vectors", "chunks", "files", "roots", "facts"] {
        transaction.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    Ok(())
}

/// Question marks for so many values.
fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// A word as FTS5 takes it, whatever it is.
fn quoted(term: &str) -> String {
    format!("\"{}\"", term.replace('"', "\"\""))
}

fn stem(path: &str) -> &str {
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Makes the file and the directories above it if they are missing, and closes the file to others. SQLite gives what it
/// puts beside it the same permissions.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    drop(file);
    Ok(())
}

#[cfg(test)]
mod tests;
