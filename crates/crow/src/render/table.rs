//! Tables with bars, in lines that fit the terminal.

use unicode_width::UnicodeWidthStr;

use super::{Palette, Style};

/// Names are cut to this many columns.
const WIDEST_NAME: usize = 34;

/// A bar of fewer columns says nothing, one of more says no more.
const BAR: std::ops::RangeInclusive<usize> = 6..=40;

/// So many figures go before the bar.
const FIGURES: usize = 2;

/// What stands between two columns.
const GAP: usize = 2;

/// A table: a name, perhaps a bar, and figures in each row.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The heads of the figures.
    pub(crate) heads: Vec<&'static str>,
    /// How the parts of a bar look: told apart without colours too.
    pub(crate) looks: Vec<(char, Style)>,
    /// The rows.
    pub(crate) rows: Vec<Row>,
}

/// A row of a [`Table`].
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// What it is about.
    pub(crate) name: String,
    /// The parts of its bar, in the unit of all bars of the table.
    pub(crate) parts: Vec<f64>,
    /// Its figures.
    pub(crate) cells: Vec<String>,
}

impl Table {
    /// The lines of the table, none of them wider than `width` columns. What has no room goes: of more than two figures the
    /// last ones, then the bars, then the rest.
    pub(crate) fn lines(&self, width: usize, palette: Palette) -> Vec<String> {
        let name = self.rows.iter().map(|row| row.name.width()).max().unwrap_or(0).min(WIDEST_NAME).min(width);
        let room = width.saturating_sub(name);
        let beside = self.figures(room.saturating_sub(BAR.start() + GAP));
        let with_bar = !self.looks.is_empty() && beside.len() >= FIGURES.min(self.heads.len());
        let widths = if with_bar { beside } else { self.figures(room) };
        let shown = widths.len();
        let left = room - widths.iter().map(|width| width + GAP).sum::<usize>();
        let bar = if with_bar { left.saturating_sub(GAP).min(*BAR.end()) } else { 0 };
        let most = self.rows.iter().map(|row| row.parts.iter().sum::<f64>()).fold(0.0, f64::max);

        let mut lines = Vec::new();
        if !self.heads.is_empty() {
            let mut head = " ".repeat(name + if bar > 0 { bar + GAP } else { 0 });
            for (text, width) in self.heads[..shown].iter().zip(&widths) {
                head += &right(text, width + GAP);
            }
            lines.push(palette.paint(Style::Dim, head.trim_end()));
        }
        for row in &self.rows {
            let text = cut(&row.name, name);
            let mut line = format!("{text}{}", " ".repeat(name - text.width()));
            if bar > 0 {
                line += &" ".repeat(GAP);
                line += &self.bar(&row.parts, most, bar, palette);
            }
            for (text, width) in row.cells[..shown.min(row.cells.len())].iter().zip(&widths) {
                line += &right(text, width + GAP);
            }
            lines.push(line.trim_end().to_owned());
        }
        lines
    }

    /// The widths of the figures that fit into `room` columns.
    fn figures(&self, room: usize) -> Vec<usize> {
        let mut widths = Vec::new();
        let mut used = 0;
        for (at, head) in self.heads.iter().enumerate() {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| cell.width());
            let width = cells.max().unwrap_or(0).max(head.width());
            used += width + GAP;
            if used > room {
                break;
            }
            widths.push(width);
        }
        widths
    }

    /// `parts` of `most`, in exactly `width` columns.
    fn bar(&self, parts: &[f64], most: f64, width: usize, palette: Palette) -> String {
        let (mut bar, mut filled, mut sum) = (String::new(), 0, 0.0);
        for (part, (look, style)) in parts.iter().zip(&self.looks) {
            sum += part;
            let end = if most > 0.0 { (sum / most * width as f64).round() as usize } else { 0 };
            // What is there at all is seen, if there is room.
            let end = if *part > 0.0 { end.max(filled + 1) } else { end }.min(width);
            if end > filled {
                bar += &palette.paint(*style, &look.to_string().repeat(end - filled));
                filled = end;
            }
        }
        bar + &" ".repeat(width - filled)
    }
}

fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

/// `text` in at most `width` columns; of a path the end stays, of anything else the beginning.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let fits = |kept: &str| kept.width() <= room;
    if text.starts_with('/') {
        let end = text.char_indices().map(|(at, _)| &text[at..]).find(|kept| fits(kept));
        format!("…{}", end.unwrap_or_default())
    } else {
        let start = text.char_indices().rev().map(|(at, _)| &text[..at]).find(|kept| fits(kept));
        format!("{}…", start.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |name: &str, parts: [f64; 2], cells: [&str; 2]| Row {
            name: name.to_owned(),
            parts: parts.to_vec(),
            cells: cells.map(str::to_owned).to_vec(),
        };
        Table {
            heads: vec!["tokens", "cost"],
            looks: vec![('█', Style::Code), ('░', Style::Warn)],
            rows: vec![row("openai/gpt-5", [30.0, 10.0], ["40", "$1.00"]), row("a/b", [0.001, 0.0], ["0", "unknown"])],
        }
    }

    #[test]
    fn bars_take_the_room_that_figures_leave() {
        let lines = table().lines(44, Palette::PLAIN);
        assert_eq!(
            lines,
            [
                "                             tokens     cost",
                "openai/gpt-5  ██████████░░░      40    $1.00",
                "a/b           █                   0  unknown",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut table = table();
        table.rows[0].name = "/home/ada/a/very/long/path/to/a/project/of/hers".into();
        let bar = |width| table.lines(width, Palette::PLAIN)[1].contains('█');
        assert_eq!((bar(56), bar(70)), (false, true));
        for width in 1..100 {
            for line in table.lines(width, Palette::PLAIN) {
                assert!(line.width() <= width, "{width}: {line:?}");
            }
        }
        let line = &table.lines(50, Palette::PLAIN)[1];
        assert!(line.starts_with('…') && line.contains("project/of/hers"), "{line}");
    }
}
