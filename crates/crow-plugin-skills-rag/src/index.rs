//! Keeping the index as the files are: what has not changed is not read, what has not changed in content is not cut.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;

use crow_acp::digest_bytes;

use crate::chunk;
use crate::store::{Change, Known, Stamp, Store, StoreError};

/// Changes that are written together: more would keep others from writing for long.
const TOGETHER: usize = 128;

/// How files are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// How large pieces are, in bytes.
    pub(crate) chunk_bytes: usize,
    /// Larger files are left out, in bytes.
    pub(crate) largest: u64,
}

/// Brings a root of the index up to these files, which are all it has.
pub(crate) fn update(
    store: &mut dyn Store,
    root: &str,
    files: &[PathBuf],
    cut: Cut,
    stop: &AtomicBool,
) -> Result<(), StoreError> {
    let mut known = store.files(root)?;
    let mut changes = Vec::new();
    for file in files {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(path) = file.to_str() else { continue };
        let before = known.remove(path);
        changes.extend(look(path, before.as_ref(), cut));
        if changes.len() >= TOGETHER {
            store.change(root, &changes)?;
            changes.clear();
        }
    }
    changes.extend(known.into_keys().map(|path| Change::Remove { path }));
    if changes.is_empty() { Ok(()) } else { store.change(root, &changes) }
}

/// What has happened to a file since.
fn look(path: &str, before: Option<&Known>, cut: Cut) -> Option<Change> {
    let gone = || before.map(|_| Change::Remove { path: path.to_owned() });
    let Ok(metadata) = fs::metadata(path) else { return gone() };
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let stamp = Stamp { modified: modified.as_nanos() as i64, size: metadata.len() as i64 };
    if before.is_some_and(|before| before.stamp == stamp) {
        return None;
    }
    let text = match fs::read(path) {
        Ok(bytes) if metadata.len() <= cut.largest => text_of(bytes),
        Ok(_) => String::new(),
        Err(_) => return gone(),
    };
    let digest = format!("{} {}", digest_bytes(text.as_bytes()), cut.chunk_bytes);
    if before.is_some_and(|before| before.digest == digest) {
        return Some(Change::Touch { path: path.to_owned(), stamp });
    }
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_markdown =
        matches!(extension, "md" | "mdx" | "markdown") || Path::new(path).file_name() == Some("llms.txt".as_ref());
    let chunks = chunk::cut(&text, is_markdown, cut.chunk_bytes);
    Some(Change::Put { path: path.to_owned(), known: Known { stamp, digest }, chunks })
}

/// The text of a file; nothing if it is none.
fn text_of(bytes: Vec<u8>) -> String {
    let is_text = !bytes.iter().take(8 * 1024).any(|byte| *byte == 0);
    if is_text { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::search::{Query, search};
    use crate::store::sqlite::Sqlite;

    struct Place {
        directory: tempfile::TempDir,
        store: Sqlite,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = Sqlite::open(&directory.path().join("home/skills.db")).unwrap();
            Self { directory, store }
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        }

        fn update(&mut self, files: &[PathBuf]) {
            let cut = Cut { chunk_bytes: 400, largest: 10_000 };
            update(&mut self.store, "root", files, cut, &AtomicBool::new(false)).unwrap();
        }

        fn find(&mut self, text: &str) -> Vec<String> {
            let query = Query { text: text.into(), min_score: 0.5, ..Query::default() };
            let found = search(&mut self.store, &["root".into()], &query).unwrap();
            found.into_iter().map(|piece| piece.chunk.text).collect()
        }
    }

    #[test]
    fn the_index_follows_the_files() {
        let mut place = Place::new();
        let a = place.write("a.md", "# Rockets\nIgnition needs oxygen.\n");
        let b = place.write("b.txt", "Bread needs yeast.\n");
        place.update(&[a.clone(), b.clone()]);
        assert_eq!(place.find("yeast"), ["Bread needs yeast."]);
        assert_eq!(place.find("igniting rockets"), ["# Rockets\nIgnition needs oxygen."]);

        fs::write(&a, "# Rockets\nIgnition needs kerosene.\n").unwrap();
        place.update(&[a.clone(), b.clone()]);
        assert!(place.find("oxygen").is_empty());
        assert_eq!(place.find("kerosene").len(), 1);

        place.update(std::slice::from_ref(&a));
        assert!(place.find("yeast").is_empty());
        fs::remove_file(&a).unwrap();
        place.update(&[a]);
        assert!(place.find("kerosene").is_empty());
        assert!(place.store.files("root").unwrap().is_empty());
    }

    #[test]
    fn what_is_only_touched_is_not_cut_again() {
        let mut place = Place::new();
        let a = place.write("a.md", "# Rockets\n");
        place.update(std::slice::from_ref(&a));
        let before = place.store.files("root").unwrap();
        let ids = |place: &mut Place| place.store.without_vector(&["root".into()], 0, 10).unwrap();
        let pieces = ids(&mut place);
        fs::File::options()
            .append(true)
            .open(&a)
            .unwrap()
            .set_modified(SystemTime::now() + Duration::from_mins(1))
            .unwrap();
        place.update(std::slice::from_ref(&a));
        let after = place.store.files("root").unwrap();
        assert_ne!(before, after);
        assert_eq!(ids(&mut place), pieces);
        assert_eq!(before.values().next().unwrap().digest, after.values().next().unwrap().digest);
    }

    #[test]
    fn what_is_no_text_or_too_large_is_left_out() {
        let mut place = Place::new();
        let binary = place.write("a.md", "rockets\0");
        let large = place.write("b.md", &"rockets ".repeat(2_000));
        let odd = place.directory.path().join("c.md");
        fs::write(&odd, b"bread \xff\n").unwrap();
        place.update(&[binary, large, odd]);
        assert!(place.find("rockets").is_empty());
        assert_eq!(place.find("bread"), ["bread \u{fffd}"]);
        assert_eq!(place.store.files("root").unwrap().len(), 3, "they are not read again each time");
    }

    #[test]
    fn a_stop_leaves_the_rest_for_later() {
        let mut place = Place::new();
        let a = place.write("a.md", "rockets");
        let cut = Cut { chunk_bytes: 400, largest: 10_000 };
        update(&mut place.store, "root", std::slice::from_ref(&a), cut, &AtomicBool::new(true)).unwrap();
        assert!(place.find("rockets").is_empty());
    }
}
