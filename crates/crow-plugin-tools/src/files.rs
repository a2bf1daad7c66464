//! The text of a file as it is now, on disk and in the editor, and putting a new one in its place.

use std::time::{Duration, SystemTime};

use crow_acp::{Client, ToolContent, ToolError};
use tokio::time::timeout;

use crate::context::{Context, blocking, failed};
use crate::disk::{self, DiskError};
use crate::paths::Place;
use crate::text::{self, Encoding, Text};

/// An editor that does not say what it has in this time is not waited for.
const EDITOR_READS: Duration = Duration::from_secs(5);

/// Saving may ask the user something, or format a file.
const EDITOR_WRITES: Duration = Duration::from_mins(1);

/// An editor that has not noticed yet that a file has changed does so within this.
const EDITOR_NOTICES: Duration = Duration::from_millis(200);

/// Diffs of more than this are not shown.
const LARGEST_DIFF: usize = 1 << 20;

/// The text of a file.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) text: String,
    pub(crate) encoding: Encoding,
    /// What the model should know about where it is from.
    pub(crate) note: Option<String>,
}

/// The text of a file as the user sees it: the editor's, if it has the file and differs from the disk. `None` if there
/// is no such file.
pub(crate) async fn current<A>(cx: &Context<'_, A>, place: &Place) -> Result<Option<Current>, ToolError> {
    let (mut disk, changed) = on_disk(cx, place).await?;
    let Some(client) = cx.tool.agent.client().filter(|client| place.inside && client.info().capabilities.read_files)
    else {
        return Ok(disk.map(|disk| Current { text: disk.text, encoding: disk.encoding, note: None }));
    };
    let mut editor = in_editor(cx, &*client, place).await;
    let is_recent = changed.is_some_and(|at| at.elapsed().is_ok_and(|passed| passed < EDITOR_NOTICES * 5));
    if is_recent
        && let (Some(on_disk_now), Ok(Some(text))) = (&disk, &editor)
        && !text::same_lines(&on_disk_now.text, text)
    {
        tokio::time::sleep(EDITOR_NOTICES).await;
        (disk, _) = on_disk(cx, place).await?;
        editor = in_editor(cx, &*client, place).await;
    }
    Ok(match (disk, editor) {
        (None, Ok(Some(text))) if !text.is_empty() => {
            let note = Some("the file is only in the editor so far, not on disk".to_owned());
            Some(Current { text, encoding: Encoding::default(), note })
        }
        (None, _) => None,
        (Some(disk), Ok(Some(text))) if !text::same_lines(&disk.text, &text) => {
            let text = if text::is_crlf(&disk.text) { text::to_crlf(&text) } else { text };
            let note = "the editor has unsaved changes: this is its text, and the file on disk differs";
            Some(Current { text, encoding: disk.encoding, note: Some(note.to_owned()) })
        }
        (Some(disk), editor) => {
            let note = editor.err().map(|()| "the editor did not answer: this is the text on disk".to_owned());
            Some(Current { text: disk.text, encoding: disk.encoding, note })
        }
    })
}

/// The text on disk and when it was changed.
async fn on_disk<A>(cx: &Context<'_, A>, place: &Place) -> Result<(Option<Text>, Option<SystemTime>), ToolError> {
    let (path, shown, limit) = (place.real.clone(), place.shown.display().to_string(), cx.options.max_file_bytes);
    let work = move || {
        let bytes = match disk::read(&path, limit) {
            Ok(bytes) => bytes,
            Err(DiskError::NotFound(_)) => return Ok((None, None)),
            Err(error) => return Err(failed(error)),
        };
        let size = bytes.len();
        let text = text::decode(bytes).map_err(|error| {
            ToolError::new(format!(
                "{shown} cannot be read as text: {error} of {size} bytes. Use `terminal` to look into it"
            ))
        })?;
        Ok((Some(text), path.metadata().and_then(|metadata| metadata.modified()).ok()))
    };
    blocking(work).await?
}

/// What the editor has; `None` if it does not know the file, `Err` if it did not answer.
async fn in_editor<A>(cx: &Context<'_, A>, client: &dyn Client, place: &Place) -> Result<Option<String>, ()> {
    let text = timeout(EDITOR_READS, client.read_text_file(&cx.tool.session, &place.shown)).await.map_err(|_| ())?.ok();
    Ok(text.map(|text| text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

/// Replaces or creates a file: through the editor if it offers that, else on disk. Gives what the model should know.
pub(crate) async fn store<A>(
    cx: &Context<'_, A>,
    place: &Place,
    text: &str,
    encoding: Encoding,
) -> Result<Option<String>, ToolError> {
    let bytes = text::encode(text, encoding).map_err(failed)?.into_owned();
    let client = cx.tool.agent.client().filter(|client| place.inside && client.info().capabilities.write_files);
    let Some(client) = client else {
        let path = place.real.clone();
        blocking(move || disk::write(&path, &bytes)).await?.map_err(failed)?;
        return Ok(None);
    };
    if let Some(parent) = place.real.parent().map(std::path::Path::to_owned) {
        // Editors do not all make directories. That it fails is theirs to say.
        let _ = blocking(move || std::fs::create_dir_all(parent)).await?;
    }
    match timeout(EDITOR_WRITES, client.write_text_file(&cx.tool.session, &place.shown, text)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(ToolError::new(format!("{} was not written: {error}", place.shown.display()))),
        Err(_) => {
            return Err(ToolError::new(format!(
                "{} was not written: the editor did not answer",
                place.shown.display()
            )));
        }
    }
    let is_there =
        on_disk(cx, place).await.is_ok_and(|(disk, _)| disk.is_some_and(|disk| text::same_lines(&disk.text, text)));
    let note = "the editor took the text, but the file on disk is different: it is not saved yet, or was formatted";
    Ok((!is_there).then(|| note.to_owned()))
}

/// A change for the user to see.
pub(crate) fn diff(place: &Place, old: Option<&str>, new: &str) -> ToolContent {
    if old.map_or(0, str::len) + new.len() > LARGEST_DIFF {
        return ToolContent::text(format!("{}: {} bytes, too many to show", place.shown.display(), new.len()));
    }
    ToolContent::Diff { path: place.shown.clone(), old_text: old.map(str::to_owned), new_text: new.to_owned() }
}

/// Notes in the form that the model finds them in everywhere.
pub(crate) fn notes<'a>(notes: impl IntoIterator<Item = Option<&'a str>>) -> String {
    notes.into_iter().flatten().flat_map(|note| ["\n[", note, "]"]).collect()
}
