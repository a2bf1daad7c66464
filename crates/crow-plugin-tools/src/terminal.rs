//! The tool `terminal`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crow_acp::{
    Access, BoxFuture, Client, ClientCommand, ToolCall, ToolContent, ToolContext, ToolDescriptor, ToolError,
    ToolHandler, ToolKind, ToolOutcome, ToolPreview, ToolProgress,
};
use serde::Deserialize;
use serde_json::json;

use crate::bounds::Bounded;
use crate::context::{Context, failed, headline, preview_of};
use crate::files;
use crate::options::{Options, TerminalOwner};
use crate::screen::Screen;
use crate::shell::{End, Shell, ShellOptions, first_program};
use crate::state::{Sessions, Terminal};

/// Live output is handed on in packets at most this often …
const PACE: Duration = Duration::from_millis(30);

/// … of at most so many bytes …
const PACKET: usize = 16 << 10;

/// … and of one command no more than this: the result has head and tail of everything.
const MOST_LIVE: usize = 1 << 20;

#[derive(Debug, Deserialize)]
pub(crate) struct Arguments {
    pub(crate) command: String,
    timeout_seconds: Option<u64>,
}

impl Arguments {
    /// The limit that applies, and whether it is less than what was asked for.
    pub(crate) fn limit(&self, options: &Options) -> (Duration, bool) {
        let asked = self.timeout_seconds.unwrap_or(options.timeout_seconds).max(1);
        (Duration::from_secs(asked.min(options.max_timeout_seconds)), asked > options.max_timeout_seconds)
    }
}

pub(crate) fn tool(sessions: Arc<Sessions>) -> ToolDescriptor {
    let schema = json!({
        "type": "object",
        "properties": {
            "command": { "type": "string", "description": "The command line, or several" },
            "timeout_seconds": { "type": "integer", "minimum": 1, "description": "End the command after so long" }
        },
        "required": ["command"]
    });
    let description = "Runs a command in a shell that stays open for the session: its directory, its variables and what it \
                       runs in the background are still there at the next call. Nobody can type: input is always at its \
                       end. A command that takes too long is ended, and the shell with it.";
    ToolDescriptor::new("terminal", description, schema, RunCommand { sessions }).kind(ToolKind::Execute)
}

struct RunCommand {
    sessions: Arc<Sessions>,
}

impl ToolHandler for RunCommand {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async move { preview_of("Run a command", preview(cx, call).await) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async move {
            let cx = Context::<Arguments>::new(cx, call).await?;
            let client =
                cx.tool.agent.client().filter(|client| {
                    cx.options.terminal == TerminalOwner::Client && client.info().capabilities.terminals
                });
            if let Some(client) = client {
                return theirs(&cx, &*client).await;
            }
            let terminal = self.sessions.terminal(cx.tool.session.id());
            run(&cx, &terminal).await
        })
    }
}

async fn preview(cx: &ToolContext, call: &ToolCall) -> Result<ToolPreview, ToolError> {
    let command = Context::<Arguments>::new(cx, call).await?.arguments.command;
    Ok(ToolPreview::new(format!("`{}`", headline(&command))).access(Access::Execute { command }))
}

async fn run(cx: &Context<'_, Arguments>, terminal: &Terminal) -> Result<ToolOutcome, ToolError> {
    let Context { tool, arguments, options, .. } = cx;
    let is_live = tool.agent.client().is_some_and(|client| client.info().capabilities.terminal_output);
    let mut shell = match terminal.take() {
        Some(shell) => shell,
        None => start(options, terminal, cx, is_live)?,
    };
    let cwd = shell.cwd().to_owned();
    tool.progress(ToolProgress::TerminalStarted { command: arguments.command.clone(), cwd: cwd.clone() });

    let (limit, is_less) = arguments.limit(options);
    let mut output = Output { screen: Screen::default(), lines: cx.output(), live: Live::new(tool, is_live) };
    let end = shell.run(&arguments.command, limit, |text| output.push(text)).await.map_err(failed)?;
    let text = output.finish();

    let mut notes = Vec::new();
    let mut exit_code = None;
    match end {
        End::Finished { code } => {
            terminal.keep(shell);
            exit_code = Some(code);
            if code != 0 {
                notes.push(format!("exit code {code}"));
            }
            let now = terminal.cwd(&cwd);
            if now != cwd {
                notes.push(format!("the working directory of the shell is now {}", now.display()));
            }
        }
        End::ShellGone { code, signal } => {
            exit_code = code;
            notes.push(match (code, signal) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("ended by signal {signal}"),
                (None, None) => "the shell is gone".to_owned(),
            });
            notes.push(format!("the shell ended with it; the next command gets a new one in {}", cwd.display()));
        }
        End::TimedOut => {
            let configured = if is_less { " (the longest limit that is configured)" } else { "" };
            notes.push(format!("ended: it took longer than {} s{configured}", limit.as_secs()));
            notes.push(format!("the shell ended with it; the next command gets a new one in {}", cwd.display()));
        }
    }
    let notes = files::notes(notes.iter().map(|note| Some(note.as_str())));
    Ok(outcome(cx, cwd, text, &notes, exit_code))
}

fn start(
    options: &Options,
    terminal: &Terminal,
    cx: &Context<'_, Arguments>,
    escapes: bool,
) -> Result<Shell, ToolError> {
    let cwd = terminal.cwd(cx.tool.session.cwd());
    Shell::start(&ShellOptions { program: program(options), cwd, escapes }).map_err(failed)
}

/// The shell and its arguments.
fn program(options: &Options) -> Vec<String> {
    let usual = || vec![first_program(&["bash", "sh"]).unwrap_or_else(|| "/bin/sh".to_owned())];
    options.shell.clone().unwrap_or_else(usual)
}

/// Runs a command in a terminal of the client's: a shell of its own for each, in the session's directory.
async fn theirs(cx: &Context<'_, Arguments>, client: &dyn Client) -> Result<ToolOutcome, ToolError> {
    let Context { tool, arguments, options, .. } = cx;
    let mut words = program(options).into_iter();
    let program = words.next().unwrap_or_default();
    let args = words.chain(["-c".to_owned(), arguments.command.clone()]).collect();
    let mut command = ClientCommand::new(&tool.call_id, program, args, tool.session.cwd());
    let (limit, _) = arguments.limit(options);
    command.time_limit = limit;
    let end = client.run_command(&tool.session, command).await.map_err(failed)?;
    let mut screen = Screen::default();
    let mut output = cx.output();
    output.push(&screen.push(&end.output));
    output.push(&screen.finish());
    let text = output.finish();
    let notes = [
        end.truncated.then(|| "the beginning of the output is missing".to_owned()),
        end.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}")),
        end.signal.map(|signal| format!("ended by signal {signal}")),
        end.timed_out.then(|| format!("ended: it took longer than {} s", limit.as_secs())),
    ];
    let notes = files::notes(notes.iter().map(Option::as_deref));
    Ok(outcome(cx, tool.session.cwd().to_owned(), text, &notes, end.exit_code))
}

/// The result of a command.
fn outcome(
    cx: &Context<'_, Arguments>,
    cwd: PathBuf,
    output: String,
    notes: &str,
    exit_code: Option<i32>,
) -> ToolOutcome {
    let model = format!("{}{notes}", output.trim_end_matches('\n'));
    let model = if model.is_empty() { "[no output]".to_owned() } else { model.trim_start_matches('\n').to_owned() };
    let outcome = if exit_code == Some(0) { ToolOutcome::ok(model) } else { ToolOutcome::failed(model) };
    let command = cx.arguments.command.clone();
    outcome.content(ToolContent::Terminal { command, cwd, output, exit_code })
}

/// Where the output of a command goes.
struct Output<'a> {
    screen: Screen,
    lines: Bounded,
    live: Live<'a>,
}

impl Output<'_> {
    fn push(&mut self, text: &str) {
        let lines = self.screen.push(text);
        self.live.push(if self.live.escapes { text } else { &lines });
        self.lines.push(&lines);
    }

    fn finish(mut self) -> String {
        let rest = self.screen.finish();
        if !self.live.escapes {
            self.live.push(&rest);
        }
        self.live.flush();
        self.lines.push(&rest);
        self.lines.finish()
    }
}

/// Output on its way to the user while the command runs.
struct Live<'a> {
    tool: &'a ToolContext,
    /// Whether the client understands escape sequences; if not it gets lines.
    escapes: bool,
    pending: String,
    sent: usize,
    last: Option<Instant>,
}

impl<'a> Live<'a> {
    fn new(tool: &'a ToolContext, escapes: bool) -> Self {
        Self { tool, escapes, pending: String::new(), sent: 0, last: None }
    }

    fn push(&mut self, text: &str) {
        if self.sent > MOST_LIVE {
            return;
        }
        self.pending.push_str(text);
        if self.pending.len() >= PACKET || self.last.is_none_or(|last| last.elapsed() >= PACE) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.pending);
        if text.is_empty() || self.sent > MOST_LIVE {
            return;
        }
        self.sent += text.len();
        self.last = Some(Instant::now());
        self.tool.progress(ToolProgress::TerminalOutput(text));
        if self.sent > MOST_LIVE {
            let note = "\n[… there is more; the end is shown when the command is done …]\n";
            self.tool.progress(ToolProgress::TerminalOutput(note.to_owned()));
        }
    }
}
