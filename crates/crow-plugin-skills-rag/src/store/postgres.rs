//! The index on a PostgreSQL server with pgvector, for what is more than one file or one machine should hold: full text by
//! its own search, vectors by pgvector, in the schema `crow_skills`.

mod tls;

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls, Transaction};

use super::{Change, Known, Piece, Ranked, Stamp, Store, StoreError, embedded_text, weight};
use crate::chunk::Chunk;
use crate::words::fold;

/// The version of the tables. An index of another version is made anew.
const VERSION: &str = "1";

/// Makers of the tables wait for each other at this number.
const MAKING: i64 = 0x0063_726f_7773_6b69;

/// How long a server may take to answer, unless its address says another time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Roots that nobody looked into for so many seconds are forgotten.
const FORGET: i64 = 90 * 24 * 3600;

/// pgvector finds neighbours by an index up to this length of vectors; longer ones are compared one by one.
const INDEXED: usize = 2_000;

const TABLES: &str = "
    DROP SCHEMA IF EXISTS crow_skills CASCADE;
    CREATE SCHEMA crow_skills;
    CREATE TABLE crow_skills.roots (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, used bigint NOT NULL
    );
    CREATE TABLE crow_skills.files (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        root bigint NOT NULL REFERENCES crow_skills.roots ON DELETE CASCADE,
        path text NOT NULL, modified bigint NOT NULL, size bigint NOT NULL, digest text NOT NULL, UNIQUE (root, path)
    );
    CREATE TABLE crow_skills.chunks (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, root bigint NOT NULL,
        file bigint NOT NULL REFERENCES crow_skills.files ON DELETE CASCADE, first integer NOT NULL, last integer NOT NULL,
        heading text NOT NULL, text text NOT NULL, words tsvector NOT NULL
    );
    CREATE INDEX ON crow_skills.chunks (file);
    CREATE INDEX ON crow_skills.chunks USING gin (words);
    CREATE TABLE crow_skills.vectors (
        chunk bigint PRIMARY KEY REFERENCES crow_skills.chunks ON DELETE CASCADE, root bigint NOT NULL, numbers vector
    );
    CREATE TABLE crow_skills.facts (name text PRIMARY KEY, value text NOT NULL);
";

/// An index on a server.
pub(crate) struct Postgres {
    /// Always there until it is dropped.
    client: Option<Client>,
    /// How long the vectors are, as far as they have an index by which neighbours are found.
    length: Option<usize>,
}

impl From<postgres::Error> for StoreError {
    fn from(error: postgres::Error) -> Self {
        match error.as_db_error() {
            Some(told) => Self(told.message().to_owned()),
            None => {
                let reason = std::error::Error::source(&error).map(|source| format!(": {source}"));
                Self(format!("{error}{}", reason.unwrap_or_default()))
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Closing waits for the network, which a thread that runs tasks must not.
        if let Some(client) = self.client.take() {
            std::thread::spawn(move || drop(client));
        }
    }
}

impl Postgres {
    /// The index in the database at `url`, made if it is missing or of another version.
    pub(crate) fn open(url: &str) -> Result<Self, StoreError> {
        let told = |error: StoreError| StoreError(format!("the index on the database server: {error}"));
        Self::connect(url).map_err(told)
    }

    fn connect(url: &str) -> Result<Self, StoreError> {
        let mut config: Config = url.parse()?;
        config.application_name("crow");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        let is_far = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        let mut client = if is_far && config.get_ssl_mode() != SslMode::Disable {
            // What is not encrypted by somebody who proves who they are is sent nowhere, unless the address says so.
            config.ssl_mode(SslMode::Require);
            config.connect(tls::Verified::new()?)?
        } else {
            config.connect(NoTls)?
        };
        client.batch_execute("SET client_min_messages = warning")?;
        let mut transaction = client.transaction()?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MAKING])?;
        let made = transaction.query_one("SELECT to_regclass('crow_skills.facts') IS NOT NULL", &[])?;
        let mut version: Option<String> = None;
        if made.get(0) {
            let found = transaction.query_opt("SELECT value FROM crow_skills.facts WHERE name = 'version'", &[])?;
            version = found.map(|row| row.get(0));
        }
        if version.as_deref() != Some(VERSION) {
            transaction.batch_execute("CREATE EXTENSION IF NOT EXISTS vector").map_err(|error| {
                StoreError(format!("it needs the extension `vector` (pgvector): {}", StoreError::from(error)))
            })?;
            transaction.batch_execute(TABLES)?;
            transaction.execute("INSERT INTO crow_skills.facts VALUES ('version', $1)", &[&VERSION])?;
        }
        transaction.commit()?;
        // The type `vector` may be in any schema.
        client.batch_execute(
            "SELECT set_config('search_path', 'crow_skills, ' || (SELECT quote_ident(nspname) FROM pg_extension JOIN \
             pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector') || ', pg_catalog', false)",
        )?;
        let mut store = Self { client: Some(client), length: None };
        store.length = store.embedder()?.map(|probe| probe.len());
        Ok(store)
    }

    fn client(&mut self) -> Result<&mut Client, StoreError> {
        self.client.as_mut().ok_or_else(|| StoreError("the connection is closed".into()))
    }
}

impl Store for Postgres {
    fn files(&mut self, root: &str) -> Result<HashMap<String, Known>, StoreError> {
        let sql = "SELECT path, modified, size, digest FROM files JOIN roots ON roots.id = root WHERE name = $1";
        let rows = self.client()?.query(sql, &[&root])?;
        let known =
            |row: &postgres::Row| Known { stamp: Stamp { modified: row.get(1), size: row.get(2) }, digest: row.get(3) };
        Ok(rows.iter().map(|row| (row.get(0), known(row))).collect())
    }

    fn change(&mut self, root: &str, changes: &[Change]) -> Result<(), StoreError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let mut transaction = self.client()?.transaction()?;
        transaction.execute("DELETE FROM roots WHERE used < $1", &[&(now - FORGET)])?;
        let sql =
            "INSERT INTO roots (name, used) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET used = $2 RETURNING id";
        let id: i64 = transaction.query_one(sql, &[&root, &now])?.get(0);
        for change in changes {
            match change {
                Change::Put { path, known, chunks } => put(&mut transaction, id, path, known, chunks)?,
                Change::Remove { path } => {
                    transaction.execute("DELETE FROM files WHERE root = $1 AND path = $2", &[&id, path])?;
                }
                Change::Touch { path, stamp } => {
                    let sql = "UPDATE files SET modified = $1, size = $2 WHERE root = $3 AND path = $4";
                    transaction.execute(sql, &[&stamp.modified, &stamp.size, &id, path])?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn without_vector(&mut self, roots: &[String], after: i64, most: usize) -> Result<Vec<(i64, String)>, StoreError> {
        let sql = "SELECT id, heading, text FROM chunks WHERE id > $1 AND root IN (SELECT id FROM roots WHERE name = ANY ($2)) \
                   AND NOT EXISTS (SELECT 1 FROM vectors WHERE chunk = chunks.id) ORDER BY id LIMIT $3";
        let rows = self.client()?.query(sql, &[&after, &roots, &(most as i64)])?;
        Ok(rows.iter().map(|row| (row.get(0), embedded_text(row.get(1), row.get(2)))).collect())
    }

    fn add_vectors(&mut self, vectors: &[(i64, Vec<f32>)]) -> Result<(), StoreError> {
        let ids: Vec<i64> = vectors.iter().map(|(id, _)| *id).collect();
        let numbers: Vec<Option<String>> = vectors.iter().map(|(_, vector)| written(vector)).collect();
        let sql = "INSERT INTO vectors (chunk, root, numbers) SELECT chunks.id, root, added.numbers::vector \
                   FROM unnest($1::bigint[], $2::text[]) AS added (id, numbers) JOIN chunks ON chunks.id = added.id \
                   ON CONFLICT (chunk) DO UPDATE SET numbers = excluded.numbers";
        self.client()?.execute(sql, &[&ids, &numbers])?;
        Ok(())
    }

    fn has_vectors(&mut self) -> Result<bool, StoreError> {
        Ok(self.client()?.query_one("SELECT EXISTS (SELECT 1 FROM vectors)", &[])?.get(0))
    }

    fn embedder(&mut self) -> Result<Option<Vec<f32>>, StoreError> {
        let probe = self.client()?.query_opt("SELECT value FROM facts WHERE name = 'embedder'", &[])?;
        let numbers = |text: String| text.trim_matches(['[', ']']).split(',').filter_map(|n| n.parse().ok()).collect();
        Ok(probe.map(|row| numbers(row.get(0))))
    }

    fn set_embedder(&mut self, probe: &[f32]) -> Result<(), StoreError> {
        let length = probe.len();
        let text = written(probe).unwrap_or_default();
        let mut transaction = self.client()?.transaction()?;
        transaction.batch_execute("TRUNCATE vectors; DROP INDEX IF EXISTS vectors_near")?;
        if (1..=INDEXED).contains(&length) {
            transaction.batch_execute(&format!(
                "CREATE INDEX vectors_near ON vectors USING hnsw ((numbers::vector({length})) vector_cosine_ops)"
            ))?;
        }
        let sql = "INSERT INTO facts VALUES ('embedder', $1) ON CONFLICT (name) DO UPDATE SET value = $1";
        transaction.execute(sql, &[&text])?;
        transaction.commit()?;
        self.length = Some(length);
        Ok(())
    }

    fn by_words(&mut self, roots: &[String], terms: &[String], most: usize) -> Result<Vec<Ranked>, StoreError> {
        /// However few pieces there are, a word that no more than these have tells something.
        const FEW: i64 = 1_000;
        let client = self.client()?;
        let all: i64 = client.query_one("SELECT count(*) FROM chunks", &[])?.get(0);
        let common = (all / 3).max(FEW);
        let sql = "SELECT term, (SELECT count(*) FROM (SELECT 1 FROM chunks WHERE words @@ query LIMIT $2) AS those) \
                   FROM (SELECT term, plainto_tsquery('english', term) AS query FROM unnest($1::text[]) AS term) AS asked \
                   WHERE numnode(query) > 0";
        let counted = client.query(sql, &[&terms, &(common + 1)])?;
        let (mut telling, mut weights, mut whole) = (Vec::new(), Vec::new(), 0.0);
        for row in &counted {
            let (term, having): (String, i64) = (row.get(0), row.get(1));
            if having > common {
                continue;
            }
            let weight = weight(all as usize, having as usize);
            whole += weight;
            if having > 0 {
                telling.push(term);
                weights.push(weight);
            }
        }
        if telling.is_empty() {
            return Ok(Vec::new());
        }
        let sql = "SELECT chunks.id, sum(weight) FROM unnest($1::text[], $2::float8[]) AS asked (term, weight) \
                   JOIN chunks ON words @@ plainto_tsquery('english', term) \
                   WHERE root IN (SELECT id FROM roots WHERE name = ANY ($3)) GROUP BY chunks.id \
                   ORDER BY sum(weight * (1 + ts_rank(words, plainto_tsquery('english', term), 1))) DESC, chunks.id LIMIT $4";
        let rows = client.query(sql, &[&telling, &weights, &roots, &(most as i64)])?;
        Ok(rows.iter().map(|row| Ranked { id: row.get(0), score: row.get::<_, f64>(1) / whole }).collect())
    }

    fn by_meaning(&mut self, roots: &[String], vector: &[f32], most: usize) -> Result<Vec<Ranked>, StoreError> {
        let (length, Some(wanted)) = (vector.len(), written(vector)) else { return Ok(Vec::new()) };
        if self.length.is_some_and(|own| own != length) {
            return Ok(Vec::new());
        }
        let mut transaction = self.client()?.transaction()?;
        // Others than these roots are among the neighbours: enough must be looked at.
        transaction.batch_execute(&format!("SET LOCAL hnsw.ef_search = {}", (most * 4).clamp(40, 1_000)))?;
        let sql = format!(
            "SELECT chunk, 1 - (numbers::vector({length}) <=> $1::text::vector) FROM vectors \
             WHERE numbers IS NOT NULL AND root IN (SELECT id FROM roots WHERE name = ANY ($2)) \
             ORDER BY numbers::vector({length}) <=> $1::text::vector LIMIT $3"
        );
        let rows = transaction.query(&sql, &[&wanted, &roots, &(most as i64)])?;
        Ok(rows.iter().map(|row| Ranked { id: row.get(0), score: row.get(1) }).collect())
    }

    fn pieces(&mut self, ids: &[i64]) -> Result<Vec<Piece>, StoreError> {
        let sql = "SELECT chunks.id, path, first, last, heading, text FROM chunks JOIN files ON files.id = file \
                   WHERE chunks.id = ANY ($1)";
        let rows = self.client()?.query(sql, &[&ids])?;
        let line = |row: &postgres::Row, at: usize| row.get::<_, i32>(at).cast_unsigned();
        let piece = |row: &postgres::Row| Piece {
            id: row.get(0),
            path: row.get(1),
            chunk: Chunk { first: line(row, 2), last: line(row, 3), heading: row.get(4), text: row.get(5) },
        };
        Ok(rows.iter().map(piece).collect())
    }
}

fn put(
    transaction: &mut Transaction<'_>,
    root: i64,
    path: &str,
    known: &Known,
    chunks: &[Chunk],
) -> Result<(), StoreError> {
    let sql = "SELECT heading, text, numbers::text FROM chunks JOIN vectors ON chunk = chunks.id JOIN files ON files.id = file \
               WHERE files.root = $1 AND path = $2";
    let before = transaction.query(sql, &[&root, &path])?;
    let kept: HashMap<String, Option<String>> =
        before.iter().map(|row| (embedded_text(row.get(0), row.get(1)), row.get(2))).collect();
    transaction.execute("DELETE FROM files WHERE root = $1 AND path = $2", &[&root, &path])?;
    let sql = "INSERT INTO files (root, path, modified, size, digest) VALUES ($1, $2, $3, $4, $5) RETURNING id";
    let stamp = known.stamp;
    let file: i64 = transaction.query_one(sql, &[&root, &path, &stamp.modified, &stamp.size, &known.digest])?.get(0);
    let stem = std::path::Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    // The server knows no text with a zero in it.
    let texts = |text: &dyn Fn(&Chunk) -> String| -> Vec<String> {
        chunks.iter().map(|chunk| text(chunk).replace('\0', " ")).collect()
    };
    let lines =
        |line: &dyn Fn(&Chunk) -> u32| -> Vec<i32> { chunks.iter().map(|chunk| line(chunk).cast_signed()).collect() };
    let sql = "INSERT INTO chunks (root, file, first, last, heading, text, words) \
               SELECT $1, $2, first, last, heading, text, \
               setweight(to_tsvector('english', headings), 'A') || to_tsvector('english', texts) \
               FROM unnest($3::int[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[]) WITH ORDINALITY \
               AS added (first, last, heading, text, headings, texts, place) ORDER BY place RETURNING id, heading, text";
    let added = transaction.query(
        sql,
        &[
            &root,
            &file,
            &lines(&|chunk| chunk.first),
            &lines(&|chunk| chunk.last),
            &texts(&|chunk| chunk.heading.clone()),
            &texts(&|chunk| chunk.text.clone()),
            &texts(&|chunk| fold(&format!("{} {stem}", chunk.heading))),
            &texts(&|chunk| fold(&chunk.text)),
        ],
    )?;
    for row in &added {
        if let Some(numbers) = kept.get(&embedded_text(row.get(1), row.get(2))) {
            let sql = "INSERT INTO vectors (chunk, root, numbers) VALUES ($1, $2, $3::text::vector)";
            transaction.execute(sql, &[&row.get::<_, i64>(0), &root, numbers])?;
        }
    }
    Ok(())
}

/// A vector as the server reads it. `None`: it has no direction.
fn written(vector: &[f32]) -> Option<String> {
    let has_direction = vector.iter().any(|number| *number != 0.0);
    let numbers: Vec<String> = vector.iter().map(ToString::to_string).collect();
    has_direction.then(|| format!("[{}]", numbers.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::every_index;

    #[test]
    fn it_is_an_index() {
        let Some(server) = crow_tests::Postgres::start_with("vector") else { return };
        let url = server.database();
        every_index(&mut Postgres::open(&url).unwrap());
        // What is there is found again, of another version made anew.
        assert_eq!(Postgres::open(&url).unwrap().files("a").unwrap().len(), 1);
        server.query(&url, "UPDATE crow_skills.facts SET value = '0' WHERE name = 'version'");
        let mut store = Postgres::open(&url).unwrap();
        assert!(store.files("a").unwrap().is_empty());
        every_index(&mut store);
    }

    #[test]
    fn a_server_that_is_not_there_is_told_without_the_password() {
        let error = Postgres::open("postgresql://me:planted-secret@127.0.0.1:1/crow").err().unwrap().to_string();
        assert!(error.contains("refused") && !error.contains("planted-secret"), "{error}");
    }

    #[test]
    fn a_server_without_pgvector_is_told() {
        let Some(server) = crow_tests::Postgres::start() else { return };
        let url = server.database();
        match Postgres::open(&url) {
            // The first server there is may have it.
            Ok(mut store) => every_index(&mut store),
            Err(error) => assert!(error.to_string().contains("pgvector"), "{error}"),
        }
    }
}
