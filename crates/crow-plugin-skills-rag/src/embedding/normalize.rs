//! What tokenizers do to a text before they cut it: the `normalizer` of a `tokenizer.json`.

use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use serde_json::Value;

use super::ModelError;

/// One step.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Clean,
    SpaceOut,
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    StripAccents,
    Lowercase,
    Replace(String, String),
    Prepend(String),
    Strip { left: bool, right: bool },
}

/// The steps, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Normalizer(Vec<Step>);

impl Normalizer {
    /// Reads the description.
    ///
    /// # Errors
    /// It names a step that is not known here.
    pub(crate) fn parse(described: &Value) -> Result<Self, ModelError> {
        let mut steps = Vec::new();
        add(described, &mut steps)?;
        Ok(Self(steps))
    }

    /// Applies the steps.
    pub(crate) fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, step| step.apply(&text))
    }
}

fn add(described: &Value, steps: &mut Vec<Step>) -> Result<(), ModelError> {
    let is = |key: &str, otherwise| described[key].as_bool().unwrap_or(otherwise);
    let text = |key: &str| described[key].as_str().unwrap_or_default().to_owned();
    match described["type"].as_str() {
        None if described.is_null() => {}
        Some("Sequence") => {
            for step in described["normalizers"].as_array().into_iter().flatten() {
                add(step, steps)?;
            }
        }
        Some("BertNormalizer") => {
            let lowercase = is("lowercase", true);
            let wanted = [
                (is("clean_text", true), vec![Step::Clean]),
                (is("handle_chinese_chars", true), vec![Step::SpaceOut]),
                (is("strip_accents", lowercase), vec![Step::Nfd, Step::StripAccents]),
                (lowercase, vec![Step::Lowercase]),
            ];
            steps.extend(wanted.into_iter().filter(|(wanted, _)| *wanted).flat_map(|(_, steps)| steps));
        }
        Some("NFC") => steps.push(Step::Nfc),
        Some("NFD") => steps.push(Step::Nfd),
        // A table of replacements that is compatibility composition for nearly all there is.
        Some("NFKC" | "Precompiled" | "Nmt") => steps.push(Step::Nfkc),
        Some("NFKD") => steps.push(Step::Nfkd),
        Some("StripAccents") => steps.push(Step::StripAccents),
        Some("Lowercase") => steps.push(Step::Lowercase),
        Some("Prepend") => steps.push(Step::Prepend(text("prepend"))),
        Some("Strip") => steps.push(Step::Strip { left: is("strip_left", true), right: is("strip_right", true) }),
        Some("Replace") => match described["pattern"]["String"].as_str() {
            Some(pattern) => steps.push(Step::Replace(pattern.to_owned(), text("content"))),
            // Of patterns, only runs of spaces are in use.
            None => match described["pattern"]["Regex"].as_str() {
                Some(" {2,}" | "\\s+") => steps.push(Step::Clean),
                other => return Err(ModelError(format!("tokenizer.json: no pattern `{}`", other.unwrap_or_default()))),
            },
        },
        other => return Err(ModelError(format!("tokenizer.json: no normalizer `{}`", other.unwrap_or_default()))),
    }
    Ok(())
}

impl Step {
    fn apply(&self, text: &str) -> String {
        match self {
            Self::Clean => text.chars().filter_map(clean).collect(),
            Self::SpaceOut => text.chars().flat_map(spaced).collect(),
            Self::Nfc => ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned(),
            Self::Nfkc => ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned(),
            Self::Nfd => DecomposingNormalizerBorrowed::new_nfd().normalize(text).into_owned(),
            Self::Nfkd => DecomposingNormalizerBorrowed::new_nfkd().normalize(text).into_owned(),
            Self::StripAccents => {
                let classes = CanonicalCombiningClassMapBorrowed::new();
                text.chars().filter(|c| classes.get_u8(*c) == 0).collect()
            }
            Self::Lowercase => text.to_lowercase(),
            Self::Replace(pattern, content) => text.replace(pattern, content),
            Self::Prepend(_) if text.is_empty() => String::new(),
            Self::Prepend(before) => format!("{before}{text}"),
            Self::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { text };
                if *right { text.trim_end() } else { text }.to_owned()
            }
        }
    }
}

/// No control characters, one kind of space.
fn clean(c: char) -> Option<char> {
    if c.is_whitespace() {
        return Some(' ');
    }
    (!c.is_control() && c != '\u{fffd}' && c != '\u{0}').then_some(c)
}

/// Ideographs with spaces around them.
fn spaced(c: char) -> impl Iterator<Item = char> {
    let is_ideograph = matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}');
    let space = is_ideograph.then_some(' ');
    space.into_iter().chain([c]).chain(space)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn normalized(described: &Value, text: &str) -> String {
        Normalizer::parse(described).unwrap().apply(text)
    }

    #[test]
    fn as_bert_does() {
        let bert = json!({ "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true });
        assert_eq!(normalized(&bert, "Caf\u{e9}\tNa\u{ef}ve\u{7}"), "cafe naive");
        assert_eq!(normalized(&bert, "a安装b"), "a 安  装 b");
        let cased = json!({ "type": "BertNormalizer", "lowercase": false });
        assert_eq!(normalized(&cased, "Caf\u{e9}"), "Caf\u{e9}");
    }

    #[test]
    fn in_sequence() {
        let steps = json!({ "type": "Sequence", "normalizers": [
            { "type": "NFKC" }, { "type": "Strip", "strip_left": true, "strip_right": true }, { "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" },
            { "type": "Prepend", "prepend": "\u{2581}" }, { "type": "Lowercase" },
        ] });
        assert_eq!(normalized(&steps, " \u{ff21} b "), "\u{2581}a\u{2581}b");
        assert_eq!(normalized(&Value::Null, "As is"), "As is");
        assert!(Normalizer::parse(&json!({ "type": "Strange" })).is_err());
    }
}
