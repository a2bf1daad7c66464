//! The tool `read`.

use crow_acp::{
    BoxFuture, ToolCall, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolKind, ToolOutcome, ToolPreview,
};
use serde::Deserialize;
use serde_json::json;

use crate::context::{Context, fenced, language, preview_of};
use crate::files;

/// Longer lines are cut: they are data, not something to read.
const LONGEST_LINE: usize = 2000;

#[derive(Debug, Deserialize)]
struct Arguments {
    path: String,
    offset: Option<usize>,
    limit: Option<usize>,
}

impl Arguments {
    fn first_line(&self) -> usize {
        self.offset.unwrap_or(1).max(1)
    }
}

pub(crate) fn tool() -> ToolDescriptor {
    let schema = json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "The file: absolute, or relative to the working directory" },
            "offset": { "type": "integer", "minimum": 1, "description": "The line to begin with, counted from 1" },
            "limit": { "type": "integer", "minimum": 1, "description": "How many lines to read" }
        },
        "required": ["path"]
    });
    let description = "Reads a text file. Long files come in pages: a note at the end says with which `offset` to go on. \
                       Unsaved changes in the user's editor are included.";
    ToolDescriptor::new("read", description, schema, Read).kind(ToolKind::Read).read_only()
}

struct Read;

impl ToolHandler for Read {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move { preview_of("Read a file", preview(cx, call).await) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(run(cx, call))
    }
}

async fn preview(cx: &ToolContext, call: &ToolCall) -> Result<ToolPreview, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(&cx.arguments.path).await?;
    let name = cx.workspace.display(&place.shown);
    let from = cx.arguments.first_line();
    let title = match (cx.arguments.offset, cx.arguments.limit) {
        (None, None) => format!("Read {name}"),
        (_, None) => format!("Read {name} from line {from}"),
        (_, Some(limit)) => format!("Read {name}, lines {from} to {}", from.saturating_add(limit.max(1)) - 1),
    };
    let mut preview = ToolPreview::new(title).location(&place.shown, cx.arguments.offset.map(|_| from as u32));
    preview.access.extend(cx.read_access(&place));
    Ok(preview)
}

async fn run(cx: &ToolContext, call: &ToolCall) -> Result<ToolOutcome, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(&cx.arguments.path).await?;
    cx.check(&place, cx.read_access(&place))?;
    let Some(current) = files::current(&cx, &place).await? else {
        return Err(ToolError::new(format!("{} does not exist", place.shown.display())));
    };
    let limit = cx.arguments.limit.unwrap_or(usize::MAX).min(cx.options.read_lines).max(1);
    let page = page(&current.text, cx.arguments.first_line(), limit, cx.options.output_limit)?;
    let notes = files::notes([current.note.as_deref(), current.encoding.note(), page.note.as_deref()]);
    Ok(ToolOutcome::ok(format!("{}{notes}", page.text)).content(fenced(&page.text, &language(&place.shown))))
}

/// Some lines of a file.
struct Page {
    text: String,
    /// What is not in it.
    note: Option<String>,
}

/// Line `first` and what follows, as far as both limits go.
fn page(text: &str, first: usize, limit: usize, bytes: usize) -> Result<Page, ToolError> {
    let count = text.lines().count();
    if count == 0 {
        return Ok(Page { text: String::new(), note: Some("the file is empty".to_owned()) });
    }
    if first > count {
        return Err(ToolError::new(format!("there is no line {first}: the file has {count} lines")));
    }
    let mut page = Page { text: String::new(), note: None };
    let mut shown = 0;
    for line in text.lines().skip(first - 1).take(limit) {
        let cut = crate::text::floor(line, LONGEST_LINE);
        if shown > 0 && page.text.len() + cut + 1 > bytes {
            break;
        }
        page.text.push_str(&line[..cut]);
        if cut < line.len() {
            let more = (line.len() - cut).to_string();
            page.text.extend([" [… ", &more, " more bytes in this line]"]);
        }
        page.text.push('\n');
        shown += 1;
    }
    let last = first - 1 + shown;
    if first > 1 || last < count {
        let more = if last < count { format!("; go on with offset {}", last + 1) } else { String::new() };
        page.note = Some(format!("lines {first} to {last} of {count}{more}"));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_is_one_page_without_notes() {
        let page = page("a\r\nb", 1, 100, 1000).unwrap();
        assert_eq!((page.text.as_str(), page.note), ("a\nb\n", None));
    }

    #[test]
    fn a_long_file_comes_in_pages() {
        let text = (1..=10).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat();
        let first = page(&text, 1, 3, 1000).unwrap();
        assert_eq!(first.text, "line 1\nline 2\nline 3\n");
        assert_eq!(first.note.unwrap(), "lines 1 to 3 of 10; go on with offset 4");
        let middle = page(&text, 4, 100, 20).unwrap();
        assert_eq!(middle.note.unwrap(), "lines 4 to 5 of 10; go on with offset 6");
        let last = page(&text, 9, 100, 1000).unwrap();
        assert_eq!(last.note.unwrap(), "lines 9 to 10 of 10");
        assert_eq!(page(&text, 11, 1, 10).err().unwrap().0, "there is no line 11: the file has 10 lines");
        assert_eq!(page("", 1, 1, 10).unwrap().note.unwrap(), "the file is empty");
    }

    #[test]
    fn long_lines_are_cut_and_always_one_line_is_shown() {
        let page = page(&"é".repeat(3000), 1, 10, 100).unwrap();
        assert!(page.text.ends_with("[… 4000 more bytes in this line]\n"), "{}", page.text);
    }
}
