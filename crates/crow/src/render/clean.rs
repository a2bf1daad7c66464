//! Text of models and programs is not trusted with the terminal: escape sequences could rewrite or hide what is shown.

/// Where in an escape sequence a text is. Sequences may be cut anywhere between two fragments of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After `ESC [`, until a letter.
    Control,
    /// After `ESC ]` and its like, until BEL or `ESC \`.
    Command,
    /// After an ESC within a command.
    CommandEscape,
}

/// Takes escape sequences and control characters out of a text that comes in fragments.
/// Line feeds, tabs and carriage returns stay.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    state: State,
}

impl Cleaner {
    /// What of `fragment` may be shown.
    pub(crate) fn clean(&mut self, fragment: &str) -> String {
        let mut text = String::with_capacity(fragment.len());
        for c in fragment.chars() {
            self.state = match (self.state, c) {
                (_, '\x1b') if self.state != State::Command => State::Escape,
                (State::Text, _) => {
                    if !c.is_control() || matches!(c, '\n' | '\t' | '\r') {
                        text.push(c);
                    }
                    State::Text
                }
                (State::Escape, '[') => State::Control,
                (State::Escape, ']' | 'P' | '^' | '_' | 'X') => State::Command,
                // Intermediate characters, as in `ESC ( B`; anything else ends the sequence.
                (State::Escape, ' '..='/') => State::Escape,
                (State::Control, '\x20'..='\x3f') => State::Control,
                (State::Command, '\x1b') => State::CommandEscape,
                (State::Command, '\x07') | (State::Escape | State::Control | State::CommandEscape, _) => State::Text,
                (State::Command, _) => State::Command,
            };
        }
        text
    }
}

/// A whole text on one line, without anything that moves the cursor.
pub(crate) fn clean(text: &str) -> String {
    Cleaner::default().clean(text).replace(['\n', '\r', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_taken_out_also_when_cut() {
        let whole = "a\x1b[31mred\x1b[0m \x1b]0;title\x07b\x1b(Bc\x1b]8;;http://x\x1b\\link\x08!";
        let mut expected = Cleaner::default();
        assert_eq!(expected.clean(whole), "ared bclink!");
        for cut in (0..whole.len()).filter(|&at| whole.is_char_boundary(at)) {
            let mut cleaner = Cleaner::default();
            let both = cleaner.clean(&whole[..cut]) + &cleaner.clean(&whole[cut..]);
            assert_eq!(both, "ared bclink!", "cut at {cut}");
        }
    }

    #[test]
    fn a_title_stays_on_its_line() {
        assert_eq!(clean("rm -rf\n\x1b[2K\rls"), "rm -rf  ls");
    }
}
