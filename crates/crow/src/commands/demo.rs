//! `crow demo`.
use crate::args::Cli;
use crate::exit::{Exit, Failure};
pub(crate) async fn run(_cli: &Cli, _keep: bool) -> Result<Exit, Failure> { Ok(Exit::Done) }
