//! Budgets: what was used up, held against what may be.

use rusqlite::{Connection, ToSql};

use crate::settings::{Budgets, Limits};
use crate::words::{dollars, grouped};
use crate::writer::Used;

/// What was used up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Totals {
    /// US dollars, as far as prices are known.
    pub(crate) money: f64,
    /// Requests whose price is not known.
    pub(crate) unpriced: u64,
    pub(crate) tokens: u64,
    /// Requests that carry a conversation on.
    pub(crate) turns: u64,
}

impl Totals {
    /// Adds up the requests for which `which` holds.
    pub(crate) fn query(connection: &Connection, which: &str, parameters: &[&dyn ToSql]) -> rusqlite::Result<Self> {
        let sql = format!(
            "SELECT total(cost), count(*) FILTER (WHERE cost IS NULL), coalesce(sum(input_tokens + output_tokens), 0), \
             count(*) FILTER (WHERE turn IS NOT NULL AND error IS NULL) FROM requests WHERE {which}"
        );
        connection.prepare_cached(&sql)?.query_row(parameters, |row| {
            Ok(Self {
                money: row.get(0)?,
                unpriced: row.get::<_, i64>(1)? as u64,
                tokens: row.get::<_, i64>(2)? as u64,
                turns: row.get::<_, i64>(3)? as u64,
            })
        })
    }
}

/// What a limit holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Run,
    Session,
    Day,
}

impl Scope {
    /// As in "the budget of …".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "this run",
            Self::Session => "this session",
            Self::Day => "today",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Session => "session",
            Self::Day => "day",
        }
    }
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Unit {
    Money,
    Tokens,
    Turns,
}

impl Unit {
    fn key(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Tokens => "tokens",
            Self::Turns => "turns",
        }
    }

    /// `amount` with its unit.
    pub(crate) fn say(self, amount: f64) -> String {
        match self {
            Self::Money => dollars(amount),
            Self::Tokens => format!("{} tokens", grouped(amount as u64)),
            Self::Turns => format!("{} turns", grouped(amount as u64)),
        }
    }
}

/// One limit and how far it is used up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    pub(crate) scope: Scope,
    pub(crate) unit: Unit,
    pub(crate) used: f64,
    pub(crate) limit: f64,
}

impl Level {
    pub(crate) fn is_spent(&self) -> bool {
        self.used >= self.limit
    }

    pub(crate) fn is_nearly_spent(&self, share: f64) -> bool {
        self.used >= self.limit * share
    }

    pub(crate) fn left(&self) -> f64 {
        (self.limit - self.used).max(0.0)
    }

    /// Why a run stops.
    pub(crate) fn reason(&self) -> String {
        let Self { scope, unit, used, limit } = *self;
        format!(
            "the budget of {} is used up: {} of {} (`plugins.analytics.budget.{}.{}`)",
            scope.name(),
            unit.say(used),
            unit.say(limit),
            scope.key(),
            unit.key(),
        )
    }

    /// What the user is told before that.
    pub(crate) fn warning(&self) -> String {
        let Self { scope, unit, used, limit } = *self;
        let percent = (used / limit * 100.0).floor();
        format!("{percent} % of the budget of {} is used up: {} of {}", scope.name(), unit.say(used), unit.say(limit))
    }
}

impl Budgets {
    /// Whether there is any limit at all.
    pub(crate) fn any(&self) -> bool {
        [self.run, self.session, self.day].iter().any(|limits| *limits != Limits::default())
    }

    /// Whether money is limited anywhere.
    pub(crate) fn counts_money(&self) -> bool {
        [self.run, self.session, self.day].iter().any(|limits| limits.money.is_some())
    }

    /// Every limit, with what is used up of it.
    pub(crate) fn levels(&self, used: &Used) -> Vec<Level> {
        let scopes = [
            (Scope::Run, self.run, used.run),
            (Scope::Session, self.session, used.session),
            (Scope::Day, self.day, used.day),
        ];
        let mut levels = Vec::new();
        for (scope, limits, used) in scopes {
            let units = [
                (Unit::Money, limits.money, used.money),
                (Unit::Tokens, limits.tokens.map(|limit| limit as f64), used.tokens as f64),
                (Unit::Turns, limits.turns.map(|limit| limit as f64), used.turns as f64),
            ];
            for (unit, limit, used) in units {
                levels.extend(limit.map(|limit| Level { scope, unit, used, limit }));
            }
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_spent_when_it_is_reached() {
        let mut budgets = Budgets::default();
        assert!(!budgets.any() && budgets.levels(&Used::default()).is_empty());
        budgets.session.money = Some(1.0);
        budgets.day.turns = Some(10);
        assert!(budgets.any() && budgets.counts_money());
        let totals = |money, turns| Totals { money, turns, ..Totals::default() };
        let used = Used { session: totals(0.8, 1), day: totals(5.0, 10), ..Used::default() };
        let levels = budgets.levels(&used);
        let spent: Vec<bool> = levels.iter().map(Level::is_spent).collect();
        assert_eq!(spent, [false, true]);
        assert!(levels[0].is_nearly_spent(0.8) && !levels[0].is_nearly_spent(0.81));
        assert_eq!(levels[0].warning(), "80 % of the budget of this session is used up: $0.80 of $1.00");
        assert_eq!(
            levels[1].reason(),
            "the budget of today is used up: 10 turns of 10 turns (`plugins.analytics.budget.day.turns`)"
        );
    }
}
