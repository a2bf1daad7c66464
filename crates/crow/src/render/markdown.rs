//! Markdown, lightly styled, as it arrives from a model: word by word, never a whole document.

use super::flow::Flow;
use super::style::{Palette, Style};

/// Longest start of a line that is held back until it is clear what kind of line it is.
const LEAD: usize = 8;

/// Renders a stream of Markdown: headings, lists, quotes, fenced code, **strong** and `code`. The rest stays as it is.
#[derive(Debug)]
pub(crate) struct Markdown {
    palette: Palette,
    base: String,
    flow: Flow,
    /// The start of a line of which it is not yet clear what it is.
    lead: String,
    line: Line,
    strong: bool,
    code: bool,
    star: bool,
}

/// What the line under way is.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Not known yet.
    Start,
    /// Running text, a list item, a quote.
    Text,
    /// A heading: in its style to its end.
    Heading,
    /// The line that opens a fence: the language follows.
    Fence,
    /// Inside a fence: lines are shown as they are.
    Code,
}

impl Markdown {
    /// Markdown on lines of `width` columns that all start with `base`.
    pub(crate) fn new(palette: Palette, width: usize, base: &str) -> Self {
        Self {
            palette,
            base: base.to_owned(),
            flow: Flow::new(width, base),
            lead: String::new(),
            line: Line::Start,
            strong: false,
            code: false,
            star: false,
        }
    }

    /// Renders the next fragment into `out`.
    pub(crate) fn feed(&mut self, fragment: &str, out: &mut String) {
        for c in fragment.chars() {
            self.character(c, out);
        }
    }

    /// Renders what was held back and ends the line.
    pub(crate) fn finish(&mut self, out: &mut String) {
        if self.line == Line::Code {
            if !self.lead.is_empty() {
                self.code_line(out);
            }
        } else if self.line != Line::Start || !self.lead.is_empty() {
            self.character('\n', out);
        }
        self.line = Line::Start;
        self.lead.clear();
    }

    fn character(&mut self, c: char, out: &mut String) {
        match self.line {
            Line::Start => self.at_start(c, out),
            Line::Code => self.in_code(c, out),
            Line::Fence if c == '\n' => self.line = Line::Code,
            Line::Fence => {}
            Line::Text | Line::Heading if c == '\n' => self.end_line(out),
            Line::Text | Line::Heading => self.inline(c, out),
        }
    }

    /// Holds the line back while it may still become a list item, a heading, a fence.
    fn at_start(&mut self, c: char, out: &mut String) {
        if c == '\n' {
            let lead = std::mem::take(&mut self.lead);
            if lead.trim().is_empty() {
                out.push('\n');
            } else if lead.starts_with("```") {
                self.line = Line::Code;
            } else {
                self.text_line("", 0, &lead, out);
                self.end_line(out);
            }
            return;
        }
        self.lead.push(c);
        let lead = self.lead.trim_start();
        let indent = self.lead.len() - lead.len();
        if lead.starts_with("```") {
            self.lead.clear();
            self.line = Line::Fence;
        } else if let Some((mark, hang)) = bullet(lead) {
            let mark = format!("{}{mark}", " ".repeat(indent));
            self.lead.clear();
            self.text_line(&mark, indent + hang, "", out);
        } else if lead.starts_with('#') && lead.ends_with(' ') && lead.trim_end().chars().all(|c| c == '#') {
            self.lead.clear();
            self.text_line("", 0, "", out);
            self.line = Line::Heading;
            self.flow.push_style(self.palette.start(Style::Heading));
        } else if !may_be_marker(lead) || self.lead.len() > LEAD {
            let lead = std::mem::take(&mut self.lead);
            self.text_line("", 0, &lead, out);
        }
    }

    fn text_line(&mut self, mark: &str, hang: usize, text: &str, out: &mut String) {
        self.line = Line::Text;
        self.flow.start(mark, hang, &self.base, out);
        for c in text.chars() {
            self.inline(c, out);
        }
    }

    fn in_code(&mut self, c: char, out: &mut String) {
        if c != '\n' {
            self.lead.push(c);
        } else if self.lead.trim() == "```" {
            self.lead.clear();
            self.line = Line::Start;
        } else {
            self.code_line(out);
        }
    }

    fn code_line(&mut self, out: &mut String) {
        let line = std::mem::take(&mut self.lead);
        out.push_str(&self.base);
        out.push_str("    ");
        out.push_str(&self.palette.paint(Style::Code, &line));
        out.push('\n');
    }

    /// A character of running text. Without styles the marks stay, or their meaning would be lost.
    fn inline(&mut self, c: char, out: &mut String) {
        if self.star {
            self.star = false;
            if c == '*' && !self.code {
                self.strong = !self.strong;
                self.restyle("**");
                return;
            }
            self.flow.push('*', out);
        }
        match c {
            '*' if !self.code => self.star = true,
            '`' => {
                self.code = !self.code;
                self.restyle("`");
            }
            _ => self.flow.push(c, out),
        }
    }

    fn restyle(&mut self, mark: &str) {
        if !self.palette.is_on() {
            self.flow.push_mark(mark);
            return;
        }
        self.flow.push_style(self.palette.end());
        if self.line == Line::Heading {
            self.flow.push_style(self.palette.start(Style::Heading));
        }
        if self.strong {
            self.flow.push_style(self.palette.start(Style::Bold));
        }
        if self.code {
            self.flow.push_style(self.palette.start(Style::Code));
        }
    }

    fn end_line(&mut self, out: &mut String) {
        if std::mem::take(&mut self.star) {
            self.flow.push('*', out);
        }
        let styled = self.strong || self.code || self.line == Line::Heading;
        if styled {
            self.flow.push_style(self.palette.end());
        }
        // A mark that is not closed by the end of its line was none.
        self.strong = false;
        self.code = false;
        self.flow.end_line(out);
        self.line = Line::Start;
    }
}

/// How a list item or a quote is shown, and the columns that takes, once its mark is complete.
fn bullet(lead: &str) -> Option<(String, usize)> {
    let mark = lead.strip_suffix(' ')?;
    match mark {
        "-" | "*" | "+" => Some(("• ".to_owned(), 2)),
        ">" => Some(("│ ".to_owned(), 2)),
        _ => {
            let digits = mark.strip_suffix(['.', ')'])?;
            let number = !digits.is_empty() && digits.len() < 4 && digits.chars().all(|c| c.is_ascii_digit());
            number.then(|| (format!("{mark} "), mark.len() + 1))
        }
    }
}

/// Whether a line that starts so may become a list item, a quote, a heading or a fence.
fn may_be_marker(lead: &str) -> bool {
    let digits = lead.trim_end_matches(['.', ')']);
    matches!(lead, "" | "-" | "*" | "+" | ">" | "`" | "``")
        || lead.chars().all(|c| c == '#')
        || (lead.len() - digits.len() <= 1 && !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const SAMPLE: &str = "# The *bug*\n\nThe loop in `count.sh` stops **one line early**, because `read` fails on a last \
        line without a newline:\n\n```sh\nwhile read -r line; do\n  n=$((n + 1))\ndone\n```\n\n- first, a point that is long enough to \
        be broken\n- second\n  - nested\n10. tenth\n> quoted\n\n2 * 3 * 4 is 24, **not closed\nEnd";

    fn check(palette: Palette, text: &str, expected: Expect) {
        let mut whole = String::new();
        let mut markdown = Markdown::new(palette, 44, "  ");
        markdown.feed(text, &mut whole);
        markdown.finish(&mut whole);
        // The margin is the same on every line, and the expectation is written without it.
        let lines: Vec<&str> = whole.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        assert!(whole.lines().all(|line| line.is_empty() || line.starts_with("  ")), "{whole}");
        expected.assert_eq(&(lines.join("\n") + "\n").replace('\x1b', "␛"));
        // However the stream is cut, the same is shown.
        let mut pieces = String::new();
        let mut markdown = Markdown::new(palette, 44, "  ");
        for c in text.chars() {
            markdown.feed(&c.to_string(), &mut pieces);
        }
        markdown.finish(&mut pieces);
        assert_eq!(whole, pieces);
    }

    #[test]
    fn without_styles_the_marks_stay() {
        check(
            Palette::PLAIN,
            SAMPLE,
            expect![[r#"
                  The *bug*

                  The loop in `count.sh` stops **one line
                  early**, because `read` fails on a last
                  line without a newline:

                      while read -r line; do
                        n=$((n + 1))
                      done

                  • first, a point that is long enough to be
                    broken
                  • second
                    • nested
                  10. tenth
                  │ quoted

                  2 * 3 * 4 is 24, **not closed
                  End
            "#]],
        );
    }

    #[test]
    fn with_styles_the_marks_become_styles() {
        check(
            Palette::COLOURED,
            SAMPLE,
            expect![[r#"
                  ␛[1;4mThe *bug*␛[0m

                  The loop in ␛[0m␛[36mcount.sh␛[0m stops ␛[0m␛[1mone line early␛[0m,
                  because ␛[0m␛[36mread␛[0m fails on a last line without
                  a newline:

                      ␛[36mwhile read -r line; do␛[0m
                      ␛[36m  n=$((n + 1))␛[0m
                      ␛[36mdone␛[0m

                  • first, a point that is long enough to be
                    broken
                  • second
                    • nested
                  10. tenth
                  │ quoted

                  2 * 3 * 4 is 24, ␛[0m␛[1mnot closed␛[0m
                  End
            "#]],
        );
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let mut out = String::new();
        let mut markdown = Markdown::new(Palette::PLAIN, 30, "    ");
        markdown.feed(&"words of several lengths, 烏 and others ".repeat(20), &mut out);
        markdown.finish(&mut out);
        let widest = out.lines().map(super::super::flow::width).max();
        assert!(widest <= Some(30), "{widest:?}: {out}");
    }
}
