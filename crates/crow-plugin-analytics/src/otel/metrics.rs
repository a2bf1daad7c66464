//! The metrics of the GenAI conventions, as histograms that grow from the start of the agent on.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::span::text;
use crate::record::{Record, ToolEnd};
use crate::track::now;

/// Upper bounds, as the conventions have them: tokens.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Upper bounds, as the conventions have them: seconds.
const SECONDS: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Since when, and what has added up.
#[derive(Debug)]
pub(super) struct Metrics {
    start: i64,
    tokens: BTreeMap<Key, Histogram>,
    seconds: BTreeMap<Key, Histogram>,
    changed: bool,
}

/// Attributes: names and values.
type Key = Vec<(&'static str, String)>;

#[derive(Debug, Default)]
struct Histogram {
    counts: [u64; 15],
    count: u64,
    sum: f64,
}

impl Histogram {
    fn add(&mut self, bounds: &[f64; 14], value: f64) {
        self.counts[bounds.partition_point(|bound| *bound < value)] += 1;
        self.count += 1;
        self.sum += value;
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { start: now(), tokens: BTreeMap::new(), seconds: BTreeMap::new(), changed: false }
    }
}

impl Metrics {
    pub(super) fn add(&mut self, record: &Record) {
        match record {
            Record::Request(request) => {
                let (provider, model) = request.model.split_once('/').unwrap_or(("", &request.model));
                let mut key: Key = vec![
                    ("gen_ai.operation.name", "chat".to_owned()),
                    ("gen_ai.provider.name", provider.to_owned()),
                    ("gen_ai.request.model", model.to_owned()),
                ];
                let usage = [("input", request.usage.input_tokens), ("output", request.usage.output_tokens)];
                for (kind, tokens) in usage.into_iter().filter(|_| request.error.is_none()) {
                    let mut key = key.clone();
                    key.push(("gen_ai.token.type", kind.to_owned()));
                    self.tokens.entry(key).or_default().add(&TOKENS, tokens as f64);
                }
                key.extend(request.error.map(|error| ("error.type", error.to_owned())));
                self.seconds.entry(key).or_default().add(&SECONDS, request.took.as_secs_f64());
            }
            Record::Tool(call) => {
                let Some(took) = call.took else { return };
                let mut key: Key =
                    vec![("gen_ai.operation.name", "execute_tool".to_owned()), ("gen_ai.tool.name", call.tool.clone())];
                if call.ended != ToolEnd::Completed {
                    key.push(("error.type", call.ended.name().to_owned()));
                }
                self.seconds.entry(key).or_default().add(&SECONDS, took.as_secs_f64());
            }
            Record::Run(_) | Record::Compaction(_) | Record::Hooks(_) => return,
        }
        self.changed = true;
    }

    /// All of it, if something came since it was sent.
    pub(super) fn changed(&self) -> Option<Value> {
        if !self.changed {
            return None;
        }
        let metric = |name: &str, unit: &str, bounds: &[f64], all: &BTreeMap<Key, Histogram>| {
            let points: Vec<Value> = all.iter().map(|(key, histogram)| self.point(key, histogram, bounds)).collect();
            json!({ "name": name, "unit": unit, "histogram": { "dataPoints": points, "aggregationTemporality": 2 } })
        };
        let mut metrics = Vec::new();
        if !self.tokens.is_empty() {
            metrics.push(metric("gen_ai.client.token.usage", "{token}", &TOKENS, &self.tokens));
        }
        metrics.push(metric("gen_ai.client.operation.duration", "s", &SECONDS, &self.seconds));
        Some(Value::Array(metrics))
    }

    pub(super) fn sent(&mut self) {
        self.changed = false;
    }

    fn point(&self, key: &Key, histogram: &Histogram, bounds: &[f64]) -> Value {
        let attributes: Vec<Value> = key.iter().map(|(name, value)| text(name, value)).collect();
        let counts: Vec<String> = histogram.counts.iter().map(ToString::to_string).collect();
        let nanos = |milliseconds: i64| (i128::from(milliseconds) * 1_000_000).to_string();
        json!({
            "attributes": attributes, "startTimeUnixNano": nanos(self.start), "timeUnixNano": nanos(now()),
            "count": histogram.count.to_string(), "sum": histogram.sum, "bucketCounts": counts, "explicitBounds": bounds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_belong_to_the_bucket_below() {
        let mut histogram = Histogram::default();
        for tokens in [0.0, 1.0, 2.0, 4.0, 1e9] {
            histogram.add(&TOKENS, tokens);
        }
        assert_eq!((histogram.counts[0], histogram.counts[1], histogram.counts[14]), (2, 2, 1));
        assert_eq!((histogram.count, histogram.counts.iter().sum::<u64>()), (5, 5));
    }
}
