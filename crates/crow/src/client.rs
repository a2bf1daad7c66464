//! The command line's own ACP client: the same protocol that editors speak, over a pipe within the process, so that
//! there is one way into the agent and every hook fires on it.

use std::path::Path;

use agent_client_protocol as acp;
use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::schema::{
    CancelNotification, ClientCapabilities, ClientSessionCapabilities, ContentBlock, Implementation, InitializeRequest,
    Meta, NewSessionRequest, NoticeCapabilities, PromptRequest, PromptResponse, RequestPermissionRequest,
    RequestPermissionResponse, ResumeSessionRequest, SessionConfigOption, SessionId, SessionNotification, TextContent,
};
use agent_client_protocol::v1::{ConnectionTo, Responder};
use crow_acp::Agent;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::exit::Failure;
use crate::trace::Fired;

/// What the pipe holds before its writer waits, in bytes.
const PIPE: usize = 64 * 1024;

/// What happens at the agent's end, in order.
#[derive(Debug)]
pub(crate) enum News {
    /// News of a session.
    Update(Box<SessionNotification>),
    /// May a tool call run?
    Permission(Box<RequestPermissionRequest>, Responder<RequestPermissionResponse>),
    /// A hook fired. These come beside the protocol, from the engine's own monitor.
    Hook(Fired),
}

/// A connection that stands.
#[derive(Debug)]
pub(crate) struct Connection {
    to: ConnectionTo<acp::Agent>,
    /// What happens at the agent's end.
    pub(crate) news: UnboundedReceiver<News>,
}

/// A session that is open, as the agent described it.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its id.
    pub(crate) id: SessionId,
    /// What can be chosen: model, mode and the rest, with their current values.
    pub(crate) options: Vec<SessionConfigOption>,
}

/// The queue that a connection's news come through; others may put theirs in before it stands.
pub(crate) fn queue() -> (UnboundedSender<News>, UnboundedReceiver<News>) {
    unbounded_channel()
}

/// Serves `agent` on one end of a pipe and runs `body` as the client on the other.
///
/// # Errors
/// The connection broke; a failure of `body`.
pub(crate) async fn connect<R>(
    agent: &Agent,
    (sender, news): (UnboundedSender<News>, UnboundedReceiver<News>),
    body: impl AsyncFnOnce(Connection) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let (reader, writer) = tokio::io::split(theirs);
    let server = tokio::spawn(crow_acp::server::serve(agent.clone(), reader, writer));
    let (reader, writer) = tokio::io::split(ours);
    let transport = acp::ByteStreams::new(writer.compat_write(), reader.compat());
    let permissions = sender.clone();
    // Handlers only pass on: one that waited would hold up everything behind it.
    let result = acp::Client
        .v1()
        .name("crow-cli")
        .on_receive_notification(
            async move |update: SessionNotification, _| {
                let _ = sender.send(News::Update(Box::new(update)));
                Ok(())
            },
            acp::on_receive_notification!(),
        )
        .on_receive_request(
            async move |request: RequestPermissionRequest, responder: Responder<RequestPermissionResponse>, _| {
                let _ = permissions.send(News::Permission(Box::new(request), responder));
                Ok(())
            },
            acp::on_receive_request!(),
        )
        .connect_with(transport, async move |to: ConnectionTo<acp::Agent>| Ok(body(Connection { to, news }).await))
        .await;
    // The client's end of the pipe is gone: the server ends by itself.
    let _ = server.await;
    result.map_err(|error| broken(&error))?
}

impl Connection {
    /// Says who we are.
    ///
    /// # Errors
    /// The agent refused.
    pub(crate) async fn initialize(&self) -> Result<(), Failure> {
        let mut meta = Meta::new();
        // We show the output of commands as it comes.
        meta.insert("terminal_output".to_owned(), true.into());
        let capabilities = ClientCapabilities::new()
            .session(ClientSessionCapabilities::new().notices(NoticeCapabilities::new()))
            .meta(meta);
        let request = InitializeRequest::new(ProtocolVersion::V1)
            .client_capabilities(capabilities)
            .client_info(Implementation::new("crow-cli", env!("CARGO_PKG_VERSION")));
        self.to.send_request(request).block_task().await.map_err(|error| broken(&error))?;
        Ok(())
    }

    /// Opens a new session in `cwd`, or goes on with the one called `resume`.
    ///
    /// # Errors
    /// There is no such session, or a hook refused.
    pub(crate) async fn open(&self, cwd: &Path, resume: Option<&str>) -> Result<Opened, Failure> {
        let Some(id) = resume else {
            let opened =
                self.to.send_request(NewSessionRequest::new(cwd)).block_task().await.map_err(|error| broken(&error))?;
            return Ok(Opened { id: opened.session_id, options: opened.config_options.unwrap_or_default() });
        };
        let id = SessionId::new(id);
        let request = ResumeSessionRequest::new(id.clone(), cwd);
        let opened = self.to.send_request(request).block_task().await.map_err(|error| {
            Failure::failed(reason(&error)).next("`crow sessions list` shows the sessions there are.")
        })?;
        Ok(Opened { id, options: opened.config_options.unwrap_or_default() })
    }

    /// Sends a prompt. The future resolves when the run is over.
    pub(crate) fn prompt(
        &self,
        session: &SessionId,
        text: String,
    ) -> impl Future<Output = Result<PromptResponse, acp::Error>> + use<> {
        let content = vec![ContentBlock::Text(TextContent::new(text))];
        self.to.send_request(PromptRequest::new(session.clone(), content)).block_task()
    }

    /// Cancels the session's run.
    pub(crate) fn cancel(&self, session: &SessionId) {
        // If the connection is gone, so is the run.
        let _ = self.to.send_notification(CancelNotification::new(session.clone()));
    }
}

/// An error of the agent in its own words.
pub(crate) fn reason(error: &acp::Error) -> String {
    let said = error.data.as_ref().and_then(|data| data.as_str().or_else(|| data["message"].as_str()));
    match said {
        Some(said) if said != error.message => format!("{}: {said}", error.message),
        _ => error.message.clone(),
    }
}

fn broken(error: &acp::Error) -> Failure {
    Failure::failed(reason(error))
}
