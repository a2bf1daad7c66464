//! Reports as CSV, for spreadsheets: RFC 4180, one header line.

use crate::report::{Group, Report};

impl Report {
    /// A breakdown as CSV: `day`, `model`, `project`, `tool`, `plugin` or `hook`. `None`: there is no such breakdown.
    pub fn csv(&self, by: &str) -> Option<String> {
        match by {
            "day" => Some(groups(by, &self.by_day)),
            "model" => Some(groups(by, &self.by_model)),
            "project" => Some(groups(by, &self.by_project)),
            "tool" => {
                let head = ["tool", "calls", "completed", "failed", "denied", "cancelled", "mean_ms", "longest_ms"];
                Some(table(
                    &head,
                    self.tools.iter().map(|tool| {
                        let counts = [tool.calls, tool.completed, tool.failed, tool.denied, tool.cancelled];
                        let mut row = vec![tool.tool.clone()];
                        row.extend(counts.iter().map(ToString::to_string));
                        row.extend([number(tool.mean_ms), number(tool.longest_ms)]);
                        row
                    }),
                ))
            }
            "plugin" => Some(table(
                &["plugin", "calls", "errors", "own_ms", "waiting_ms", "longest_ms"],
                self.plugins.iter().map(|plugin| {
                    let times = [plugin.own_ms, plugin.waiting_ms, plugin.longest_ms].map(|time| number(Some(time)));
                    let mut row = vec![plugin.plugin.clone(), plugin.calls.to_string(), plugin.errors.to_string()];
                    row.extend(times);
                    row
                }),
            )),
            "hook" => Some(table(
                &["plugin", "hook", "wrapper", "waits", "calls", "errors", "total_ms", "longest_ms"],
                self.hooks.iter().map(|hook| {
                    vec![
                        hook.plugin.clone(),
                        hook.hook.clone(),
                        hook.wrapper.to_string(),
                        hook.waits.to_string(),
                        hook.calls.to_string(),
                        hook.errors.to_string(),
                        number(Some(hook.total_ms)),
                        number(Some(hook.longest_ms)),
                    ]
                }),
            )),
            _ => None,
        }
    }
}

fn groups(by: &str, groups: &[Group]) -> String {
    let head = [
        by,
        "runs",
        "requests",
        "failed",
        "retries",
        "input_tokens",
        "cached_input_tokens",
        "output_tokens",
        "reasoning_tokens",
        "estimated",
        "cost_usd",
        "unpriced",
        "first_token_ms",
        "tokens_per_second",
        "tool_calls",
        "tool_failures",
        "compactions",
    ];
    table(
        &head,
        groups.iter().map(|group| {
            let figures = &group.figures;
            let mut row = vec![group.name.clone()];
            let counts = [
                figures.runs,
                figures.requests,
                figures.failed,
                figures.retries,
                figures.input_tokens,
                figures.cached_input_tokens,
                figures.output_tokens,
                figures.reasoning_tokens,
                figures.estimated,
            ];
            row.extend(counts.iter().map(ToString::to_string));
            row.push(figures.cost.map(|cost| cost.to_string()).unwrap_or_default());
            row.push(figures.unpriced.to_string());
            row.extend([number(figures.first_token_ms), number(figures.tokens_per_second)]);
            row.extend([figures.tool_calls, figures.tool_failures, figures.compactions].map(|count| count.to_string()));
            row
        }),
    )
}

/// Empty for what is not known.
fn number(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.3}")).unwrap_or_default()
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = head.join(",");
    text.push_str("\r\n");
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
        text += &cells.join(",");
        text.push_str("\r\n");
    }
    text
}

/// In quotes if need be. A spreadsheet takes what begins with one of `=+-@` for a formula: a directory may be called so.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '@', '\t']) || (cell.starts_with('-') && cell.parse::<f64>().is_err());
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Figures;

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        let figures = Figures { requests: 2, cost: Some(0.5), ..Figures::default() };
        let group = |name: &str| Group { name: name.to_owned(), figures: figures.clone() };
        let report =
            Report { by_project: vec![group("/a, \"b\""), group("=cmd()"), group("/plain")], ..Report::default() };
        let csv = report.csv("project").unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines[0].starts_with("project,runs,requests"));
        assert!(lines[1].starts_with("\"/a, \"\"b\"\"\",0,2,"), "{csv}");
        assert!(lines[2].starts_with("'=cmd(),0,2,"), "{csv}");
        assert_eq!(lines[3].split(',').count(), lines[0].split(',').count());
        assert!(report.csv("week").is_none());
        for by in ["day", "model", "tool", "plugin", "hook"] {
            assert_eq!(report.csv(by).unwrap().lines().count(), 1);
        }
    }
}
