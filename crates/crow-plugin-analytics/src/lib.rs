//! The plugin `analytics`: what sessions use, cost and wait for, recorded on this machine and nowhere else.
//!
//! * [`plugin`] is what a host registers. It counts tokens, money, time, tools, retries, compactions and what each plugin's
//!   hooks take; it answers `/usage` and `/cost`; it ends runs that exceed a budget.
//! * [`Ledger`] is what was recorded, for programs without an agent: [`Report`]s, and as [CSV](Report::csv) or a
//!   [page](Report::html).
//! * With the feature `otel`, and if the configuration asks for it, spans and metrics go to an OpenTelemetry collector.
//!
//! Nothing that anybody said is recorded: no prompt, no answer, no argument, no error text.
#![forbid(unsafe_code)]

mod budget;
mod chart;
mod command;
mod csv;
mod database;
mod hook_times;
mod ledger;
#[cfg(feature = "otel")]
mod otel;
mod page;
mod plugin;
mod price;
mod record;
mod report;
mod settings;
mod track;
mod words;
mod writer;

pub use database::AnalyticsError;
pub use ledger::{InvalidSince, Ledger, Query, Since};
pub use plugin::{Analytics, plugin};
pub use report::{Figures, Group, HookTime, PluginTime, Report, ToolUse};
pub use settings::{Budgets, Limits, Settings};
pub use words::{compact, dollars, duration};
