//! What a terminal shows, as plain text: escape sequences are obeyed as far as they change the current line (progress
//! bars that redraw it) and dropped otherwise.
//!
//! Bytes become characters first ([`Characters`]), because packets end anywhere.

use vte::{Params, Parser, Perform};

/// Lines longer than this are handed on in pieces, so that memory stays bounded.
const LONGEST_LINE: usize = 8 << 10;

/// Puts characters together again that were cut between two packets.
#[derive(Debug, Default)]
pub(crate) struct Characters {
    begun: Vec<u8>,
}

impl Characters {
    /// The text of all bytes so far that is complete; what can never be UTF-8 becomes U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.begun.len());
        let mut used = 0;
        for chunk in self.begun.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let invalid = chunk.invalid();
            let is_begun = used + invalid.len() == self.begun.len()
                && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if is_begun {
                break;
            }
            used += invalid.len();
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.begun.drain(..used);
        text
    }
}

/// Turns the output of a terminal into plain text, however it is cut into pieces.
#[derive(Default)]
pub(crate) struct Screen {
    parser: Parser,
    line: CurrentLine,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl Screen {
    /// Takes output in and gives the lines that it completed.
    pub(crate) fn push(&mut self, text: &str) -> String {
        self.parser.advance(&mut self.line, text.as_bytes());
        std::mem::take(&mut self.line.done)
    }

    /// The line that is not complete.
    pub(crate) fn finish(mut self) -> String {
        self.line.flush();
        self.line.done
    }
}

/// The line that the cursor is on.
#[derive(Default)]
struct CurrentLine {
    done: String,
    cells: Vec<char>,
    cursor: usize,
}

impl CurrentLine {
    fn flush(&mut self) {
        let end = self.cells.iter().rposition(|c| *c != ' ').map_or(0, |last| last + 1);
        self.done.extend(&self.cells[..end]);
        self.cells.clear();
        self.cursor = 0;
    }
}

impl Perform for CurrentLine {
    fn print(&mut self, c: char) {
        if self.cursor >= LONGEST_LINE {
            self.done.extend(self.cells.drain(..));
            self.cursor = 0;
        }
        if self.cursor < self.cells.len() {
            self.cells[self.cursor] = c;
        } else {
            self.cells.resize(self.cursor, ' ');
            self.cells.push(c);
        }
        self.cursor += 1;
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                self.flush();
                self.done.push('\n');
            }
            b'\r' => self.cursor = 0,
            0x08 => self.cursor = self.cursor.saturating_sub(1),
            b'\t' => self.print('\t'),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, _intermediates: &[u8], _ignore: bool, action: char) {
        let first = params.iter().next().and_then(|values| values.first().copied()).unwrap_or(0);
        let count = usize::from(first.max(1));
        match (action, first) {
            ('K', 0) => self.cells.truncate(self.cursor),
            ('K', 2) => self.cells.clear(),
            ('K', 1) => {
                let end = self.cursor.min(self.cells.len());
                self.cells[..end].fill(' ');
            }
            ('C', _) => self.cursor = (self.cursor + count).min(LONGEST_LINE),
            ('D', _) => self.cursor = self.cursor.saturating_sub(count),
            ('G', _) => self.cursor = (count - 1).min(LONGEST_LINE),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(bytes: &[u8]) -> String {
        let mut screen = Screen::default();
        let lines = screen.push(&Characters::default().push(bytes));
        lines + &screen.finish()
    }

    #[test]
    fn characters_are_put_together_and_rubbish_does_not_wait() {
        let mut characters = Characters::default();
        assert_eq!(characters.push(b"caf\xC3"), "caf");
        assert_eq!(characters.push(b"\xA9 \xF0\x9F"), "\u{e9} ");
        assert_eq!(characters.push(b"\x98\x80"), "\u{1F600}");
        assert_eq!(characters.push(b"\xFFa\xC3(\x80"), "\u{fffd}a\u{fffd}(\u{fffd}");
    }

    #[test]
    fn colours_and_titles_go_and_text_stays() {
        assert_eq!(shown(b"\x1b[1;31mred\x1b[0m and \x1b]0;title\x07plain\r\n\tx\n"), "red and plain\n\tx\n");
        assert_eq!(shown("\u{2603} caf\u{e9}\n".as_bytes()), "\u{2603} caf\u{e9}\n");
    }

    #[test]
    fn progress_bars_show_their_last_state() {
        assert_eq!(shown(b" 10%\r 50%\r100%\ndone"), "100%\ndone");
        assert_eq!(shown(b"long text\r\x1b[Kok\n"), "ok\n");
        assert_eq!(shown(b"abc\x08\x08X\n"), "aXc\n");
        assert_eq!(shown(b"\x1b[3Cx\x1b[1Gy\n"), "y  x\n");
    }

    #[test]
    fn what_is_no_text_does_not_break_it() {
        assert_eq!(shown(b"a\xFFb\x00\x07c\n"), "a\u{fffd}bc\n");
        assert_eq!(shown(&vec![b'x'; 20_000]).len(), 20_000);
    }

    proptest! {
        #[test]
        fn packets_make_no_difference(text in "[aé\u{2603}\r\n\t\u{8}]{0,40}", escape in "\u{1b}\\[[0-9]{0,3}[KCDGm]", cut in 0usize..200) {
            let bytes = format!("{text}{escape}{text}").into_bytes();
            let cut = cut % (bytes.len() + 1);
            let (mut characters, mut screen) = (Characters::default(), Screen::default());
            let mut split = screen.push(&characters.push(&bytes[..cut]));
            split.push_str(&screen.push(&characters.push(&bytes[cut..])));
            split.push_str(&screen.finish());
            prop_assert_eq!(split, shown(&bytes));
        }
    }
}
