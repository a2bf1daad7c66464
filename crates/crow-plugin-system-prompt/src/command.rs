//! `/prompt`: shows the system prompt, section by section.

use std::fmt::Write;

use crow_acp::{
    Agent, BoxFuture, Command, CommandCall, CommandError, CommandHandler, CommandReply, Scope, Section, Sections,
    Session,
};

/// The command.
pub(crate) fn command() -> Command {
    Command::new("prompt", "Show the system prompt: each section with its owner and size", Show).hint("section")
}

struct Show;

impl CommandHandler for Show {
    fn run<'a>(
        &'a self,
        agent: &'a Agent,
        session: &'a Session,
        call: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let mut prompt = Sections::default();
            let made = agent.hooks().system_prompt(agent, session, &mut prompt).await;
            made.map_err(|error| CommandError(error.to_string()))?;
            show(prompt.sections(), &call.arguments).map(CommandReply::Text).map_err(CommandError)
        })
    }
}

/// All sections, or the one called `wanted`.
fn show(sections: &[Section], wanted: &str) -> Result<String, String> {
    let mut text = String::new();
    if wanted.is_empty() {
        text.push_str("| section | owner | scope | tokens |\n| --- | --- | --- | ---: |\n");
        for section in sections {
            let scope = match section.scope {
                Scope::Static => "static",
                Scope::Session => "session",
                Scope::Turn => "turn",
            };
            let tokens = tokens(&section.text);
            let _ = writeln!(text, "| {} | {} | {scope} | {tokens} |", section.id, section.owner);
        }
        let total: usize = sections.iter().map(|section| tokens(&section.text)).sum();
        let _ = writeln!(text, "| all | | | {total} |\n\nTokens are estimated: four bytes to a token.");
    }
    let shown: Vec<&Section> = sections.iter().filter(|section| wanted.is_empty() || section.id == wanted).collect();
    if shown.is_empty() && !wanted.is_empty() {
        let known: Vec<&str> = sections.iter().map(|section| section.id.as_str()).collect();
        return Err(format!("there is no section `{wanted}`; the sections are {}", known.join(", ")));
    }
    for section in shown {
        let mut fence = "```".to_owned();
        while section.text.contains(&fence) {
            fence.push('`');
        }
        let _ = write!(text, "\n### {}\n\n{fence}text\n{}\n{fence}\n", section.id, section.text);
    }
    Ok(text)
}

fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn sections_are_shown_with_owner_and_size() {
        let sections = [
            Section::new("role", "system-prompt", Scope::Static, "You are x."),
            Section::new("more", "other", Scope::Turn, "```sh\nls\n```"),
        ];
        expect![[r#"
            | section | owner | scope | tokens |
            | --- | --- | --- | ---: |
            | role | system-prompt | static | 3 |
            | more | other | turn | 3 |
            | all | | | 6 |

            Tokens are estimated: four bytes to a token.

            ### role

            ```text
            You are x.
            ```

            ### more

            ````text
            ```sh
            ls
            ```
            ````
        "#]]
        .assert_eq(&show(&sections, "").unwrap());
        assert!(show(&sections, "role").unwrap().starts_with("\n### role\n"));
        assert_eq!(show(&sections, "rol").unwrap_err(), "there is no section `rol`; the sections are role, more");
    }
}
