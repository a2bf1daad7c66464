//! The agent: the state of the process, as a handle that every hook gets.

mod embed;
mod offers;
mod sessions;

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crow_hooks::{Chain, PluginName};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answers::{CompactReport, CompactTrigger, EndReason, Response, RunError, RunOutcome};
use crate::budget;
use crate::client::{AskError, Client, Question};
use crate::config::Config;
use crate::delta::Deltas;
use crate::hooks::{Hooks, PluginManager};
use crate::message::Message;
use crate::model::{Model, ModelId};
use crate::provider::{ProviderDescriptor, Request};
use crate::run;
use crate::run_loop;
use crate::secret::Secrets;
use crate::session::Session;
use crate::state::{Extensions, Shared};
use crate::trust::Trust;
use crate::update::{Notice, Update};

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
    trust: Trust,
    providers: Shared<Vec<Offered<Arc<ProviderDescriptor>>>>,
    client: Shared<Option<Arc<dyn Client>>>,
    sessions: Shared<Vec<Session>>,
    extensions: Extensions,
    /// Filled when `on_startup` and `register_providers` are through.
    started: OnceCell<()>,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// Notices from before there was a session to show them in.
    untold: Shared<Vec<Notice>>,
}

/// Notices that wait for a session: a plugin that complains all the time must not fill the memory.
const MOST_UNTOLD: usize = 32;

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
        config.check_protocols();
        Ok(Self(Arc::new(AgentInner {
            secrets: config.secrets().clone(),
            trust: Trust::new(config.home()),
            config: Arc::new(config),
            plugins,
            providers: Shared::default(),
            client: Shared::default(),
            sessions: Shared::default(),
            extensions: Extensions::default(),
            started: OnceCell::new(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            untold: Shared::default(),
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

    /// What the user trusts of what projects bring along. Whoever finds something in a project asks here before using it.
    pub fn trust(&self) -> &Trust {
        &self.0.trust
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

    /// The providers that plugins registered.
    pub fn providers(&self) -> Vec<Arc<ProviderDescriptor>> {
        self.0.providers.with(|providers| providers.iter().map(|provider| provider.item.clone()).collect())
    }

    /// The provider called `name`.
    pub fn provider(&self, name: &str) -> Option<Arc<ProviderDescriptor>> {
        self.0
            .providers
            .with(|providers| providers.iter().find(|offer| offer.item.name == name).map(|offer| offer.item.clone()))
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

    /// Runs a prompt to its end, after those that are queued already. The run is a task of its own: dropping the future
    /// does not stop it, [`Session::cancel`] does.
    pub async fn prompt(&self, session: &Session, prompt: Message) -> RunOutcome {
        self.prompt_cancellable(session, prompt, session.cancellation().child_token()).await
    }

    /// As [`prompt`](Self::prompt), with a token that cancels this prompt alone: a child of
    /// [`Session::cancellation`], so that [`Session::cancel`] reaches it too.
    pub async fn prompt_cancellable(
        &self,
        session: &Session,
        prompt: Message,
        cancel: CancellationToken,
    ) -> RunOutcome {
        let (agent, own) = (self.clone(), session.clone());
        // A prompt that a hook sends counts as a call inside that hook.
        let run = self.0.tasks.spawn(Chain::current().carry(async move {
            let _turn_in_the_queue = own.0.queue.lock().await;
            run_loop::run(&agent, &own, prompt, cancel).await
        }));
        run.await.unwrap_or_else(|error| {
            session.repair();
            run::crashed(&error.to_string())
        })
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
        let completion = completion.ok_or_else(|| run::no_provider(self, &model))?;
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

    /// Tells the user of every open session something that is not part of the conversation. If none is open, the user of
    /// the next one is told; of more than 32 such notices the last are dropped.
    pub fn notify(&self, notice: Notice) {
        // Under the lock, so that a session that begins meanwhile either is told or finds the notice waiting.
        let sessions = self.0.untold.with(|untold| {
            let sessions = self.sessions();
            if sessions.is_empty() && untold.len() < MOST_UNTOLD {
                untold.push(notice.clone());
            }
            sessions
        });
        for session in sessions {
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
