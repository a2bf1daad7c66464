//! Numbers as people read them.

use std::time::Duration;

/// An amount of money. Small ones keep two significant digits, so that nothing that costs something reads as nothing.
///
/// ```
/// use crow_plugin_analytics::dollars;
///
/// assert_eq!([dollars(12.3456), dollars(0.0123), dollars(0.000_012_3), dollars(0.0)], ["$12.35", "$0.012", "$0.000012", "$0.00"]);
/// ```
pub fn dollars(amount: f64) -> String {
    if amount == 0.0 || amount >= 0.1 {
        return format!("${amount:.2}");
    }
    let digits = (1.0 - amount.log10().floor()) as usize;
    format!("${amount:.*}", digits.min(9))
}

/// A count, shortened from ten thousand on.
///
/// ```
/// use crow_plugin_analytics::compact;
///
/// assert_eq!([compact(9_999), compact(12_345), compact(661_734), compact(1_500_000)], ["9,999", "12.3k", "662k", "1.5M"]);
/// ```
pub fn compact(count: u64) -> String {
    match count {
        0..10_000 => grouped(count),
        10_000..1_000_000 => format!("{}k", one_decimal(count as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{}M", one_decimal(count as f64 / 1e6)),
        _ => format!("{}G", one_decimal(count as f64 / 1e9)),
    }
}

/// A count in full, with commas.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One decimal, as long as it says anything.
fn one_decimal(number: f64) -> String {
    let text = format!("{number:.*}", usize::from(number < 99.95));
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A time in the unit that fits it.
///
/// ```
/// use std::time::Duration;
/// use crow_plugin_analytics::duration;
///
/// let said = [250, 4_200, 90_000_000, 42_000_000_000].map(|nanos| duration(Duration::from_nanos(nanos)));
/// assert_eq!(said, ["250 ns", "4.2 µs", "90 ms", "42 s"]);
/// ```
pub fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (number, unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        1_000_000_000..120_000_000_000 => (nanos as f64 / 1e9, "s"),
        120_000_000_000..7_200_000_000_000 => (nanos as f64 / 6e10, "min"),
        _ => (nanos as f64 / 3.6e12, "h"),
    };
    if number < 9.95 { format!("{} {unit}", one_decimal(number)) } else { format!("{number:.0} {unit}") }
}

/// `1 run`, `2 runs`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_sense_at_the_edges() {
        assert_eq!([compact(0), compact(999), compact(10_000), compact(2_000_000_000)], ["0", "999", "10k", "2G"]);
        assert_eq!([grouped(1_000), grouped(1_234_567)], ["1,000", "1,234,567"]);
        assert_eq!(dollars(1e-12), "$0.000000000");
        assert_eq!(duration(Duration::from_millis(9_960)), "10 s");
        assert_eq!(duration(Duration::from_hours(3)), "3 h");
        assert_eq!([counted(1, "run"), counted(0, "run")], ["1 run", "0 runs"]);
    }
}
