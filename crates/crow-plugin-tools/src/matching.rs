//! Finding the place that an edit means: exactly, or else in spite of other whitespace, and never by a guess between
//! two places.
//!
//! Several levels of tolerance are tried in turn; the first at which the text occurs decides, and there it must occur
//! once. Line endings never matter and are kept as the file has them.

use std::collections::BTreeMap;
use std::ops::Range;

/// Beyond so many line comparisons no similar place is looked for.
const MOST_COMPARISONS: usize = 5_000_000;

/// Why an edit has no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MatchError {
    #[error("`old_text` is empty; use `write` to create a file or to replace all of it")]
    Empty,
    #[error("`old_text` and `new_text` are the same: there is nothing to change")]
    Same,
    #[error("`old_text` does not occur in the file{}", hint(.0.as_ref()))]
    NotFound(Option<Near>),
    #[error(
        "`old_text` occurs {} times, at lines {}; add lines around it so that it is unique, or set `replace_all`",
        .0.len(), join(.0)
    )]
    Ambiguous(Vec<usize>),
}

/// The place that is most like the text that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Near {
    line: usize,
    text: String,
}

fn hint(near: Option<&Near>) -> String {
    near.map_or_else(String::new, |near| format!(". The most similar place is at line {}:\n{}", near.line, near.text))
}

fn join(lines: &[usize]) -> String {
    let shown: Vec<String> = lines.iter().take(10).map(usize::to_string).collect();
    shown.join(", ") + if lines.len() > 10 { ", …" } else { "" }
}

/// An edit that found its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edited {
    /// The whole text afterwards.
    pub(crate) text: String,
    /// The lines, from 1, at which the new parts begin.
    pub(crate) lines: Vec<usize>,
    /// Whether whitespace had to be overlooked.
    pub(crate) tolerant: bool,
}

/// Replaces `old` by `new` in `text`: the one place where it occurs, or every place if `all`.
pub(crate) fn replace(text: &str, old: &str, new: &str, all: bool) -> Result<Edited, MatchError> {
    let file = Unix::of(text);
    let (old, new) = (old.replace("\r\n", "\n"), new.replace("\r\n", "\n"));
    if old.is_empty() {
        return Err(MatchError::Empty);
    }
    if old == new {
        return Err(MatchError::Same);
    }
    let lines = lines(&file.text);
    let wanted = Wanted::of(&old);
    let levels: [&dyn Fn() -> Vec<Change>; 5] = [
        // One that begins within the indentation of a line is not the line that was meant to the letter: the other
        // lines would end up askew. It counts if no whole line fits better.
        &|| {
            Some(exact(&file.text, &old, &new))
                .filter(|found| found.len() > 1 || !cuts_indent(&file.text, found))
                .unwrap_or_default()
        },
        &|| wanted.windows(&file.text, &lines, &new, Tolerance::LineEnds),
        &|| wanted.windows(&file.text, &lines, &new, Tolerance::Whitespace),
        &|| exact(&file.text, &old, &new),
        &|| fragment(&file.text, &old, &new),
    ];
    for (level, find) in levels.iter().enumerate() {
        let mut changes = find();
        if changes.len() > 1 && !all {
            return Err(MatchError::Ambiguous(changes.iter().map(|change| line_at(&lines, change.at.start)).collect()));
        }
        let mut end = 0;
        changes.retain(|change| {
            let is_apart = change.at.start >= end;
            if is_apart {
                end = change.at.end;
            }
            is_apart
        });
        if !changes.is_empty() {
            return Ok(Edited { tolerant: !matches!(level, 0 | 3), ..file.apply(&changes) });
        }
    }
    Err(MatchError::NotFound(wanted.nearest(&file.text, &lines)))
}

/// A range of the text and what comes there.
struct Change {
    at: Range<usize>,
    new: String,
}

/// A text with Unix line endings that remembers which were Windows'.
struct Unix<'a> {
    original: &'a str,
    text: String,
    /// Where in `text` the newlines stand that had a carriage return.
    returns: Vec<usize>,
}

impl<'a> Unix<'a> {
    fn of(original: &'a str) -> Self {
        let mut text = String::with_capacity(original.len());
        let mut returns = Vec::new();
        for (index, part) in original.split("\r\n").enumerate() {
            if index > 0 {
                returns.push(text.len());
                text.push('\n');
            }
            text.push_str(part);
        }
        Self { original, text, returns }
    }

    /// The place in the original of a place in `text`.
    fn original_at(&self, at: usize) -> usize {
        at + self.returns.partition_point(|newline| *newline < at)
    }

    fn apply(&self, changes: &[Change]) -> Edited {
        let mostly_crlf = self.returns.len() * 2 > self.text.matches('\n').count();
        let mut edited =
            Edited { text: String::with_capacity(self.original.len()), lines: Vec::new(), tolerant: false };
        let mut done = 0;
        for change in changes {
            let at = self.original_at(change.at.start)..self.original_at(change.at.end);
            let replaced = &self.original[at.clone()];
            let crlf = if replaced.contains('\n') { replaced.contains("\r\n") } else { mostly_crlf };
            edited.text.push_str(&self.original[done..at.start]);
            edited.lines.push(edited.text.matches('\n').count() + 1);
            if crlf {
                edited.text.push_str(&change.new.replace('\n', "\r\n"));
            } else {
                edited.text.push_str(&change.new);
            }
            done = at.end;
        }
        edited.text.push_str(&self.original[done..]);
        edited
    }
}

/// A line: where its text stands, and where the next line begins.
struct Line {
    text: Range<usize>,
    next: usize,
}

fn lines(text: &str) -> Vec<Line> {
    let mut start = 0;
    let line = |part: &str| {
        let line = Line { text: start..start + part.trim_end_matches('\n').len(), next: start + part.len() };
        start = line.next;
        line
    };
    text.split_inclusive('\n').map(line).collect()
}

fn line_at(lines: &[Line], at: usize) -> usize {
    lines.partition_point(|line| line.next <= at) + 1
}

fn exact(text: &str, old: &str, new: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut from = 0;
    // Overlapping places count as two: which of them would be meant?
    while let Some(at) = text[from..].find(old).map(|at| from + at) {
        changes.push(Change { at: at..at + old.len(), new: new.to_owned() });
        from = at + text[at..].chars().next().map_or(1, char::len_utf8);
    }
    changes
}

/// Whether all that was found begins with whitespace and behind more of it.
fn cuts_indent(text: &str, found: &[Change]) -> bool {
    found.iter().all(|change| {
        let line = text[..change.at.start].rfind('\n').map_or(0, |newline| newline + 1);
        let before = &text[line..change.at.start];
        !before.is_empty() && indent(before) == before && text[change.at.start..].starts_with([' ', '\t'])
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tolerance {
    /// Whitespace at the ends of lines may differ.
    LineEnds,
    /// So may indentation, as long as its structure is the same, and the amount of whitespace within a line.
    Whitespace,
}

/// The text to be found, by line.
struct Wanted<'a> {
    lines: Vec<&'a str>,
    ends_line: bool,
}

impl<'a> Wanted<'a> {
    fn of(old: &'a str) -> Self {
        let ends_line = old.ends_with('\n');
        Self { lines: old.strip_suffix('\n').unwrap_or(old).split('\n').collect(), ends_line }
    }

    /// Every run of whole lines that is the wanted text, within the tolerance.
    fn windows(&self, text: &str, lines: &[Line], new: &str, tolerance: Tolerance) -> Vec<Change> {
        if self.lines.iter().all(|line| line.trim().is_empty()) {
            return Vec::new();
        }
        let window = |window: &[Line]| {
            let found = || window.iter().map(|line| &text[line.text.clone()]);
            let pairs = || self.lines.iter().copied().zip(found());
            let new = match tolerance {
                Tolerance::LineEnds => {
                    pairs().all(|(old, found)| old.trim_end() == found.trim_end()).then(|| new.to_owned())
                }
                Tolerance::Whitespace => pairs()
                    .all(|(old, found)| old.split_whitespace().eq(found.split_whitespace()))
                    .then(|| Indents::of(pairs()))
                    .flatten()
                    .map(|indents| indents.apply(new)),
            }?;
            let (first, last) = (window.first()?, window.last()?);
            Some(Change { at: first.text.start..if self.ends_line { last.next } else { last.text.end }, new })
        };
        lines.windows(self.lines.len()).filter_map(window).collect()
    }

    /// The run of lines that has most lines in common with the wanted text.
    fn nearest(&self, text: &str, lines: &[Line]) -> Option<Near> {
        let size = self.lines.len().min(lines.len());
        if size == 0 || lines.len().saturating_mul(size) > MOST_COMPARISONS {
            return None;
        }
        let score = |window: &[Line]| {
            let found = window.iter().map(|line| text[line.text.clone()].trim());
            self.lines.iter().zip(found).filter(|(old, found)| !found.is_empty() && old.trim() == *found).count()
        };
        let (index, window, score) = lines
            .windows(size)
            .enumerate()
            .map(|(index, window)| (index, window, score(window)))
            .reduce(|best, next| if next.2 > best.2 { next } else { best })?;
        let (first, last) = (window.first()?, window.last()?);
        let shown = &text[first.text.start..last.text.end];
        let shown = &shown[..crate::text::floor(shown, 1000)];
        (score > 0).then(|| Near { line: index + 1, text: shown.to_owned() })
    }
}

/// The part of one line that is the wanted text but for the amount of whitespace.
fn fragment(text: &str, old: &str, new: &str) -> Vec<Change> {
    let words: Vec<&str> = old.split_whitespace().collect();
    let (Some(first), false) = (words.first(), old.contains('\n')) else { return Vec::new() };
    let lead = &old[..old.len() - old.trim_start().len()];
    let trail = &old[old.trim_end().len()..];
    let new = new.strip_prefix(lead).unwrap_or(new);
    let new = new.strip_suffix(trail).unwrap_or(new);
    let places = text.match_indices(first).filter_map(|(start, _)| {
        let mut end = start;
        for (index, word) in words.iter().enumerate() {
            let rest = &text[end..];
            let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            // Where the wanted text has whitespace there must be some, and nowhere else.
            if (blank > 0) != (index > 0) || !rest[blank..].starts_with(word) {
                return None;
            }
            end += blank + word.len();
        }
        Some(Change { at: start..end, new: new.to_owned() })
    });
    places.collect()
}

/// How the indentation of the wanted text becomes the file's.
struct Indents<'a> {
    known: BTreeMap<&'a str, &'a str>,
    /// What one level deeper is: in the wanted text, and in the file.
    step: Option<(String, String)>,
}

impl<'a> Indents<'a> {
    /// `None` if the two texts are not indented alike: what is a level in one must be a level in the other.
    fn of(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let mut known = BTreeMap::new();
        let mut back = BTreeMap::new();
        for (old, found) in pairs.filter(|(old, _)| !old.trim().is_empty()) {
            let (old, found) = (indent(old), indent(found));
            if *known.entry(old).or_insert(found) != found || *back.entry(found).or_insert(old) != old {
                return None;
            }
        }
        let step = known
            .iter()
            .flat_map(|shallow| known.iter().map(move |deep| (shallow, deep)))
            .filter_map(|((old, found), (deep_old, deep_found))| {
                Some((deep_old.strip_prefix(old)?, deep_found.strip_prefix(found)?))
            })
            .filter(|(old, found)| !old.is_empty() && !found.is_empty())
            .min_by_key(|(old, _)| old.len())
            .map(|(old, found)| (old.to_owned(), found.to_owned()))
            .or_else(|| known.iter().find_map(|(old, found)| exchange(old, found)));
        Some(Self { known, step })
    }

    fn apply(&self, new: &str) -> String {
        if self.known.iter().all(|(old, found)| old == found) {
            return new.to_owned();
        }
        let lines = new.split('\n').map(|line| {
            let old = indent(line);
            if old.len() == line.len() { line.to_owned() } else { self.indent(old) + &line[old.len()..] }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn indent(&self, old: &str) -> String {
        // The order of the map puts a longer prefix behind a shorter one.
        if let Some((base, found)) = self.known.iter().rev().find(|(base, _)| old.starts_with(**base)) {
            return (*found).to_owned() + &self.levels(&old[base.len()..]);
        }
        let deeper = self.known.iter().find_map(|(deep, found)| {
            let rest = self.levels(deep.strip_prefix(old)?);
            found.strip_suffix(rest.as_str())
        });
        deeper.unwrap_or(old).to_owned()
    }

    /// Further levels of indentation, as the file writes them.
    fn levels(&self, mut rest: &str) -> String {
        let mut levels = String::new();
        if let Some((old, found)) = &self.step {
            while let Some(less) = rest.strip_prefix(old.as_str()) {
                levels.push_str(found);
                rest = less;
            }
        }
        levels + rest
    }
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// One tab for so many spaces, or the other way round, if that is how two indentations of the same depth differ.
fn exchange(old: &str, found: &str) -> Option<(String, String)> {
    let all = |text: &str, c: char| !text.is_empty() && text.chars().all(|other| other == c);
    if all(old, ' ') && all(found, '\t') && old.len().is_multiple_of(found.len()) {
        return Some((" ".repeat(old.len() / found.len()), "\t".to_owned()));
    }
    if all(old, '\t') && all(found, ' ') && found.len().is_multiple_of(old.len()) {
        return Some(("\t".to_owned(), " ".repeat(found.len() / old.len())));
    }
    None
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
