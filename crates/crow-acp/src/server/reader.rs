//! Lines from the client: split, bounded and parsed before anything else of the agent sees them.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::mpsc;

use super::port::{ErrorCode, Id, RpcError, RpcMessage};

/// The longest line that is read, in bytes.
const LONGEST: usize = 64 * 1024 * 1024;

/// The line buffer is given back above this size, in bytes.
const LARGEST_KEPT: usize = 1024 * 1024;

/// What a line was.
#[derive(Debug)]
pub(super) enum Received {
    /// A message.
    Message(RpcMessage),
    /// Not a message: this is the answer to it.
    Rejected(RpcMessage),
}

/// Reads lines until the end of input and hands on what they were. A reader that is faster than the agent waits.
pub(super) async fn read_lines(reader: impl AsyncRead + Unpin, received: mpsc::Sender<Received>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        if line.capacity() > LARGEST_KEPT {
            line = Vec::new();
        }
        let what = match read_line(&mut reader, &mut line, LONGEST).await? {
            Read::End => return Ok(()),
            Read::Line => receive(&line),
            Read::TooLong => Some(reject(
                Id::Null,
                ErrorCode::PARSE_ERROR,
                format!("the message is longer than {} MiB", LONGEST / 1024 / 1024),
            )),
        };
        if let Some(what) = what
            && received.send(what).await.is_err()
        {
            return Ok(());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Read {
    Line,
    TooLong,
    End,
}

/// Reads one line, without its end, into `line`. What goes beyond `longest` bytes is skipped. The last line may lack its end.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>, longest: usize) -> io::Result<Read> {
    let mut too_long = false;
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(match (too_long, line.is_empty()) {
                (true, _) => Read::TooLong,
                (false, true) => Read::End,
                (false, false) => Read::Line,
            });
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        if too_long || line.len() + part.len() > longest {
            too_long = true;
            *line = Vec::new();
        } else {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(if too_long { Read::TooLong } else { Read::Line });
        }
    }
}

/// What a line is; `None` for a blank one and for what must not be answered.
fn receive(line: &[u8]) -> Option<Received> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        // The error's own text may quote the line; where it is wrong is enough.
        Err(error) => {
            let message = format!("the line is not valid JSON at column {}", error.column());
            return Some(reject(Id::Null, ErrorCode::PARSE_ERROR, message));
        }
    };
    let Value::Object(object) = &value else {
        let message = if value.is_array() { "batches are not supported" } else { "a message is a JSON object" };
        return Some(reject(Id::Null, ErrorCode::INVALID_REQUEST, message));
    };
    let is_notification = object.contains_key("method") && !object.contains_key("id");
    let is_response = !object.contains_key("method") && (object.contains_key("result") || object.contains_key("error"));
    let id = match object.get("id") {
        Some(Value::String(id)) => Id::Str(id.clone()),
        Some(Value::Number(id)) => id.as_i64().map_or(Id::Null, Id::Number),
        _ => Id::Null,
    };
    match serde_json::from_value(value) {
        Ok(message) => Some(Received::Message(message)),
        Err(_) if is_notification || is_response => {
            tracing::warn!("a malformed notification or response is ignored");
            None
        }
        Err(_) => Some(reject(
            id,
            ErrorCode::INVALID_REQUEST,
            "not a JSON-RPC 2.0 request: it needs `jsonrpc`, `id`, `method` and, if any, `params` as an object",
        )),
    }
}

fn reject(id: Id, code: ErrorCode, message: impl Into<String>) -> Received {
    Received::Rejected(RpcMessage::response(id, Err(RpcError::new(code, message))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &str) -> Value {
        match receive(line.as_bytes()) {
            Some(Received::Rejected(message)) => serde_json::to_value(message).unwrap(),
            other => panic!("expected an answer, got {other:?}"),
        }
    }

    #[test]
    fn messages_pass_and_blank_lines_do_not() {
        assert!(matches!(
            receive(br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#),
            Some(Received::Message(RpcMessage::Request(_)))
        ));
        assert!(matches!(
            receive(b" {\"jsonrpc\":\"2.0\",\"method\":\"session/cancel\"}\r"),
            Some(Received::Message(RpcMessage::Notification(_)))
        ));
        assert!(receive(b" \r").is_none());
    }

    #[test]
    fn an_unreadable_line_is_answered_without_repeating_it() {
        let answer = answer(r#"{"jsonrpc":"2.0","params":{"key":"sk-secret"}"#);
        assert_eq!(answer["error"]["code"], -32700);
        assert_eq!(answer["id"], Value::Null);
        assert!(!answer.to_string().contains("sk-secret"), "{answer}");
        assert_eq!(self::answer("\u{1}")["error"]["code"], -32700);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_a_parse_error() {
        let Some(Received::Rejected(message)) = receive(b"{\"a\":\"\xff\"}") else { panic!("expected an answer") };
        assert_eq!(serde_json::to_value(message).unwrap()["error"]["code"], -32700);
    }

    #[test]
    fn an_invalid_request_is_answered_under_its_id() {
        let answer = answer(r#"{"id":"seven","method":"initialize"}"#);
        assert_eq!(answer["error"]["code"], -32600);
        assert_eq!(answer["id"], "seven");
        assert_eq!(self::answer("[]")["error"]["code"], -32600);
        assert_eq!(self::answer("17")["error"]["code"], -32600);
    }

    #[test]
    fn malformed_notifications_and_responses_are_never_answered() {
        assert!(receive(br#"{"method":"session/cancel"}"#).is_none());
        assert!(receive(br#"{"jsonrpc":"2.0","id":1,"result":null,"error":{}}"#).is_none());
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_the_next_one_read() {
        let mut reader = BufReader::with_capacity(4, &b"0123456789\nshort\n\nlast"[..]);
        let mut line = Vec::new();
        assert_eq!(read_line(&mut reader, &mut line, 8).await.unwrap(), Read::TooLong);
        line.clear();
        assert_eq!(read_line(&mut reader, &mut line, 8).await.unwrap(), Read::Line);
        assert_eq!(line, b"short");
        line.clear();
        assert_eq!(read_line(&mut reader, &mut line, 8).await.unwrap(), Read::Line);
        assert_eq!(line, b"");
        assert_eq!(read_line(&mut reader, &mut line, 8).await.unwrap(), Read::Line);
        assert_eq!(line, b"last");
        line.clear();
        assert_eq!(read_line(&mut reader, &mut line, 8).await.unwrap(), Read::End);
    }
}
