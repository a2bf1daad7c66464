//! As much of HTTP/1.1 as an example needs: no bodies in requests, one request per connection.

use std::collections::BTreeMap;

use tokio::{
    io::{self, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// What the head of a request may be long, in bytes.
const HEAD_LIMIT: u64 = 16 * 1024;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// What is asked for.
    pub path: String,
    /// The headers, by lower-case name.
    pub headers: BTreeMap<String, String>,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The text.
    pub body: String,
}

impl Response {
    /// A response with this text.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: BTreeMap::new(), body: body.into() }
    }
}

/// Reads the head of a request; `None` if it is none.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    read_from(stream).await
}

async fn read_from(stream: impl AsyncRead + Unpin) -> io::Result<Option<Request>> {
    let mut lines = BufReader::new(stream.take(HEAD_LIMIT)).lines();
    let Some(first) = lines.next_line().await? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(path), Some(_)) = (words.next(), words.next(), words.next()) else { return Ok(None) };
    let mut request = Request { method: method.into(), path: path.into(), headers: BTreeMap::new() };
    while let Some(line) = lines.next_line().await? {
        let Some((name, value)) = line.split_once(':') else { break };
        request.headers.insert(name.to_ascii_lowercase(), value.trim().into());
    }
    Ok(Some(request))
}

/// Writes a response.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), response: &Response) -> io::Result<()> {
    let mut text =
        format!("HTTP/1.1 {}\r\nconnection: close\r\ncontent-length: {}\r\n", response.status, response.body.len());
    for (name, value) in &response.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(&response.body);
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
