//! Records what a model says while it says it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crow_acp::{BoxFuture, Completion, Delta, DeltaKind, DeltaRefused, DeltaSink, Deltas, ProviderError};
use serde_json::Value;

use crate::recording::{CWD, Call, Header, Line, write};

/// What has been said so far, neighbouring fragments joined.
#[derive(Debug, Default)]
pub(crate) struct Tape(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    lines: Vec<Line>,
    calls: Vec<(Option<String>, String, String)>,
}

impl Tape {
    fn hear(&self, delta: &Delta) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Heard { lines, calls } = &mut *heard;
        match &delta.kind {
            DeltaKind::Text => match lines.last_mut() {
                Some(Line::Text(text)) => text.push_str(&delta.text),
                _ if delta.text.is_empty() => {}
                _ => lines.push(Line::Text(delta.text.clone())),
            },
            DeltaKind::Thought { signature } => {
                match lines.last_mut() {
                    Some(Line::Thought(text)) => text.push_str(&delta.text),
                    _ if delta.text.is_empty() => {}
                    _ => lines.push(Line::Thought(delta.text.clone())),
                }
                lines.extend(signature.clone().map(Line::Signature));
            }
            DeltaKind::ToolCall { index, id, name } => {
                calls.resize_with(calls.len().max(index + 1), Default::default);
                let call = &mut calls[*index];
                if call.0.is_none() {
                    call.0.clone_from(id);
                }
                call.1.push_str(name.as_deref().unwrap_or_default());
                call.2.push_str(&delta.text);
            }
            _ => {}
        }
    }

    /// The lines of the answer, or of the failure it came to.
    pub(crate) fn into_lines(self, ended: Result<&Completion, &ProviderError>) -> Vec<Line> {
        let Heard { mut lines, calls } = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (id, name, raw) in calls {
            // As an object if nothing is lost by it: that is what people read and write.
            let object = serde_json::from_str(&raw).ok().filter(|value: &Value| value.is_object());
            let same = object.as_ref().map(Value::to_string).is_some_and(|written| written == raw);
            let arguments = object.filter(|_| same).unwrap_or(Value::String(raw));
            lines.push(Line::ToolCall(Call { id, name, arguments }));
        }
        lines.push(match ended {
            Ok(completion) => Line::End(completion.into()),
            Err(error) => Line::Error(error.into()),
        });
        lines
    }
}

/// A sink in front of another that hears what passes.
pub(crate) struct Tee<'a> {
    pub(crate) tape: &'a Tape,
    pub(crate) inner: Deltas<'a>,
}

impl DeltaSink for Tee<'_> {
    fn accept(&mut self, delta: Delta) -> Result<(), DeltaRefused> {
        self.tape.hear(&delta);
        self.inner.accept(delta)
    }

    fn room(&mut self) -> Option<BoxFuture<'_, ()>> {
        self.inner.room()
    }
}

/// The lines as text in which the working directory is a placeholder, so that a recording plays anywhere.
pub(crate) fn portable(lines: &[Line], cwd: &Path) -> Result<String, serde_json::Error> {
    let text = write(lines)?;
    // The root is a part of every path.
    if cwd.parent().is_none() {
        return Ok(text);
    }
    // Arguments that are text are JSON in JSON: there the name is escaped twice.
    let once = escape(&cwd.to_string_lossy());
    let twice = escape(&once);
    Ok(text.replace(&twice, CWD).replace(&once, CWD))
}

fn escape(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Appends to the file, which only its owner may read. A new one gets its header first.
pub(crate) fn append(path: &Path, model: String, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut file = options.open(path)?;
    let mut whole = String::new();
    if file.metadata()?.len() == 0 {
        whole = write(&[Line::Recording(Header::new(model))])?;
    }
    whole += text;
    // In one piece: sessions that run at the same time must not cut each other's lines.
    file.write_all(whole.as_bytes())
}
