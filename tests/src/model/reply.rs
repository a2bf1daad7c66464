//! What the model server answers to one request.

use std::time::Duration;

use serde_json::{Value, json};

/// The pause between two deltas.
pub type Gap = Duration;

/// One thing the server does while it answers.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Bytes of the body, as one HTTP chunk; sent together with their neighbours where nothing comes between.
    Bytes(Vec<u8>),
    /// Sends what is waiting, on its own.
    Flush,
    /// Sends what is waiting, then pauses.
    Pause(Duration),
    /// Says nothing more until the client goes away.
    Hang,
    /// Closes the connection in the middle of the body.
    Cut,
}

/// An answer of the model server: the status, headers, and what follows, step by step.
///
/// ```
/// use crow_tests::Reply;
/// use serde_json::json;
///
/// let reply = Reply::stream()
///     .thought("The file first.")
///     .text("Let me look.")
///     .tool_call("call_1", "read", &json!({ "path": "src/lib.rs" }))
///     .usage(120, 14);
/// # drop(reply);
/// ```
/// A stream ends properly by itself: finish reason, usage, `[DONE]`; unless [`cut`](Self::cut) or
/// [`hang`](Self::hang) ended it, or [`bare`](Self::bare) asked for nothing more.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) streamed: bool,
    pub(super) steps: Vec<Step>,
    gap: Option<Gap>,
    calls: usize,
    finish: Option<String>,
    usage: Option<(u64, u64)>,
    ended: bool,
}

impl Reply {
    fn new(status: u16, streamed: bool) -> Self {
        Self {
            status,
            headers: Vec::new(),
            streamed,
            steps: Vec::new(),
            gap: None,
            calls: 0,
            finish: None,
            usage: Some((10, 5)),
            ended: false,
        }
    }

    /// The start of a streamed answer with status 200.
    pub fn stream() -> Self {
        Self::new(200, true)
    }

    /// A streamed answer of one text delta.
    pub fn say(text: &str) -> Self {
        Self::stream().text(text)
    }

    /// A streamed answer of one tool call.
    pub fn call(id: &str, tool: &str, arguments: &Value) -> Self {
        Self::stream().tool_call(id, tool, arguments)
    }

    /// An answer that is not a stream, with a JSON body.
    pub fn status(status: u16, body: &Value) -> Self {
        let mut reply = Self::new(status, false);
        reply.steps.push(Step::Bytes(body.to_string().into_bytes()));
        reply.header("content-type", "application/json")
    }

    /// An error as the OpenAI API words it.
    pub fn error(status: u16, message: &str) -> Self {
        Self::status(status, &json!({ "error": { "message": message, "type": "error", "code": status } }))
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// From here on, pauses for `gap` before each delta but the first.
    pub fn gap(mut self, gap: Gap) -> Self {
        self.gap = Some(gap);
        self
    }

    /// One delta of the assistant's text.
    pub fn text(self, text: &str) -> Self {
        self.delta(&json!({ "content": text }))
    }

    /// One delta of text for each item.
    pub fn texts<S: AsRef<str>>(self, texts: impl IntoIterator<Item = S>) -> Self {
        texts.into_iter().fold(self, |reply, text| reply.text(text.as_ref()))
    }

    /// One delta of reasoning, in the field most servers use (`reasoning_content`).
    pub fn thought(self, text: &str) -> Self {
        self.delta(&json!({ "reasoning_content": text }))
    }

    /// One delta of reasoning in the other field in use (`reasoning`).
    pub fn thought_as_reasoning(self, text: &str) -> Self {
        self.delta(&json!({ "reasoning": text }))
    }

    /// A whole tool call in one delta. Calls count up from index 0.
    pub fn tool_call(self, id: &str, tool: &str, arguments: &Value) -> Self {
        self.tool_call_raw(id, tool, &arguments.to_string())
    }

    /// A whole tool call in one delta, its arguments exactly as given (valid JSON or not).
    pub fn tool_call_raw(self, id: &str, tool: &str, arguments: &str) -> Self {
        let index = self.calls;
        let mut reply = self.tool_fragments(&json!([{
            "index": index, "id": id, "type": "function",
            "function": { "name": tool, "arguments": arguments },
        }]));
        reply.calls = index + 1;
        reply
    }

    /// One delta with fragments of tool calls, exactly as given (an array).
    pub fn tool_fragments(mut self, fragments: &Value) -> Self {
        self.calls = self.calls.max(1);
        self.delta(&json!({ "tool_calls": fragments }))
    }

    /// One chunk with this `delta`.
    pub fn delta(self, delta: &Value) -> Self {
        let event = event(&json!([{ "index": 0, "delta": delta, "finish_reason": null }]), None);
        self.paced(event)
    }

    /// Text whose bytes arrive one by one, so that every character of more than one byte is split.
    pub fn text_byte_by_byte(mut self, text: &str) -> Self {
        let choices = json!([{ "index": 0, "delta": { "content": text }, "finish_reason": null }]);
        for byte in event(&choices, None) {
            self.steps.push(Step::Bytes(vec![byte]));
            self.steps.push(Step::Flush);
        }
        self
    }

    /// An SSE comment, as servers send to keep a connection alive.
    pub fn comment(self, text: &str) -> Self {
        self.paced(format!(": {text}\n\n").into_bytes())
    }

    /// An error inside the 200 stream; nothing follows it.
    pub fn stream_error(self, message: &str) -> Self {
        let body = json!({ "error": { "message": message, "type": "server_error", "code": 502 } });
        self.paced(format!("data: {body}\n\n").into_bytes()).bare()
    }

    /// Raw bytes of the body.
    pub fn raw(self, bytes: &[u8]) -> Self {
        self.paced(bytes.to_vec())
    }

    /// Sends what was said so far, on its own, before what follows.
    pub fn flush(mut self) -> Self {
        self.steps.push(Step::Flush);
        self
    }

    /// Pauses once.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.steps.push(Step::Pause(pause));
        self
    }

    /// The finish reason to give instead of `stop` or `tool_calls`.
    pub fn finish(mut self, reason: &str) -> Self {
        self.finish = Some(reason.to_owned());
        self
    }

    /// The tokens to report: of the prompt, and of the answer (10 and 5 unless said).
    pub fn usage(mut self, prompt: u64, completion: u64) -> Self {
        self.usage = Some((prompt, completion));
        self
    }

    /// Reports no usage.
    pub fn no_usage(mut self) -> Self {
        self.usage = None;
        self
    }

    /// Ends here: no finish reason, no usage, no `[DONE]`.
    pub fn bare(mut self) -> Self {
        self.ended = true;
        self
    }

    /// Closes the connection here, in the middle of the body.
    pub fn cut(mut self) -> Self {
        self.steps.push(Step::Cut);
        self.bare()
    }

    /// Says nothing more, and leaves the connection open until the client closes it.
    pub fn hang(mut self) -> Self {
        self.steps.push(Step::Hang);
        self.bare()
    }

    fn paced(mut self, bytes: Vec<u8>) -> Self {
        let first = !self.steps.iter().any(|step| matches!(step, Step::Bytes(_)));
        if let (Some(gap), false) = (self.gap, first) {
            self.steps.push(Step::Pause(gap));
        }
        self.steps.push(Step::Bytes(bytes));
        self
    }

    /// All steps, the proper end of a stream included.
    pub(super) fn ended(mut self) -> Self {
        if !self.streamed || self.ended {
            return self;
        }
        self.ended = true;
        let reason = match &self.finish {
            Some(reason) => reason.clone(),
            None if self.calls > 0 => "tool_calls".to_owned(),
            None => "stop".to_owned(),
        };
        let choices = json!([{ "index": 0, "delta": {}, "finish_reason": reason }]);
        self.steps.push(Step::Bytes(event(&choices, None)));
        if let Some((prompt, completion)) = self.usage {
            let usage = json!({
                "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            });
            self.steps.push(Step::Bytes(event(&json!([]), Some(&usage))));
        }
        self.steps.push(Step::Bytes(b"data: [DONE]\n\n".to_vec()));
        self
    }
}

fn event(choices: &Value, usage: Option<&Value>) -> Vec<u8> {
    let mut chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "scripted",
        "choices": choices,
    });
    if let Some(usage) = usage {
        chunk["usage"] = usage.clone();
    }
    format!("data: {chunk}\n\n").into_bytes()
}
