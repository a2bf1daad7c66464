//! Texts of servers, made fit to be shown.

/// How much of a server's words is shown in a message of ours, in characters.
const SHORT: usize = 300;

/// The text on one line, without control characters, cut if it is long.
pub(crate) fn short(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        // A character is at most four bytes: enough for the cut below.
        if line.len() > 4 * SHORT {
            break;
        }
    }
    if let Some((end, _)) = line.char_indices().nth(SHORT) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// At most about `limit` bytes of a text: all of it, or its head and its tail around `between`, which is told how many
/// bytes are missing.
pub(crate) fn head_and_tail(text: &str, limit: usize, between: impl FnOnce(usize) -> String) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let head = &text[..text.floor_char_boundary(limit / 2)];
    let tail = &text[text.ceil_char_boundary(text.len() - (limit - limit / 2))..];
    format!("{head}\n[… {} …]\n{tail}", between(text.len() - head.len() - tail.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_short_line() {
        assert_eq!(short(" a\n\tb\u{7}c "), "a b c");
        assert_eq!(short(&"ü".repeat(5000)).chars().count(), SHORT + 1);
        assert_eq!(short(""), "");
    }

    #[test]
    fn long_texts_keep_both_ends_and_whole_characters() {
        assert_eq!(head_and_tail("abc", 3, |_| unreachable!()), "abc");
        let text = "ä".repeat(100);
        let cut = head_and_tail(&text, 21, |missing| format!("{missing} bytes"));
        assert!(cut.starts_with("ää") && cut.ends_with("ää") && cut.contains("[… 180 bytes …]"), "{cut}");
    }
}
