//! The tools `load_skill` and `search_skills`.

use std::fmt::Write as _;

use crow_acp::{
    BoxFuture, ToolCall, ToolContext, ToolDescriptor, ToolError, ToolHandler, ToolKind, ToolOutcome, ToolPreview,
};
use serde_json::json;

use crate::retrieve::shown;
use crate::settings::BYTES_PER_TOKEN;
use crate::shelf::Shelf;
use crate::skill::Skill;

/// Most pieces of one answer.
const MOST: usize = 20;

/// The tools of a session that has this shelf.
pub(crate) fn tools(shelf: &Shelf) -> Vec<ToolDescriptor> {
    let search = ToolDescriptor::new(
        "search_skills",
        "Searches skills and the documents that the user made available, by words and by meaning. Gives the pieces that \
         fit best, with file and lines.",
        json!({
            "type": "object",
            "properties": {
                "query": { "type": "string", "description": "What to look for." },
                "limit": { "type": "integer", "minimum": 1, "maximum": MOST, "description": "Most pieces to give." },
            },
            "required": ["query"],
        }),
        Search,
    );
    let load = ToolDescriptor::new(
        "load_skill",
        "Loads a skill: instructions for a particular kind of work, to be followed. With `file`, one of the files that \
         belong to it.",
        json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "description": "The skill's name." },
                "file": { "type": "string", "description": "The path of one of its files." },
            },
            "required": ["name"],
        }),
        Load,
    );
    let mut tools = vec![search.kind(ToolKind::Search).read_only()];
    if !shelf.skills.is_empty() {
        tools.push(load.kind(ToolKind::Read).read_only());
    }
    tools
}

fn argument<'a>(call: &'a ToolCall, name: &str) -> &'a str {
    call.arguments[name].as_str().unwrap_or_default()
}

fn shelf(cx: &ToolContext) -> Result<std::sync::Arc<Shelf>, ToolError> {
    Shelf::of(&cx.session).ok_or_else(|| ToolError::new("this session has no skills and no documents"))
}

struct Search;

impl ToolHandler for Search {
    fn preview<'a>(&'a self, _: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async { ToolPreview::new(format!("Search skills and documents for {}", argument(call, "query"))) })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async move {
            let shelf = shelf(cx)?;
            let limit = call.arguments["limit"].as_u64().map_or(shelf.settings.top_k, |limit| limit as usize);
            let query = argument(call, "query");
            let found = shelf.search(&cx.agent, &cx.session, query, (0.0, 0.0)).await;
            let found = found.map_err(|error| ToolError::new(error.to_string()))?;
            let mut room = shelf.settings.max_tokens.max(shelf.settings.chunk_tokens * 2) * BYTES_PER_TOKEN;
            let mut text = String::new();
            let mut outcome = ToolOutcome::ok("");
            for piece in found.iter().take(limit.clamp(1, MOST)) {
                let mut shown = shown(piece, cx.session.cwd());
                if let Some(skill) = shelf.skill_of(&piece.path) {
                    if shelf.skill(&cx.agent, &cx.session, &skill.name).await.is_none() {
                        continue;
                    }
                    let _ = write!(shown, "\n(of the skill `{}`)", skill.name);
                }
                let Some(left) = room.checked_sub(shown.len()) else { break };
                room = left;
                text.push_str(&shown);
                text.push_str("\n\n");
                outcome = outcome.location(&piece.path, Some(piece.chunk.first));
            }
            if text.is_empty() {
                "Nothing fits.".clone_into(&mut text);
            }
            text.trim_end().clone_into(&mut outcome.text);
            Ok(outcome)
        })
    }
}

struct Load;

impl ToolHandler for Load {
    fn preview<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, ToolPreview> {
        Box::pin(async {
            let (name, file) = (argument(call, "name"), argument(call, "file"));
            let what = if file.is_empty() { name.to_owned() } else { format!("{name}: {file}") };
            let preview = ToolPreview::new(format!("Load skill {what}"));
            let shelf = Shelf::of(&cx.session);
            match shelf.as_ref().and_then(|shelf| shelf.skills.iter().find(|skill| skill.name == name)) {
                Some(skill) if file.is_empty() => preview.location(skill.directory.join("SKILL.md"), None),
                _ => preview,
            }
        })
    }

    fn call<'a>(&'a self, cx: &'a ToolContext, call: &'a ToolCall) -> BoxFuture<'a, Result<ToolOutcome, ToolError>> {
        Box::pin(async move {
            let shelf = shelf(cx)?;
            let name = argument(call, "name");
            if !shelf.skills.iter().any(|skill| skill.name == name) {
                let names: Vec<&str> = shelf.skills.iter().map(|skill| skill.name.as_str()).collect();
                return Err(ToolError::new(format!("there is no skill `{name}`; there are: {}", names.join(", "))));
            }
            // What is read before the look is what was looked at, or the look fails.
            let skill = shelf.skills.iter().find(|skill| skill.name == name).cloned();
            let file = argument(call, "file").to_owned();
            let read = tokio::task::spawn_blocking(move || skill.map(|skill| text(&skill, &file))).await;
            if shelf.skill(&cx.agent, &cx.session, name).await.is_none() {
                return Err(ToolError::new(format!(
                    "the skill `{name}` is not the one that was trusted any more; the user can run `crow trust`"
                )));
            }
            let text = read.ok().flatten().ok_or_else(|| ToolError::new("the skill cannot be read"))?;
            text.map(ToolOutcome::ok).map_err(ToolError::new)
        })
    }
}

/// A skill as the model reads it: the body and the names of its files, or one of them.
pub(crate) fn text(skill: &Skill, file: &str) -> Result<String, String> {
    if !file.is_empty() {
        return skill.file(file);
    }
    let (body, _) = skill.body()?;
    let mut text = format!("<skill name=\"{}\" directory=\"{}\">\n{body}\n", skill.name, skill.directory.display());
    let files = skill.files();
    if !files.is_empty() {
        let _ = write!(text, "\nIts files, to be loaded with `file` when they are needed: {}\n", files.join(", "));
    }
    text.push_str("</skill>");
    Ok(text)
}
