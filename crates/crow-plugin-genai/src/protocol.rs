//! The protocols, and how they differ where the crate leaves that to us.

use genai::adapter::AdapterKind;

/// A protocol, by the name that `protocol` in the configuration has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Anthropic,
    Responses,
    Gemini,
    Ollama,
}

impl Protocol {
    pub(crate) const ALL: [Self; 4] = [Self::Anthropic, Self::Responses, Self::Gemini, Self::Ollama];

    /// What the configuration calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Responses => "responses",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// What the crate calls it.
    pub(crate) fn kind(self) -> AdapterKind {
        match self {
            Self::Anthropic => AdapterKind::Anthropic,
            Self::Responses => AdapterKind::OpenAIResp,
            Self::Gemini => AdapterKind::Gemini,
            Self::Ollama => AdapterKind::Ollama,
        }
    }

    /// Where requests go if the configuration does not say.
    pub(crate) fn address(self) -> &'static str {
        match self {
            Self::Anthropic => "https://api.anthropic.com/v1/",
            Self::Responses => "https://api.openai.com/v1/",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta/",
            Self::Ollama => "http://127.0.0.1:11434/",
        }
    }

    /// Whether to ask for the model's reasoning. Models that do not reason refuse such a request, except at Anthropic,
    /// where asking changes nothing.
    pub(crate) fn shows_reasoning(self, model: &str, reasons: bool) -> bool {
        let model = model.to_lowercase();
        let is_of = |families: &[&str]| families.iter().any(|family| model.contains(family));
        match self {
            Self::Anthropic => true,
            Self::Responses => reasons || is_of(&["gpt-5", "codex", "o1", "o3", "o4-"]),
            Self::Gemini => reasons || is_of(&["gemini-2.5", "gemini-3"]),
            Self::Ollama => reasons,
        }
    }
}
