//! Errors as clients get them: one line that says what to do, a code that clients act on, data that programs read.
//! Nothing in them repeats what a client sent.

use serde_json::{Value, json};

use super::port::schema;
use super::port::{ErrorCode, RpcError};
use crate::answers::RunError;
use crate::provider::ProviderErrorKind;
use crate::secret::Secrets;
use crate::session::SessionError;

/// The longest message, in characters.
const LONGEST: usize = 1_000;

/// The parameter `field` of `method` is not as it should be.
pub(super) fn invalid(method: &str, field: &str, what: &str) -> RpcError {
    RpcError::new(ErrorCode::INVALID_PARAMS, format!("{method}: `{field}` {what}"))
        .data(json!({ "method": method, "field": field }))
}

/// Nobody answers `method`.
pub(super) fn unknown_method(method: &str) -> RpcError {
    let method: String = method.chars().filter(|c| !c.is_control()).take(80).collect();
    RpcError::new(ErrorCode::METHOD_NOT_FOUND, format!("there is no method `{method}`"))
}

/// No such session is open.
pub(super) fn no_session(id: &str) -> RpcError {
    let id: String = id.chars().filter(|c| !c.is_control()).take(80).collect();
    let mut error: RpcError = schema::Error::session_not_found(id).into();
    error.message = "there is no such session: make one with session/new, or load it with session/load".into();
    error
}

/// Nothing is configured that could answer.
pub(super) fn not_configured() -> RpcError {
    RpcError::new(
        ErrorCode::AUTH_REQUIRED,
        "no model provider is configured: run `crow init`, or set OPENAI_API_KEY and CROW_MODEL, then try again",
    )
    .data(json!({ "kind": "not_configured" }))
}

/// A run, or something else that plugins did, failed.
pub(super) fn failed(error: &RunError, secrets: &Secrets) -> RpcError {
    let code = match error.kind() {
        Some(ProviderErrorKind::Authentication) => ErrorCode::AUTH_REQUIRED,
        _ => ErrorCode::INTERNAL_ERROR,
    };
    let mut data = serde_json::Map::new();
    if let Some(provider) = &error.provider {
        data.insert("kind".into(), serde_json::to_value(provider.kind).unwrap_or(Value::Null));
        if let Some(status) = provider.status {
            data.insert("status".into(), status.into());
        }
        if let Some(after) = provider.retry_after {
            data.insert("retryAfter".into(), after.as_secs_f64().ceil().into());
        }
    } else {
        data.insert("kind".into(), if error.origin.is_some() { "hook" } else { "run" }.into());
    }
    if let Some((plugin, hook)) = &error.origin {
        data.insert("plugin".into(), plugin.as_str().into());
        data.insert("hook".into(), hook.as_str().into());
    }
    RpcError::new(code, one_line(&secrets.scrub(&error.message))).data(Value::Object(data))
}

/// A session could not be made or loaded.
pub(super) fn no_start(method: &str, error: &SessionError, secrets: &Secrets) -> RpcError {
    match error {
        SessionError::RelativeCwd(_) => invalid(method, "cwd", "and every further directory must be an absolute path"),
        SessionError::NoSuchDirectory(_) => invalid(method, "cwd", "is not a directory that exists"),
        SessionError::NotFound(id) => no_session(id),
        SessionError::Hook(error) => failed(error, secrets),
    }
}

/// Text on one line: clients show errors where there is no room for more.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST));
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
    }
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push('…');
    }
    if line.is_empty() { "something failed without saying what".into() } else { line }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::provider::ProviderError;

    fn value(error: &RpcError) -> Value {
        serde_json::to_value(error).unwrap()
    }

    #[test]
    fn a_rate_limit_says_when_to_come_back() {
        let error = ProviderError::new(ProviderErrorKind::RateLimit, "slow down\nplease")
            .with_status(429)
            .with_retry_after(Some(Duration::from_millis(1_500)));
        let error = value(&failed(&error.into(), &Secrets::default()));
        assert_eq!(error["code"], -32603);
        assert_eq!(error["message"], "slow down please");
        assert_eq!(error["data"], json!({ "kind": "rate_limit", "status": 429, "retryAfter": 2.0 }));
    }

    #[test]
    fn only_what_a_login_fixes_asks_for_one() {
        let error = ProviderError::new(ProviderErrorKind::Authentication, "401").with_status(401);
        assert_eq!(value(&failed(&error.into(), &Secrets::default()))["code"], -32000);
        let error = ProviderError::new(ProviderErrorKind::Payment, "402").with_status(402);
        assert_eq!(value(&failed(&error.into(), &Secrets::default()))["code"], -32603);
    }

    #[test]
    fn secrets_are_scrubbed() {
        let secrets = Secrets::default();
        secrets.add("sk-12345678");
        let error = value(&failed(&RunError::new("bad key sk-12345678"), &secrets));
        assert_eq!(error["message"], "bad key ***");
    }

    #[test]
    fn messages_are_one_line_and_bounded() {
        assert_eq!(one_line(" a \n\n  b\r\nc "), "a b c");
        assert_eq!(one_line(&"x".repeat(5_000)).chars().count(), LONGEST + 1);
        assert!(!one_line("").is_empty());
    }
}
