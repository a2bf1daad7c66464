//! `session/prompt`: one run, and how its end is told.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::errors;
use super::order::Place;
use super::params::Params;
use super::port::schema::{self, PromptResponse};
use super::port::{RequestCancellation, Responder, RpcError};
use super::requests::Server;
use crate::answers::{RunOutcome, StopReason};
use crate::message::Message;
use crate::session::Session;

impl Server {
    pub(super) async fn prompt(
        self: Arc<Self>,
        mut params: Params,
        session_id: String,
        responder: Responder,
        mut place: Place,
    ) {
        let request = responder.cancellation();
        let message = params.text("sessionId").map(drop).and_then(|()| params.prompt());
        place.comes().await;
        place.started();
        let answer = match message {
            Ok(message) => {
                place.prompts_answered().await;
                match self.agent.session(&session_id) {
                    Some(session) => self.run(&session, message, &request, &place).await,
                    None => Err(errors::no_session(&session_id)),
                }
            }
            Err(error) => Err(error),
        };
        // The next prompt of the session begins when this answer is on its way: its updates must not overtake it.
        self.after_responses.insert(responder.raw_id(), move || drop(place));
        let answer = answer.map(PromptResponse::new);
        if let Err(error) = responder.cast().respond_with_result(answer) {
            tracing::debug!(%error, "a response could not be sent");
        }
    }

    /// Runs the prompt; `session/cancel` and `$/cancel_request` end it, as a run that was cancelled and not as an error.
    async fn run(
        &self,
        session: &Session,
        message: Message,
        request: &RequestCancellation,
        place: &Place,
    ) -> Result<schema::StopReason, RpcError> {
        if request.is_cancelled() || place.cancellation().is_cancelled() {
            return Ok(schema::StopReason::Cancelled);
        }
        let token: CancellationToken = session.cancellation().child_token();
        let run = self.agent.prompt_cancellable(session, message, token.clone());
        let mut run = std::pin::pin!(run);
        let outcome = tokio::select! {
            outcome = &mut run => outcome,
            () = async { tokio::select! {
                () = request.cancelled() => {}
                () = place.cancellation().cancelled() => {}
            } } => {
                token.cancel();
                run.await
            }
        };
        self.told(&outcome)
    }

    /// What the client is answered. The run itself has shown the user what went wrong, and why something was refused.
    fn told(&self, outcome: &RunOutcome) -> Result<schema::StopReason, RpcError> {
        let stop_reason = match outcome.stop_reason {
            StopReason::EndTurn => schema::StopReason::EndTurn,
            StopReason::MaxTokens => schema::StopReason::MaxTokens,
            StopReason::MaxTurnRequests => schema::StopReason::MaxTurnRequests,
            StopReason::Refusal => return Ok(schema::StopReason::Refusal),
            StopReason::Cancelled => return Ok(schema::StopReason::Cancelled),
        };
        match &outcome.error {
            None => Ok(stop_reason),
            // Nothing that a retry or another question could change.
            Some(_) if self.agent.providers().is_empty() => Err(errors::not_configured()),
            Some(error) => Err(errors::failed(error, self.agent.secrets())),
        }
    }
}
