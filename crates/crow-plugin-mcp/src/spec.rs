//! What a connection is made from: sessions that want the same share it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crow_acp::{McpTransport, Secret};

use crate::settings::{Given, Server, is_address};

/// A server and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spec {
    /// A program.
    Stdio {
        command: PathBuf,
        args: Vec<Secret>,
        env: BTreeMap<String, Secret>,
        /// Where it runs.
        cwd: PathBuf,
        /// What it is told of the workspace.
        roots: Vec<PathBuf>,
    },
    /// An address. It learns nothing of the workspace.
    Http { url: Secret, headers: BTreeMap<String, Secret> },
}

impl Spec {
    /// A server that the client asked for.
    pub(crate) fn of_client(transport: &McpTransport, roots: &[PathBuf]) -> Result<Self, String> {
        match transport {
            McpTransport::Stdio { command, args, env } => Ok(Self::Stdio {
                command: command.clone(),
                args: args.iter().map(|arg| Secret::new(arg.as_str())).collect(),
                env: env.clone(),
                cwd: first(roots),
                roots: roots.to_vec(),
            }),
            McpTransport::Http { url, headers } => Self::http(Secret::new(url.as_str()), headers.clone()),
            _ => Err("it is reached in a way that is not known here".into()),
        }
    }

    /// A server of the configuration. `None`: the section holds rules only.
    pub(crate) fn configured(server: &Server, home: &Path, roots: &[PathBuf]) -> Option<Result<Self, String>> {
        let all = |values: &BTreeMap<String, Given>| -> Result<BTreeMap<String, Secret>, String> {
            values.iter().map(|(name, value)| Ok((name.clone(), value.value()?.clone()))).collect()
        };
        match (&server.command, &server.url) {
            (Some(command), _) => Some(all(&server.env).and_then(|env| {
                let args: Result<_, String> = server.args.iter().map(|arg| arg.value().cloned()).collect();
                let cwd = server.cwd.as_ref().map_or_else(|| first(roots), |cwd| home.join(cwd));
                Ok(Self::Stdio { command: command.into(), args: args?, env, cwd, roots: roots.to_vec() })
            })),
            (None, Some(url)) => Some(
                url.value().and_then(|url| all(&server.headers).and_then(|headers| Self::http(url.clone(), headers))),
            ),
            (None, None) => None,
        }
    }

    pub(crate) fn http(url: Secret, headers: BTreeMap<String, Secret>) -> Result<Self, String> {
        if is_address(url.expose()) {
            Ok(Self::Http { url, headers })
        } else {
            Err("its `url` is none: expected http://… or https://…".into())
        }
    }

    /// How it is reached, in a few words for the user. Secrets are taken out by whoever shows it.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Stdio { command, args, .. } => {
                let words = args.iter().map(|arg| format!(" {}", arg.expose()));
                format!("{}{}", command.display(), words.collect::<String>())
            }
            Self::Http { url, .. } => url.expose().to_owned(),
        }
    }
}

fn first(roots: &[PathBuf]) -> PathBuf {
    roots.first().cloned().unwrap_or_else(|| PathBuf::from("."))
}
