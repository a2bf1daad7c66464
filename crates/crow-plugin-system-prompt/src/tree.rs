//! The directory tree: what is in the workspace, as far as it can be seen at a glance.

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Entries of one directory that are looked at; huge ones are cut before they are sorted.
const MOST_READ: usize = 2_000;

/// Entries of one directory that are shown, so that one long directory does not push out all others.
const MOST_SHOWN: usize = 50;

/// What bounds a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) depth: usize,
    pub(crate) entries: usize,
    pub(crate) time: Duration,
}

struct Entry {
    name: String,
    is_directory: bool,
    children: Vec<usize>,
    /// Children that are not shown.
    omitted: usize,
}

/// The tree below `root`, without what git ignores, hidden files, and what `ignore` (globs as in `.gitignore`) names.
/// Level by level, so that the bounds cut off what lies deepest.
pub(crate) fn display_tree(root: &Path, ignore: &[String], bounds: Bounds) -> String {
    let deadline = Instant::now() + bounds.time;
    let own_globs = own_globs(root, ignore);
    let mut entries: Vec<Entry> = Vec::new();
    let mut top = Vec::new();
    let mut top_omitted = 0;
    let mut complete = true;
    let mut queue: VecDeque<(Option<usize>, PathBuf, usize)> = VecDeque::from([(None, root.to_owned(), 1)]);
    while let Some((parent, directory, depth)) = queue.pop_front() {
        if depth > bounds.depth {
            continue;
        }
        if Instant::now() > deadline {
            complete = false;
            break;
        }
        let (found, more) = list(&directory, &own_globs);
        let room = bounds.entries.saturating_sub(entries.len()).min(MOST_SHOWN);
        let omitted = found.len().saturating_sub(room) + more;
        let first = entries.len();
        for (name, is_directory) in found.into_iter().take(room) {
            if is_directory {
                queue.push_back((Some(entries.len()), directory.join(&name), depth + 1));
            }
            entries.push(Entry { name, is_directory, children: Vec::new(), omitted: 0 });
        }
        let children = (first..entries.len()).collect();
        match parent {
            Some(parent) => (entries[parent].children, entries[parent].omitted) = (children, omitted),
            None => (top, top_omitted) = (children, omitted),
        }
    }
    let mut text = String::new();
    render(&entries, &top, top_omitted, 0, &mut text);
    if !complete {
        text.push_str("(there is more; looking further would have taken too long)\n");
    }
    text
}

fn render(entries: &[Entry], shown: &[usize], omitted: usize, indent: usize, text: &mut String) {
    for entry in shown.iter().map(|at| &entries[*at]) {
        let slash = if entry.is_directory { "/" } else { "" };
        // A name may hold anything, line breaks included.
        let name: String = entry.name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let _ = writeln!(text, "{:indent$}{name}{slash}", "");
        render(entries, &entry.children, entry.omitted, indent + 2, text);
    }
    if omitted > 0 {
        let _ = writeln!(text, "{:indent$}… {omitted} more", "");
    }
}

/// The entries of one directory by name, and how many there are beyond those that are looked at.
fn list(directory: &Path, own_globs: &Gitignore) -> (Vec<(String, bool)>, usize) {
    let walk = WalkBuilder::new(directory).max_depth(Some(1)).require_git(false).follow_links(false).build();
    let mut more = 0;
    let mut found = Vec::new();
    for entry in walk.take(MOST_READ).flatten().filter(|entry| entry.depth() == 1) {
        let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
        if own_globs.matched(entry.path(), is_directory).is_ignore() {
            continue;
        }
        found.push((entry.file_name().to_string_lossy().into_owned(), is_directory));
        more = usize::from(found.len() + 1 >= MOST_READ);
    }
    found.sort_unstable();
    (found, more)
}

fn own_globs(root: &Path, globs: &[String]) -> Gitignore {
    let mut builder = GitignoreBuilder::new(root);
    for glob in globs {
        // A glob that is not one ignores nothing.
        let _ = builder.add_line(None, glob);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expect_test::expect;

    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 3, entries: 200, time: Duration::from_secs(10) };

    fn workspace(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn what_is_ignored_hidden_or_too_deep_is_left_out() {
        let root = workspace(&[
            "src/main.rs",
            "src/deep/er/still.rs",
            "target/debug/x",
            "notes.log",
            ".git/HEAD",
            ".env",
            "web/dist/a.js",
            "web/index.html",
            "zoo",
        ]);
        fs::write(root.path().join(".gitignore"), "target/\n").unwrap();
        fs::write(root.path().join("web/.gitignore"), "dist\n").unwrap();
        expect![[r#"
            src/
              deep/
                er/
              main.rs
            web/
              index.html
            zoo
        "#]]
        .assert_eq(&display_tree(root.path(), &["*.log".into()], BOUNDS));
    }

    #[test]
    fn a_directory_within_a_work_tree_heeds_the_files_above() {
        let root = workspace(&["inner/keep", "inner/drop.tmp", ".git/HEAD"]);
        fs::write(root.path().join(".gitignore"), "*.tmp\n").unwrap();
        assert_eq!(display_tree(&root.path().join("inner"), &[], BOUNDS), "keep\n");
    }

    #[test]
    fn bounds_cut_off_what_lies_deepest() {
        let root = workspace(&["a/1", "a/2", "a/3", "b/1", "c"]);
        let bounds = Bounds { entries: 5, ..BOUNDS };
        expect![[r#"
            a/
              1
              2
              … 1 more
            b/
              … 1 more
            c
        "#]]
        .assert_eq(&display_tree(root.path(), &[], bounds));
        assert_eq!(display_tree(root.path(), &[], Bounds { depth: 1, ..BOUNDS }), "a/\nb/\nc\n");
        assert_eq!(display_tree(root.path(), &[], Bounds { depth: 0, ..BOUNDS }), "");
    }

    #[test]
    fn a_long_directory_does_not_push_out_the_others() {
        let many: Vec<String> = (0..60).map(|number| format!("a/{number:02}")).collect();
        let mut files: Vec<&str> = many.iter().map(String::as_str).collect();
        files.push("b/x");
        let tree = display_tree(workspace(&files).path(), &[], BOUNDS);
        assert!(tree.contains("  … 10 more\n"), "{tree}");
        assert!(tree.contains("b/\n  x\n"), "{tree}");
    }

    #[test]
    fn time_is_bounded_too() {
        let tree = display_tree(workspace(&["a"]).path(), &[], Bounds { time: Duration::ZERO, ..BOUNDS });
        assert_eq!(tree, "(there is more; looking further would have taken too long)\n");
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_empty() {
        assert_eq!(display_tree(Path::new("/nowhere/at/all"), &[], BOUNDS), "");
    }

    #[cfg(unix)]
    #[test]
    fn a_name_cannot_break_the_line() {
        let root = workspace(&["a\nb"]);
        assert_eq!(display_tree(root.path(), &[], BOUNDS), "a\u{fffd}b\n");
    }
}
