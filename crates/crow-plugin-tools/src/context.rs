//! What the handlers of all tools share: arguments, options, the workspace, where long outputs go.

use std::path::PathBuf;
use std::sync::Arc;

use crow_acp::{Access, ToolCall, ToolContent, ToolContext, ToolError, ToolPreview};
use serde::de::DeserializeOwned;

use crate::bounds::{Bounded, OutputFiles};
use crate::options::Options;
use crate::paths::{Place, Workspace};

/// A call with what is needed to carry it out.
pub(crate) struct Context<'a, A> {
    pub(crate) tool: &'a ToolContext,
    pub(crate) arguments: A,
    pub(crate) options: Options,
    pub(crate) workspace: Arc<Workspace>,
}

impl<'a, A: DeserializeOwned> Context<'a, A> {
    /// Reads the arguments and the configuration.
    pub(crate) async fn new(tool: &'a ToolContext, call: &ToolCall) -> Result<Self, ToolError> {
        let arguments = A::deserialize(&call.arguments)
            .map_err(|error| ToolError::new(format!("the arguments of `{}` do not fit: {error}", call.name)))?;
        let options = Options::read(&tool.session.config()).map_err(|error| ToolError::new(error.to_string()))?;
        let (cwd, roots) = (tool.session.cwd().to_owned(), tool.session.roots());
        let workspace = blocking(move || Workspace::new(&cwd, &roots)).await?;
        Ok(Self { tool, arguments, options, workspace: Arc::new(workspace) })
    }
}

impl<A> Context<'_, A> {
    /// Where `path` leads.
    pub(crate) async fn place(&self, path: &str) -> Result<Place, ToolError> {
        let (workspace, path) = (Arc::clone(&self.workspace), path.to_owned());
        blocking(move || workspace.place(&path)).await?.map_err(failed)
    }

    fn outputs(&self) -> OutputFiles {
        OutputFiles::new(self.tool.agent.config().home())
    }

    /// Collects what the model will read of this call.
    pub(crate) fn output(&self) -> Bounded {
        let file = self.outputs().of_call(self.tool.session.id(), &self.tool.call_id);
        Bounded::new(self.options.output_limit, Some(file))
    }

    /// What reading `place` needs leave for. The full texts of this session's outputs are the model's own.
    pub(crate) fn read_access(&self, place: &Place) -> Option<Access> {
        let own = self.outputs().of_session(self.tool.session.id());
        let is_own = crate::paths::resolve(&own).is_ok_and(|own| place.real.starts_with(own));
        (!is_own).then(|| Access::Read { path: place.real.clone() })
    }

    /// Refuses what nobody was asked about: a path may lead elsewhere by now than when it was permitted.
    pub(crate) fn check(&self, place: &Place, access: Option<Access>) -> Result<(), ToolError> {
        match access {
            None => Ok(()),
            Some(Access::Read { .. }) if place.inside => Ok(()),
            Some(access) => self.check_access(access),
        }
    }

    /// Refuses an access that nobody was asked about.
    pub(crate) fn check_access(&self, access: Access) -> Result<(), ToolError> {
        let what = match &access {
            Access::Read { path } | Access::Write { path } => path.display().to_string(),
            Access::Network { url } => url.clone(),
            _ => "the call".to_owned(),
        };
        match self.tool.session.preview(&self.tool.call_id) {
            Some(preview) if !preview.access.contains(&access) => {
                Err(ToolError::new(format!("{what} is not what permission was asked for; try again")))
            }
            _ => Ok(()),
        }
    }
}

/// The error of a core module, in words for the model.
pub(crate) fn failed(error: impl std::error::Error) -> ToolError {
    ToolError::new(error.to_string())
}

/// What a preview shows of a call that will fail: the call itself says why.
pub(crate) fn preview_of(title: &str, preview: Result<ToolPreview, ToolError>) -> ToolPreview {
    preview.unwrap_or_else(|_| ToolPreview::new(title))
}

/// Runs what waits for the disk where waiting disturbs nobody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ToolError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ToolError::new(format!("internal error: {error}")))
}

/// Text as a block that Markdown leaves alone.
pub(crate) fn fenced(text: &str, language: &str) -> ToolContent {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    ToolContent::text(format!("{fence}{language}\n{text}{end}{fence}"))
}

/// One line of `text`, short enough for a title.
pub(crate) fn headline(text: &str) -> String {
    let mut lines = text.trim().lines();
    let first = lines.next().unwrap_or_default();
    let cut = crate::text::floor(first, 160);
    let more = if cut < first.len() || lines.next().is_some() { " …" } else { "" };
    format!("{}{more}", &first[..cut])
}

/// A path as one line of text, whatever is in its name.
pub(crate) fn printable(path: &str) -> String {
    if path.chars().any(char::is_control) { path.escape_debug().to_string() } else { path.to_owned() }
}

/// The name by which Markdown knows the language of a file.
pub(crate) fn language(path: &std::path::Path) -> String {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    extension.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Where searches and lists begin: the working directory unless said otherwise.
pub(crate) fn or_here(path: Option<&String>) -> &str {
    path.map_or(".", String::as_str)
}

/// A path below `base` as the model should write it.
pub(crate) fn below(workspace: &Workspace, base: &std::path::Path, rest: &std::path::Path) -> String {
    let path: PathBuf = if rest.as_os_str().is_empty() { base.to_owned() } else { base.join(rest) };
    printable(&workspace.display(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_longer_than_any_inside() {
        assert_eq!(fenced("a", "rs"), ToolContent::text("```rs\na\n```"));
        assert_eq!(fenced("```\nx\n````\n", ""), ToolContent::text("`````\n```\nx\n````\n`````"));
    }

    #[test]
    fn titles_are_one_line() {
        assert_eq!(headline("  make \n test"), "make  …");
        assert_eq!(headline("make"), "make");
        assert!(headline(&"é".repeat(200)).len() < 170);
        assert_eq!(printable("a\nb"), "a\\nb");
    }
}
