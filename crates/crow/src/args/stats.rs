//! The options of `crow stats`.

use super::see;
use crate::exit::Failure;
use crate::help::Topic;

/// `crow stats`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// From when on; the last thirty days unless said otherwise.
    pub(crate) since: Option<String>,
    /// The breakdown.
    pub(crate) by: Option<String>,
    /// Of the project around the working directory alone.
    pub(crate) here: bool,
    /// Print CSV.
    pub(crate) csv: bool,
    /// Write a page to this file.
    pub(crate) html: Option<String>,
}

impl Stats {
    /// Refuses what cannot go together.
    pub(super) fn checked(self, json: bool) -> Result<Self, Failure> {
        if [json, self.csv, self.html.is_some()].into_iter().filter(|given| *given).count() > 1 {
            let what = "`crow stats` prints one thing at a time: --json, --csv or --html";
            return Err(see(Failure::usage(what), Topic::Stats));
        }
        if self.by.is_some() && (json || self.html.is_some()) {
            let what = "`--by` is for the terminal and --csv; --json and --html hold every breakdown";
            return Err(see(Failure::usage(what), Topic::Stats));
        }
        Ok(self)
    }
}
