//! Words to tokens, the likeliest way to cut.

use std::collections::HashMap;

/// A vocabulary of pieces, each with the logarithm of how likely it is.
#[derive(Debug)]
pub(crate) struct Unigram {
    vocabulary: HashMap<String, (u32, f64)>,
    /// The longest piece, in bytes.
    longest: usize,
    /// How likely a character is that no piece has.
    unknown: f64,
}

impl Unigram {
    /// A vocabulary, in the order of the tokens' numbers; `unknown` is the number of the token for what is not known.
    pub(crate) fn new(pieces: Vec<(String, f64)>, unknown: Option<u32>) -> Self {
        /// An unknown character is this much less likely than the unlikeliest piece.
        const PENALTY: f64 = 10.0;
        let least = pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min);
        let longest = pieces.iter().map(|(piece, _)| piece.len()).max().unwrap_or(0);
        let numbered = (0..).zip(pieces).filter(|(id, (piece, _))| Some(*id) != unknown && !piece.is_empty());
        let vocabulary = numbered.map(|(id, (piece, score))| (piece, (id, score))).collect();
        Self { vocabulary, longest, unknown: least - PENALTY }
    }

    /// The tokens of a word, without what is unknown.
    pub(crate) fn tokens(&self, word: &str) -> Vec<u32> {
        /// The best way to a place: how likely it is, from where, by which token.
        type Way = (f64, usize, Option<u32>);
        let mut best: Vec<Option<Way>> = vec![None; word.len() + 1];
        best[0] = Some((0.0, 0, None));
        for (begin, first) in word.char_indices() {
            let Some((sum, ..)) = best[begin] else { continue };
            let mut try_way = |end: usize, score: f64, token: Option<u32>| {
                if best[end].is_none_or(|(before, ..)| sum + score > before) {
                    best[end] = Some((sum + score, begin, token));
                }
            };
            for (at, c) in word[begin..].char_indices() {
                let end = begin + at + c.len_utf8();
                if end - begin > self.longest {
                    break;
                }
                if let Some((token, score)) = self.vocabulary.get(&word[begin..end]) {
                    try_way(end, *score, Some(*token));
                }
            }
            try_way(begin + first.len_utf8(), self.unknown, None);
        }
        let mut tokens = Vec::new();
        let mut end = word.len();
        while end > 0 {
            let Some((_, begin, token)) = best[end] else { break };
            tokens.extend(token);
            end = begin;
        }
        tokens.reverse();
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_way_wins() {
        let pieces = [("<unk>", 0.0), ("▁a", -2.0), ("b", -2.0), ("▁ab", -3.0), ("c", -2.0), ("bc", -1.5), ("é", -4.0)];
        let pieces = pieces.iter().map(|(piece, score)| ((*piece).to_owned(), *score)).collect();
        let unigram = Unigram::new(pieces, Some(0));
        assert_eq!(unigram.tokens("▁ab"), [3]);
        assert_eq!(unigram.tokens("▁abc"), [1, 5]);
        assert_eq!(unigram.tokens("▁aéx▁ab"), [1, 6, 3]);
        assert!(unigram.tokens("").is_empty());
        assert!(unigram.tokens("<unk>").is_empty());
    }
}
