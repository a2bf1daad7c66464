//! Leases: one process works on a session at a time. A lease is a lock of the operating system on a file, so that it ends
//! with its process, however that ends.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::database::{create_private_dir, private_file};
use crate::error::StoreError;

/// The leases this process holds.
#[derive(Debug)]
pub(crate) struct Leases {
    directory: PathBuf,
    held: HashMap<String, Lease>,
}

/// A locked file. Dropping it removes the file and unlocks it.
#[derive(Debug)]
struct Lease {
    path: PathBuf,
    _file: File,
}

impl Leases {
    /// No lease yet; files go to `directory`.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, held: HashMap::new() }
    }

    /// Takes the lease of `session`, unless this process has it.
    pub(crate) fn take(&mut self, session: &str) -> Result<(), StoreError> {
        if self.held.contains_key(session) {
            return Ok(());
        }
        let path = self.directory.join(file_name(session));
        match lock(&path) {
            Ok(Some(lease)) => {
                self.held.insert(session.to_owned(), lease);
                Ok(())
            }
            Ok(None) => {
                let holder = holder(&path).map(|process| format!("process {process}"));
                Err(StoreError::InUse { session: session.to_owned(), holder })
            }
            Err(error) => Err(StoreError::Lease { session: session.to_owned(), path, detail: error.to_string() }),
        }
    }

    /// Gives the lease of `session` back, if this process has it.
    pub(crate) fn release(&mut self, session: &str) {
        self.held.remove(session);
    }

    /// Gives all back.
    pub(crate) fn release_all(&mut self) {
        self.held.clear();
    }

    /// Whether this process has the lease of `session`.
    pub(crate) fn holds(&self, session: &str) -> bool {
        self.held.contains_key(session)
    }
}

/// `None`: somebody else has it.
fn lock(path: &Path) -> io::Result<Option<Lease>> {
    if let Some(directory) = path.parent() {
        create_private_dir(directory)?;
    }
    loop {
        let mut file = private_file().open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The process that had the lease before may have removed the file between our opening and locking it; a lock
        // on a file without a name would keep nobody out.
        if is_at(&file, path)? {
            file.set_len(0)?;
            file.write_all(std::process::id().to_string().as_bytes())?;
            return Ok(Some(Lease { path: path.to_owned(), _file: file }));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Still locked here. Where the check of `is_at` is not possible, the file must stay.
        if cfg!(unix) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let open = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// The process that wrote its id into the lock file.
fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// A session's id as a file name: a client may have chosen it, so that it may be anything.
fn file_name(session: &str) -> String {
    use std::fmt::Write;

    let mut name = String::new();
    for byte in session.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            byte => {
                let _ = write!(name, "%{byte:02x}");
            }
        }
    }
    name.push_str(".lock");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = Leases::new(directory.path().join("locks"));
        let mut second = Leases::new(directory.path().join("locks"));
        first.take("a").unwrap();
        first.take("a").unwrap();
        second.take("b").unwrap();
        let refused = second.take("a").unwrap_err();
        assert!(refused.to_string().contains(&format!("(process {})", std::process::id())), "{refused}");
        first.release("a");
        second.take("a").unwrap();
        assert!(first.take("a").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn lock_files_go_with_their_lease() {
        let directory = tempfile::tempdir().unwrap();
        let mut leases = Leases::new(directory.path().to_owned());
        leases.take("a").unwrap();
        leases.take("b").unwrap();
        leases.release_all();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_id_cannot_leave_the_directory() {
        assert_eq!(file_name("../x/\u{e9}"), "%2e%2e%2fx%2f%c3%a9.lock");
    }

    #[test]
    fn threads_that_take_and_release_never_hold_it_together() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let directory = tempfile::tempdir().unwrap();
        let inside = AtomicU32::new(0);
        let taken = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut leases = Leases::new(directory.path().to_owned());
                    for _ in 0..500 {
                        if leases.take("a").is_ok() {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            taken.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            leases.release("a");
                        }
                    }
                });
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 0);
    }
}
