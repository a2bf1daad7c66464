//! `crow plugin`: plugins that are Rust crates. A generated crate depends on Crow and on them; built, it is the program
//! that `crow` [hands over](crate::handover) to.

mod add;
mod build;
mod built;
mod change;
mod host;
mod inspect;
mod list;
mod new;
mod remove;
mod source;

pub(crate) use add::built as installed;
pub(crate) use host::Place;

use crow_acp::Sources;

use self::source::Source;
use crate::args::{Cli, Plugin, Verb};
use crate::exit::{Exit, Failure};

/// Runs the command.
///
/// # Errors
/// The failure says what is wrong; nothing was changed.
pub(crate) async fn run(cli: &Cli, plugin: &Plugin) -> Result<Exit, Failure> {
    let place = Place::new(Sources::from_process()?.home);
    let source = || Source::find(plugin.source.as_deref());
    match &plugin.verb {
        Verb::List => list::run(&place, cli.json)?,
        Verb::Add { what, package, state } => {
            add::run(place, source()?, what, package.as_deref(), state.as_ref()).await?;
        }
        Verb::Remove(name) => remove::remove(place, source()?, name).await?,
        Verb::Update => remove::update(place, source()?).await?,
        Verb::New { name, path } => new::run(&source()?, name, path.as_deref())?,
        Verb::Check => built::check(cli.plugins)?,
    }
    Ok(Exit::Done)
}
