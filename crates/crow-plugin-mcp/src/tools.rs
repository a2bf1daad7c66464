//! A server's tools, as tools of the agent.

use std::collections::HashSet;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crow_acp::{
    BoxFuture, Session, ToolCall, ToolContent, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolOutcome,
    ToolPreview, ToolProgress,
};
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CancelledNotification, CancelledNotificationParam, ClientRequest,
    ProgressNotificationParam, RequestId, ServerResult, Tool,
};
use rmcp::service::{Peer, PeerRequestOptions};
use serde_json::{Map, Value};

use crate::connection::{Connection, told};
use crate::handler::Listener;
use crate::hub::{Member, Rules};
use crate::{content, names, text};

/// How often a user is shown how far a call is.
const NEWS: Duration = Duration::from_millis(100);

/// The tools of a session's servers that answer now.
pub(crate) fn of(members: &[Member]) -> Vec<ToolDescriptor> {
    let mut taken = HashSet::new();
    let mut tools = Vec::new();
    for member in members {
        let Ok(connection) = &member.connection else { continue };
        let Some(lists) = connection.lists() else { continue };
        let is_wanted = |tool: &&Tool| {
            member.rules.tools.as_ref().is_none_or(|wanted| wanted.iter().any(|name| *name == tool.name))
        };
        for tool in lists.tools.iter().filter(is_wanted) {
            let name = names::for_model(&member.name, &tool.name, &mut taken);
            tools.push(descriptor(name, member, connection, tool));
        }
    }
    tools
}

fn descriptor(name: String, member: &Member, connection: &Arc<Connection>, tool: &Tool) -> ToolDescriptor {
    let handler = Remote {
        connection: Arc::clone(connection),
        tool: tool.name.to_string(),
        title: format!("{}: {}", member.name, text::short(tool.title.as_deref().unwrap_or(&tool.name))),
        rules: member.rules.clone(),
    };
    let description = tool.description.as_deref().unwrap_or_default();
    let descriptor = ToolDescriptor::new(name, description, schema(tool), handler);
    // What the server hints at decides nothing: it may say what it likes.
    if member.rules.read_only.iter().any(|name| *name == tool.name) { descriptor.read_only() } else { descriptor }
}

/// The schema of the arguments, with what every model wants to see in one.
fn schema(tool: &Tool) -> Value {
    let mut schema = (*tool.input_schema).clone();
    schema.insert("type".into(), "object".into());
    if !schema.get("properties").is_some_and(Value::is_object) {
        schema.insert("properties".into(), Map::new().into());
    }
    Value::Object(schema)
}

/// A tool of a server.
struct Remote {
    connection: Arc<Connection>,
    /// What the server calls it.
    tool: String,
    /// What the user sees.
    title: String,
    rules: Rules,
}

impl ToolHandler for Remote {
    fn preview<'a>(&'a self, _cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move {
            let preview = ToolPreview::new(self.title.clone());
            match &call.arguments {
                Value::Object(arguments) if !arguments.is_empty() => {
                    let arguments = serde_json::to_string_pretty(arguments).unwrap_or_default();
                    preview.content(ToolContent::text(format!("```json\n{arguments}\n```")))
                }
                _ => preview,
            }
        })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async move {
            let live = self.connection.ready().await.map_err(ToolError::new)?;
            let result = self.ask(&live.peer, cx, call).await?;
            let mut outcome = content::outcome(result);
            // What the user sees is what came, whole, unless it is endless.
            let whole = std::mem::take(&mut outcome.text);
            outcome.text = self.cut(&whole, cx).await;
            if !whole.is_empty() {
                outcome.content.insert(0, ToolContent::text(outcome.text.clone()));
            }
            Ok(outcome)
        })
    }
}

impl Remote {
    async fn ask(
        &self,
        peer: &Peer<RoleClient>,
        cx: &ToolContext,
        call: &ToolCall,
    ) -> Result<rmcp::model::CallToolResult, ToolError> {
        let failed = |what: &str| {
            let text = format!("the MCP server `{}`: {what}", self.connection.name());
            // Its last words may hold what it was given.
            ToolError::new(cx.agent.secrets().scrub(&text))
        };
        let mut params = CallToolRequestParams::new(self.tool.clone());
        if let Value::Object(arguments) = &call.arguments {
            params = params.with_arguments(arguments.clone());
        }
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let options = PeerRequestOptions::with_timeout(self.rules.call_timeout).reset_timeout_on_progress();
        let handle = peer.send_cancellable_request(request, options).await;
        let handle = handle.map_err(|error| failed(&told(&error)))?;
        let _news = self.connection.router.listen(handle.progress_token.clone(), news(cx, &self.title));
        let mut unanswered = Unanswered { peer: peer.clone(), id: Some(handle.id.clone()) };
        let answer = handle.await_response().await;
        unanswered.id = None;
        match answer {
            Ok(ServerResult::CallToolResult(result)) => Ok(result),
            Ok(_) => Err(failed("it answered with something that is no result of a tool")),
            Err(rmcp::ServiceError::TransportClosed) => {
                // Why it is gone is known a moment later.
                let why = match self.connection.phase() {
                    crate::connection::Phase::Failed(why) => why.to_string(),
                    _ => "it went away during the call; whether the call was done is not known".into(),
                };
                Err(failed(&why))
            }
            Err(error) => Err(failed(&told(&error))),
        }
    }

    /// What the model reads of a result; all of it is in a file if that is not everything.
    async fn cut(&self, whole: &str, cx: &ToolContext) -> String {
        if whole.len() <= self.rules.output_limit {
            return whole.to_owned();
        }
        let file = output_file(cx.agent.config().home(), &cx.session, &cx.call_id);
        let (path, content) = (file.clone(), whole.to_owned());
        let kept = tokio::task::spawn_blocking(move || keep(&path, &content)).await;
        let place = match kept {
            Ok(Ok(())) => format!("; the full text is in {}", file.display()),
            _ => String::new(),
        };
        text::head_and_tail(whole, self.rules.output_limit, |missing| {
            format!("{missing} of {} bytes left out here{place}", whole.len())
        })
    }
}

/// Where the full text of a long result goes: with those of the other tools, which are pruned together.
fn output_file(home: &Path, session: &Session, call: &str) -> PathBuf {
    let plain = |id: &str| -> String {
        id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(100).collect()
    };
    home.join("outputs").join(plain(session.id())).join(format!("{}.txt", plain(call)))
}

fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Shows the user how far a call is, now and then.
fn news(cx: &ToolContext, title: &str) -> Listener {
    struct Shown {
        at: Option<Instant>,
        progress: f64,
    }
    let (cx, title) = (cx.clone(), title.to_owned());
    let shown = Mutex::new(Shown { at: None, progress: f64::MIN });
    Arc::new(move |news: &ProgressNotificationParam| {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let is_last = news.total.is_some_and(|total| news.progress >= total);
        let is_soon = shown.at.is_some_and(|at| at.elapsed() < NEWS);
        // News may overtake each other on the way here.
        if news.progress <= shown.progress || (is_soon && !is_last) {
            return;
        }
        (shown.at, shown.progress) = (Some(Instant::now()), news.progress);
        cx.progress(ToolProgress::Title(format!("{title} ({})", how_far(news))));
        if let Some(message) = &news.message {
            cx.progress(ToolProgress::Content(vec![ToolContent::text(text::short(message))]));
        }
    })
}

fn how_far(news: &ProgressNotificationParam) -> String {
    match news.total {
        Some(total) if total > 0.0 => format!("{} of {total}", news.progress),
        _ => news.progress.to_string(),
    }
}

/// A call without an answer so far: if it is dropped the server is told that nobody waits for it any more.
struct Unanswered {
    peer: Peer<RoleClient>,
    id: Option<RequestId>,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let peer = self.peer.clone();
        runtime.spawn(async move {
            let about = CancelledNotificationParam::new(Some(id), Some("the user cancelled the call".into()));
            drop(peer.send_notification(CancelledNotification::new(about).into()).await);
        });
    }
}
