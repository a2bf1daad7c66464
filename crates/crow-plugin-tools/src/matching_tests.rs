use proptest::prelude::*;

use super::*;

fn edited(text: &str, old: &str, new: &str) -> String {
    replace(text, old, new, false).unwrap().text
}

fn lines_of(error: Result<Edited, MatchError>) -> Vec<usize> {
    match error {
        Err(MatchError::Ambiguous(lines)) => lines,
        other => panic!("not ambiguous: {other:?}"),
    }
}

#[test]
fn an_exact_place_is_replaced_letter_by_letter() {
    let edit = replace("one\ntwo\nthree\n", "two", "2", false).unwrap();
    assert_eq!(edit, Edited { text: "one\n2\nthree\n".into(), lines: vec![2], tolerant: false });
    assert_eq!(edited("a b c", "b ", ""), "a c");
    assert_eq!(edited("  if x:\n", "if x:\n", "if y:\n"), "  if y:\n");
}

#[test]
fn two_places_are_never_guessed_between() {
    assert_eq!(lines_of(replace("x\ny\nx\n", "x", "z", false)), [1, 3]);
    assert_eq!(lines_of(replace("aaa", "aa", "b", false)), [1, 1], "overlapping places are two places");
    assert_eq!(lines_of(replace("\tfoo()\n    foo()\n", " \tfoo()\n", "bar()\n", false)), [1, 2]);
    assert_eq!(lines_of(replace("foo \nx\nfoo  \n", "foo\t\n", "bar\n", false)), [1, 3]);
    assert_eq!(lines_of(replace("f(a,  b) f(a,   b)", "f(a, b)", "g()", false)), [1, 1]);
}

#[test]
fn the_stricter_match_decides() {
    assert_eq!(edited("  a b\n\ta  b\n", "a  b", "c"), "  a b\n\tc\n");
    assert_eq!(edited("if x: \n  if x:\n", "if x:\t\n", "if y:\n"), "if y:\n  if x:\n");
}

#[test]
fn all_places_are_replaced_on_demand() {
    let edit = replace("x\ny\nx\n", "x", "zz", true).unwrap();
    assert_eq!((edit.text.as_str(), edit.lines.as_slice()), ("zz\ny\nzz\n", &[1, 3][..]));
    assert_eq!(replace("aaaa", "aa", "b", true).unwrap().text, "bb");
    assert_eq!(replace("\tx = 1\n  x  = 1\n", " x = 1\n", " y = 1\n", true).unwrap().text, "\ty = 1\n  y = 1\n");
}

#[test]
fn windows_line_endings_stay() {
    assert_eq!(edited("a\r\nb\r\nc\r\n", "a\nb", "x\ny"), "x\r\ny\r\nc\r\n");
    assert_eq!(edited("a\r\nb\r\n", "b", "b\nc"), "a\r\nb\r\nc\r\n");
    assert_eq!(edited("a\nb\n", "a\r\nb\r\n", "x\r\n"), "x\n");
    assert_eq!(edited("a\r\nb\nc\nd\n", "a\nb", "x\ny"), "x\r\ny\nc\nd\n", "mixed endings: the others stay");
    assert_eq!(edited("mid a\r\nb end\r\n", "a\nb", "c"), "mid c end\r\n");
}

#[test]
fn indentation_drift_is_overlooked_and_put_right() {
    let file = "fn main() {\n\tif ready {\n\t\tgo();\n\t}\n}\n";
    let old = "    if ready {\n        go();\n    }\n";
    let new = "    if ready {\n        for _ in 0..2 {\n            go();\n        }\n    }\n";
    let edit = replace(file, old, new, false).unwrap();
    assert!(edit.tolerant);
    assert_eq!(edit.text, "fn main() {\n\tif ready {\n\t\tfor _ in 0..2 {\n\t\t\tgo();\n\t\t}\n\t}\n}\n");
    assert_eq!(edited("        x = 1\n", "  x = 1 \n", "  x = 2\n  y = 3\n"), "        x = 2\n        y = 3\n");
    assert_eq!(edited("\tx()\n", "    x()\n", "    if y:\n        x()\n"), "\tif y:\n\t\tx()\n");
    assert_eq!(edited("        deep()\n", "    deep()\n", "if a:\n    deep()\n"), "    if a:\n        deep()\n");
}

#[test]
fn a_match_that_cuts_through_indentation_counts_if_no_line_fits() {
    assert_eq!(edited("    a(b) + c\n", "  a(b)", "  d"), "    d + c\n");
    assert_eq!(lines_of(replace("    a()\nx  a()\n", "  a()", "b", false)), [1, 2]);
}

#[test]
fn another_structure_is_another_text() {
    let file = "if a:\n    b()\n    c()\n";
    assert!(matches!(replace(file, "  if a:\n      b()\n  c()\n", "x", false), Err(MatchError::NotFound(_))));
    assert!(matches!(replace("x\n  y\n", "  x\n  y\n", "z", false), Err(MatchError::NotFound(_))));
}

#[test]
fn whitespace_within_a_line_is_overlooked() {
    assert_eq!(edited("let x  =  f(a,\tb); // why\n", "x = f(a, b);", "y = g();"), "let y = g(); // why\n");
    assert!(replace("foo(a,b)", "foo(a, b)", "x", false).is_err(), "none is not some");
    assert!(replace("foobar", "foo bar", "x", false).is_err());
}

#[test]
fn what_is_not_there_names_the_most_similar_place() {
    let error =
        replace("a\nfn x() {\n    one();\n}\n", "fn x() {\n    two();\n}\n", "z", false).unwrap_err().to_string();
    assert_eq!(
        error,
        "`old_text` does not occur in the file. The most similar place is at line 2:\nfn x() {\n    one();\n}"
    );
    assert_eq!(replace("", "x", "y", false), Err(MatchError::NotFound(None)));
    assert_eq!(
        replace("x", "x\ny\nz", "y", false).unwrap_err(),
        MatchError::NotFound(Some(Near { line: 1, text: "x".into() }))
    );
}

#[test]
fn edits_that_say_nothing_are_refused() {
    assert_eq!(replace("x", "", "y", false), Err(MatchError::Empty));
    assert_eq!(replace("x", "x", "x", false), Err(MatchError::Same));
    assert_eq!(
        replace("a\n\nb\n", " \n\t\n", "y", false),
        Err(MatchError::NotFound(None)),
        "blank lines are everywhere"
    );
}

/// A file of distinct lines, so that each place in it is unmistakable.
fn distinct_lines() -> impl Strategy<Value = Vec<(usize, String)>> {
    let line = (0usize..4, "[a-z]{1,6}");
    prop::collection::vec(line, 3..20).prop_map(|lines| {
        lines.into_iter().enumerate().map(|(index, (depth, word))| (depth, format!("{word} {index};"))).collect()
    })
}

fn indented(lines: &[(usize, String)], unit: &str, base: usize, end: &str) -> String {
    lines.iter().flat_map(|(depth, line)| [unit.repeat(depth + base), line.clone(), end.to_owned()]).collect()
}

proptest! {
    #[test]
    fn a_unique_exact_place_is_what_string_replacement_does(text in "[ab \n]{0,30}", old in "[ab \n]{1,4}", new in "[abc]{0,4}") {
        prop_assume!(!old.starts_with(' '));
        let count = (0..text.len()).filter(|at| text[*at..].starts_with(&old)).count();
        let result = replace(&text, &old, &new, false);
        match count {
            0 => {}
            _ if old == new => prop_assert_eq!(result, Err(MatchError::Same)),
            1 => prop_assert_eq!(result.unwrap().text, text.replacen(&old, &new, 1)),
            more => prop_assert_eq!(lines_of(result).len(), more),
        }
    }

    #[test]
    fn drift_finds_the_place_and_leaves_the_rest_alone(
        lines in distinct_lines(), tabs in any::<bool>(), crlf in any::<bool>(), base in 0usize..3, trail in "[ \t]{0,2}",
        from in 0usize..18, length in 1usize..6,
    ) {
        let from = from % lines.len();
        let range = from..(from + length).min(lines.len());
        let (unit, end) = (if tabs { "\t" } else { "    " }, if crlf { "\r\n" } else { "\n" });
        let file = indented(&lines, unit, base, end);
        let old = indented(&lines[range.clone()], "  ", 0, &format!("{trail}\n"));
        let mut changed = lines.clone();
        for line in &mut changed[range.clone()] {
            line.1.push_str(" // new");
        }
        let new = indented(&changed[range], "  ", 0, "\n");
        let edit = replace(&file, &old, &new, false).unwrap();
        prop_assert_eq!(edit.text, indented(&changed, unit, base, end));
    }

    #[test]
    fn nothing_makes_it_fail_or_touch_another_place(text in "[a \t\r\né]{0,40}", old in "[a \t\r\né]{0,8}", new in "[b\r\n ]{0,5}", all in any::<bool>()) {
        if let Ok(edit) = replace(&text, &old, &new, all) {
            prop_assert_eq!(edit.lines.is_empty(), false);
            let kept: String = edit.text.chars().filter(|c| !"b \t\r\n".contains(*c)).collect();
            let before: String = text.chars().filter(|c| !" \t\r\n".contains(*c)).collect();
            prop_assert!(kept.len() <= before.len());
            if !all {
                let taken = old.chars().filter(|c| !c.is_whitespace()).map(char::len_utf8).sum::<usize>();
                prop_assert_eq!(kept.len() + taken, before.len());
            }
        }
    }
}
