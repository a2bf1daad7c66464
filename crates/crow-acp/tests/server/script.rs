//! One plugin that is everything the server needs: a model that does what the prompt says, a tool, a store in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crow_acp::*;
use serde_json::{Value, json};

#[derive(Default)]
pub struct Script {
    store: Mutex<BTreeMap<String, SessionRecord>>,
    /// Says so at `on_session_start`, before the client knows the session.
    noisy: bool,
    without_model: bool,
}

impl Script {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn noisy() -> Self {
        Self { noisy: true, ..Self::default() }
    }

    pub fn without_model() -> Self {
        Self { without_model: true, ..Self::default() }
    }
}

/// Does what the last thing the user said tells it to.
struct Scripted;

impl Provider for Scripted {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(async move {
            let lost = |error: DeltaRefused| ProviderError::new(ProviderErrorKind::Protocol, error.to_string());
            let last = request.messages.last().expect("a message");
            let done = Completion::new(Finish::Stop, Some(Usage::new(100, 5)));
            if last.role == Role::Tool {
                deltas.push(Delta::text("done")).await.map_err(lost)?;
                return Ok(done);
            }
            let text = last.text();
            let (what, rest) = text.split_once(' ').unwrap_or((&text, ""));
            match what {
                "think" => {
                    deltas.push(Delta::thought("Hm. ")).await.map_err(lost)?;
                    deltas.push(Delta::text(rest)).await.map_err(lost)?;
                }
                "wait" => {
                    deltas.push(Delta::text("begun")).await.map_err(lost)?;
                    std::future::pending::<()>().await;
                }
                "count" => {
                    for n in 0..rest.parse().unwrap() {
                        deltas.push(Delta::text(format!("{n} "))).await.map_err(lost)?;
                    }
                }
                "fail" => return Err(ProviderError::new(ProviderErrorKind::Server, rest)),
                "busy" => {
                    let error = ProviderError::new(ProviderErrorKind::RateLimit, "too many\nrequests").with_status(429);
                    return Err(error.with_retry_after(Some(Duration::from_secs(7))));
                }
                "lost" => {
                    return Err(
                        ProviderError::new(ProviderErrorKind::Authentication, "the key is wrong").with_status(401)
                    );
                }
                "poke" | "slow" => {
                    let id = format!("call-{}", request.messages.len());
                    let call = Delta::tool_call(0, Some(id), Some(what.into()), "{}");
                    deltas.push(call).await.map_err(lost)?;
                    return Ok(Completion::new(Finish::ToolCalls, Some(Usage::new(50, 5))));
                }
                _ => deltas.push(Delta::text(text.as_str())).await.map_err(lost)?,
            }
            Ok(done)
        })
    }
}

/// `poke` asks first, and shows the output of a command; `slow` never ends.
struct Tool;

impl ToolHandler for Tool {
    fn preview<'a>(&'a self, _: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move { ToolPreview::new(format!("Run {}", call.name)) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async move {
            cx.progress(ToolProgress::TerminalStarted { command: call.name.clone(), cwd: "/".into() });
            cx.progress(ToolProgress::TerminalOutput("out\n".into()));
            if call.name == "slow" {
                std::future::pending::<()>().await;
            }
            let content = ToolContent::Terminal {
                command: call.name.clone(),
                cwd: "/".into(),
                output: "out\n".into(),
                exit_code: Some(0),
            };
            Ok(ToolOutcome::ok("poked").content(content))
        })
    }
}

struct Greet;

impl CommandHandler for Greet {
    fn run<'a>(
        &'a self,
        _: &'a Agent,
        _: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move { Ok(CommandReply::Text(format!("hello {}", call.arguments))) })
    }
}

#[hookimpls]
impl CrowHooks for Script {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        if self.without_model {
            return Vec::new();
        }
        let models = ["scripted", "other"].map(|name| Model::new(ModelId::new("test", name)));
        vec![ProviderDescriptor::new("test", models.to_vec(), Scripted)]
    }

    fn register_tools(&self) -> Vec<ToolDescriptor> {
        let tool =
            |name: &str| ToolDescriptor::new(name, "", json!({ "type": "object" }), Tool).kind(ToolKind::Execute);
        vec![tool("poke"), tool("slow")]
    }

    fn register_commands(&self) -> Vec<Command> {
        vec![Command::new("greet", "Says hello", Greet).hint("whom")]
    }

    fn register_modes(&self) -> Vec<Mode> {
        vec![Mode::new("ask", "Ask", "Asks first"), Mode::new("full", "Full", "Asks nothing")]
    }

    fn register_config_options(&self) -> Vec<ConfigOption> {
        let values = vec![OptionValue::new("low", "Low"), OptionValue::new("high", "High")];
        vec![ConfigOption::new("effort", "Effort", "low", values).category("thought_level")]
    }

    fn on_option_change(&self, option: &OptionChange) -> Result<(), String> {
        if option.to == "high" { Err("high is not for you".into()) } else { Ok(()) }
    }

    fn on_session_start(&self, session: &Session) {
        if self.noisy {
            session.notify(Notice::new(Severity::Warning, "said too early"));
        }
    }

    fn session_update(&self, update: &mut Update) {
        if let Update::AgentMessage { text, .. } = update {
            *text = text.replace("password", "********");
        }
    }

    fn before_prompt(&self, prompt: &mut Message) -> Result<(), String> {
        if prompt.text().contains("sk-") { Err("that looks like a secret key".into()) } else { Ok(()) }
    }

    async fn request_permission(
        &self,
        agent: &Agent,
        session: &Session,
        call: &ToolCall,
    ) -> Result<Permission, AskError> {
        if session.mode().as_deref() == Some("full") {
            return Ok(Permission::Allow);
        }
        let choices = vec![
            Choice::new("yes", "Yes", ChoiceKind::AllowOnce),
            Choice::new("always", "Always", ChoiceKind::AllowAlways),
            Choice::new("no", "No", ChoiceKind::RejectOnce),
        ];
        let answer = agent.ask(session, Question::new(&call.id, "Run poke", choices)).await?;
        Ok(if answer == "no" { Permission::Deny { reason: "the user said no".into() } } else { Permission::Allow })
    }

    fn record_event(&self, session: &Session, event: &Event) {
        let mut store = self.store.lock().unwrap();
        let record =
            store.entry(session.id().to_owned()).or_insert_with(|| SessionRecord::new(session.summary(), Vec::new()));
        record.summary = session.summary();
        record.events.push(event.clone());
    }

    fn load_session(&self, session_id: &str) -> Option<SessionRecord> {
        self.store.lock().unwrap().get(session_id).cloned()
    }

    fn fork_session(&self, session_id: &str, new_id: &str) -> Option<SessionRecord> {
        let mut store = self.store.lock().unwrap();
        let mut copy = store.get(session_id).cloned()?;
        copy.summary = SessionSummary::new(new_id, copy.summary.cwd, 1);
        copy.summary.parent = Some(session_id.to_owned());
        store.insert(new_id.to_owned(), copy.clone());
        Some(copy)
    }

    fn list_sessions(&self, query: &SessionQuery) -> Vec<SessionSummary> {
        let store = self.store.lock().unwrap();
        let mut summaries: Vec<SessionSummary> = store.values().map(|record| record.summary.clone()).collect();
        summaries.retain(|summary| query.cwd.as_ref().is_none_or(|cwd| *cwd == summary.cwd));
        summaries
    }

    fn delete_session(&self, session_id: &str) {
        self.store.lock().unwrap().remove(session_id);
    }

    async fn ext_method(&self, agent: &Agent, method: &str, params: &Value) -> Result<Option<Value>, AskError> {
        match method {
            "_test/echo" => Ok(Some(params.clone())),
            // A question that is about no tool call.
            "_test/ask" => {
                let session = agent.sessions().pop().expect("a session");
                let choices = vec![
                    Choice::new("yes", "Yes", ChoiceKind::AllowOnce),
                    Choice::new("no", "No", ChoiceKind::RejectOnce),
                ];
                let answer = agent.ask(&session, Question::new("question-1", "Really?", choices)).await?;
                Ok(Some(json!(answer)))
            }
            _ => Ok(None),
        }
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}
