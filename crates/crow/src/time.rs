//! Times for people.

/// How long ago something was that happened `at` (milliseconds since the epoch).
pub(crate) fn ago(at: i64) -> String {
    since(jiff::Timestamp::now().as_millisecond() - at)
}

/// A time as ISO 8601, to the second.
pub(crate) fn iso(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at)
        .map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn since(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1000;
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_round() {
        let ages: Vec<String> = [-5, 59_999, 60_000, 7_200_000, 90_000_000].into_iter().map(since).collect();
        assert_eq!(ages, ["just now", "just now", "1 minute ago", "2 hours ago", "1 day ago"]);
        assert_eq!(iso(1_763_712_000_000), "2025-11-21T08:00:00Z");
    }
}
