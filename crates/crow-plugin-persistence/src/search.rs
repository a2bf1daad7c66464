//! Searching for words: what a person types, and what is shown of a place where it was found.

use crow_acp::SessionSummary;

/// A place where searched-for words occur.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// The session.
    pub session: SessionSummary,
    /// The event's number in it.
    pub seq: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The line around the first of the words, at most 200 bytes.
    pub excerpt: String,
}

impl Hit {
    /// A hit in `text`.
    pub(crate) fn new(session: SessionSummary, seq: u64, at: i64, text: &str, words: &str) -> Self {
        Self { session, seq, at, excerpt: excerpt(text, words) }
    }
}

/// The part of `text` that shows the first of `words`.
fn excerpt(text: &str, words: &str) -> String {
    const LENGTH: usize = 200;
    let lower = text.to_lowercase();
    let found = words.split_whitespace().find_map(|word| lower.find(&word.to_lowercase())).unwrap_or(0);
    // Lower case may be of another length; then the place is a guess, which is good enough for an excerpt.
    let found = text.floor_char_boundary(found.min(text.len()));
    let line = text[..found].rfind('\n').map_or(0, |at| at + 1);
    let start = text.ceil_char_boundary(line.max(found.saturating_sub(LENGTH / 2)));
    let rest = &text[start..];
    let end = rest.find('\n').unwrap_or(rest.len()).min(LENGTH);
    rest[..rest.floor_char_boundary(end)].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_line_around_the_word() {
        let text = "one\ntwo three\nfour";
        assert_eq!(excerpt(text, "Three"), "two three");
        assert_eq!(excerpt(text, "absent"), "one");
        let long = format!("{} needle {}", "\u{e9}".repeat(500), "\u{e9}".repeat(500));
        let found = excerpt(&long, "needle");
        assert!(found.contains("needle") && found.len() <= 200, "{found}");
        assert_eq!(excerpt("", "x"), "");
    }
}
