//! The tool `glob`.

use std::path::{Path, PathBuf};

use crow_acp::{
    BoxFuture, ToolCall, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolKind, ToolOutcome, ToolPreview,
};
use globset::GlobMatcher;
use serde::Deserialize;
use serde_json::json;

use crate::context::{Context, below, fenced, or_here, preview_of};
use crate::files;
use crate::walk::{self, Stop};

#[derive(Debug, Deserialize)]
struct Arguments {
    pattern: String,
    path: Option<String>,
}

pub(crate) fn tool() -> ToolDescriptor {
    let schema = json!({
        "type": "object",
        "properties": {
            "pattern": { "type": "string", "description": "For example `*.rs` (in any directory) or `src/**/*.{ts,tsx}`" },
            "path": { "type": "string", "description": "The directory to look in; the working directory if left out" }
        },
        "required": ["pattern"]
    });
    let description = "Finds files by name, in the order of their paths. What `.gitignore` excludes is left out.";
    ToolDescriptor::new("glob", description, schema, Glob).kind(ToolKind::Search).read_only()
}

struct Glob;

impl ToolHandler for Glob {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move { preview_of("Find files", preview(cx, call).await) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(run(cx, call))
    }
}

async fn preview(cx: &ToolContext, call: &ToolCall) -> Result<ToolPreview, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(or_here(cx.arguments.path.as_ref())).await?;
    let inside =
        cx.arguments.path.as_ref().map_or_else(String::new, |_| format!(" in {}", cx.workspace.display(&place.shown)));
    let mut preview = ToolPreview::new(format!("Find `{}`{inside}", cx.arguments.pattern));
    preview.access.extend(cx.read_access(&place));
    Ok(preview)
}

async fn run(cx: &ToolContext, call: &ToolCall) -> Result<ToolOutcome, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(or_here(cx.arguments.path.as_ref())).await?;
    cx.check(&place, cx.read_access(&place))?;
    let glob = walk::glob(&cx.arguments.pattern)?;
    let (ignore, base, limit) =
        (cx.tool.session.config().ignore().to_vec(), place.real.clone(), cx.options.max_results);
    let found = walk::run(cx.options.search_timeout(), move |stop| find(&base, &glob, &ignore, limit, stop)).await??;
    let mut output = cx.output();
    for path in &found.paths {
        output.push(&below(&cx.workspace, &place.shown, path));
        output.push("\n");
    }
    let text = output.finish();
    let none = (found.count == 0).then_some("no file matches");
    let more = (found.count > found.paths.len())
        .then(|| format!("{} more files match; make the pattern narrower", found.count - found.paths.len()));
    let late = found.late.then_some("there was not enough time to look everywhere");
    let notes = files::notes([none, more.as_deref(), late]);
    Ok(ToolOutcome::ok(format!("{text}{notes}").trim_start().to_owned()).content(fenced(&text, "")))
}

struct Found {
    /// Below the base, in order.
    paths: Vec<PathBuf>,
    /// All that match.
    count: usize,
    late: bool,
}

fn find(base: &Path, glob: &GlobMatcher, ignore: &[String], limit: usize, stop: &Stop) -> Result<Found, ToolError> {
    if !base.is_dir() {
        return Err(ToolError::new(format!("{} is not a directory", base.display())));
    }
    let mut found = Found { paths: Vec::new(), count: 0, late: false };
    let mut builder = walk::builder(base, ignore);
    for entry in builder.sort_by_file_name(Ord::cmp).build().flatten() {
        if stop.is_due() {
            break;
        }
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file() || kind.is_symlink());
        let Ok(path) = entry.path().strip_prefix(base) else { continue };
        if is_file && glob.is_match(path) {
            found.count += 1;
            if found.paths.len() < limit {
                found.paths.push(path.to_owned());
            }
        }
    }
    found.late = stop.is_late();
    Ok(found)
}
