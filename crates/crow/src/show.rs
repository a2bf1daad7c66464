//! How a run is shown: as a conversation for people, or as lines of JSON for programs.

use std::io::{IsTerminal, Stdout, Write};

use agent_client_protocol::v1::schema::{RequestPermissionRequest, SessionUpdate};
use serde_json::{Value, json};

use crate::render::{Conversation, Screen, Style};
use crate::trace::Fired;

/// Where a run is shown.
#[derive(Debug)]
pub(crate) enum Show {
    /// A conversation on standard output.
    People(Box<Conversation<Stdout>>),
    /// One JSON object per line on standard output.
    Programs {
        /// Nobody reads any more.
        broken: bool,
    },
}

/// Where hooks of a trace are shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TraceTo {
    /// Within the conversation.
    Conversation,
    /// On standard error.
    Stderr,
}

impl Show {
    /// For programs if `json`, else for people.
    pub(crate) fn new(json: bool) -> Self {
        if json {
            Self::Programs { broken: false }
        } else {
            Self::People(Box::new(Conversation::new(Screen::stdout())))
        }
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_broken(&mut self) -> bool {
        match self {
            Self::People(conversation) => conversation.screen().is_broken(),
            Self::Programs { broken } => *broken,
        }
    }

    /// A session is open.
    pub(crate) fn session(&mut self, id: &str, model: Option<&str>, mode: Option<&str>) {
        self.json(|| json!({ "type": "session", "sessionId": id, "model": model, "mode": mode }));
    }

    /// News of the session.
    pub(crate) fn update(&mut self, update: &SessionUpdate) {
        if let Self::People(conversation) = self {
            conversation.update(update);
        } else {
            self.json(|| json!({ "type": "update", "update": update }));
        }
    }

    /// A question that nobody was asked: the call is refused, and why.
    pub(crate) fn refused(&mut self, request: &RequestPermissionRequest, why: &str) {
        let call = &request.tool_call;
        if let Self::People(conversation) = self {
            conversation.refused(call, why);
        } else {
            self.json(|| {
                let (id, title) = (&call.tool_call_id, &call.fields.title);
                json!({ "type": "permission", "toolCallId": id, "title": title, "decision": "refused", "reason": why })
            });
        }
    }

    /// Whether people have read this already, right where they are looking.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        match self {
            Self::People(conversation) => std::io::stdout().is_terminal() && conversation.has_said(text),
            Self::Programs { .. } => true,
        }
    }

    /// A hook fired.
    pub(crate) fn hook(&mut self, fired: &Fired, to: TraceTo) {
        match self {
            Self::People(conversation) if to == TraceTo::Conversation => conversation.trace(&fired.line()),
            Self::People(_) => {
                let _ = writeln!(std::io::stderr(), "hook  {}", fired.line());
            }
            Self::Programs { .. } => self.json(|| fired.json()),
        }
    }

    /// A line beside the conversation.
    pub(crate) fn note(&mut self, style: Style, text: &str) {
        if let Self::People(conversation) = self {
            conversation.note(style, text);
        } else {
            self.json(|| json!({ "type": "notice", "message": text }));
        }
    }

    /// What the user said.
    pub(crate) fn said(&mut self, text: &str) {
        if let Self::People(conversation) = self {
            conversation.said(text);
        }
    }

    /// Files, and what a program printed about them.
    pub(crate) fn listing(&mut self, files: &str, output: &str) {
        if let Self::People(conversation) = self {
            conversation.listing(files, output);
        }
    }

    /// Text as it is, after everything else.
    pub(crate) fn closing(&mut self, text: &str) {
        if let Self::People(conversation) = self {
            conversation.closing(text);
        }
    }

    /// Called a few times a second.
    pub(crate) fn tick(&mut self) {
        if let Self::People(conversation) = self {
            conversation.tick();
        }
    }

    /// The run is over.
    pub(crate) fn end(&mut self, stop: &str, error: Option<&str>, exit: crate::exit::Exit) {
        if let Self::People(conversation) = self {
            conversation.finish(if exit == crate::exit::Exit::Cancelled { "cancelled" } else { "" });
            return;
        }
        if let Some(error) = error {
            self.json(|| json!({ "type": "error", "message": error }));
        }
        self.json(|| json!({ "type": "end", "stopReason": stop, "exitCode": exit as u8 }));
    }

    fn json(&mut self, line: impl FnOnce() -> Value) {
        if let Self::Programs { broken } = self {
            let mut out = std::io::stdout().lock();
            *broken |= writeln!(out, "{}", line()).and_then(|()| out.flush()).is_err();
        }
    }
}
