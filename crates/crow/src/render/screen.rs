//! Where lines go: a terminal with a width and a line that may change, or a file with neither.

use std::io::Write;

use terminal_size::{Width, terminal_size_of};

use super::flow::cut;
use super::style::{Palette, Style};

/// Widest text on a terminal: longer lines are hard to read.
const WIDEST: usize = 100;

/// How wide the lines may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// A file or a pipe: lines are not broken.
    Endless,
    /// A terminal, asked before each line: it may be resized.
    Terminal,
    /// As wide as a test says.
    #[cfg(test)]
    Columns(usize),
}

/// An output for people.
#[derive(Debug)]
pub(crate) struct Screen<W> {
    out: W,
    palette: Palette,
    size: Size,
    line_start: bool,
    status: bool,
    broken: bool,
}

impl Screen<std::io::Stdout> {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        let out = std::io::stdout();
        let terminal = std::io::IsTerminal::is_terminal(&out);
        let size = if terminal { Size::Terminal } else { Size::Endless };
        Self { palette: Palette::of(&out), out, size, line_start: true, status: false, broken: false }
    }
}

impl<W: Write> Screen<W> {
    /// A screen of `width` columns, or of endless lines.
    #[cfg(test)]
    pub(crate) fn new(out: W, width: Option<usize>, palette: Palette) -> Self {
        let size = width.map_or(Size::Endless, Size::Columns);
        Self { out, palette, size, line_start: true, status: false, broken: false }
    }

    /// What it wrote to.
    #[cfg(test)]
    pub(crate) fn into_inner(self) -> W {
        self.out
    }

    /// Its styles.
    pub(crate) fn palette(&self) -> Palette {
        self.palette
    }

    /// The columns of text, or `None` where lines are not to be broken.
    pub(crate) fn width(&self) -> Option<usize> {
        match self.size {
            Size::Endless => None,
            Size::Terminal => Some(
                terminal_size_of(std::io::stdout()).map_or(80, |(Width(columns), _)| usize::from(columns)).min(WIDEST),
            ),
            #[cfg(test)]
            Size::Columns(columns) => Some(columns),
        }
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Writes text as it is, at once.
    pub(crate) fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.clear_status();
        self.emit(text);
        self.line_start = text.ends_with('\n');
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) {
        self.fresh_line();
        self.write(&format!("{text}\n"));
    }

    /// Ends the line under way, if there is one.
    pub(crate) fn fresh_line(&mut self) {
        if !self.line_start {
            self.write("\n");
        }
    }

    /// Somebody typed a line: the terminal itself has gone to the next.
    pub(crate) fn typed(&mut self) {
        self.line_start = true;
    }

    /// On a terminal: shows what is going on in a line that the next output replaces.
    pub(crate) fn status(&mut self, text: &str) {
        if self.size != Size::Terminal || !self.palette.is_on() || !self.line_start {
            return;
        }
        let line = cut(text, self.width().map(|width| width.saturating_sub(1)));
        self.emit(&format!("\r\x1b[2K{}", self.palette.paint(Style::Dim, &line)));
        self.status = true;
    }

    /// Takes the status line away.
    pub(crate) fn clear_status(&mut self) {
        if std::mem::take(&mut self.status) {
            self.emit("\r\x1b[2K");
        }
    }

    fn emit(&mut self, text: &str) {
        if self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).is_err() {
            self.broken = true;
        }
    }
}
