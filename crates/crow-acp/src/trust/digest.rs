//! Digests of what a project brings along.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Directories nested deeper than this have no digest: links may go round in circles.
const DEEPEST: usize = 16;

/// Directories with more entries than this have no digest.
const ENTRIES: usize = 10_000;

/// Bytes after which there is no digest: nobody reads that much before trusting it.
const BYTES: u64 = 256 * 1024 * 1024;

/// The digest of a content, as `sha256:` and 64 hexadecimal digits.
///
/// ```
/// let digest = crow_acp::digest_bytes(b"");
/// assert_eq!(digest, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
/// ```
pub fn digest_bytes(content: &[u8]) -> String {
    written(Sha256::new_with_prefix(content))
}

/// The digest of a file's content: what [`digest_bytes`] gives for it. Links are followed.
///
/// # Errors
/// The file cannot be read, is none, or is larger than 256 MiB.
pub fn digest_file(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut left = BYTES;
    feed(path, &mut hasher, &mut left)?;
    Ok(written(hasher))
}

/// The digest of a directory: of the names, contents and permissions to execute of all files below it. Links are
/// followed; empty directories count.
///
/// # Errors
/// Something in it cannot be read or is neither file nor directory, or there is more of it than anybody would look
/// through: 10,000 entries, 256 MiB, 16 levels.
pub fn digest_dir(path: &Path) -> io::Result<String> {
    let mut walk = Walk { hasher: Sha256::new(), entries: ENTRIES, bytes: BYTES };
    walk.directory(path, "", 0)?;
    Ok(written(walk.hasher))
}

/// The digest of `content` and of every file in the project at `root` that one of `texts` names, as a whole or with one
/// of its words: whoever trusts a command line means the script that it runs, too. Paths are looked up in `directories`
/// and in `root`; a variable at their beginning (`$CROW_PROJECT_DIR/…`) counts as `root`.
pub fn digest_naming<'a>(
    content: &[u8],
    texts: impl IntoIterator<Item = &'a str>,
    root: &Path,
    directories: &[&Path],
) -> String {
    let root = super::canonical(root);
    let mut named: Vec<PathBuf> = Vec::new();
    for text in texts {
        let words = text.split(|c: char| c.is_whitespace() || "\"'`=;&|<>()".contains(c));
        for word in words.chain([text]).filter(|word| !word.is_empty()) {
            let places = directories.iter().copied().chain([root.as_path()]).map(|directory| directory.join(word));
            // What is left of `"$CROW_PROJECT_DIR"/run.sh` and its like.
            let below = word.split_once('/').map(|(_, rest)| root.join(rest.trim_start_matches('/')));
            let files = places.chain(below).map(|path| super::canonical(&path));
            named.extend(files.filter(|path| path.starts_with(&root) && path.is_file()));
        }
    }
    named.sort();
    named.dedup();
    let mut parts = vec![digest_bytes(content)];
    for path in named {
        // What cannot be read now must not be trusted for what it may become.
        let digest = digest_file(&path).unwrap_or_else(|error| error.to_string());
        parts.push(format!("{} {digest}", path.display()));
    }
    digest_bytes(parts.join("\n").as_bytes())
}

struct Walk {
    hasher: Sha256,
    entries: usize,
    bytes: u64,
}

impl Walk {
    fn directory(&mut self, path: &Path, name: &str, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(too_much(path));
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            self.entries = self.entries.checked_sub(1).ok_or_else(|| too_much(path))?;
            names.push(entry?.file_name());
        }
        names.sort();
        self.part(&format!("directory {} {name}", names.len()));
        for file_name in names {
            let path = path.join(&file_name);
            // Bytes that are no text must not make two names one.
            let name = format!("{name}/{}", file_name.as_encoded_bytes().escape_ascii());
            let metadata = fs::metadata(&path)?;
            if metadata.is_dir() {
                self.directory(&path, &name, depth + 1)?;
            } else {
                let mut content = Sha256::new();
                feed(&path, &mut content, &mut self.bytes)?;
                let kind = if is_executable(&metadata) { "program" } else { "file" };
                self.part(&format!("{kind} {} {name}", written(content)));
            }
        }
        Ok(())
    }

    fn part(&mut self, line: &str) {
        self.hasher.update(line.as_bytes());
        // No name has one.
        self.hasher.update([0]);
    }
}

fn feed(path: &Path, hasher: &mut Sha256, left: &mut u64) -> io::Result<()> {
    // Opening a pipe would wait for whoever writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no file", path.display())));
    }
    let mut file = fs::File::open(path)?;
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        *left = left.checked_sub(read as u64).ok_or_else(|| too_much(path))?;
        hasher.update(&buffer[..read]);
    }
}

fn too_much(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: too much to look through", path.display()))
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &fs::Metadata) -> bool {
    false
}

fn written(hasher: Sha256) -> String {
    use std::fmt::Write;
    hasher.finalize().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
