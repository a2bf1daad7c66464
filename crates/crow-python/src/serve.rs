//! The protocol on standard input and output of a Python program. Nothing else may write there: what plugins print goes
//! to standard error, down to the file descriptor.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use crow_acp::Agent;
use crow_acp::crow_hooks::BoxError;

/// Serves until the input ends, then shuts the agent down.
///
/// # Errors
/// The connection broke.
pub(crate) async fn stdio(agent: Agent) -> Result<(), BoxError> {
    let (input, output) = take_over()?;
    let served = crow_acp::server::serve(agent, tokio::fs::File::from_std(input), tokio::fs::File::from_std(output));
    served.await.map_err(Into::into)
}

/// Takes standard input and output for the protocol, and leaves others in their places.
fn take_over() -> io::Result<(File, File)> {
    let input: OwnedFd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let output: OwnedFd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok((File::from(input), File::from(output)))
}
