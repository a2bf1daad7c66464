//! From a server's result to what the model reads and the user sees.

use crow_acp::{Message, Part, Role, ToolContent, ToolOutcome};
use rmcp::model::{CallToolResult, ContentBlock, GetPromptResult, ResourceContents};

/// A result as a tool's outcome: whole, not yet cut to what a model reads.
pub(crate) fn outcome(result: CallToolResult) -> ToolOutcome {
    let mut text = String::new();
    let mut shown = Vec::new();
    for block in &result.content {
        if let ContentBlock::Image(image) = block {
            shown.push(ToolContent::Image { mime_type: image.mime_type.clone(), data: image.data.clone() });
        }
        let words = words(block);
        if !text.is_empty() && !words.is_empty() {
            text.push('\n');
        }
        text.push_str(&words);
    }
    // Servers say it in words as well, most of them.
    if let Some(structured) = &result.structured_content
        && text.is_empty()
    {
        text = structured.to_string();
    }
    let mut outcome = if result.is_error == Some(true) { ToolOutcome::failed(text) } else { ToolOutcome::ok(text) };
    outcome.raw_output = result.structured_content;
    outcome.content = shown;
    outcome
}

/// What a model reads of a piece of content.
fn words(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => {
            format!("[a picture, {}, shown to the user]", size(&image.mime_type, &image.data))
        }
        ContentBlock::Audio(audio) => format!("[sound, {}, left out]", size(&audio.mime_type, &audio.data)),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => {
                format!("<resource uri=\"{uri}\">\n{text}\n</resource>")
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                let kind = mime_type.as_deref().unwrap_or("binary");
                format!("[the resource {uri}, {}, left out]", size(kind, blob))
            }
            _ => "[a resource of an unknown kind, left out]".into(),
        },
        ContentBlock::ResourceLink(link) => {
            let about = link.description.as_deref().map(|about| format!(": {about}")).unwrap_or_default();
            format!("[the resource `{}` at {}{about}]", link.name, link.uri)
        }
        _ => "[content of an unknown kind, left out]".into(),
    }
}

/// The kind and size of something in base64.
fn size(kind: &str, base64: &str) -> String {
    let bytes = base64.len() / 4 * 3;
    if bytes < 10_000 { format!("{kind}, {bytes} bytes") } else { format!("{kind}, {} kB", bytes / 1000) }
}

/// A prompt as the user's message. Most have one message of the user's; what others say is marked as said by them.
pub(crate) fn prompt(result: &GetPromptResult) -> Message {
    let mut message = Message::new(Role::User, Vec::new());
    let is_dialog = result.messages.iter().any(|said| said.role != rmcp::model::Role::User);
    for (number, said) in result.messages.iter().enumerate() {
        if number > 0 {
            message.push_text("\n\n");
        }
        if is_dialog {
            message.push_text(if said.role == rmcp::model::Role::User { "User: " } else { "Assistant: " });
        }
        match &said.content {
            ContentBlock::Image(image) => message.parts_mut().push(Part::Image {
                mime_type: image.mime_type.clone(),
                data: image.data.clone(),
                uri: None,
            }),
            other => message.push_text(&words(other)),
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use crow_acp::ToolStatus;
    use serde_json::{Value, json};

    use super::*;

    fn of(result: Value) -> ToolOutcome {
        outcome(serde_json::from_value(result).unwrap())
    }

    #[test]
    fn every_part_of_a_result_is_used() {
        let outcome = of(json!({ "content": [
            { "type": "text", "text": "one" },
            { "type": "image", "mimeType": "image/png", "data": "AAAAAAAA" },
            { "type": "audio", "mimeType": "audio/wav", "data": "AAAA" },
            { "type": "resource", "resource": { "uri": "file:///a", "text": "inside" } },
            { "type": "resource", "resource": { "uri": "file:///b", "blob": "AAAA", "mimeType": "x/y" } },
            { "type": "resource_link", "uri": "file:///c", "name": "c", "description": "a link" },
            { "type": "text", "text": "two" },
        ] }));
        assert_eq!(outcome.status, ToolStatus::Completed);
        assert_eq!(
            outcome.text,
            "one\n[a picture, image/png, 6 bytes, shown to the user]\n[sound, audio/wav, 3 bytes, left out]\n\
             <resource uri=\"file:///a\">\ninside\n</resource>\n[the resource file:///b, x/y, 3 bytes, left out]\n\
             [the resource `c` at file:///c: a link]\ntwo"
        );
        assert_eq!(outcome.content, [ToolContent::Image { mime_type: "image/png".into(), data: "AAAAAAAA".into() }]);
    }

    #[test]
    fn the_server_decides_whether_it_failed_and_not_its_words() {
        assert_eq!(of(json!({ "content": [{ "type": "text", "text": "Error: none" }] })).status, ToolStatus::Completed);
        let failed = of(json!({ "content": [{ "type": "text", "text": "fine" }], "isError": true }));
        assert_eq!((failed.status, failed.text.as_str()), (ToolStatus::Failed, "fine"));
    }

    #[test]
    fn structured_content_stands_in_for_missing_words() {
        let outcome = of(json!({ "content": [], "structuredContent": { "a": 1 } }));
        assert_eq!((outcome.text.as_str(), outcome.raw_output), ("{\"a\":1}", Some(json!({ "a": 1 }))));
        let outcome = of(json!({ "content": [{ "type": "text", "text": "a is 1" }], "structuredContent": { "a": 1 } }));
        assert_eq!(outcome.text, "a is 1");
        assert_eq!(of(json!({ "content": [] })).text, "");
    }

    #[test]
    fn prompts_become_the_users_words() {
        let of = |messages: Value| prompt(&serde_json::from_value(json!({ "messages": messages })).unwrap());
        let one = of(json!([{ "role": "user", "content": { "type": "text", "text": "Review this" } }]));
        assert_eq!(one.text(), "Review this");
        let two = of(json!([
            { "role": "user", "content": { "type": "text", "text": "Look" } },
            { "role": "user", "content": { "type": "image", "mimeType": "image/png", "data": "AAAA" } },
        ]));
        assert_eq!(two.parts().len(), 2);
        let dialog = of(json!([
            { "role": "user", "content": { "type": "text", "text": "a" } },
            { "role": "assistant", "content": { "type": "text", "text": "b" } },
        ]));
        assert_eq!(dialog.text(), "User: a\n\nAssistant: b");
    }
}
