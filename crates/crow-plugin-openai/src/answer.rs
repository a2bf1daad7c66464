//! From chunks to deltas: what an answer says, and how it ends.

use std::collections::VecDeque;

use crow_acp::{Completion, Delta, Finish, Usage};

use crate::calls::Calls;
use crate::chunk::{Choice, Content, WireDelta};

/// An answer under way.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    calls: Calls,
    finish: Option<Finish>,
    usage: Option<Usage>,
    out: VecDeque<Delta>,
}

impl Answer {
    /// Takes what a chunk says; its deltas are then in [`next_delta`](Self::next_delta).
    pub(crate) fn take(&mut self, choices: Vec<Choice>, usage: Option<Usage>) {
        // Only one answer is asked for: whatever comes under another number is still that one.
        for choice in choices {
            if let Some(delta) = choice.delta {
                self.delta(delta);
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish = Some(finish(&reason));
            }
            if let Some(usage) = choice.usage {
                self.usage = Some(usage.to_usage());
            }
        }
        if usage.is_some() {
            self.usage = usage;
        }
    }

    /// The next delta to hand over.
    pub(crate) fn next_delta(&mut self) -> Option<Delta> {
        self.out.pop_front()
    }

    /// Whether the model said why it stopped.
    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// What it ends with.
    pub(crate) fn completion(&self) -> Completion {
        let finish = match self.finish.unwrap_or(Finish::Stop) {
            // Servers disagree on what to say when there are calls; whether there are any decides.
            Finish::Stop | Finish::ToolCalls if self.calls.is_empty() => Finish::Stop,
            Finish::Stop | Finish::ToolCalls => Finish::ToolCalls,
            other => other,
        };
        Completion::new(finish, self.usage)
    }

    fn delta(&mut self, delta: WireDelta) {
        // Some servers say the same in both fields.
        if let Some(thought) = delta.reasoning_content.or(delta.reasoning) {
            self.say(thought.into_text(), Delta::thought);
        }
        match delta.content {
            Some(Content::Text(text)) => self.say(text, Delta::text),
            Some(Content::Parts(parts)) => {
                for part in parts {
                    if let Some(thinking) = part.thinking {
                        self.say(thinking.into_text(), Delta::thought);
                    }
                    self.say(part.text.unwrap_or_default(), Delta::text);
                }
            }
            None => {}
        }
        if let Some(refusal) = delta.refusal {
            self.say(refusal, Delta::text);
        }
        self.out.extend(delta.tool_calls.into_iter().filter_map(|fragment| self.calls.take(fragment)));
    }

    fn say(&mut self, text: String, delta: fn(String) -> Delta) {
        if !text.is_empty() {
            self.out.push_back(delta(text));
        }
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "length" | "max_tokens" | "model_length" | "model_context_window_exceeded" => Finish::Length,
        "content_filter" | "refusal" | "safety" | "sensitive" => Finish::Refusal,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}
