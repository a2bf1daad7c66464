//! Paths: what a model writes becomes the one place on disk that it means, and whether that lies in the workspace.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{Error, ErrorKind};
use std::path::{Component, Path, PathBuf};

/// As many symlinks as Linux itself follows in one path.
const MOST_LINKS: usize = 40;

/// Why a path cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PathError {
    #[error("the path is empty")]
    Empty,
    #[error("the path contains a NUL character")]
    Nul,
    #[error("`~` cannot be resolved: the home directory is not known")]
    NoHome,
    #[error("cannot resolve `{path}`: {source}")]
    Unresolved { path: String, source: Error },
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Absolute, free of `.` and `..`, symlinks as written: the name by which an editor knows the file.
    pub(crate) shown: PathBuf,
    /// Absolute, symlinks resolved as far as the path exists: what is opened, and what permissions are about.
    pub(crate) real: PathBuf,
    /// Whether [`real`](Self::real) lies in the working directory or one of the additional directories.
    pub(crate) inside: bool,
}

/// The directories a session works in.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    cwd: PathBuf,
    roots: Vec<PathBuf>,
}

impl Workspace {
    /// A workspace whose relative paths start at `cwd`. Looks at the disk.
    pub(crate) fn new(cwd: &Path, roots: &[PathBuf]) -> Self {
        let mut real: Vec<PathBuf> = roots.iter().filter_map(|root| resolve(root).ok()).collect();
        real.extend(resolve(cwd).ok());
        Self { cwd: cwd.to_owned(), roots: real }
    }

    /// Where `path` leads: relative to the working directory, `~` being the user's home. Looks at the disk.
    pub(crate) fn place(&self, path: &str) -> Result<Place, PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.contains('\0') {
            return Err(PathError::Nul);
        }
        let written = match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                let home = std::env::home_dir().filter(|home| home.is_absolute()).ok_or(PathError::NoHome)?;
                home.join(rest.trim_start_matches('/'))
            }
            _ => self.cwd.join(path),
        };
        let real = resolve(&written).map_err(|source| PathError::Unresolved { path: path.to_owned(), source })?;
        // `link/..` means another directory to the system than to a reader; the name shown must not hide that.
        let shown = if written.components().any(|part| part == Component::ParentDir) {
            let tidy = without_dots(&written);
            if resolve(&tidy).is_ok_and(|same| same == real) { tidy } else { real.clone() }
        } else {
            without_dots(&written)
        };
        Ok(Place { shown, inside: self.contains(&real), real })
    }

    /// Whether a path without symlinks lies in the workspace.
    pub(crate) fn contains(&self, real: &Path) -> bool {
        self.roots.iter().any(|root| real.starts_with(root))
    }

    /// `path` as people write it in this workspace: relative if it is below the working directory.
    pub(crate) fn display(&self, path: &Path) -> String {
        let short = match path.strip_prefix(&self.cwd) {
            Ok(rest) if rest.as_os_str().is_empty() => Path::new("."),
            Ok(rest) => rest,
            Err(_) => path,
        };
        short.display().to_string()
    }
}

/// The path without `.` and with `..` taken literally, not touching the disk.
fn without_dots(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}

/// Follows every symlink in an absolute path. From the first part that does not exist the rest is kept as written, so
/// that files which are yet to be made, and links that dangle, have a place too.
///
/// # Errors
/// The path is not absolute, or its symlinks go round in a circle.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_absolute() {
        return Err(Error::new(ErrorKind::InvalidInput, "not an absolute path"));
    }
    let mut pending: VecDeque<OsString> = path.iter().map(OsString::from).collect();
    let mut real = PathBuf::new();
    let mut links = 0;
    while let Some(part) = pending.pop_front() {
        if part == "." {
            continue;
        }
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        let is_link = next.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_symlink());
        if !is_link {
            real = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Error::other("too many symbolic links"));
        }
        let target = next.read_link()?;
        // An absolute target starts with `/`, which replaces what `real` holds when it is joined.
        for part in target.iter().rev() {
            pending.push_front(part.to_owned());
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn workspace() -> (tempfile::TempDir, PathBuf, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("project/src")).unwrap();
        std::fs::create_dir_all(base.join("extra")).unwrap();
        std::fs::create_dir_all(base.join("secret")).unwrap();
        std::fs::write(base.join("secret/key"), "k").unwrap();
        let workspace = Workspace::new(&base.join("project"), &[base.join("project"), base.join("extra")]);
        (dir, base, workspace)
    }

    #[test]
    fn relative_paths_start_at_the_working_directory() {
        let (_dir, base, workspace) = workspace();
        let place = workspace.place("./src/../src/new.rs").unwrap();
        assert_eq!(place.shown, base.join("project/src/new.rs"));
        assert_eq!(place.real, base.join("project/src/new.rs"));
        assert!(place.inside);
        assert_eq!(workspace.display(&place.shown), "src/new.rs");
        assert_eq!(workspace.display(&base.join("project")), ".");
    }

    #[test]
    fn what_lies_outside_is_outside_however_it_is_written() {
        let (_dir, base, workspace) = workspace();
        symlink(base.join("secret"), base.join("project/link")).unwrap();
        symlink("../../secret/not-there-yet", base.join("project/src/dangling")).unwrap();
        let absolute = base.join("secret/key");
        for path in
            ["../secret/key", "link/key", "link/new", "src/dangling", "link/../secret/key", absolute.to_str().unwrap()]
        {
            assert!(!workspace.place(path).unwrap().inside, "{path} is outside");
        }
        assert_eq!(workspace.place("link/key").unwrap().real, base.join("secret/key"));
        assert_eq!(workspace.place("src/dangling").unwrap().real, base.join("secret/not-there-yet"));
        assert!(!workspace.place(&format!("{}-other", base.join("project").display())).unwrap().inside);
    }

    #[test]
    fn the_additional_directories_are_inside() {
        let (_dir, _base, workspace) = workspace();
        assert!(workspace.place("../extra/file").unwrap().inside);
        assert!(workspace.place("../extra").unwrap().inside);
        assert!(!workspace.place("..").unwrap().inside);
    }

    #[test]
    fn a_workspace_behind_a_symlink_is_inside_itself() {
        let (_dir, base, _) = workspace();
        symlink(base.join("project"), base.join("alias")).unwrap();
        let workspace = Workspace::new(&base.join("alias"), &[base.join("alias")]);
        let place = workspace.place("src/lib.rs").unwrap();
        assert!(place.inside);
        assert_eq!(place.shown, base.join("alias/src/lib.rs"));
        assert_eq!(place.real, base.join("project/src/lib.rs"));
    }

    #[test]
    fn dots_behind_a_link_go_where_the_system_goes() {
        let (_dir, base, workspace) = workspace();
        std::fs::create_dir_all(base.join("secret/deep")).unwrap();
        symlink(base.join("secret/deep"), base.join("project/link")).unwrap();
        let place = workspace.place("link/../key").unwrap();
        assert_eq!(place.real, base.join("secret/key"));
        assert_eq!(place.shown, base.join("secret/key"), "`project/key` would be a lie");
    }

    #[test]
    fn hopeless_paths_are_errors() {
        let (_dir, base, workspace) = workspace();
        assert!(matches!(workspace.place(""), Err(PathError::Empty)));
        assert!(matches!(workspace.place("a\0b"), Err(PathError::Nul)));
        symlink("circle", base.join("project/circle")).unwrap();
        let error = workspace.place("circle/file").unwrap_err().to_string();
        assert!(error.contains("too many symbolic links"), "{error}");
    }

    #[test]
    fn the_home_directory_has_its_sign() {
        let (_dir, _base, workspace) = workspace();
        let home = resolve(&std::env::home_dir().unwrap()).unwrap();
        assert_eq!(workspace.place("~/x").unwrap().real, home.join("x"));
        assert_eq!(workspace.place("~").unwrap().real, home);
        assert!(workspace.place("~x").unwrap().inside, "a file that merely begins with the sign");
    }
}
