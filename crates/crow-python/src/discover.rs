//! Installed plugins: entry points of the group `crow-acp`, found by looking through the metadata on `sys.path`.
//!
//! `importlib.metadata` gives the same and takes twenty milliseconds to import.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pyo3::prelude::*;

/// The group of entry points that plugins belong to.
const GROUP: &str = "[crow-acp]";

/// A plugin that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it is called: `persistence`.
    pub(crate) name: String,
    /// Where it is: `crow_persistence.plugin:SQLitePersistence`.
    pub(crate) value: String,
    /// The distribution it comes with, and its version: `crow_persistence-1.0`.
    pub(crate) from: String,
}

/// The installed plugins, in order of `sys.path`, then by distribution.
pub(crate) fn installed(py: Python<'_>) -> PyResult<Vec<Entry>> {
    let path = py.import("sys")?.getattr("path")?;
    let mut places = Vec::new();
    for place in path.try_iter()? {
        // What is no text is nothing that the import system would look at either.
        if let Ok(place) = place?.extract::<String>() {
            places.push(PathBuf::from(if place.is_empty() { "." } else { &place }));
        }
    }
    Ok(py.detach(|| scan(&places)))
}

/// Looks through the directories. Of several distributions of one name the first counts, as in Python.
fn scan(places: &[PathBuf]) -> Vec<Entry> {
    let (mut entries, mut seen) = (Vec::new(), BTreeSet::new());
    for place in places {
        let Ok(listing) = fs::read_dir(place) else { continue };
        let mut found: Vec<(String, PathBuf)> = Vec::new();
        for item in listing.flatten() {
            let name = item.file_name().to_string_lossy().into_owned();
            if let Some(stem) = name.strip_suffix(".dist-info").or_else(|| name.strip_suffix(".egg-info")) {
                found.push((stem.to_owned(), item.path()));
            }
        }
        found.sort();
        for (stem, directory) in found {
            let distribution = stem.split('-').next().unwrap_or(&stem).to_lowercase().replace(['.', '-'], "_");
            if seen.insert(distribution) {
                entries.extend(read(&directory, &stem));
            }
        }
    }
    entries
}

fn read(directory: &Path, from: &str) -> Vec<Entry> {
    let Ok(text) = fs::read_to_string(directory.join("entry_points.txt")) else { return Vec::new() };
    parse(&text, from)
}

fn parse(text: &str, from: &str) -> Vec<Entry> {
    let mut inside = false;
    let mut entries = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == GROUP;
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((name, value)) = line.split_once('=')
        {
            // What stands in brackets are extras, of no use here.
            let value = value.split('[').next().unwrap_or_default().trim().to_owned();
            entries.push(Entry { name: name.trim().to_owned(), value, from: from.to_owned() });
        }
    }
    entries
}
