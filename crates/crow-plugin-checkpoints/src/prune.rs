//! What is kept is bounded: by age, and by size, the oldest sessions first.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::Settings;
use crate::journal;

struct Kept {
    directory: PathBuf,
    changed: SystemTime,
    bytes: u64,
}

/// Removes what is too old or too much, but never what is kept of the session in `current`.
pub(crate) fn prune(home: &Path, current: &Path, settings: &Settings) {
    let Ok(entries) = fs::read_dir(journal::root(home)) else {
        return;
    };
    let mut kept: Vec<Kept> = entries.flatten().map(|entry| look(entry.path())).collect();
    kept.sort_by_key(|kept| kept.changed);
    let oldest = SystemTime::now().checked_sub(Duration::from_hours(settings.keep_days.saturating_mul(24)));
    let mut total: u64 = kept.iter().map(|kept| kept.bytes).sum();
    for session in kept.iter().filter(|session| session.directory != current) {
        let is_old = oldest.is_some_and(|oldest| session.changed < oldest);
        if (is_old || total > settings.max_total_bytes) && fs::remove_dir_all(&session.directory).is_ok() {
            total -= session.bytes;
        }
    }
}

/// Bytes that are kept of the session in `directory`.
pub(crate) fn size(directory: &Path) -> u64 {
    look(directory.to_owned()).bytes
}

fn look(directory: PathBuf) -> Kept {
    let mut kept = Kept { changed: SystemTime::UNIX_EPOCH, bytes: 0, directory };
    let objects = kept.directory.join("objects");
    for place in [&kept.directory.clone(), &objects] {
        for metadata in fs::read_dir(place).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok()) {
            if metadata.is_file() {
                kept.bytes += metadata.len();
                kept.changed = kept.changed.max(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
            }
        }
    }
    kept
}
