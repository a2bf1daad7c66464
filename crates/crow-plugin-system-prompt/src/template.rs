//! A template that replaces all sections of this plugin.

use minijinja::{Environment, UndefinedBehavior, context};

use crate::facts::{Facts, Template};

/// Steps a template may take: far more than any prompt needs, and the end of a loop that has none.
const FUEL: u64 = 1_000_000;

/// What a template sees besides the facts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'a> {
    pub(crate) role: &'a str,
    pub(crate) append: &'a str,
    pub(crate) tools: &'a [String],
}

/// Renders the template.
///
/// # Errors
/// What is wrong with it, with its name and the line.
pub(crate) fn render(template: &Template, facts: &Facts, words: Words<'_>) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let variables = context! {
        workspace => facts.workspace.as_str(),
        display_tree => facts.tree.as_str(),
        agents_content => facts.agents.as_str(),
        environment => facts.environment.as_str(),
        date => facts.date.as_str(),
        role => words.role,
        append => words.append,
        tools => words.tools.to_vec(),
    };
    let rendered = environment.render_named_str(&template.name, &template.source, variables);
    rendered.map_err(|error| describe(&template.name, &error))
}

/// Says whether it is a template at all, without rendering it.
///
/// # Errors
/// What is wrong with it, with its name and the line.
pub(crate) fn check(template: &Template) -> Result<(), String> {
    let environment = Environment::new();
    let parsed = environment.template_from_named_str(&template.name, &template.source);
    parsed.map(drop).map_err(|error| describe(&template.name, &error))
}

fn describe(name: &str, error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("the template of the system prompt ({name}{line}) is wrong: {}{detail}", error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            workspace: "/ws".into(),
            environment: "env".into(),
            date: "2026-11-21".into(),
            agents: "be brief".into(),
            tree: "src/\n".into(),
            template: None,
        }
    }

    fn rendered(source: &str) -> Result<String, String> {
        let template = Template { name: "t".into(), source: source.into() };
        let tools = ["read".to_owned(), "edit".to_owned()];
        render(&template, &facts(), Words { role: "You are x.", append: "", tools: &tools })
    }

    #[test]
    fn every_variable_is_there() {
        let source = "{{ role }} {{ workspace }} {{ display_tree | trim }} {{ agents_content }} {{ date }} {{ environment }}\
                      {% if append %}no{% endif %}{% for tool in tools %} {{ tool }}{% endfor %} <b>";
        assert_eq!(rendered(source).unwrap(), "You are x. /ws src/ be brief 2026-11-21 env read edit <b>");
    }

    #[test]
    fn errors_name_the_line_and_what_is_wrong() {
        let error = rendered("fine\n{{ workspce }}").unwrap_err();
        assert!(error.contains("(t, line 2)") && error.contains("undefined"), "{error}");
        let error = rendered("{% if %}").unwrap_err();
        assert!(error.contains("(t, line 1)"), "{error}");
        let broken = Template { name: "t".into(), source: "{{".into() };
        assert!(check(&broken).is_err());
    }

    #[test]
    fn a_template_without_end_is_stopped() {
        let source = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(rendered(source).unwrap_err().contains("fuel"));
    }
}
