//! What each plugin costs: Crow with all its plugins beside Crow without one of them, run by run in turn.

use std::{fmt::Write, process::Command, time::Duration};

use crow_tests::{ModelServer, Reply, Sandbox, proc};
use serde_json::{Value, json};

use crate::{
    agent::Contender,
    report::{Samples, number},
};

/// Without these there is no answer to measure.
const NEEDED: &[&str] = &["dispatch", "openai"];

/// How many prompts a sample of the CPU time takes.
const PROMPTS: usize = 20;

/// The measurements of one variant.
#[derive(Debug, Default)]
struct Cost {
    first_token: Samples,
    prompt_cpu: Samples,
    memory: Samples,
}

/// Measures every built-in plugin of `program`.
pub(crate) fn measure(program: &std::path::Path, quick: bool) -> Vec<Share> {
    let plugins = plugins(program);
    let contenders: Vec<(Option<String>, Contender)> = std::iter::once((None, Contender::crow(program)))
        .chain(plugins.into_iter().map(|name| (Some(name.clone()), Contender::without(program, &name))))
        .collect();
    let server = ModelServer::start();
    server.otherwise(Reply::say("x"));
    let mut costs: Vec<Cost> = contenders.iter().map(|_| Cost::default()).collect();
    for _ in 0..if quick { 1 } else { 15 } {
        for (cost, (_, contender)) in costs.iter_mut().zip(&contenders) {
            let mut agent = contender.start(&server);
            let session = agent.session();
            let prompted = agent.prompt(&session, "hello");
            cost.first_token.add((prompted.first_chunk - agent.spawned).as_secs_f64() * 1e3);
            let before = proc::cpu_time(agent.pid());
            for _ in 0..PROMPTS {
                agent.prompt(&session, "one token, please");
            }
            let spent = proc::cpu_time(agent.pid()).saturating_sub(before);
            cost.prompt_cpu.add(spent.as_secs_f64() * 1e6 / PROMPTS as f64);
            std::thread::sleep(Duration::from_millis(50));
            cost.memory.add(proc::pss(agent.pid()) as f64 / 1024.0);
        }
    }
    let all = costs.remove(0);
    let without = contenders.into_iter().filter_map(|(name, _)| name).zip(costs);
    std::iter::once(Share::of("(all of them)".to_owned(), &all, &Cost::default()))
        .chain(without.map(|(name, cost)| Share::of(name, &all, &cost)))
        .collect()
}

/// What one plugin adds.
#[derive(Debug)]
pub(crate) struct Share {
    plugin: String,
    first_token_ms: f64,
    prompt_cpu_us: f64,
    memory_kib: f64,
}

impl Share {
    fn of(plugin: String, all: &Cost, without: &Cost) -> Self {
        // Nothing was measured without all of them: then it is the whole.
        let less = |all: &Samples, without: &Samples| {
            let without = without.median();
            all.median() - if without.is_nan() { 0.0 } else { without }
        };
        Self {
            plugin,
            first_token_ms: less(&all.first_token, &without.first_token),
            prompt_cpu_us: less(&all.prompt_cpu, &without.prompt_cpu),
            memory_kib: less(&all.memory, &without.memory),
        }
    }
}

/// The names of the plugins that Crow can be measured without.
fn plugins(program: &std::path::Path) -> Vec<String> {
    let sandbox = Sandbox::new();
    let mut command: Command = sandbox.command_for(program, &["plugins", "--json"]);
    let output = command.stdin(std::process::Stdio::null()).output().expect("a program that can be started");
    let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON from `crow plugins --json`");
    let plugins = listed.as_array().or_else(|| listed["plugins"].as_array()).cloned().unwrap_or_default();
    let names = plugins.iter().filter_map(|plugin| plugin["name"].as_str().map(str::to_owned));
    names.filter(|name| !NEEDED.contains(&name.as_str())).collect()
}

/// The table as Markdown.
pub(crate) fn table(shares: &[Share]) -> String {
    let mut table = String::from("| plugin | spawn to first token | CPU per prompt | memory (PSS) |\n");
    table.push_str("| --- | ---: | ---: | ---: |\n");
    for share in shares {
        let _ = writeln!(
            table,
            "| {} | {} ms | {} µs | {} KiB |",
            share.plugin,
            number(share.first_token_ms),
            number(share.prompt_cpu_us),
            number(share.memory_kib),
        );
    }
    table
}

/// Everything as one JSON object.
pub(crate) fn json(shares: &[Share]) -> Value {
    let one = |share: &Share| {
        json!({
            "plugin": share.plugin, "first_token_ms": share.first_token_ms, "prompt_cpu_us": share.prompt_cpu_us,
            "memory_kib": share.memory_kib,
        })
    };
    json!({ "shares": shares.iter().map(one).collect::<Vec<_>>() })
}
