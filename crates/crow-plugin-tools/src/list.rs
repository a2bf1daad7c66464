//! The tool `list`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use crow_acp::{
    BoxFuture, ToolCall, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolKind, ToolOutcome, ToolPreview,
};
use serde::Deserialize;
use serde_json::json;

use crate::context::{Context, fenced, or_here, preview_of, printable};
use crate::files;
use crate::walk::{self, Stop};

#[derive(Debug, Deserialize)]
struct Arguments {
    path: Option<String>,
}

pub(crate) fn tool() -> ToolDescriptor {
    let schema = json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "The directory; the working directory if left out" }
        }
    });
    let description =
        "Lists a directory: directories first, with a `/` behind their names. What `.gitignore` excludes is left out.";
    ToolDescriptor::new("list", description, schema, List).kind(ToolKind::Read).read_only()
}

struct List;

impl ToolHandler for List {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move { preview_of("List a directory", preview(cx, call).await) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(run(cx, call))
    }
}

async fn preview(cx: &ToolContext, call: &ToolCall) -> Result<ToolPreview, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(or_here(cx.arguments.path.as_ref())).await?;
    let mut preview =
        ToolPreview::new(format!("List {}", cx.workspace.display(&place.shown))).location(&place.shown, None);
    preview.access.extend(cx.read_access(&place));
    Ok(preview)
}

async fn run(cx: &ToolContext, call: &ToolCall) -> Result<ToolOutcome, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(or_here(cx.arguments.path.as_ref())).await?;
    cx.check(&place, cx.read_access(&place))?;
    let (ignore, limit) = (cx.tool.session.config().ignore().to_vec(), cx.options.max_results);
    let directory = place.real.clone();
    let listing = walk::run(cx.options.search_timeout(), move |stop| list(&directory, &ignore, limit, stop)).await??;
    let mut output = cx.output();
    output.push(&listing.text);
    let text = output.finish();
    let note = listing.note;
    Ok(ToolOutcome::ok(format!("{text}{}", files::notes([note.as_deref()]))).content(fenced(&text, "")))
}

struct Listing {
    text: String,
    note: Option<String>,
}

fn list(directory: &Path, ignore: &[String], limit: usize, stop: &Stop) -> Result<Listing, ToolError> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotADirectory => {
            ToolError::new(format!("{} is not a directory; use `read` to see a file", directory.display()))
        }
        std::io::ErrorKind::NotFound => ToolError::new(format!("{} does not exist", directory.display())),
        _ => ToolError::new(format!("{}: {error}", directory.display())),
    };
    let all: BTreeSet<OsString> =
        std::fs::read_dir(directory).map_err(unreadable)?.flatten().map(|entry| entry.file_name()).collect();
    let mut entries = Vec::new();
    for entry in walk::builder(directory, ignore).max_depth(Some(1)).build().flatten() {
        if stop.is_due() {
            break;
        }
        if entry.depth() == 1 {
            let kind = entry.file_type();
            let is_directory = kind.is_some_and(|kind| kind.is_dir());
            let mut name = printable(&entry.file_name().to_string_lossy());
            if is_directory {
                name.push('/');
            } else if kind.is_some_and(|kind| kind.is_symlink())
                && let Ok(target) = entry.path().read_link()
            {
                name = format!("{name} -> {}", printable(&target.to_string_lossy()));
            }
            entries.push((!is_directory, name));
        }
    }
    entries.sort();
    let git = usize::from(all.contains(std::ffi::OsStr::new(".git")));
    let ignored = all.len().saturating_sub(entries.len() + git);
    let mut notes = Vec::new();
    if all.is_empty() {
        notes.push("the directory is empty".to_owned());
    }
    if entries.len() > limit {
        notes.push(format!("{} more entries are not shown; use `glob` to look for some", entries.len() - limit));
    }
    if stop.is_late() {
        notes.push("there was not enough time for all".to_owned());
    } else if ignored > 0 {
        notes.push(format!("{ignored} ignored entries are left out"));
    }
    let text = entries.iter().take(limit).flat_map(|(_, name)| [name, "\n"]).collect();
    Ok(Listing { text, note: (!notes.is_empty()).then(|| notes.join("; ")) })
}
