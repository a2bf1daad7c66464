//! Walking a directory as `list`, `glob` and `grep` do: what `.gitignore` and the like leave out is left out, symlinks are
//! not followed, and whoever stops waiting stops the walk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crow_acp::ToolError;
use globset::{GlobBuilder, GlobMatcher};
use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;

use crate::context::blocking;

/// A builder for a walk through `base`, with `ignore` being the configuration's globs of what to leave out.
pub(crate) fn builder(base: &Path, ignore: &[String]) -> WalkBuilder {
    let mut overrides = OverrideBuilder::new(base);
    for glob in ignore {
        // A glob that cannot be read leaves nothing out.
        let _ = overrides.add(&format!("!{glob}"));
    }
    let mut builder = WalkBuilder::new(base);
    builder.hidden(false).require_git(false).filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git");
    if let Ok(overrides) = overrides.build() {
        builder.overrides(overrides);
    }
    builder
}

/// Reads a glob as `.gitignore` does: without a slash it is about names in any directory.
pub(crate) fn glob(pattern: &str) -> Result<GlobMatcher, ToolError> {
    let relative = pattern.strip_prefix("./").unwrap_or(pattern);
    if relative.is_empty() {
        return Err(ToolError::new("the glob is empty"));
    }
    if relative.starts_with('/') || relative.split('/').any(|part| part == "..") {
        return Err(ToolError::new(format!(
            "the glob `{pattern}` leaves the directory; say where to look with `path`"
        )));
    }
    let anywhere = if relative.contains('/') { relative.to_owned() } else { format!("**/{relative}") };
    let glob = GlobBuilder::new(&anywhere).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| ToolError::new(format!("the glob `{pattern}` is wrong: {}", error.kind())))
}

/// Tells a walk on another thread that nobody waits for it any more, or that its time is over.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    dropped: Arc<AtomicBool>,
    deadline: Instant,
}

impl Stop {
    /// Whether to stop.
    pub(crate) fn is_due(&self) -> bool {
        self.dropped.load(Ordering::Relaxed) || self.is_late()
    }

    /// Whether the time is over.
    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a walk where waiting disturbs nobody, for at most `limit`. Dropping the future stops it.
pub(crate) async fn run<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> Result<T, ToolError> {
    let dropped = Arc::new(AtomicBool::new(false));
    let _guard = StopOnDrop(Arc::clone(&dropped));
    let stop = Stop { dropped, deadline: Instant::now() + limit };
    blocking(move || work(&stop)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_read_as_in_gitignore() {
        let is_match = |pattern: &str, path: &str| glob(pattern).unwrap().is_match(path);
        assert!(is_match("*.rs", "lib.rs"));
        assert!(is_match("*.rs", "src/deep/lib.rs"));
        assert!(is_match("./src/*.rs", "src/lib.rs"));
        assert!(!is_match("src/*.rs", "src/deep/lib.rs"));
        assert!(is_match("src/**/*.{rs,toml}", "src/deep/a.toml"));
        assert!(glob("../*.rs").is_err());
        assert!(glob("/etc/*").is_err());
        assert!(glob("").is_err());
        assert!(glob("a[").unwrap_err().0.contains("the glob `a[` is wrong"));
    }

    #[tokio::test]
    async fn dropping_stops_the_work() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let work = run(Duration::from_mins(10), move |stop| {
            while !stop.is_due() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let _ = sender.send(stop.is_late());
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
        assert!(!receiver.await.unwrap());
        assert!(run(Duration::ZERO, Stop::is_late).await.unwrap());
    }
}
