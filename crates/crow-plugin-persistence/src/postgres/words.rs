//! Words as the search index has them. They are made here and not by the server, whose idea of a word depends on its
//! language and takes `parser.rs` for one: here they are those of the SQLite store, whose tokenizer is `unicode61` without
//! diacritics.

use std::collections::BTreeMap;
use std::fmt::Write;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// An index of more than a megabyte is refused by the server; nobody misses the end of such a message.
const LONGEST_TEXT: usize = 256 << 10;

/// A word of more than two kilobytes is refused as well.
const LONGEST_WORD: usize = 255;

/// The server counts words so far, and at most so many of each.
const LAST_PLACE: usize = 16_383;
const MOST_PLACES: usize = 255;

/// The `tsvector` of a text. `None`: there is no word in it.
pub(super) fn document(text: &str) -> Option<String> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let text = &text[..text.floor_char_boundary(LONGEST_TEXT)];
    for (place, word) in (1..).zip(words(text)) {
        let places = places.entry(word).or_default();
        if places.len() < MOST_PLACES && place <= LAST_PLACE || places.is_empty() {
            places.push(place.min(LAST_PLACE));
        }
    }
    let mut document = String::new();
    for (word, places) in &places {
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        // Words are letters and digits: nothing in them has to be escaped.
        let _ = write!(document, "'{word}':{} ", places.join(","));
    }
    if document.is_empty() { None } else { Some(document) }
}

/// The `tsquery` of what a person typed: all of the words, the last of which may be the beginning of one; the parts of a
/// word with punctuation stand beside each other. `None`: there is no word in it.
pub(super) fn query(typed: &str) -> Option<String> {
    let mut phrases: Vec<String> = Vec::new();
    for word in typed.split_whitespace() {
        let parts: Vec<String> = words(word).map(|part| format!("'{part}'")).collect();
        if !parts.is_empty() {
            phrases.push(format!("({})", parts.join(" <-> ")));
        }
    }
    let last = phrases.last_mut()?;
    last.insert_str(last.len() - 1, ":*");
    Some(phrases.join(" & "))
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c)).filter_map(|word| {
        let mut plain: String = word.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
        plain.truncate(plain.floor_char_boundary(LONGEST_WORD));
        if plain.is_empty() { None } else { Some(plain) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_and_know_their_places() {
        assert_eq!(document("Caf\u{e9} parser.rs: the CAFE\u{301}!").unwrap(), "'cafe':1,5 'parser':2 'rs':3 'the':4 ");
        assert_eq!(document(" .,;"), None);
    }

    #[test]
    fn nothing_a_person_types_is_an_operator() {
        assert_eq!(query("  "), None);
        assert_eq!(query("\" ( |"), None);
        assert_eq!(query("a OR !b' parser.r").unwrap(), "('a') & ('or') & ('b') & ('parser' <-> 'r':*)");
    }

    #[test]
    fn nothing_is_too_long_for_the_server() {
        let text = format!("{} {}", "\u{e9}".repeat(5000), "x ".repeat(LONGEST_TEXT));
        let document = document(&text).unwrap();
        assert!(document.len() < 4096, "{}", document.len());
    }
}
