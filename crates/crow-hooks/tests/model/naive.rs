//! The rules, written down as plainly as possible, for programs of this size.

use crate::program::{Came, Does, Imp, Op, PANIC, Place, Program, What, Which, Wraps, name};

/// A registered impl: its plugin, its number in the plugin, and when it came.
#[derive(Clone)]
struct Known {
    plugin: u8,
    at: usize,
    seq: usize,
    imp: Imp,
}

#[derive(Default)]
struct Host {
    /// Names and their impls.
    plugins: Vec<u8>,
    blocked: Vec<u8>,
    impls: Vec<Known>,
    seq: usize,
}

type Outcome = Result<Vec<u32>, (String, u32)>;

pub fn run(program: &Program) -> Vec<Came> {
    let mut host = Host::default();
    program.0.iter().map(|op| host.step(op)).collect()
}

/// What is registered by an impl.
pub fn simple() -> Vec<Imp> {
    vec![Imp {
        hook: Which::Gather,
        place: Place::Plain,
        later: false,
        what: What::Impl(Does::Value(77)),
        before: Vec::new(),
        after: Vec::new(),
    }]
}

impl Host {
    fn step(&mut self, op: &Op) -> Came {
        match op {
            Op::Register(plugin, impls) => Came::Registered(self.register(*plugin, impls)),
            Op::Unregister(plugin) => Came::Done(self.unregister(*plugin)),
            Op::Block(plugin) => {
                self.unregister(*plugin);
                self.unblock(*plugin);
                self.blocked.push(*plugin);
                Came::Done(true)
            }
            Op::Unblock(plugin) => Came::Done(self.unblock(*plugin)),
            Op::Call(hook) => {
                let (wrappers, impls) = self.order(*hook).expect("what is registered has an order");
                let mut ran = Vec::new();
                let outcome = self.around(*hook, &wrappers, &impls, &mut ran);
                Came::Called(ran, outcome)
            }
        }
    }

    fn register(&mut self, plugin: u8, impls: &[Imp]) -> &'static str {
        if self.blocked.contains(&plugin) {
            return "blocked";
        }
        if self.plugins.contains(&plugin) {
            return "taken";
        }
        let (before, seq) = (self.impls.clone(), self.seq);
        for (at, imp) in impls.iter().enumerate() {
            self.impls.push(Known { plugin, at, seq: self.seq, imp: imp.clone() });
            self.seq += 1;
        }
        if [Which::Gather, Which::Choose, Which::Survey].iter().any(|hook| self.order(*hook).is_none()) {
            (self.impls, self.seq) = (before, seq);
            return "impossible order";
        }
        self.plugins.push(plugin);
        "ok"
    }

    fn unregister(&mut self, plugin: u8) -> bool {
        let there = self.plugins.contains(&plugin);
        self.plugins.retain(|other| *other != plugin);
        self.impls.retain(|known| known.plugin != plugin);
        there
    }

    fn unblock(&mut self, plugin: u8) -> bool {
        let there = self.blocked.contains(&plugin);
        self.blocked.retain(|other| *other != plugin);
        there
    }

    /// Wrappers and impls in call order, if there is one.
    fn order(&self, hook: Which) -> Option<(Vec<Known>, Vec<Known>)> {
        let of_hook: Vec<_> = self.impls.iter().filter(|known| known.imp.hook == hook).cloned().collect();
        let (wrappers, impls): (Vec<_>, Vec<_>) =
            of_hook.into_iter().partition(|known| matches!(known.imp.what, What::Wrapper(_)));
        if impls
            .iter()
            .any(|inner| wrappers.iter().any(|wrapper| inner.plugin != wrapper.plugin && must(inner, wrapper)))
        {
            return None;
        }
        Some((arranged(wrappers)?, arranged(impls)?))
    }

    fn around(&mut self, hook: Which, wrappers: &[Known], impls: &[Known], ran: &mut Vec<String>) -> Outcome {
        let Some((outer, inner)) = wrappers.split_first() else { return self.inside(hook, impls, ran) };
        let What::Wrapper(wraps) = &outer.imp.what else { unreachable!() };
        let who = format!("{}.m{}", name(outer.plugin), outer.at);
        ran.push(format!("{who}>"));
        let own = |number: u32| (name(outer.plugin), number);
        let isolated = hook == Which::Survey;
        match wraps {
            Wraps::FailsBefore(number) if !isolated => return Err(own(*number)),
            Wraps::Panics if !isolated => return Err(own(PANIC)),
            Wraps::FailsBefore(_) | Wraps::Panics => return self.around(hook, inner, impls, ran),
            Wraps::Answers(number) => return Ok(vec![*number]),
            _ => {}
        }
        let result = self.around(hook, inner, impls, ran);
        ran.push(format!("{who}<"));
        match wraps {
            Wraps::Replaces(number) => Ok(vec![*number]),
            Wraps::Recovers(number) => result.or(Ok(vec![*number])),
            Wraps::Adds(number) => result.map(|mut values| {
                match hook {
                    Which::Choose => values = vec![values.first().unwrap_or(&0) + number],
                    _ => values.push(*number),
                }
                values
            }),
            Wraps::FailsAfter(_) if isolated => result,
            Wraps::FailsAfter(number) => Err(own(*number)),
            _ => result,
        }
    }

    fn inside(&mut self, hook: Which, impls: &[Known], ran: &mut Vec<String>) -> Outcome {
        let mut values = Vec::new();
        for known in impls {
            let What::Impl(does) = &known.imp.what else { unreachable!() };
            ran.push(format!("{}.m{}", name(known.plugin), known.at));
            let failure = match does {
                Does::Value(number) => {
                    values.push(*number);
                    if hook == Which::Choose {
                        break;
                    }
                    None
                }
                Does::Nothing => None,
                Does::Fails(number) => Some(*number),
                Does::Panics => Some(PANIC),
                Does::Unregisters(plugin) => {
                    self.unregister(*plugin);
                    None
                }
                Does::Registers(plugin) => {
                    self.register(*plugin, &simple());
                    None
                }
            };
            if let Some(number) = failure.filter(|_| hook != Which::Survey) {
                return Err((name(known.plugin), number));
            }
        }
        Ok(values)
    }
}

/// Whether the first was asked to run before the second.
fn must(first: &Known, second: &Known) -> bool {
    first.imp.before.contains(&second.plugin) || second.imp.after.contains(&first.plugin)
}

/// The first of all orders, in the order of orders, that contradicts nobody.
fn arranged(mut line: Vec<Known>) -> Option<Vec<Known>> {
    let newest_first = |known: &Known| usize::MAX - known.seq;
    line.sort_by_key(|known| match known.imp.place {
        Place::Last => (known.imp.place, known.seq),
        place => (place, newest_first(known)),
    });
    extend(Vec::new(), line)
}

/// Tries everybody in line as the next one.
fn extend(placed: Vec<Known>, line: Vec<Known>) -> Option<Vec<Known>> {
    if line.is_empty() {
        return Some(placed);
    }
    for at in 0..line.len() {
        let mut rest = line.clone();
        let next = rest.remove(at);
        let fits = rest.iter().all(|other| !must(other, &next) && other.imp.place >= next.imp.place);
        if fits {
            let mut placed = placed.clone();
            placed.push(next);
            return extend(placed, rest);
        }
    }
    None
}
