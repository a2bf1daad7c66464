//! Skills: directories with a `SKILL.md`, in the places where people keep them.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crow_acp::{ProjectItem, Session, digest_dir};

use crate::front_matter;

/// Where skills are, below a project or the user's home directory. The first that has a skill of a name has it for all.
const PLACES: [&str; 3] = [".crow/skills", ".agents/skills", ".claude/skills"];

/// The largest `SKILL.md` that is read, in bytes.
const LARGEST: u64 = 256 * 1024;

/// The longest description that is kept, in characters, and the longest name.
const DESCRIPTION: usize = 1024;
const NAME: usize = 64;

/// Most skills of one directory.
const MOST: usize = 500;

/// A directory that may hold skills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    /// Whether a project brings it along.
    pub(crate) of_project: bool,
}

/// A skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skill {
    pub(crate) name: String,
    pub(crate) description: String,
    /// Its directory.
    pub(crate) directory: PathBuf,
    /// Whether a project brings it along, which means that it must be trusted at each use.
    pub(crate) of_project: bool,
}

/// What there is, and what is wrong with the rest.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) skills: Vec<Skill>,
    pub(crate) problems: Vec<String>,
}

/// The places of a session that exist, the nearest first: those of the project from the working directory up, then the
/// user's own.
pub(crate) fn places(session: &Session) -> Vec<Place> {
    let config = session.config();
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    let mut users: Vec<PathBuf> = vec![config.home().join("skills")];
    users.extend(home.iter().flat_map(|home| PLACES[1..].iter().map(|place| home.join(place))));
    let users: Vec<PathBuf> = users.iter().filter_map(|place| place.canonicalize().ok()).collect();

    let roots = session.roots();
    let project = config.project().unwrap_or(session.cwd());
    let inside = session.cwd().ancestors().take_while(|directory| directory.starts_with(project));
    let mut places: Vec<Place> = Vec::new();
    for directory in inside.chain(roots.iter().skip(1).map(PathBuf::as_path)) {
        for place in PLACES {
            // In a home directory that is a project, the user's own places stand where a project's would.
            let Ok(directory) = directory.join(place).canonicalize() else { continue };
            if directory.is_dir() && !users.contains(&directory) {
                places.push(Place { directory, of_project: true });
            }
        }
    }
    let own = users.into_iter().filter(|place| place.is_dir());
    places.extend(own.map(|directory| Place { directory, of_project: false }));
    let mut seen = HashSet::new();
    places.retain(|place| seen.insert(place.directory.clone()));
    places
}

/// The skills of these places, those of a project only as far as `admits` says so.
pub(crate) fn find(places: &[Place], admits: impl Fn(&Skill) -> bool) -> Found {
    let mut found = Found::default();
    let mut names = HashSet::new();
    for place in places {
        for directory in directories(&place.directory, &mut found.problems) {
            match read(&directory, place.of_project) {
                Ok(None) => {}
                Ok(Some(skill)) => {
                    if !names.contains(&skill.name) && (!skill.of_project || admits(&skill)) {
                        names.insert(skill.name.clone());
                        found.skills.push(skill);
                    }
                }
                Err(problem) => {
                    found.problems.push(format!("the skill in {} is left out: {problem}", directory.display()))
                }
            }
        }
    }
    found
}

/// The directories in a place, in order.
fn directories(place: &Path, problems: &mut Vec<String>) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = match fs::read_dir(place) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect(),
        Err(error) => {
            problems.push(format!("the skills in {} cannot be read: {error}", place.display()));
            Vec::new()
        }
    };
    directories.sort();
    if directories.len() > MOST {
        problems.push(format!("of the skills in {} only the first {MOST} are taken", place.display()));
        directories.truncate(MOST);
    }
    directories
}

/// The skill in a directory. `None`: there is no `SKILL.md`.
fn read(directory: &Path, of_project: bool) -> Result<Option<Skill>, String> {
    let file = directory.join("SKILL.md");
    if !file.is_file() {
        return Ok(None);
    }
    let text = read_text(&file, LARGEST)?;
    let Some(matter) = front_matter::read(&text) else {
        return Err("SKILL.md does not begin with front matter (`---`, `name:` and `description:`, `---`)".into());
    };
    let field = |key: &str| matter.fields.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
    let name = field("name").ok_or("its front matter has no `name`")?;
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    if name.chars().count() > NAME || !name.chars().all(is_letter) {
        return Err(format!("`{}` is no name: letters, digits and `-`, at most {NAME}", name.escape_debug()));
    }
    let description = field("description").ok_or("its front matter has no `description`")?;
    let description: String = description.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Some(Skill {
        name: name.to_owned(),
        description: description.chars().take(DESCRIPTION).collect(),
        directory: directory.to_owned(),
        of_project,
    }))
}

/// A file's text, if it is one and not larger than `largest` bytes.
pub(crate) fn read_text(file: &Path, largest: u64) -> Result<String, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut bytes = Vec::new();
    fs::File::open(file).and_then(|file| file.take(largest + 1).read_to_end(&mut bytes)).map_err(said)?;
    if bytes.len() as u64 > largest {
        return Err(format!("it is larger than {largest} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".into())
}

impl Skill {
    /// What the user is asked to trust. `None`: it cannot be looked through.
    pub(crate) fn item(&self) -> Option<ProjectItem> {
        Some(ProjectItem {
            kind: "skill".into(),
            name: self.name.clone(),
            path: self.directory.clone(),
            digest: digest_dir(&self.directory).ok()?,
            summary: self.description.clone(),
        })
    }

    /// What it says, without the front matter, and the line on which that begins.
    pub(crate) fn body(&self) -> Result<(String, u32), String> {
        let text = read_text(&self.directory.join("SKILL.md"), LARGEST)?;
        let matter = front_matter::read(&text).ok_or("SKILL.md has lost its front matter")?;
        Ok((matter.body.trim().to_owned(), matter.body_line))
    }

    /// The text of one of its other files.
    pub(crate) fn file(&self, path: &str) -> Result<String, String> {
        let file = self.directory.join(path).canonicalize().map_err(|error| format!("`{path}`: {error}"))?;
        let directory = self.directory.canonicalize().map_err(|error| error.to_string())?;
        if !file.starts_with(directory) {
            return Err(format!("`{path}` is no file of the skill `{}`", self.name));
        }
        read_text(&file, LARGEST).map_err(|error| format!("`{path}`: {error}"))
    }

    /// Its other files, by their paths from its directory; at most a hundred.
    pub(crate) fn files(&self) -> Vec<String> {
        /// Nobody reads a longer list.
        const LISTED: usize = 100;
        let walk = ignore::WalkBuilder::new(&self.directory).standard_filters(false).max_depth(Some(4)).build();
        let files = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
        let paths = files.filter_map(|entry| {
            let path = entry.path().strip_prefix(&self.directory).ok()?.to_str()?;
            (path != "SKILL.md").then(|| path.to_owned())
        });
        let mut paths: Vec<String> = paths.take(LISTED).collect();
        paths.sort();
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill(place: &Path, directory: &str, text: &str) {
        let directory = place.join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("SKILL.md"), text).unwrap();
    }

    fn named(name: &str, description: &str) -> String {
        format!("---\nname: {name}\ndescription: {description}\n---\nDo it.\n")
    }

    #[test]
    fn the_nearest_of_a_name_wins_if_it_is_admitted() {
        let root = tempfile::tempdir().unwrap();
        let (project, user) = (root.path().join("p"), root.path().join("u"));
        skill(&project, "deploy", &named("deploy", "the project's"));
        skill(&project, "evil", &named("evil", "the project's"));
        skill(&user, "deploy", &named("deploy", "the user's"));
        skill(&user, "evil", &named("evil", "the user's"));
        skill(&user, "write", &named("write", "the user's"));
        fs::create_dir(user.join("nothing")).unwrap();
        let places = [Place { directory: project, of_project: true }, Place { directory: user, of_project: false }];
        let found = find(&places, |skill| skill.name == "deploy");
        let seen: Vec<(&str, &str)> =
            found.skills.iter().map(|skill| (skill.name.as_str(), skill.description.as_str())).collect();
        assert_eq!(seen, [("deploy", "the project's"), ("evil", "the user's"), ("write", "the user's")]);
        assert!(found.problems.is_empty(), "{:?}", found.problems);
    }

    #[test]
    fn what_is_wrong_with_a_skill_is_told() {
        let root = tempfile::tempdir().unwrap();
        for (directory, text, expected) in [
            ("a", "# no front matter", "front matter"),
            ("b", "---\ndescription: x\n---\n", "`name`"),
            ("c", "---\nname: x\n---\n", "`description`"),
            ("d", "---\nname: ../x\ndescription: x\n---\n", "is no name"),
        ] {
            skill(root.path(), directory, text);
            let problem = read(&root.path().join(directory), false).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        let place = Place { directory: root.path().to_owned(), of_project: false };
        assert_eq!(find(&[place], |_| true).problems.len(), 4);
    }

    #[test]
    fn a_skill_has_a_body_and_files_and_nothing_outside() {
        let root = tempfile::tempdir().unwrap();
        skill(root.path(), "x", &named("x", "d"));
        fs::create_dir(root.path().join("x/scripts")).unwrap();
        fs::write(root.path().join("x/scripts/run.sh"), "true\n").unwrap();
        fs::write(root.path().join("secret"), "s").unwrap();
        let found = read(&root.path().join("x"), true).unwrap().unwrap();
        assert_eq!(found.body(), Ok(("Do it.".into(), 5)));
        assert_eq!(found.files(), ["scripts/run.sh"]);
        assert_eq!(found.file("scripts/run.sh"), Ok("true\n".into()));
        assert!(found.file("../secret").unwrap_err().contains("no file of the skill"));
        assert!(found.file("missing").is_err());
        let before = found.item().unwrap();
        fs::write(root.path().join("x/scripts/run.sh"), "false\n").unwrap();
        assert_ne!(found.item().unwrap().digest, before.digest);
    }
}
