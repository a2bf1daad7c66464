//! The body of a request for embeddings, and its answer.

use serde::Deserialize;
use serde_json::json;

/// Asks `model` for a vector of each text.
pub(crate) fn request(model: &str, texts: &[String]) -> String {
    json!({ "model": model, "input": texts, "encoding_format": "float" }).to_string()
}

/// The vectors in the order of the texts. `None`: this is no answer to a request for `count` of them.
pub(crate) fn read(body: &[u8], count: usize) -> Option<Vec<Vec<f32>>> {
    #[derive(Deserialize)]
    struct Answer {
        data: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        index: Option<usize>,
        embedding: Vec<f32>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    if answer.data.len() != count {
        return None;
    }
    let mut vectors = vec![None; count];
    for (place, entry) in answer.data.into_iter().enumerate() {
        // Some servers give them in order and leave out the index.
        *vectors.get_mut(entry.index.unwrap_or(place))? = Some(entry.embedding);
    }
    vectors.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back_in_the_order_of_the_texts() {
        let shuffled = br#"{"data":[{"index":1,"embedding":[2,2.5]},{"index":0,"embedding":[1,1.5]}],"model":"m"}"#;
        assert_eq!(read(shuffled, 2), Some(vec![vec![1.0, 1.5], vec![2.0, 2.5]]));
        let bare = br#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#;
        assert_eq!(read(bare, 2), Some(vec![vec![1.0], vec![2.0]]));
    }

    #[test]
    fn what_does_not_answer_is_no_answer() {
        for body in [
            r#"{"data":[]}"#,
            r#"{"data":[{"index":5,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":"AAAA"}]}"#,
            "<html>",
        ] {
            assert_eq!(read(body.as_bytes(), 1), None, "{body}");
        }
        let twice = r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]}"#;
        assert_eq!(read(twice.as_bytes(), 2), None);
    }
}
