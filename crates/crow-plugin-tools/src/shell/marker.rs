//! The sign by which a shell says, in the stream of its output, that a command has ended: an escape sequence with a
//! random word in it, the exit code and the directory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

const END: u8 = 7;

/// Finds the sign in a stream that is cut into packets anywhere.
#[derive(Debug)]
pub(super) struct Marker {
    word: String,
    start: Vec<u8>,
    /// What may be the beginning of the sign, or came behind it.
    held: Vec<u8>,
}

/// What the shell says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: i32,
    pub(super) cwd: PathBuf,
}

impl Marker {
    pub(super) fn new(word: String) -> Self {
        let start = format!("\x1b]crow;{word};").into_bytes();
        Self { word, start, held: Vec::new() }
    }

    /// The command that prints the sign. It does not contain the sign itself.
    pub(super) fn print(&self) -> String {
        format!(r#"command printf '\033]crow;%s;%s;%s\007' {} "$?" "${{PWD-}}" >/dev/tty"#, self.word)
    }

    /// Takes bytes in; gives those to show, and the status once the sign is complete. What comes behind the sign is kept
    /// for the next command.
    pub(super) fn split(&mut self, bytes: &[u8]) -> (Vec<u8>, Option<Status>) {
        let mut stream = std::mem::take(&mut self.held);
        stream.extend(bytes);
        if let Some(at) = stream.windows(self.start.len()).position(|window| window == self.start) {
            let inside = &stream[at + self.start.len()..];
            let Some(end) = inside.iter().position(|byte| *byte == END) else {
                self.held = stream.split_off(at);
                return (stream, None);
            };
            let status = read(&inside[..end]);
            self.held = stream.split_off(at + self.start.len() + end + 1);
            stream.truncate(at);
            return (stream, status);
        }
        let begun = (1..self.start.len()).rev().find(|length| stream.ends_with(&self.start[..*length])).unwrap_or(0);
        self.held = stream.split_off(stream.len() - begun);
        (stream, None)
    }
}

fn read(inside: &[u8]) -> Option<Status> {
    let separator = inside.iter().position(|byte| *byte == b';')?;
    let code = std::str::from_utf8(&inside[..separator]).ok()?.parse().ok()?;
    Some(Status { code, cwd: OsString::from_vec(inside[separator + 1..].to_vec()).into() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sign_is_found_however_the_stream_is_cut(
            before in "(a|\x1b|\\]|crow|;|\x07){0,12}", after in "[a;\x1b]{0,6}", cuts in prop::collection::vec(0usize..80, 0..6),
        ) {
            let mut marker = Marker::new("word".into());
            let stream = format!("{before}\x1b]crow;word;3;/tmp/a;b\x07{after}").into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % stream.len()).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let (mut shown, mut status) = (Vec::new(), None);
            for cut in cuts.windows(2) {
                if status.is_some() {
                    marker.held.extend(&stream[cut[0]..cut[1]]);
                    continue;
                }
                let (part, found) = marker.split(&stream[cut[0]..cut[1]]);
                shown.extend(part);
                status = found;
            }
            prop_assert_eq!(shown, before.into_bytes());
            prop_assert_eq!(status, Some(Status { code: 3, cwd: "/tmp/a;b".into() }));
            prop_assert_eq!(&marker.held, after.as_bytes());
        }
    }
}
