//! Puts what was typed behind a command into its prompt.

/// `$ARGUMENTS` is all of it, `$1` … `$9` are its words (quotes keep words together). Where a prompt has no place for
/// what was typed, it follows the prompt.
pub(crate) fn expand(prompt: &str, arguments: &str) -> String {
    let words = words(arguments);
    let mut text = String::with_capacity(prompt.len() + arguments.len());
    let mut has_place = false;
    let mut rest = prompt;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digit = rest.chars().next().filter(|c| ('1'..='9').contains(c));
        if let Some(after) = rest.strip_prefix("ARGUMENTS") {
            text.push_str(arguments);
            (rest, has_place) = (after, true);
        } else if let Some(digit) = digit.filter(|_| !rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            let at = digit as usize - '1' as usize;
            text.push_str(words.get(at).map_or("", String::as_str));
            (rest, has_place) = (&rest[1..], true);
        } else {
            text.push('$');
        }
    }
    text.push_str(rest);
    if !has_place && !arguments.is_empty() {
        text.push_str("\n\n");
        text.push_str(arguments);
    }
    text
}

/// The words of a line; quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    for c in line.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            // An apostrophe in the middle of a word is one.
            None if c == '"' || (c == '\'' && word.is_none()) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        assert_eq!(expand("Fix $ARGUMENTS now", "issue 7"), "Fix issue 7 now");
        assert_eq!(expand("Fix #$1 with $2, $3.", "7 \"much care\""), "Fix #7 with much care, .");
        assert_eq!(expand("It costs $10 or $x or $", ""), "It costs $10 or $x or $");
        assert_eq!(expand("Review.", "the tests"), "Review.\n\nthe tests");
        assert_eq!(expand("Review.", ""), "Review.");
        // What was typed is not looked through again.
        assert_eq!(expand("$1 $ARGUMENTS", "$2 x"), "$2 $2 x");
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(words("a 'b c' \"d  e\" don't  ''"), ["a", "b c", "d  e", "don't", ""]);
        assert_eq!(words("open \"end"), ["open", "end"]);
    }

    proptest::proptest! {
        #[test]
        fn a_prompt_without_places_stays(prompt in "[a-z \n]{0,40}", arguments in "\\PC{0,40}") {
            proptest::prop_assert!(expand(&prompt, &arguments).starts_with(&prompt));
        }
    }
}
