//! Words to tokens, the longest known beginning first.

use std::collections::HashMap;

/// A vocabulary of words, and of pieces that go on with one.
#[derive(Debug)]
pub(crate) struct WordPiece {
    pub(crate) vocabulary: HashMap<String, u32>,
    /// What pieces begin with that go on with a word.
    pub(crate) prefix: String,
    /// Longer words are unknown, in characters.
    pub(crate) longest: usize,
}

impl WordPiece {
    /// The tokens of a word; none if it is unknown.
    pub(crate) fn tokens(&self, word: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        if word.chars().count() > self.longest {
            return tokens;
        }
        let mut begin = 0;
        while begin < word.len() {
            let mut ends = word[begin..].char_indices().map(|(at, c)| begin + at + c.len_utf8()).rev();
            let known = ends.find_map(|end| Some((end, *self.piece(&word[begin..end], begin > 0)?)));
            let Some((end, token)) = known else { return Vec::new() };
            tokens.push(token);
            begin = end;
        }
        tokens
    }

    fn piece(&self, text: &str, goes_on: bool) -> Option<&u32> {
        if goes_on { self.vocabulary.get(&format!("{}{text}", self.prefix)) } else { self.vocabulary.get(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_wins() {
        let words = ["un", "unaff", "##aff", "##able", "##a", "é"];
        let vocabulary = words.iter().zip(0..).map(|(word, id)| ((*word).to_owned(), id)).collect();
        let pieces = WordPiece { vocabulary, prefix: "##".into(), longest: 20 };
        assert_eq!(pieces.tokens("unaffable"), [1, 3]);
        assert_eq!(pieces.tokens("una"), [0, 4]);
        assert_eq!(pieces.tokens("é"), [5]);
        assert!(pieces.tokens("unaffected").is_empty());
        assert!(pieces.tokens(&"un".repeat(11)).is_empty());
        assert!(pieces.tokens("").is_empty());
    }
}
