//! Rules: what the user has said once and for all, for one project.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::command::program;
use crate::need::{Need, Reach, Workspace};

/// What a user's "always" covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Rule {
    /// Calls of a tool that touch a canonical path or what is below it.
    Path { tool: String, path: PathBuf },
    /// Commands of one program with this first argument; without one, the program alone.
    Command {
        program: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        argument: Option<String>,
    },
    /// Calls of a tool to one host and port.
    Host { tool: String, host: String },
    /// Calls of a tool that does not say what it touches.
    Tool { tool: String },
}

impl Rule {
    /// The rule an "always" makes about what a call of `tool` needs. `None` where nothing but this one call can be
    /// allowed or ruled out.
    pub(crate) fn about(tool: &str, need: &Need, workspace: &Workspace) -> Option<Self> {
        if need.is_always_asked() && !matches!(need, Need::Network { reach: Reach::Loopback, .. }) {
            return None;
        }
        let tool = tool.to_owned();
        Some(match need {
            Need::Read { path, private: true } => Self::Path { tool, path: path.clone() },
            Need::Read { path, .. } | Need::Write { path, .. } => {
                let around = path.parent().filter(|directory| !workspace.lies_below(directory));
                let prefix = workspace.root_of(path).or(around).unwrap_or(path);
                Self::Path { tool, path: prefix.to_owned() }
            }
            Need::Execute { command, .. } => {
                let program = program(command)?;
                Self::Command { program: program.program, argument: program.argument }
            }
            Need::Network { host, .. } => Self::Host { tool, host: host.clone() },
            Need::Unknown => Self::Tool { tool },
        })
    }

    /// Whether it is about what a call of `tool` needs.
    pub(crate) fn covers(&self, tool: &str, need: &Need) -> bool {
        match (self, need) {
            (Self::Path { tool: of, path: prefix }, Need::Read { path, .. } | Need::Write { path, .. }) => {
                // What is private takes a rule of its own, not one about a directory around it.
                let is_private = matches!(need, Need::Read { private: true, .. });
                of == tool && if is_private { path == prefix } else { path.starts_with(prefix) }
            }
            (Self::Command { program: name, argument }, Need::Execute { command, .. }) => {
                program(command).is_some_and(|read| read.program == *name && read.argument == *argument)
            }
            (Self::Host { tool: of, host: known }, Need::Network { host, .. }) => of == tool && known == host,
            (Self::Tool { tool: of }, Need::Unknown) => of == tool,
            _ => false,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { tool, path } => write!(f, "`{tool}` in {}", path.display()),
            Self::Command { program, argument: Some(argument) } => write!(f, "`{program} {argument} …`"),
            Self::Command { program, argument: None } => write!(f, "`{program}`"),
            Self::Host { tool, host } => write!(f, "`{tool}` from {host}"),
            Self::Tool { tool } => write!(f, "`{tool}`"),
        }
    }
}

/// What the user has said about one project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rules {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) deny: Vec<Rule>,
}

impl Rules {
    pub(crate) fn allows(&self, tool: &str, need: &Need) -> bool {
        // What runs by itself later is never covered, whatever rule a path or a program would fit.
        let coverable = !need.is_always_asked() || matches!(need, Need::Network { reach: Reach::Loopback, .. });
        coverable && self.allow.iter().any(|rule| rule.covers(tool, need))
    }

    pub(crate) fn denies(&self, tool: &str, need: &Need) -> Option<&Rule> {
        self.deny.iter().find(|rule| rule.covers(tool, need))
    }
}
