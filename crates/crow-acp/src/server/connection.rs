//! One connection, from the first message to the last: the official crate in the middle, our reader and outbox at its ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::ServeError;
use super::outbox::{Line, Outbox};
use super::port::{
    AgentRole, Builder, Channel, ClientRole, Connection, Dispatch, HandleDispatchFrom, Handled, Id, RpcError,
    RpcMessage, RpcResponse, TransportFrame,
};
use super::reader::Received;
use super::requests::Server;
use crate::agent::Agent;

/// How long requests that are under way may take to answer when the client hangs up.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Serves until the input ends or the output cannot be written any more, then shuts the agent down.
pub(super) async fn run(
    agent: Agent,
    mut incoming: mpsc::Receiver<Received>,
    outbox: &Arc<Outbox>,
) -> Result<(), ServeError> {
    let server = Arc::new(Server::new(agent, outbox));
    let (near, far) = Channel::duplex();
    let (mut responses, messages) = near.into_parts();
    let connection = Builder::new_with(AgentRole, Front(server.clone())).connect_to(far);

    // Messages in. The loop shares its task with the connection, which takes what it gets before this one goes on, so
    // that the bound of `incoming` holds although the crate's own channels have none.
    let receiving = async {
        let messages = messages;
        loop {
            let received = tokio::select! {
                received = incoming.recv() => received,
                () = outbox.abandoned() => None,
            };
            match received {
                Some(Received::Message(message)) => {
                    if messages.unbounded_send(TransportFrame::Single(message)).is_err() {
                        return;
                    }
                }
                Some(Received::Rejected(answer)) => outbox.push(Line::Message(Box::new(answer))),
                None => break,
            }
        }
        // The crate hears of the end only now: it would drop the answers of requests that are under way.
        server.hang_up();
        if tokio::time::timeout(LAST_ANSWERS, server.answered()).await.is_err() {
            tracing::warn!("the client hung up before all its requests were answered");
        }
    };
    // Messages out: responses, and requests of ours.
    let sending = async {
        while let Some(frame) = responses.next().await {
            let TransportFrame::Single(message) = frame else { continue };
            let answered = match &message {
                RpcMessage::Response(RpcResponse::Result { id, .. } | RpcResponse::Error { id, .. }) => {
                    server.after_responses.take(id)
                }
                _ => None,
            };
            outbox.push(Line::Message(Box::new(message)));
            if let Some(then) = answered {
                then();
            }
        }
    };
    let (ended, (), ()) = tokio::join!(connection, receiving, sending);
    server.shut_down().await;
    ended.map_err(|error| ServeError::Connection(error.message))
}

/// Where the crate hands over messages, one at a time. It must never wait for anything.
struct Front(Arc<Server>);

impl HandleDispatchFrom<ClientRole> for Front {
    fn handle_dispatch_from(
        &mut self,
        message: Dispatch,
        connection: Connection,
    ) -> impl Future<Output = Result<Handled<Dispatch>, RpcError>> + Send {
        let handled = match message {
            Dispatch::Request(request, responder) => {
                let (method, params) = request.into_parts();
                self.0.request(&method, params, responder, &connection).map(|()| Handled::Yes)
            }
            Dispatch::Notification(notification) => {
                let (method, params) = notification.into_parts();
                self.0.notification(&method, &params);
                Ok(Handled::Yes)
            }
            // The crate itself brings responses to those who wait for them.
            response @ Dispatch::Response(..) => Ok(Handled::No { message: response, retry: false }),
        };
        std::future::ready(handled)
    }

    fn describe_chain(&self) -> impl std::fmt::Debug {
        "crow"
    }
}

/// What is to happen once a response is on its way, by the id of its request.
#[derive(Default)]
pub(super) struct AfterResponses(Mutex<HashMap<Id, Box<dyn FnOnce() + Send>>>);

impl AfterResponses {
    /// Does `then` when the response to the request `id` is in the outbox. It must not wait for anything.
    pub(super) fn insert(&self, id: &Id, then: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Box::new(then));
    }

    fn take(&self, id: &Id) -> Option<Box<dyn FnOnce() + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}
