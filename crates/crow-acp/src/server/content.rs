//! Content, from the client's words into ours and back.

use std::path::PathBuf;

use serde_json::Value;

use super::port::schema::{
    AudioContent, ContentBlock, Diff, EmbeddedResource, EmbeddedResourceResource, ImageContent, ResourceLink,
    TextResourceContents, ToolCallContent,
};
use crate::message::Part;
use crate::tool::ToolContent;

/// A content block of a prompt as a part of our message. A block of a kind that we do not know becomes a line that says
/// so: the rest of the prompt is worth more than the block.
///
/// # Errors
/// What is wrong with a block of a kind that we do know, without repeating any of it.
pub(super) fn part_of(block: Value) -> Result<Part, String> {
    let kind = block.get("type").and_then(Value::as_str).ok_or("a content block needs a `type`")?.to_owned();
    if !matches!(kind.as_str(), "text" | "image" | "audio" | "resource_link" | "resource") {
        let kind: String = kind.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).take(40).collect();
        return Ok(Part::text(format!("[The client sent a `{kind}` block here, which this agent cannot read.]")));
    }
    let block = serde_json::from_value(block)
        .map_err(|_| format!("a `{kind}` block lacks a field or has one of a wrong type"))?;
    Ok(match block {
        ContentBlock::Text(text) => Part::text(text.text),
        ContentBlock::Image(image) => Part::Image { mime_type: image.mime_type, data: image.data, uri: image.uri },
        ContentBlock::Audio(audio) => Part::Audio { mime_type: audio.mime_type, data: audio.data },
        ContentBlock::ResourceLink(link) => Part::ResourceLink { uri: link.uri, name: link.name },
        ContentBlock::Resource(resource) => match resource.resource {
            EmbeddedResourceResource::TextResourceContents(text) => Part::Resource { uri: text.uri, text: text.text },
            EmbeddedResourceResource::BlobResourceContents(blob) => match blob.mime_type {
                Some(mime_type) if mime_type.starts_with("image/") => {
                    Part::Image { mime_type, data: blob.blob, uri: Some(blob.uri) }
                }
                _ => Part::ResourceLink { name: file_name(&blob.uri).to_owned(), uri: blob.uri },
            },
            _ => return Err("a `resource` block holds neither text nor a blob".into()),
        },
        _ => return Err(format!("a `{kind}` block cannot be read")),
    })
}

/// A part of a user's message as a content block; `None` for parts that no user's message holds.
pub(super) fn block_of(part: Part) -> Option<ContentBlock> {
    Some(match part {
        Part::Text { text } => text.into(),
        Part::Image { mime_type, data, uri } => ContentBlock::Image(ImageContent::new(data, mime_type).uri(uri)),
        Part::Audio { mime_type, data } => ContentBlock::Audio(AudioContent::new(data, mime_type)),
        Part::ResourceLink { uri, name } => ContentBlock::ResourceLink(ResourceLink::new(name, uri)),
        Part::Resource { uri, text } => {
            let contents = EmbeddedResourceResource::TextResourceContents(TextResourceContents::new(text, uri));
            ContentBlock::Resource(EmbeddedResource::new(contents))
        }
        Part::Reasoning { .. } | Part::ToolCall(_) | Part::ToolResult(_) => return None,
    })
}

/// What the user sees of a tool call, terminals as text.
pub(super) fn shown(content: ToolContent) -> ToolCallContent {
    match content {
        ToolContent::Text { text } => text.into(),
        ToolContent::Diff { path, old_text, new_text } => Diff::new(unicode(path), new_text).old_text(old_text).into(),
        ToolContent::Image { mime_type, data } => {
            ToolCallContent::from(ContentBlock::Image(ImageContent::new(data, mime_type)))
        }
        ToolContent::Terminal { output, exit_code, .. } => {
            let text = super::terminal::fenced(&output);
            match exit_code {
                None | Some(0) => text.into(),
                Some(code) => format!("{text}\n\nexit code {code}").into(),
            }
        }
    }
}

/// A path that JSON can express. What is not Unicode in it is lost: the client could not open it anyway.
pub(super) fn unicode(path: PathBuf) -> PathBuf {
    match path.into_os_string().into_string() {
        Ok(path) => path.into(),
        Err(path) => path.to_string_lossy().into_owned().into(),
    }
}

fn file_name(uri: &str) -> &str {
    uri.rsplit('/').find(|name| !name.is_empty()).unwrap_or(uri)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_of_every_kind_are_read() {
        let parts: Vec<Part> = [
            json!({ "type": "text", "text": "Look at" }),
            json!({ "type": "resource_link", "uri": "file:///a/b.rs", "name": "b.rs" }),
            json!({ "type": "resource", "resource": { "uri": "file:///c", "text": "c" } }),
            json!({ "type": "image", "data": "AA==", "mimeType": "image/png" }),
            json!({ "type": "resource", "resource": { "uri": "file:///d.png", "blob": "AA==", "mimeType": "image/png" } }),
            json!({ "type": "resource", "resource": { "uri": "file:///d/e.bin", "blob": "AA==" } }),
        ]
        .into_iter()
        .map(|block| part_of(block).unwrap())
        .collect();
        assert_eq!(
            parts,
            [
                Part::text("Look at"),
                Part::ResourceLink { uri: "file:///a/b.rs".into(), name: "b.rs".into() },
                Part::Resource { uri: "file:///c".into(), text: "c".into() },
                Part::Image { mime_type: "image/png".into(), data: "AA==".into(), uri: None },
                Part::Image { mime_type: "image/png".into(), data: "AA==".into(), uri: Some("file:///d.png".into()) },
                Part::ResourceLink { uri: "file:///d/e.bin".into(), name: "e.bin".into() },
            ]
        );
        for part in parts {
            let block = serde_json::to_value(block_of(part.clone()).unwrap()).unwrap();
            assert_eq!(part_of(block).unwrap(), part);
        }
    }

    #[test]
    fn an_unknown_block_becomes_a_line_of_text() {
        let part = part_of(json!({ "type": "video", "data": "AA==" })).unwrap();
        assert_eq!(part, Part::text("[The client sent a `video` block here, which this agent cannot read.]"));
    }

    #[test]
    fn a_broken_block_is_an_error_that_repeats_nothing() {
        let error = part_of(json!({ "type": "text", "txet": "sk-secret" })).unwrap_err();
        assert_eq!(error, "a `text` block lacks a field or has one of a wrong type");
        assert!(part_of(json!("text")).is_err());
    }

    #[test]
    fn a_finished_command_is_shown_as_a_block_with_its_exit_code() {
        let content = ToolContent::Terminal {
            command: "make".into(),
            cwd: "/w".into(),
            output: "no\n".into(),
            exit_code: Some(2),
        };
        let shown = serde_json::to_value(shown(content)).unwrap();
        assert_eq!(shown["content"]["text"], "```\nno\n```\n\nexit code 2");
    }
}
