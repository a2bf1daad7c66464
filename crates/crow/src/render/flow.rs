//! Running text, broken between words.

use unicode_width::UnicodeWidthChar;

/// Breaks text into lines of a width as it arrives, word by word.
#[derive(Debug)]
pub(crate) struct Flow {
    width: usize,
    /// What each further line of the paragraph starts with.
    indent: String,
    column: usize,
    word: String,
    word_width: usize,
    space: bool,
}

impl Flow {
    /// Text of at most `width` columns, all lines after the first indented.
    pub(crate) fn new(width: usize, indent: &str) -> Self {
        Self {
            width: width.max(20),
            indent: indent.to_owned(),
            column: 0,
            word: String::new(),
            word_width: 0,
            space: false,
        }
    }

    /// Starts a line with `lead`; what is broken off it is indented by `hang` more columns than all other lines.
    pub(crate) fn start(&mut self, lead: &str, hang: usize, base: &str, out: &mut String) {
        self.indent = format!("{base}{}", " ".repeat(hang));
        out.push_str(base);
        out.push_str(lead);
        self.column = base.len() + hang;
    }

    /// The next character.
    pub(crate) fn push(&mut self, c: char, out: &mut String) {
        if c == ' ' || c == '\t' {
            self.end_word(out);
            self.space = true;
        } else {
            self.word.push(c);
            self.word_width += c.width().unwrap_or(0);
        }
    }

    /// Something that takes no room, such as the start of a style.
    pub(crate) fn push_style(&mut self, sequence: &str) {
        self.word.push_str(sequence);
    }

    /// Something of plain ASCII that belongs to the word under way.
    pub(crate) fn push_mark(&mut self, mark: &str) {
        self.word.push_str(mark);
        self.word_width += mark.len();
    }

    /// Writes the word under way, on the next line if this one is full.
    pub(crate) fn end_word(&mut self, out: &mut String) {
        if self.word.is_empty() {
            return;
        }
        let gap = usize::from(self.space);
        if self.column + gap + self.word_width > self.width && self.column > self.indent.len() {
            out.push('\n');
            out.push_str(&self.indent);
            self.column = self.indent.len();
        } else if self.space {
            out.push(' ');
            self.column += 1;
        }
        out.push_str(&self.word);
        self.column += self.word_width;
        self.word.clear();
        self.word_width = 0;
        self.space = false;
    }

    /// Ends the line.
    pub(crate) fn end_line(&mut self, out: &mut String) {
        self.end_word(out);
        out.push('\n');
        self.column = 0;
        self.space = false;
    }
}

/// `text` in lines of at most `width` columns.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut flow = Flow::new(width, "");
    let mut out = String::new();
    text.chars().for_each(|c| flow.push(c, &mut out));
    flow.end_word(&mut out);
    out
}

/// The columns a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// `text`, cut to `limit` columns with an ellipsis if it is longer. No limit: all of it.
pub(crate) fn cut(text: &str, limit: Option<usize>) -> String {
    let Some(limit) = limit else { return text.to_owned() };
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut columns = 1;
    for c in text.chars() {
        columns += c.width().unwrap_or(0);
        if columns > limit {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_broken_between_words() {
        assert_eq!(wrapped("the quick brown fox jumps over it", 20), "the quick brown fox\njumps over it");
        assert_eq!(wrapped("short", 20), "short");
    }

    #[test]
    fn long_text_is_cut_by_columns_not_bytes() {
        assert_eq!(cut("crow", Some(4)), "crow");
        assert_eq!(cut("crows", Some(4)), "cro…");
        assert_eq!(cut("烏烏烏", Some(5)), "烏烏…");
        assert_eq!(cut("crows", None), "crows");
    }
}
