//! Requests about sessions as wholes: made, loaded, listed, set up, let go.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::content;
use super::errors;
use super::order::Place;
use super::params::Params;
use super::peer::{Opening, View};
use super::port::schema::{
    ForkSessionResponse, ListSessionsResponse, LoadSessionResponse, NewSessionResponse, SessionInfo,
    SetSessionConfigOptionResponse,
};
use super::port::{Id, RpcError};
use super::projection;
use super::requests::{Answer, Server};
use crate::client::McpTransport;
use crate::event::{SessionQuery, SessionSummary};
use crate::session::{NewSession, Origin, Session};
use crate::update::{Notice, Severity};

/// How many sessions a page of the list holds.
const PAGE: usize = 100;

impl Server {
    pub(super) async fn new_session(self: &Arc<Self>, mut params: Params, request: &Id) -> Answer {
        let (setup, left_out) = params.session()?;
        self.remember_secrets(&setup);
        let opening = self.peer.opening();
        let started = self.agent.new_session(setup).await;
        let session = started.map_err(|error| errors::no_start(params.method(), &error, self.agent.secrets()))?;
        let view = self.peer.view(&session);
        let mut response = NewSessionResponse::new(session.id().to_owned());
        response.modes = projection::modes(session.mode(), session.modes());
        response.config_options = Some(projection::config_options(session.config_options()));
        self.open_after_response(request, session, view, opening, left_out);
        to_value(&response)
    }

    /// Loads a session with all that is in it, or resumes it for a client that has its history already.
    pub(super) async fn load_session(self: &Arc<Self>, mut params: Params, request: &Id) -> Answer {
        let id = params.text("sessionId")?.to_owned();
        let origin = if params.method() == "session/load" { Origin::Loaded } else { Origin::Resumed };
        let (setup, left_out) = params.session()?;
        self.remember_secrets(&setup);
        let opening = self.peer.opening();
        let loaded = self.agent.load_session(&id, setup, origin).await;
        let (session, replay) =
            loaded.map_err(|error| errors::no_start(params.method(), &error, self.agent.secrets()))?;
        // What the new copy says at once must not get between the lines of the replay.
        self.peer.close(&id);
        let view = self.peer.view(&session);
        if origin == Origin::Loaded {
            let usage = (session.context_used() > 0).then(|| session.usage_update());
            let replay = replay.into_iter().chain(usage);
            self.peer.show(&view, replay.filter_map(|update| self.agent.last_view(&session, update)));
        }
        // A resumed session answers in the same form.
        let mut response = LoadSessionResponse::new();
        response.modes = projection::modes(session.mode(), session.modes());
        response.config_options = Some(projection::config_options(session.config_options()));
        self.open_after_response(request, session, view, opening, left_out);
        to_value(&response)
    }

    /// Makes a copy of a session, which the client opens beside the original. It has the original's history already.
    pub(super) async fn fork_session(self: &Arc<Self>, mut params: Params, request: &Id) -> Answer {
        let id = params.text("sessionId")?.to_owned();
        let (setup, left_out) = params.session()?;
        self.remember_secrets(&setup);
        let opening = self.peer.opening();
        let forked = self.agent.fork_session(&id, setup).await;
        let session = forked.map_err(|error| errors::no_start(params.method(), &error, self.agent.secrets()))?;
        let view = self.peer.view(&session);
        let mut response = ForkSessionResponse::new(session.id().to_owned());
        response.modes = projection::modes(session.mode(), session.modes());
        response.config_options = Some(projection::config_options(session.config_options()));
        self.open_after_response(request, session, view, opening, left_out);
        to_value(&response)
    }

    /// What MCP servers are given to prove who they are must not show up anywhere.
    fn remember_secrets(&self, setup: &NewSession) {
        for server in &setup.mcp_servers {
            let (McpTransport::Stdio { env: values, .. } | McpTransport::Http { headers: values, .. }) =
                &server.transport;
            for (name, value) in values {
                self.agent.secrets().add_variable(name, value.expose());
            }
        }
    }

    /// Clients drop what they are told of a session before they know it, so that everything waits for the response.
    fn open_after_response(
        self: &Arc<Self>,
        request: &Id,
        session: Session,
        view: Arc<View>,
        opening: Opening,
        left_out: Vec<String>,
    ) {
        let peer = self.peer.clone();
        self.after_responses.insert(request, move || {
            peer.open(view);
            drop(opening);
            session.advertise();
            if matches!(session.origin(), Origin::Resumed | Origin::Forked) && session.context_used() > 0 {
                session.advertise_usage();
            }
            for what in left_out {
                session.notify(Notice::new(Severity::Warning, what));
            }
        });
    }

    pub(super) async fn list_sessions(&self, params: &Params) -> Answer {
        let mut query = SessionQuery::newest(PAGE);
        if let Some(cwd) = params.optional_text("cwd")? {
            let cwd = PathBuf::from(cwd);
            if !cwd.is_absolute() {
                return Err(params.invalid("cwd", "must be an absolute path"));
            }
            query.cwd = Some(cwd);
        }
        if let Some(cursor) = params.optional_text("cursor")? {
            let before = read_cursor(cursor);
            query.before = Some(before.ok_or_else(|| params.invalid("cursor", "is none that an earlier page gave"))?);
        }
        let summaries = self.agent.list_sessions(&query).await.map_err(|error| self.failed(&error))?;
        let next = if summaries.len() == PAGE { summaries.last().map(cursor) } else { None };
        let sessions = summaries
            .into_iter()
            .map(|summary| {
                SessionInfo::new(summary.id, content::unicode(summary.cwd))
                    .title(summary.title)
                    .updated_at(projection::time(summary.updated_at))
            })
            .collect();
        to_value(&ListSessionsResponse::new(sessions).next_cursor(next))
    }

    pub(super) async fn delete_session(&self, params: &Params, place: &mut Place) -> Answer {
        let id = params.text("sessionId")?;
        self.end_prompts(id, place).await;
        self.agent.delete_session(id).await.map_err(|error| self.failed(&error))?;
        self.peer.close(id);
        Ok(json!({}))
    }

    pub(super) async fn close_session(&self, params: &Params, place: &mut Place) -> Answer {
        let session = self.session(params)?;
        self.end_prompts(session.id(), place).await;
        self.agent.close_session(session.id()).await;
        self.peer.close(session.id());
        Ok(json!({}))
    }

    /// Cancels what runs in the session, and waits until its prompts have answered so.
    async fn end_prompts(&self, id: &str, place: &mut Place) {
        self.lanes.cancel(id);
        if let Some(session) = self.agent.session(id) {
            session.cancel();
        }
        place.prompts_answered().await;
    }

    pub(super) async fn set_mode(&self, params: &Params) -> Answer {
        let session = self.session(params)?;
        let mode = params.text("modeId")?;
        let modes = session.modes();
        if !modes.iter().any(|offered| offered.id == mode) {
            let ids: Vec<&str> = modes.iter().map(|mode| mode.id.as_str()).collect();
            return Err(params.invalid("modeId", &format!("must be one of: {}", ids.join(", "))));
        }
        session.set_mode(mode).await.map_err(|error| self.failed(&error))?;
        Ok(json!({}))
    }

    pub(super) async fn set_config_option(&self, params: &Params) -> Answer {
        let session = self.session(params)?;
        let id = params.text("configId")?;
        let value = params.option_value()?;
        let options = session.config_options();
        let Some(option) = options.iter().find(|option| option.id == id) else {
            let ids: Vec<&str> = options.iter().map(|option| option.id.as_str()).collect();
            return Err(params.invalid("configId", &format!("must be one of: {}", ids.join(", "))));
        };
        // Any model of a provider will do, listed or not; the agent says if it does not.
        if id != "model" && !option.values.iter().any(|offered| offered.id == value) {
            let ids: Vec<&str> = option.values.iter().map(|value| value.id.as_str()).collect();
            return Err(params.invalid("value", &format!("must be one of: {}", ids.join(", "))));
        }
        session.set_option(id, &value).await.map_err(|error| self.failed(&error))?;
        to_value(&SetSessionConfigOptionResponse::new(projection::config_options(session.config_options())))
    }

    /// Never part of the protocol's stable version, but there are clients that choose models by it.
    pub(super) async fn set_model(&self, params: &Params) -> Answer {
        let session = self.session(params)?;
        session.set_option("model", params.text("modelId")?).await.map_err(|error| self.failed(&error))?;
        Ok(json!({}))
    }

    fn failed(&self, error: &crate::answers::RunError) -> RpcError {
        errors::failed(error, self.agent.secrets())
    }
}

/// A place in the list: behind this session.
fn cursor(summary: &SessionSummary) -> String {
    format!("{:x}.{}", summary.updated_at, summary.id)
}

fn read_cursor(cursor: &str) -> Option<(i64, String)> {
    let (at, id) = cursor.split_once('.')?;
    Some((i64::from_str_radix(at, 16).ok()?, id.to_owned()))
}

fn to_value(response: &impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(response).map_err(|_| errors::invalid("response", "path", "cannot be expressed in JSON"))
}
