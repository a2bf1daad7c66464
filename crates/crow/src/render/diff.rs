//! Changes of files: numbered lines, what went and what came.

use similar::{ChangeTag, TextDiff};

use super::clean::Cleaner;
use super::flow::cut;
use super::style::{Palette, Style};

/// Unchanged lines shown around a change.
const CONTEXT: usize = 2;
/// Most lines shown of one change.
const MOST: usize = 80;

/// A change as lines for a terminal, and how many lines came and went.
#[derive(Debug)]
pub(crate) struct Change {
    /// The lines, ready to print.
    pub(crate) lines: Vec<String>,
    /// Lines that came.
    pub(crate) added: usize,
    /// Lines that went.
    pub(crate) removed: usize,
}

/// The change from `old` (nothing: a new file) to `new`.
pub(crate) fn change(old: Option<&str>, new: &str, width: Option<usize>, palette: Palette) -> Change {
    let old = old.unwrap_or_default();
    let diff = TextDiff::from_lines(old, new);
    let digits = old.lines().count().max(new.lines().count()).to_string().len().max(3);
    let mut lines = Vec::new();
    let (mut added, mut removed) = (0, 0);
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            lines.push(palette.paint(Style::Dim, &format!("  {:>digits$}", "⋯")));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, style, number) = match change.tag() {
                ChangeTag::Equal => (' ', Style::Dim, change.new_index()),
                ChangeTag::Delete => ('-', Style::Bad, change.old_index()),
                ChangeTag::Insert => ('+', Style::Good, change.new_index()),
            };
            added += usize::from(sign == '+');
            removed += usize::from(sign == '-');
            let text = Cleaner::default().clean(change.value().trim_end_matches(['\n', '\r'])).replace('\t', "    ");
            let number = number.map_or_else(String::new, |index| (index + 1).to_string());
            let line = cut(format!("  {number:>digits$} {sign} {text}").trim_end(), width);
            lines.push(palette.paint(style, &line));
        }
    }
    if lines.len() > MOST {
        let hidden = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(palette.paint(Style::Dim, &format!("  … {hidden} more lines")));
    }
    Change { lines, added, removed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(old: Option<&str>, new: &str, width: Option<usize>, palette: Palette, expected: Expect) {
        let change = change(old, new, width, palette);
        let counts = format!("+{} -{}\n", change.added, change.removed);
        expected.assert_eq(&(counts + &change.lines.join("\n").replace('\x1b', "␛")));
    }

    fn numbered(from: usize, to: usize) -> String {
        (from..=to).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat()
    }

    #[test]
    fn two_places_far_apart() {
        let old = numbered(1, 30);
        let new =
            old.replace("line 3\n", "line three\n").replace("line 20\n", "").replace("line 21\n", "line 21\n\tadded\n");
        check(
            Some(&old),
            &new,
            None,
            Palette::PLAIN,
            expect![[r#"
            +2 -2
                1   line 1
                2   line 2
                3 - line 3
                3 + line three
                4   line 4
                5   line 5
                ⋯
               18   line 18
               19   line 19
               20 - line 20
               20   line 21
               21 +     added
               22   line 22
               23   line 23"#]],
        );
    }

    #[test]
    fn a_new_file_and_long_lines_on_a_narrow_terminal() {
        check(
            None,
            "#!/bin/sh\necho a rather long line of shell\n",
            Some(24),
            Palette::COLOURED,
            expect![[r#"
            +2 -0
            ␛[32m    1 + #!/bin/sh␛[0m
            ␛[32m    2 + echo a rather l…␛[0m"#]],
        );
    }

    #[test]
    fn a_big_change_is_not_shown_whole() {
        let change = change(None, &numbered(1, 500), None, Palette::PLAIN);
        assert_eq!((change.added, change.lines.len()), (500, MOST + 1));
        assert_eq!(change.lines[MOST], "  … 420 more lines");
    }
}
