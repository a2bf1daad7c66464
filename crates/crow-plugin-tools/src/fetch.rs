//! The tool `fetch`.

use std::sync::Arc;

use crow_acp::{
    Access, BoxFuture, ToolCall, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolKind, ToolOutcome,
    ToolPreview,
};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use crate::context::{Context, blocking, fenced, headline, preview_of};
use crate::files;
use crate::html;
use crate::web::Web;

/// Redirects that are followed; more are a circle.
const MOST_REDIRECTS: usize = 10;

#[derive(Debug, Deserialize)]
struct Arguments {
    url: String,
}

impl Arguments {
    fn url(&self) -> Result<Url, ToolError> {
        let wrong = |why: String| ToolError::new(format!("`{}` cannot be fetched: {why}", headline(&self.url)));
        let mut url = Url::parse(self.url.trim()).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("only http and https addresses can".to_owned()));
        }
        url.set_fragment(None);
        Ok(url)
    }
}

pub(crate) fn tool(web: Arc<Web>) -> ToolDescriptor {
    let schema = json!({
        "type": "object",
        "properties": {
            "url": { "type": "string", "description": "The address, http or https" }
        },
        "required": ["url"]
    });
    let description = "Gets a page or a text file from the web. Pages come as readable text.";
    ToolDescriptor::new("fetch", description, schema, Fetch { web }).kind(ToolKind::Fetch).read_only()
}

struct Fetch {
    web: Arc<Web>,
}

impl ToolHandler for Fetch {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move { preview_of("Fetch a page", preview(cx, call).await) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async move {
            let cx = Context::<Arguments>::new(cx, call).await?;
            run(&cx, &self.web).await
        })
    }
}

async fn preview(cx: &ToolContext, call: &ToolCall) -> Result<ToolPreview, ToolError> {
    let url = Context::<Arguments>::new(cx, call).await?.arguments.url()?.to_string();
    Ok(ToolPreview::new(format!("Fetch {}", headline(&url))).access(Access::Network { url }))
}

async fn run(cx: &Context<'_, Arguments>, web: &Web) -> Result<ToolOutcome, ToolError> {
    let url = cx.arguments.url()?;
    cx.check_access(Access::Network { url: url.to_string() })?;
    let deadline = Instant::now() + std::time::Duration::from_secs(cx.options.fetch_timeout_seconds);
    let work = get(cx, web, url);
    match tokio::time::timeout_at(deadline, work).await {
        Ok(result) => result,
        Err(_) => Err(ToolError::new(format!("the page did not come within {} s", cx.options.fetch_timeout_seconds))),
    }
}

async fn get(cx: &Context<'_, Arguments>, web: &Web, mut url: Url) -> Result<ToolOutcome, ToolError> {
    for _ in 0..MOST_REDIRECTS {
        let response = web.get(&url).await?;
        let status = response.status();
        if !status.is_redirection() || status == reqwest::StatusCode::NOT_MODIFIED {
            return page(cx, &url, response).await;
        }
        let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
        let Some(next) = target.and_then(|target| url.join(target).ok()) else {
            return Err(ToolError::new(format!("{url} redirects to nowhere ({status})")));
        };
        if !is_same_site(&url, &next) {
            // Leave was given for one host. Another is another question, and a web page must not answer it.
            return Ok(ToolOutcome::ok(format!(
                "{url} redirects to another site: fetch {next} if that is what you need"
            )));
        }
        url = next;
    }
    Err(ToolError::new(format!("{url} redirects in a circle")))
}

/// Whether a redirect stays where it was permitted: the same host and port, or the step up to https.
fn is_same_site(from: &Url, to: &Url) -> bool {
    let is_upgrade = (from.scheme(), to.scheme()) == ("http", "https")
        && (from.port_or_known_default(), to.port_or_known_default()) == (Some(80), Some(443));
    let same_port = from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default();
    from.host() == to.host() && (same_port || is_upgrade)
}

async fn page(
    cx: &Context<'_, Arguments>,
    url: &Url,
    mut response: reqwest::Response,
) -> Result<ToolOutcome, ToolError> {
    let status = response.status();
    let kind = Kind::of(response.headers());
    if let Kind::Other(name) = &kind
        && status.is_success()
    {
        return Err(ToolError::new(format!("{url} is not text but {name}; use `terminal` to download it")));
    }
    let mut bytes = Vec::new();
    let mut is_cut = false;
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(url, &error))? {
        let room = cx.options.fetch_max_bytes - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            is_cut = true;
            break;
        }
    }
    let text = blocking(move || kind.text(&bytes)).await?;
    let mut output = cx.output();
    output.push(&text);
    let text = output.finish();
    let problem = (!status.is_success()).then(|| format!("the server answered {status}"));
    let cut = is_cut.then(|| format!("only the first {} bytes of the page were read", cx.options.fetch_max_bytes));
    let moved = cx.arguments.url().is_ok_and(|asked| asked != *url).then(|| format!("redirected to {url}"));
    let notes = files::notes([problem.as_deref(), moved.as_deref(), cut.as_deref()]);
    let model = format!("{text}{notes}").trim_start_matches('\n').to_owned();
    let outcome = if status.is_success() { ToolOutcome::ok(model) } else { ToolOutcome::failed(model) };
    Ok(outcome.content(fenced(&text, "")))
}

/// A request that failed, with its causes: the first says little.
pub(crate) fn failed(url: &Url, error: &reqwest::Error) -> ToolError {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    let why = if causes.is_empty() { error.to_string() } else { causes.join(": ") };
    ToolError::new(format!("{url} cannot be fetched: {why}"))
}

/// What a server says it sends.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Html(Option<String>),
    Text(Option<String>),
    Other(String),
}

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        let Some(header) = headers.get(CONTENT_TYPE) else { return Self::Text(None) };
        let header = String::from_utf8_lossy(header.as_bytes()).to_ascii_lowercase();
        let mut parts = header.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let charset =
            parts.find_map(|part| part.strip_prefix("charset=")).map(|charset| charset.trim_matches('"').to_owned());
        let is_text = name.starts_with("text/")
            || name.ends_with("+json")
            || name.ends_with("+xml")
            || name.is_empty()
            || [
                "json",
                "xml",
                "javascript",
                "ecmascript",
                "yaml",
                "x-yaml",
                "toml",
                "x-sh",
                "x-ndjson",
                "sql",
                "graphql",
            ]
            .iter()
            .any(|known| name.strip_prefix("application/") == Some(known));
        match name {
            "text/html" | "application/xhtml+xml" => Self::Html(charset),
            _ if is_text => Self::Text(charset),
            _ => Self::Other(name.to_owned()),
        }
    }

    fn text(&self, bytes: &[u8]) -> String {
        match self {
            Self::Html(charset) => html::to_text(&decoded(bytes, charset.as_deref().or(declared(bytes).as_deref()))),
            Self::Text(charset) => decoded(bytes, charset.as_deref()),
            // Only of answers that are errors.
            Self::Other(_) => String::new(),
        }
    }
}

fn decoded(bytes: &[u8], charset: Option<&str>) -> String {
    let encoding =
        charset.and_then(|name| encoding_rs::Encoding::for_label(name.as_bytes())).unwrap_or(encoding_rs::UTF_8);
    encoding.decode(bytes).0.into_owned()
}

/// The encoding that a page itself claims to have.
fn declared(bytes: &[u8]) -> Option<String> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
    let (_, rest) = start.split_once("charset=")?;
    let name: String = rest
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(value: &str) -> Kind {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, value.parse().unwrap());
        Kind::of(&headers)
    }

    #[test]
    fn text_is_told_from_what_is_none() {
        assert_eq!(kind("text/html; charset=\"ISO-8859-1\""), Kind::Html(Some("iso-8859-1".into())));
        assert_eq!(kind("Text/Plain"), Kind::Text(None));
        assert_eq!(kind("application/vnd.api+json"), Kind::Text(None));
        assert_eq!(kind("image/png"), Kind::Other("image/png".into()));
        assert_eq!(Kind::of(&HeaderMap::new()), Kind::Text(None));
    }

    #[test]
    fn encodings_are_obeyed() {
        assert_eq!(kind("text/plain; charset=latin1").text(b"caf\xe9"), "caf\u{e9}");
        assert_eq!(kind("text/html").text(b"<meta charset='windows-1252'>caf\xe9"), "caf\u{e9}");
        assert_eq!(kind("text/html").text(b"caf\xff"), "caf\u{fffd}");
    }

    #[test]
    fn only_the_same_site_is_followed() {
        let same = |from: &str, to: &str| is_same_site(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
        assert!(same("http://a.example/x", "http://a.example/y"));
        assert!(same("http://a.example/x", "https://a.example/x"));
        assert!(!same("https://a.example/x", "http://a.example/x"));
        assert!(!same("http://a.example/", "http://127.0.0.1/"));
        assert!(!same("http://127.0.0.1:1/", "http://127.0.0.1:2/"));
        assert!(!same("http://a.example/", "file:///etc/passwd"));
    }
}
