//! `/usage` and `/cost`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crow_acp::{Agent, BoxFuture, CommandCall, CommandError, CommandHandler, CommandReply, Session};

use crate::budget::Level;
use crate::ledger::{Ledger, Query, Since};
use crate::plugin::Inner;
use crate::report::{Figures, Report};
use crate::words::{counted, duration, grouped};

/// `/usage`.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) Arc<Inner>);

/// `/cost`.
#[derive(Debug)]
pub(crate) struct Cost(pub(crate) Arc<Inner>);

impl CommandHandler for Usage {
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        _call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let (own, today) = reports(&self.0, agent, session).await?;
            let window = session.model().and_then(|id| agent.model(&id)?.context_window);
            let levels = self.0.levels(agent, session).await.map_err(CommandError)?;
            Ok(CommandReply::Text(usage(&own.total, &today.total, session.context_used(), window, &levels)))
        })
    }
}

impl CommandHandler for Cost {
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        _call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let (own, today) = reports(&self.0, agent, session).await?;
            let levels = self.0.levels(agent, session).await.map_err(CommandError)?;
            Ok(CommandReply::Text(cost(&own, &today, &levels)))
        })
    }
}

/// What was recorded of this session, and today.
async fn reports(inner: &Inner, agent: &Agent, session: &Session) -> Result<(Report, Report), CommandError> {
    let config = agent.config();
    let failed = |error: &dyn std::fmt::Display| CommandError(error.to_string());
    let recorder = inner.recorder(&config).map_err(|error| failed(&error))?;
    recorder.flush().await.map_err(|error| failed(&error))?;
    let own = Query { session: Some(session.id().to_owned()), ..Query::default() };
    let read = move || -> Result<_, crate::AnalyticsError> {
        let Some(ledger) = Ledger::of(&config)? else { return Ok(Default::default()) };
        Ok((ledger.report(&own)?, ledger.report(&Query { since: Since::Days(1), ..Query::default() })?))
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| failed(&error))?;
    read.map_err(|error| failed(&error))
}

fn usage(session: &Figures, today: &Figures, context: u64, window: Option<u64>, levels: &[Level]) -> String {
    let mut text = String::from(
        "| | requests | read | of it cached | written | of it reasoning | cost |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for (name, figures) in [("this session", session), ("today", today)] {
        let tokens =
            [figures.input_tokens, figures.cached_input_tokens, figures.output_tokens, figures.reasoning_tokens];
        let [read, cached, written, reasoning] = tokens.map(grouped);
        let cost = figures.cost_in_words();
        let requests = grouped(figures.requests);
        line(&mut text, &format!("| {name} | {requests} | {read} | {cached} | {written} | {reasoning} | {cost} |"));
    }
    line(&mut text, "");
    let of_window = match window {
        Some(window) if window > 0 => {
            format!(" of {} ({} %)", grouped(window), context * 100 / window)
        }
        _ => String::new(),
    };
    line(&mut text, &format!("- In the context now: {} tokens{of_window}", grouped(context)));
    let mut speed = Vec::new();
    if let Some(first) = session.first_token_ms {
        speed.push(format!("first token after {}", duration(Duration::from_secs_f64(first / 1e3))));
    }
    speed.extend(session.tokens_per_second.map(|speed| format!("{speed:.0} tokens/s")));
    if !speed.is_empty() {
        line(&mut text, &format!("- Speed: {}", speed.join(", ")));
    }
    let worked = session.tool_calls - session.tool_failures;
    line(&mut text, &format!("- Tools: {worked} of {} worked", counted(session.tool_calls, "call")));
    let again = counted(session.retries, "request");
    line(&mut text, &format!("- {again} put again, {}", counted(session.compactions, "compaction")));
    if session.estimated > 0 {
        let requests = counted(session.estimated, "request");
        line(&mut text, &format!("- The tokens of {requests} are estimates: the provider did not tell"));
    }
    budgets(&mut text, levels);
    text.trim_end().to_owned()
}

fn cost(session: &Report, today: &Report, levels: &[Level]) -> String {
    let mut text = String::new();
    line(&mut text, &format!("This session: **{}**", session.total.cost_in_words()));
    line(&mut text, "");
    if !session.by_model.is_empty() {
        line(&mut text, "| model | requests | read | written | cost |");
        line(&mut text, "|---|--:|--:|--:|--:|");
        for group in &session.by_model {
            let figures = &group.figures;
            let (read, written) = (grouped(figures.input_tokens), grouped(figures.output_tokens));
            let (requests, cost) = (grouped(figures.requests), figures.cost_in_words());
            line(&mut text, &format!("| {} | {requests} | {read} | {written} | {cost} |", group.name));
        }
        line(&mut text, "");
    }
    line(&mut text, &format!("Today, all sessions: **{}**", today.total.cost_in_words()));
    if session.total.unpriced + today.total.unpriced > 0 {
        line(&mut text, "");
        line(
            &mut text,
            "Where the price of a model is not known, `[plugins.analytics.prices]` in config.toml can tell it.",
        );
    }
    budgets(&mut text, levels);
    text.trim_end().to_owned()
}

fn budgets(text: &mut String, levels: &[Level]) {
    if levels.is_empty() {
        return;
    }
    line(text, "\n| budget | used | limit | left |\n|---|--:|--:|--:|");
    for level in levels {
        let [used, limit, left] = [level.used, level.limit, level.left()].map(|amount| level.unit.say(amount));
        line(text, &format!("| {} | {used} | {limit} | {left} |", level.scope.name()));
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
