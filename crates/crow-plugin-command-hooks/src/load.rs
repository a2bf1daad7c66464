//! The files: the user's own, and those of the project if they are trusted. They are read when something happens, so
//! that a change counts at once, and so that what has changed is not run before the user has seen it.

use std::io::Read;
use std::path::{Path, PathBuf};

use crow_acp::{Agent, ProjectItem, Session, digest_naming};

use crate::config::Settings;
use crate::file::{self, Hook, Parsed};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// What is to be run in a session.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) hooks: Vec<Hook>,
    /// The user's own file cannot be read: what it was to guard is not guarded.
    pub(crate) broken: Option<String>,
    /// What in the files has no effect, in sentences.
    pub(crate) problems: Vec<String>,
}

/// Reads the files, and presents those of the project to be trusted.
pub(crate) fn load(agent: &Agent, session: &Session, settings: &Settings) -> Loaded {
    let mut loaded = Loaded::default();
    let config = session.config();
    let own = config.home().join("hooks.json");
    match read(&own).map(|text| text.map(|text| file::parse(&text))) {
        Ok(None) => {}
        Ok(Some(Ok(parsed))) => loaded.add(&own, parsed),
        Ok(Some(Err(error))) | Err(error) => loaded.broken = Some(format!("{}: {error}", own.display())),
    }
    let root = config.project().unwrap_or(session.cwd()).to_owned();
    for path in files(&root, session.cwd(), settings.claude) {
        // In the home directory the user's own file stands where a project's would.
        if !path.exists() || same(&path, &own) {
            continue;
        }
        match read(&path).map(|text| text.map(|text| (file::parse(&text), text))) {
            Ok(None) => {}
            Ok(Some((Ok(parsed), _))) if parsed.hooks.is_empty() && parsed.problems.is_empty() => {}
            Ok(Some((Ok(parsed), text))) => {
                if agent.trust().admits(session, item(&path, &text, &parsed, &root, session.cwd())) {
                    loaded.add(&path, parsed);
                }
            }
            Ok(Some((Err(error), _))) | Err(error) => {
                loaded.problems.push(format!("{}: {error}; the file is ignored", path.display()));
            }
        }
    }
    loaded
}

impl Loaded {
    fn add(&mut self, path: &Path, parsed: Parsed) {
        self.hooks.extend(parsed.hooks);
        self.problems.extend(parsed.problems.into_iter().map(|problem| format!("{}: {problem}", path.display())));
    }
}

/// The files that a project may bring along.
fn files(root: &Path, cwd: &Path, claude: bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for directory in [root, cwd] {
        let names = [".crow/hooks.json", ".claude/settings.json"];
        for path in names.into_iter().take(if claude { 2 } else { 1 }).map(|name| directory.join(name)) {
            if !files.contains(&path) {
                files.push(path);
            }
        }
    }
    files
}

fn read(path: &Path) -> Result<Option<String>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("is no file".to_owned());
    }
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LARGEST { Err("is too large".to_owned()) } else { Ok(Some(text)) }
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The file as something to be trusted, together with the scripts of the project that it runs.
fn item(path: &Path, text: &str, parsed: &Parsed, root: &Path, cwd: &Path) -> ProjectItem {
    let commands = parsed.hooks.iter().map(|hook| hook.command.as_str());
    let lines: Vec<String> =
        parsed.hooks.iter().map(|hook| format!("{}: {}", hook.event.name(), hook.command)).collect();
    ProjectItem {
        kind: "hook".to_owned(),
        name: path.strip_prefix(root).unwrap_or(path).display().to_string(),
        path: path.to_owned(),
        digest: digest_naming(text.as_bytes(), commands, root, &[cwd]),
        summary: lines.join("; "),
    }
}
