//! Paths as the operating system would find them, and the ones that are always asked about.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as Linux follows before it gives up.
const MOST_LINKS: usize = 40;

/// The path with every symbolic link and `..` resolved, as far as it exists; the rest is kept as it is. A link that
/// points to nothing is followed too: writing through it makes the file it names.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    let mut rest: Vec<PathBuf> = pieces(path);
    let mut links = 0;
    while let Some(piece) = rest.pop() {
        match piece.components().next() {
            Some(Component::ParentDir) => {
                resolved.pop();
            }
            Some(Component::CurDir) | None => {}
            Some(Component::RootDir | Component::Prefix(_)) => resolved = piece,
            Some(Component::Normal(name)) => {
                let next = resolved.join(name);
                match std::fs::read_link(&next) {
                    Ok(target) if links < MOST_LINKS => {
                        links += 1;
                        rest.extend(pieces(&target));
                    }
                    Ok(_) => return next,
                    // Not a link, or not there.
                    Err(_) => resolved = next,
                }
            }
        }
    }
    resolved
}

/// The components, the last first.
fn pieces(path: &Path) -> Vec<PathBuf> {
    let mut pieces: Vec<PathBuf> = path.components().map(|component| PathBuf::from(component.as_os_str())).collect();
    pieces.reverse();
    pieces
}

/// Whether `path` is one of `roots` or in one. All are canonical.
pub(crate) fn is_within(path: &Path, roots: &[PathBuf]) -> bool {
    roots.iter().any(|root| path.starts_with(root))
}

/// What decides about programs that run without being asked: it is asked about in every mode, and no rule covers it.
#[derive(Debug, Clone)]
pub(crate) struct Protected {
    /// Canonical directories.
    directories: Vec<PathBuf>,
    /// The same as somebody would write them in a command.
    spelled: Vec<String>,
}

impl Protected {
    /// `home` is `CROW_HOME`; `roots` are the canonical directories of the workspace.
    pub(crate) fn new(home: &Path, roots: &[PathBuf]) -> Self {
        // These may be links themselves, so that their targets don't show what they are.
        let linked = roots.iter().flat_map(|root| [root.join(".crow"), root.join(".git/hooks")]);
        let directories = linked.chain([home.to_owned()]).map(|directory| canonical(&directory)).collect();
        Self { directories, spelled: vec![home.to_string_lossy().into_owned()] }
    }

    /// Whether writing there has to be asked about. `path` is canonical.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        if is_within(path, &self.directories) {
            return true;
        }
        let names: Vec<&OsStr> = path.iter().collect();
        // Some file systems don't tell upper from lower case.
        let is = |name: &OsStr, other: &str| name.eq_ignore_ascii_case(other);
        let last = names.last().copied().unwrap_or_default();
        is(last, "hooks.json")
            || is(last, ".mcp.json")
            || names.iter().any(|name| is(name, ".crow") || is(name, ".claude"))
            || names.windows(2).any(|pair| is(pair[0], ".git") && (is(pair[1], "hooks") || is(pair[1], "config")))
    }

    /// Whether a command line names such a path. It may reach one without naming it: this is a guard against mistakes,
    /// not a wall.
    pub(crate) fn is_named_in(&self, command: &str) -> bool {
        let lower = command.to_ascii_lowercase();
        let ends = |at: usize| !lower[at..].starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-');
        let named = |name: &str| lower.match_indices(name).any(|(at, name)| ends(at + name.len()));
        [".crow", ".claude", "hooks.json", ".mcp.json", ".git/hooks", ".git/config"].into_iter().any(named)
            || self.spelled.iter().any(|home| command.contains(home.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    #[cfg(unix)]
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        (directory, path)
    }

    #[test]
    fn what_exists_is_as_the_system_says() {
        let (_keep, root) = directory();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "").unwrap();
        for path in ["a/b/file", "a/./b/../b/file", "a/b/..", "."] {
            let path = root.join(path);
            assert_eq!(canonical(&path), path.canonicalize().unwrap());
        }
        assert_eq!(canonical(&root.join("a/new/../other")), root.join("a/other"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_also_to_nothing_and_in_circles() {
        let (_keep, root) = directory();
        fs::create_dir(root.join("inside")).unwrap();
        symlink("/etc", root.join("inside/out")).unwrap();
        symlink("/nowhere/at/all", root.join("inside/dangling")).unwrap();
        symlink("../up", root.join("inside/relative")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(canonical(&root.join("inside/out/new")), Path::new("/etc").canonicalize().unwrap().join("new"));
        assert_eq!(canonical(&root.join("inside/dangling")), Path::new("/nowhere/at/all"));
        assert_eq!(canonical(&root.join("inside/relative/x")), root.join("up/x"));
        // `..` behind a link leaves the link's target, not the directory the link is in.
        assert_eq!(canonical(&root.join("inside/out/../x")), Path::new("/x"));
        let circle = canonical(&root.join("loop/x"));
        assert!(circle.starts_with(&root), "{}", circle.display());
    }

    #[test]
    fn look_alikes_are_outside() {
        let roots = [PathBuf::from("/ws/app")];
        assert!(is_within(Path::new("/ws/app"), &roots));
        assert!(is_within(Path::new("/ws/app/src"), &roots));
        assert!(!is_within(Path::new("/ws/app-evil/src"), &roots));
        assert!(!is_within(Path::new("/ws/application"), &roots));
        assert!(!is_within(Path::new("/ws"), &roots));
    }

    #[cfg(unix)]
    #[test]
    fn protected_paths_are_found_under_every_name() {
        let (_keep, root) = directory();
        let home = root.join("home/.crow");
        let workspace = root.join("ws");
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(workspace.join(".git")).unwrap();
        fs::create_dir_all(workspace.join("githooks")).unwrap();
        symlink("../githooks", workspace.join(".git/hooks")).unwrap();
        symlink(&home, workspace.join("innocent")).unwrap();
        let protected = Protected::new(&home, std::slice::from_ref(&workspace));
        for path in [
            ".crow/config.toml",
            ".claude/settings.json",
            ".crow",
            "sub/.crow/x",
            "hooks.json",
            "sub/.mcp.json",
            ".git/hooks/pre-commit",
            ".GIT/HOOKS/x",
            ".git/config",
            "githooks/pre-commit",
            "innocent/config.toml",
        ] {
            assert!(protected.covers(&canonical(&workspace.join(path))), "{path}");
        }
        for path in ["src/main.rs", ".crowd/x", "my-hooks.json", ".git/HEAD", "hooks/x", "crow/x"] {
            assert!(!protected.covers(&canonical(&workspace.join(path))), "{path}");
        }
        for command in ["cp x .git/hooks/pre-commit", "cat > .crow/config.toml", "rm .MCP.json", "ls .crow"] {
            assert!(protected.is_named_in(command), "{command}");
        }
        assert!(protected.is_named_in(&format!("rm {}/crow.db", home.display())));
        assert!(!protected.is_named_in("cargo test .crowd my.crows"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Any mixture of names, `.`, `..` and links to within and without ends where the system says.
        #[cfg(unix)]
        #[test]
        fn paths_end_where_the_system_says(steps in prop::collection::vec(
            prop::sample::select(vec!["a", "b", "..", ".", "in", "out", "up", "new"]), 0..8,
        )) {
            let (_keep, root) = directory();
            let workspace = root.join("ws");
            fs::create_dir_all(workspace.join("a/b")).unwrap();
            fs::create_dir_all(root.join("ws-evil/a")).unwrap();
            for at in ["", "a", "a/b"] {
                symlink(workspace.join("a"), workspace.join(at).join("in")).unwrap();
                symlink(root.join("ws-evil"), workspace.join(at).join("out")).unwrap();
                symlink("..", workspace.join(at).join("up")).unwrap();
            }
            let path = steps.iter().fold(workspace.clone(), |path, step| path.join(step));
            let found = canonical(&path);
            prop_assert!(found.is_absolute());
            if let Ok(real) = path.canonicalize() {
                prop_assert_eq!(&found, &real);
                prop_assert_eq!(is_within(&found, std::slice::from_ref(&workspace)), real.starts_with(&workspace));
            }
        }
    }
}
