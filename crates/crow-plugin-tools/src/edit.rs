//! The tool `edit`.

use crow_acp::{
    Access, BoxFuture, ToolCall, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolKind, ToolOutcome,
    ToolPreview,
};
use serde::Deserialize;
use serde_json::json;

use crate::context::{Context, failed, preview_of};
use crate::files::{self, Current};
use crate::matching::{self, Edited};
use crate::paths::Place;

#[derive(Debug, Deserialize)]
struct Arguments {
    path: String,
    old_text: String,
    new_text: String,
    #[serde(default)]
    replace_all: bool,
}

pub(crate) fn tool() -> ToolDescriptor {
    let schema = json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "The file: absolute, or relative to the working directory" },
            "old_text": {
                "type": "string",
                "description": "The text to replace, as it stands in the file, with enough lines around it to be unique"
            },
            "new_text": { "type": "string", "description": "What comes in its place" },
            "replace_all": { "type": "boolean", "description": "Replace every occurrence" }
        },
        "required": ["path", "old_text", "new_text"]
    });
    let description = "Replaces a piece of text in a file. The text must occur exactly once, unless `replace_all` is set; \
                       differences in whitespace and indentation are overlooked if the place is clear.";
    ToolDescriptor::new("edit", description, schema, Edit).kind(ToolKind::Edit)
}

struct Edit;

impl ToolHandler for Edit {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move { preview_of("Edit a file", preview(cx, call).await) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(run(cx, call))
    }
}

async fn preview(cx: &ToolContext, call: &ToolCall) -> Result<ToolPreview, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(&cx.arguments.path).await?;
    let preview = ToolPreview::new(format!("Edit {}", cx.workspace.display(&place.shown))).access(access(&place));
    Ok(match edited(&cx, &place).await {
        Ok((old, new)) => {
            preview.location(&place.shown, line(&new)).content(files::diff(&place, Some(&old.text), &new.text))
        }
        // The call will say what is wrong; an earlier call of the same turn may also make it right.
        Err(_) => preview.location(&place.shown, None),
    })
}

fn access(place: &Place) -> Access {
    Access::Write { path: place.real.clone() }
}

fn line(edit: &Edited) -> Option<u32> {
    edit.lines.first().map(|line| *line as u32)
}

/// The file before and after.
async fn edited(cx: &Context<'_, Arguments>, place: &Place) -> Result<(Current, Edited), ToolError> {
    let Some(old) = files::current(cx, place).await? else {
        return Err(ToolError::new(format!("{} does not exist; use `write` to create it", place.shown.display())));
    };
    let Arguments { old_text, new_text, replace_all, .. } = &cx.arguments;
    let edit = matching::replace(&old.text, old_text, new_text, *replace_all);
    let edit = edit.map_err(|error| match &old.note {
        Some(note) => ToolError::new(format!("{error}\n[{note}]")),
        None => failed(error),
    })?;
    Ok((old, edit))
}

async fn run(cx: &ToolContext, call: &ToolCall) -> Result<ToolOutcome, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(&cx.arguments.path).await?;
    cx.check(&place, Some(access(&place)))?;
    let (old, new) = edited(&cx, &place).await?;
    let note = files::store(&cx, &place, &new.text, old.encoding).await?;
    let lines: Vec<String> = new.lines.iter().take(20).map(usize::to_string).collect();
    let places = match new.lines.len() {
        1 => format!("line {}", lines.join("")),
        count if count > lines.len() => format!("{count} places, first at lines {}", lines.join(", ")),
        count => format!("{count} places, lines {}", lines.join(", ")),
    };
    let drift = new.tolerant.then_some("the text in the file differed in whitespace; the new text was fitted to it");
    let text = format!("edited {} at {places}", cx.workspace.display(&place.shown));
    let mut outcome = ToolOutcome::ok(text + &files::notes([drift, old.note.as_deref(), note.as_deref()]))
        .content(files::diff(&place, Some(&old.text), &new.text));
    for at in new.lines.iter().take(20) {
        outcome = outcome.location(&place.shown, Some(*at as u32));
    }
    Ok(outcome)
}
