//! Secrets: values that print as `***`, and the list of those known, so that logs and errors can be scrubbed of them.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands in the place of a secret.
const MASK: &str = "***";

/// The shortest value that is scrubbed, in bytes: shorter ones are parts of ordinary words.
const SHORTEST: usize = 6;

/// Variables that are about the machine rather than secret: hiding their values would only garble messages.
const PLAIN: [&str; 9] = ["HOME", "USER", "LOGNAME", "PWD", "SHELL", "LANG", "HOSTNAME", "TMPDIR", "PATH"];

/// A value that nobody may read by accident: debugging, printing and serialising it give `***`.
///
/// ```
/// use crow_acp::Secret;
///
/// let key = Secret::new("sk-12345678");
/// assert_eq!(format!("{key} {key:?}"), "*** ***");
/// assert_eq!(key.expose(), "sk-12345678");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// A secret of this value.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself: for the header it belongs in, and for nothing that is written anywhere.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// The secrets that this process knows. Clones share one list; those who write logs, errors or files scrub with it.
///
/// ```
/// use crow_acp::Secrets;
///
/// let secrets = Secrets::default();
/// secrets.add("sk-12345678");
/// assert_eq!(secrets.scrub("401: the key sk-12345678 is wrong"), "401: the key *** is wrong");
/// ```
#[derive(Clone, Default)]
pub struct Secrets(Arc<RwLock<Arc<[Box<str>]>>>);

impl Secrets {
    /// Remembers a value. One of fewer than six bytes is not scrubbed: it would make holes in ordinary text.
    pub fn add(&self, value: &str) {
        self.insert(value);
        // Logs hold JSON, in which the same value may be written with escapes.
        let escaped = serde_json::Value::from(value).to_string();
        self.insert(&escaped[1..escaped.len() - 1]);
    }

    /// Remembers the value of an environment variable, unless the variable is one that is about the machine.
    pub fn add_variable(&self, name: &str, value: &str) {
        if !PLAIN.contains(&name) && !name.starts_with("XDG_") {
            self.add(value);
        }
    }

    fn insert(&self, value: &str) {
        if value.len() < SHORTEST || value == MASK {
            return;
        }
        let mut list = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if list.iter().any(|known| **known == *value) {
            return;
        }
        let mut longer: Vec<Box<str>> = list.iter().cloned().collect();
        // The longest first: a secret that begins another must not leave the other's tail behind.
        let at = longer.partition_point(|known| known.len() >= value.len());
        longer.insert(at, value.into());
        *list = longer.into();
    }

    /// The text with every known value replaced by `***`; borrowed if there is none in it.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let list = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let mut text = Cow::Borrowed(text);
        for secret in list.iter() {
            if text.contains(&**secret) {
                text = Cow::Owned(text.replace(&**secret, MASK));
            }
        }
        text
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.read().unwrap_or_else(PoisonError::into_inner).len();
        write!(f, "Secrets({count})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_and_serialises_as_a_mask() {
        let secret = Secret::new("sk-abcdefgh");
        assert_eq!(format!("{secret}{secret:?}"), "******");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "sk-abcdefgh");
    }

    #[test]
    fn text_without_secrets_is_not_copied() {
        let secrets = Secrets::default();
        secrets.add("sk-abcdefgh");
        assert!(matches!(secrets.scrub("nothing in here"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_longer_of_two_overlapping_secrets_goes_first() {
        let secrets = Secrets::default();
        secrets.add("token-1");
        secrets.add("token-123456");
        assert_eq!(secrets.scrub("token-123456 token-1"), "*** ***");
    }

    #[test]
    fn a_secret_is_found_in_json_too() {
        let secrets = Secrets::default();
        secrets.add("quo\"te\\d");
        let json = serde_json::json!({ "key": "quo\"te\\d" }).to_string();
        assert_eq!(secrets.scrub(&json), r#"{"key":"***"}"#);
    }

    #[test]
    fn short_values_are_left_alone_and_clones_share_the_list() {
        let secrets = Secrets::default();
        let clone = secrets.clone();
        clone.add("short");
        clone.add("long enough");
        assert_eq!(secrets.scrub("short, long enough"), "short, ***");
        assert_eq!(format!("{secrets:?}"), "Secrets(1)");
    }
}
