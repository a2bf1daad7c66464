//! Where tokenizers cut a text before they look words up: the `pre_tokenizer` of a `tokenizer.json`.

use serde_json::Value;

use super::ModelError;

/// One way to cut.
#[derive(Debug, Clone, PartialEq)]
enum Cut {
    /// At spaces, which go, and around each punctuation mark.
    Bert,
    /// At spaces, which go, and between words and everything else.
    Whitespace,
    /// At spaces, which go.
    Spaces,
    /// Around each punctuation mark.
    Punctuation,
    /// Around digits: each, or runs of them.
    Digits { each: bool },
    /// Spaces become a mark, with which words begin.
    Mark { mark: char, first: bool, cut: bool },
}

/// The ways, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Splitter(Vec<Cut>);

impl Splitter {
    /// Reads the description.
    ///
    /// # Errors
    /// It names a way that is not known here.
    pub(crate) fn parse(described: &Value) -> Result<Self, ModelError> {
        let mut cuts = Vec::new();
        add(described, &mut cuts)?;
        Ok(Self(cuts))
    }

    /// The words of a text.
    pub(crate) fn split(&self, text: &str) -> Vec<String> {
        let whole = vec![text.to_owned()];
        let words = self.0.iter().fold(whole, |words, cut| words.iter().flat_map(|word| cut.split(word)).collect());
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }
}

fn add(described: &Value, cuts: &mut Vec<Cut>) -> Result<(), ModelError> {
    match described["type"].as_str() {
        None if described.is_null() => {}
        Some("Sequence") => {
            for cut in described["pretokenizers"].as_array().into_iter().flatten() {
                add(cut, cuts)?;
            }
        }
        Some("BertPreTokenizer") => cuts.push(Cut::Bert),
        Some("Whitespace") => cuts.push(Cut::Whitespace),
        Some("WhitespaceSplit") => cuts.push(Cut::Spaces),
        Some("Punctuation") => cuts.push(Cut::Punctuation),
        Some("Digits") => cuts.push(Cut::Digits { each: described["individual_digits"].as_bool().unwrap_or(false) }),
        Some("Metaspace") => {
            let mark = described["replacement"].as_str().and_then(|text| text.chars().next()).unwrap_or('\u{2581}');
            let never = described["prepend_scheme"] == "never" || described["add_prefix_space"] == false;
            cuts.push(Cut::Mark { mark, first: !never, cut: described["split"].as_bool().unwrap_or(true) });
        }
        other => return Err(ModelError(format!("tokenizer.json: no pre-tokenizer `{}`", other.unwrap_or_default()))),
    }
    Ok(())
}

impl Cut {
    fn split(&self, text: &str) -> Vec<String> {
        match self {
            Self::Bert => runs(text, |c| if c.is_whitespace() { Kind::Gone } else { mark_or(c, Kind::Word) }),
            Self::Whitespace => runs(text, |c| match c {
                c if c.is_whitespace() => Kind::Gone,
                c if c.is_alphanumeric() || c == '_' => Kind::Word,
                _ => Kind::Other,
            }),
            Self::Spaces => text.split_whitespace().map(str::to_owned).collect(),
            Self::Punctuation => runs(text, |c| mark_or(c, Kind::Word)),
            Self::Digits { each } => runs(text, |c| match (c.is_numeric(), each) {
                (true, true) => Kind::Alone,
                (true, false) => Kind::Other,
                (false, _) => Kind::Word,
            }),
            Self::Mark { mark, first, cut } => {
                let mut marked = text.replace(' ', mark.encode_utf8(&mut [0; 4]));
                if *first && !marked.starts_with(*mark) && !marked.is_empty() {
                    marked.insert(0, *mark);
                }
                if !cut {
                    return vec![marked];
                }
                let mut words: Vec<String> = Vec::new();
                for c in marked.chars() {
                    match words.last_mut().filter(|_| c != *mark) {
                        Some(word) => word.push(c),
                        None => words.push(c.into()),
                    }
                }
                words
            }
        }
    }
}

/// What a character means for where to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gone,
    Alone,
    Word,
    Other,
}

fn mark_or(c: char, otherwise: Kind) -> Kind {
    if is_punctuation(c) { Kind::Alone } else { otherwise }
}

/// Runs of one kind; what stands alone stands alone.
fn runs(text: &str, kind: impl Fn(char) -> Kind) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = Kind::Gone;
    for c in text.chars() {
        let now = kind(c);
        match words.last_mut().filter(|_| now == last && now != Kind::Alone) {
            _ if now == Kind::Gone => {}
            Some(word) => word.push(c),
            None => words.push(c.into()),
        }
        last = now;
    }
    words
}

/// Punctuation as these tokenizers see it: all marks of ASCII, and Unicode's categories of punctuation.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}' | '\u{37e}' | '\u{387}'
            | '\u{55a}'..='\u{55f}' | '\u{589}' | '\u{58a}' | '\u{5be}' | '\u{60c}' | '\u{61b}' | '\u{61f}' | '\u{66a}'..='\u{66d}'
            | '\u{6d4}' | '\u{964}' | '\u{965}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{2043}' | '\u{2045}'..='\u{2051}'
            | '\u{2053}'..='\u{205e}' | '\u{2308}'..='\u{230b}' | '\u{2768}'..='\u{2775}' | '\u{27e6}'..='\u{27ef}' | '\u{2e00}'..='\u{2e4f}'
            | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}' | '\u{3030}' | '\u{30fb}' | '\u{fe10}'..='\u{fe19}'
            | '\u{fe30}'..='\u{fe52}' | '\u{ff01}'..='\u{ff03}' | '\u{ff05}'..='\u{ff0a}' | '\u{ff0c}'..='\u{ff0f}' | '\u{ff1a}' | '\u{ff1b}'
            | '\u{ff1f}' | '\u{ff20}' | '\u{ff3b}'..='\u{ff3d}' | '\u{ff5b}' | '\u{ff5d}' | '\u{ff5f}'..='\u{ff65}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn split(described: &Value, text: &str) -> Vec<String> {
        Splitter::parse(described).unwrap().split(text)
    }

    #[test]
    fn every_way_to_cut() {
        assert_eq!(
            split(&json!({ "type": "BertPreTokenizer" }), "Don't  stop…now"),
            ["Don", "'", "t", "stop", "…", "now"]
        );
        assert_eq!(split(&json!({ "type": "Whitespace" }), "a_b += 1;;"), ["a_b", "+=", "1", ";;"]);
        assert_eq!(split(&json!({ "type": "WhitespaceSplit" }), " a+b c "), ["a+b", "c"]);
        assert_eq!(
            split(&json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always" }), "ab c"),
            ["▁ab", "▁c"]
        );
        assert_eq!(split(&json!({ "type": "Metaspace", "replacement": "▁", "split": false }), "ab c"), ["▁ab▁c"]);
        let both = json!({ "type": "Sequence", "pretokenizers": [{ "type": "WhitespaceSplit" }, { "type": "Punctuation" }, { "type": "Digits", "individual_digits": true }] });
        assert_eq!(split(&both, "v12, ok"), ["v", "1", "2", ",", "ok"]);
        assert_eq!(split(&Value::Null, "a b"), ["a b"]);
        assert!(Splitter::parse(&json!({ "type": "ByteLevel" })).is_err());
    }
}
