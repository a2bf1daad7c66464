//! The disk: reading without surprises, writing all or nothing.
//!
//! Paths that come here are already resolved ([`crate::paths::resolve`]); a symlink that appears in one afterwards is
//! refused where the system offers that, so that what was permitted is what is opened.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("{0} does not exist")]
    NotFound(String),
    #[error("{0} is a directory; use `list` to see what is in it")]
    Directory(String),
    #[error("{0} is not a regular file but {1}")]
    Special(String, &'static str),
    #[error(
        "{path} is too large: {size} bytes, and the limit is {limit}. Use `grep` or `terminal` to get at parts of it"
    )]
    TooLarge { path: String, size: u64, limit: u64 },
    #[error("{path}: {source}")]
    Failed { path: String, source: std::io::Error },
}

fn failed(path: &Path, source: impl Into<std::io::Error>) -> DiskError {
    let source = source.into();
    let path = path.display().to_string();
    match source.kind() {
        std::io::ErrorKind::NotFound => DiskError::NotFound(path),
        std::io::ErrorKind::IsADirectory => DiskError::Directory(path),
        _ => DiskError::Failed { path, source },
    }
}

/// The whole of a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, DiskError> {
    // Without NONBLOCK, opening a FIFO would wait for somebody to write to it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(open(path, flags).map_err(|error| failed(path, error))?);
    let metadata = file.metadata().map_err(|error| failed(path, error))?;
    check_kind(path, FileType::from_raw_mode(metadata.mode()))?;
    let too_large = |size| DiskError::TooLarge { path: path.display().to_string(), size, limit };
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    // Files of /proc say they are empty, and others may grow meanwhile.
    let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| failed(path, error))?;
    if read as u64 > limit {
        return Err(too_large(read as u64));
    }
    Ok(bytes)
}

/// Replaces or creates a file: readers see the old or the new contents, never a part. An existing file keeps its mode
/// and, if the system lets us, its owner; missing directories are made.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(DiskError::Directory(path.display().to_string()));
    };
    std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
    let directory =
        open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC).map_err(|error| failed(parent, error))?;
    let old = match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            check_kind(path, FileType::from_raw_mode(stat.st_mode))?;
            Some(stat)
        }
        Err(Errno::NOENT) => None,
        Err(error) => return Err(failed(path, error)),
    };
    let replaced = Replacement::create(directory.as_fd().try_clone_to_owned().map_err(|error| failed(parent, error))?)
        .and_then(|new| new.fill(old.as_ref(), bytes)?.put_in_place(name));
    match replaced {
        Ok(()) => Ok(()),
        // The directory may be closed to us while the file is not, and a mounted file cannot be replaced.
        Err(Errno::ACCESS | Errno::PERM | Errno::BUSY | Errno::XDEV) if old.is_some() => {
            let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file =
                rustix::fs::openat(&directory, name, flags, Mode::empty()).map_err(|error| failed(path, error))?;
            File::from(file).write_all(bytes).map_err(|error| failed(path, error))
        }
        Err(error) => Err(failed(path, error)),
    }
}

/// A file beside the one to be replaced; removed again unless it is put in place.
struct Replacement {
    directory: OwnedFd,
    name: PathBuf,
    file: File,
}

impl Replacement {
    fn create(directory: OwnedFd) -> Result<Self, Errno> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let name = format!(".crow-{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            match rustix::fs::openat(&directory, &name, flags, Mode::from_raw_mode(0o666)) {
                Ok(file) => return Ok(Self { directory, name: name.into(), file: file.into() }),
                // Left over by an earlier process with our number.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(mut self, old: Option<&rustix::fs::Stat>, bytes: &[u8]) -> Result<Self, Errno> {
        if let Some(old) = old {
            let new = rustix::fs::fstat(&self.file)?;
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) {
                // Only the superuser may give files away; for everybody else they become their own.
                let owner = rustix::fs::Uid::from_raw(old.st_uid);
                let group = rustix::fs::Gid::from_raw(old.st_gid);
                let _ = rustix::fs::fchown(&self.file, Some(owner), Some(group));
            }
            rustix::fs::fchmod(&self.file, Mode::from_raw_mode(old.st_mode & 0o7777))?;
        }
        self.file.write_all(bytes).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(self)
    }

    fn put_in_place(mut self, name: &std::ffi::OsStr) -> Result<(), Errno> {
        rustix::fs::renameat(&self.directory, &self.name, &self.directory, name)?;
        self.name = PathBuf::new();
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.name.as_os_str().is_empty() {
            let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

/// Opens a path in which no part may be a symlink.
fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let strict = rustix::fs::ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), strict) {
            // Kernels before 5.6 lack the call, and some sandboxes forbid it.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return other,
        }
    }
    rustix::fs::open(path, flags | OFlags::NOFOLLOW, Mode::empty())
}

fn check_kind(path: &Path, kind: FileType) -> Result<(), DiskError> {
    let what = match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => return Err(DiskError::Directory(path.display().to_string())),
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Symlink => "a symbolic link",
        FileType::Unknown => "something else",
    };
    Err(DiskError::Special(path.display().to_string(), what))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        (dir, path)
    }

    #[test]
    fn reads_up_to_the_limit_and_not_beyond() {
        let (_dir, base) = directory();
        std::fs::write(base.join("file"), "12345").unwrap();
        assert_eq!(read(&base.join("file"), 5).unwrap(), b"12345");
        let error = read(&base.join("file"), 4).unwrap_err().to_string();
        assert!(error.contains("5 bytes, and the limit is 4"), "{error}");
        let status = PathBuf::from(format!("/proc/{}/status", std::process::id()));
        assert!(!read(&status, 100_000).unwrap().is_empty(), "files that say they are empty");
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let (_dir, base) = directory();
        rustix::fs::mknodat(rustix::fs::CWD, base.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(matches!(read(&base.join("fifo"), 10), Err(DiskError::Special(_, "a FIFO"))));
        assert!(matches!(write(&base.join("fifo"), b""), Err(DiskError::Special(_, "a FIFO"))));
        assert!(matches!(read(&base, 10), Err(DiskError::Directory(_))));
        assert!(matches!(write(&base, b""), Err(DiskError::Directory(_))));
        assert!(matches!(read(Path::new("/dev/zero"), 10), Err(DiskError::Special(_, "a device"))));
        assert!(matches!(read(&base.join("none"), 10), Err(DiskError::NotFound(_))));
        assert!(read(&base.join("fifo/below"), 10).is_err());
        assert!(matches!(write(Path::new("/"), b""), Err(DiskError::Directory(_))));
    }

    #[test]
    fn a_symlink_put_in_the_way_is_not_followed() {
        let (_dir, base) = directory();
        std::fs::create_dir(base.join("secret")).unwrap();
        std::fs::write(base.join("secret/key"), "k").unwrap();
        symlink(base.join("secret"), base.join("dir")).unwrap();
        symlink(base.join("secret/key"), base.join("file")).unwrap();
        assert!(read(&base.join("file"), 10).is_err());
        assert!(write(&base.join("file"), b"x").is_err());
        assert_eq!(std::fs::read(base.join("secret/key")).unwrap(), b"k");
        if cfg!(target_os = "linux") {
            assert!(read(&base.join("dir/key"), 10).is_err());
            assert!(write(&base.join("dir/key"), b"x").is_err());
        }
    }

    #[test]
    fn writing_keeps_the_mode_and_makes_directories() {
        let (_dir, base) = directory();
        let script = base.join("run.sh");
        std::fs::write(&script, "old").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o750)).unwrap();
        write(&script, b"new").unwrap();
        assert_eq!(std::fs::read(&script).unwrap(), b"new");
        assert_eq!(script.metadata().unwrap().permissions().mode() & 0o7777, 0o750);
        write(&base.join("a/b/c.txt"), b"deep").unwrap();
        assert_eq!(std::fs::read(base.join("a/b/c.txt")).unwrap(), b"deep");
        let left: Vec<_> = std::fs::read_dir(&base).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "nothing is left over: {left:?}");
    }

    #[test]
    fn a_reader_never_sees_half_a_file() {
        let (_dir, base) = directory();
        let path = base.join("file");
        let (short, long) = (vec![b'a'; 10], vec![b'b'; 200_000]);
        write(&path, &short).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..50 {
                    write(&path, &long).unwrap();
                    write(&path, &short).unwrap();
                }
            });
            while !writer.is_finished() {
                let seen = std::fs::read(&path).unwrap();
                assert!(seen == short || seen == long, "{} bytes", seen.len());
            }
        });
    }
}
