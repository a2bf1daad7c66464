//! Recordings: what a model said, answer by answer, in a file that people can read and write.
//!
//! One JSON object of one key in each line; lines that are empty or begin with `#` do not count. See the crate's README
//! for the lines there are.

use std::time::Duration;

use crow_acp::{Completion, Finish, ProviderError, ProviderErrorKind, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the format that this program writes, and the only one it reads.
const VERSION: u32 = 1;

/// Stands for the session's working directory, wherever a recording names it.
pub(crate) const CWD: &str = "{{cwd}}";

/// One line of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Line {
    /// What follows; at the top, if at all.
    Recording(Header),
    /// The last message of the request must contain this, or the answer is not given.
    Expect(String),
    /// A fragment of reasoning.
    Thought(String),
    /// Ends a block of reasoning: opaque, goes back to the model it came from.
    Signature(String),
    /// A fragment of the answer.
    Text(String),
    /// A tool call.
    ToolCall(Call),
    /// Nothing for so many milliseconds.
    PauseMs(u64),
    /// The answer is over.
    End(End),
    /// The request failed; what was said before stands.
    Error(Failure),
}

/// What a recording says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// The version of the format.
    pub(crate) version: u32,
    /// The model whose words these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// Milliseconds between words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pace_ms: Option<u64>,
}

impl Header {
    /// For a new recording of `model`.
    pub(crate) fn new(model: String) -> Self {
        Self { version: VERSION, model: Some(model), pace_ms: None }
    }
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    /// An object, or the text that the model wrote in place of one.
    #[serde(default)]
    pub(crate) arguments: Value,
}

impl Call {
    /// The arguments as the model wrote them.
    pub(crate) fn raw_arguments(&self) -> String {
        match &self.arguments {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) finish: Finish,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Tokens>,
}

/// Tokens of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) cached_input: u64,
    pub(crate) output: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) reasoning: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            input: usage.input_tokens,
            cached_input: usage.cached_input_tokens,
            output: usage.output_tokens,
            reasoning: usage.reasoning_tokens,
        }
    }
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        let mut usage = Self::new(tokens.input, tokens.output);
        (usage.cached_input_tokens, usage.reasoning_tokens) = (tokens.cached_input, tokens.reasoning);
        usage
    }
}

impl From<&Completion> for End {
    fn from(completion: &Completion) -> Self {
        Self { finish: completion.finish, usage: completion.usage.map(Tokens::from) }
    }
}

impl From<&End> for Completion {
    fn from(end: &End) -> Self {
        Self::new(end.finish, end.usage.map(Usage::from))
    }
}

/// How a request failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    pub(crate) kind: ProviderErrorKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) message: String,
}

impl From<&ProviderError> for Failure {
    fn from(error: &ProviderError) -> Self {
        let retry_after_ms = error.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        Self { kind: error.kind, status: error.status, retry_after_ms, message: error.message.clone() }
    }
}

impl From<&Failure> for ProviderError {
    fn from(failure: &Failure) -> Self {
        let mut error = Self::new(failure.kind, failure.message.as_str());
        (error.status, error.retry_after) = (failure.status, failure.retry_after_ms.map(Duration::from_millis));
        error
    }
}

/// A whole recording.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Recording {
    /// Between words.
    pub(crate) pace: Duration,
    pub(crate) answers: Vec<Answer>,
}

/// One answer, or one failure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// Where it begins in the file, from 1.
    pub(crate) line: usize,
    /// The last of them is its end.
    pub(crate) lines: Vec<Line>,
}

impl Answer {
    /// Whether it ends as an answer should.
    pub(crate) fn succeeds(&self) -> bool {
        matches!(self.lines.last(), Some(Line::End(_)))
    }
}

/// A recording cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct BadRecording {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Recording {
    /// Reads the text of a recording.
    pub(crate) fn parse(text: &str) -> Result<Self, BadRecording> {
        let mut recording = Self::default();
        let mut answer: Option<Answer> = None;
        for (number, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let bad = |message: String| BadRecording { line: number, message };
            let line: Line = serde_json::from_str(text).map_err(|error| bad(plain(&error)))?;
            if let Line::Recording(header) = line {
                if header.version != VERSION {
                    return Err(bad(format!(
                        "a recording of version {}; this program reads version {VERSION}",
                        header.version
                    )));
                }
                if answer.is_some() {
                    return Err(bad("a recording begins in the middle of an answer".into()));
                }
                recording.pace = header.pace_ms.map_or(recording.pace, Duration::from_millis);
                continue;
            }
            let under_way = answer.get_or_insert_with(|| Answer { line: number, lines: Vec::new() });
            if matches!(line, Line::Expect(_)) && !under_way.lines.is_empty() {
                return Err(bad("`expect` belongs at the beginning of an answer".into()));
            }
            let ended = matches!(line, Line::End(_) | Line::Error(_));
            under_way.lines.push(line);
            if ended {
                recording.answers.extend(answer.take());
            }
        }
        match answer {
            None => Ok(recording),
            Some(answer) => Err(BadRecording {
                line: answer.line,
                message: "the answer that begins here has neither `end` nor `error`".into(),
            }),
        }
    }
}

/// serde's message without its own line number, which counts from the beginning of our line.
fn plain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(at) => format!("{} (column {})", &message[..at], error.column()),
        None => message,
    }
}

/// Lines as text, ready to be appended to a file.
pub(crate) fn write(lines: &[Line]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for line in lines {
        text += &serde_json::to_string(line)?;
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENTED: &str = include_str!("../README.md");

    #[test]
    fn the_documented_example_is_one() {
        let example =
            DOCUMENTED.split("```jsonl\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let recording = Recording::parse(example).expect("a recording");
        assert_eq!(recording.answers.len(), 3);
        assert_eq!(recording.answers.iter().filter(|answer| answer.succeeds()).count(), 2);
        assert_eq!(recording.pace, Duration::from_millis(20));
        // Every kind of line is shown.
        for kind in ["recording", "expect", "thought", "signature", "text", "tool_call", "pause_ms", "end", "error"] {
            assert!(example.contains(&format!("{{\"{kind}\":")), "{kind}");
        }
    }

    #[test]
    fn mistakes_are_placed() {
        let message = |text: &str| Recording::parse(text).expect_err("a mistake").to_string();
        assert_eq!(
            message("# a comment\n\n{\"txet\": \"a\"}"),
            "line 3: unknown variant `txet`, expected one of `recording`, `expect`, `thought`, `signature`, `text`, `tool_call`, \
             `pause_ms`, `end`, `error` (column 7)"
        );
        assert_eq!(
            message("{\"text\": \"a\"}\n{\"text\": \"b\"}"),
            "line 1: the answer that begins here has neither `end` nor `error`"
        );
        assert_eq!(
            message("{\"recording\": {\"version\": 2}}"),
            "line 1: a recording of version 2; this program reads version 1"
        );
        assert_eq!(
            message("{\"text\": \"a\"}\n{\"expect\": \"b\"}"),
            "line 2: `expect` belongs at the beginning of an answer"
        );
        assert!(message("{\"end\": {\"finish\": \"done\"}}").starts_with("line 1: unknown variant `done`"));
    }

    fn line() -> impl Strategy<Value = Line> {
        let text = "[ -~é\n\"]{0,12}";
        prop_oneof![
            text.prop_map(Line::Thought),
            text.prop_map(Line::Signature),
            text.prop_map(Line::Text),
            any::<u64>().prop_map(Line::PauseMs),
            (proptest::option::of("[a-z]{1,4}"), "[a-z]{1,8}", text).prop_map(|(id, name, raw)| Line::ToolCall(Call {
                id,
                name,
                arguments: Value::String(raw)
            })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(lines in proptest::collection::vec(line(), 0..12), (input, output) in any::<(u64, u64)>()) {
            let usage = Some(Tokens { input, output, ..Tokens::default() });
            let mut lines = lines;
            lines.push(Line::End(End { finish: Finish::ToolCalls, usage }));
            let text = write(&lines).expect("JSON");
            let recording = Recording::parse(&text).expect("a recording");
            prop_assert_eq!(recording.answers, [Answer { line: 1, lines }]);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "(\\PC|\n){0,200}") {
            let _ = Recording::parse(&text);
        }
    }
}
