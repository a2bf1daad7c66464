//! Bounds: of a long output the model reads the head and the tail, and the whole stands in a file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The file with the whole text takes no more than this.
const MOST_IN_FILE: u64 = 64 << 20;

/// Collects an output of any length in bounded memory.
#[derive(Debug)]
pub(crate) struct Bounded {
    limit: usize,
    head: String,
    /// Whole strings, as pushed: dropping the oldest is cheap.
    tail: VecDeque<String>,
    tail_bytes: usize,
    bytes: u64,
    newlines: u64,
    whole: Whole,
}

/// Where everything goes once it is too much to show.
#[derive(Debug)]
enum Whole {
    /// Not needed so far: it would go to this path.
    Planned(PathBuf),
    Writing {
        path: PathBuf,
        file: File,
    },
    /// It could not be written, or nobody wants it.
    None,
}

impl Bounded {
    /// Shows at most about `limit` bytes; if there is more, everything is also written to `file`.
    pub(crate) fn new(limit: usize, file: Option<PathBuf>) -> Self {
        let whole = file.map_or(Whole::None, Whole::Planned);
        Self { limit, head: String::new(), tail: VecDeque::new(), tail_bytes: 0, bytes: 0, newlines: 0, whole }
    }

    /// Appends to the output.
    pub(crate) fn push(&mut self, text: &str) {
        self.bytes += text.len() as u64;
        self.newlines += text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        if self.is_cut() {
            self.write_whole(text);
        }
        let mut rest = text;
        if self.tail.is_empty() && self.head.len() < self.limit / 2 {
            let cut = crate::text::floor(rest, self.limit / 2 - self.head.len());
            self.head.push_str(&rest[..cut]);
            rest = &rest[cut..];
        }
        // In pieces, so that a single large push is as droppable as many small ones.
        while !rest.is_empty() {
            let cut = crate::text::floor(rest, 4096);
            self.tail.push_back(rest[..cut].to_owned());
            self.tail_bytes += cut;
            rest = &rest[cut..];
        }
        let keep = self.limit - self.limit / 2;
        while let Some(first) = self.tail.front()
            && self.is_cut()
            && self.tail_bytes - first.len() >= keep
        {
            self.tail_bytes -= first.len();
            self.tail.pop_front();
        }
    }

    fn is_cut(&self) -> bool {
        self.bytes > self.limit as u64
    }

    /// Called once per push from the moment the output is too long; the first time, all that came before is still here.
    fn write_whole(&mut self, text: &str) {
        if let Whole::Planned(path) = &self.whole {
            self.whole = match create(path) {
                Ok(mut file) => {
                    let so_far = std::iter::once(&self.head).chain(&self.tail);
                    let written: std::io::Result<()> =
                        so_far.into_iter().try_for_each(|part| file.write_all(part.as_bytes()));
                    if written.is_ok() { Whole::Writing { path: path.clone(), file } } else { Whole::None }
                }
                Err(_) => Whole::None,
            };
        }
        if let Whole::Writing { file, .. } = &mut self.whole
            && self.bytes <= MOST_IN_FILE
            && file.write_all(text.as_bytes()).is_err()
        {
            self.whole = Whole::None;
        }
    }

    /// What to show: everything, or head and tail with a line between them that says what is missing and where it is.
    pub(crate) fn finish(self) -> String {
        let tail: String = self.tail.iter().map(String::as_str).collect();
        if !self.is_cut() {
            return self.head + &tail;
        }
        // Cut at line ends, if there is one near.
        let head = match self.head.rfind('\n') {
            Some(at) if at >= self.head.len() / 2 => &self.head[..at],
            _ => &self.head,
        };
        let keep = self.limit - self.limit / 2;
        let tail = &tail[tail.ceil_char_boundary(tail.len().saturating_sub(keep))..];
        let tail = match tail.find('\n') {
            Some(at) if at < tail.len() / 2 => &tail[at + 1..],
            _ => tail,
        };
        let missing = self.bytes - (head.len() + tail.len()) as u64;
        let place = match &self.whole {
            Whole::Writing { path, .. } if self.bytes > MOST_IN_FILE => {
                format!("; the first {} MiB are in {}", MOST_IN_FILE >> 20, path.display())
            }
            Whole::Writing { path, .. } => format!("; the full text is in {}", path.display()),
            _ => String::new(),
        };
        let all = self.bytes;
        let lines = self.newlines;
        format!("{head}\n[… {missing} of {all} bytes ({lines} lines) left out here{place} …]\n{tail}")
    }
}

/// Creates a private file in a private directory.
fn create(path: &Path) -> std::io::Result<File> {
    if let Some(parent) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Where long outputs go: below the agent's home, by session and call.
#[derive(Debug, Clone)]
pub(crate) struct OutputFiles {
    directory: PathBuf,
}

impl OutputFiles {
    /// The outputs of the agent whose home is `home`.
    pub(crate) fn new(home: &Path) -> Self {
        Self { directory: home.join("outputs") }
    }

    /// The files of a session.
    pub(crate) fn of_session(&self, session: &str) -> PathBuf {
        self.directory.join(plain(session))
    }

    /// The file of a call.
    pub(crate) fn of_call(&self, session: &str, call: &str) -> PathBuf {
        self.of_session(session).join(format!("{}.txt", plain(call)))
    }

    /// Removes the files of sessions that have written none for `age`. Blocks.
    pub(crate) fn prune(&self, age: Duration) {
        let Ok(sessions) = std::fs::read_dir(&self.directory) else { return };
        for session in sessions.flatten() {
            let written = session.metadata().and_then(|metadata| metadata.modified());
            let is_old = written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|passed| passed > age));
            if is_old {
                let _ = std::fs::remove_dir_all(session.path());
            }
        }
    }
}

/// An id as the name of a file: ids come from clients and models, and may contain anything.
fn plain(id: &str) -> String {
    let name: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(100).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_output_is_shown_as_it_is_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("outputs/call.txt");
        let mut output = Bounded::new(100, Some(file.clone()));
        output.push("one\n");
        output.push("two\n");
        assert_eq!(output.finish(), "one\ntwo\n");
        assert!(!file.exists());
    }

    #[test]
    fn long_output_shows_head_and_tail_and_the_file_has_it_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("outputs/call.txt");
        let mut output = Bounded::new(100, Some(file.clone()));
        let lines: Vec<String> = (1..=1000).map(|line| format!("line {line}\n")).collect();
        for line in &lines {
            output.push(line);
        }
        let shown = output.finish();
        assert!(shown.starts_with("line 1\nline 2\n"), "{shown}");
        assert!(shown.ends_with("line 999\nline 1000\n"), "{shown}");
        assert!(shown.contains("(1000 lines) left out here; the full text is in "), "{shown}");
        assert!(shown.contains(&file.display().to_string()), "{shown}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), lines.concat());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn an_unwritable_file_costs_only_the_file() {
        let mut output = Bounded::new(10, Some("/proc/nowhere/file".into()));
        output.push("a line that is much longer than ten bytes");
        let shown = output.finish();
        assert!(shown.contains("left out here …]"), "{shown}");
    }

    #[test]
    fn ids_cannot_leave_the_directory() {
        let files = OutputFiles::new(Path::new("/home"));
        assert_eq!(files.of_call("../../s", "call/../x"), Path::new("/home/outputs/______s/call____x.txt"));
        assert_eq!(files.of_call("", ""), Path::new("/home/outputs/_/_.txt"));
    }

    #[test]
    fn old_outputs_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let files = OutputFiles::new(dir.path());
        for session in ["old", "new"] {
            drop(create(&files.of_call(session, "1")).unwrap());
        }
        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        File::open(files.of_session("old")).unwrap().set_modified(long_ago).unwrap();
        files.prune(Duration::from_secs(500));
        assert!(!files.of_session("old").exists());
        assert!(files.of_session("new").exists());
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_the_ends_are_true(parts in prop::collection::vec("[a-zé\u{1F600}\n]{0,60}", 0..40), limit in 0usize..300) {
            let all: String = parts.concat();
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("whole");
            let mut output = Bounded::new(limit, Some(file.clone()));
            for part in &parts {
                output.push(part);
            }
            let shown = output.finish();
            if all.len() <= limit {
                prop_assert_eq!(shown, all);
            } else {
                let (head, rest) = shown.split_once("\n[… ").unwrap();
                let (_, tail) = rest.split_once(" …]\n").unwrap();
                prop_assert!(head.len() + tail.len() <= limit);
                prop_assert!(all.starts_with(head));
                prop_assert!(all.ends_with(tail));
                prop_assert_eq!(std::fs::read_to_string(&file).unwrap(), all);
            }
        }
    }
}
