//! Documents: which files `paths` and `llms_txt` mean.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;

use crate::settings::Settings;
use crate::skill::read_text;

/// What counts as a document in a directory that is named without a glob.
const DOCUMENTS: &str = "**/*.{md,mdx,markdown,txt,rst,adoc,org}";

/// The key of documents that belong to no project.
const EVERYWHERE: &str = "*";

/// Files that are indexed together, and found together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    /// What it is called in the index.
    pub(crate) key: String,
    /// Patterns of files, absolute.
    paths: Vec<PathBuf>,
    llms_txt: Vec<PathBuf>,
}

/// The documents of a session: those of the user's for all projects, and those of this project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sources {
    pub(crate) roots: Vec<Root>,
    ignore: Vec<String>,
    most: usize,
    largest: u64,
}

/// Whether a pattern can be understood.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    if pattern.trim().is_empty() {
        return Err("a path is empty".into());
    }
    if pattern.contains("://") {
        return Err(format!("`{pattern}` is an address; only files are read, nothing is fetched"));
    }
    GlobBuilder::new(pattern).build().map(drop).map_err(|error| format!("`{pattern}`: {}", error.kind()))
}

impl Sources {
    /// What the settings name, for a session in `project`.
    pub(crate) fn new(settings: &Settings, project: &Path, ignore: &[String]) -> Self {
        let mut everywhere = Root { key: EVERYWHERE.into(), paths: Vec::new(), llms_txt: Vec::new() };
        let mut here = Root { key: project.display().to_string(), paths: Vec::new(), llms_txt: Vec::new() };
        for pattern in &settings.paths {
            let (pattern, is_absolute) = absolute(pattern, project);
            if is_absolute { &mut everywhere } else { &mut here }.paths.push(pattern);
        }
        for file in &settings.llms_txt {
            let (file, is_absolute) = absolute(file, project);
            if is_absolute { &mut everywhere } else { &mut here }.llms_txt.push(file);
        }
        let roots = [everywhere, here].into_iter().filter(|root| !root.paths.is_empty() || !root.llms_txt.is_empty());
        Self {
            roots: roots.collect(),
            ignore: ignore.to_vec(),
            most: settings.max_files,
            largest: settings.max_file_bytes,
        }
    }

    /// The files of a root that exist, in order, and whether there were more than may be.
    pub(crate) fn files(&self, root: &Root) -> (Vec<PathBuf>, bool) {
        let mut files = Vec::new();
        for pattern in &root.paths {
            self.add(pattern, &mut files);
        }
        for file in &root.llms_txt {
            let Ok(text) = read_text(file, self.largest) else { continue };
            let directory = file.parent().unwrap_or(file);
            files.extend(linked(&text, directory).into_iter().filter(|file| file.is_file()));
            files.push(file.clone());
        }
        // Letter by letter: comparing paths part by part takes longer than finding them.
        files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
        files.dedup();
        let too_many = files.len() > self.most;
        files.truncate(self.most);
        (files, too_many)
    }

    /// Adds the files that one pattern means.
    fn add(&self, pattern: &Path, files: &mut Vec<PathBuf>) {
        let (base, rest) = split(pattern);
        if rest.as_os_str().is_empty() && base.is_file() {
            files.push(base);
            return;
        }
        let Some(globs) = globs(&rest) else { return };
        let mut overrides = OverrideBuilder::new(&base);
        for glob in &self.ignore {
            // A glob that cannot be read leaves nothing out.
            let _ = overrides.add(&format!("!{glob}"));
        }
        let names_hidden = rest.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
        let mut walk = WalkBuilder::new(&base);
        walk.hidden(!names_hidden).require_git(false);
        walk.filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git");
        if let Ok(overrides) = overrides.build() {
            walk.overrides(overrides);
        }
        let mut found = 0;
        for entry in walk.build().filter_map(Result::ok) {
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            if is_file && entry.path().strip_prefix(&base).is_ok_and(|path| globs.is_match(path)) {
                files.push(entry.into_path());
                found += 1;
                // One more than may be tells that there are too many.
                if found > self.most {
                    return;
                }
            }
        }
    }
}

/// The pattern as an absolute one without `.` and `..`, and whether it was absolute already.
fn absolute(pattern: &str, project: &Path) -> (PathBuf, bool) {
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    let (path, is_absolute) = match pattern.strip_prefix("~/").and_then(|rest| Some(home()?.join(rest))) {
        Some(path) => (path, true),
        None => (project.join(pattern), Path::new(pattern).is_absolute()),
    };
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    (plain, is_absolute)
}

/// The directory in which a pattern's files are, and the glob below it.
fn split(pattern: &Path) -> (PathBuf, PathBuf) {
    let is_glob = |part: &Component<'_>| part.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[{".contains(byte));
    let parts: Vec<Component<'_>> = pattern.components().collect();
    // What exists letter by letter is meant so, brackets and all.
    let end = if pattern.exists() { parts.len() } else { parts.iter().position(is_glob).unwrap_or(parts.len()) };
    (parts[..end].iter().collect(), parts[end..].iter().collect())
}

fn globs(rest: &Path) -> Option<GlobSet> {
    let glob = rest.to_str()?;
    let glob = if glob.is_empty() { DOCUMENTS } else { glob };
    let mut set = GlobSetBuilder::new();
    set.add(GlobBuilder::new(glob).literal_separator(true).build().ok()?);
    // `docs/**` means the files in it.
    set.build().ok()
}

/// The files below `directory` that a Markdown text links to.
fn linked(text: &str, directory: &Path) -> Vec<PathBuf> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', '?']).next());
    let files = targets.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with('/'));
    files.map(|target| absolute(target.trim(), directory).0).filter(|file| file.starts_with(directory)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(settings: &Settings, project: &Path) -> Vec<(String, Vec<String>)> {
        let sources = Sources::new(settings, project, &["*.skip.md".into()]);
        let name = |path: &PathBuf| path.strip_prefix(project).unwrap_or(path).display().to_string();
        sources
            .roots
            .iter()
            .map(|root| {
                let key = if root.key == EVERYWHERE { "*".into() } else { "project".to_owned() };
                (key, sources.files(root).0.iter().map(name).collect())
            })
            .collect()
    }

    fn project() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in [
            "docs/a.md",
            "docs/deep/b.md",
            "docs/c.rs",
            "docs/d.skip.md",
            "docs/.hidden.md",
            "node_modules/x.md",
            "e[1].md",
        ] {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "x").unwrap();
        }
        fs::write(root.path().join(".gitignore"), "node_modules\n").unwrap();
        let list = "# Docs\n- [a](docs/a.md#top): first\n- [gone](gone.md)\n- [up](../up.md)\n- [far](https://example.org/a.md)\n";
        fs::write(root.path().join("llms.txt"), list).unwrap();
        root
    }

    #[test]
    fn globs_directories_and_files() {
        let root = project();
        let of = |pattern: &str| found(&Settings { paths: vec![pattern.into()], ..Settings::default() }, root.path());
        let files = |names: &[&str]| {
            vec![("project".to_owned(), names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())]
        };
        assert_eq!(of("docs"), files(&["docs/a.md", "docs/deep/b.md"]));
        assert_eq!(of("./docs/*.md"), files(&["docs/a.md"]));
        assert_eq!(of("docs/**/*.{md,rs}"), files(&["docs/a.md", "docs/c.rs", "docs/deep/b.md"]));
        assert_eq!(of("**/*.md"), files(&["docs/a.md", "docs/deep/b.md", "e[1].md"]));
        assert_eq!(of("docs/.*.md"), files(&["docs/.hidden.md"]));
        assert_eq!(of("e[1].md"), files(&["e[1].md"]));
        assert_eq!(of("nowhere"), files(&[]));
        let outside = root.path().join("docs/deep");
        assert_eq!(of(outside.to_str().unwrap()), [("*".to_owned(), vec!["docs/deep/b.md".to_owned()])]);
    }

    #[test]
    fn an_llms_txt_brings_the_files_it_links_to() {
        let root = project();
        let settings = Settings { llms_txt: vec!["llms.txt".into()], ..Settings::default() };
        assert_eq!(
            found(&settings, root.path()),
            [("project".to_owned(), vec!["docs/a.md".into(), "llms.txt".into()])]
        );
    }

    #[test]
    fn there_is_an_end_to_it() {
        let root = project();
        let settings = Settings { paths: vec!["**".into()], max_files: 2, ..Settings::default() };
        let sources = Sources::new(&settings, root.path(), &[]);
        let (files, too_many) = sources.files(&sources.roots[0]);
        assert_eq!((files.len(), too_many), (2, true));
    }
}
