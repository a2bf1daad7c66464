//! The plots of the page: columns for days, bars in tables.

use crate::page::{escape, put};
use crate::report::{Figures, Group};

/// Most labels below a chart.
const LABELS: usize = 7;

/// A chart with one column for each day, its parts stacked in the order in which they are given.
pub(crate) fn columns(
    page: &mut String,
    class: &str,
    title: &str,
    days: &[Group],
    parts: impl Fn(&Figures) -> Vec<(&'static str, f64)>,
    say: impl Fn(&Figures) -> String,
    label: impl Fn(f64) -> String,
) {
    let sum = |day: &Group| parts(&day.figures).iter().map(|(_, part)| part).sum::<f64>();
    let top = round_up(days.iter().map(sum).fold(0.0, f64::max));
    let peak = days.iter().max_by(|a, b| sum(a).total_cmp(&sum(b)));
    let peak = peak.map(|day| format!("; most on {}: {}", day.name, say(&day.figures))).unwrap_or_default();
    put(page, &format!("<div class=\"chart{class}\" style=\"max-width:{}rem\">\n", (days.len() * 5 + 4).min(200)));
    put(
        page,
        &format!(
            "<div class=\"y small dim\" aria-hidden=\"true\"><span>{}</span><span>{}</span><span>0</span></div>\n",
            label(top),
            label(top / 2.0)
        ),
    );
    put(
        page,
        &format!(
            "<svg viewBox=\"0 0 {} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{title}{}\">\n",
            days.len() * 10,
            escape(&peak)
        ),
    );
    for (at, day) in days.iter().enumerate() {
        let mut y = 100.0;
        let mut rects = String::new();
        for (colour, part) in parts(&day.figures) {
            let height = part / top * 100.0;
            if height > 0.0 {
                // What is there at all is seen.
                let height = height.max(0.6).min(y);
                y -= height;
                let x = at * 10 + 1;
                put(
                    &mut rects,
                    &format!(
                        "<rect x=\"{x}\" y=\"{y:.2}\" width=\"8\" height=\"{height:.2}\" fill=\"var(--{colour})\"/>"
                    ),
                );
            }
        }
        if !rects.is_empty() {
            put(page, &format!("<g><title>{}: {}</title>{rects}</g>\n", day.name, escape(&say(&day.figures))));
        }
    }
    *page += "</svg>\n<div class=\"x small dim\" aria-hidden=\"true\">";
    let last = days.len().saturating_sub(1);
    let labels = LABELS.min(days.len());
    for at in 0..labels {
        let day = if labels > 1 { at * last / (labels - 1) } else { 0 };
        // The year is above.
        let text = days[day].name.get(5..).unwrap_or(&days[day].name);
        let class = if at == 0 || at + 1 == labels || at * 2 + 1 == labels { "" } else { " class=\"between\"" };
        put(page, &format!("<span{class}>{}</span>", escape(text)));
    }
    *page += "</div>\n</div>\n";
}

/// A horizontal bar of parts, each a share of the whole width.
pub(crate) fn track(parts: &[(&str, f64)]) -> String {
    let mut spans = String::new();
    for (colour, share) in parts.iter().filter(|(_, share)| *share > 0.0) {
        let percent = (share * 100.0).min(100.0);
        put(&mut spans, &format!("<span style=\"width:{percent:.2}%;--of:var(--{colour})\"></span>"));
    }
    format!("<div class=\"track\" aria-hidden=\"true\">{spans}</div>")
}

/// The next of 1, 2, 4, 5, 8 and 10 times a power of ten: half of it is a round number too.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        let ends = [0.0, 0.03, 1.0, 3.0, 4.1, 73.0, 81.0, 1_234.0].map(round_up);
        let said = ends.map(|end| end.to_string());
        assert_eq!(said, ["1", "0.04", "1", "4", "5", "80", "100", "2000"]);
    }
}
