//! Finding pieces: by words and by meaning, merged by reciprocal rank.

use std::collections::HashMap;

use crate::store::{Piece, Ranked, Store, StoreError};
use crate::words::terms;

/// Pieces of each way of searching that are merged.
const CANDIDATES: usize = 50;

/// Pieces that are given: more than anybody takes, as some of them may have been shown already.
const GIVEN: usize = 50;

/// Reciprocal ranks are counted from here, so that the first places of one list do not outdo all of the other.
const SMOOTHING: f64 = 60.0;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) text: String,
    /// Its vector, if somebody embeds.
    pub(crate) vector: Option<Vec<f32>>,
    /// The least score by words.
    pub(crate) min_score: f64,
    /// The least similarity, as a cosine.
    pub(crate) min_similarity: f64,
}

/// The pieces in `roots` that fit, the best first.
pub(crate) fn search(store: &mut dyn Store, roots: &[String], query: &Query) -> Result<Vec<Piece>, StoreError> {
    let by_words = store.by_words(roots, &terms(&query.text), CANDIDATES)?;
    let by_meaning = match &query.vector {
        Some(vector) => store.by_meaning(roots, vector, CANDIDATES)?,
        None => Vec::new(),
    };
    let mut ids = merge(&[(&by_words, query.min_score), (&by_meaning, query.min_similarity)]);
    ids.truncate(GIVEN);
    let mut pieces: HashMap<i64, Piece> = store.pieces(&ids)?.into_iter().map(|piece| (piece.id, piece)).collect();
    Ok(ids.iter().filter_map(|id| pieces.remove(id)).collect())
}

/// Merges lists by reciprocal rank. What is below the least score of every list it is in is left out.
fn merge(lists: &[(&[Ranked], f64)]) -> Vec<i64> {
    let mut merged: HashMap<i64, (f64, bool)> = HashMap::new();
    for (list, least) in lists {
        for (rank, found) in list.iter().enumerate() {
            let (score, fits) = merged.entry(found.id).or_default();
            *score += 1.0 / (SMOOTHING + rank as f64 + 1.0);
            *fits |= found.score >= *least;
        }
    }
    let mut merged: Vec<(i64, f64)> =
        merged.into_iter().filter(|(_, (_, fits))| *fits).map(|(id, (score, _))| (id, score)).collect();
    merged.sort_by(|(a, score_a), (b, score_b)| score_b.total_cmp(score_a).then(a.cmp(b)));
    merged.into_iter().map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[(i64, f64)]) -> Vec<Ranked> {
        items.iter().map(|(id, score)| Ranked { id: *id, score: *score }).collect()
    }

    #[test]
    fn what_both_ways_find_comes_first() {
        let words = list(&[(1, 0.9), (2, 0.8), (3, 0.7)]);
        let meaning = list(&[(4, 0.9), (3, 0.8), (5, 0.2)]);
        assert_eq!(merge(&[(&words, 0.5), (&meaning, 0.5)]), [3, 1, 4, 2]);
        assert_eq!(merge(&[(&words, 0.75), (&meaning, 0.0)]), [3, 1, 4, 2, 5]);
        assert!(merge(&[(&words, 1.0), (&meaning, 1.0)]).is_empty());
    }
}
