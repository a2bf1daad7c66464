//! The table, and the same as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

/// What was measured of one contender.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, sample: f64) {
        let at = self.0.partition_point(|other| *other < sample);
        self.0.insert(at, sample);
    }

    /// The sample below which this share of them lies.
    fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    S,
    Ms,
    Us,
    Mb,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::S => "s",
            Self::Ms => "ms",
            Self::Us => "µs",
            Self::Mb => "MiB",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// The median is at most this.
    AtMost(f64),
    /// The median is at most the relay's times this.
    TimesRelay(f64),
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    unit: Unit,
    relay: Samples,
    crow: Samples,
    goal: Goal,
}

impl Row {
    pub(crate) fn new(name: &str, unit: Unit, [relay, crow]: [Samples; 2], goal: Goal) -> Self {
        Self { name: name.to_owned(), unit, relay, crow, goal }
    }

    fn limit(&self) -> f64 {
        match self.goal {
            Goal::AtMost(limit) => limit,
            Goal::TimesRelay(factor) => self.relay.median() * factor,
        }
    }

    pub(crate) fn met(&self) -> bool {
        self.crow.median() <= self.limit()
    }
}

/// A number with three significant digits or so; a dash for none.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    let size = value.abs();
    let digits = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.digits$}")
}

/// The table as Markdown. Medians; of Crow also the range that holds eight samples of ten.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from("| figure | bare relay | Crow | p10 – p90 | runs | goal | |\n");
    table.push_str("| --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for row in rows {
        let goal = match row.goal {
            Goal::AtMost(limit) => format!("≤ {limit} {}", row.unit.name()),
            Goal::TimesRelay(factor) => format!("≤ {factor} × relay"),
        };
        let _ = writeln!(
            table,
            "| {} | {} {unit} | {} {unit} | {} – {} | {} | {goal} | {} |",
            row.name,
            number(row.relay.median()),
            number(row.crow.median()),
            number(row.crow.quantile(0.1)),
            number(row.crow.quantile(0.9)),
            row.crow.0.len(),
            if row.met() { "ok" } else { "MISSED" },
            unit = row.unit.name(),
        );
    }
    table
}

/// Everything as one JSON object.
pub(crate) fn json(rows: &[Row]) -> Value {
    let one = |row: &Row| {
        json!({
            "figure": row.name, "unit": row.unit.name(), "runs": row.crow.0.len(), "limit": row.limit(), "met": row.met(),
            "relay": { "median": row.relay.median(), "p10": row.relay.quantile(0.1), "p90": row.relay.quantile(0.9) },
            "crow": { "median": row.crow.median(), "p10": row.crow.quantile(0.1), "p90": row.crow.quantile(0.9) },
        })
    };
    json!({ "figures": rows.iter().map(one).collect::<Vec<_>>() })
}
