//! A connection to one server: made when somebody wants it, shared, watched, made again once if the server dies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crow_acp::Agent;
use rmcp::RoleClient;
use rmcp::model::{ProtocolVersion, SubscriptionFilter};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, Peer, RunningService, ServiceError, serve_client_with_lifecycle,
};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::handler::{Handler, Router};
use crate::hub::Hub;
use crate::lists::Lists;
use crate::process::Process;
use crate::spec::Spec;
use crate::stdio::{Paced, Remarks, Stdio};
use crate::{http, text};

/// How long a server may take to take leave of us.
const FAREWELL: Duration = Duration::from_millis(400);

/// How a connection stands.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Nobody has asked for it yet, or it was stopped.
    Idle,
    /// The server starts.
    Connecting,
    /// The server answers.
    Ready(Live),
    /// It cannot be used.
    Failed(Arc<str>),
}

impl Phase {
    /// Whether waiting will not change it.
    fn is_settled(&self) -> bool {
        matches!(self, Self::Ready(_) | Self::Failed(_))
    }
}

/// A server that answers.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) peer: Peer<RoleClient>,
    pub(crate) lists: Arc<Lists>,
}

/// A server as one or more sessions use it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What the first session that wanted it calls it.
    name: String,
    spec: Spec,
    connect_timeout: Duration,
    max_tools: usize,
    phase: watch::Sender<Phase>,
    pub(crate) router: Arc<Router>,
    pub(crate) remarks: Arc<Remarks>,
    life: Mutex<Option<Life>>,
}

/// The task that holds a connection.
#[derive(Debug)]
struct Life {
    stop: CancellationToken,
    /// Cancelled when the task has ended, in whatever way.
    ended: CancellationToken,
}

/// How one life of a server ended.
enum End {
    /// We wanted it so.
    Stopped,
    /// It never answered.
    Unborn(String),
    /// It answered once, and does no more.
    Died(String),
}

impl Connection {
    pub(crate) fn new(name: &str, spec: Spec, connect_timeout: Duration, max_tools: usize) -> Self {
        Self {
            name: name.to_owned(),
            spec,
            connect_timeout,
            max_tools,
            phase: watch::Sender::new(Phase::Idle),
            router: Arc::default(),
            remarks: Arc::default(),
            life: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// How it stands now.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// What the server has, if it answers.
    pub(crate) fn lists(&self) -> Option<Arc<Lists>> {
        match &*self.phase.borrow() {
            Phase::Ready(live) => Some(Arc::clone(&live.lists)),
            _ => None,
        }
    }

    /// Starts it in the background unless it runs.
    pub(crate) fn start(self: &Arc<Self>, hub: &Arc<Hub>, agent: &Agent) {
        let mut life = self.life();
        if life.as_ref().is_some_and(|life| !life.ended.is_cancelled()) {
            return;
        }
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        *life = Some(Life { stop: stop.clone(), ended: ended.clone() });
        self.remarks.clear();
        self.phase.send_replace(Phase::Connecting);
        let (own, hub, of) = (Arc::clone(self), Arc::clone(hub), agent.clone());
        // Says so also when the agent goes down and drops the task.
        let ended = ended.drop_guard();
        agent.spawn(async move {
            own.live(&hub, &of, &stop).await;
            drop(ended);
        });
    }

    /// Stops it and waits until the server has left.
    pub(crate) async fn stop(&self) {
        let life = self.life().take();
        if let Some(life) = life {
            life.stop.cancel();
            life.ended.cancelled().await;
        }
        self.phase.send_replace(Phase::Idle);
    }

    /// The server, once it answers.
    ///
    /// # Errors
    /// In words for the model or the user.
    pub(crate) async fn ready(&self) -> Result<Live, String> {
        let mut phase = self.phase.subscribe();
        let settled = timeout(self.connect_timeout, phase.wait_for(Phase::is_settled)).await;
        match settled.map(|phase| phase.map(|phase| phase.clone())) {
            Ok(Ok(Phase::Ready(live))) => Ok(live),
            Ok(Ok(Phase::Failed(why))) => Err(format!("the MCP server `{}` does not run: {why}", self.name)),
            _ => Err(format!("the MCP server `{}` is not there yet", self.name)),
        }
    }

    /// Resolves when it has started, or cannot.
    pub(crate) async fn settled(&self) {
        let mut phase = self.phase.subscribe();
        drop(phase.wait_for(|phase| phase.is_settled() || matches!(phase, Phase::Idle)).await);
    }

    fn life(&self) -> MutexGuard<'_, Option<Life>> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn live(&self, hub: &Arc<Hub>, agent: &Agent, stop: &CancellationToken) {
        let mut restarted = false;
        loop {
            let end = self.once(hub, agent, stop).await;
            let why = match end {
                End::Stopped => return,
                End::Died(why) if !restarted => {
                    restarted = true;
                    self.phase.send_replace(Phase::Connecting);
                    hub.tell(self, &format!("MCP server `{}`: {why}; it is started once more", self.name));
                    continue;
                }
                End::Died(why) => format!("{why} (for the second time)"),
                End::Unborn(why) => why,
            };
            tracing::warn!(server = self.name, why, "an MCP server failed");
            self.phase.send_replace(Phase::Failed(why.as_str().into()));
            hub.tell(self, &format!("MCP server `{}` cannot be used: {why}", self.name));
            hub.offers_changed(self, agent).await;
            return;
        }
    }

    /// One life of the server, from its start to its end.
    async fn once(&self, hub: &Arc<Hub>, agent: &Agent, stop: &CancellationToken) -> End {
        let started = tokio::select! {
            started = self.begin() => started,
            () = stop.cancelled() => return End::Stopped,
        };
        let (service, mut process, lists) = match started {
            Ok(started) => started,
            Err(why) => return End::Unborn(why),
        };
        let peer = service.peer().clone();
        let farewell = service.cancellation_token();
        self.phase.send_replace(Phase::Ready(Live { peer: peer.clone(), lists: Arc::new(lists) }));
        hub.offers_changed(self, agent).await;
        let _listening = self.listen(&peer);
        let mut closed = Box::pin(service.waiting());
        loop {
            let exited = async {
                match &mut process {
                    Some(process) => process.exited().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {
                    farewell.cancel();
                    drop(timeout(FAREWELL, closed).await);
                    if let Some(process) = process {
                        process.leave().await;
                    }
                    return End::Stopped;
                }
                why = exited => return End::Died(self.with_errors(why, process.as_ref())),
                _ = &mut closed => {
                    let why = match &mut process {
                        Some(process) => process.ending().await,
                        None => None,
                    };
                    let why = why.unwrap_or_else(|| "it closed the connection".into());
                    return End::Died(self.with_errors(why, process.as_ref()));
                }
                () = self.router.lists.notified() => {
                    // A server that changes its mind all the time is asked a few times a second at most.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    match timeout(self.connect_timeout, Lists::of(&peer, self.max_tools, &self.remarks)).await {
                        Ok(Ok(lists)) => {
                            self.phase.send_replace(Phase::Ready(Live { peer: peer.clone(), lists: Arc::new(lists) }));
                            hub.offers_changed(self, agent).await;
                        }
                        Ok(Err(error)) => self.remarks.note("its changed tools cannot be listed", || {
                            format!(": {}", text::short(&error.to_string()))
                        }),
                        Err(_) => self.remarks.note("its changed tools cannot be listed", || ": no answer".into()),
                    }
                }
            }
        }
    }

    /// Hears of changed lists from a server that tells only who asked to be told. Others tell anyway.
    fn listen(&self, peer: &Peer<RoleClient>) -> Option<tokio_util::task::AbortOnDropHandle<()>> {
        let tells_anyway = peer.peer_info().is_none_or(|info| info.protocol_version.has_initialize());
        if tells_anyway {
            return None;
        }
        let (peer, router) = (peer.clone(), Arc::clone(&self.router));
        Some(tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
            let wanted = SubscriptionFilter::builder().tools_list_changed().prompts_list_changed().build();
            let Ok(mut news) = peer.listen(wanted).await else { return };
            while let Ok(Some(_)) = news.next().await {
                router.lists.notify_one();
            }
        })))
    }

    /// Starts the server, shakes hands and asks what it has, all within the time that is allowed.
    async fn begin(&self) -> Result<(RunningService<RoleClient, Handler>, Option<Process>, Lists), String> {
        let mut process = None;
        let begun = timeout(self.connect_timeout, self.connect(&mut process)).await;
        let why = match begun {
            Ok(Ok((service, lists))) => return Ok((service, process, lists)),
            Ok(Err(Hitch::Refused(why) | Hitch::Hopeless(why))) => why,
            Ok(Err(Hitch::Broken(why))) => {
                // How it left says more than that it has.
                let ending = match &mut process {
                    Some(process) => process.ending().await,
                    None => None,
                };
                ending.map_or(why, |ending| format!("{ending} before it answered"))
            }
            Err(_) => format!("no answer within {} s (`connect_timeout_seconds`)", self.connect_timeout.as_secs()),
        };
        Err(self.with_errors(why, process.as_ref()))
    }

    async fn connect(
        &self,
        process: &mut Option<Process>,
    ) -> Result<(RunningService<RoleClient, Handler>, Lists), Hitch> {
        let greeted = self.greet(process, ClientLifecycleMode::Initialize).await;
        let service = match greeted {
            // It may be one that is past greetings. Anew, because some leave when they are spoken to in the wrong way.
            Err(Hitch::Refused(why)) => {
                let preferred_versions = vec![ProtocolVersion::NO_INITIALIZE];
                let mode = ClientLifecycleMode::Discover { preferred_versions };
                self.greet(process, mode).await.map_err(|_| Hitch::Hopeless(why))?
            }
            greeted => greeted?,
        };
        let lists = Lists::of(service.peer(), self.max_tools, &self.remarks).await;
        let lists = lists.map_err(|error| {
            let why = format!("its tools cannot be listed: {}", told(&error));
            if matches!(error, ServiceError::TransportClosed) { Hitch::Broken(why) } else { Hitch::Hopeless(why) }
        })?;
        Ok((service, lists))
    }

    /// Starts the server, or opens the connection, and says hello in one of two ways.
    async fn greet(
        &self,
        process: &mut Option<Process>,
        mode: ClientLifecycleMode,
    ) -> Result<RunningService<RoleClient, Handler>, Hitch> {
        let service = match &self.spec {
            Spec::Stdio { command, roots, .. } => {
                let (started, stdin, stdout) = Process::start(&self.spec)
                    .map_err(|error| Hitch::Hopeless(format!("`{}` cannot be started: {error}", command.display())))?;
                *process = Some(started);
                let handler = Handler::new(Arc::clone(&self.router), roots.clone());
                serve_client_with_lifecycle(handler, Stdio::new(stdin, stdout, Arc::clone(&self.remarks)), mode).await
            }
            Spec::Http { url, headers } => {
                let transport = http::transport(url, headers).map_err(Hitch::Hopeless)?;
                let handler = Handler::new(Arc::clone(&self.router), Vec::new());
                serve_client_with_lifecycle(handler, Paced::new(transport, Arc::clone(&self.remarks)), mode).await
            }
        };
        service.map_err(|error| no_handshake(&error))
    }

    /// What the server itself said of its end goes with ours.
    fn with_errors(&self, why: String, process: Option<&Process>) -> String {
        let errors = process.map(Process::errors).unwrap_or_default();
        let odd = self.remarks.all();
        let odd = odd.first().map(|remark| format!("; {remark}")).unwrap_or_default();
        if errors.is_empty() { format!("{why}{odd}") } else { format!("{why}: {errors}{odd}") }
    }
}

/// Why a connection did not come about.
enum Hitch {
    /// The server would not have our greeting.
    Refused(String),
    /// We know why, and another try would end the same way.
    Hopeless(String),
    /// The server was there and then was not.
    Broken(String),
}

fn no_handshake(error: &ClientInitializeError) -> Hitch {
    match error {
        ClientInitializeError::ConnectionClosed(_) => {
            Hitch::Broken("it closed the connection before it answered".into())
        }
        ClientInitializeError::JsonRpcError(error) => {
            Hitch::Refused(format!("it refuses us: {}", text::short(&error.message)))
        }
        ClientInitializeError::ExpectedInitResponse(_) | ClientInitializeError::ExpectedInitResult(_) => {
            Hitch::Hopeless("it answers `initialize` with something else".into())
        }
        ClientInitializeError::TransportError { error, .. } => {
            let mut cause: &dyn std::error::Error = &*error.error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            Hitch::Broken(format!("it cannot be reached: {}", text::short(&cause.to_string())))
        }
        other => Hitch::Hopeless(text::short(&other.to_string())),
    }
}

/// An error of a request, in words for the model or the user.
pub(crate) fn told(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => text::short(&error.message),
        ServiceError::TransportClosed => "it closed the connection".into(),
        ServiceError::Timeout { timeout } => format!("it said nothing for {} s", timeout.as_secs()),
        other => text::short(&other.to_string()),
    }
}
