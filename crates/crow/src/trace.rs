//! `--trace-hooks`: every hook as it fires, who ran in it, and how long it took.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crow_acp::crow_hooks::{Budget, HookError, HookSpec, ImplInfo, ImplOutcome, Monitor};
use serde_json::{Value, json};

/// The hook through which every update of a session goes on its way to the client.
const UPDATE: &str = "session_update";

/// One thing that a trace tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fired {
    hook: &'static str,
    /// How many hooks it happened in.
    depth: usize,
    /// How many updates had been sent to the client before: those come first, whoever shows both.
    pub(crate) updates: usize,
    /// What there is to tell at its end; nothing at the beginning of one in which others fire.
    over: Option<Over>,
}

/// How a hook went.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Over {
    /// How many calls of it this stands for.
    times: usize,
    /// The plugins whose impls ran, in the order in which they ended, each with what went wrong.
    ran: Vec<(String, Option<String>)>,
    took: Duration,
}

impl Fired {
    /// For people.
    pub(crate) fn line(&self) -> String {
        let name = format!("{}{}", "  ".repeat(self.depth), self.hook);
        let Some(Over { times, ran, took }) = &self.over else { return format!("{name} …") };
        let times = if *times > 1 { format!(" ×{times}") } else { String::new() };
        let tell = |(plugin, error): &(String, Option<String>)| match error {
            Some(error) => format!("{plugin} failed ({error})"),
            None => plugin.clone(),
        };
        let names: Vec<String> = ran.iter().map(tell).collect();
        let names = if names.is_empty() { "–".to_owned() } else { names.join(", ") };
        format!("{:<26}{names}  {}", name + &times, micros(*took))
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let mut json = json!({ "type": "hook", "hook": self.hook, "depth": self.depth });
        match &self.over {
            None => json["phase"] = "begun".into(),
            Some(Over { times, ran, took }) => {
                let ran: Vec<Value> =
                    ran.iter().map(|(plugin, error)| json!({ "plugin": plugin, "error": error })).collect();
                json["phase"] = "over".into();
                json["times"] = (*times).into();
                json["ran"] = ran.into();
                json["micros"] = (took.as_micros() as u64).into();
            }
        }
        json
    }
}

/// Where a trace goes.
pub(crate) type Tell = Box<dyn Fn(Fired) + Send + Sync>;

/// Watches all calls and tells of each.
pub(crate) struct Trace {
    tell: Tell,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    updates: usize,
    /// The hooks under way that others may fire in: calls of a model, a tool, a command.
    open: Vec<Open>,
    /// What ran so far in the calls under way, by hook. Calls of one hook at the same time share an entry: the names are
    /// right, only whose call they belong to may be mixed up.
    ran: HashMap<&'static str, Vec<(String, Option<String>)>>,
    /// Calls of a plain function outside of those, which wait to be told together: there are many.
    repeated: Vec<Fired>,
}

/// A hook in which others may fire.
struct Open {
    hook: &'static str,
    /// Its beginning was told: something happened in it.
    told: bool,
    /// What happened in it, calls of the same hook together: a stream fires hundreds.
    inside: Vec<Fired>,
}

impl Trace {
    /// A trace that goes to `tell`.
    pub(crate) fn new(tell: impl Fn(Fired) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), state: Mutex::default() }
    }

    /// Tells what is still held back.
    pub(crate) fn flush(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell_repeated(&mut state);
    }

    fn tell_repeated(&self, state: &mut State) {
        state.repeated.drain(..).for_each(&self.tell);
    }

    /// Tells of those hooks under way in which nothing had happened so far that they have begun.
    fn tell_begun(&self, state: &mut State) {
        let updates = state.updates;
        for (depth, open) in state.open.iter_mut().enumerate().filter(|(_, open)| !open.told) {
            open.told = true;
            (self.tell)(Fired { hook: open.hook, depth, updates, over: None });
        }
    }
}

impl Monitor for Trace {
    fn before_call(&self, hook: &'static HookSpec) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.open.is_empty() {
            self.tell_begun(&mut state);
        }
        if hook.budget == Some(Budget::Unbounded) {
            self.tell_repeated(&mut state);
            state.open.push(Open { hook: hook.name, told: false, inside: Vec::new() });
        }
    }

    fn after_call(&self, hook: &'static HookSpec, outcome: Option<Result<(), &HookError>>, took: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ran = state.ran.remove(hook.name).unwrap_or_default();
        if outcome.is_none() {
            ran.push(("dropped".to_owned(), None));
        }
        let closed = state.open.iter().rposition(|open| open.hook == hook.name).map(|at| state.open.remove(at));
        let fired = Fired {
            hook: hook.name,
            depth: state.open.len(),
            updates: state.updates,
            over: Some(Over { times: 1, ran, took }),
        };
        state.updates += usize::from(hook.name == UPDATE);
        if let Some(closed) = closed {
            let updates = state.updates;
            closed.inside.into_iter().map(|inner| Fired { updates, ..inner }).for_each(&self.tell);
            (self.tell)(Fired { updates, ..fired });
        } else if let Some(open) = state.open.last_mut() {
            join(&mut open.inside, fired);
        } else if hook.sync {
            if state.repeated.last().is_some_and(|last| last.hook != hook.name) {
                self.tell_repeated(&mut state);
            }
            join(&mut state.repeated, fired);
        } else {
            self.tell_repeated(&mut state);
            (self.tell)(fired);
        }
    }

    fn impl_finished(&self, which: &ImplInfo, outcome: ImplOutcome<'_>, _: Duration) {
        let error = match outcome {
            ImplOutcome::Failed(error) => Some(error.reason()),
            ImplOutcome::Cancelled => Some("cancelled".to_owned()),
            _ => None,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ran.entry(which.hook).or_default().push((which.plugin.to_string(), error));
    }
}

/// Adds a call to those of the same hook in which the same plugins ran, or to the end.
fn join(list: &mut Vec<Fired>, fired: Fired) {
    let same = |one: &&mut Fired| one.hook == fired.hook && ran(one) == ran(&fired);
    match (list.iter_mut().find(same).and_then(|one| one.over.as_mut()), &fired.over) {
        (Some(sum), Some(over)) => {
            sum.times += over.times;
            sum.took += over.took;
        }
        _ => list.push(fired),
    }
}

fn ran(fired: &Fired) -> Option<&Vec<(String, Option<String>)>> {
    fired.over.as_ref().map(|over| &over.ran)
}

/// Puts hooks and updates into the order in which they happened: hooks are told at once, updates take their way through
/// the protocol.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Updates that have arrived.
    seen: usize,
    /// Hooks that fired after updates which have not arrived yet.
    waiting: VecDeque<Fired>,
}

impl Order {
    /// A hook fired; gives those that can be shown now.
    pub(crate) fn fired(&mut self, fired: Fired) -> Vec<Fired> {
        self.waiting.push_back(fired);
        self.ready()
    }

    /// An update has arrived and was shown; gives the hooks that can be shown now.
    pub(crate) fn updated(&mut self) -> Vec<Fired> {
        self.seen += 1;
        self.ready()
    }

    /// No update has come for a while: one was joined with another or left out. Gives all hooks that waited for it.
    pub(crate) fn give_up(&mut self) -> Vec<Fired> {
        let all: Vec<Fired> = self.waiting.drain(..).collect();
        self.seen = all.iter().map(|fired| fired.updates).fold(self.seen, usize::max);
        all
    }

    fn ready(&mut self) -> Vec<Fired> {
        let mut ready = Vec::new();
        while self.waiting.front().is_some_and(|fired| fired.updates <= self.seen) {
            ready.extend(self.waiting.pop_front());
        }
        ready
    }
}

fn micros(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros => format!("{:.1} ms", micros as f64 / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crow_acp::crow_hooks::{PluginManager, hookimpls, hookspecs};
    use expect_test::expect;
    use std::sync::Arc;

    #[hookspecs(project = "trace")]
    trait Steps {
        async fn before(text: &str);
        #[hookspec(unbounded)]
        async fn work(hooks: &StepsRelay);
        #[hookspec(unbounded)]
        async fn ask();
        fn session_update(text: &str);
    }

    struct Plugin;

    #[hookimpls]
    impl Steps for Plugin {
        fn before(&self) -> Result<(), String> {
            Err("no".into())
        }

        async fn work(&self, hooks: &StepsRelay) {
            for _ in 0..5 {
                hooks.session_update("x").expect("no impls");
            }
        }

        fn ask(&self) {}
    }

    #[tokio::test]
    async fn a_stream_is_one_line_and_a_call_without_inner_life_another() {
        let lines: Arc<Mutex<Vec<Fired>>> = Arc::default();
        let sink = Arc::clone(&lines);
        let trace = Arc::new(Trace::new(move |fired| sink.lock().unwrap().push(fired)));
        let plugins = PluginManager::<dyn Steps>::new();
        plugins.register(Plugin).unwrap();
        plugins.add_monitor(Arc::clone(&trace) as Arc<dyn Monitor>);
        let hooks = plugins.hooks();
        assert!(hooks.before("x").await.is_err());
        hooks.session_update("x").unwrap();
        hooks.session_update("x").unwrap();
        hooks.work(&hooks).await.unwrap();
        hooks.ask().await.unwrap();
        trace.flush();
        let fired = lines.lock().unwrap().clone();
        let shown: Vec<String> = fired
            .iter()
            .map(|fired| {
                let line = fired.line();
                let line = line.rsplit_once("  ").map_or(line.as_str(), |(line, _)| line);
                format!("{} {line}", fired.updates)
            })
            .collect();
        expect![[r#"
            0 before                    plugin failed (no)
            0 session_update ×2         –
            2 work …
            7   session_update ×5       –
            7 work                      plugin
            7 ask                       plugin"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn hooks_wait_for_the_updates_before_them_but_not_forever() {
        let fired = |hook, updates| Fired { hook, depth: 0, updates, over: None };
        let names = |fired: Vec<Fired>| fired.iter().map(|fired| fired.hook).collect::<Vec<_>>();
        let mut order = Order::default();
        assert_eq!(names(order.fired(fired("a", 0))), ["a"]);
        assert_eq!(names(order.fired(fired("b", 2))), [""; 0]);
        assert_eq!(names(order.fired(fired("c", 2))), [""; 0]);
        assert_eq!(names(order.updated()), [""; 0]);
        assert_eq!(names(order.updated()), ["b", "c"]);
        assert_eq!(names(order.fired(fired("d", 5))), [""; 0]);
        assert_eq!(names(order.give_up()), ["d"]);
        assert_eq!(names(order.fired(fired("e", 5))), ["e"]);
    }
}
