//! What a session has of skills and documents.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crow_acp::{Agent, ConfigError, Notice, RunError, Session, Severity};
use tokio::sync::oneshot;

use crate::index::{self, Cut};
use crate::library::Library;
use crate::search::{Query, search};
use crate::settings::Settings;
use crate::skill::{self, Skill};
use crate::sources::Sources;
use crate::store::{Piece, StoreError};
use crate::{NAME, listing};

/// The window of a model whose own is not known, in tokens.
const ASSUMED_WINDOW: u64 = 128_000;

/// Files are not looked at again within this time: an editor that opens twenty sessions at once makes for one look.
const FRESH: Duration = Duration::from_millis(300);

/// Texts that are embedded and stored together.
const BATCH: usize = 64;

/// Most bytes of a prompt that are embedded.
const LONGEST_QUERY: usize = 4_000;

/// What every embedder is known by: its vector of this text.
const PROBE: &str = "Crow reads the documents of this project.";

/// Two vectors of the probe that are this close come from one embedder, as a cosine.
const SAME: f32 = 0.995;

/// Why there is no vector.
enum Failed {
    Index(StoreError),
    Embedder(RunError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Index(error)
    }
}

impl From<RunError> for Failed {
    fn from(error: RunError) -> Self {
        Self::Embedder(error)
    }
}

/// What may go wrong and leave the rest working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Trouble {
    /// There are too many documents.
    TooMany,
    /// The index cannot be used.
    Search,
    /// The embedder fails.
    Embedder,
}

/// A session's skills and documents.
pub(crate) struct Shelf {
    pub(crate) settings: Settings,
    pub(crate) skills: Vec<Skill>,
    sources: Sources,
    library: Arc<Library>,
    /// The list in the system prompt and how many skills it names, the same through the session.
    listing: OnceLock<(String, usize)>,
    /// What was put in already.
    pub(crate) shown: Mutex<HashSet<String>>,
    /// Each trouble is told once.
    told: Mutex<HashSet<Trouble>>,
}

impl Shelf {
    /// The session's, if there is anything on it. Skills are found, documents not yet read.
    pub(crate) fn of(session: &Session) -> Option<Arc<Self>> {
        session.get()
    }

    /// Looks for skills, where waiting disturbs nobody, and puts what there is on the session.
    pub(crate) async fn stock(
        agent: &Agent,
        session: &Session,
        settings: Settings,
    ) -> Result<Option<Arc<Self>>, ConfigError> {
        // A handful of looks at the disk, which is all that happens where there are no skills.
        let places = skill::places(session);
        if places.is_empty() && !settings.has_documents() {
            return Ok(None);
        }
        let found = if places.is_empty() {
            skill::Found::default()
        } else {
            let (agent, own) = (agent.clone(), session.clone());
            let find = move || skill::find(&places, |skill| is_trusted(&agent, &own, skill));
            tokio::task::spawn_blocking(find).await.unwrap_or_default()
        };
        for problem in found.problems {
            session.notify(Notice::new(Severity::Warning, problem));
        }
        if found.skills.is_empty() && !settings.has_documents() {
            return Ok(None);
        }
        let config = session.config();
        let project = config.project().unwrap_or(session.cwd());
        let shelf = Self {
            sources: Sources::new(&settings, project, config.ignore()),
            skills: found.skills,
            library: Library::of(agent)?,
            settings,
            listing: OnceLock::new(),
            shown: Mutex::default(),
            told: Mutex::default(),
        };
        session.insert(shelf);
        Ok(Self::of(session))
    }

    /// The list of skills for the system prompt, and how many it names.
    pub(crate) fn listing(&self, agent: &Agent, session: &Session) -> &(String, usize) {
        self.listing.get_or_init(|| {
            let window = session.model().and_then(|id| agent.model(&id)?.context_window).unwrap_or(ASSUMED_WINDOW);
            listing::write(&self.skills, (window as f64 * self.settings.listing) as usize)
        })
    }

    /// The skill called `name`, if it may be used.
    pub(crate) async fn skill(self: &Arc<Self>, agent: &Agent, session: &Session, name: &str) -> Option<Skill> {
        let skill = self.skills.iter().find(|skill| skill.name == name)?.clone();
        let (agent, session) = (agent.clone(), session.clone());
        let look = move || is_trusted(&agent, &session, &skill).then_some(skill);
        tokio::task::spawn_blocking(look).await.ok().flatten()
    }

    /// The skill that a file belongs to.
    pub(crate) fn skill_of(&self, path: &str) -> Option<&Skill> {
        self.skills.iter().find(|skill| Path::new(path).starts_with(&skill.directory))
    }

    /// Brings the index up to the files, in the background, and then the vectors up to the index. The receiver hears
    /// when the first is done.
    pub(crate) fn refresh(self: &Arc<Self>, agent: &Agent, session: &Session) -> oneshot::Receiver<()> {
        let (done, indexed) = oneshot::channel();
        let (shelf, own, session) = (Arc::clone(self), agent.clone(), session.clone());
        agent.spawn(async move {
            match shelf.index(&own, &session).await {
                Ok(()) => {
                    let _ = done.send(());
                    shelf.embed_pieces(&own, &session).await;
                }
                Err(error) => shelf.tell(&session, Trouble::Search, format!("documents cannot be searched: {error}")),
            }
        });
        indexed
    }

    async fn index(self: &Arc<Self>, agent: &Agent, session: &Session) -> Result<(), StoreError> {
        let mut looked_at = self.library.looked_at.lock().await;
        looked_at.retain(|_, at| at.elapsed() < FRESH);
        let stop = StopOnDrop::default();
        let cut = Cut { chunk_bytes: self.settings.chunk_bytes(), largest: self.settings.max_file_bytes };
        for root in
            self.sources.roots.iter().filter(|root| !looked_at.contains_key(&root.key)).cloned().collect::<Vec<_>>()
        {
            let (key, sources, stopped) = (root.key.clone(), self.sources.clone(), Arc::clone(&stop.0));
            let work = move |store: &mut dyn crate::store::Store| {
                let (files, too_many) = sources.files(&root);
                index::update(store, &root.key, &files, cut, &stopped).map(|()| too_many)
            };
            if self.library.write(work).await? {
                let title = format!(
                    "there are more documents than `max_files`, {}; the rest is left out",
                    self.settings.max_files
                );
                self.tell(session, Trouble::TooMany, title);
            }
            looked_at.insert(key, Instant::now());
        }
        for skill in &self.skills {
            let key = key_of(skill);
            if looked_at.contains_key(&key) {
                continue;
            }
            let (agent, session, skill, stopped) = (agent.clone(), session.clone(), skill.clone(), Arc::clone(&stop.0));
            let root = key.clone();
            self.library
                .write(move |store| {
                    let mut files = Vec::new();
                    if is_trusted(&agent, &session, &skill) {
                        let documents = skill.files().into_iter().filter(|file| is_markdown(file));
                        files.push(skill.directory.join("SKILL.md"));
                        files.extend(documents.map(|file| skill.directory.join(file)));
                    }
                    index::update(store, &root, &files, cut, &stopped)
                })
                .await?;
            looked_at.insert(key, Instant::now());
        }
        Ok(())
    }

    /// The groups of files in which this session searches.
    fn scope(&self) -> Vec<String> {
        self.sources.roots.iter().map(|root| root.key.clone()).chain(self.skills.iter().map(key_of)).collect()
    }

    /// The pieces that fit `text` at least so well: by words, or by meaning. Without its embedding, words decide.
    pub(crate) async fn search(
        self: &Arc<Self>,
        agent: &Agent,
        session: &Session,
        text: &str,
        least: (f64, f64),
    ) -> Result<Vec<Piece>, StoreError> {
        let patience = Duration::from_millis(self.settings.embed_timeout_ms);
        let slow = || Failed::Embedder(RunError::new("it took too long"));
        let embedded = tokio::time::timeout(patience, self.embed_query(agent, text)).await;
        let vector = embedded.unwrap_or_else(|_| Err(slow())).unwrap_or_else(|failed| {
            self.failed(session, &failed);
            None
        });
        let query = Query { text: text.to_owned(), vector, min_score: least.0, min_similarity: least.1 };
        let scope = self.scope();
        self.library.read(move |store| search(store, &scope, &query)).await
    }

    /// The vector of a prompt, if there are vectors to compare it with.
    async fn embed_query(&self, agent: &Agent, text: &str) -> Result<Option<Vec<f32>>, Failed> {
        if !self.settings.embeddings || !self.library.may_embed() {
            return Ok(None);
        }
        if !self.library.read(|store| store.has_vectors()).await? {
            return Ok(None);
        }
        let text = text[..text.floor_char_boundary(LONGEST_QUERY)].to_owned();
        let mut texts = vec![text];
        let is_known = self.library.is_known.load(Ordering::Relaxed);
        if !is_known {
            texts.push(PROBE.to_owned());
        }
        let Some(mut vectors) = agent.embed(&texts).await? else { return Ok(None) };
        if !is_known && let Some(probe) = vectors.pop() {
            self.know(probe).await?;
        }
        Ok(vectors.pop())
    }

    /// Embeds what is not yet embedded, batch by batch: what is there stays if the rest fails.
    async fn embed_pieces(self: &Arc<Self>, agent: &Agent, session: &Session) {
        if !self.settings.embeddings || !self.library.may_embed() {
            return;
        }
        let Ok(_alone) = self.library.embedding.try_lock() else { return };
        if let Err(failed) = self.embed_all(agent).await {
            self.failed(session, &failed);
        }
    }

    async fn embed_all(&self, agent: &Agent) -> Result<(), Failed> {
        let mut after = 0;
        loop {
            let scope = self.scope();
            let batch = self.library.read(move |store| store.without_vector(&scope, after, BATCH)).await?;
            let Some((last, _)) = batch.last() else { return Ok(()) };
            after = *last;
            if !self.library.is_known.load(Ordering::Relaxed) {
                let probe = agent.embed(&[PROBE.to_owned()]).await?;
                let Some(probe) = probe.and_then(|mut vectors| vectors.pop()) else { return Ok(()) };
                if self.know(probe).await? {
                    // All vectors are gone: from the beginning.
                    after = 0;
                    continue;
                }
            }
            let (ids, texts): (Vec<i64>, Vec<String>) = batch.into_iter().unzip();
            let Some(vectors) = agent.embed(&texts).await? else { return Ok(()) };
            let vectors: Vec<(i64, Vec<f32>)> = ids.into_iter().zip(vectors).collect();
            self.library.write(move |store| store.add_vectors(&vectors)).await?;
        }
    }

    /// Compares the embedder with the one whose vectors there are; true if it is another, whose vectors are now gone.
    async fn know(&self, probe: Vec<f32>) -> Result<bool, StoreError> {
        let is_other = move |store: &mut dyn crate::store::Store| {
            if store.embedder()?.is_some_and(|before| cosine(&before, &probe) >= SAME) {
                return Ok(false);
            }
            store.set_embedder(&probe).map(|()| true)
        };
        let is_other = self.library.write(is_other).await?;
        self.library.is_known.store(true, Ordering::Relaxed);
        Ok(is_other)
    }

    /// The search goes on without vectors.
    fn failed(&self, session: &Session, failed: &Failed) {
        match failed {
            // Whoever searches will hear of it.
            Failed::Index(error) => tracing::warn!(session = session.id(), %error, "the index cannot be used"),
            Failed::Embedder(error) => {
                self.library.embedder_failed();
                let title = format!("no embeddings ({error}); documents are found by their words alone");
                self.tell(session, Trouble::Embedder, title);
            }
        }
    }

    /// Tells the user of a trouble, once.
    pub(crate) fn tell(&self, session: &Session, trouble: Trouble, title: String) {
        tracing::warn!(session = session.id(), title);
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(trouble) {
            session.notify(Notice::new(Severity::Warning, format!("{NAME}: {title}")));
        }
    }

    /// Whether `text` was put into the session's conversation already, by this process or an earlier one; from now on
    /// it was.
    pub(crate) fn is_new(&self, session: &Session, text: &str) -> bool {
        let said =
            |message: &crow_acp::Message| message.owner.as_deref() == Some(NAME) && message.text().contains(text);
        let is_new = !session.messages().iter().any(said);
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned()) && is_new
    }
}

/// Whether a skill may be used: the user's own always, a project's as far as exactly what is there now was trusted.
fn is_trusted(agent: &Agent, session: &Session, skill: &Skill) -> bool {
    !skill.of_project || skill.item().is_some_and(|item| agent.trust().admits(session, item))
}

fn is_markdown(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"))
}

fn key_of(skill: &Skill) -> String {
    format!("skill:{}", skill.directory.display())
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    if a.len() == b.len() { dot(a, b) / (dot(a, a) * dot(b, b)).sqrt() } else { 0.0 }
}

/// Stops what runs on another thread when nobody waits for it any more.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
