//! The crate's errors as the agent's own kinds, in words for the user.

use crow_acp::{ProviderError, ProviderErrorKind as Kind};
use crow_provider_http::{Told, from_status, from_stream, from_transport, snippet};
use genai::webc::{self, StreamTimeout};
use genai::{BoxError, Error};

use crate::protocol::Protocol;

/// What an error of the crate means.
pub(crate) fn read(protocol: Protocol, error: &Error) -> ProviderError {
    match error {
        Error::HttpError { status, body, headers, .. } => from_status(*status, headers, body.as_bytes()).1,
        Error::WebModelCall { webc_error, .. } | Error::WebAdapterCall { webc_error, .. } => of_call(webc_error),
        Error::WebStream { error, .. } => of_stream(protocol, error),
        Error::ChatResponse { body, .. } => from_stream(body),
        // What a failed response says arrives as if it could not be read.
        Error::StreamParse { serde_error, .. } if protocol == Protocol::Responses => {
            let told = Told { message: serde_error.to_string(), ..Told::default() };
            ProviderError::new(told.kind(None), format!("broke off: {}", snippet(told.message.as_bytes())))
        }
        Error::StreamParse { serde_error, .. } => {
            ProviderError::new(Kind::Protocol, format!("sent what is no answer of a model: {serde_error}"))
        }
        Error::Resolver { .. } | Error::RequiresApiKey { .. } | Error::NoAuthData { .. } => {
            ProviderError::new(Kind::Authentication, "wants a key")
        }
        other => {
            ProviderError::new(Kind::Protocol, format!("cannot be asked: {}", snippet(other.to_string().as_bytes())))
        }
    }
}

fn of_call(error: &webc::Error) -> ProviderError {
    match error {
        webc::Error::ResponseFailedStatus { status, body, headers } => from_status(*status, headers, body.as_bytes()).1,
        webc::Error::Reqwest(error) => from_transport(error),
        webc::Error::ResponseFailedNotJson { body, .. } | webc::Error::ResponseFailedInvalidJson { body, .. } => {
            let what = format!("sent what is no answer of a model: {}", snippet(body.as_bytes()));
            ProviderError::new(Kind::Protocol, what)
        }
        error @ webc::Error::JsonValueExt(_) => {
            ProviderError::new(Kind::Protocol, snippet(error.to_string().as_bytes()))
        }
    }
}

fn of_stream(protocol: Protocol, error: &BoxError) -> ProviderError {
    if let Some(error) = error.downcast_ref::<Error>() {
        return read(protocol, error);
    }
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return from_transport(error);
    }
    match error.downcast_ref::<StreamTimeout>() {
        Some(StreamTimeout::Headers) => ProviderError::new(Kind::Timeout, "gave no answer in time"),
        Some(StreamTimeout::Read) => ProviderError::new(Kind::Timeout, "fell silent within an answer"),
        None => ProviderError::new(Kind::Connection, format!("broke off: {}", snippet(error.to_string().as_bytes()))),
    }
}

/// The error of an answer that ended without its end.
pub(crate) fn cut_off() -> ProviderError {
    ProviderError::new(Kind::Connection, "broke off before the end of its answer")
}
