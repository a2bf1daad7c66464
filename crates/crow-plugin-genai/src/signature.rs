//! What a model signs of its reasoning and wants back unchanged, in the one text that a message keeps of it.
//!
//! Most of it is that text. Two things need more: a block of Anthropic's whose reasoning is encrypted goes back whole, and a
//! signature of Gemini's belongs to a certain call.

use serde_json::{Value, json};

/// A signature, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Signature {
    /// Signs the reasoning it stands with.
    Plain(String),
    /// Signs the call of this number in its message.
    Call(usize, String),
    /// A whole block.
    Block(Value),
}

impl Signature {
    /// As it is kept.
    pub(crate) fn keep(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Call(number, text) => json!({ "call": number, "signature": text }).to_string(),
            Self::Block(block) => json!({ "block": block }).to_string(),
        }
    }

    /// As it was kept. Providers' own are base64, which never looks like ours.
    pub(crate) fn read(kept: &str) -> Self {
        let Some(Value::Object(mut ours)) = kept.starts_with('{').then(|| serde_json::from_str(kept).ok()).flatten()
        else {
            return Self::Plain(kept.to_owned());
        };
        match (ours.remove("block"), ours.get("call").and_then(Value::as_u64), ours.get("signature")) {
            (Some(block), ..) => Self::Block(block),
            (None, Some(number), Some(Value::String(text))) => {
                Self::Call(usize::try_from(number).unwrap_or(usize::MAX), text.clone())
            }
            _ => Self::Plain(kept.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        for signature in [
            Signature::Plain("EqQBCkYIBxgCKkAx==".into()),
            Signature::Plain("{\"something\":\"else\"}".into()),
            Signature::Plain(String::new()),
            Signature::Call(2, "CpcBAVSoXO4=".into()),
            Signature::Block(json!({ "type": "redacted_thinking", "data": "EmwKAhgB" })),
        ] {
            assert_eq!(Signature::read(&signature.keep()), signature);
        }
    }
}
