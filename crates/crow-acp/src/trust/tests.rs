use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::client::{AskError, Client, ClientInfo, Question};
use crate::update::Update;
use crate::{Agent, BoxFuture, Config, Message, NewSession, PluginManager};

/// Hears what the user is told.
#[derive(Debug, Default)]
struct User(Mutex<Vec<Notice>>);

impl Client for User {
    fn info(&self) -> ClientInfo {
        ClientInfo::new("test", "1")
    }

    fn send(&self, _session_id: &str, update: Update) {
        if let Update::Notice(notice) = update {
            self.0.lock().unwrap().push(notice);
        }
    }

    fn ask<'a>(&'a self, _: &'a Session, _: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(async { Err(AskError::Cancelled) })
    }
}

impl User {
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
            .into_iter()
            .map(|notice| format!("{}\n{}", notice.title, notice.description.unwrap_or_default()))
            .collect()
    }
}

/// A home, a project, and an agent that works there.
struct World {
    directory: tempfile::TempDir,
    agent: Agent,
    user: Arc<User>,
}

impl World {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for part in ["project/.git", "project/.crow", "project/inner"] {
            fs::create_dir_all(directory.path().join(part)).unwrap();
        }
        let config = Config::from_toml(directory.path().join("home"), config).unwrap();
        let agent = Agent::new(config, PluginManager::new()).await.unwrap();
        let user = Arc::new(User::default());
        agent.connect(user.clone());
        Self { directory, agent, user }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn session(&self) -> Session {
        self.agent.new_session(NewSession::new(self.path("project"))).await.unwrap()
    }

    fn item(&self, name: &str, content: &str) -> ProjectItem {
        ProjectItem {
            kind: "hook".into(),
            name: name.into(),
            path: self.path("project").join(name),
            digest: digest_bytes(content.as_bytes()),
            summary: content.into(),
        }
    }
}

#[tokio::test]
async fn only_exactly_what_was_trusted_is_admitted_and_only_in_its_project() {
    let world = World::new().await;
    let (session, trust) = (world.session().await, world.agent.trust());
    let item = world.item("a", "run me");
    assert!(!trust.admits(&session, item.clone()));
    assert_eq!(trust.items(&session), [Judged { item: item.clone(), state: TrustState::New }]);
    assert!(!world.path("home").exists(), "looking makes nothing");

    trust.approve(&session, std::slice::from_ref(&item)).unwrap();
    assert!(trust.admits(&session, item.clone()));
    assert_eq!(trust.items(&session)[0].state, TrustState::Trusted);
    assert!(!trust.admits(&session, world.item("a", "run something else")));
    assert_eq!(trust.items(&session).len(), 1);
    assert_eq!(trust.items(&session)[0].state, TrustState::Changed);
    assert!(!trust.admits(&session, world.item("b", "run me")), "another name");
    assert!(!trust.admits(&session, ProjectItem { kind: "skill".into(), ..item.clone() }), "another kind");
    let elsewhere = ProjectItem { path: world.path("project/inner/a"), ..item.clone() };
    assert!(!trust.admits(&session, elsewhere), "another file");

    // A second process sees it; another project does not.
    let again = World { directory: world.directory, ..World::new().await };
    let config = Config::from_toml(again.path("home"), "").unwrap();
    let agent = Agent::new(config, PluginManager::new()).await.unwrap();
    let session = agent.new_session(NewSession::new(again.path("project/inner"))).await.unwrap();
    assert!(agent.trust().admits(&session, item.clone()), "the same git work tree");
    fs::create_dir_all(again.path("project/inner/.git")).unwrap();
    let session = agent.new_session(NewSession::new(again.path("project/inner"))).await.unwrap();
    assert!(!agent.trust().admits(&session, item.clone()), "a repository of its own");

    assert_eq!(agent.trust().projects().unwrap().len(), 1);
    assert_eq!(agent.trust().revoke(&again.path("project")).unwrap(), 1);
    assert_eq!(agent.trust().revoke(&again.path("project")).unwrap(), 0);
    let session = agent.new_session(NewSession::new(again.path("project"))).await.unwrap();
    assert!(!agent.trust().admits(&session, item));
}

#[tokio::test]
async fn what_is_trusted_is_private_and_nothing_is_if_it_cannot_be_read() {
    let world = World::new().await;
    let (session, trust) = (world.session().await, world.agent.trust());
    let item = world.item("a", "run me");
    trust.approve(&session, std::slice::from_ref(&item)).unwrap();
    let file = world.path("home/trust.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&world.path("home"))), (0o600, 0o700));
    }
    for (text, wanted) in [
        ("{", "trust.json: EOF"),
        ("{\"version\": 9, \"what\": 1}", "newer version of Crow (format 9)"),
        ("{\"version\": 1, \"projekts\": {}}", "unknown field `projekts`"),
    ] {
        fs::write(&file, text).unwrap();
        assert!(!trust.admits(&session, item.clone()));
        let error = trust.approve(&session, std::slice::from_ref(&item)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "it stays as it is");
    }
}

/// Presents an item while the session starts.
struct Finds(Vec<ProjectItem>);

#[crate::hookimpls]
impl crate::CrowHooks for Finds {
    fn on_session_start(&self, agent: &Agent, session: &Session) {
        for item in &self.0 {
            agent.trust().admits(session, item.clone());
        }
    }
}

#[tokio::test]
async fn the_user_is_told_once_what_was_left_off() {
    let world = World::new().await;
    let found = vec![world.item("a", "run\u{1b}[2J me"), world.item("b", "and me")];
    world.agent.plugins().register(Finds(found.clone())).unwrap();
    let session = world.session().await;
    let told = world.user.told();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["not trusted", "hook `a`", "hook `b`", "`crow trust`", "run\\u{1b}[2J me"] {
        assert!(told[0].contains(part), "{told:?}");
    }
    // The same again is not told again; something else is.
    for item in &found {
        assert!(!world.agent.trust().admits(&session, item.clone()));
    }
    assert!(world.user.told().is_empty());
    assert!(!world.agent.trust().admits(&session, world.item("a", "other")));
    assert_eq!(world.user.told().len(), 1);
    // What is trusted is not worth a word.
    world.agent.trust().approve(&session, &found).unwrap();
    world.session().await;
    assert!(world.user.told().is_empty());
}

#[tokio::test]
async fn a_trusted_projects_settings_apply_until_a_file_changes() {
    let world = World::with("model = 'p/m'").await;
    let file = world.path("project/.crow/config.toml");
    let text =
        "model = 'other/m'\nmax_turns = 7\n[plugins.tools]\nshell = './sh.sh'\nx = '${HOME}'\n[log]\nlevel = 'off'";
    fs::write(&file, text).unwrap();
    let script = world.path("project/sh.sh");
    fs::write(&script, "exec sh").unwrap();
    let shell = |session: &Session| {
        let section: std::collections::BTreeMap<String, String> = session.config().plugin("tools").unwrap();
        section.get("shell").cloned()
    };

    let session = world.session().await;
    assert_eq!((session.config().max_turns(), shell(&session)), (100, None));
    let told = world.user.told();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["setting `.crow/config.toml`", "`max_turns`", "`model`", "`plugins.tools.shell`"] {
        assert!(told[0].contains(part), "{told:?}");
    }

    let items: Vec<ProjectItem> = world.agent.trust().items(&session).into_iter().map(|judged| judged.item).collect();
    assert_eq!(items.len(), 1);
    world.agent.trust().approve(&session, &items).unwrap();
    // An open session sees it with its next run.
    world.agent.prompt(&session, Message::user("/nothing")).await;
    assert_eq!((session.config().max_turns(), shell(&session)), (7, Some("./sh.sh".into())));
    let fresh = world.session().await;
    assert_eq!(fresh.model().unwrap().to_string(), "other/m");
    let section: std::collections::BTreeMap<String, String> = fresh.config().plugin("tools").unwrap();
    assert!(!section.contains_key("x"), "never expanded, never literal");
    assert_eq!(fresh.config().log(), world.agent.config().log(), "the log is the process's");
    assert!(world.user.told().iter().any(|told| told.contains("no effect") && told.contains("`log.level`")));

    // The file it names is as much part of it as the file itself.
    fs::write(&script, "exec evil").unwrap();
    world.agent.prompt(&session, Message::user("/nothing")).await;
    assert_eq!((session.config().max_turns(), shell(&session)), (100, None));
    let told = world.user.told().join("\n");
    assert!(told.contains("changed since you trusted it"), "{told}");
    fs::write(&script, "exec sh").unwrap();
    fs::write(&file, format!("{text}\n")).unwrap();
    assert_eq!(shell(&world.session().await), None);
}

#[test]
fn a_directorys_digest_is_of_all_that_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("skill");
    fs::create_dir_all(root.join("scripts")).unwrap();
    fs::write(root.join("SKILL.md"), "text").unwrap();
    fs::write(root.join("scripts/run"), "x").unwrap();
    let mut seen = vec![digest_dir(&root).unwrap()];
    assert_eq!(seen[0], digest_dir(&root).unwrap());
    let mut changed = |what: &str| {
        let digest = digest_dir(&root).unwrap();
        assert!(!seen.contains(&digest), "{what}");
        seen.push(digest);
    };
    fs::write(root.join("scripts/run"), "y").unwrap();
    changed("a content");
    fs::rename(root.join("scripts/run"), root.join("scripts/ran")).unwrap();
    changed("a name");
    fs::create_dir(root.join("empty")).unwrap();
    changed("an empty directory");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(root.join("scripts/ran"), fs::Permissions::from_mode(0o755)).unwrap();
        changed("what may be run");
        fs::write(directory.path().join("outside"), "1").unwrap();
        std::os::unix::fs::symlink("../outside", root.join("link")).unwrap();
        changed("a link");
        fs::write(directory.path().join("outside"), "2").unwrap();
        changed("what a link leads to");
        std::os::unix::fs::symlink(".", root.join("round")).unwrap();
        assert!(digest_dir(&root).is_err(), "round in circles");
    }
}

#[test]
fn a_files_digest_is_that_of_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a");
    fs::write(&file, "content").unwrap();
    assert_eq!(digest_file(&file).unwrap(), digest_bytes(b"content"));
    assert!(digest_file(directory.path()).is_err());
    assert!(digest_file(Path::new("/no/such/file")).is_err());
}
