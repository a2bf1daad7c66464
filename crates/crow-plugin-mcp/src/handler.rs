//! What servers ask and tell us: news of calls, changed lists, the workspace.
#![expect(deprecated, reason = "servers ask for the workspace by `roots/list`, deprecated or not")]

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::ClientHandler;
use rmcp::RoleClient;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ErrorData, Implementation, ListRootsResult, ProgressNotificationParam,
    ProgressToken, ProtocolVersion, Root, RootsCapabilities,
};
use rmcp::service::{NotificationContext, RequestContext};
use tokio::sync::Notify;
use url::Url;

/// How long to wait for the call that news is about: it may come before whoever made the call knows its token.
const EARLY: Duration = Duration::from_millis(50);

/// Whoever hears of a call's progress.
pub(crate) type Listener = Arc<dyn Fn(&ProgressNotificationParam) + Send + Sync>;

/// Where news of a connection goes.
#[derive(Default)]
pub(crate) struct Router {
    calls: Mutex<HashMap<ProgressToken, Listener>>,
    /// Told when tools or prompts changed.
    pub(crate) lists: Notify,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("calls", &self.calls().len()).finish_non_exhaustive()
    }
}

impl Router {
    /// Sends the progress of a call to `listener` until the guard goes.
    pub(crate) fn listen(self: &Arc<Self>, token: ProgressToken, listener: Listener) -> Listening {
        self.calls().insert(token.clone(), listener);
        Listening { router: Arc::clone(self), token }
    }

    fn listener(&self, token: &ProgressToken) -> Option<Listener> {
        self.calls().get(token).cloned()
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<ProgressToken, Listener>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, the progress of a call is listened to.
#[derive(Debug)]
pub(crate) struct Listening {
    router: Arc<Router>,
    token: ProgressToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.router.calls().remove(&self.token);
    }
}

/// Our side of a connection.
#[derive(Debug)]
pub(crate) struct Handler {
    router: Arc<Router>,
    /// The workspace, if the server may know.
    roots: Vec<PathBuf>,
}

impl Handler {
    pub(crate) fn new(router: Arc<Router>, roots: Vec<PathBuf>) -> Self {
        Self { router, roots }
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.roots = (!self.roots.is_empty()).then(RootsCapabilities::default);
        let us = Implementation::new("crow", env!("CARGO_PKG_VERSION")).with_title("Crow");
        ClientConfig::new(capabilities, us).with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        let roots = self.roots.iter().filter_map(|root| {
            let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
            let root = Root::new(Url::from_file_path(root).ok()?.to_string());
            Some(match name {
                Some(name) => root.with_name(name),
                None => root,
            })
        });
        Ok(ListRootsResult::new(roots.collect()))
    }

    async fn on_progress(&self, news: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        let mut listener = self.router.listener(&news.progress_token);
        if listener.is_none() {
            tokio::time::sleep(EARLY).await;
            listener = self.router.listener(&news.progress_token);
        }
        if let Some(listener) = listener {
            listener(&news);
        }
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.router.lists.notify_one();
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.router.lists.notify_one();
    }
}
