//! The chunks of a streamed answer, as far as anybody looks at them. Typed, so that what nobody looks at is skipped
//! without being built; lenient, because servers differ in what they leave out, send as `null` or send in another shape.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// One `data:` of the stream; also a whole answer that was not streamed.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chunk {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) choices: Vec<Choice>,
    #[serde(default)]
    pub(crate) usage: Option<WireUsage>,
    /// Seen inside streams with status 200. Its shape differs: read only when it is there.
    #[serde(default)]
    pub(crate) error: Option<Value>,
}

impl Chunk {
    /// Whether there is anything in it that this program knows.
    pub(crate) fn says_something(&self) -> bool {
        !self.choices.is_empty() || self.usage.is_some() || self.error.is_some()
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Choice {
    #[serde(default, alias = "message")]
    pub(crate) delta: Option<WireDelta>,
    #[serde(default)]
    pub(crate) finish_reason: Option<String>,
    /// Some servers put it here.
    #[serde(default)]
    pub(crate) usage: Option<WireUsage>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct WireDelta {
    #[serde(default)]
    pub(crate) content: Option<Content>,
    #[serde(default)]
    pub(crate) reasoning_content: Option<Content>,
    #[serde(default)]
    pub(crate) reasoning: Option<Content>,
    #[serde(default)]
    pub(crate) refusal: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) tool_calls: Vec<CallFragment>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct CallFragment {
    #[serde(default)]
    pub(crate) index: Option<i64>,
    #[serde(default)]
    pub(crate) id: Option<String>,
    #[serde(default)]
    pub(crate) function: Option<FunctionFragment>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct FunctionFragment {
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) arguments: Option<Arguments>,
}

/// Tokens, in the words of several servers.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub(crate) struct WireUsage {
    #[serde(default)]
    pub(crate) prompt_tokens: Count,
    #[serde(default)]
    pub(crate) completion_tokens: Count,
    #[serde(default)]
    pub(crate) prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    pub(crate) completion_tokens_details: Option<CompletionDetails>,
    #[serde(default)]
    pub(crate) prompt_cache_hit_tokens: Count,
    #[serde(default)]
    pub(crate) cached_tokens: Count,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub(crate) struct PromptDetails {
    #[serde(default)]
    pub(crate) cached_tokens: Count,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub(crate) struct CompletionDetails {
    #[serde(default)]
    pub(crate) reasoning_tokens: Count,
}

impl WireUsage {
    pub(crate) fn to_usage(self) -> crow_acp::Usage {
        let mut usage = crow_acp::Usage::new(self.prompt_tokens.0, self.completion_tokens.0);
        let details = self.prompt_tokens_details.unwrap_or_default().cached_tokens.0;
        usage.cached_input_tokens = details.max(self.prompt_cache_hit_tokens.0).max(self.cached_tokens.0);
        usage.reasoning_tokens = self.completion_tokens_details.unwrap_or_default().reasoning_tokens.0;
        usage
    }
}

/// A number of tokens: `null`, a float or a negative number must not cost us the whole chunk.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count(pub(crate) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl Visitor<'_> for CountVisitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of tokens")
            }

            fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
                Ok(Count(count))
            }

            fn visit_i64<E>(self, count: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(count).unwrap_or(0)))
            }

            fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
                Ok(Count(count as u64))
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(0))
            }
        }
        deserializer.deserialize_any(CountVisitor)
    }
}

/// Text, or a list of parts of text and of thinking.
#[derive(Debug)]
pub(crate) enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

/// A part of a [`Content`] that is a list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ContentPart {
    #[serde(default)]
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) thinking: Option<Content>,
}

impl Content {
    /// All its text in one; the thinking of its parts is left out.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Content::Parts)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                // A single part without its list.
                ContentPart::deserialize(MapAccessDeserializer::new(map)).map(|part| Content::Parts(vec![part]))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Content, E> {
                Ok(Content::Text(String::new()))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// The arguments' text; servers that send an object instead of its text get it written out.
#[derive(Debug, Default)]
pub(crate) struct Arguments(pub(crate) String);

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ArgumentsVisitor;
        impl<'de> Visitor<'de> for ArgumentsVisitor {
            type Value = Arguments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the arguments of a call")
            }

            fn visit_str<E>(self, text: &str) -> Result<Arguments, E> {
                Ok(Arguments(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Arguments, E> {
                Ok(Arguments(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Arguments, A::Error> {
                Value::deserialize(MapAccessDeserializer::new(map)).map(|value| Arguments(value.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Arguments, E> {
                Ok(Arguments::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Arguments, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Arguments::default())
            }
        }
        deserializer.deserialize_any(ArgumentsVisitor)
    }
}

/// `null` counts as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
