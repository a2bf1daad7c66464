//! A record as a span: `invoke_agent` for a run, below it `chat` for each request and `execute_tool` for each tool call.

use std::time::Duration;

use serde_json::{Value, json};

use crate::record::{Place, Record, ToolEnd};

const INTERNAL: u32 = 1;
const CLIENT: u32 = 3;
const FAILED: u32 = 2;

/// The span of a record, if it has one.
pub(super) fn of(record: &Record) -> Option<Value> {
    match record {
        Record::Run(run) => {
            let (trace, root) = ids(&run.place, run.at);
            let mut attributes = vec![
                text("gen_ai.operation.name", "invoke_agent"),
                text("gen_ai.agent.name", "crow"),
                text("gen_ai.conversation.id", &run.place.session),
                text("crow.stop_reason", run.ended),
                number("crow.turns", u64::from(run.turns)),
            ];
            let failed = matches!(run.ended, "error").then_some("run_failed");
            attributes.extend(failed.map(|failed| text("error.type", failed)));
            Some(span(
                &trace,
                &root,
                None,
                "invoke_agent crow",
                INTERNAL,
                (run.at, run.took),
                attributes,
                failed.is_some(),
            ))
        }
        Record::Request(request) => {
            let (trace, root) = ids(&request.place, request.at);
            let (provider, model) = request.model.split_once('/').unwrap_or(("", &request.model));
            let mut attributes = vec![
                text("gen_ai.operation.name", "chat"),
                text("gen_ai.provider.name", provider),
                text("gen_ai.request.model", model),
                text("gen_ai.conversation.id", &request.place.session),
                number("gen_ai.usage.input_tokens", request.usage.input_tokens),
                number("gen_ai.usage.output_tokens", request.usage.output_tokens),
                number("gen_ai.usage.cache_read.input_tokens", request.usage.cached_input_tokens),
            ];
            if let Some(finish) = request.finish {
                let reasons = json!({ "arrayValue": { "values": [{ "stringValue": finish }] } });
                attributes.push(json!({ "key": "gen_ai.response.finish_reasons", "value": reasons }));
            }
            attributes.extend(request.error.map(|error| text("error.type", error)));
            let name = format!("chat {model}");
            let time = (request.at, request.took);
            let parent = request.place.run.map(|_| root);
            Some(span(&trace, &id(), parent.as_deref(), &name, CLIENT, time, attributes, request.error.is_some()))
        }
        Record::Tool(call) => {
            let (trace, root) = ids(&call.place, call.at);
            let failed = (call.ended != ToolEnd::Completed).then(|| call.ended.name());
            let mut attributes = vec![
                text("gen_ai.operation.name", "execute_tool"),
                text("gen_ai.tool.name", &call.tool),
                text("gen_ai.tool.type", "function"),
                text("gen_ai.conversation.id", &call.place.session),
            ];
            attributes.extend(failed.map(|failed| text("error.type", failed)));
            let name = format!("execute_tool {}", call.tool);
            let time = (call.at, call.took.unwrap_or_default());
            let parent = call.place.run.map(|_| root);
            Some(span(&trace, &id(), parent.as_deref(), &name, INTERNAL, time, attributes, failed.is_some()))
        }
        Record::Compaction(_) | Record::Hooks(_) => None,
    }
}

#[expect(clippy::too_many_arguments, reason = "the fields of a span, in one place")]
fn span(
    trace: &str,
    id: &str,
    parent: Option<&str>,
    name: &str,
    kind: u32,
    (at, took): (i64, Duration),
    attributes: Vec<Value>,
    failed: bool,
) -> Value {
    let start = i128::from(at) * 1_000_000;
    let mut span = json!({
        "traceId": trace, "spanId": id, "name": name, "kind": kind, "attributes": attributes,
        "startTimeUnixNano": start.to_string(),
        "endTimeUnixNano": (start + took.as_nanos() as i128).to_string(),
        "status": {},
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = parent.into();
    }
    if failed {
        span["status"] = json!({ "code": FAILED });
    }
    span
}

pub(super) fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    // 64-bit numbers are text in OTLP's JSON.
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// The trace and the root span of a run: both follow from its id. What belongs to no run is a trace of its own.
fn ids(place: &Place, at: i64) -> (String, String) {
    let run = place.run.unwrap_or(at) as u64;
    let session = place.session.bytes().fold(0_u64, |sum, byte| mix(sum ^ u64::from(byte)));
    (format!("{:016x}{:016x}", mix(run).max(1), mix(run ^ session)), format!("{:016x}", mix(!run).max(1)))
}

/// A span's id.
fn id() -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    format!("{:016x}", RandomState::new().build_hasher().finish().max(1))
}

/// Spreads a number over all bits.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
