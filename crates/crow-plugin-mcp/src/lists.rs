//! What a server has: its tools and prompts, page by page, and no more of them than are wanted.

use rmcp::model::{PaginatedRequestParams, Prompt, Tool};
use rmcp::service::{Peer, RoleClient, ServiceError};

use crate::stdio::Remarks;

/// How many prompts of one server are offered.
const MOST_PROMPTS: usize = 100;

/// How many pages are asked for.
const MOST_PAGES: usize = 50;

/// The longest description of a tool that the model reads, in bytes.
const LONGEST_DESCRIPTION: usize = 8 * 1024;

/// The tools and prompts of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    pub(crate) tools: Vec<Tool>,
    pub(crate) prompts: Vec<Prompt>,
}

impl Lists {
    /// Asks for all there is. What is too much is left out and remarked.
    pub(crate) async fn of(peer: &Peer<RoleClient>, max_tools: usize, remarks: &Remarks) -> Result<Self, ServiceError> {
        let info = peer.peer_info();
        let has = |what: fn(&rmcp::model::ServerCapabilities) -> bool| {
            info.as_ref().is_none_or(|info| what(&info.capabilities))
        };
        let mut lists = Self::default();
        if has(|capabilities| capabilities.tools.is_some()) {
            lists.tools = tools(peer, max_tools, remarks).await?;
        }
        if has(|capabilities| capabilities.prompts.is_some()) {
            // Its tools are worth having without its prompts.
            lists.prompts = prompts(peer).await.unwrap_or_else(|error| {
                remarks
                    .note("its prompts cannot be listed", || format!(": {}", crate::text::short(&error.to_string())));
                Vec::new()
            });
        }
        Ok(lists)
    }
}

async fn tools(peer: &Peer<RoleClient>, most: usize, remarks: &Remarks) -> Result<Vec<Tool>, ServiceError> {
    let mut tools: Vec<Tool> = Vec::new();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let page = peer.list_tools(Some(PaginatedRequestParams::default().with_cursor(cursor))).await?;
        for mut tool in page.tools {
            if tools.iter().any(|other| other.name == tool.name) {
                remarks.note("it lists a tool twice", || format!(": `{}`", crate::text::short(&tool.name)));
                continue;
            }
            if tools.len() == most {
                remarks.note("it has too many tools", || format!(": only the first {most} are used (`max_tools`)"));
                return Ok(tools);
            }
            shorten(&mut tool);
            tools.push(tool);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(tools);
        }
    }
    remarks.note("its list of tools has no end", || format!(": {MOST_PAGES} pages were read"));
    Ok(tools)
}

fn shorten(tool: &mut Tool) {
    if let Some(description) = &mut tool.description
        && description.len() > LONGEST_DESCRIPTION
    {
        let cut = description.floor_char_boundary(LONGEST_DESCRIPTION);
        *description = format!("{}…", &description[..cut]).into();
    }
}

async fn prompts(peer: &Peer<RoleClient>) -> Result<Vec<Prompt>, ServiceError> {
    let mut prompts: Vec<Prompt> = Vec::new();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let page = peer.list_prompts(Some(PaginatedRequestParams::default().with_cursor(cursor))).await?;
        prompts.extend(page.prompts);
        cursor = page.next_cursor;
        if cursor.is_none() || prompts.len() >= MOST_PROMPTS {
            break;
        }
    }
    prompts.truncate(MOST_PROMPTS);
    Ok(prompts)
}
