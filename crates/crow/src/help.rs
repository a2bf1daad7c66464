//! Help that teaches: one page per command, with examples.

/// What there is help for: the program and its commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Crow,
    Acp,
    Run,
    Demo,
    Init,
    Doctor,
    Plugins,
    Hooks,
    Sessions,
    Stats,
    Import,
    Plugin,
    Trust,
}

impl Topic {
    /// All of them.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Crow,
        Self::Run,
        Self::Acp,
        Self::Demo,
        Self::Init,
        Self::Doctor,
        Self::Plugins,
        Self::Hooks,
        Self::Sessions,
        Self::Stats,
        Self::Import,
        Self::Plugin,
        Self::Trust,
    ];

    /// The command called `word`. `login` is what editors run to set an agent up: the same as `init`.
    pub(crate) fn of(word: &str) -> Option<Self> {
        let word = if word == "login" { "init" } else { word };
        Self::ALL.iter().copied().find(|topic| *topic != Self::Crow && topic.name() == word)
    }

    /// The command's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crow => "crow",
            Self::Acp => "acp",
            Self::Run => "run",
            Self::Demo => "demo",
            Self::Init => "init",
            Self::Doctor => "doctor",
            Self::Plugins => "plugins",
            Self::Hooks => "hooks",
            Self::Sessions => "sessions",
            Self::Stats => "stats",
            Self::Import => "import",
            Self::Plugin => "plugin",
            Self::Trust => "trust",
        }
    }

    /// How it is called.
    pub(crate) fn call(self) -> String {
        if self == Self::Crow { "crow".to_owned() } else { format!("crow {}", self.name()) }
    }

    /// The page.
    pub(crate) fn page(self) -> &'static str {
        match self {
            Self::Crow => include_str!("help/crow.txt"),
            Self::Acp => include_str!("help/acp.txt"),
            Self::Run => include_str!("help/run.txt"),
            Self::Demo => include_str!("help/demo.txt"),
            Self::Init => include_str!("help/init.txt"),
            Self::Doctor => include_str!("help/doctor.txt"),
            Self::Plugins => include_str!("help/plugins.txt"),
            Self::Hooks => include_str!("help/hooks.txt"),
            Self::Sessions => include_str!("help/sessions.txt"),
            Self::Stats => include_str!("help/stats.txt"),
            Self::Import => include_str!("help/import.txt"),
            Self::Plugin => include_str!("help/plugin.txt"),
            Self::Trust => include_str!("help/trust.txt"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_says_how_to_call_it_and_fits_a_terminal() {
        for topic in Topic::ALL {
            let page = topic.page();
            assert!(page.contains(&format!("Usage: {}", topic.call())), "{topic:?}");
            let widest = page.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(90), "{topic:?} has a line of {widest:?} columns");
        }
    }
}
