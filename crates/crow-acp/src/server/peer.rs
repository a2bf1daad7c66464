//! The client, as the agent sees it: the far end of the connection.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use super::content;
use super::errors;
use super::outbox::{Line, Outbox};
use super::port::schema::{
    PermissionOption, PermissionOptionKind, ReadTextFileRequest, RequestPermissionOutcome, RequestPermissionRequest,
    SessionId, SessionNotification, SessionUpdate, ToolCallUpdateFields, WriteTextFileRequest,
};
use super::port::{Connection, ErrorCode, RpcError, schema};
use super::projection::Projection;
use crate::client::{
    AskError, Choice, ChoiceKind, Client, ClientCapabilities, ClientCommand, ClientError, ClientInfo, CommandEnd,
    Question,
};
use crate::secret::Secrets;
use crate::session::Session;
use crate::tool::{BoxFuture, ToolContent};
use crate::update::{CompactionState, CompactionUpdate, ToolCallUpdate, ToolState, Update};

/// The most updates that wait for one session to become known to the client.
const MOST_HELD: usize = 1024;

/// The client at the other end of an ACP connection.
#[derive(Debug)]
pub(super) struct Peer {
    info: RwLock<ClientInfo>,
    outbox: Arc<Outbox>,
    secrets: Secrets,
    /// Set by `initialize`.
    connection: OnceLock<Connection>,
    views: RwLock<HashMap<String, Arc<View>>>,
    held: Mutex<Held>,
    runtime: tokio::runtime::Handle,
}

/// One session that the client knows.
#[derive(Debug)]
pub(super) struct View {
    id: SessionId,
    projection: Mutex<Projection>,
}

/// Updates of sessions that the client does not know yet: it learns their id by a response that is not on its way yet.
#[derive(Debug, Default)]
struct Held {
    /// How many requests that make sessions known are under way.
    opening: usize,
    updates: HashMap<String, Vec<Update>>,
}

impl Peer {
    pub(super) fn new(outbox: Arc<Outbox>, secrets: Secrets) -> Self {
        Self {
            info: RwLock::default(),
            outbox,
            secrets,
            connection: OnceLock::new(),
            views: RwLock::default(),
            held: Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// The client has said who it is, and requests can go out to it.
    pub(super) fn introduce(&self, info: ClientInfo, connection: &Connection) {
        *self.info.write().unwrap_or_else(PoisonError::into_inner) = info;
        self.connection.get_or_init(|| connection.clone());
    }

    /// Whether the client has said who it is.
    pub(super) fn is_introduced(&self) -> bool {
        self.connection.get().is_some()
    }

    fn capabilities(&self) -> ClientCapabilities {
        self.info.read().unwrap_or_else(PoisonError::into_inner).capabilities
    }

    /// A request that makes a session known begins: until the guard goes, updates of sessions that the client does not
    /// know wait instead of being dropped.
    pub(super) fn opening(self: &Arc<Self>) -> Opening {
        self.held().opening += 1;
        Opening(self.clone())
    }

    /// A session as the client is about to know it.
    pub(super) fn view(&self, session: &Session) -> Arc<View> {
        let projection = Projection::new(self.capabilities(), session.cwd().to_owned());
        Arc::new(View { id: SessionId::new(session.id()), projection: Mutex::new(projection) })
    }

    /// Shows updates in a view, known to the client or not.
    pub(super) fn show(&self, view: &Arc<View>, updates: impl IntoIterator<Item = Update>) {
        let mut projection = view.projection();
        for update in updates {
            if let Some(due) = projection.project(update, &mut |update| self.push(view, update)) {
                self.flush_at(view, due);
            }
        }
    }

    /// The client knows the session from now on; what waited for that is shown.
    pub(super) fn open(&self, view: Arc<View>) {
        let id = view.id.0.to_string();
        loop {
            let waited = {
                let mut held = self.held();
                match held.updates.remove(&id) {
                    Some(waited) => waited,
                    None => {
                        // Under the lock, so that no update can come between the last look and the view.
                        self.views.write().unwrap_or_else(PoisonError::into_inner).insert(id, view);
                        return;
                    }
                }
            };
            self.show(&view, waited);
        }
    }

    /// The client is told no more of the session.
    pub(super) fn close(&self, id: &str) {
        self.views.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn known(&self, id: &str) -> Option<Arc<View>> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, view: &View, update: SessionUpdate) {
        self.outbox.push(Line::Update(Box::new(SessionNotification::new(view.id.clone(), update))));
    }

    /// Sends the tails of commands that still run, a few times a second. Only tails wait for a timer: they replace what
    /// was there, where everything else appends.
    fn flush_at(&self, view: &Arc<View>, due: Instant) {
        let (outbox, view) = (self.outbox.clone(), view.clone());
        self.runtime.spawn(async move {
            let mut next = Some(due);
            while let Some(due) = next {
                tokio::time::sleep_until(due.into()).await;
                let id = view.id.clone();
                next = view.projection().flush(Instant::now(), &mut |update| {
                    outbox.push(Line::Update(Box::new(SessionNotification::new(id.clone(), update))));
                });
            }
        });
    }

    fn connection(&self) -> Option<&Connection> {
        self.connection.get()
    }

    async fn request_permission(&self, session: &Session, question: Question) -> Result<String, AskError> {
        let (Some(connection), Some(view)) = (self.connection(), self.known(session.id())) else {
            return Err(AskError::NoClient);
        };
        let Question { call_id, title, content, choices } = question;
        // A client can only ask about a call that it knows.
        let known = view.projection().knows(&call_id);
        let mut stand_in = (!known).then(|| StandIn::new(self, &view, &call_id, &title, &content));
        let mut fields = ToolCallUpdateFields::new().title(title).status(schema::ToolCallStatus::Pending);
        if !content.is_empty() {
            fields.content = Some(content.into_iter().map(content::shown).collect());
        }
        let options = choices.into_iter().map(permission_option).collect();
        let call = schema::ToolCallUpdate::new(call_id.clone(), fields);
        let request = RequestPermissionRequest::new(view.id.clone(), call, options);
        let answer = connection.send_request(request).block_task().await;
        if let Some(stand_in) = &mut stand_in
            && answer.is_ok()
        {
            stand_in.end = ToolState::Completed;
        }
        match answer {
            Ok(answer) => match answer.outcome {
                RequestPermissionOutcome::Selected(selected) => Ok(selected.option_id.0.to_string()),
                _ => {
                    // The protocol says so: whoever cancels the question cancels the turn.
                    session.cancel();
                    Err(AskError::Cancelled)
                }
            },
            Err(error) if error.code == ErrorCode::REQUEST_CANCELLED => Err(AskError::Cancelled),
            Err(error) => Err(AskError::Failed(self.words(&error))),
        }
    }

    /// For what is made of errors: they may hold what must not be shown.
    fn scrub(&self, text: &mut String) {
        if let Cow::Owned(scrubbed) = self.secrets.scrub(text) {
            *text = scrubbed;
        }
    }

    fn words(&self, error: &RpcError) -> String {
        errors::one_line(&self.secrets.scrub(&error.message))
    }

    fn client_error(&self, error: &RpcError) -> ClientError {
        ClientError::Failed(self.words(error))
    }
}

impl View {
    fn projection(&self) -> MutexGuard<'_, Projection> {
        self.projection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tool call that a question about no call is shown as. It ends with the question, also with one that is withdrawn.
struct StandIn<'a> {
    peer: &'a Peer,
    view: &'a Arc<View>,
    call_id: &'a str,
    end: ToolState,
}

impl<'a> StandIn<'a> {
    fn new(peer: &'a Peer, view: &'a Arc<View>, call_id: &'a str, title: &str, content: &[ToolContent]) -> Self {
        let begin = ToolCallUpdate {
            title: Some(title.to_owned()),
            content: (!content.is_empty()).then(|| content.to_vec()),
            state: Some(ToolState::Pending),
            ..ToolCallUpdate::new(call_id)
        };
        peer.show(view, [Update::ToolCall(Box::new(begin))]);
        Self { peer, view, call_id, end: ToolState::Failed }
    }
}

impl Drop for StandIn<'_> {
    fn drop(&mut self) {
        let end = ToolCallUpdate { state: Some(self.end), ..ToolCallUpdate::new(self.call_id) };
        self.peer.show(self.view, [Update::ToolCall(Box::new(end))]);
    }
}

/// While it lives, updates of sessions that the client does not know yet are kept for it.
#[derive(Debug)]
pub(super) struct Opening(Arc<Peer>);

impl Drop for Opening {
    fn drop(&mut self) {
        let mut held = self.0.held();
        held.opening -= 1;
        if held.opening == 0 {
            held.updates.clear();
        }
    }
}

impl Client for Peer {
    fn info(&self) -> ClientInfo {
        self.info.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn send(&self, session_id: &str, mut update: Update) {
        match &mut update {
            Update::Notice(notice) => {
                self.scrub(&mut notice.title);
                notice.description.iter_mut().for_each(|text| self.scrub(text));
            }
            Update::Compaction(CompactionUpdate { state: CompactionState::Failed { reason }, .. }) => {
                self.scrub(reason)
            }
            _ => {}
        }
        if let Some(view) = self.known(session_id) {
            return self.show(&view, [update]);
        }
        let mut held = self.held();
        // It may have become known since.
        if let Some(view) = self.known(session_id) {
            drop(held);
            return self.show(&view, [update]);
        }
        if held.opening > 0 {
            let waiting = held.updates.entry(session_id.to_owned()).or_default();
            if waiting.len() < MOST_HELD {
                waiting.push(update);
            }
        }
    }

    fn room(&self) -> Option<BoxFuture<'_, ()>> {
        self.outbox.room()
    }

    fn ask<'a>(&'a self, session: &'a Session, question: Question) -> BoxFuture<'a, Result<String, AskError>> {
        Box::pin(self.request_permission(session, question))
    }

    fn read_text_file<'a>(
        &'a self,
        session: &'a Session,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<String, ClientError>> {
        Box::pin(async move {
            if !self.capabilities().read_files {
                return Err(ClientError::Unsupported("reading files"));
            }
            let connection = self.connection().ok_or(ClientError::Gone)?;
            let request = ReadTextFileRequest::new(SessionId::new(session.id()), path);
            let answer = connection.send_request(request).block_task().await;
            answer.map(|answer| answer.content).map_err(|error| self.client_error(&error))
        })
    }

    fn write_text_file<'a>(
        &'a self,
        session: &'a Session,
        path: &'a Path,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        Box::pin(async move {
            if !self.capabilities().write_files {
                return Err(ClientError::Unsupported("writing files"));
            }
            let connection = self.connection().ok_or(ClientError::Gone)?;
            let request = WriteTextFileRequest::new(SessionId::new(session.id()), path, text);
            let answer = connection.send_request(request).block_task().await;
            answer.map(drop).map_err(|error| self.client_error(&error))
        })
    }

    fn run_command<'a>(
        &'a self,
        session: &'a Session,
        command: ClientCommand,
    ) -> BoxFuture<'a, Result<CommandEnd, ClientError>> {
        Box::pin(async move {
            if !self.capabilities().terminals {
                return Err(ClientError::Unsupported("terminals"));
            }
            let (connection, view) = self.connection().zip(self.known(session.id())).ok_or(ClientError::Gone)?;
            let show = |update| self.push(&view, SessionUpdate::ToolCallUpdate(update));
            let end = super::commands::run(connection, view.id.clone(), command, show).await;
            end.map_err(|error| self.client_error(&error))
        })
    }
}

fn permission_option(choice: Choice) -> PermissionOption {
    let kind = match choice.kind {
        ChoiceKind::AllowOnce => PermissionOptionKind::AllowOnce,
        ChoiceKind::AllowAlways => PermissionOptionKind::AllowAlways,
        ChoiceKind::RejectOnce => PermissionOptionKind::RejectOnce,
        ChoiceKind::RejectAlways => PermissionOptionKind::RejectAlways,
    };
    PermissionOption::new(choice.id, choice.name, kind)
}
