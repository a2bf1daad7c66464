//! What went wrong, as the agent's own kinds of error, in words for the user and without secrets.

use std::time::{Duration, SystemTime};

use crow_acp::{ProviderError, ProviderErrorKind as Kind};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// How much of an answer that nobody understands is shown, in characters.
const SNIPPET: usize = 300;

/// What an endpoint says about an error.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// In its words.
    pub message: String,
    /// Its code, or the type where there is no code.
    pub code: String,
    /// A HTTP status inside the body, as gateways pass it on.
    pub status: Option<u16>,
}

impl Told {
    /// Reads the body of an answer; what is not the usual JSON is quoted.
    pub fn from_body(body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        Self::from_value(&value).unwrap_or_else(|| Self { message: snippet(body), ..Self::default() })
    }

    /// Reads `{"error": …}`, `{"message": …}`, `{"detail": …}` or what stands in place of them.
    pub fn from_value(value: &Value) -> Option<Self> {
        // Some gateways wrap the error in a list.
        let value = if let Value::Array(list) = value { list.first()? } else { value };
        let error = match value.get("error") {
            Some(error) if !error.is_null() => error,
            _ => value,
        };
        if let Value::String(message) = error {
            return Some(Self { message: message.clone(), ..Self::default() });
        }
        let text = |key: &str| match error.get(key) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(number @ Value::Number(_)) => Some(number.to_string()),
            Some(other @ (Value::Array(_) | Value::Object(_))) => Some(other.to_string()),
            _ => None,
        };
        let message = text("message").or_else(|| text("detail"))?;
        // Gateways put the words of the server behind them here, and say little themselves.
        let behind = error.pointer("/metadata/raw").and_then(Value::as_str);
        let message = match behind {
            Some(behind) => format!("{message}: {}", snippet(behind.as_bytes())),
            None => message,
        };
        let code =
            text("code").filter(|code| code.parse::<u16>().is_err()).or_else(|| text("type")).unwrap_or_default();
        let status = error.get("code").or_else(|| error.get("status")).and_then(|code| match code {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        });
        let status = status.and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status));
        Some(Self { message, code, status })
    }

    /// The kind of the error that came with `status`, or in the middle of a stream without one.
    pub fn kind(&self, status: Option<u16>) -> Kind {
        let message = self.message.to_lowercase();
        let rate = matches!(status, Some(429)) || message.contains("per min") || self.code.contains("rate_limit");
        if !rate && (status == Some(413) || overflows(&message, &self.code)) {
            return Kind::ContextOverflow;
        }
        // No wait helps an account without credit, though it comes as 429.
        if self.code == "insufficient_quota" || self.code == "billing_hard_limit_reached" {
            return Kind::Payment;
        }
        match status {
            _ if rate && !matches!(status, Some(400..=404)) => Kind::RateLimit,
            Some(401 | 403) => Kind::Authentication,
            Some(402) => Kind::Payment,
            Some(404) => Kind::NotFound,
            Some(503 | 529) => Kind::Overloaded,
            Some(408 | 409 | 425 | 500..) => Kind::Server,
            Some(_) => Kind::BadRequest,
            None => match self.code.as_str() {
                "overloaded_error" | "overloaded" | "server_overloaded" => Kind::Overloaded,
                "invalid_request_error" | "invalid_prompt" | "BadRequestError" => Kind::BadRequest,
                "authentication_error" | "invalid_api_key" => Kind::Authentication,
                _ => Kind::Server,
            },
        }
    }
}

/// Whether an error means that the conversation does not fit: a code where there is one, else the words that servers
/// use (lower case).
fn overflows(message: &str, code: &str) -> bool {
    const CODES: [&str; 5] = [
        "context_length_exceeded",
        "exceed_context_size_error",
        "context_window_exceeded",
        "model_context_window_exceeded",
        "request_too_large",
    ];
    const WORDS: [&str; 12] = [
        "context length",
        "context window",
        "context size",
        "context_length",
        "maximum prompt length",
        "prompt is too long",
        "input is too long",
        "input length",
        "prompt too long",
        "too many tokens",
        "reduce the length of",
        "exceeds the maximum number of tokens",
    ];
    CODES.contains(&code) || WORDS.iter().any(|words| message.contains(words))
}

/// An answer that is not a stream at all, or whose body stopped making sense, in its first letters.
pub fn snippet(body: &[u8]) -> String {
    let head = String::from_utf8_lossy(&body[..body.len().min(4 * SNIPPET)]);
    let words = head.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut text = words.collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(SNIPPET) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// How long the headers of an answer ask us to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok();
    let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    if let Some(ms) = header("retry-after-ms").and_then(number) {
        return duration(ms / 1e3);
    }
    let text = header("retry-after")?;
    match number(text) {
        Some(seconds) => duration(seconds),
        // A date that has passed asks for no wait at all.
        None => httpdate::parse_http_date(text).ok().map(|date| date.duration_since(now).unwrap_or_default()),
    }
}

/// The error of an answer with a status other than 200.
pub fn from_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> (Told, ProviderError) {
    let told = Told::from_body(body);
    let code = status.as_u16();
    let kind = told.kind(Some(code));
    let reason = status.canonical_reason().unwrap_or("");
    let message = match (status.is_redirection(), told.message.is_empty()) {
        (true, _) => format!("redirects elsewhere ({code} {reason}); set its `base_url` to where the API really is"),
        (false, true) => format!("answered {code} {reason}"),
        (false, false) => format!("answered {code} {reason}: {}", told.message),
    };
    let error =
        ProviderError::new(kind, message).with_status(code).with_retry_after(retry_after(headers, SystemTime::now()));
    (told, error)
}

/// The error that a stream carried.
pub fn from_stream(error: &Value) -> ProviderError {
    let told = Told::from_value(error)
        .unwrap_or_else(|| Told { message: snippet(error.to_string().as_bytes()), ..Told::default() });
    let mut out = ProviderError::new(told.kind(told.status), format!("broke off: {}", told.message));
    out.status = told.status;
    out
}

/// The error of a request that got no answer, or whose answer stopped.
pub fn from_transport(error: &reqwest::Error) -> ProviderError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    let (kind, what) = if error.is_timeout() && error.is_connect() {
        (Kind::Timeout, "took too long to connect")
    } else if error.is_connect() {
        (Kind::Connection, "cannot be reached")
    } else if error.is_builder() || error.is_request() && text.contains("invalid") {
        (Kind::BadRequest, "cannot be asked")
    } else {
        (Kind::Connection, "broke the connection")
    };
    ProviderError::new(kind, format!("{what}: {text}"))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    fn kind(status: impl Into<Option<u16>>, body: Value) -> Kind {
        Told::from_body(body.to_string().as_bytes()).kind(status.into())
    }

    #[test]
    fn kinds_by_status() {
        let body = || json!({ "error": { "message": "no" } });
        for (status, wanted) in [
            (400, Kind::BadRequest),
            (401, Kind::Authentication),
            (402, Kind::Payment),
            (403, Kind::Authentication),
            (404, Kind::NotFound),
            (408, Kind::Server),
            (409, Kind::Server),
            (422, Kind::BadRequest),
            (429, Kind::RateLimit),
            (500, Kind::Server),
            (502, Kind::Server),
            (503, Kind::Overloaded),
            (529, Kind::Overloaded),
        ] {
            assert_eq!(kind(status, body()), wanted, "{status}");
        }
    }

    #[test]
    fn an_overflow_by_code_or_by_words() {
        for (status, body) in [
            (400, json!({ "error": { "code": "context_length_exceeded", "message": "x" } })),
            (400, json!({ "error": { "message": "This model's maximum context length is 8192 tokens. However, …" } })),
            (400, json!({ "object": "error", "message": "The prompt is too long", "code": 400 })),
            (
                500,
                json!({ "error": { "code": 500, "type": "exceed_context_size_error", "message": "exceeds the available context size" } }),
            ),
            (413, json!({ "error": "Payload Too Large" })),
        ] {
            assert_eq!(kind(status, body.clone()), Kind::ContextOverflow, "{body}");
        }
    }

    #[test]
    fn a_rate_limit_in_tokens_is_no_overflow() {
        let body = json!({ "error": { "message": "Request too large: limit 30000 tokens per min; reduce the length of …", "code": "rate_limit_exceeded" } });
        assert_eq!(kind(429, body.clone()), Kind::RateLimit);
        assert_eq!(kind(413, body), Kind::RateLimit);
    }

    #[test]
    fn no_credit_is_no_rate_limit() {
        assert_eq!(
            kind(429, json!({ "error": { "code": "insufficient_quota", "message": "You exceeded …" } })),
            Kind::Payment
        );
    }

    #[test]
    fn errors_in_any_shape() {
        let message = |body: &str| Told::from_body(body.as_bytes()).message;
        assert_eq!(message(r#"{"error":{"message":"a"}}"#), "a");
        assert_eq!(message(r#"{"error":"b"}"#), "b");
        assert_eq!(message(r#"{"detail":"c"}"#), "c");
        assert_eq!(message(r#"[{"error":{"message":"d"}}]"#), "d");
        assert_eq!(message(r#"{"error":{"message":"e","metadata":{"raw":"behind it"}}}"#), "e: behind it");
        assert_eq!(message("<html>\n<b>f</b>"), "<html> <b>f</b>");
        assert_eq!(message(""), "");
        assert_eq!(message(&"ü".repeat(5_000)).chars().count(), SNIPPET + 1);
    }

    #[test]
    fn errors_inside_a_stream() {
        let error = from_stream(&json!({ "message": "overloaded", "code": 502 }));
        assert_eq!((error.kind, error.status), (Kind::Server, Some(502)));
        let error = from_stream(&json!({ "message": "busy", "type": "overloaded_error" }));
        assert_eq!((error.kind, error.status), (Kind::Overloaded, None));
        assert_eq!(from_stream(&json!("gone")).message, "broke off: gone");
    }

    #[test]
    fn waits_as_long_as_it_is_asked_to() {
        let now = httpdate::parse_http_date("Fri, 20 Nov 2026 10:00:00 GMT").expect("a date");
        let wait = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(
                reqwest::header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]);
            retry_after(&headers, now)
        };
        assert_eq!(wait("retry-after", "8"), Some(Duration::from_secs(8)));
        assert_eq!(wait("retry-after", "1.5"), Some(Duration::from_millis(1_500)));
        assert_eq!(wait("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(wait("retry-after", "Fri, 20 Nov 2026 10:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(wait("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("retry-after", "soon"), None);
        assert_eq!(wait("retry-after", "-1"), None);
        assert_eq!(wait("retry-after", "1e40"), None);
    }
}
