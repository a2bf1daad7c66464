//! The list of skills in the system prompt: names and descriptions, within a budget.

use std::fmt::Write as _;

use crate::settings::BYTES_PER_TOKEN;
use crate::skill::Skill;

const HEAD: &str = "\
# Skills

Instructions for particular kinds of work. When the task at hand fits one of these, call `load_skill` with its name before \
you begin, and follow what it says.
";

/// The list, and how many of the skills it names. Descriptions are shortened until it has at most `tokens`, then left
/// out, then the last skills are; always in the same words for the same skills and budget.
pub(crate) fn write(skills: &[Skill], tokens: usize) -> (String, usize) {
    let most = tokens * BYTES_PER_TOKEN;
    let longest = skills.iter().map(|skill| skill.description.len()).max().unwrap_or(0);
    // The largest length of descriptions that fits, by halving.
    let (mut fits, mut too_long) = (0, longest + 1);
    while too_long - fits > 1 {
        let middle = usize::midpoint(fits, too_long);
        if render(skills, skills.len(), middle).len() <= most {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    // A word or two of a description say less than none.
    let fits = if fits < longest.min(24) { 0 } else { fits };
    let named = (0..=skills.len()).rev().find(|named| render(skills, *named, fits).len() <= most).unwrap_or(0);
    (render(skills, named, fits), named)
}

fn render(skills: &[Skill], named: usize, most: usize) -> String {
    let mut text = HEAD.to_owned();
    for skill in &skills[..named] {
        text.push_str("\n- ");
        text.push_str(&skill.name);
        if most > 0 {
            text.push_str(": ");
            text.push_str(&shortened(&skill.description, most));
        }
    }
    if named < skills.len() {
        let more = skills.len() - named;
        let _ = write!(text, "\n- and {more} more: `search_skills` finds them");
    }
    text
}

fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    let end = text[..end].rfind(' ').filter(|space| *space > end / 2).unwrap_or(end);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skills(count: usize) -> Vec<Skill> {
        let skill = |number| Skill {
            name: format!("skill-{number}"),
            description: format!("Does the {number}th thing that there is to do, whenever somebody asks for it."),
            directory: "/x".into(),
            of_project: false,
        };
        (0..count).map(skill).collect()
    }

    #[test]
    fn with_room_descriptions_are_whole() {
        let (text, named) = write(&skills(2), 1_000);
        assert_eq!(named, 2);
        assert!(text.ends_with(
            "\n- skill-0: Does the 0th thing that there is to do, whenever somebody asks for it.\
             \n- skill-1: Does the 1th thing that there is to do, whenever somebody asks for it."
        ));
    }

    #[test]
    fn the_budget_holds() {
        for tokens in [80, 150, 200, 400, 2_000] {
            let (text, named) = write(&skills(50), tokens);
            assert!(text.len() <= tokens * BYTES_PER_TOKEN, "{} of {tokens}", text.len() / BYTES_PER_TOKEN);
            assert_eq!(named == 50, !text.contains("more: `search_skills`"), "{tokens}: {text}");
        }
        let (text, _) = write(&skills(50), 700);
        assert!(text.contains("- skill-49: Does the 49th"), "{text}");
        let (text, _) = write(&skills(50), 300);
        assert!(text.contains("- skill-49") && !text.contains("Does"), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn never_over_budget(count in 0_usize..40, tokens in 70_usize..900) {
            let (text, named) = write(&skills(count), tokens);
            assert!(text.len() <= tokens * BYTES_PER_TOKEN || named == 0);
        }
    }
}
