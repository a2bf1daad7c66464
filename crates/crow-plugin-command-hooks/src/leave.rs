//! When a command's "allow" is enough: not for what Crow asks about in every mode.

use std::path::{Component, Path, PathBuf};

use crow_acp::{Access, Session, ToolCall};

/// Names of files and directories that decide about later runs.
const DECIDING: [&str; 5] = [".crow", ".git", ".claude", "hooks.json", ".mcp.json"];

/// Whether a command may spare the user the question about `call`. What contacts a host, leaves the workspace, decides
/// about later runs or is not known to do neither is asked about all the same, and in a plan nothing is changed.
pub(crate) fn suffices(session: &Session, call: &ToolCall) -> bool {
    if session.mode().as_deref() == Some("plan") {
        return false;
    }
    let Some(preview) = session.preview(&call.id).filter(|preview| !preview.access.is_empty()) else { return false };
    let config = session.config();
    let roots: Vec<_> = session.roots().iter().filter_map(|root| canonical(root)).collect();
    let Some(home) = canonical(config.home()) else { return false };
    let within = |path: &Path| {
        let Some(path) = canonical(path) else { return false };
        let inside = roots.iter().find_map(|root| path.strip_prefix(root).ok());
        inside.is_some_and(|inside| {
            !path.starts_with(&home) && inside.iter().all(|name| !decides(&name.to_string_lossy()))
        })
    };
    preview.access.iter().all(|access| match access {
        Access::Read { path } | Access::Write { path } => within(path),
        Access::Execute { command } => !names_deciding(command) && !command.contains(&*home.to_string_lossy()),
        _ => false,
    })
}

/// The path without links, as far as it exists. `None` if what does not exist could still lead elsewhere.
fn canonical(path: &Path) -> Option<PathBuf> {
    let existing = path.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    let (ancestor, canonical) = existing?;
    let rest = path.strip_prefix(ancestor).ok()?;
    let next = rest.components().next();
    let leads_elsewhere = next.is_some_and(|name| ancestor.join(name).symlink_metadata().is_ok());
    let is_plain = rest.components().all(|name| matches!(name, Component::Normal(_)));
    (is_plain && !leads_elsewhere).then(|| canonical.join(rest))
}

fn decides(name: &str) -> bool {
    DECIDING.iter().any(|deciding| name.eq_ignore_ascii_case(deciding))
}

fn names_deciding(command: &str) -> bool {
    let lower = command.to_ascii_lowercase();
    DECIDING.iter().any(|deciding| lower.contains(deciding))
}
