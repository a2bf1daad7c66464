//! Server-sent events: bytes in, the `data` of each event out.
//!
//! Works on bytes throughout: a character whose bytes arrive in two packets is whole again by the time its event is.
//! Comments, ids, event names and retry times are skipped; nothing here needs them. That, and borrowing instead of
//! copying, is why this is not `eventsource-stream`, which takes at least ten times as long (`benches/stream.rs`) and with
//! which the tests compare it.

use std::ops::Range;

/// No event of a model is as long; a server that sends more is broken or hostile.
const MAX_EVENT: usize = 32 * 1024 * 1024;

/// An event grew beyond all measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Cuts a stream of bytes into events.
#[derive(Debug, Default)]
pub(crate) struct SseReader {
    /// What has not been read yet, and before that the data of the event under way.
    buffer: Vec<u8>,
    /// Where the next line starts.
    at: usize,
    /// Up to here the line under way is known to hold no end of line.
    scanned: usize,
    data: Data,
    /// A carriage return ended the bytes so far: a line feed that follows belongs to it.
    after_return: bool,
    /// The first bytes are past: no byte order mark any more.
    begun: bool,
}

/// The data of the event under way.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    /// One line, as it stands in the buffer: the case of every model server.
    Line(Range<usize>),
    /// Several lines, joined.
    Joined(Vec<u8>),
}

impl SseReader {
    /// Takes the next bytes, however they were cut.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        let keep = match &self.data {
            Data::Line(line) => line.start,
            Data::None | Data::Joined(_) => self.at,
        };
        self.buffer.drain(..keep);
        self.at -= keep;
        self.scanned = self.scanned.saturating_sub(keep);
        if let Data::Line(line) = &mut self.data {
            *line = line.start - keep..line.end - keep;
        }
        let joined = if let Data::Joined(joined) = &self.data { joined.len() } else { 0 };
        if self.buffer.len() + joined + bytes.len() > MAX_EVENT {
            return Err(TooLong);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The data of the next whole event, if there is one.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        if !self.begun {
            const MARK: &[u8] = b"\xEF\xBB\xBF";
            if self.buffer.starts_with(MARK) {
                self.at = MARK.len();
            } else if MARK.starts_with(&self.buffer) {
                return None;
            }
            self.begun = true;
        }
        loop {
            if self.after_return && self.at < self.buffer.len() {
                self.after_return = false;
                if self.buffer[self.at] == b'\n' {
                    self.at += 1;
                }
            }
            let from = self.scanned.max(self.at);
            let Some(length) = memchr::memchr2(b'\n', b'\r', &self.buffer[from..]) else {
                self.scanned = self.buffer.len();
                return None;
            };
            let line = self.at..from + length;
            self.at = line.end + 1;
            self.after_return = self.buffer[line.end] == b'\r';
            if !line.is_empty() {
                self.line(line);
            } else if let Some(data) = self.take_data() {
                return Some(&self.buffer[data]);
            }
        }
    }

    /// The bytes are over: the data of an event whose end is missing, as some servers leave it.
    pub(crate) fn end(&mut self) -> Option<&[u8]> {
        let rest = self.at..self.buffer.len();
        self.at = rest.end;
        if !rest.is_empty() {
            self.line(rest);
        }
        let data = self.take_data()?;
        Some(&self.buffer[data])
    }

    /// Where the data of the event stands in the buffer; joined lines are put there first, in front of what comes next.
    fn take_data(&mut self) -> Option<Range<usize>> {
        match std::mem::take(&mut self.data) {
            Data::None => None,
            Data::Line(line) => Some(line),
            Data::Joined(joined) => {
                let length = joined.len();
                self.buffer.splice(..self.at, joined);
                self.at = length;
                self.scanned = length;
                Some(0..length)
            }
        }
    }

    fn line(&mut self, line: Range<usize>) {
        let bytes = &self.buffer[line.clone()];
        let Some(rest) = bytes.strip_prefix(b"data") else { return };
        let value = match rest {
            [] => line.end..line.end,
            [b':', b' ', ..] => line.start + 6..line.end,
            [b':', ..] => line.start + 5..line.end,
            _ => return,
        };
        self.data = match std::mem::take(&mut self.data) {
            Data::None => Data::Line(value),
            Data::Line(first) => Data::Joined([&self.buffer[first], b"\n", &self.buffer[value]].concat()),
            Data::Joined(mut joined) => {
                joined.push(b'\n');
                joined.extend_from_slice(&self.buffer[value]);
                Data::Joined(joined)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use eventsource_stream::Eventsource as _;
    use futures_util::{StreamExt as _, stream};
    use proptest::prelude::*;

    use super::*;

    /// All events of `packets`.
    fn read(packets: &[&[u8]]) -> Vec<String> {
        let mut reader = SseReader::default();
        let mut events = Vec::new();
        let mut note = |data: &[u8]| events.push(String::from_utf8_lossy(data).into_owned());
        for packet in packets {
            reader.feed(packet).expect("short");
            while let Some(data) = reader.next() {
                note(data);
            }
        }
        if let Some(data) = reader.end() {
            note(data);
        }
        events
    }

    #[test]
    fn events_come_one_by_one() {
        assert_eq!(read(&[b"data: one\n\ndata:two\n\n"]), ["one", "two"]);
    }

    #[test]
    fn comments_and_other_fields_are_skipped() {
        let text = b": keep-alive\n\n:\n\nevent: message\nid: 7\nretry: 3\ndata: x\ndatabase: y\n\n";
        assert_eq!(read(&[text]), ["x"]);
    }

    #[test]
    fn lines_of_data_are_joined() {
        assert_eq!(read(&[b"data: a\ndata\ndata:  b\n\ndata: c\n\n"]), ["a\n\n b", "c"]);
        assert_eq!(read(&[b"data: a\nda", b"ta: b\n", b"\ndata: c\n\n"]), ["a\nb", "c"]);
    }

    #[test]
    fn any_end_of_line_will_do() {
        assert_eq!(read(&[b"data: a\r\n\r\ndata: b\r\rdata: c\n\n"]), ["a", "b", "c"]);
        assert_eq!(read(&[b"data: a\r", b"\n\r", b"\n", b"data: b\r", b"\r"]), ["a", "b"]);
    }

    #[test]
    fn a_character_may_be_split() {
        let crow = "data: 🐦\n\n".as_bytes();
        assert_eq!(read(&[&crow[..7], &crow[7..9], &crow[9..]]), ["🐦"]);
    }

    #[test]
    fn an_unended_event_counts() {
        assert_eq!(read(&[b"data: a\n\ndata: [DONE]"]), ["a", "[DONE]"]);
        assert_eq!(read(&[b"data: a\n\ndata: [DONE]\n"]), ["a", "[DONE]"]);
        assert!(read(&[b": nothing"]).is_empty());
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(read(&[b"\xEF", b"\xBB\xBFdata: a\n\n"]), ["a"]);
        assert_eq!(read(&[b"", b"data: a\n\n"]), ["a"]);
    }

    #[test]
    fn an_endless_event_is_an_error() {
        let mut reader = SseReader::default();
        let line = vec![b'x'; 1024 * 1024];
        let fed = (0..40).try_for_each(|_| {
            reader.feed(&line)?;
            assert_eq!(reader.next(), None);
            Ok(())
        });
        assert_eq!(fed, Err(TooLong));
    }

    /// What the well-known reader makes of the same packets.
    fn peer(packets: &[Vec<u8>]) -> Vec<String> {
        let packets: Vec<Result<Vec<u8>, std::convert::Infallible>> = packets.iter().cloned().map(Ok).collect();
        let events = stream::iter(packets).eventsource().map(|event| event.expect("UTF-8").data).collect::<Vec<_>>();
        futures_util::FutureExt::now_or_never(events).expect("nothing to wait for")
    }

    fn lines() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            4 => "data: ?[a-zé🐦 :]{0,6}",
            1 => Just("data".to_owned()),
            1 => ":[ -~]{0,6}",
            1 => "event: [a-z]{1,4}",
            1 => "[a-z]{0,5}",
            3 => Just(String::new()),
        ];
        let end = prop_oneof![6 => Just("\n"), 2 => Just("\r\n")];
        proptest::collection::vec((line, end), 0..24)
            .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect::<String>() + "\n\n")
    }

    proptest! {
        #[test]
        fn reads_what_the_peer_reads(text in lines(), cuts in proptest::collection::vec(0usize..200, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let packets: Vec<Vec<u8>> = cuts.windows(2).map(|pair| text.as_bytes()[pair[0]..pair[1]].to_vec()).collect();
            let slices: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
            // The peer drops events of empty data; the difference cannot matter: empty data is no JSON.
            let ours: Vec<String> = read(&slices).into_iter().filter(|data| !data.is_empty()).collect();
            let theirs: Vec<String> = peer(&packets).into_iter().filter(|data| !data.is_empty()).collect();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn cuts_do_not_matter(bytes in proptest::collection::vec(prop_oneof![
            Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), Just(b'a'), Just(b't'), any::<u8>(),
        ], 0..200), cut in 0usize..200) {
            let cut = cut.min(bytes.len());
            let (head, tail) = bytes.split_at(cut);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            let whole = read(&[&bytes]);
            prop_assert_eq!(&read(&[head, tail]), &whole);
            prop_assert_eq!(&read(&single), &whole);
        }
    }
}
