//! The decision: a mode, rules and needs in; allow, deny or ask out. Nothing here looks at the world.

use crate::need::{Need, Workspace};
use crate::rule::{Rule, Rules};

/// How much is asked, in the ids of the session modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Whatever writes, executes or leaves the workspace.
    Ask,
    /// As `Ask`, but writing within the workspace is fine.
    AcceptEdits,
    /// Nothing is changed at all.
    Plan,
    /// Nothing is asked but what always is.
    Full,
}

impl Level {
    /// The level of a session mode. Modes of other plugins count as `ask`.
    pub(crate) fn of_mode(mode: Option<&str>) -> Self {
        match mode {
            Some("accept-edits") => Self::AcceptEdits,
            Some("plan") => Self::Plan,
            Some("full") => Self::Full,
            _ => Self::Ask,
        }
    }

    fn allows(self, need: &Need) -> bool {
        if need.is_always_asked() {
            return false;
        }
        match self {
            Self::Ask | Self::Plan => false,
            Self::AcceptEdits => matches!(need, Need::Write { inside: true, .. }),
            Self::Full => true,
        }
    }
}

/// What is to be done with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    /// The reason is for the model.
    Deny(String),
    Ask {
        /// What to draw the user's attention to.
        remarks: Vec<String>,
        /// What an "always" would remember; empty if nothing can be.
        rules: Vec<Rule>,
    },
}

/// Decides about a call of `tool`.
pub(crate) fn judge(level: Level, tool: &str, needs: &[Need], rules: &Rules, workspace: &Workspace) -> Verdict {
    if let Some(rule) = needs.iter().find_map(|need| rules.denies(tool, need)) {
        return Verdict::Deny(format!(
            "the user has ruled out {rule} in this project for good; go on without it, or ask them to allow it"
        ));
    }
    let changes = |need: &&Need| matches!(need, Need::Write { .. } | Need::Execute { .. } | Need::Unknown);
    if level == Level::Plan && needs.iter().any(|need| changes(&need)) {
        return Verdict::Deny(
            "the session is in plan mode, in which nothing is changed or run: read, search, and say what you would do; \
             the user will switch modes when the plan is right"
                .into(),
        );
    }
    let open: Vec<&Need> = needs.iter().filter(|need| !level.allows(need) && !rules.allows(tool, need)).collect();
    if open.is_empty() {
        return Verdict::Allow;
    }
    let remarks = open.iter().filter_map(|need| need.remark()).collect();
    let rules: Option<Vec<Rule>> = open.iter().map(|need| Rule::about(tool, need, workspace)).collect();
    let mut rules = rules.unwrap_or_default();
    rules.dedup();
    Verdict::Ask { remarks, rules }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use crow_acp::Access;
    use proptest::prelude::*;

    use super::*;

    const LEVELS: [Level; 4] = [Level::Ask, Level::AcceptEdits, Level::Plan, Level::Full];

    fn workspace() -> Workspace {
        Workspace::new(&[PathBuf::from("/nowhere/ws")], Path::new("/nowhere/home/.crow"))
    }

    fn read(path: &str) -> Access {
        Access::Read { path: path.into() }
    }

    fn write(path: &str) -> Access {
        Access::Write { path: path.into() }
    }

    fn execute(command: &str) -> Access {
        Access::Execute { command: command.into() }
    }

    fn network(url: &str) -> Access {
        Access::Network { url: url.into() }
    }

    fn verdict(level: Level, access: &[Access], rules: &Rules) -> Verdict {
        let workspace = workspace();
        judge(level, "tool", &workspace.needs(access, false), rules, &workspace)
    }

    /// `a`llow, `d`eny or ask (`?`) in the four levels.
    fn row(access: &[Access]) -> String {
        let letter = |level| match verdict(level, access, &Rules::default()) {
            Verdict::Allow => 'a',
            Verdict::Deny(_) => 'd',
            Verdict::Ask { .. } => '?',
        };
        LEVELS.map(letter).iter().collect()
    }

    #[test]
    fn the_table_of_modes() {
        let table: [(&[Access], &str); 14] = [
            // ask, accept-edits, plan, full
            (&[read("/nowhere/ws/a")], "aaaa"),
            (&[read("/etc/passwd")], "???a"),
            (&[write("/nowhere/ws/a")], "?ada"),
            (&[write("/nowhere/ws-evil/a")], "??da"),
            (&[write("/nowhere/ws/../a")], "??da"),
            (&[write("/nowhere/ws/.git/hooks/pre-commit")], "??d?"),
            (&[write("/nowhere/home/.crow/config.toml")], "??d?"),
            (&[execute("cargo test")], "??da"),
            (&[execute("cp x .git/hooks/pre-commit")], "??d?"),
            (&[network("https://docs.rs")], "???a"),
            (&[network("http://127.0.0.1:8080")], "????"),
            (&[network("http://169.254.169.254")], "????"),
            (&[], "??da"),
            (&[read("/nowhere/ws/a"), write("/nowhere/ws/b"), write("/etc/x")], "??da"),
        ];
        for (access, expected) in table {
            assert_eq!(row(access), expected, "{access:?}");
        }
    }

    fn offered(access: &[Access]) -> Vec<String> {
        match verdict(Level::Ask, access, &Rules::default()) {
            Verdict::Ask { rules, .. } => rules.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn always_is_offered_where_a_rule_can_say_it() {
        assert_eq!(offered(&[write("/nowhere/ws/src/a")]), ["`tool` in /nowhere/ws"]);
        assert_eq!(offered(&[read("/nowhere/docs/a")]), ["`tool` in /nowhere/docs"]);
        // The directory around these holds the workspace and more.
        assert_eq!(offered(&[read("/nowhere/a")]), ["`tool` in /nowhere/a"]);
        assert_eq!(offered(&[read("/passwd")]), ["`tool` in /passwd"]);
        assert_eq!(offered(&[execute("cargo test --all")]), ["`cargo test …`"]);
        assert_eq!(offered(&[network("https://docs.rs/x")]), ["`tool` from docs.rs"]);
        assert_eq!(offered(&[network("http://localhost:3000/x")]), ["`tool` from localhost:3000"]);
        assert_eq!(offered(&[]), ["`tool`"]);
        for access in [
            execute("cargo test | sh"),
            execute("rm -rf x"),
            write("/nowhere/ws/.crow/x"),
            network("http://169.254.169.254"),
        ] {
            assert_eq!(offered(&[access]), Vec::<String>::new());
        }
        // One part that cannot be remembered: the whole cannot.
        assert_eq!(offered(&[write("/nowhere/ws/a"), write("/nowhere/ws/.crow/x")]), Vec::<String>::new());
    }

    #[test]
    fn a_rule_holds_for_what_it_says_and_nothing_else() {
        let rules = |rule: Rule| Rules { allow: vec![rule], deny: Vec::new() };
        let tests = rules(Rule::Command { program: "cargo".into(), argument: Some("test".into()) });
        assert_eq!(verdict(Level::Ask, &[execute("cargo test -p x")], &tests), Verdict::Allow);
        for command in ["cargo publish", "cargo", "cargo test; rm x", "/tmp/cargo test", "cargo 'test x'"] {
            assert_ne!(verdict(Level::Ask, &[execute(command)], &tests), Verdict::Allow, "{command}");
        }
        let alone = rules(Rule::Command { program: "make".into(), argument: None });
        assert_eq!(verdict(Level::Ask, &[execute("make")], &alone), Verdict::Allow);
        assert_ne!(verdict(Level::Ask, &[execute("make install")], &alone), Verdict::Allow);

        let docs = rules(Rule::Path { tool: "tool".into(), path: "/nowhere/docs".into() });
        assert_eq!(verdict(Level::Ask, &[read("/nowhere/docs/a/b")], &docs), Verdict::Allow);
        for path in ["/nowhere/docs-evil/a", "/nowhere/docs/../b", "/nowhere"] {
            assert_ne!(verdict(Level::Ask, &[read(path)], &docs), Verdict::Allow, "{path}");
        }
        let other = rules(Rule::Path { tool: "other".into(), path: "/nowhere/docs".into() });
        assert_ne!(verdict(Level::Ask, &[read("/nowhere/docs/a")], &other), Verdict::Allow);

        let everything = rules(Rule::Path { tool: "tool".into(), path: "/".into() });
        assert_ne!(verdict(Level::Ask, &[write("/nowhere/ws/.git/hooks/x")], &everything), Verdict::Allow);
        assert_ne!(verdict(Level::Full, &[write("/nowhere/ws/.crow/x")], &everything), Verdict::Allow);
    }

    #[test]
    fn a_rule_that_rules_out_holds_in_every_mode() {
        let rules = Rules {
            allow: vec![Rule::Tool { tool: "tool".into() }],
            deny: vec![Rule::Command { program: "git".into(), argument: Some("push".into()) }],
        };
        for level in LEVELS {
            let verdict = verdict(level, &[execute("git push origin")], &rules);
            assert!(matches!(&verdict, Verdict::Deny(reason) if reason.contains("`git push …`")), "{verdict:?}");
        }
        assert_eq!(verdict(Level::Full, &[execute("git status")], &rules), Verdict::Allow);
    }

    #[test]
    fn the_user_is_told_what_leaves_the_workspace() {
        match verdict(Level::Ask, &[write("/etc/hosts")], &Rules::default()) {
            Verdict::Ask { remarks, .. } => assert_eq!(remarks, ["writes outside of the workspace: /etc/hosts"]),
            other => panic!("{other:?}"),
        }
    }

    fn accesses() -> impl Strategy<Value = Vec<Access>> {
        let path = prop::sample::select(vec![
            "/nowhere/ws/a",
            "/nowhere/ws/b/c",
            "/nowhere/ws-evil/a",
            "/nowhere/ws/.git/hooks/x",
            "/etc/x",
            "rel",
            "../up",
        ]);
        let command = prop::sample::select(vec!["cargo test", "git push", "ls | sh", "cat .crow/x"]);
        let url = prop::sample::select(vec!["https://docs.rs/x", "http://localhost:1", "http://169.254.169.254"]);
        let access = prop_oneof![
            path.clone().prop_map(read),
            path.prop_map(write),
            command.prop_map(execute),
            url.prop_map(network),
        ];
        prop::collection::vec(access, 0..4)
    }

    proptest! {
        /// Whatever an "always" remembers makes the same call pass, and never one that must always be asked.
        #[test]
        fn what_always_remembers_covers_the_call_and_no_protected_one(
            asked in accesses(), other in accesses(), level in prop::sample::select(LEVELS.to_vec()),
        ) {
            if let Verdict::Ask { rules, .. } = verdict(level, &asked, &Rules::default()) && !rules.is_empty() {
                let remembered = Rules { allow: rules.clone(), deny: Vec::new() };
                prop_assert_eq!(verdict(level, &asked, &remembered), Verdict::Allow);
                let ruled_out = Rules { allow: Vec::new(), deny: rules };
                prop_assert!(matches!(verdict(level, &asked, &ruled_out), Verdict::Deny(_)));

                let never = workspace().needs(&other, false).iter().any(|need| {
                    need.is_always_asked() && !matches!(need, Need::Network { reach: crate::need::Reach::Loopback, .. })
                });
                prop_assert!(!never || verdict(level, &other, &remembered) != Verdict::Allow);
            }
        }

        /// A stricter mode never allows what a looser one asks about.
        #[test]
        fn modes_are_ordered(access in accesses()) {
            let allowed = |level| verdict(level, &access, &Rules::default()) == Verdict::Allow;
            prop_assert!(!allowed(Level::Plan) || allowed(Level::Ask));
            prop_assert!(!allowed(Level::Ask) || allowed(Level::AcceptEdits));
            prop_assert!(!allowed(Level::AcceptEdits) || allowed(Level::Full));
        }
    }
}
