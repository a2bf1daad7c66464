//! Requests and notifications of the client: which there are, and in what order they are dealt with.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::capabilities::{self, CONFIGURED, SETUP};
use super::connection::AfterResponses;
use super::errors;
use super::order::{Lanes, Place};
use super::outbox::Outbox;
use super::params::Params;
use super::peer::Peer;
use super::port::{Connection, ErrorCode, Id, Responder, RpcError};
use crate::agent::Agent;
use crate::session::Session;

/// The agent as one client reaches it.
pub(super) struct Server {
    pub(super) agent: Agent,
    pub(super) peer: Arc<Peer>,
    pub(super) lanes: Lanes,
    pub(super) after_responses: AfterResponses,
    /// Requests that are under way.
    tasks: TaskTracker,
}

/// What a request comes to.
pub(super) type Answer = Result<Value, RpcError>;

impl Server {
    pub(super) fn new(agent: Agent, outbox: &Arc<Outbox>) -> Self {
        let peer = Arc::new(Peer::new(outbox.clone(), agent.secrets().clone()));
        Self {
            agent,
            peer,
            lanes: Lanes::default(),
            after_responses: AfterResponses::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Takes a request. Only `initialize` is dealt with on the spot, everything else beside the connection.
    ///
    /// # Errors
    /// Those of the connection, and those that are the answer.
    pub(super) fn request(
        self: &Arc<Self>,
        method: &str,
        params: Value,
        responder: Responder,
        connection: &Connection,
    ) -> Result<(), RpcError> {
        let params = Params::new(method, params)?;
        if method == "initialize" {
            return self.initialize(&params, responder, connection);
        }
        if !self.peer.is_introduced() {
            return Err(RpcError::new(ErrorCode::INVALID_REQUEST, "the first request must be `initialize`"));
        }
        // Taken here, so that the order is the one in which the requests came.
        let session_id = params.optional_text("sessionId").ok().flatten().unwrap_or_default().to_owned();
        let is_prompt = method == "session/prompt";
        let ends_prompts = matches!(method, "session/close" | "session/delete");
        let place = self.lanes.enter(&session_id, is_prompt || ends_prompts);
        let server = self.clone();
        if is_prompt {
            self.tasks.spawn(server.prompt(params, session_id, responder, place));
        } else {
            self.tasks.spawn(server.other(params, session_id, responder, place));
        }
        Ok(())
    }

    /// Takes a notification. Unknown ones are ignored, as the protocol wants it.
    pub(super) fn notification(&self, method: &str, params: &Value) {
        if method == "session/cancel"
            && let Some(id) = params.get("sessionId").and_then(Value::as_str)
        {
            self.lanes.cancel(id);
            if let Some(session) = self.agent.session(id) {
                session.cancel();
            }
        }
    }

    fn initialize(&self, params: &Params, responder: Responder, connection: &Connection) -> Result<(), RpcError> {
        self.peer.introduce(params.client(), connection);
        self.agent.connect(self.peer.clone());
        // Plugins start when the reply is on its way, not before: an editor shows nothing until it is there.
        let agent = self.agent.clone();
        let runtime = tokio::runtime::Handle::current();
        self.after_responses.insert(responder.raw_id(), move || {
            runtime.spawn(async move { agent.startup().await });
        });
        if params.protocol_version() != 1 {
            tracing::info!(asked = params.protocol_version(), "the client asked for another version of the protocol");
        }
        let introduction = capabilities::introduction(params.terminal_login(), self.agent.config().mcp_http());
        responder.cast().respond(introduction)
    }

    /// Any request but a prompt. It may be cancelled as a request.
    async fn other(self: Arc<Self>, params: Params, session_id: String, responder: Responder, mut place: Place) {
        let (id, cancellation) = (responder.raw_id().clone(), responder.cancellation());
        let answer = async {
            if !session_id.is_empty() {
                place.comes().await;
            }
            self.answer(params, &id, &mut place).await
        };
        let answer = cancellation.run_until_cancelled(answer).await;
        if let Err(error) = responder.respond_with_result(answer) {
            tracing::debug!(%error, "a response could not be sent");
        }
    }

    async fn answer(self: &Arc<Self>, params: Params, id: &Id, place: &mut Place) -> Answer {
        match params.method() {
            "authenticate" => self.authenticate(&params).await,
            "session/new" => self.new_session(params, id).await,
            "session/load" | "session/resume" => self.load_session(params, id).await,
            "session/fork" => self.fork_session(params, id).await,
            "session/list" => self.list_sessions(&params).await,
            "session/delete" => self.delete_session(&params, place).await,
            "session/close" => self.close_session(&params, place).await,
            "session/set_mode" => self.set_mode(&params).await,
            "session/set_config_option" => self.set_config_option(&params).await,
            "session/set_model" => self.set_model(&params).await,
            method if method.starts_with('_') => {
                // An extension may take its time, and nothing else shall wait for it.
                place.started();
                self.extension(params).await
            }
            method => Err(errors::unknown_method(method)),
        }
    }

    async fn authenticate(&self, params: &Params) -> Answer {
        let login = params.text("methodId")?;
        if login != CONFIGURED && login != SETUP {
            return Err(params.invalid("methodId", &format!("must be `{CONFIGURED}` or `{SETUP}`")));
        }
        self.agent.ready().await;
        if self.agent.providers().is_empty() { Err(errors::not_configured()) } else { Ok(json!({})) }
    }

    async fn extension(&self, params: Params) -> Answer {
        let method = params.method().to_owned();
        match self.agent.ext_method(&method, &params.into_value()).await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(errors::failed(&error, self.agent.secrets())),
            None => Err(errors::unknown_method(&method)),
        }
    }

    /// The open session that the parameters name.
    pub(super) fn session(&self, params: &Params) -> Result<Session, RpcError> {
        let id = params.text("sessionId")?;
        self.agent.session(id).ok_or_else(|| errors::no_session(id))
    }

    /// The client sends no more: what runs is cancelled.
    pub(super) fn hang_up(&self) {
        self.lanes.cancel_all();
        for session in self.agent.sessions() {
            session.cancel();
        }
        self.tasks.close();
    }

    /// Resolves when all requests are answered, after [`hang_up`](Self::hang_up).
    pub(super) async fn answered(&self) {
        self.tasks.wait().await;
    }

    /// Ends sessions and plugins.
    pub(super) async fn shut_down(&self) {
        self.agent.shutdown().await;
    }
}
