//! What is wrong with a configuration, and where.

use std::path::{Path, PathBuf};

use super::tree::{Origin, Source};

/// A key or value of the configuration that cannot be used. It prints as one line that names the place, for example
/// ``/home/me/.crow/config.toml:3: unknown key `modle`; did you mean `model`?``.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}{message}")]
#[non_exhaustive]
pub struct ConfigError {
    place: String,
    file: Option<PathBuf>,
    line: Option<u32>,
    message: String,
}

impl ConfigError {
    /// An error that belongs to no place in particular.
    pub fn new(message: impl Into<String>) -> Self {
        Self { place: String::new(), file: None, line: None, message: message.into() }
    }

    pub(super) fn at(origin: &Origin, message: impl Into<String>) -> Self {
        let (place, file, line) = match &*origin.source {
            Source::File(path) => {
                (format!("{}:{}: ", path.display(), origin.line), Some(path.clone()), Some(origin.line))
            }
            Source::Environment(variable) => (format!("environment variable {variable}: "), None, None),
            Source::CommandLine(argument) => (format!("command line, {argument}: "), None, None),
            Source::Code => (String::new(), None, None),
        };
        Self { place, file, line, message: message.into() }
    }

    pub(super) fn file_unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self {
            place: format!("{}: ", path.display()),
            file: Some(path.to_owned()),
            line: None,
            message: format!("cannot be read: {error}"),
        }
    }

    /// The file, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The line in the file, from 1.
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The one of `known` that somebody who wrote `name` most likely meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or what there is to choose from.
pub(super) fn suggestion(name: &str, known: &[&str], plural: &str) -> String {
    match nearest(name, known.iter().copied()) {
        Some(candidate) => format!("; did you mean `{candidate}`?"),
        None if known.is_empty() => String::new(),
        None => {
            let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("; the {plural} are {}", names.join(", "))
        }
    }
}
