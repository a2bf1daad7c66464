//! Tool calls arrive in fragments, and every server has its own idea of how to number them.

use crow_acp::Delta;

use crate::chunk::CallFragment;

/// Sorts the fragments of one answer's tool calls.
///
/// A fragment belongs to the call with its `index`; one without an index, to the call with its id, or else to the
/// latest. A second id under one index starts another call, since some servers number every call 0. Our own numbers
/// count up from 0 whatever the server's do.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    known: Vec<Known>,
}

#[derive(Debug, Default)]
struct Known {
    index: Option<i64>,
    id: Option<String>,
    name: String,
    /// Arguments have begun: the name is complete.
    begun: bool,
}

impl Calls {
    /// Whether the answer has any.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The delta for a fragment; `None` if it says nothing new.
    pub(crate) fn take(&mut self, fragment: CallFragment) -> Option<Delta> {
        let function = fragment.function.unwrap_or_default();
        let id = fragment.id.filter(|id| !id.is_empty());
        let name = function.name.filter(|name| !name.is_empty());
        let arguments = function.arguments.map(|arguments| arguments.0).unwrap_or_default();
        if id.is_none() && name.is_none() && arguments.is_empty() {
            return None;
        }
        let (number, new) = match self.find(fragment.index, id.as_deref(), name.as_deref()) {
            Some(number) => (number, false),
            None => {
                self.known.push(Known { index: fragment.index, ..Known::default() });
                (self.known.len() - 1, true)
            }
        };
        let call = &mut self.known[number];
        // Some servers repeat id and name with every fragment.
        let id = id.filter(|_| call.id.is_none());
        let name = name.filter(|name| !call.begun && *name != call.name);
        if let Some(id) = &id {
            call.id = Some(id.clone());
        }
        if let Some(name) = &name {
            call.name.push_str(name);
        }
        call.begun |= !arguments.is_empty();
        let says = new || id.is_some() || name.is_some() || !arguments.is_empty();
        says.then(|| Delta::tool_call(number, id, name, arguments))
    }

    fn find(&self, index: Option<i64>, id: Option<&str>, name: Option<&str>) -> Option<usize> {
        let by_id = || self.known.iter().rposition(|call| id.is_some() && call.id.as_deref() == id);
        if let Some(index) = index {
            // The latest of its index: after a second id under one index, what follows is the second call's.
            let found = self.known.iter().rposition(|call| call.index == Some(index))?;
            let other = matches!((id, &self.known[found].id), (Some(id), Some(known)) if id != known);
            return if other { by_id() } else { Some(found) };
        }
        if id.is_some() {
            // A call that has begun without an id gets it now only if it is clear that this is no new call.
            return by_id().or_else(|| self.known.iter().rposition(|call| call.id.is_none() && name.is_none()));
        }
        let last = self.known.len().checked_sub(1)?;
        let fresh = name.is_some_and(|name| self.known[last].begun && name != self.known[last].name);
        (!fresh).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use crow_acp::DeltaKind;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The calls that come of fragments, as (id, name, arguments).
    fn assemble(fragments: &Value) -> Vec<(String, String, String)> {
        let mut calls = Calls::default();
        let mut out: Vec<(String, String, String)> = Vec::new();
        for fragment in fragments.as_array().expect("an array") {
            let fragment = serde_json::from_value(fragment.clone()).expect("a fragment");
            let Some(delta) = calls.take(fragment) else { continue };
            let DeltaKind::ToolCall { index, id, name } = delta.kind else { panic!("not a call") };
            if out.len() <= index {
                assert_eq!(out.len(), index, "numbers count up");
                out.push(Default::default());
            }
            out[index].0.push_str(&id.unwrap_or_default());
            out[index].1.push_str(&name.unwrap_or_default());
            out[index].2.push_str(&delta.text);
        }
        out
    }

    fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
        (id.to_owned(), name.to_owned(), arguments.to_owned())
    }

    #[test]
    fn fragments_by_index() {
        let fragments = json!([
            { "index": 0, "id": "a", "function": { "name": "read", "arguments": "" } },
            { "index": 1, "id": "b", "function": { "name": "list", "arguments": "{" } },
            { "index": 0, "function": { "arguments": "{\"p\":" } },
            { "index": 1, "function": { "arguments": "}" } },
            { "index": 0, "function": { "arguments": "1}" } },
        ]);
        assert_eq!(assemble(&fragments), [call("a", "read", "{\"p\":1}"), call("b", "list", "{}")]);
    }

    #[test]
    fn indexes_may_start_anywhere() {
        let fragments = json!([
            { "index": 3, "id": "a", "function": { "name": "read", "arguments": "{}" } },
            { "index": 9, "id": "b", "function": { "name": "list", "arguments": "{}" } },
        ]);
        assert_eq!(assemble(&fragments), [call("a", "read", "{}"), call("b", "list", "{}")]);
    }

    #[test]
    fn every_call_numbered_zero() {
        let fragments = json!([
            { "index": 0, "id": "a", "function": { "name": "read", "arguments": "{}" } },
            { "index": 0, "id": "b", "function": { "name": "read", "arguments": "{\"x\"" } },
            { "index": 0, "function": { "arguments": ":1}" } },
        ]);
        assert_eq!(assemble(&fragments), [call("a", "read", "{}"), call("b", "read", "{\"x\":1}")]);
    }

    #[test]
    fn no_index_at_all() {
        let fragments = json!([
            { "id": "a", "function": { "name": "read", "arguments": "{" } },
            { "function": { "arguments": "}" } },
            { "id": "b", "function": { "name": "list", "arguments": "{}" } },
            { "id": "a", "function": { "arguments": " " } },
        ]);
        assert_eq!(assemble(&fragments), [call("a", "read", "{} "), call("b", "list", "{}")]);
    }

    #[test]
    fn no_index_and_no_id() {
        let fragments = json!([
            { "function": { "name": "read", "arguments": "{}" } },
            { "function": { "name": "list", "arguments": "{" } },
            { "function": { "arguments": "}" } },
        ]);
        assert_eq!(assemble(&fragments), [call("", "read", "{}"), call("", "list", "{}")]);
    }

    #[test]
    fn names_in_pieces_late_or_repeated() {
        let fragments = json!([
            { "index": 0, "id": "a", "function": { "name": "re" } },
            { "index": 0, "id": "", "function": { "name": "ad", "arguments": "" } },
            { "index": 0, "id": "a", "function": { "name": "read", "arguments": "{" } },
            { "index": 0, "id": "a", "function": { "name": "read", "arguments": "}" } },
            { "index": 1, "id": null, "function": null },
            { "index": 1, "function": { "name": null, "arguments": "{}" } },
            { "index": 1, "id": "late", "function": { "name": "", "arguments": null } },
        ]);
        assert_eq!(assemble(&fragments), [call("a", "read", "{}"), call("late", "", "{}")]);
    }

    #[test]
    fn arguments_as_an_object() {
        let fragments =
            json!([{ "index": 0, "id": "a", "function": { "name": "read", "arguments": { "path": "x" } } }]);
        assert_eq!(assemble(&fragments), [call("a", "read", "{\"path\":\"x\"}")]);
    }

    proptest! {
        /// However whole calls are cut and interleaved by index, they come out whole.
        #[test]
        fn any_interleaving(calls in proptest::collection::vec(("[a-z]{1,6}", "[a-z{}\":]{0,12}"), 1..5),
                            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..60)) {
            let mut left: Vec<std::collections::VecDeque<Value>> = calls.iter().enumerate().map(|(index, (name, arguments))| {
                let head = json!({ "index": index, "id": format!("id{index}"), "function": { "name": name } });
                let tail = arguments.chars().map(|piece| json!({ "index": index, "function": { "arguments": piece.to_string() } }));
                std::iter::once(head).chain(tail).collect()
            }).collect();
            // The heads come in order, what follows in any.
            let mut fragments: Vec<Value> = left.iter_mut().filter_map(std::collections::VecDeque::pop_front).collect();
            for pick in order {
                let pick = pick.index(left.len());
                fragments.extend(left[pick].pop_front());
            }
            fragments.extend(left.into_iter().flatten());
            let wanted: Vec<_> = calls.iter().enumerate().map(|(index, (name, arguments))| call(&format!("id{index}"), name, arguments)).collect();
            prop_assert_eq!(assemble(&Value::Array(fragments)), wanted);
        }

        /// Nothing a server may send makes it panic or skip a number.
        #[test]
        fn anything_goes(fragments in proptest::collection::vec((proptest::option::of(-2i64..3), proptest::option::of("[ab]?"),
                         proptest::option::of("[rl]?"), proptest::option::of("[{}]?")), 0..20)) {
            let fragments: Vec<Value> = fragments.into_iter().map(|(index, id, name, arguments)|
                json!({ "index": index, "id": id, "function": { "name": name, "arguments": arguments } })).collect();
            assemble(&Value::Array(fragments));
        }
    }
}
