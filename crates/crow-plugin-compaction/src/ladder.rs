//! The rungs that need no model: functions from messages to messages. None splits a tool call from its result, changes
//! the model's reasoning, or makes a conversation longer than it was.

use crow_acp::{Message, Part, Role};

/// What stands for tool output that was dropped.
const DROPPED: &str = "[old tool output was dropped to save space; run the tool again if you need it]";

/// How the user's own words stand beside a summary.
const SAID: &str = "\n\n<user_said>\n";
const NEXT: &str = "\n---\n";
const SAID_END: &str = "\n</user_said>";

/// Who put the summary in.
const OWNER: &str = "compaction";

/// The size of messages in tokens, estimated.
pub(crate) fn size(messages: &[Message]) -> u64 {
    messages.iter().map(Message::estimated_tokens).sum()
}

/// First rung: tool results before the last `keep_tokens` lose their text.
pub(crate) fn drop_tool_output(messages: &[Message], keep_tokens: u64) -> Vec<Message> {
    let mut messages = messages.to_vec();
    let old = tail(&messages, keep_tokens);
    for message in messages.iter_mut().take(old).filter(|message| message.role == Role::Tool) {
        let long = |part: &Part| matches!(part, Part::ToolResult(result) if result.text.len() > DROPPED.len());
        if message.parts().iter().any(long) {
            for part in message.parts_mut() {
                if let Part::ToolResult(result) = part
                    && result.text.len() > DROPPED.len()
                {
                    DROPPED.clone_into(&mut result.text);
                }
            }
        }
    }
    messages
}

/// Where the last `tokens` begin; at the end if not even the last message fits.
fn tail(messages: &[Message], tokens: u64) -> usize {
    let mut left = tokens;
    let mut at = messages.len();
    while at > 0 {
        let next = messages[at - 1].estimated_tokens();
        if next > left {
            break;
        }
        left -= next;
        at -= 1;
    }
    at
}

/// Where to cut so that about the last `tokens` stay: never between a tool call and its results. `None`: nothing that
/// is worth it stands before.
pub(crate) fn cut(messages: &[Message], tokens: u64) -> Option<usize> {
    let at = safe(messages, tail(messages, tokens));
    // What stands before must be more than a summary that is there already.
    (at > usize::from(messages.first().is_some_and(is_summary))).then_some(at)
}

/// The first place from `at` on that is not inside a round of tool calls.
fn safe(messages: &[Message], at: usize) -> usize {
    (at..messages.len()).find(|&at| messages[at].role != Role::Tool).unwrap_or(messages.len())
}

/// The summary in the place of what stands before `cut`, with as much of the user's own words as `user_tokens` allow.
pub(crate) fn assemble(messages: &[Message], cut: usize, summary: &str, user_tokens: u64) -> Vec<Message> {
    let mut said = Vec::new();
    let mut left = user_tokens;
    for text in messages[..cut].iter().flat_map(user_words).collect::<Vec<_>>().into_iter().rev() {
        let tokens = Message::user(&*text).estimated_tokens();
        if tokens > left {
            break;
        }
        left -= tokens;
        said.push(text);
    }
    said.reverse();
    let mut parts = vec![Part::Text { text: format!("<conversation_so_far>\n{summary}\n</conversation_so_far>") }];
    if !said.is_empty() {
        parts.push(Part::Text { text: format!("{SAID}{}{SAID_END}", said.join(NEXT)) });
    }
    let mut out = vec![Message::new(Role::User, parts).with_owner(OWNER)];
    out.extend_from_slice(&messages[cut..]);
    out
}

/// What the user said in a message, letter by letter: also what the compaction before this one kept of it.
fn user_words(message: &Message) -> Vec<String> {
    if is_summary(message) {
        let kept = message.parts().iter().find_map(|part| match part {
            Part::Text { text } => text.strip_prefix(SAID)?.strip_suffix(SAID_END),
            _ => None,
        });
        return kept.map(|kept| kept.split(NEXT).map(str::to_owned).collect()).unwrap_or_default();
    }
    let text = message.text();
    let by_user = message.role == Role::User && message.owner.is_none() && !text.is_empty();
    by_user.then_some(text).into_iter().collect()
}

/// The summary that a message holds, if it is one of ours.
pub(crate) fn summary_of(message: &Message) -> Option<String> {
    is_summary(message).then(|| message.text())
}

fn is_summary(message: &Message) -> bool {
    message.owner.as_deref() == Some(OWNER)
}

/// Last rung: rounds go, the oldest first, until the rest comes to `goal`; then tool results and finally the summary
/// are cut short. The last message always stays.
pub(crate) fn trim(messages: &mut Vec<Message>, goal: u64) {
    let first = usize::from(messages.first().is_some_and(is_summary));
    while size(messages) > goal {
        let next = safe(messages, first + 1);
        if next >= messages.len() {
            break;
        }
        messages.drain(first..next);
    }
    let over = |messages: &[Message]| size(messages).saturating_sub(goal);
    for at in (0..messages.len()).rev() {
        let excess = over(messages);
        if excess == 0 {
            return;
        }
        let shortens = messages[at].role == Role::Tool || is_summary(&messages[at]);
        if !shortens {
            continue;
        }
        for part in messages[at].parts_mut() {
            let text = match part {
                Part::ToolResult(result) => &mut result.text,
                Part::Text { text } => text,
                _ => continue,
            };
            shorten(text, (excess as usize).saturating_mul(4));
        }
    }
}

/// Takes about `bytes` out of the middle of a text, if it is longer than a few lines.
fn shorten(text: &mut String, bytes: usize) {
    const MARK: &str = "\n[…]\n";
    const LEAST: usize = 400;
    if text.len() <= LEAST + MARK.len() {
        return;
    }
    let keep = text.len().saturating_sub(bytes + MARK.len()).max(LEAST);
    let head = text.floor_char_boundary(keep / 2);
    let tail = text.ceil_char_boundary(text.len() - keep / 2);
    if head < tail {
        text.replace_range(head..tail, MARK);
    }
}

#[cfg(test)]
mod tests {
    use crow_acp::{ToolCall, ToolResult};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A history as runs make them: user, answers with calls, their results.
    fn history() -> impl Strategy<Value = Vec<Message>> {
        let turn = prop_oneof![
            (1usize..4000).prop_map(|n| vec![Message::user("u".repeat(n))]),
            (1usize..4000).prop_map(|n| vec![Message::assistant("a".repeat(n))]),
            (1usize..4, 0usize..9000).prop_map(|(calls, n)| {
                let parts = (0..calls).map(|at| Part::ToolCall(ToolCall::new(format!("c{at}"), "read", json!({}))));
                let signed = Part::Reasoning {
                    text: "t".repeat(n / 9),
                    signature: Some("s".repeat(n / 3)),
                    model: Some("p/m".into()),
                };
                let mut round = vec![Message::new(Role::Assistant, std::iter::once(signed).chain(parts).collect())];
                for at in 0..calls {
                    let result = ToolResult::new(format!("c{at}"), "read", "é".repeat(n), false);
                    round.push(Message::new(Role::Tool, vec![Part::ToolResult(result)]));
                }
                round
            }),
        ];
        proptest::collection::vec(turn, 1..30).prop_map(|turns| {
            let mut messages = vec![Message::user("begin")];
            messages.extend(turns.into_iter().flatten());
            messages
        })
    }

    /// Each round of calls has exactly its results, right behind it, and no result stands alone.
    fn is_valid(messages: &[Message]) -> bool {
        let mut at = 0;
        while at < messages.len() {
            let calls: Vec<&str> = messages[at].tool_calls().map(|call| call.id.as_str()).collect();
            if messages[at].role == Role::Tool {
                return false;
            }
            at += 1;
            for id in calls {
                if messages.get(at).and_then(Message::tool_call_id) != Some(id) {
                    return false;
                }
                at += 1;
            }
        }
        true
    }

    proptest! {
        #[test]
        fn whatever_is_cut_the_request_stays_valid_and_never_grows(
            messages in history(), keep in 0u64..6000, goal in 0u64..8000, user in 0u64..2000, summary in "[a-z ]{0,2000}"
        ) {
            prop_assert!(is_valid(&messages));
            let dropped = drop_tool_output(&messages, keep);
            prop_assert!(is_valid(&dropped));
            prop_assert!(size(&dropped) <= size(&messages));
            prop_assert_eq!(dropped.len(), messages.len());
            if let Some(cut) = cut(&dropped, keep) {
                let mut out = assemble(&dropped, cut, &summary, user);
                prop_assert!(is_valid(&out));
                let before = size(&out);
                trim(&mut out, goal);
                prop_assert!(is_valid(&out));
                prop_assert!(size(&out) <= before);
                prop_assert!(summary_of(&out[0]).is_some());
                let mut said = out.iter().filter(|message| message.role == Role::Assistant);
                let whole = said.all(|message| messages.contains(message));
                prop_assert!(whole, "an answer and its signed reasoning stay as they were, or go");
                prop_assert_eq!(out.len() == 1, cut == dropped.len());
            }
        }

        #[test]
        fn the_users_own_words_outlive_many_compactions(rounds in 2usize..8) {
            let mut messages = vec![Message::user("never touch main.rs")];
            for at in 0..rounds {
                messages.push(Message::assistant("a".repeat(4000)));
                messages.push(Message::user(format!("and do {at}")));
                messages.push(Message::assistant("b".repeat(4000)));
                let cut = cut(&messages, 10).unwrap();
                messages = assemble(&messages, cut, "worked", 1000);
            }
            let text = messages[0].text();
            prop_assert_eq!(text.matches("never touch main.rs").count(), 1, "{}", text);
            for at in 0..rounds {
                prop_assert_eq!(text.matches(&format!("and do {at}")).count(), 1, "{}", text);
            }
            prop_assert_eq!(text.matches("<user_said>").count(), 1, "{}", text);
        }

        #[test]
        fn one_long_run_shrinks_too(rounds in 5usize..60) {
            let mut messages = vec![Message::user("do it all")];
            for at in 0..rounds {
                let call = ToolCall::new(format!("c{at}"), "read", json!({}));
                messages.push(Message::new(Role::Assistant, vec![Part::ToolCall(call)]));
                messages.push(Message::tool_result(format!("c{at}"), "read", "x".repeat(4000), false));
            }
            let cut = cut(&messages, 2500).unwrap();
            let out = assemble(&messages, cut, "worked", 1000);
            prop_assert!(size(&out) < 4000, "{}", size(&out));
            prop_assert!(out[0].text().contains("do it all"), "the user's words stay");
        }
    }
}
