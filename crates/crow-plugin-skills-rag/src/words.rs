//! Words, as they are indexed and asked for.

use std::collections::HashSet;

/// Most words of a prompt that are looked up.
const MOST: usize = 32;

/// Words that tell nothing of what a prompt is about.
const STOP: &str = "a about after again ahead all also am an and any are as at be because been before being below between both but by can \
    cannot continue could did do does doing done don down during each explain few for from further get give go going had has have having he hello her here hers hi \
    him his how i if in into is it its itself just keep let like make me more most my need next no nor not now of off ok okay on once only \
    or other our out over own please proceed same she should show so some such tell than thank thanks that the their them then there these they this \
    those through to too under until up us use using very want was we were what when where which while who whom why will \
    with would yeah yes you your yours";

/// A text as the index takes it: each character of scripts without spaces is a word of its own, and names that are
/// written in one (`parseConfig`) are followed by their parts.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len() + text.len() / 8);
    let mut word = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() && !is_spaceless(c) {
            word.push(c);
            continue;
        }
        finish(&mut word, &mut folded);
        if is_spaceless(c) {
            folded.extend([' ', c, ' ']);
        } else {
            folded.push(c);
        }
    }
    finish(&mut word, &mut folded);
    folded
}

fn finish(word: &mut String, folded: &mut String) {
    folded.push_str(word);
    let is_bound = |(before, after): (char, char)| before.is_lowercase() && after.is_uppercase();
    if word.chars().zip(word.chars().skip(1)).any(is_bound) {
        let mut before = None;
        folded.push(' ');
        for c in word.chars() {
            if before.is_some_and(|before| is_bound((before, c))) {
                folded.push(' ');
            }
            folded.push(c);
            before = Some(c);
        }
    }
    word.clear();
}

/// Chinese, Japanese and the like: no spaces between words.
fn is_spaceless(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{2e80}'..='\u{2fdf}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

/// The words of a prompt that tell what it is about, each once.
pub(crate) fn terms(text: &str) -> Vec<String> {
    let stop: HashSet<&str> = STOP.split_whitespace().collect();
    let mut seen = HashSet::new();
    fold(text)
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| word.len() > 1 && !stop.contains(word.as_str()) && seen.insert(word.clone()))
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_parts() {
        assert_eq!(fold("call parseConfig(x)"), "call parseConfig parse Config(x)");
        assert_eq!(fold("HTTP2Server ok"), "HTTP2Server ok");
        assert_eq!(fold("安装Crow"), " 安  装 Crow");
    }

    #[test]
    fn only_words_that_tell_something() {
        assert_eq!(terms("How do I use the Parser? the parser, please: é!"), ["parser", "é"]);
        assert_eq!(terms("怎么装").len(), 3);
        assert!(terms("").is_empty());
        let many: Vec<String> = (0..200).map(|number| format!("w{number}")).collect();
        assert_eq!(terms(&many.join(" ")).len(), MOST);
    }
}
