//! The front matter of a `SKILL.md`: as much YAML as it takes to read texts by their keys. What is nested is skipped.

use std::collections::BTreeMap;

/// A document with front matter.
#[derive(Debug, PartialEq)]
pub(crate) struct FrontMatter<'a> {
    /// The texts at the top level.
    pub(crate) fields: BTreeMap<String, String>,
    /// What stands behind it.
    pub(crate) body: &'a str,
    /// The line on which that begins, from 1.
    pub(crate) body_line: u32,
}

/// Reads a document. `None`: it does not begin with front matter, or that does not end.
pub(crate) fn read(text: &str) -> Option<FrontMatter<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().filter(|line| line.trim_end() == "---")?;
    let mut at = first.len();
    let mut matter = Vec::new();
    for line in lines {
        at += line.len();
        if matches!(line.trim_end(), "---" | "...") {
            let body_line = matter.len() as u32 + 3;
            return Some(FrontMatter { fields: fields(&matter), body: &text[at..], body_line });
        }
        matter.push(line.trim_end());
    }
    None
}

fn fields(lines: &[&str]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = lines;
    while let Some((line, after)) = rest.split_first() {
        let more = after.iter().take_while(|line| line.is_empty() || line.starts_with([' ', '\t'])).count();
        let (indented, next) = after.split_at(more);
        rest = next;
        if line.starts_with([' ', '\t', '#', '-']) {
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        if let Some(value) = scalar(value.trim(), indented) {
            fields.insert(key.trim().trim_matches(['"', '\'']).to_owned(), value);
        }
    }
    fields
}

/// A text, from what stands behind the key and the indented lines below it. `None`: it is something else.
fn scalar(value: &str, indented: &[&str]) -> Option<String> {
    match value.chars().next() {
        Some(style @ ('|' | '>')) => Some(block(style, value, indented)),
        Some(quote @ ('"' | '\'')) => {
            let whole = std::iter::once(value).chain(indented.iter().map(|line| line.trim())).collect::<Vec<_>>();
            quoted(quote, &whole.join(" ")[1..])
        }
        None if indented.iter().any(|line| line.trim_start().starts_with("- ")) => None,
        None if indented.iter().find(|line| !line.is_empty()).is_some_and(|line| is_entry(line)) => None,
        _ => {
            let lines = std::iter::once(value).chain(indented.iter().map(|line| line.trim()));
            let words: Vec<&str> = lines.map(without_comment).filter(|line| !line.is_empty()).collect();
            Some(words.join(" "))
        }
    }
}

/// Whether an indented line without a value above it begins a nested mapping.
fn is_entry(line: &str) -> bool {
    line.trim()
        .split_once(':')
        .is_some_and(|(key, rest)| !key.is_empty() && !key.contains(' ') && (rest.is_empty() || rest.starts_with(' ')))
}

fn without_comment(line: &str) -> &str {
    let line = line.split_once(" #").map_or(line, |(before, _)| before);
    if line.starts_with('#') { "" } else { line.trim() }
}

/// A block text: literal (`|`) or folded (`>`).
fn block(style: char, header: &str, indented: &[&str]) -> String {
    let depth = |line: &&str| line.len() - line.trim_start().len();
    let indent = indented.iter().filter(|line| !line.is_empty()).map(depth).min().unwrap_or(0);
    let mut text = String::new();
    for line in indented {
        let line = line.get(indent..).unwrap_or_default();
        match (style, line) {
            ('>', "") => text.push('\n'),
            ('>', line) => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push(' ');
                }
                text.push_str(line);
            }
            (_, line) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    let text = text.trim_end_matches('\n');
    if header.contains('-') { text.to_owned() } else { format!("{text}\n") }
}

/// A quoted text, from behind the opening quote. `None`: it does not end.
fn quoted(quote: char, rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if quote == '\'' && chars.peek() == Some(&'\'') => {
                chars.next();
                text.push('\'');
            }
            '\\' if quote == '"' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    text.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                }
                other => text.push(other),
            },
            c if c == quote => return Some(text),
            c => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str, key: &str) -> Option<String> {
        read(text)?.fields.get(key).cloned()
    }

    #[test]
    fn every_way_to_write_a_text() {
        let text = "\u{feff}---\r\nname: deploy-app   # short\r\ndescription: >\r\n  Deploys the app\r\n  to staging.\r\n\r\n  \
                    And more.\r\nlicense: \"MIT: \\\"as is\\\"\\u00e9\"\r\nnote: 'it''s'\r\nplain: Use when: this\r\n  or that\r\n\
                    metadata:\r\n  author: me\r\ntools:\r\n  - a\r\ncode: |-\r\n  a\r\n    b\r\n---\r\nBody\r\n";
        let matter = read(text).unwrap();
        let expected = [
            ("code", "a\n  b"),
            ("description", "Deploys the app to staging.\nAnd more.\n"),
            ("license", "MIT: \"as is\"é"),
            ("name", "deploy-app"),
            ("note", "it's"),
            ("plain", "Use when: this or that"),
        ];
        let expected: BTreeMap<String, String> =
            expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(matter.fields, expected);
        assert_eq!(matter.body, "Body\r\n");
        let at = text.lines().position(|line| line == "Body").unwrap();
        assert_eq!(matter.body_line as usize, at + 1);
    }

    #[test]
    fn without_front_matter_there_is_none() {
        assert_eq!(read("# Title\n"), None);
        assert_eq!(read("---\nname: x\n"), None);
        assert_eq!(read(""), None);
        assert_eq!(field("---\n---\n", "name"), None);
        assert_eq!(field("---\nname: \"x\n---\n", "name"), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_fall_over(text in "(---\n)?[ -~\n\u{e9}]{0,200}(\n---\n)?[a-z\n]{0,20}") {
            if let Some(matter) = read(&text) {
                assert!(text.ends_with(matter.body));
                let before = text.len() - matter.body.len();
                assert_eq!(text[..before].matches('\n').count() as u32 + 1, matter.body_line);
            }
        }
    }
}
