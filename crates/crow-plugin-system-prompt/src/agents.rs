//! The chain of `AGENTS.md` files: the user's own first, then from the root of the project down to where the session
//! works.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What the files are called.
const NAME: &str = "AGENTS.md";

/// One file of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instructions {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Reads the chain, at most `bytes` of it; the files nearest to `cwd` are the last to be cut.
pub(crate) fn chain(home: &Path, project: &Path, cwd: &Path, bytes: usize) -> Vec<Instructions> {
    let mut within: Vec<&Path> = cwd.ancestors().take_while(|directory| directory.starts_with(project)).collect();
    if within.is_empty() {
        within.push(cwd);
    }
    // The nearest first.
    let mut files: Vec<PathBuf> = within.iter().map(|directory| directory.join(NAME)).collect();
    files.retain(|file| stays_within(file, project));
    files.push(home.join(NAME));
    let mut left = bytes;
    let mut chain = Vec::new();
    for path in files {
        let Some(text) = read(&path, left) else { continue };
        left = left.saturating_sub(text.len());
        chain.push(Instructions { path, text });
    }
    chain.reverse();
    chain
}

/// A project's file that is a link must not lead out of the project: a cloned repository could point it at anything.
fn stays_within(file: &Path, project: &Path) -> bool {
    match (file.canonicalize(), project.canonicalize()) {
        (Ok(file), Ok(project)) => file.starts_with(project),
        _ => false,
    }
}

fn read(path: &Path, most: usize) -> Option<String> {
    if most == 0 || !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let file = std::fs::File::open(path).ok()?;
    let mut bytes = Vec::new();
    // One more than there is room for shows whether something is cut.
    file.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
    let is_cut = bytes.len() > most;
    bytes.truncate(most);
    let mut text = String::from_utf8_lossy(&bytes).trim().to_owned();
    if is_cut {
        text.push_str("\n(the rest of this file is left out: it is too long)");
    }
    (!text.is_empty()).then_some(text)
}

/// The chain as the model reads it; empty if there is none.
pub(crate) fn display(chain: &[Instructions]) -> String {
    if chain.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "Instructions from the user and for this project. Where they differ, the later ones hold, and what the user says \
         in the conversation holds before all of them.",
    );
    for instructions in chain {
        let path = instructions.path.display();
        let _ = write!(text, "\n\n<instructions path=\"{path}\">\n{}\n</instructions>", instructions.text);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Place {
        _keep: tempfile::TempDir,
        home: PathBuf,
        project: PathBuf,
        cwd: PathBuf,
    }

    fn place() -> Place {
        let keep = tempfile::tempdir().unwrap();
        let (home, project) = (keep.path().join("home"), keep.path().join("project"));
        let cwd = project.join("a/b");
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&cwd).unwrap();
        fs::write(keep.path().join(NAME), "above the project").unwrap();
        Place { _keep: keep, home, project, cwd }
    }

    fn texts(place: &Place, bytes: usize) -> Vec<String> {
        chain(&place.home, &place.project, &place.cwd, bytes).into_iter().map(|file| file.text).collect()
    }

    #[test]
    fn from_the_user_over_the_root_down_to_the_directory() {
        let place = place();
        assert_eq!(texts(&place, 1000), [""; 0]);
        assert_eq!(display(&[]), "");
        fs::write(place.cwd.join(NAME), "here\n").unwrap();
        fs::write(place.project.join(NAME), "root").unwrap();
        fs::write(place.home.join(NAME), "mine").unwrap();
        fs::write(place.project.join("a").join(NAME), "  \n").unwrap();
        assert_eq!(texts(&place, 1000), ["mine", "root", "here"]);
        let text = display(&chain(&place.home, &place.project, &place.cwd, 1000));
        let at = |words: &str| text.find(&format!(">\n{words}\n<")).expect(words);
        assert!(at("mine") < at("root") && at("root") < at("here"), "{text}");
        assert!(!text.contains("above the project"), "{text}");
    }

    #[test]
    fn what_is_nearest_is_cut_last() {
        let place = place();
        fs::write(place.cwd.join(NAME), "n".repeat(10)).unwrap();
        fs::write(place.home.join(NAME), "u".repeat(10)).unwrap();
        let cut = texts(&place, 13);
        assert_eq!(cut[1], "n".repeat(10));
        assert!(cut[0].starts_with("uuu\n(the rest"), "{cut:?}");
        assert_eq!(texts(&place, 10), ["n".repeat(10)]);
        assert_eq!(texts(&place, 0), [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn a_project_cannot_point_at_the_users_files() {
        let place = place();
        fs::write(place.home.join("secret"), "private key").unwrap();
        std::os::unix::fs::symlink(place.home.join("secret"), place.project.join(NAME)).unwrap();
        fs::write(place.project.join("OTHER.md"), "within").unwrap();
        std::os::unix::fs::symlink("../../OTHER.md", place.cwd.join(NAME)).unwrap();
        assert_eq!(texts(&place, 1000), ["within"]);
    }

    #[test]
    fn a_directory_or_bytes_that_are_no_text_do_no_harm() {
        let place = place();
        fs::create_dir(place.project.join(NAME)).unwrap();
        fs::write(place.cwd.join(NAME), [0xff, b'x']).unwrap();
        assert_eq!(texts(&place, 1000), ["\u{fffd}x"]);
    }
}
