//! What endpoints that speak the same protocol disagree about.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Url;

/// The field of an assistant message that carries its reasoning back to the model it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReasoningField {
    /// The endpoint refuses such fields, or forgets them.
    None,
    /// `reasoning_content`.
    ReasoningContent,
    /// `reasoning`.
    Reasoning,
}

/// How to put a request to one endpoint. What its address does not tell is learned from its first refusal.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// `max_completion_tokens` instead of `max_tokens`.
    completion_tokens: AtomicBool,
    /// Ask for usage at the end of the stream.
    stream_usage: AtomicBool,
    /// Send `prompt_cache_key`, by which requests of one session find their cache.
    pub(crate) cache_key: bool,
    pub(crate) reasoning: ReasoningField,
}

impl Dialect {
    /// The dialect of the endpoint at `base`.
    pub(crate) fn of(base: &Url) -> Self {
        let host = base.host_str().unwrap_or_default();
        let is = |name: &str| host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        let any = |names: &[&str]| names.iter().any(|name| is(name));
        let reasoning = if any(&["openrouter.ai", "cerebras.ai"]) {
            ReasoningField::Reasoning
        } else if is_local(base)
            || any(&[
                "deepseek.com",
                "moonshot.ai",
                "moonshot.cn",
                "z.ai",
                "bigmodel.cn",
                "aliyuncs.com",
                "minimax.io",
                "minimaxi.com",
            ])
        {
            // Their models think on from where they were when a tool's result comes in, if they are given it back.
            ReasoningField::ReasoningContent
        } else {
            ReasoningField::None
        };
        Self {
            completion_tokens: AtomicBool::new(any(&["openai.com", "openai.azure.com"])),
            stream_usage: AtomicBool::new(true),
            cache_key: is("api.openai.com"),
            reasoning,
        }
    }

    /// The field that limits the answer.
    pub(crate) fn limit_field(&self) -> &'static str {
        if self.completion_tokens.load(Ordering::Relaxed) { "max_completion_tokens" } else { "max_tokens" }
    }

    /// Whether to send `stream_options`.
    pub(crate) fn stream_usage(&self) -> bool {
        self.stream_usage.load(Ordering::Relaxed)
    }

    /// Learns from the words with which a request was refused as malformed, where the limit was sent in the field
    /// `limit`. True: put it again, it reads otherwise now.
    pub(crate) fn learn(&self, refusal: &str, limit: Option<&'static str>) -> bool {
        if let Some(limit) = limit
            && refusal.contains("max_completion_tokens")
        {
            self.completion_tokens.store(limit == "max_tokens", Ordering::Relaxed);
            return true;
        }
        refusal.contains("stream_options") && self.stream_usage.swap(false, Ordering::Relaxed)
    }
}

/// Whether the endpoint runs on this machine.
pub(crate) fn is_local(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(base: &str) -> Dialect {
        Dialect::of(&base.parse().expect("a URL"))
    }

    #[test]
    fn the_address_tells_most() {
        assert_eq!(dialect("https://api.openai.com/v1").limit_field(), "max_completion_tokens");
        assert_eq!(dialect("https://me.openai.azure.com/openai/v1").limit_field(), "max_completion_tokens");
        assert_eq!(dialect("https://notopenai.com/v1").limit_field(), "max_tokens");
        assert_eq!(dialect("https://api.openai.com/v1").reasoning, ReasoningField::None);
        assert_eq!(dialect("https://api.deepseek.com").reasoning, ReasoningField::ReasoningContent);
        assert_eq!(dialect("https://openrouter.ai/api/v1").reasoning, ReasoningField::Reasoning);
        assert_eq!(dialect("http://[::1]:8080/v1").reasoning, ReasoningField::ReasoningContent);
    }

    #[test]
    fn a_refusal_tells_the_rest() {
        let one = dialect("https://gateway.example/v1");
        let words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        assert!(!one.learn(words, None), "no limit was sent");
        assert!(one.learn(words, Some("max_tokens")));
        assert_eq!(one.limit_field(), "max_completion_tokens");
        assert!(one.learn("Extra inputs are not permitted: max_completion_tokens", Some("max_completion_tokens")));
        assert_eq!(one.limit_field(), "max_tokens");
        assert!(one.learn("unknown field stream_options", None));
        assert!(!one.stream_usage());
        assert!(!one.learn("unknown field stream_options", None), "learned once");
        assert!(!one.learn("no such model", Some("max_tokens")));
    }
}
