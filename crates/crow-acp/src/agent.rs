//! The agent: the state of the process, as a handle that every hook gets.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crow_hooks::{Chain, PluginName};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::budget;
use crate::answers::{CompactReport, CompactTrigger, EndReason, Response, RunError, RunOutcome};
use crate::client::{AskError, Client, Question};
use crate::config::Config;
use crate::delta::Deltas;
use crate::event::{SessionQuery, SessionSummary};
use crate::history::{self, History};
use crate::hooks::{Hooks, PluginManager};
use crate::message::Message;
use crate::model::{Model, ModelId};
use crate::provider::{ProviderDescriptor, Request};
use crate::run;
use crate::run_loop;
use crate::secret::Secrets;
use crate::session::{Beginning, NewSession, Offers, Origin, Session, SessionError};
use crate::update::{Notice, Severity, Update};

/// How long hooks may take when the agent goes down.
const GRACE: Duration = Duration::from_secs(2);

/// How deep hook calls may stand inside each other.
const DEEPEST: usize = 8;

/// The running agent: configuration, sessions, providers, the client, the plugin manager. A cheap handle, the same agent
/// however often it is cloned.
///
/// Accessors copy or swap under a short lock; none returns a guard, and no lock is held across a hook call.
#[derive(Clone)]
pub struct Agent(pub(crate) Arc<AgentInner>);

pub(crate) struct AgentInner {
    config: Arc<Config>,
    plugins: PluginManager,
    secrets: Secrets,
    providers: Shared<Vec<Offered<Arc<ProviderDescriptor>>>>,
    client: Shared<Option<Arc<dyn Client>>>,
    sessions: Shared<Vec<Session>>,
    extensions: Extensions,
    /// Filled when `on_startup` and `register_providers` are through.
    started: OnceCell<()>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// Something a plugin registered, with its name: it goes when the plugin goes.
struct Offered<T> {
    owner: PluginName,
    item: T,
}

impl Agent {
    /// An agent of these plugins. Runs `configure` and nothing else: no disk, no network.
    ///
    /// # Errors
    /// An impl of `configure` failed.
    pub async fn new(mut config: Config, plugins: PluginManager) -> Result<Self, RunError> {
        plugins.limit_time(budget::Clock, Some(budget::DEFAULT));
        plugins.limit_depth(DEEPEST);
        plugins.on_error(|error| tracing::error!(%error, "a plugin failed"));
        plugins.hooks().configure(&mut config).await?;
        Ok(Self(Arc::new(AgentInner {
            secrets: config.secrets().clone(),
            config: Arc::new(config),
            plugins,
            providers: Shared::default(),
            client: Shared::default(),
            sessions: Shared::default(),
            extensions: Extensions::default(),
            started: OnceCell::new(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        })))
    }

    /// The configuration of the process. A session's own may differ: [`Session::config`].
    pub fn config(&self) -> Arc<Config> {
        self.0.config.clone()
    }

    /// The hooks, as a snapshot of the plugins that are registered now.
    pub fn hooks(&self) -> Hooks {
        self.0.plugins.hooks()
    }

    /// The plugin manager. After registering or unregistering something, call [`refresh`](Self::refresh).
    pub fn plugins(&self) -> &PluginManager {
        &self.0.plugins
    }

    /// The values that must never be shown.
    pub fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// Tells the agent who is at the other end.
    pub fn connect(&self, client: Arc<dyn Client>) {
        self.0.client.with(|slot| *slot = Some(client));
    }

    /// Who is at the other end, if anybody is.
    pub fn client(&self) -> Option<Arc<dyn Client>> {
        self.0.client.with(|slot| slot.clone())
    }

    /// Runs `on_startup` and `register_providers`, once; later calls wait for the first.
    pub async fn startup(&self) {
        self.0
            .started
            .get_or_init(|| async {
                drop(self.hooks().on_startup(self).await);
                self.collect_providers().await;
            })
            .await;
    }

    /// Waits until the agent can make sessions.
    pub async fn ready(&self) {
        self.startup().await;
    }

    /// Asks the plugins again for what they offer, and tells clients what changed. Call it after a plugin came or went.
    pub async fn refresh(&self) {
        self.collect_providers().await;
        for session in self.sessions() {
            match self.collect_offers(&session).await {
                Ok(offers) => {
                    session.state(|state| state.offers = offers);
                    session.update(Update::Commands(session.commands()));
                    session.update(Update::ConfigOptions(session.config_options()));
                }
                Err(error) => session.notify(Notice::new(Severity::Error, error.message)),
            }
        }
    }

    async fn collect_providers(&self) {
        let mut providers: Vec<Offered<Arc<ProviderDescriptor>>> = Vec::new();
        match self.hooks().register_providers(self).named().await {
            Ok(answers) => {
                for crow_hooks::Named { plugin: owner, value: offered } in answers {
                    for item in offered {
                        if let Some(first) = providers.iter().find(|provider| provider.item.name == item.name) {
                            let title = format!(
                                "provider `{}` of plugin `{owner}` is ignored: plugin `{}` offers one of that name",
                                item.name, first.owner
                            );
                            self.notify(Notice::new(Severity::Warning, title));
                            continue;
                        }
                        providers.push(Offered { owner: owner.clone(), item: Arc::new(item) });
                    }
                }
            }
            Err(error) => self.notify(Notice::new(Severity::Error, error.to_string())),
        }
        self.0.providers.with(|slot| *slot = providers);
    }

    async fn collect_offers(&self, session: &Session) -> Result<Offers, RunError> {
        let hooks = self.hooks();
        let mut offers = Offers::default();
        for tool in hooks.register_tools(self, session).await?.into_iter().flatten() {
            if offers.tools.iter().any(|other| other.name == tool.name) {
                let title = format!("a second tool called `{}` is ignored", tool.name);
                session.notify(Notice::new(Severity::Warning, title));
            } else {
                offers.tools.push(Arc::new(tool));
            }
        }
        // The order in the request must not depend on the order of registration: prompt caches key on it.
        offers.tools.sort_by(|a, b| a.name.cmp(&b.name));
        for command in hooks.register_commands(self, session).await?.into_iter().flatten() {
            if !offers.commands.iter().any(|other| other.name == command.name) {
                offers.commands.push(command);
            }
        }
        offers.commands.sort_by(|a, b| a.name.cmp(&b.name));
        for mode in hooks.register_modes(self, session).await?.into_iter().flatten() {
            if !offers.modes.iter().any(|other| other.id == mode.id) {
                offers.modes.push(mode);
            }
        }
        let options = hooks.register_config_options(self, session).await?;
        offers.options = options.into_iter().flatten().collect();
        Ok(offers)
    }

    /// The providers that plugins registered.
    pub fn providers(&self) -> Vec<Arc<ProviderDescriptor>> {
        self.0.providers.with(|providers| providers.iter().map(|provider| provider.item.clone()).collect())
    }

    /// The provider called `name`.
    pub fn provider(&self, name: &str) -> Option<Arc<ProviderDescriptor>> {
        self.0.providers.with(|providers| providers.iter().find(|offer| offer.item.name == name).map(|offer| offer.item.clone()))
    }

    /// The models that are known without asking an endpoint.
    pub fn models(&self) -> Vec<Model> {
        self.providers().iter().flat_map(|provider| provider.models.clone()).collect()
    }

    /// What is known of a model; of one that its provider does not list, only the name. `None`: no such provider.
    pub fn model(&self, id: &ModelId) -> Option<Model> {
        let provider = self.provider(&id.provider)?;
        let known = provider.models.iter().find(|model| model.id == *id).cloned();
        Some(known.unwrap_or_else(|| Model::new(id.clone())))
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> Vec<Session> {
        self.0.sessions.with(|sessions| sessions.clone())
    }

    /// The open session `id`.
    pub fn session(&self, id: &str) -> Option<Session> {
        self.0.sessions.with(|sessions| sessions.iter().find(|session| session.id() == id).cloned())
    }

    /// Makes a session.
    ///
    /// # Errors
    /// The directory is not absolute or does not exist, or a hook refused.
    pub async fn new_session(&self, setup: NewSession) -> Result<Session, SessionError> {
        check_cwd(&setup)?;
        self.ready().await;
        let id = uuid::Uuid::now_v7().to_string();
        self.begin(id, Origin::New, now(), None, setup, History::default()).await
    }

    /// Brings a session back from a store that knows it, with the updates that show its history to a client.
    ///
    /// # Errors
    /// As [`new_session`](Self::new_session), or no store knows it.
    pub async fn load_session(
        &self,
        id: &str,
        setup: NewSession,
        origin: Origin,
    ) -> Result<(Session, Vec<Update>), SessionError> {
        check_cwd(&setup)?;
        self.ready().await;
        // The client may load what it has open: the copy in memory gives way to the log. What it does ends first, because
        // how it ends belongs in the log.
        let open = self.session(id);
        let _idle = match &open {
            Some(open) => {
                open.cancel();
                Some(open.0.queue.lock().await)
            }
            None => None,
        };
        let record = self.hooks().load_session(self, id).await.map_err(|error| SessionError::Hook(error.into()))?;
        let record = record.ok_or_else(|| SessionError::NotFound(id.to_owned()))?;
        self.forget(id);
        let history = History::of(&record.events);
        let replay = history::replay(&record.events);
        let summary = record.summary;
        let session = self.begin(id.to_owned(), origin, summary.created_at, summary.parent, setup, history).await?;
        Ok((session, replay))
    }

    async fn begin(
        &self,
        id: String,
        origin: Origin,
        created_at: i64,
        parent: Option<String>,
        setup: NewSession,
        history: History,
    ) -> Result<Session, SessionError> {
        let (config, notices) = self.0.config.for_project(&setup.cwd);
        let beginning = Beginning { id, origin, created_at, parent, setup, config: Arc::new(config), history };
        let session = Session::new(self, beginning);
        let started = async {
            self.hooks().on_session_start(self, &session).await?;
            self.collect_offers(&session).await
        };
        let offers = started.await.map_err(SessionError::Hook)?;
        session.state(|state| state.offers = offers);
        self.0.sessions.with(|sessions| sessions.push(session.clone()));
        for notice in notices.into_iter().chain(unknown_mode(&session)) {
            session.notify(notice);
        }
        Ok(session)
    }

    /// The sessions that stores know, merged, newest first, at most `query.limit`.
    ///
    /// # Errors
    /// A store failed.
    pub async fn list_sessions(&self, query: &SessionQuery) -> Result<Vec<SessionSummary>, RunError> {
        self.ready().await;
        let answers = self.hooks().list_sessions(self, query).await?;
        let mut summaries: Vec<SessionSummary> = answers.into_iter().flatten().collect();
        summaries.sort_by(|a, b| (b.updated_at, &b.id).cmp(&(a.updated_at, &a.id)));
        summaries.dedup_by(|a, b| a.id == b.id);
        summaries.truncate(query.limit);
        Ok(summaries)
    }

    /// Closes a session and has stores forget it. An unknown one is no error.
    ///
    /// # Errors
    /// A store failed.
    pub async fn delete_session(&self, id: &str) -> Result<(), RunError> {
        self.ready().await;
        self.end(id, EndReason::Deleted).await;
        self.hooks().delete_session(self, id).await?;
        Ok(())
    }

    /// Cancels what a session does and lets go of it. Stores keep it. False: it was not open.
    pub async fn close_session(&self, id: &str) -> bool {
        self.end(id, EndReason::Closed).await
    }

    async fn end(&self, id: &str, reason: EndReason) -> bool {
        let Some(session) = self.session(id) else { return false };
        session.cancel();
        let _idle = session.0.queue.lock().await;
        drop(self.hooks().on_session_end(self, &session, &reason).await);
        self.forget(id);
        true
    }

    fn forget(&self, id: &str) {
        self.0.sessions.with(|sessions| sessions.retain(|session| session.id() != id));
    }

    /// Runs a prompt to its end, after those that are queued already. The run is a task of its own: dropping the future
    /// does not stop it, [`Session::cancel`] does.
    pub async fn prompt(&self, session: &Session, prompt: Message) -> RunOutcome {
        self.prompt_cancellable(session, prompt, session.cancellation().child_token()).await
    }

    /// As [`prompt`](Self::prompt), with a token that cancels this prompt alone: a child of
    /// [`Session::cancellation`], so that [`Session::cancel`] reaches it too.
    pub async fn prompt_cancellable(&self, session: &Session, prompt: Message, cancel: CancellationToken) -> RunOutcome {
        let (agent, session) = (self.clone(), session.clone());
        // A prompt that a hook sends counts as a call inside that hook.
        let run = self.0.tasks.spawn(Chain::current().carry(async move {
            let _turn_in_the_queue = session.0.queue.lock().await;
            run_loop::run(&agent, &session, prompt, cancel).await
        }));
        run.await.unwrap_or_else(|error| run::crashed(&error.to_string()))
    }

    /// Asks the user something in the terms of a permission request, and gives the id of what was chosen.
    ///
    /// # Errors
    /// Nobody is there to ask, the run was cancelled, or the client failed.
    pub async fn ask(&self, session: &Session, question: Question) -> Result<String, AskError> {
        let client = self.client().ok_or(AskError::NoClient)?;
        let _unhurried = budget::Pause::begin();
        client.ask(session, question).await
    }

    /// Asks a model on a plugin's behalf, through `call_llm` with all its wrappers. Nothing is shown or logged.
    ///
    /// # Errors
    /// The provider's or a hook's.
    pub async fn complete(&self, session: &Session, mut request: Request) -> Result<Response, RunError> {
        let mut sink = run::Silent::default();
        let model = request.model.id.clone();
        let hooks = self.hooks();
        let _unhurried = budget::Pause::begin();
        let completion = hooks.call_llm(self, session, &mut request, Deltas::new(&mut sink)).await?;
        let completion = completion.ok_or_else(|| run::no_provider(&model))?;
        Ok(sink.into_response(&request, completion))
    }

    /// Makes a session's conversation shorter for the model, by `compact`. The log keeps all of it.
    ///
    /// # Errors
    /// Tool calls wait for their results, no plugin compacts, or a hook failed or vetoed.
    pub async fn compact(&self, session: &Session, trigger: CompactTrigger) -> Result<CompactReport, RunError> {
        let _unhurried = budget::Pause::begin();
        run::compact(self, session, &self.hooks(), trigger).await
    }

    /// Runs a future beside everything else, until it ends or the agent does. Started from inside a hook, its own hook
    /// calls count as calls inside that hook: eight deep is the most.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let closing = self.0.closing.clone();
        self.0.tasks.spawn(Chain::current().carry(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = future => {}
            }
        }));
    }

    /// Calls an ACP extension method. `None`: no plugin answers it.
    pub async fn ext_method(&self, method: &str, params: &Value) -> Option<Result<Value, RunError>> {
        match self.hooks().ext_method(self, method, params).await {
            Ok(answer) => answer.map(Ok),
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Tells the user of every open session something that is not part of the conversation.
    pub fn notify(&self, notice: Notice) {
        for session in self.sessions() {
            session.notify(notice.clone());
        }
    }

    /// Sends an update on its way, through `session_update`.
    pub(crate) fn send(&self, session: &Session, update: Update) {
        let Some(client) = self.client() else { return };
        if let Some(update) = self.last_view(session, update) {
            client.send(session.id(), update);
        }
    }

    /// The update as `session_update` leaves it; `None` if an impl failed, which withholds it.
    pub(crate) fn last_view(&self, session: &Session, mut update: Update) -> Option<Update> {
        match self.hooks().session_update(self, session, &mut update) {
            Ok(()) => Some(update),
            Err(error) => {
                tracing::error!(session = session.id(), %error, "an update was withheld");
                None
            }
        }
    }

    /// Ends all sessions and runs `on_shutdown`, within the grace period of two seconds.
    pub async fn shutdown(&self) {
        let closing = async {
            for session in self.sessions() {
                self.end(session.id(), EndReason::Disconnected).await;
            }
            self.0.tasks.close();
            self.0.closing.cancel();
            self.0.tasks.wait().await;
            drop(self.hooks().on_shutdown(self).await);
        };
        if tokio::time::timeout(GRACE, closing).await.is_err() {
            tracing::error!("the agent went down before its plugins had finished");
        }
        self.0.client.with(|slot| *slot = None);
    }

    /// Keeps a value of a plugin's own, by its type; replaces the one before.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) {
        self.0.extensions.insert(value);
    }

    /// The value kept by [`insert`](Self::insert).
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.extensions.get()
    }

    /// An attribute that some plugin set.
    pub fn attribute(&self, name: &str) -> Option<Value> {
        self.0.extensions.attribute(name)
    }

    /// Sets an attribute that other plugins may read.
    pub fn set_attribute(&self, name: &str, value: Value) {
        self.0.extensions.set_attribute(name, value);
    }

    pub(crate) fn downgrade(&self) -> Weak<AgentInner> {
        Arc::downgrade(&self.0)
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("sessions", &self.sessions().len()).finish_non_exhaustive()
    }
}

/// The configured mode may be one that no plugin offers; the session then starts in the first, and the user is told.
fn unknown_mode(session: &Session) -> Option<Notice> {
    let config = session.config();
    let wanted = config.mode()?;
    let offered = session.modes();
    if offered.iter().any(|mode| mode.id == wanted) {
        return None;
    }
    let offered: Vec<&str> = offered.iter().map(|mode| mode.id.as_str()).collect();
    let title = match offered.as_slice() {
        [] => format!("the configured mode `{wanted}` has no effect: no plugin offers modes"),
        [first, ..] => format!("there is no mode `{wanted}`, this session is in `{first}`; the modes are {}", offered.join(", ")),
    };
    Some(Notice::new(Severity::Warning, title))
}

fn check_cwd(setup: &NewSession) -> Result<(), SessionError> {
    for directory in std::iter::once(&setup.cwd).chain(&setup.additional_directories) {
        if !directory.is_absolute() {
            return Err(SessionError::RelativeCwd(directory.clone()));
        }
    }
    if !setup.cwd.is_dir() {
        return Err(SessionError::NoSuchDirectory(setup.cwd.clone()));
    }
    Ok(())
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// A value behind a short lock that is never held across an await and recovers from poisoning.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(Mutex<T>);

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What plugins keep on an agent or a session: values by type, and attributes by name.
#[derive(Default)]
pub(crate) struct Extensions {
    by_type: Shared<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    by_name: Shared<HashMap<String, Value>>,
}

impl Extensions {
    pub(crate) fn insert<T: Send + Sync + 'static>(&self, value: T) {
        self.by_type.with(|values| values.insert(TypeId::of::<T>(), Arc::new(value)));
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.by_type.with(|values| values.get(&TypeId::of::<T>()).cloned())?.downcast().ok()
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<Value> {
        self.by_name.with(|values| values.get(name).cloned())
    }

    pub(crate) fn set_attribute(&self, name: &str, value: Value) {
        self.by_name.with(|values| values.insert(name.to_owned(), value));
    }
}
