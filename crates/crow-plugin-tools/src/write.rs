//! The tool `write`.

use crow_acp::{
    Access, BoxFuture, ToolCall, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolKind, ToolOutcome,
    ToolPreview,
};
use serde::Deserialize;
use serde_json::json;

use crate::context::{Context, preview_of};
use crate::files::{self, Current};
use crate::paths::Place;
use crate::text;

#[derive(Debug, Deserialize)]
struct Arguments {
    path: String,
    content: String,
}

pub(crate) fn tool() -> ToolDescriptor {
    let schema = json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "The file: absolute, or relative to the working directory" },
            "content": { "type": "string", "description": "Everything that is to be in it" }
        },
        "required": ["path", "content"]
    });
    let description =
        "Creates a file, or replaces all of one; missing directories are made. To change a part of a file, use `edit`.";
    ToolDescriptor::new("write", description, schema, Write).kind(ToolKind::Edit)
}

struct Write;

impl ToolHandler for Write {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move { preview_of("Write a file", preview(cx, call).await) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(run(cx, call))
    }
}

async fn preview(cx: &ToolContext, call: &ToolCall) -> Result<ToolPreview, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(&cx.arguments.path).await?;
    let old = files::current(&cx, &place).await;
    let verb = if matches!(old, Ok(None)) { "Create" } else { "Write" };
    let preview = ToolPreview::new(format!("{verb} {}", cx.workspace.display(&place.shown)))
        .location(&place.shown, None)
        .access(access(&place));
    Ok(match old {
        Ok(old) => {
            let new = adapted(&cx.arguments.content, old.as_ref());
            preview.content(files::diff(&place, old.as_ref().map(|old| old.text.as_str()), &new))
        }
        Err(_) => preview,
    })
}

fn access(place: &Place) -> Access {
    Access::Write { path: place.real.clone() }
}

/// The new text with the line endings of the old.
fn adapted(content: &str, old: Option<&Current>) -> String {
    let is_crlf = old.is_some_and(|old| text::is_crlf(&old.text));
    if is_crlf { text::to_crlf(content) } else { content.to_owned() }
}

async fn run(cx: &ToolContext, call: &ToolCall) -> Result<ToolOutcome, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(&cx.arguments.path).await?;
    cx.check(&place, Some(access(&place)))?;
    let old = files::current(&cx, &place).await?;
    let new = adapted(&cx.arguments.content, old.as_ref());
    let encoding = old.as_ref().map(|old| old.encoding).unwrap_or_default();
    let note = files::store(&cx, &place, &new, encoding).await?;
    let verb = if old.is_some() { "replaced" } else { "created" };
    let text = format!("{verb} {} ({} lines)", cx.workspace.display(&place.shown), new.lines().count());
    Ok(ToolOutcome::ok(text + &files::notes([note.as_deref()]))
        .content(files::diff(&place, old.as_ref().map(|old| old.text.as_str()), &new))
        .location(&place.shown, None))
}
