//! The ledger: what was recorded, read back. Reading makes and changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crow_acp::crow_hooks::{Budget, Contract};
use crow_acp::{Config, CrowHooks};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::database::{self, AnalyticsError};
use crate::report::{Asked, Gather, Group, HookTime, Report, ToolUse};
use crate::settings::Settings;

/// What to add up: everything, unless something is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Query {
    /// From when on.
    pub since: Since,
    /// Only this session.
    pub session: Option<String>,
    /// Only this project directory.
    pub project: Option<String>,
}

/// From when on.
///
/// ```
/// use crow_plugin_analytics::Since;
///
/// assert_eq!("7d".parse(), Ok(Since::Days(7)));
/// assert_eq!("2026-01-31".parse(), Ok(Since::Day("2026-01-31".into())));
/// assert!("yesterday or so".parse::<Since>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Since {
    /// From the beginning.
    #[default]
    All,
    /// The last so many hours.
    Hours(u32),
    /// The last so many days, today included.
    Days(u32),
    /// From this day on, `YYYY-MM-DD` in local time.
    Day(String),
}

/// The text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of days or hours (7d, 24h, 4w), a day (2026-01-31), today or all")]
pub struct InvalidSince;

impl FromStr for Since {
    type Err = InvalidSince;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => return Ok(Self::All),
            "today" => return Ok(Self::Days(1)),
            _ => {}
        }
        if let Some((at, unit)) = text.char_indices().next_back()
            && let Ok(count) = text[..at].parse::<u32>()
            && (1..=100_000).contains(&count)
        {
            return match unit {
                'h' => Ok(Self::Hours(count)),
                'd' => Ok(Self::Days(count)),
                'w' => Ok(Self::Days(count * 7)),
                _ => Err(InvalidSince),
            };
        }
        let shape = |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
        let is_day = text.len() == 10 && text.bytes().enumerate().all(shape);
        if is_day { Ok(Self::Day(text.to_owned())) } else { Err(InvalidSince) }
    }
}

/// What was recorded, for reading. Agents may go on recording meanwhile.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    connection: Connection,
}

impl Ledger {
    /// Opens the file at `path`. `None`: there is none, because nothing was recorded yet.
    ///
    /// # Errors
    /// It cannot be opened, and why.
    pub fn open(path: &Path) -> Result<Option<Self>, AnalyticsError> {
        let connection = database::open_read_only(path)?;
        Ok(connection.map(|connection| Self { path: path.to_owned(), connection }))
    }

    /// Opens the file that the configuration names. `None`: there is none yet.
    ///
    /// # Errors
    /// It cannot be opened, and why.
    pub fn of(config: &Config) -> Result<Option<Self>, AnalyticsError> {
        let settings = Settings::of(config).map_err(|error| AnalyticsError::Configuration(error.to_string()))?;
        Self::open(&settings.database(config.home()))
    }

    /// Adds up what `query` asks for.
    ///
    /// # Errors
    /// The database failed, or `query` names a day that there is not.
    pub fn report(&self, query: &Query) -> Result<Report, AnalyticsError> {
        self.read(query).map_err(|error| AnalyticsError::sqlite(&self.path, &error))
    }

    fn read(&self, query: &Query) -> rusqlite::Result<Report> {
        let since = self.since(&query.since)?;
        let filter = Filter { since, session: query.session.as_deref(), project: query.project.as_deref() };
        let mut totals = Totals::default();
        self.requests(&filter, &mut totals)?;
        self.count("runs", "ended", &filter, &mut totals, |gather, _| gather.figures.runs += 1)?;
        self.count("tools", "ended", &filter, &mut totals, |gather, ended| {
            gather.figures.tool_calls += 1;
            gather.figures.tool_failures += u64::from(ended != "completed");
        })?;
        self.count("compactions", "cause", &filter, &mut totals, |gather, _| gather.figures.compactions += 1)?;

        let mut report = Report { tools: self.tools(&filter)?, ..Report::default() };
        report.ends = self.tally("runs", "ended", &filter)?;
        report.errors = self.tally("requests", "error", &filter)?;
        if query.session.is_none() && query.project.is_none() {
            report.hooks = self.hooks(since)?;
            report.add_up_plugins();
        }
        report.last_day = self.connection.query_row("SELECT date('now', 'localtime')", [], |row| row.get(0))?;
        report.total = totals.all.finish();
        report.by_model = groups(totals.models);
        report.by_project = groups(totals.projects);
        let first = totals.days.keys().next().or(report.hooks.first().map(|_| &report.last_day)).cloned();
        let first = match (since, first) {
            (0, first) => first,
            (since, Some(_)) => Some(self.day_of(since)?),
            (_, None) => None,
        };
        if let Some(first) = &first {
            for day in self.days(first, &report.last_day)? {
                totals.days.entry(day).or_default();
            }
        }
        report.first_day = first;
        let day = |(name, gather): (String, Gather)| Group { name, figures: gather.finish() };
        report.by_day = totals.days.into_iter().map(day).collect();
        Ok(report)
    }

    /// Milliseconds since the epoch; 0 is the beginning.
    fn since(&self, since: &Since) -> rusqlite::Result<i64> {
        let milliseconds = |sql: &str, value: &dyn rusqlite::ToSql| {
            self.connection.query_row(sql, [value], |row| row.get::<_, Option<i64>>(0)).map(|at| at.unwrap_or(0))
        };
        match since {
            Since::All => Ok(0),
            Since::Hours(count) => milliseconds("SELECT (unixepoch('now') - ?1 * 3600) * 1000", count),
            Since::Days(count) => milliseconds(
                "SELECT unixepoch('now', 'localtime', 'start of day', '-' || (?1 - 1) || ' days', 'utc') * 1000",
                count,
            ),
            Since::Day(day) => milliseconds("SELECT unixepoch(?1, 'utc') * 1000", day),
        }
    }

    fn day_of(&self, at: i64) -> rusqlite::Result<String> {
        self.connection.query_row("SELECT date(?1 / 1000, 'unixepoch', 'localtime')", [at], |row| row.get(0))
    }

    fn days(&self, first: &str, last: &str) -> rusqlite::Result<Vec<String>> {
        let sql = "WITH RECURSIVE days (day) AS (VALUES (?1) UNION ALL SELECT date(day, '+1 day') FROM days \
                   WHERE day < ?2 LIMIT 4000) SELECT day FROM days";
        self.connection.prepare(sql)?.query_map([first, last], |row| row.get(0))?.collect()
    }

    fn requests(&self, filter: &Filter<'_>, totals: &mut Totals) -> rusqlite::Result<()> {
        let sql = format!(
            "SELECT {DAY}, model, project, attempt, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, \
             estimated, cost, first_us, took_us, error IS NOT NULL FROM requests WHERE {WHERE}"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params![filter.since, filter.session, filter.project])?;
        while let Some(row) = rows.next()? {
            let number = |at: usize| row.get::<_, i64>(at).map(|number| number as u64);
            let asked = Asked {
                attempt: row.get(3)?,
                tokens: [number(4)?, number(5)?, number(6)?, number(7)?],
                estimated: row.get(8)?,
                cost: row.get(9)?,
                first_us: row.get::<_, Option<i64>>(10)?.map(|first| first as u64),
                took_us: number(11)?,
                failed: row.get(12)?,
            };
            totals.all.add(&asked);
            of(&mut totals.days, row, 0)?.add(&asked);
            of(&mut totals.models, row, 1)?.add(&asked);
            of(&mut totals.projects, row, 2)?.add(&asked);
        }
        Ok(())
    }

    fn count(
        &self,
        table: &str,
        what: &str,
        filter: &Filter<'_>,
        totals: &mut Totals,
        add: impl Fn(&mut Gather, &str),
    ) -> rusqlite::Result<()> {
        let sql = format!("SELECT {DAY}, project, {what} FROM {table} WHERE {WHERE}");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params![filter.since, filter.session, filter.project])?;
        while let Some(row) = rows.next()? {
            let what = row.get_ref(2)?.as_str()?;
            add(&mut totals.all, what);
            add(of(&mut totals.days, row, 0)?, what);
            add(of(&mut totals.projects, row, 1)?, what);
        }
        Ok(())
    }

    fn tally(&self, table: &str, what: &str, filter: &Filter<'_>) -> rusqlite::Result<BTreeMap<String, u64>> {
        let sql = format!("SELECT {what}, count(*) FROM {table} WHERE {WHERE} AND {what} IS NOT NULL GROUP BY 1");
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map(params![filter.since, filter.session, filter.project], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)? as u64))
        })?;
        rows.collect()
    }

    fn tools(&self, filter: &Filter<'_>) -> rusqlite::Result<Vec<ToolUse>> {
        let ended = |name: &str| format!("count(*) FILTER (WHERE ended = '{name}')");
        let sql = format!(
            "SELECT tool, count(*), {}, {}, {}, {}, avg(took_us) / 1e3, max(took_us) / 1e3 FROM tools \
             WHERE {WHERE} GROUP BY tool ORDER BY 2 DESC, 1",
            ended("completed"),
            ended("failed"),
            ended("denied"),
            ended("cancelled")
        );
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map(params![filter.since, filter.session, filter.project], |row| {
            let number = |at: usize| row.get::<_, i64>(at).map(|number| number as u64);
            Ok(ToolUse {
                tool: row.get(0)?,
                calls: number(1)?,
                completed: number(2)?,
                failed: number(3)?,
                denied: number(4)?,
                cancelled: number(5)?,
                mean_ms: row.get(6)?,
                longest_ms: row.get(7)?,
            })
        })?;
        rows.collect()
    }

    fn hooks(&self, since: i64) -> rusqlite::Result<Vec<HookTime>> {
        let waiting: Vec<&str> = <dyn CrowHooks as Contract>::SPECS
            .iter()
            .filter(|spec| spec.budget == Some(Budget::Unbounded))
            .map(|spec| spec.name)
            .collect();
        let sql = "SELECT plugin, hook, wrapper, sum(calls), sum(errors), sum(total_ns) / 1e6, max(longest_ns) / 1e6 \
                   FROM hooks WHERE ?1 = 0 OR day >= date(?1 / 1000, 'unixepoch', 'localtime') \
                   GROUP BY 1, 2, 3 ORDER BY 6 DESC";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([since], |row| {
            let hook: String = row.get(1)?;
            Ok(HookTime {
                plugin: row.get(0)?,
                waits: waiting.contains(&hook.as_str()),
                hook,
                wrapper: row.get(2)?,
                calls: row.get::<_, i64>(3)? as u64,
                errors: row.get::<_, i64>(4)? as u64,
                total_ms: row.get(5)?,
                longest_ms: row.get(6)?,
            })
        })?;
        rows.collect()
    }

    /// Whether `day` is one.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_day(&self, day: &str) -> Result<bool, AnalyticsError> {
        let sql = "SELECT date(?1, '+0 days') = ?1";
        let found = self.connection.query_row(sql, [day], |row| row.get::<_, Option<bool>>(0)).optional();
        found.map(|found| found.flatten() == Some(true)).map_err(|error| AnalyticsError::sqlite(&self.path, &error))
    }
}

/// The local day of a row.
const DAY: &str = "date(at / 1000, 'unixepoch', 'localtime')";

/// Which rows count.
const WHERE: &str = "at >= ?1 AND (?2 IS NULL OR session = ?2) AND (?3 IS NULL OR project = ?3)";

struct Filter<'a> {
    since: i64,
    session: Option<&'a str>,
    project: Option<&'a str>,
}

#[derive(Default)]
struct Totals {
    all: Gather,
    days: BTreeMap<String, Gather>,
    models: BTreeMap<String, Gather>,
    projects: BTreeMap<String, Gather>,
}

/// The group that column `at` of `row` names.
fn of<'a>(groups: &'a mut BTreeMap<String, Gather>, row: &Row<'_>, at: usize) -> rusqlite::Result<&'a mut Gather> {
    let name = row.get_ref(at)?.as_str()?;
    if !groups.contains_key(name) {
        groups.insert(name.to_owned(), Gather::default());
    }
    groups.get_mut(name).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

fn groups(gathered: BTreeMap<String, Gather>) -> Vec<Group> {
    let mut groups: Vec<Group> =
        gathered.into_iter().map(|(name, gather)| Group { name, figures: gather.finish() }).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.figures.tokens()));
    groups
}
