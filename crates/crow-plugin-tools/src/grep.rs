//! The tool `grep`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crow_acp::{
    BoxFuture, ToolCall, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolKind, ToolOutcome, ToolPreview,
};
use globset::GlobMatcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkFinish, SinkMatch};
use ignore::WalkState;
use serde::Deserialize;
use serde_json::json;

use crate::context::{Context, below, fenced, or_here, preview_of};
use crate::files;
use crate::walk::{self, Stop};

/// Longer lines are cut.
const LONGEST_LINE: usize = 400;

/// However many lines of context are asked for.
const MOST_CONTEXT: usize = 50;

#[derive(Debug, Deserialize)]
struct Arguments {
    pattern: String,
    path: Option<String>,
    glob: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    context: Option<usize>,
    limit: Option<usize>,
}

pub(crate) fn tool() -> ToolDescriptor {
    let schema = json!({
        "type": "object",
        "properties": {
            "pattern": { "type": "string", "description": "A regular expression (Rust syntax), matched line by line" },
            "path": { "type": "string", "description": "A directory or a file; the working directory if left out" },
            "glob": { "type": "string", "description": "Only files that match this, for example `*.rs`" },
            "ignore_case": { "type": "boolean", "description": "Take upper and lower case for the same" },
            "context": { "type": "integer", "minimum": 0, "description": "Lines to show around each match" },
            "limit": { "type": "integer", "minimum": 1, "description": "How many matching lines to show" }
        },
        "required": ["pattern"]
    });
    let description = "Searches the contents of files. Gives `path:line:text`, and `path-line-text` for context. \
                       Binary files and what `.gitignore` excludes are left out; so are unsaved changes.";
    ToolDescriptor::new("grep", description, schema, Grep).kind(ToolKind::Search).read_only()
}

struct Grep;

impl ToolHandler for Grep {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move { preview_of("Search files", preview(cx, call).await) })
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
    let which = cx.arguments.glob.as_ref().map_or_else(String::new, |glob| format!(" ({glob})"));
    let mut preview = ToolPreview::new(format!("Search for `{}`{inside}{which}", cx.arguments.pattern));
    preview.access.extend(cx.read_access(&place));
    Ok(preview)
}

async fn run(cx: &ToolContext, call: &ToolCall) -> Result<ToolOutcome, ToolError> {
    let cx = Context::<Arguments>::new(cx, call).await?;
    let place = cx.place(or_here(cx.arguments.path.as_ref())).await?;
    cx.check(&place, cx.read_access(&place))?;
    let limit = cx.arguments.limit.unwrap_or(cx.options.max_results).max(1);
    let search = Search {
        base: place.real.clone(),
        matcher: matcher(&cx.arguments)?,
        glob: cx.arguments.glob.as_deref().map(walk::glob).transpose()?,
        ignore: cx.tool.session.config().ignore().to_vec(),
        context: cx.arguments.context.unwrap_or(0).min(MOST_CONTEXT),
        limit,
    };
    let found = walk::run(cx.options.search_timeout(), move |stop| search.run(stop)).await??;
    let mut output = cx.output();
    let mut shown = 0;
    for file in &found.files {
        let name = below(&cx.workspace, &place.shown, &file.path);
        for line in &file.lines {
            if line.sign == ':' {
                shown += 1;
                if shown > limit {
                    break;
                }
            }
            match line.number {
                Some(number) => output.push(&format!("{name}{sign}{number}{sign}{}\n", line.text, sign = line.sign)),
                None => output.push("--\n"),
            }
        }
    }
    let text = output.finish();
    let none = (shown == 0).then_some("no line matches");
    let more = (shown > limit)
        .then(|| format!("only the first {limit} matching lines are shown; search for something narrower"));
    let late = found.late.then_some("there was not enough time to look everywhere");
    let notes = files::notes([none, more.as_deref(), late]);
    Ok(ToolOutcome::ok(format!("{text}{notes}").trim_start().to_owned()).content(fenced(&text, "")))
}

fn matcher(arguments: &Arguments) -> Result<RegexMatcher, ToolError> {
    RegexMatcherBuilder::new()
        .case_insensitive(arguments.ignore_case)
        .line_terminator(Some(b'\n'))
        .build(&arguments.pattern)
        .map_err(|error| ToolError::new(format!("the pattern cannot be searched for: {error}")))
}

struct Search {
    base: PathBuf,
    matcher: RegexMatcher,
    glob: Option<GlobMatcher>,
    ignore: Vec<String>,
    context: usize,
    limit: usize,
}

struct Found {
    /// In the order of their paths.
    files: Vec<FileMatches>,
    late: bool,
}

struct FileMatches {
    /// Below the base; empty if the base is the file.
    path: PathBuf,
    lines: Vec<Line>,
}

struct Line {
    /// `:` for a match, `-` for context.
    sign: char,
    /// `None` for a gap between two places.
    number: Option<u64>,
    text: String,
}

impl Search {
    fn run(&self, stop: &Stop) -> Result<Found, ToolError> {
        let metadata = std::fs::metadata(&self.base)
            .map_err(|error| ToolError::new(format!("{}: {error}", self.base.display())))?;
        let files = Mutex::new(Vec::new());
        let count = Arc::new(AtomicUsize::new(0));
        if metadata.is_file() {
            files.lock().unwrap_or_else(PoisonError::into_inner).extend(self.file(&self.base, &count, stop));
        } else if metadata.is_dir() {
            walk::builder(&self.base, &self.ignore).build_parallel().run(|| {
                Box::new(|entry| {
                    // Beyond the limit nothing would be shown.
                    if stop.is_due() || count.load(Ordering::Relaxed) > self.limit {
                        return WalkState::Quit;
                    }
                    if let Ok(entry) = entry
                        && entry.file_type().is_some_and(|kind| kind.is_file())
                        && let Some(found) = self.file(entry.path(), &count, stop)
                    {
                        files.lock().unwrap_or_else(PoisonError::into_inner).push(found);
                    }
                    WalkState::Continue
                })
            });
        } else {
            return Err(ToolError::new(format!("{} is neither a file nor a directory", self.base.display())));
        }
        let mut files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(Found { files, late: stop.is_late() })
    }

    /// What matches in one file; `None` if nothing does.
    fn file(&self, path: &Path, count: &AtomicUsize, stop: &Stop) -> Option<FileMatches> {
        let relative = path.strip_prefix(&self.base).ok()?;
        let name = if relative.as_os_str().is_empty() { Path::new(path.file_name()?) } else { relative };
        if self.glob.as_ref().is_some_and(|glob| !glob.is_match(name)) {
            return None;
        }
        let mut searcher = SearcherBuilder::new()
            .line_number(true)
            .before_context(self.context)
            .after_context(self.context)
            .binary_detection(BinaryDetection::quit(0))
            .build();
        let mut lines = Collector { search: self, count, stop, lines: Vec::new(), is_binary: false };
        // Files that cannot be read are as good as not there.
        searcher.search_path(&self.matcher, path, &mut lines).ok()?;
        let is_match = !lines.is_binary && lines.lines.iter().any(|line| line.sign == ':');
        is_match.then(|| FileMatches { path: relative.to_owned(), lines: lines.lines })
    }
}

struct Collector<'a> {
    search: &'a Search,
    count: &'a AtomicUsize,
    stop: &'a Stop,
    lines: Vec<Line>,
    is_binary: bool,
}

impl Collector<'_> {
    fn push(&mut self, sign: char, number: Option<u64>, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        self.lines.push(Line { sign, number, text: self.cut(text, sign) });
    }

    /// Of a long line, the part around the match.
    fn cut(&self, text: &str, sign: char) -> String {
        use grep_matcher::Matcher;
        if text.len() <= LONGEST_LINE {
            return text.to_owned();
        }
        let found = if sign == ':' { self.search.matcher.find(text.as_bytes()).ok().flatten() } else { None };
        let start = found.map_or(0, |found| found.start().saturating_sub(LONGEST_LINE / 4));
        let start = crate::text::floor(text, start);
        let end = crate::text::floor(text, start + LONGEST_LINE);
        let (before, after) = (if start > 0 { "… " } else { "" }, if end < text.len() { " …" } else { "" });
        format!("{before}{}{after}", &text[start..end])
    }
}

impl Sink for Collector<'_> {
    type Error = std::io::Error;

    fn matched(&mut self, _searcher: &Searcher, found: &SinkMatch<'_>) -> Result<bool, Self::Error> {
        self.push(':', found.line_number(), found.bytes());
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(count <= self.search.limit && !self.stop.is_due())
    }

    fn context(&mut self, _searcher: &Searcher, line: &SinkContext<'_>) -> Result<bool, Self::Error> {
        self.push('-', line.line_number(), line.bytes());
        Ok(!self.stop.is_due())
    }

    fn context_break(&mut self, _searcher: &Searcher) -> Result<bool, Self::Error> {
        self.push('-', None, b"");
        Ok(true)
    }

    fn finish(&mut self, _searcher: &Searcher, finish: &SinkFinish) -> Result<(), Self::Error> {
        self.is_binary = finish.binary_byte_offset().is_some();
        Ok(())
    }
}
