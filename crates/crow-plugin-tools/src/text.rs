//! Text: bytes to characters and back, so that a file that is edited keeps its encoding and its line endings.

use std::borrow::Cow;

/// How a file's characters are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Encoding {
    #[default]
    Utf8,
    Utf8WithBom,
    Utf16Le,
    Utf16Be,
    /// Any single-byte text that is not UTF-8. It may be another code page in truth, but every byte survives.
    Windows1252,
}

impl Encoding {
    /// What to tell a reader, if it is not the usual.
    pub(crate) fn note(self) -> Option<&'static str> {
        match self {
            Self::Utf8 | Self::Utf8WithBom => None,
            Self::Utf16Le | Self::Utf16Be => Some("the file is UTF-16"),
            Self::Windows1252 => Some("the file is not UTF-8; read as Windows-1252"),
        }
    }
}

/// The bytes are no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is a binary file")]
pub(crate) struct Binary;

/// A character does not exist in the file's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file is not Unicode, and its encoding lacks some of the new characters")]
pub(crate) struct Unmappable;

/// The characters of a text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// Without a byte order mark; line endings as they are.
    pub(crate) text: String,
    pub(crate) encoding: Encoding,
}

/// Finds out the encoding of `bytes`.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<Text, Binary> {
    if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        let text = std::str::from_utf8(rest).map_err(|_| Binary)?.to_owned();
        return if text.contains('\0') { Err(Binary) } else { Ok(Text { text, encoding: Encoding::Utf8WithBom }) };
    }
    if let Some(rest) = bytes.strip_prefix(b"\xFF\xFE") {
        return utf16(rest, u16::from_le_bytes).map(|text| Text { text, encoding: Encoding::Utf16Le });
    }
    if let Some(rest) = bytes.strip_prefix(b"\xFE\xFF") {
        return utf16(rest, u16::from_be_bytes).map(|text| Text { text, encoding: Encoding::Utf16Be });
    }
    if bytes.contains(&0) {
        return Err(Binary);
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Text { text, encoding: Encoding::Utf8 }),
        Err(error) => {
            let bytes = error.into_bytes();
            let is_control = |byte: &&u8| matches!(byte, 0x01..=0x08 | 0x0E..=0x1A | 0x1C..=0x1F | 0x7F);
            if bytes.iter().filter(is_control).count() * 50 > bytes.len() {
                return Err(Binary);
            }
            let text = encoding_rs::WINDOWS_1252.decode_without_bom_handling(&bytes).0.into_owned();
            Ok(Text { text, encoding: Encoding::Windows1252 })
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Binary> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return Err(Binary) };
    let text: String =
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect::<Result<_, _>>().map_err(|_| Binary)?;
    if text.contains('\0') { Err(Binary) } else { Ok(text) }
}

/// The bytes of `text` in `encoding`.
pub(crate) fn encode(text: &str, encoding: Encoding) -> Result<Cow<'_, [u8]>, Unmappable> {
    let with = |mark: &[u8], rest: &mut dyn Iterator<Item = [u8; 2]>| {
        let mut bytes = mark.to_vec();
        rest.for_each(|pair| bytes.extend(pair));
        Cow::Owned(bytes)
    };
    Ok(match encoding {
        Encoding::Utf8 => Cow::Borrowed(text.as_bytes()),
        Encoding::Utf8WithBom => Cow::Owned([b"\xEF\xBB\xBF", text.as_bytes()].concat()),
        Encoding::Utf16Le => with(b"\xFF\xFE", &mut text.encode_utf16().map(u16::to_le_bytes)),
        Encoding::Utf16Be => with(b"\xFE\xFF", &mut text.encode_utf16().map(u16::to_be_bytes)),
        Encoding::Windows1252 => {
            let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(text);
            if unmappable {
                return Err(Unmappable);
            }
            bytes
        }
    })
}

/// Whether every line of `text` ends as on Windows (and there is at least one).
pub(crate) fn is_crlf(text: &str) -> bool {
    let newlines = text.matches('\n').count();
    newlines > 0 && newlines == text.matches("\r\n").count()
}

/// `text` with every line ending as on Windows.
pub(crate) fn to_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Whether two texts are the same but for their line endings, which many editors keep to themselves.
pub(crate) fn same_lines(left: &str, right: &str) -> bool {
    left == right || left.replace("\r\n", "\n") == right.replace("\r\n", "\n")
}

/// The largest position at or before `at` where `text` can be cut.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodings_are_recognised() {
        for (bytes, text, encoding) in [
            (&b"plain"[..], "plain", Encoding::Utf8),
            (b"", "", Encoding::Utf8),
            (b"\xEF\xBB\xBFmark", "mark", Encoding::Utf8WithBom),
            (b"\xFF\xFEh\0i\0", "hi", Encoding::Utf16Le),
            (b"\xFE\xFF\0h\0i", "hi", Encoding::Utf16Be),
            (b"caf\xE9\r\n", "caf\u{e9}\r\n", Encoding::Windows1252),
        ] {
            assert_eq!(decode(bytes.to_vec()), Ok(Text { text: text.into(), encoding }));
            assert_eq!(encode(text, encoding).unwrap(), bytes);
        }
    }

    #[test]
    fn binary_files_are_recognised() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let odd_utf16 = b"\xFF\xFEa";
        for bytes in [&b"a\0b"[..], png, odd_utf16, b"\xFF\xFE\x00\xD8", b"\x01\x02\x03\xFF\xFE\x04"] {
            assert_eq!(decode(bytes.to_vec()), Err(Binary), "{bytes:?}");
        }
    }

    #[test]
    fn what_an_encoding_lacks_is_an_error() {
        assert_eq!(encode("snow \u{2603}", Encoding::Windows1252), Err(Unmappable));
    }

    #[test]
    fn line_endings_are_seen() {
        assert!(is_crlf("a\r\nb\r\n"));
        assert!(!is_crlf("a\r\nb\n"));
        assert!(!is_crlf("no line"));
        assert_eq!(to_crlf("a\nb\r\n"), "a\r\nb\r\n");
        assert!(same_lines("a\r\nb", "a\nb"));
        assert!(!same_lines("a\nb", "a\nc"));
    }

    proptest! {
        #[test]
        fn every_text_file_survives_reading_and_writing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(text) = decode(bytes.clone()) {
                prop_assert_eq!(encode(&text.text, text.encoding).unwrap().into_owned(), bytes);
            }
        }
    }
}
