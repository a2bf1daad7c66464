//! Colours, and when there are none.

use std::io::IsTerminal;

/// What a piece of text is, which decides how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Something important.
    Bold,
    /// Something beside the point.
    Dim,
    /// A heading.
    Heading,
    /// Code in running text.
    Code,
    /// It worked; a line that was added.
    Good,
    /// It failed; a line that was removed.
    Bad,
    /// Look here.
    Warn,
}

impl Style {
    fn sequence(self) -> &'static str {
        match self {
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Heading => "\x1b[1;4m",
            Self::Code => "\x1b[36m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Warn => "\x1b[33m",
        }
    }
}

/// The sequence that ends every style.
const RESET: &str = "\x1b[0m";

/// Gives text its style, or leaves it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Palette {
    on: bool,
}

impl Palette {
    /// No styles at all.
    pub(crate) const PLAIN: Self = Self { on: false };

    /// All styles.
    #[cfg(test)]
    pub(crate) const COLOURED: Self = Self { on: true };

    /// Styles if `stream` is a terminal that wants them: `NO_COLOR` (<https://no-color.org>) and `TERM=dumb` say no.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { on: stream.is_terminal() && !refused }
    }

    /// Whether there are styles.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// What turns `style` on.
    pub(crate) fn start(self, style: Style) -> &'static str {
        if self.on { style.sequence() } else { "" }
    }

    /// What turns every style off.
    pub(crate) fn end(self) -> &'static str {
        if self.on { RESET } else { "" }
    }

    /// `text` in `style`.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.on && !text.is_empty() { format!("{}{text}{RESET}", style.sequence()) } else { text.to_owned() }
    }
}
