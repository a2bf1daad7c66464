//! The plugin `permissions`: before Crow writes, executes or leaves the workspace, it asks.
//!
//! What a call needs leave for comes from its preview ([`crow_acp::Access`]). How much is asked is the session's mode:
//! `ask`, `accept-edits`, `plan` or `full`. What the user allows or rules out for good is kept for the project in
//! `CROW_HOME/permissions.json`.
#![forbid(unsafe_code)]

mod command;
mod need;
mod path;
mod policy;
mod rule;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use crow_acp::{
    Access, Agent, AskError, Choice, ChoiceKind, Config, ConfigError, CrowHooks, Mode, Notice, Permission, Question,
    Session, Severity, ToolCall, ToolContent, ToolPreview, hookimpls,
};

use crate::need::{Need, Workspace};
use crate::policy::{Level, Verdict, judge};
use crate::rule::{Rule, Rules};
use crate::store::{Always, Store, StoreError};

/// How often a question under way looks whether the mode has made it needless.
const MODE_CHECK: Duration = Duration::from_millis(50);

/// Decides which tool calls may run, and asks the user about the rest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Permissions;

/// The plugin, for hosts.
pub fn plugin() -> Permissions {
    Permissions
}

/// The section `[plugins.permissions]`: there is nothing to configure, so that every key is a mistake.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

/// Kept on a session that was told already that nobody is there to ask.
struct Told;

#[hookimpls(name = "permissions")]
impl CrowHooks for Permissions {
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        config.plugin::<Settings>("permissions").map(drop)
    }

    fn register_modes(&self) -> Vec<Mode> {
        vec![
            Mode::new("ask", "Ask", "Asks before anything is changed or run, and before the workspace is left"),
            Mode::new("accept-edits", "Accept edits", "Changes files of the workspace without asking"),
            Mode::new("plan", "Plan", "Only reads: nothing is changed or run"),
            Mode::new(
                "full",
                "Full access",
                "Asks only about what decides about later runs, and about local addresses",
            ),
        ]
    }

    /// Decides. An error denies the call: the loop fails closed.
    async fn request_permission(
        &self,
        agent: &Agent,
        session: &Session,
        call: &ToolCall,
    ) -> Result<Permission, PermissionError> {
        let preview = session.preview(&call.id);
        let read_only = preview.is_some() && session.tool(&call.name).is_some_and(|tool| tool.read_only);
        let preview = preview.unwrap_or_else(|| ToolPreview::new(call.name.clone()));
        Case::new(agent, session, call, preview, read_only).await?.decide().await
    }
}

/// Why a call could not be decided on; it is denied.
#[derive(Debug, thiserror::Error)]
enum PermissionError {
    #[error("the rules about permissions cannot be read: {0}")]
    Rules(#[from] StoreError),
    #[error("permissions could not be decided: {0}")]
    Crashed(#[from] tokio::task::JoinError),
}

/// One call and all that decides about it.
struct Case<'a> {
    agent: &'a Agent,
    session: &'a Session,
    call: &'a ToolCall,
    preview: ToolPreview,
    needs: Vec<Need>,
    rules: Rules,
    workspace: Workspace,
    store: Store,
    project: PathBuf,
}

impl<'a> Case<'a> {
    async fn new(
        agent: &'a Agent,
        session: &'a Session,
        call: &'a ToolCall,
        preview: ToolPreview,
        read_only: bool,
    ) -> Result<Self, PermissionError> {
        let config = session.config();
        let project = config.project().unwrap_or(session.cwd()).to_owned();
        let store = Store::new(config.home());
        let look = Look {
            roots: session.roots(),
            home: config.home().to_owned(),
            access: preview.access.clone(),
            read_only,
            store: store.clone(),
            project: project.clone(),
        };
        // Links are resolved and the rules are read from disk, which may be slow.
        let (workspace, needs, rules) = tokio::task::spawn_blocking(move || look.around()).await??;
        Ok(Self { agent, session, call, preview, needs, rules, workspace, store, project })
    }

    async fn decide(&self) -> Result<Permission, PermissionError> {
        loop {
            let mode = self.session.mode();
            let level = Level::of_mode(mode.as_deref());
            let (remarks, rules) = match judge(level, &self.call.name, &self.needs, &self.rules, &self.workspace) {
                Verdict::Allow => return Ok(Permission::Allow),
                Verdict::Deny(reason) => return Ok(Permission::Deny { reason }),
                Verdict::Ask { remarks, rules } => (remarks, rules),
            };
            let question = self.question(&remarks, &rules);
            tokio::select! {
                answer = self.agent.ask(self.session, question) => return self.settle(answer, &rules).await,
                // Dropping the question withdraws it; then the new mode decides.
                () = self.mode_has_changed(mode.as_deref()) => {}
            }
        }
    }

    /// Resolves when the session is in another mode than `asked_in`.
    async fn mode_has_changed(&self, asked_in: Option<&str>) {
        while self.session.mode().as_deref() == asked_in {
            tokio::time::sleep(MODE_CHECK).await;
        }
    }

    fn question(&self, remarks: &[String], rules: &[Rule]) -> Question {
        let title = match remarks {
            [] => self.preview.title.clone(),
            remarks => format!("{} ({})", self.preview.title, remarks.join("; ")),
        };
        let always = rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let mut choices = vec![Choice::new("allow_once", "Allow", ChoiceKind::AllowOnce)];
        if !rules.is_empty() {
            let name = format!("Always allow {always} in this project");
            choices.push(Choice::new("allow_always", name, ChoiceKind::AllowAlways));
        }
        choices.push(Choice::new("reject_once", "Reject", ChoiceKind::RejectOnce));
        if !rules.is_empty() {
            let name = format!("Always reject {always} in this project");
            choices.push(Choice::new("reject_always", name, ChoiceKind::RejectAlways));
        }
        let mut content = self.preview.content.clone();
        if content.is_empty() {
            // What will run is to be seen even where a client shortens titles.
            let commands = self.preview.access.iter().filter_map(|access| match access {
                Access::Execute { command } => Some(ToolContent::text(fenced(command))),
                _ => None,
            });
            content.extend(commands);
        }
        Question::new(&self.call.id, title, choices).content(content)
    }

    async fn settle(&self, answer: Result<String, AskError>, rules: &[Rule]) -> Result<Permission, PermissionError> {
        match answer.as_deref() {
            Ok("allow_once") => Ok(Permission::Allow),
            Ok("allow_always") if !rules.is_empty() => {
                self.remember(Always::Allow, rules).await?;
                Ok(Permission::Allow)
            }
            Ok("reject_always") if !rules.is_empty() => {
                self.remember(Always::Deny, rules).await?;
                Ok(rejected())
            }
            Ok(_) => Ok(rejected()),
            Err(AskError::Cancelled) => {
                // In ACP a cancelled question means a cancelled run, not a "no". The loop drops this call.
                self.session.cancel();
                Ok(Permission::Deny { reason: "cancelled by the user".into() })
            }
            Err(AskError::NoClient) => Ok(self.nobody_there()),
            Err(error) => Ok(Permission::Deny { reason: format!("the user could not be asked: {error}") }),
        }
    }

    fn nobody_there(&self) -> Permission {
        let title = &self.preview.title;
        if self.session.get::<Told>().is_none() {
            self.session.insert(Told);
            let way_out = if self.needs.iter().any(Need::is_always_asked) {
                "this is asked about in every mode"
            } else {
                "to allow it, start with `--permission accept-edits` or `--permission full`"
            };
            let notice = format!("`{title}` was not allowed, because nobody is there to ask; {way_out}");
            self.session.notify(Notice::new(Severity::Warning, notice));
        }
        let mode = self.session.mode().unwrap_or_else(|| "ask".into());
        let reason = format!(
            "`{title}` needs the user's permission in the mode `{mode}`, and nobody is there to ask. Go on without it, \
             and say in your answer what could not be done"
        );
        Permission::Deny { reason }
    }

    /// Keeps rules for the project. If that fails the answer counts this once, and the user is told.
    async fn remember(&self, always: Always, rules: &[Rule]) -> Result<(), PermissionError> {
        let (store, project, rules) = (self.store.clone(), self.project.clone(), rules.to_vec());
        let kept = tokio::task::spawn_blocking(move || store.remember(&project, always, &rules)).await?;
        if let Err(error) = kept {
            tracing::warn!(%error, "a permission could not be remembered");
            let notice = format!("the answer counts this once, it could not be remembered: {error}");
            self.session.notify(Notice::new(Severity::Warning, notice));
        }
        Ok(())
    }
}

fn rejected() -> Permission {
    let reason = "the user rejected this call. Don't try to reach the same by other means: go on without it, or ask what \
                  they want instead";
    Permission::Deny { reason: reason.into() }
}

/// What has to be looked up on disk for a decision.
struct Look {
    roots: Vec<PathBuf>,
    home: PathBuf,
    access: Vec<Access>,
    read_only: bool,
    store: Store,
    project: PathBuf,
}

impl Look {
    fn around(self) -> Result<(Workspace, Vec<Need>, Rules), StoreError> {
        let workspace = Workspace::new(&self.roots, &self.home);
        let needs = workspace.needs(&self.access, self.read_only);
        // Most calls only read within the workspace, and need no rules.
        let rules = if needs.is_empty() { Rules::default() } else { self.store.rules(&self.project)? };
        Ok((workspace, needs, rules))
    }
}

/// Text as a Markdown block; the fence is longer than any in the text.
fn fenced(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}sh\n{text}\n{fence}")
}
