//! `crow acp`: the agent on standard input and output.

use std::sync::Arc;

use crow_acp::Agent;
use crow_acp::crow_hooks::Monitor;
use crow_acp::server::ServeError;

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::signals::Interrupts;
use crate::trace::Trace;

/// Serves until standard input ends or a signal comes.
///
/// # Errors
/// It could not start.
pub(crate) async fn run(cli: &Cli) -> Result<Exit, Failure> {
    let config = host::config(cli.overrides.clone())?;
    let trace = cli
        .trace_hooks
        .then(|| Arc::new(Trace::new(|fired| tracing::info!(target: "crow::hooks", "{}", fired.line()))));
    let Host { agent, notices } =
        Host::new(config, cli.plugins, trace.clone().map(|trace| trace as Arc<dyn Monitor>)).await?;
    for notice in notices {
        agent.notify(notice);
    }
    let mut interrupts = Interrupts::listen()?;
    let served = tokio::select! {
        served = serve(agent.clone(), cli.plugins.may_print) => served,
        () = interrupts.next() => {
            agent.shutdown().await;
            Ok(())
        }
    };
    if let Some(trace) = trace {
        trace.flush();
    }
    match served {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            tracing::error!("the connection broke: {error}");
            Ok(Exit::Failed)
        }
    }
}

async fn serve(agent: Agent, apart: bool) -> Result<(), ServeError> {
    if apart { crate::embed::serve_apart(agent).await } else { crow_acp::server::serve_stdio(agent).await }
}
