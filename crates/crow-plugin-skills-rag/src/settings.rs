//! The section `[plugins.skills-rag]`.

use std::path::PathBuf;

use crow_acp::{Config, ConfigError};
use serde::Deserialize;

use crate::NAME;

/// What can be configured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Documents: files, directories or globs. Relative ones start at the project.
    pub(crate) paths: Vec<String>,
    /// Documents that list others, which are taken too if they are files beside or below them.
    pub(crate) llms_txt: Vec<String>,
    /// A SQLite file, relative to `CROW_HOME`, or the address of a PostgreSQL database.
    pub(crate) database: String,
    /// Whether documents are looked for with each prompt, unasked.
    pub(crate) retrieve: bool,
    /// Most pieces of documents that a prompt brings in.
    pub(crate) top_k: usize,
    /// Most tokens that a prompt brings in.
    pub(crate) max_tokens: usize,
    /// How much of what a prompt's words tell a piece must hold, from 0 to 1.
    pub(crate) min_score: f64,
    /// How close in meaning a piece must be instead, as a cosine.
    pub(crate) min_similarity: f64,
    /// How large pieces are, in tokens.
    pub(crate) chunk_tokens: usize,
    /// The share of the model's window that names and descriptions of skills may take.
    pub(crate) listing: f64,
    /// Larger files are left out, in bytes.
    pub(crate) max_file_bytes: u64,
    /// Files beyond so many are left out.
    pub(crate) max_files: usize,
    /// Whether embeddings are made and used, if somebody offers them.
    pub(crate) embeddings: bool,
    /// The directory of a static embedding model, relative to `CROW_HOME`.
    pub(crate) embedding_model: Option<PathBuf>,
    /// How long a prompt waits for its own embedding, in milliseconds.
    pub(crate) embed_timeout_ms: u64,
    /// How long a prompt waits for documents that are being read, in milliseconds.
    pub(crate) wait_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            llms_txt: Vec::new(),
            database: "skills.db".into(),
            retrieve: true,
            top_k: 5,
            max_tokens: 2_000,
            min_score: 0.4,
            min_similarity: 0.4,
            chunk_tokens: 300,
            listing: 0.01,
            max_file_bytes: 1024 * 1024,
            max_files: 20_000,
            embeddings: true,
            embedding_model: None,
            embed_timeout_ms: 3_000,
            wait_ms: 300,
        }
    }
}

/// Bytes to a token, roughly.
pub(crate) const BYTES_PER_TOKEN: usize = 4;

/// The longest that a prompt may wait for one thing, in milliseconds.
const LONGEST_WAIT: u64 = 20_000;

impl Settings {
    /// What the configuration says.
    ///
    /// # Errors
    /// An unknown key, or a value that makes no sense, with its place.
    pub(crate) fn of(config: &Config) -> Result<Self, ConfigError> {
        let settings: Self = config.plugin(NAME)?;
        let wrong = |key: &str, expected: &str| {
            Err(config.error_at(&format!("plugins.{NAME}.{key}"), format!("`plugins.{NAME}.{key}`: {expected}")))
        };
        let is_share = |number: f64| (0.0..=1.0).contains(&number);
        if settings.database.trim().is_empty() {
            return wrong("database", "expected a file or an address such as postgres://host/name");
        }
        if !is_share(settings.min_score) {
            return wrong("min_score", "expected a number from 0 to 1");
        }
        if !is_share(settings.min_similarity) {
            return wrong("min_similarity", "expected a number from 0 to 1");
        }
        if !is_share(settings.listing) {
            return wrong("listing", "expected a share from 0 to 1");
        }
        if !(50..=4_000).contains(&settings.chunk_tokens) {
            return wrong("chunk_tokens", "expected a number of tokens from 50 to 4000");
        }
        if settings.wait_ms > LONGEST_WAIT {
            return wrong("wait_ms", "expected a number of milliseconds, 20000 at most");
        }
        if settings.embed_timeout_ms > LONGEST_WAIT {
            return wrong("embed_timeout_ms", "expected a number of milliseconds, 20000 at most");
        }
        for (key, patterns) in [("paths", &settings.paths), ("llms_txt", &settings.llms_txt)] {
            if let Some(error) = patterns.iter().find_map(|pattern| crate::sources::check(pattern).err()) {
                return wrong(key, &error);
            }
        }
        Ok(settings)
    }

    /// Whether there are documents at all.
    pub(crate) fn has_documents(&self) -> bool {
        !self.paths.is_empty() || !self.llms_txt.is_empty()
    }

    /// How large pieces are, in bytes.
    pub(crate) fn chunk_bytes(&self) -> usize {
        self.chunk_tokens * BYTES_PER_TOKEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Result<Settings, ConfigError> {
        Settings::of(&Config::from_toml("/home/me/.crow", &format!("[plugins.skills-rag]\n{toml}\n")).unwrap())
    }

    #[test]
    fn every_key_is_read() {
        let settings = parse(
            "paths = [\"docs\"]\nllms_txt = [\"llms.txt\"]\ndatabase = \"x.db\"\nretrieve = false\ntop_k = 1\n\
             max_tokens = 2\nmin_score = 0.1\nmin_similarity = 0.2\nchunk_tokens = 100\nlisting = 0.3\n\
             max_file_bytes = 4\nmax_files = 5\nembeddings = false\nembedding_model = \"m\"\nembed_timeout_ms = 6\n\
             wait_ms = 7",
        );
        let expected = Settings {
            paths: vec!["docs".into()],
            llms_txt: vec!["llms.txt".into()],
            database: "x.db".into(),
            retrieve: false,
            top_k: 1,
            max_tokens: 2,
            min_score: 0.1,
            min_similarity: 0.2,
            chunk_tokens: 100,
            listing: 0.3,
            max_file_bytes: 4,
            max_files: 5,
            embeddings: false,
            embedding_model: Some("m".into()),
            embed_timeout_ms: 6,
            wait_ms: 7,
        };
        assert_eq!(settings.unwrap(), expected);
        assert_eq!(parse("").unwrap(), Settings::default());
    }

    #[test]
    fn wrong_values_are_refused_with_their_line() {
        for wrong in [
            "database = \" \"",
            "min_score = 1.1",
            "min_similarity = -0.1",
            "listing = 2",
            "chunk_tokens = 10",
            "paths = [\"docs/[\"]",
            "paths = [\"\"]",
            "llms_txt = [\"https://example.org/llms.txt\"]",
            "top_k = -1",
            "wait_ms = 20001",
            "embed_timeout_ms = 20001",
            "topk = 1",
        ] {
            let error = parse(wrong).expect_err(wrong).to_string();
            assert!(error.contains("config.toml:2: "), "{wrong}: {error}");
        }
    }
}
