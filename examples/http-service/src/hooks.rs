//! The life of a request, as plugins see it.

use crow_hooks::hookspecs;

use crate::http::{Request, Response};

/// The hooks of the service, in the order in which they are called.
#[hookspecs(project = "http-service")]
pub trait Service {
    /// A request has come in. Change it, or refuse it with an error: the client gets `403` and the reason.
    async fn on_request(request: &mut Request);
    /// Answer the request. The first answer counts; if there is none the client gets `404`. Caches, time limits and
    /// the like wrap it.
    #[hookspec(firstresult, budget = "5s")]
    async fn handle(request: &Request) -> Response;
    /// The answer is about to go out: change it.
    async fn on_response(request: &Request, response: &mut Response);
    /// The answer is out. An observer that fails is reported and keeps nobody else from observing.
    #[hookspec(isolate)]
    async fn after_response(request: &Request, status: u16);
}
