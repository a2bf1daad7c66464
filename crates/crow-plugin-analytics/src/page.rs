//! Reports as a page: one self-contained HTML file, without scripts and without anything to load.

use std::fmt::Write as _;
use std::time::Duration;

use crate::chart::{columns, track};
use crate::report::{Figures, Group, Report};
use crate::words::{compact, counted, dollars, duration, grouped};

const STYLE: &str = include_str!("page.css");

impl Report {
    /// The report as a page for browsers.
    ///
    /// ```
    /// let page = crow_plugin_analytics::Report::default().html();
    /// assert!(page.starts_with("<!doctype html>") && page.contains("Nothing was recorded"));
    /// ```
    pub fn html(&self) -> String {
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>Crow: what was used</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n\
             <h1>What Crow used</h1>\n"
        );
        match &self.first_day {
            None => page += "<p class=\"dim\">Nothing was recorded in this time.</p>\n</header>\n",
            Some(first) if *first == self.last_day => {
                put(&mut page, &format!("<p class=\"dim\">{first}</p>\n</header>\n"))
            }
            Some(first) => put(&mut page, &format!("<p class=\"dim\">{first} to {}</p>\n</header>\n", self.last_day)),
        }
        if self.first_day.is_some() {
            self.tiles(&mut page);
            self.days(&mut page);
            self.models(&mut page);
            self.tool_table(&mut page);
            self.plugin_table(&mut page);
            self.projects(&mut page);
            self.endings(&mut page);
        }
        page += "<footer class=\"small dim\">Recorded on this machine by Crow. Made by <code>crow stats --html</code>.</footer>\n";
        page += "</main>\n</body>\n</html>\n";
        page
    }

    fn tiles(&self, page: &mut String) {
        let total = &self.total;
        let tiles = [
            (
                "Cost",
                total.cost.map_or_else(|| total.cost_in_words(), dollars),
                match total.unpriced {
                    0 => format!(
                        "{} a run",
                        total.cost.map_or_else(|| dollars(0.0), |cost| dollars(cost / total.runs.max(1) as f64))
                    ),
                    unpriced => format!("and {} of unknown price", counted(unpriced, "request")),
                },
            ),
            (
                "Tokens",
                compact(total.tokens()),
                format!(
                    "{} read, {} written{}",
                    compact(total.input_tokens),
                    compact(total.output_tokens),
                    match total.reasoning_tokens {
                        0 => String::new(),
                        reasoning => format!(" ({} reasoning)", percent(reasoning, total.output_tokens)),
                    }
                ),
            ),
            ("From the cache", percent(total.cached_input_tokens, total.input_tokens), "of the tokens read".to_owned()),
            (
                "Requests",
                compact(total.requests),
                format!("{}, {}", counted(total.runs, "run"), counted(total.compactions, "compaction")),
            ),
            ("First token", total.first_token_ms.map_or_else(|| "–".to_owned(), milliseconds), "median".to_owned()),
            (
                "Speed",
                total.tokens_per_second.map_or_else(|| "–".to_owned(), |speed| format!("{speed:.0}/s")),
                "tokens, once they flow".to_owned(),
            ),
            (
                "Tools",
                percent(total.tool_calls - total.tool_failures, total.tool_calls),
                format!("of {} worked", counted(total.tool_calls, "call")),
            ),
            ("Failed requests", compact(total.failed), format!("{} put again", counted(total.retries, "request"))),
        ];
        *page += "<dl class=\"tiles\">\n";
        for (name, figure, note) in tiles {
            put(page, &format!("<div><dt>{name}</dt><dd class=\"figure\">{}</dd>", escape(&figure)));
            put(page, &format!("<dd class=\"small dim\">{}</dd></div>\n", escape(&note)));
        }
        *page += "</dl>\n";
    }

    fn days(&self, page: &mut String) {
        *page += "<section aria-labelledby=\"days\">\n<h2 id=\"days\">Day by day</h2>\n";
        *page += "<ul class=\"legend small\"><li style=\"--of:var(--read)\">read</li>\
                  <li style=\"--of:var(--cached)\">read from the cache</li>\
                  <li style=\"--of:var(--written)\">written</li></ul>\n";
        let tokens = |figures: &Figures| {
            let cached = figures.cached_input_tokens.min(figures.input_tokens);
            vec![
                ("read", (figures.input_tokens - cached) as f64),
                ("cached", cached as f64),
                ("written", figures.output_tokens as f64),
            ]
        };
        let say = |figures: &Figures| {
            format!("{} tokens read, {} written", grouped(figures.input_tokens), grouped(figures.output_tokens))
        };
        columns(page, "", "Tokens by day", &self.by_day, tokens, say, |top| compact(top as u64));
        if self.total.cost.is_some() {
            *page +=
                "<ul class=\"legend small\" style=\"margin-top:1rem\"><li style=\"--of:var(--money)\">cost</li></ul>\n";
            let cost = |figures: &Figures| vec![("money", figures.cost.unwrap_or(0.0))];
            columns(page, " low", "Cost by day", &self.by_day, cost, Figures::cost_in_words, dollars);
        }
        *page += "<details><summary>The days as a table</summary>\n";
        let used: Vec<&Group> = self.by_day.iter().rev().filter(|day| day.figures != Figures::default()).collect();
        group_table(page, "Day", &used);
        *page += "</details>\n</section>\n";
    }

    fn models(&self, page: &mut String) {
        if self.by_model.is_empty() {
            return;
        }
        *page += "<section aria-labelledby=\"models\">\n<h2 id=\"models\">Models</h2>\n<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>\
                  <th scope=\"col\">Model</th><th scope=\"col\" class=\"bar\" aria-label=\"Share of tokens\"></th><th scope=\"col\">Tokens</th>\
                  <th scope=\"col\">Cost</th><th scope=\"col\">Requests</th><th scope=\"col\">Failed</th><th scope=\"col\">First token</th>\
                  <th scope=\"col\">Tokens/s</th></tr></thead>\n<tbody>\n";
        let most = self.by_model.iter().map(|group| group.figures.tokens()).max().unwrap_or(0).max(1) as f64;
        for Group { name, figures } in &self.by_model {
            let cached = figures.cached_input_tokens.min(figures.input_tokens);
            let parts = [
                ("read", (figures.input_tokens - cached) as f64 / most),
                ("cached", cached as f64 / most),
                ("written", figures.output_tokens as f64 / most),
            ];
            put(
                page,
                &format!(
                    "<tr><th scope=\"row\">{}</th><td class=\"bar\">{}</td><td>{}</td><td>{}</td><td>{}</td><td{}>{}</td>\
                     <td>{}</td><td>{}</td></tr>\n",
                    escape(name),
                    track(&parts),
                    compact(figures.tokens()),
                    figures.cost_in_words(),
                    grouped(figures.requests),
                    if figures.failed > 0 { " class=\"bad\"" } else { "" },
                    grouped(figures.failed),
                    figures.first_token_ms.map_or_else(|| "–".to_owned(), milliseconds),
                    figures.tokens_per_second.map_or_else(|| "–".to_owned(), |speed| format!("{speed:.0}")),
                ),
            );
        }
        *page += "</tbody></table></div>\n</section>\n";
    }

    fn tool_table(&self, page: &mut String) {
        if self.tools.is_empty() {
            return;
        }
        *page += "<section aria-labelledby=\"tools\">\n<h2 id=\"tools\">Tools</h2>\n<ul class=\"legend small\">\
                  <li style=\"--of:var(--good)\">worked</li><li style=\"--of:var(--bad)\">failed, denied or cancelled</li></ul>\n\
                  <div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">Tool</th><th scope=\"col\" class=\"bar\" aria-label=\"Share of calls\"></th>\
                  <th scope=\"col\">Calls</th><th scope=\"col\">Failed</th><th scope=\"col\">Denied</th><th scope=\"col\">Cancelled</th>\
                  <th scope=\"col\">Mean</th><th scope=\"col\">Longest</th></tr></thead>\n<tbody>\n";
        let most = self.tools.iter().map(|tool| tool.calls).max().unwrap_or(0).max(1) as f64;
        for tool in &self.tools {
            let parts = [("good", tool.completed as f64 / most), ("bad", (tool.calls - tool.completed) as f64 / most)];
            let time = |time: Option<f64>| time.map_or_else(|| "–".to_owned(), milliseconds);
            put(
                page,
                &format!(
                    "<tr><th scope=\"row\">{}</th><td class=\"bar\">{}</td><td>{}</td><td{}>{}</td><td>{}</td><td>{}</td><td>{}</td>\
                     <td>{}</td></tr>\n",
                    escape(&tool.tool),
                    track(&parts),
                    grouped(tool.calls),
                    if tool.failed > 0 { " class=\"bad\"" } else { "" },
                    grouped(tool.failed),
                    grouped(tool.denied),
                    grouped(tool.cancelled),
                    time(tool.mean_ms),
                    time(tool.longest_ms),
                ),
            );
        }
        *page += "</tbody></table></div>\n</section>\n";
    }

    fn plugin_table(&self, page: &mut String) {
        if self.plugins.is_empty() {
            return;
        }
        *page += "<section aria-labelledby=\"plugins\">\n<h2 id=\"plugins\">Plugins</h2>\n<p class=\"small dim\">Time in their \
                  hooks. Waiting for a model, a tool or you is counted apart; a wrapper's time is not counted, because what it \
                  wraps is in it.</p>\n<div class=\"scroll\" tabindex=\"0\"><table>\n\
                  <thead><tr><th scope=\"col\">Plugin</th>\
                  <th scope=\"col\" class=\"bar\" aria-label=\"Share of time\"></th><th scope=\"col\">In hooks</th><th scope=\"col\">Waiting</th>\
                  <th scope=\"col\">Longest</th><th scope=\"col\">Calls</th><th scope=\"col\">Errors</th></tr></thead>\n<tbody>\n";
        let most = self.plugins.iter().map(|plugin| plugin.own_ms).fold(f64::MIN_POSITIVE, f64::max);
        for plugin in &self.plugins {
            put(
                page,
                &format!(
                    "<tr><th scope=\"row\">{}</th><td class=\"bar\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td{}>{}</td></tr>\n",
                    escape(&plugin.plugin),
                    track(&[("read", plugin.own_ms / most)]),
                    some_time(plugin.own_ms),
                    some_time(plugin.waiting_ms),
                    some_time(plugin.longest_ms),
                    grouped(plugin.calls),
                    if plugin.errors > 0 { " class=\"bad\"" } else { "" },
                    grouped(plugin.errors),
                ),
            );
        }
        *page += "</tbody></table></div>\n<details><summary>Hook by hook</summary>\n<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>\
                  <th scope=\"col\">Plugin</th><th scope=\"col\">Hook</th><th scope=\"col\">Total</th><th scope=\"col\">Mean</th>\
                  <th scope=\"col\">Longest</th><th scope=\"col\">Calls</th><th scope=\"col\">Errors</th></tr></thead>\n<tbody>\n";
        for hook in &self.hooks {
            put(
                page,
                &format!(
                    "<tr><th scope=\"row\">{}</th><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                    escape(&hook.plugin),
                    escape(&hook.hook),
                    match (hook.wrapper, hook.waits) {
                        (true, _) => " <span class=\"dim\">(wraps)</span>",
                        (false, true) => " <span class=\"dim\">(waits)</span>",
                        (false, false) => "",
                    },
                    milliseconds(hook.total_ms),
                    duration(hook.mean()),
                    milliseconds(hook.longest_ms),
                    grouped(hook.calls),
                    grouped(hook.errors),
                ),
            );
        }
        *page += "</tbody></table></div>\n</details>\n</section>\n";
    }

    fn projects(&self, page: &mut String) {
        if self.by_project.is_empty() {
            return;
        }
        *page += "<section aria-labelledby=\"projects\">\n<h2 id=\"projects\">Projects</h2>\n";
        group_table(page, "Directory", &self.by_project.iter().collect::<Vec<_>>());
        *page += "</section>\n";
    }

    fn endings(&self, page: &mut String) {
        if self.ends.is_empty() {
            return;
        }
        *page += "<section aria-labelledby=\"ends\">\n<h2 id=\"ends\">How runs ended</h2>\n<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>\
                  <th scope=\"col\">Reason</th><th scope=\"col\" class=\"bar\" aria-label=\"Share of runs\"></th><th scope=\"col\">Runs</th></tr></thead>\n<tbody>\n";
        let most = self.ends.values().max().copied().unwrap_or(1).max(1) as f64;
        let mut ends: Vec<(&String, &u64)> = self.ends.iter().collect();
        ends.sort_by_key(|(_, runs)| std::cmp::Reverse(**runs));
        for (reason, runs) in ends {
            let colour = if reason == "end_turn" { "good" } else { "written" };
            let bar = track(&[(colour, *runs as f64 / most)]);
            put(
                page,
                &format!(
                    "<tr><th scope=\"row\">{}</th><td class=\"bar\">{bar}</td><td>{}</td></tr>\n",
                    escape(&ending(reason)),
                    grouped(*runs)
                ),
            );
        }
        *page += "</tbody></table></div>\n";
        if !self.errors.is_empty() {
            let kinds: Vec<String> = self
                .errors
                .iter()
                .map(|(kind, count)| format!("{} {}", grouped(*count), kind.replace('_', " ")))
                .collect();
            put(
                page,
                &format!(
                    "<p class=\"small dim\" style=\"margin:.75rem 0 0\">Failed requests: {}</p>\n",
                    escape(&kinds.join(", "))
                ),
            );
        }
        *page += "</section>\n";
    }
}

fn group_table(page: &mut String, head: &str, groups: &[&Group]) {
    put(
        page,
        &format!(
            "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">{head}</th><th scope=\"col\">Runs</th><th scope=\"col\">Requests</th>\
             <th scope=\"col\">Read</th><th scope=\"col\">Cached</th><th scope=\"col\">Written</th><th scope=\"col\">Tool calls</th>\
             <th scope=\"col\">Cost</th></tr></thead>\n<tbody>\n"
        ),
    );
    for Group { name, figures } in groups {
        let counts = [
            figures.runs,
            figures.requests,
            figures.input_tokens,
            figures.cached_input_tokens,
            figures.output_tokens,
            figures.tool_calls,
        ];
        let cells = counts.map(|count| format!("<td>{}</td>", compact(count))).concat();
        let class = if name.starts_with('/') { " class=\"path\"" } else { "" };
        let cost = figures.cost_in_words();
        put(page, &format!("<tr><th scope=\"row\"{class}>{}</th>{cells}<td>{cost}</td></tr>\n", escape(name)));
    }
    *page += "</tbody></table></div>\n";
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.0}\u{a0}%", part as f64 * 100.0 / whole as f64) }
}

fn milliseconds(milliseconds: f64) -> String {
    duration(Duration::from_secs_f64(milliseconds.max(0.0) / 1e3))
}

/// As [`milliseconds`], but none is none.
fn some_time(time: f64) -> String {
    if time > 0.0 { milliseconds(time) } else { "–".to_owned() }
}

/// ACP's words for the end of a run in those of its user.
fn ending(reason: &str) -> String {
    match reason {
        "end_turn" => "the model had finished".to_owned(),
        "max_tokens" => "the answer was too long".to_owned(),
        "max_turn_requests" => "a limit was reached".to_owned(),
        "refusal" => "refused".to_owned(),
        "cancelled" => "cancelled".to_owned(),
        "error" => "an error".to_owned(),
        other => other.replace('_', " "),
    }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(crate) fn put(page: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = page.write_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, input: u64) -> Group {
        let figures = Figures { runs: 1, requests: 2, input_tokens: input, output_tokens: 5, ..Figures::default() };
        Group { name: name.to_owned(), figures }
    }

    fn report() -> Report {
        Report {
            first_day: Some("2026-01-01".into()),
            last_day: "2026-01-03".into(),
            total: group("", 300).figures,
            by_day: vec![group("2026-01-01", 100), group("2026-01-02", 0), group("2026-01-03", 200)],
            by_model: vec![group("a/<script>", 300)],
            by_project: vec![group("/home/\"ada\" & co", 300)],
            ..Report::default()
        }
    }

    #[test]
    fn the_page_stands_alone_and_runs_nothing() {
        let page = report().html();
        for forbidden in ["<script", "http://", "https://", "src=", "url(", "@import", "onclick"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("a/&lt;script&gt;") && page.contains("&quot;ada&quot; &amp; co"));
        for tag in ["section", "table", "div", "details", "svg", "g", "dl", "tr"] {
            let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "<{tag}>");
        }
    }

    #[test]
    fn charts_are_described_for_those_who_do_not_see_them() {
        let page = report().html();
        assert!(
            page.contains("role=\"img\" aria-label=\"Tokens by day; most on 2026-01-03: 200 tokens read, 5 written\"")
        );
        assert!(page.contains("<title>2026-01-01: 100 tokens read, 5 written</title>"));
    }
}
