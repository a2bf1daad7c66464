//! What is measured, and how.

use std::{fs, time::Duration};

use crow_tests::{ModelServer, Reply, proc};
use serde_json::json;

use crate::{
    agent::{Agent, Contender},
    report::{Goal, Row, Samples, Unit},
};

/// One measurement of the list.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) measure: fn(&[Contender; 2], quick: bool) -> Vec<Row>,
}

pub(crate) const ALL: &[Figure] = &[
    Figure { name: "spawn to initialize reply", measure: initialize },
    Figure { name: "session/new", measure: session_new },
    Figure { name: "spawn to first token", measure: first_token },
    Figure { name: "warm prompt to first chunk", measure: warm_prompt },
    Figure { name: "CPU per one-token prompt", measure: prompt_cpu },
    Figure {
        name: "2,000 deltas",
        measure: |contenders, quick| deltas(contenders, 2_000, 20.0, if quick { 3 } else { 15 }),
    },
    Figure {
        name: "20,000 deltas",
        measure: |contenders, quick| deltas(contenders, 20_000, 200.0, if quick { 1 } else { 5 }),
    },
    Figure { name: "CPU per delta at 200/s", measure: delta_cpu },
    Figure { name: "read-file tool round", measure: tool_round },
    Figure { name: "20 sessions at 100 deltas/s", measure: sessions },
    Figure { name: "cancel", measure: cancel },
    Figure { name: "memory", measure: memory },
    Figure { name: "binary size", measure: size },
    Figure { name: "exit after stdin closes", measure: exit },
];

/// Takes `runs` samples of each contender in turn.
fn alternate(
    contenders: &[Contender; 2],
    runs: usize,
    mut sample: impl FnMut(usize, &Contender) -> f64,
) -> [Samples; 2] {
    let mut samples = [Samples::default(), Samples::default()];
    for _ in 0..runs {
        for (which, contender) in contenders.iter().enumerate() {
            samples[which].add(sample(which, contender));
        }
    }
    samples
}

/// A warm agent of each contender, with one prompt behind it.
fn warm(contenders: &[Contender; 2], server: &ModelServer) -> [Agent; 2] {
    [0, 1].map(|which: usize| {
        server.push(Reply::say("warm"));
        let mut agent = contenders[which].start(server);
        let session = agent.session();
        agent.prompt(&session, "hello");
        agent
    })
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn initialize(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    let server = ModelServer::start();
    let samples = alternate(contenders, if quick { 5 } else { 40 }, |_, contender| {
        let mut agent = contender.spawn(&server);
        ms(agent.initialize() - agent.spawned)
    });
    vec![Row::new("spawn to initialize reply", Unit::Ms, samples, Goal::AtMost(8.0))]
}

fn session_new(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    let server = ModelServer::start();
    let mut agents = warm(contenders, &server);
    let samples = alternate(contenders, if quick { 5 } else { 40 }, |which, _| {
        let agent = &mut agents[which];
        let place = agent.place();
        let sent = std::time::Instant::now();
        let id = agent.send("session/new", &place);
        ms(agent.answer(id) - sent)
    });
    vec![Row::new("session/new", Unit::Ms, samples, Goal::AtMost(3.0))]
}

fn first_token(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    let server = ModelServer::start();
    server.otherwise(Reply::say("hi"));
    let samples = alternate(contenders, if quick { 5 } else { 30 }, |_, contender| {
        let mut agent = contender.start(&server);
        let session = agent.session();
        ms(agent.prompt(&session, "hello").first_chunk - agent.spawned)
    });
    vec![Row::new("spawn to first token", Unit::Ms, samples, Goal::AtMost(20.0))]
}

fn warm_prompt(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    let server = ModelServer::start();
    let text = "All work and no play makes a dull prompt. ".repeat(30 * 1024 / 42);
    let mut agents = warm(contenders, &server);
    server.otherwise(Reply::say("hi"));
    let samples = alternate(contenders, if quick { 5 } else { 60 }, |which, _| {
        let agent = &mut agents[which];
        let session = agent.session();
        agent.prompt(&session, "hello");
        let prompted = agent.prompt(&session, &text);
        let request = server.requests().pop().expect("a request for each prompt");
        server.reset();
        ms((prompted.first_chunk - prompted.sent).saturating_sub(request.own_time()))
    });
    vec![Row::new("warm prompt to first chunk, 30 KB, over the server's time", Unit::Ms, samples, Goal::AtMost(1.0))]
}

fn prompt_cpu(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    const PROMPTS: usize = 10;
    let server = ModelServer::start();
    let mut agents = warm(contenders, &server);
    server.otherwise(Reply::say("x"));
    let samples = alternate(contenders, if quick { 2 } else { 15 }, |which, _| {
        let agent = &mut agents[which];
        let open: Vec<String> = (0..3).map(|_| agent.session()).collect();
        let before = proc::cpu_time(agent.pid());
        for session in &open {
            for _ in 0..PROMPTS {
                agent.prompt(session, "one token, please");
            }
        }
        let spent = ms(proc::cpu_time(agent.pid()).saturating_sub(before));
        spent / (open.len() * PROMPTS) as f64
    });
    vec![Row::new("CPU per one-token prompt", Unit::Ms, samples, Goal::AtMost(1.0))]
}

fn deltas(contenders: &[Contender; 2], count: usize, goal: f64, runs: usize) -> Vec<Row> {
    let server = ModelServer::start();
    let mut agents = warm(contenders, &server);
    server.otherwise(Reply::stream().texts((0..count).map(|number| format!("word{number} "))));
    let samples = alternate(contenders, runs, |which, _| {
        let agent = &mut agents[which];
        let session = agent.session();
        let prompted = agent.prompt(&session, "count");
        ms(prompted.answered - prompted.sent)
    });
    vec![Row::new(&format!("{count} deltas at 0 ms, whole prompt"), Unit::Ms, samples, Goal::AtMost(goal))]
}

fn delta_cpu(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    const DELTAS: usize = 300;
    let server = ModelServer::start();
    let mut agents = warm(contenders, &server);
    let words = (0..DELTAS).map(|number| format!("word{number} "));
    server.otherwise(Reply::stream().gap(Duration::from_millis(5)).texts(words));
    let samples = alternate(contenders, if quick { 1 } else { 5 }, |which, _| {
        let agent = &mut agents[which];
        let session = agent.session();
        let before = proc::cpu_time(agent.pid());
        agent.prompt(&session, "count slowly");
        ms(proc::cpu_time(agent.pid()).saturating_sub(before)) * 1e3 / DELTAS as f64
    });
    vec![Row::new("CPU per delta at 200/s", Unit::Us, samples, Goal::AtMost(200.0))]
}

fn tool_round(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    let server = ModelServer::start();
    let mut agents = warm(contenders, &server);
    let samples = alternate(contenders, if quick { 5 } else { 40 }, |which, _| {
        let agent = &mut agents[which];
        let path = agent.sandbox.file("src/lib.rs", "pub fn answer() -> u32 {\n    42\n}\n".repeat(40));
        let session = agent.session();
        server.reset();
        server.push(Reply::call("call_1", "read", &json!({ "path": path })));
        server.push(Reply::say("done"));
        agent.prompt(&session, "read the file");
        let requests = server.requests();
        // The whole answer goes out in one piece.
        let asked = requests[0].first_byte.expect("an answered request");
        ms(requests[1].received.saturating_duration_since(asked))
    });
    vec![Row::new("read-file tool round, from call to next request", Unit::Ms, samples, Goal::AtMost(2.0))]
}

fn sessions(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    const SESSIONS: usize = 20;
    let server = ModelServer::start();
    let words = (0..100).map(|number| format!("word{number} "));
    server.otherwise(Reply::stream().gap(Duration::from_millis(10)).texts(words));
    let mut opening = [Samples::default(), Samples::default()];
    let samples = alternate(contenders, if quick { 1 } else { 5 }, |which, contender| {
        let mut agent = contender.start(&server);
        let place = agent.place();
        let start = std::time::Instant::now();
        let open: Vec<String> = (0..SESSIONS).map(|_| agent.session()).collect();
        opening[which].add(ms(start.elapsed()));
        drop(place);
        let start = std::time::Instant::now();
        for session in &open {
            agent.send_prompt(session, "count");
        }
        (agent.answers(SESSIONS) - start).as_secs_f64()
    });
    vec![
        Row::new("20 sessions at 100 deltas/s", Unit::S, samples, Goal::TimesRelay(1.03)),
        Row::new("opening 20 sessions", Unit::Ms, opening, Goal::AtMost(40.0)),
    ]
}

/// From the cancellation sent to the prompt answered; the relay cannot cancel.
fn cancel(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    let server = ModelServer::start();
    let mut agent = contenders[1].start(&server);
    let command = json!({ "command": "echo under way; sleep 600" });
    let write = json!({ "path": "a.txt", "content": "x" });
    let points = [
        ("during the model's stream", "full", Reply::stream().text("under way").hang()),
        ("during a command", "full", Reply::call("call_1", "terminal", &command)),
        ("with a permission pending", "ask", Reply::call("call_1", "write", &write)),
    ];
    let mut rows = Vec::new();
    for (point, mode, reply) in points {
        let words = if mode == "ask" { "session/request_permission" } else { "under way" };
        let mut samples = Samples::default();
        for _ in 0..if quick { 3 } else { 15 } {
            let session = agent.session();
            let id = agent.send("session/set_mode", &json!({ "sessionId": session, "modeId": mode }));
            agent.answer(id);
            server.push(reply.clone());
            let id = agent.send_prompt(&session, "go");
            agent.wait_for(words);
            // The command's own words are in its tool call, too: let it get under way.
            std::thread::sleep(Duration::from_millis(30));
            let sent = std::time::Instant::now();
            agent.notify("session/cancel", &json!({ "sessionId": session }));
            samples.add(ms(agent.answer(id) - sent));
        }
        let samples = [Samples::default(), samples];
        rows.push(Row::new(&format!("cancel {point}"), Unit::Ms, samples, Goal::AtMost(100.0)));
    }
    rows
}

fn memory(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    let server = ModelServer::start();
    server.otherwise(Reply::say("hi"));
    let mib = |agent: &Agent| proc::pss(agent.pid()) as f64 / 1024.0 / 1024.0;
    let mut many = [Samples::default(), Samples::default()];
    let first = alternate(contenders, if quick { 1 } else { 5 }, |which, contender| {
        let mut agent = contender.start(&server);
        // What is done after the reply to `initialize` counts as well.
        std::thread::sleep(Duration::from_millis(200));
        let first = mib(&agent);
        for _ in 0..25 {
            let session = agent.session();
            agent.prompt(&session, "hello");
        }
        many[which].add(mib(&agent));
        first
    });
    vec![
        Row::new("memory (PSS) after initialize", Unit::Mb, first, Goal::AtMost(10.0)),
        Row::new("memory (PSS) with 25 sessions, one prompt each", Unit::Mb, many, Goal::AtMost(20.0)),
    ]
}

fn size(contenders: &[Contender; 2], _quick: bool) -> Vec<Row> {
    let samples = alternate(contenders, 1, |_, contender| {
        fs::metadata(&contender.program).map_or(0.0, |file| file.len() as f64 / 1024.0 / 1024.0)
    });
    // 22 million bytes.
    vec![Row::new("binary size as built for release (stripped)", Unit::Mb, samples, Goal::AtMost(20.98))]
}

fn exit(contenders: &[Contender; 2], quick: bool) -> Vec<Row> {
    let server = ModelServer::start();
    server.otherwise(Reply::say("hi"));
    let samples = alternate(contenders, if quick { 3 } else { 15 }, |_, contender| {
        let mut agent = contender.start(&server);
        let session = agent.session();
        agent.prompt(&session, "hello");
        ms(agent.exit())
    });
    vec![Row::new("exit after stdin closes", Unit::Ms, samples, Goal::AtMost(50.0))]
}
