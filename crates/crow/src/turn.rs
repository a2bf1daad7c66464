//! One prompt, from sending it to its end: what `crow run` and `crow demo` have in common.

use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use agent_client_protocol::v1::Responder;
use agent_client_protocol::v1::schema::{
    PermissionOption, PermissionOptionKind, RequestPermissionOutcome, RequestPermissionRequest,
    RequestPermissionResponse, SelectedPermissionOutcome, SessionId, StopReason,
};
use tokio::sync::oneshot;

use crate::client::{Connection, News, reason};
use crate::exit::Exit;
use crate::render::Style;
use crate::show::{Show, TraceTo};
use crate::signals::Interrupts;
use crate::trace::Order;

/// How often the status line moves.
const TICK: Duration = Duration::from_millis(200);

/// Who answers when a tool asks for permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answers {
    /// The person at the terminal.
    Person,
    /// Nobody: everything asked is refused, in this mode.
    Nobody {
        /// The mode, as `--permission` calls it.
        mode: String,
    },
}

/// How a prompt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// What the process should end with.
    pub(crate) exit: Exit,
    /// The stop reason as ACP writes it, or `error`.
    pub(crate) stop: String,
    /// Why, if it failed.
    pub(crate) error: Option<String>,
}

/// A question on its way to an answer.
type Asked = (Box<RequestPermissionRequest>, Responder<RequestPermissionResponse>);

/// Sends a prompt and shows what happens until it is over.
pub(crate) async fn run(
    connection: &mut Connection,
    session: &SessionId,
    prompt: String,
    show: &mut Show,
    answers: &Answers,
    trace: TraceTo,
    interrupts: &mut Interrupts,
) -> Ended {
    let mut running = Box::pin(connection.prompt(session, prompt));
    let mut questions: VecDeque<Asked> = VecDeque::new();
    let mut answer: Option<oneshot::Receiver<String>> = None;
    let mut tick = tokio::time::interval(TICK);
    let mut cancelled = false;
    let mut order = Order::default();
    let response = loop {
        tokio::select! {
            biased;
            () = interrupts.next() => {
                if cancelled {
                    // The first one was heard; whoever presses again does not want to wait.
                    show.end("cancelled", None, Exit::Cancelled);
                    std::process::exit(Exit::Cancelled as i32);
                }
                cancelled = true;
                connection.cancel(session);
                answer = None;
                for (_, responder) in questions.drain(..) {
                    let _ = responder.respond(RequestPermissionResponse::new(RequestPermissionOutcome::Cancelled));
                }
                show.note(Style::Warn, "cancelling: what was done is kept; Ctrl-C again to quit at once");
            }
            Some(news) = connection.news.recv() => match news {
                News::Update(update) => {
                    show.update(&update.update);
                    order.updated().iter().for_each(|fired| show.hook(fired, trace));
                }
                News::Hook(fired) => order.fired(fired).iter().for_each(|fired| show.hook(fired, trace)),
                News::Permission(request, responder) => match answers {
                    Answers::Nobody { mode } => {
                        show.refused(&request, &refusal(mode));
                        let _ = responder.respond(choose(&request.options, PermissionOptionKind::RejectOnce));
                    }
                    Answers::Person => {
                        if questions.is_empty() {
                            answer = Some(ask(show, &request));
                        }
                        questions.push_back((request, responder));
                    }
                },
            },
            typed = given(&mut answer) => {
                if let Show::People(conversation) = show {
                    conversation.screen().typed();
                }
                if let Some((request, responder)) = questions.pop_front() {
                    let kind = meaning(&typed);
                    let _ = responder.respond(choose(&request.options, kind));
                }
                answer = questions.front().map(|(request, _)| ask(show, request));
            }
            response = &mut running => break response,
            _ = tick.tick() => {
                order.give_up().iter().for_each(|fired| show.hook(fired, trace));
                if answer.is_none() {
                    show.tick();
                }
                if !cancelled && show.is_broken() {
                    // Nobody reads what we write: as good as Ctrl-C.
                    cancelled = true;
                    connection.cancel(session);
                }
            }
        }
    };
    // Every update was queued before the response was.
    while let Ok(news) = connection.news.try_recv() {
        match news {
            News::Update(update) => {
                show.update(&update.update);
                order.updated().iter().for_each(|fired| show.hook(fired, trace));
            }
            News::Hook(fired) => order.fired(fired).iter().for_each(|fired| show.hook(fired, trace)),
            News::Permission(..) => {}
        }
    }
    order.give_up().iter().for_each(|fired| show.hook(fired, trace));
    let ended = match response {
        Err(error) if cancelled => {
            Ended { exit: Exit::Cancelled, stop: "cancelled".into(), error: Some(reason(&error)) }
        }
        Err(error) => Ended { exit: Exit::Failed, stop: "error".into(), error: Some(reason(&error)) },
        Ok(response) => stopped(response.stop_reason),
    };
    show.end(&ended.stop, ended.error.as_deref(), ended.exit);
    ended
}

/// What was typed; nothing ever while nobody is asked.
async fn given(answer: &mut Option<oneshot::Receiver<String>>) -> String {
    match answer {
        // A reader that is gone has read no yes.
        Some(answer) => answer.await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

fn stopped(reason: StopReason) -> Ended {
    let (exit, stop, error) = match reason {
        StopReason::EndTurn => (Exit::Done, "end_turn", None),
        StopReason::Cancelled => (Exit::Cancelled, "cancelled", None),
        StopReason::MaxTokens => {
            (Exit::Failed, "max_tokens", Some("the model reached its output limit before it was done"))
        }
        StopReason::MaxTurnRequests => {
            (Exit::Failed, "max_turn_requests", Some("the run reached its limit of turns before it was done"))
        }
        StopReason::Refusal => (Exit::Failed, "refusal", Some("the prompt was refused")),
        _ => (Exit::Failed, "unknown", Some("the run ended for a reason this version does not know")),
    };
    Ended { exit, stop: stop.into(), error: error.map(str::to_owned) }
}

/// Why nobody is asked, and what would have allowed the call.
fn refusal(mode: &str) -> String {
    match mode {
        "plan" => "refused: in plan mode nothing is changed".to_owned(),
        "full" => "refused: this is asked in every mode, and nobody can be asked here (no terminal)".to_owned(),
        _ => format!(
            "refused: --permission {mode} does not allow it, and nobody can be asked here (no terminal); \
             a wider --permission might allow it: `crow run --help`"
        ),
    }
}

/// Puts a question on the terminal and waits for a line beside everything else.
fn ask(show: &mut Show, request: &RequestPermissionRequest) -> oneshot::Receiver<String> {
    if let Show::People(conversation) = show {
        conversation.about(&request.tool_call);
        let screen = conversation.screen();
        let palette = screen.palette();
        let always = request.options.iter().find(|option| option.kind == PermissionOptionKind::AllowAlways);
        let always = always
            .map(|option| format!("  {} {}", palette.paint(Style::Bold, "a"), option.name.replace('`', "")))
            .unwrap_or_default();
        let yes = palette.paint(Style::Bold, "y");
        let no = palette.paint(Style::Bold, "n");
        screen.write(&format!("  {} {yes} yes{always}  {no} no › ", palette.paint(Style::Warn, "Allow?")));
    }
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: a pending read must not keep the runtime from going down.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        // The end of the input is no yes.
        let _ = sender.send(if read.is_ok() { line } else { String::new() });
    });
    receiver
}

/// What was typed, as a kind of answer. Everything that is not clearly a yes is a no.
fn meaning(typed: &str) -> PermissionOptionKind {
    match typed.trim().to_lowercase().as_str() {
        "y" | "yes" => PermissionOptionKind::AllowOnce,
        "a" | "always" => PermissionOptionKind::AllowAlways,
        _ => PermissionOptionKind::RejectOnce,
    }
}

/// The answer of a kind; if it is not offered, the nearest on the same side, a no at worst.
fn choose(options: &[PermissionOption], kind: PermissionOptionKind) -> RequestPermissionResponse {
    use PermissionOptionKind::{AllowAlways, AllowOnce, RejectAlways, RejectOnce};
    let sides: &[PermissionOptionKind] = match kind {
        AllowOnce => &[AllowOnce],
        AllowAlways => &[AllowAlways, AllowOnce],
        RejectAlways => &[RejectAlways, RejectOnce],
        _ => &[RejectOnce, RejectAlways],
    };
    let option = sides.iter().find_map(|kind| options.iter().find(|option| option.kind == *kind));
    RequestPermissionResponse::new(option.map_or(RequestPermissionOutcome::Cancelled, |option| {
        RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(option.option_id.clone()))
    }))
}

/// Whether a person can be asked: both ends of the conversation are a terminal.
pub(crate) fn person_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Writes to standard error what a command ends with.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for typed in ["", "\n", "n", "yeah", "no", "q", "1"] {
            assert_eq!(meaning(typed), PermissionOptionKind::RejectOnce, "{typed:?}");
        }
        assert_eq!(meaning(" Y\n"), PermissionOptionKind::AllowOnce);
        assert_eq!(meaning("always"), PermissionOptionKind::AllowAlways);
    }

    #[test]
    fn a_yes_is_never_more_than_was_offered_and_a_no_never_becomes_one() {
        let once = PermissionOption::new("1", "Allow", PermissionOptionKind::AllowOnce);
        let chosen = |options: &[PermissionOption], kind| match choose(options, kind).outcome {
            RequestPermissionOutcome::Selected(selected) => selected.option_id.to_string(),
            _ => "cancelled".to_owned(),
        };
        assert_eq!(chosen(std::slice::from_ref(&once), PermissionOptionKind::AllowAlways), "1");
        assert_eq!(chosen(&[once], PermissionOptionKind::RejectOnce), "cancelled");
        let always = PermissionOption::new("2", "Always", PermissionOptionKind::AllowAlways);
        assert_eq!(chosen(&[always], PermissionOptionKind::AllowOnce), "cancelled");
    }
}
