//! `crow stats`: what was used, by day, model, project, tool and plugin.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crow_plugin_analytics::{Figures, Group, Ledger, Query, Report, Since, compact, dollars, duration};

use crate::args::{Cli, Stats, nearest};
use crate::dialog::say;
use crate::exit::{Exit, Failure};
use crate::host;
use crate::render::{Palette, Row, Style, Table, clean};

/// The breakdowns there are.
const BREAKDOWNS: [&str; 6] = ["day", "model", "project", "tool", "plugin", "hook"];

/// Rows of a breakdown in the overview; `--by` shows all.
const MOST: usize = 8;

/// The widest that a report gets.
const WIDEST: usize = 120;

/// Runs the command.
///
/// # Errors
/// The options make no sense, or what was recorded cannot be read.
pub(crate) fn run(cli: &Cli, stats: &Stats) -> Result<Exit, Failure> {
    let config = host::config(cli.overrides.clone())?;
    let failed = |error: crow_plugin_analytics::AnalyticsError| Failure::failed(error.to_string());
    let by = stats.by.as_deref().map(breakdown).transpose()?;
    let since = stats.since.as_deref().unwrap_or("30d");
    let mut query = Query::default();
    query.since = since.parse().map_err(|error| Failure::usage(format!("`--since {since}`: {error}")))?;
    if stats.here {
        let cwd = std::env::current_dir()?;
        let (here, _) = config.for_project(&cwd);
        query.project = Some(here.project().unwrap_or(&cwd).to_string_lossy().into_owned());
    }
    let ledger = Ledger::of(&config).map_err(failed)?;
    if let (Since::Day(day), Some(ledger)) = (&query.since, &ledger)
        && !ledger.is_day(day).map_err(failed)?
    {
        return Err(Failure::usage(format!("`--since {since}`: there is no such day")));
    }
    let report =
        ledger.as_ref().map_or_else(|| Ok(Report::default()), |ledger| ledger.report(&query)).map_err(failed)?;
    if let Some(file) = &stats.html {
        write(&report, file)?;
    } else if cli.json {
        let json = serde_json::to_string(&report).map_err(|error| Failure::failed(error.to_string()))?;
        say(&json)?;
    } else if stats.csv {
        let csv = report.csv(by.unwrap_or("day")).unwrap_or_default();
        std::io::stdout().write_all(csv.as_bytes())?;
    } else {
        let out = std::io::stdout();
        let width = terminal_size::terminal_size_of(&out).map_or(80, |(width, _)| usize::from(width.0)).min(WIDEST);
        say(&page(&report, by, width, Palette::of(&out)))?;
    }
    Ok(Exit::Done)
}

fn breakdown(by: &str) -> Result<&'static str, Failure> {
    BREAKDOWNS.into_iter().find(|known| *known == by).ok_or_else(|| {
        let hint = nearest(by, BREAKDOWNS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Failure::usage(format!("`--by {by}`: expected {}{hint}", BREAKDOWNS.join(", ")))
    })
}

fn write(report: &Report, file: &str) -> Result<(), Failure> {
    let page = report.html();
    if file == "-" {
        return Ok(std::io::stdout().write_all(page.as_bytes())?);
    }
    std::fs::write(Path::new(file), page)
        .map_err(|error| Failure::failed(format!("{file} cannot be written: {error}")))?;
    say(&format!("Written to {file}: open it in a browser."))
}

/// The report for a terminal of `width` columns.
fn page(report: &Report, by: Option<&str>, width: usize, palette: Palette) -> String {
    let Some(first) = &report.first_day else {
        return "Nothing was recorded in this time. `crow run \"…\"` makes something; `--since all` goes further back."
            .to_owned();
    };
    let mut lines = Vec::new();
    let span = if *first == report.last_day { first.clone() } else { format!("{first} to {}", report.last_day) };
    lines.push(format!("{}  {}", palette.paint(Style::Bold, "What Crow used"), palette.paint(Style::Dim, &span)));
    if let Some(by) = by {
        section(&mut lines, by, report, width, palette, usize::MAX);
        return lines.join("\n");
    }
    lines.push(String::new());
    for fact in facts(report) {
        lines.extend(folded(&fact, width));
    }
    for by in ["day", "model", "tool", "plugin", "project"] {
        // Of one model or project there is nothing to compare.
        let single = match by {
            "model" => report.by_model.len() < 2 && report.by_day.len() > 1,
            "project" => report.by_project.len() < 2,
            _ => false,
        };
        if !single {
            section(&mut lines, by, report, width, palette, MOST);
        }
    }
    lines.push(String::new());
    let hint = "All of one kind: --by day, model, project, tool, plugin, hook   As a page: --html FILE";
    lines.extend(folded(hint, width).iter().map(|line| palette.paint(Style::Dim, line)));
    lines.join("\n")
}

/// The total in sentences.
fn facts(report: &Report) -> Vec<String> {
    let total = &report.total;
    let mut facts = vec![format!(
        "{} in {} with {}: {} tokens, {}.",
        total.cost_in_words(),
        count(total.runs, "run"),
        count(total.requests, "request"),
        compact(total.tokens()),
        format_args!(
            "{} read ({} from the cache) and {} written",
            compact(total.input_tokens),
            percent(total.cached_input_tokens, total.input_tokens),
            compact(total.output_tokens)
        )
    )];
    let mut speed = Vec::new();
    speed.extend(total.first_token_ms.map(|first| format!("first token after {} (median)", milliseconds(first))));
    speed.extend(total.tokens_per_second.map(|speed| format!("{speed:.0} tokens/s")));
    if total.tool_calls > 0 {
        let worked = percent(total.tool_calls - total.tool_failures, total.tool_calls);
        speed.push(format!("{worked} of {} worked", count(total.tool_calls, "tool call")));
    }
    if !speed.is_empty() {
        facts.push(sentence(&speed.join(", ")));
    }
    let mut trouble = Vec::new();
    if total.failed > 0 {
        let kinds: Vec<String> =
            report.errors.iter().map(|(kind, times)| format!("{times} {}", kind.replace('_', " "))).collect();
        trouble.push(format!("{} failed ({})", count(total.failed, "request"), kinds.join(", ")));
    }
    if total.retries > 0 {
        trouble.push(format!("{} put again", count(total.retries, "request")));
    }
    if total.compactions > 0 {
        trouble.push(count(total.compactions, "compaction"));
    }
    if total.unpriced > 0 {
        trouble.push(format!("the price of {} is not known", count(total.unpriced, "request")));
    }
    if total.estimated > 0 {
        trouble.push(format!("the tokens of {} are estimates", count(total.estimated, "request")));
    }
    if !trouble.is_empty() {
        facts.push(sentence(&trouble.join(", ")));
    }
    facts
}

fn section(lines: &mut Vec<String>, by: &str, report: &Report, width: usize, palette: Palette, most: usize) {
    let (title, mut table) = match by {
        "day" => ("By day", groups(report.by_day.iter().rev(), day)),
        "model" => ("By model", groups(report.by_model.iter(), clean)),
        "project" => ("By project", groups(report.by_project.iter(), clean)),
        "tool" => ("By tool", tools(report)),
        "plugin" => ("By plugin: time in its hooks", plugins(report)),
        _ => ("By plugin and hook", hooks(report)),
    };
    if table.rows.is_empty() {
        return;
    }
    let left = table.rows.len().saturating_sub(most);
    table.rows.truncate(most);
    if by == "day" {
        // The newest rows, in the order of time.
        table.rows.reverse();
    }
    lines.push(String::new());
    let legend = match by {
        "day" | "model" | "project" => "█ read  ▒ from the cache  ░ written",
        "tool" => "█ worked  ░ did not",
        _ => "",
    };
    let legend = if legend.is_empty() { String::new() } else { format!("   {}", palette.paint(Style::Dim, legend)) };
    lines.push(format!("{}{legend}", palette.paint(Style::Bold, title)));
    lines.extend(table.lines(width, palette));
    if left > 0 {
        lines.push(palette.paint(Style::Dim, &format!("and {left} more: --by {by}")));
    }
}

fn groups<'a>(groups: impl Iterator<Item = &'a Group>, name: impl Fn(&str) -> String) -> Table {
    let rows = groups
        // Days on which nothing happened are in the page's chart; here they would only be long.
        .filter(|group| group.figures != Figures::default())
        .map(|group| {
            let figures = &group.figures;
            let cached = figures.cached_input_tokens.min(figures.input_tokens);
            let fresh = figures.input_tokens - cached;
            Row {
                name: name(&group.name),
                parts: vec![fresh as f64, cached as f64, figures.output_tokens as f64],
                cells: vec![
                    compact(figures.tokens()),
                    figures.cost.map_or_else(|| figures.cost_in_words(), dollars),
                    compact(figures.requests),
                    figures.first_token_ms.map_or_else(|| "–".to_owned(), milliseconds),
                    figures.tokens_per_second.map_or_else(|| "–".to_owned(), |speed| format!("{speed:.0}")),
                ],
            }
        })
        .collect();
    Table {
        heads: vec!["tokens", "cost", "requests", "first token", "tokens/s"],
        looks: vec![('█', Style::Code), ('▒', Style::Code), ('░', Style::Warn)],
        rows,
    }
}

fn tools(report: &Report) -> Table {
    let rows = report
        .tools
        .iter()
        .map(|tool| Row {
            name: clean(&tool.tool),
            parts: vec![tool.completed as f64, (tool.calls - tool.completed) as f64],
            cells: vec![
                compact(tool.calls),
                percent(tool.completed, tool.calls),
                tool.mean_ms.map_or_else(|| "–".to_owned(), milliseconds),
                tool.longest_ms.map_or_else(|| "–".to_owned(), milliseconds),
                compact(tool.denied),
            ],
        })
        .collect();
    let looks = vec![('█', Style::Good), ('░', Style::Bad)];
    Table { heads: vec!["calls", "worked", "mean", "longest", "denied"], looks, rows }
}

fn plugins(report: &Report) -> Table {
    let rows = report
        .plugins
        .iter()
        .map(|plugin| Row {
            name: clean(&plugin.plugin),
            parts: vec![plugin.own_ms],
            cells: vec![
                some_time(plugin.own_ms),
                some_time(plugin.longest_ms),
                some_time(plugin.waiting_ms),
                compact(plugin.calls),
                compact(plugin.errors),
            ],
        })
        .collect();
    let heads = vec!["in hooks", "longest", "waiting", "calls", "errors"];
    Table { heads, looks: vec![('█', Style::Code)], rows }
}

fn hooks(report: &Report) -> Table {
    let rows = report
        .hooks
        .iter()
        .map(|hook| {
            let note = match (hook.wrapper, hook.waits) {
                (true, _) => " (wraps)",
                (false, true) => " (waits)",
                (false, false) => "",
            };
            Row {
                name: format!("{} {}{note}", clean(&hook.plugin), hook.hook),
                parts: Vec::new(),
                cells: vec![
                    milliseconds(hook.total_ms),
                    duration(hook.mean()),
                    milliseconds(hook.longest_ms),
                    compact(hook.calls),
                    compact(hook.errors),
                ],
            }
        })
        .collect();
    Table { heads: vec!["total", "mean", "longest", "calls", "errors"], looks: Vec::new(), rows }
}

/// The day of the week says more than the year.
fn day(name: &str) -> String {
    name.parse::<jiff::civil::Date>().map_or_else(|_| name.to_owned(), |date| date.strftime("%m-%d %a").to_string())
}

fn count(number: u64, what: &str) -> String {
    format!("{} {what}{}", compact(number), if number == 1 { "" } else { "s" })
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.0} %", part as f64 * 100.0 / whole as f64) }
}

fn milliseconds(milliseconds: f64) -> String {
    duration(Duration::from_secs_f64(milliseconds.max(0.0) / 1e3))
}

/// As [`milliseconds`], but none is none.
fn some_time(time: f64) -> String {
    if time > 0.0 { milliseconds(time) } else { "–".to_owned() }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

/// `text` in lines of at most `width` columns.
fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always one");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
