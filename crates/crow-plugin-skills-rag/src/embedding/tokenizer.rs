//! Texts to tokens, as a `tokenizer.json` describes it.

use serde_json::Value;

use super::ModelError;
use super::normalize::Normalizer;
use super::split::Splitter;
use super::unigram::Unigram;
use super::wordpiece::WordPiece;

/// A tokenizer.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    normalizer: Normalizer,
    splitter: Splitter,
    vocabulary: Vocabulary,
}

#[derive(Debug)]
enum Vocabulary {
    WordPiece(WordPiece),
    Unigram(Unigram),
}

impl Tokenizer {
    /// Reads the description.
    ///
    /// # Errors
    /// It is of a kind that is not known here.
    pub(crate) fn parse(described: &Value) -> Result<Self, ModelError> {
        Ok(Self {
            normalizer: Normalizer::parse(&described["normalizer"])?,
            splitter: Splitter::parse(&described["pre_tokenizer"])?,
            vocabulary: vocabulary(&described["model"])?,
        })
    }

    /// The tokens of a text, at most `most`, without those for what is unknown.
    pub(crate) fn tokens(&self, text: &str, most: usize) -> Vec<u32> {
        /// No token is made of more bytes than this, on average.
        const BYTES: usize = 32;
        let text = &text[..text.floor_char_boundary(most * BYTES)];
        let words = self.splitter.split(&self.normalizer.apply(text));
        let tokens = words.iter().flat_map(|word| match &self.vocabulary {
            Vocabulary::WordPiece(pieces) => pieces.tokens(word),
            Vocabulary::Unigram(pieces) => pieces.tokens(word),
        });
        tokens.take(most).collect()
    }
}

fn vocabulary(model: &Value) -> Result<Vocabulary, ModelError> {
    let wrong = |what: &str| ModelError(format!("tokenizer.json: {what}"));
    // Older files do not say: only a list has scores.
    let kind = model["type"].as_str().unwrap_or(if model["vocab"].is_array() { "Unigram" } else { "WordPiece" });
    match kind {
        "WordPiece" => {
            let words = model["vocab"].as_object().ok_or_else(|| wrong("it has no vocabulary"))?;
            let unknown = model["unk_token"].as_str().unwrap_or("[UNK]");
            let known = words.iter().filter(|(word, _)| *word != unknown);
            let ids = known.filter_map(|(word, id)| Some((word.clone(), u32::try_from(id.as_u64()?).ok()?)));
            let prefix = model["continuing_subword_prefix"].as_str().unwrap_or("##").to_owned();
            let longest = model["max_input_chars_per_word"].as_u64().unwrap_or(100) as usize;
            Ok(Vocabulary::WordPiece(WordPiece { vocabulary: ids.collect(), prefix, longest }))
        }
        "Unigram" => {
            let pieces = model["vocab"].as_array().ok_or_else(|| wrong("it has no vocabulary"))?;
            let piece = |entry: &Value| Some((entry[0].as_str()?.to_owned(), entry[1].as_f64()?));
            let pieces: Option<Vec<(String, f64)>> = pieces.iter().map(piece).collect();
            let pieces = pieces.ok_or_else(|| wrong("its vocabulary is none of pieces and scores"))?;
            let unknown = model["unk_id"].as_u64().and_then(|id| u32::try_from(id).ok());
            Ok(Vocabulary::Unigram(Unigram::new(pieces, unknown)))
        }
        other => Err(wrong(&format!("`{other}` is none of WordPiece and Unigram"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn from_text_to_tokens() {
        let bert = json!({
            "normalizer": { "type": "BertNormalizer", "lowercase": true },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "model": { "type": "WordPiece", "unk_token": "[UNK]", "vocab": { "[UNK]": 0, "cafe": 1, "##s": 2, ",": 3, "open": 4 } },
        });
        let tokenizer = Tokenizer::parse(&bert).unwrap();
        assert_eq!(tokenizer.tokens("Caf\u{e9}s, mostly OPEN", 10), [1, 2, 3, 4]);
        assert_eq!(tokenizer.tokens("Caf\u{e9}s, mostly OPEN", 2), [1, 2]);
        assert!(tokenizer.tokens("[UNK]", 10).is_empty());

        let unigram = json!({
            "normalizer": { "type": "Precompiled", "precompiled_charsmap": "x" },
            "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always" },
            "model": { "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁open", -3.0], ["▁", -2.0], ["now", -2.5]] },
        });
        assert_eq!(Tokenizer::parse(&unigram).unwrap().tokens("open now", 10), [1, 2, 3]);
        let error = Tokenizer::parse(&json!({ "model": { "type": "BPE", "vocab": {} } })).unwrap_err();
        assert!(error.to_string().contains("`BPE` is none of"), "{error}");
    }
}
