//! A static embedding model: a vector for each token.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::ModelError;
use super::safetensors::{Safetensors, Table};
use super::tokenizer::Tokenizer;

/// Most tokens of a text that count.
const TOKENS: usize = 512;

/// What the table of vectors is called, by those who write it.
const VECTORS: [&str; 2] = ["embeddings", "embedding.weight"];

/// A model in memory.
#[derive(Debug)]
pub(crate) struct StaticModel {
    tokenizer: Tokenizer,
    tables: Safetensors,
    vectors: Table,
    /// How much each token counts, if not all the same.
    weights: Option<Table>,
    /// Which vector a token has, if not that of its own number.
    mapping: Option<Table>,
    normalize: bool,
}

impl StaticModel {
    /// Reads `tokenizer.json`, `model.safetensors` and, if it is there, `config.json`.
    ///
    /// # Errors
    /// One of them is missing, damaged, or of a kind that is not known here.
    pub(crate) fn read(directory: &Path) -> Result<Self, ModelError> {
        let read = |name: &str| {
            fs::read(directory.join(name)).map_err(|error| ModelError(format!("{name} cannot be read: {error}")))
        };
        let json = |name: &str| {
            let parsed: Result<Value, _> = serde_json::from_slice(&read(name)?);
            parsed.map_err(|error| ModelError(format!("{name}: {error}")))
        };
        let tokenizer = Tokenizer::parse(&json("tokenizer.json")?)?;
        let tables = Safetensors::parse(read("model.safetensors")?)?;
        let vectors = VECTORS.iter().find_map(|name| tables.table(name));
        let missing = || ModelError("model.safetensors has no table `embeddings`".into());
        let vectors = vectors.filter(|table| table.columns > 1).ok_or_else(missing)?.clone();
        let normalize = json("config.json").is_ok_and(|config| config["normalize"].as_bool().unwrap_or(true));
        let (weights, mapping) = (tables.table("weights").cloned(), tables.table("mapping").cloned());
        Ok(Self { tokenizer, tables, vectors, weights, mapping, normalize })
    }

    /// The vector of a text: the mean of its tokens'. Of a text without a known token it is all zeros.
    pub(crate) fn embed(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0.0; self.vectors.columns];
        let tokens = self.tokenizer.tokens(text, TOKENS);
        for token in &tokens {
            let number = |table: &Table| self.tables.row(table, *token as usize).next();
            let weight = self.weights.as_ref().and_then(number).unwrap_or(1.0);
            let row = match &self.mapping {
                Some(mapping) => number(mapping).unwrap_or(-1.0) as usize,
                None => *token as usize,
            };
            for (sum, number) in sum.iter_mut().zip(self.tables.row(&self.vectors, row)) {
                *sum += weight * number;
            }
        }
        let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt();
        let by = if self.normalize && length.is_normal() { length } else { tokens.len().max(1) as f32 };
        for number in &mut sum {
            *number /= by;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn directory(header: &Value, data: &[f32], config: &Value) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let tokenizer = json!({
            "normalizer": { "type": "Lowercase" },
            "pre_tokenizer": { "type": "Whitespace" },
            "model": { "type": "WordPiece", "unk_token": "[UNK]", "vocab": { "[UNK]": 0, "cat": 1, "dog": 2, "car": 3 } },
        });
        let header = header.to_string();
        let numbers: Vec<u8> = data.iter().flat_map(|number| number.to_le_bytes()).collect();
        let tables = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &numbers].concat();
        for (name, bytes) in [
            ("tokenizer.json", tokenizer.to_string().into_bytes()),
            ("config.json", config.to_string().into_bytes()),
            ("model.safetensors", tables),
        ] {
            fs::write(directory.path().join(name), bytes).unwrap();
        }
        directory
    }

    #[test]
    fn a_text_is_the_mean_of_its_tokens() {
        let header = json!({ "embeddings": { "dtype": "F32", "shape": [4, 2], "data_offsets": [0, 32] } });
        let data = [9.0, 9.0, 1.0, 0.0, 0.0, 1.0, -3.0, 4.0];
        let plain = directory(&header, &data, &json!({ "normalize": false }));
        let model = StaticModel::read(plain.path()).unwrap();
        assert_eq!(model.embed("Cat dog unknown"), [0.5, 0.5]);
        assert_eq!(model.embed("unknown"), [0.0, 0.0]);
        let unit = directory(&header, &data, &json!({ "normalize": true }));
        assert_eq!(StaticModel::read(unit.path()).unwrap().embed("car"), [-0.6, 0.8]);
    }

    #[test]
    fn tokens_may_share_vectors_and_weigh_more_or_less() {
        let header = json!({
            "embeddings": { "dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16] },
            "weights": { "dtype": "F32", "shape": [4], "data_offsets": [16, 32] },
            "mapping": { "dtype": "I32", "shape": [4], "data_offsets": [32, 48] },
        });
        let ids = [0_i32, 1, 1, 0].map(|id| f32::from_bits(id.cast_unsigned()));
        let data = [&[1.0, 2.0, 3.0, 4.0, 1.0, 1.0, 2.0, 0.5][..], &ids].concat();
        let place = directory(&header, &data, &json!({ "normalize": false }));
        let model = StaticModel::read(place.path()).unwrap();
        assert_eq!(model.embed("dog"), [6.0, 8.0]);
        assert_eq!(model.embed("cat car"), [1.75, 2.5]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let header = json!({ "other": { "dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8] } });
        let place = directory(&header, &[1.0, 2.0], &json!({}));
        let error = StaticModel::read(place.path()).unwrap_err().to_string();
        assert!(error.contains("no table `embeddings`"), "{error}");
        fs::remove_file(place.path().join("tokenizer.json")).unwrap();
        assert!(StaticModel::read(place.path()).unwrap_err().to_string().contains("tokenizer.json cannot be read"));
    }
}
