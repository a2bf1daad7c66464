//! As much HTTP/1.1 as a model server needs.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::Instant,
};

use super::reply::{Reply, Step};

/// Bytes that may wait before they are sent although nothing asked for it.
const FULL: usize = 16 * 1024;

/// A request as it came in.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Reads the next request of a connection; `None` when the client closed it.
pub(super) fn read_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let find = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let body = if find("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        read_chunks(reader)?
    } else {
        let length = find("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        body
    };
    Ok(Some(Request { method, path, headers, body }))
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..])?;
        line.clear();
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// How an answer ended.
pub(super) enum End {
    /// Properly; the connection can serve another request.
    Complete,
    /// The script or the client closed it.
    Closed,
}

/// Sends `reply`; `first` is called right before the first byte goes out.
pub(super) fn send(reply: &Reply, stream: &mut TcpStream, first: impl FnOnce()) -> io::Result<End> {
    let mut out = Vec::with_capacity(FULL + 1024);
    write!(out, "HTTP/1.1 {} {}\r\n", reply.status, if reply.status == 200 { "OK" } else { "Error" })?;
    for (name, value) in &reply.headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    if reply.streamed {
        out.extend_from_slice(b"content-type: text/event-stream\r\n");
    }
    out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    let mut first = Some(first);
    // Pauses keep to a timetable: one that takes too long does not delay those after it.
    let mut due = Instant::now();
    let mut flush = |out: &mut Vec<u8>, stream: &mut TcpStream| -> io::Result<()> {
        if let Some(first) = first.take() {
            first();
        }
        stream.write_all(out)?;
        out.clear();
        Ok(())
    };
    for step in &reply.steps {
        match step {
            Step::Bytes(bytes) => {
                write!(out, "{:x}\r\n", bytes.len())?;
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
                if out.len() >= FULL {
                    flush(&mut out, stream)?;
                }
            }
            Step::Flush => flush(&mut out, stream)?,
            Step::Pause(pause) => {
                if !out.is_empty() {
                    flush(&mut out, stream)?;
                }
                due += *pause;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            Step::Hang => {
                flush(&mut out, stream)?;
                // Nothing more is expected from the client: whatever ends this read ends the wait.
                let _ = stream.read(&mut [0]);
                return Ok(End::Closed);
            }
            Step::Cut => {
                flush(&mut out, stream)?;
                return Ok(End::Closed);
            }
        }
    }
    out.extend_from_slice(b"0\r\n\r\n");
    flush(&mut out, stream)?;
    Ok(End::Complete)
}
