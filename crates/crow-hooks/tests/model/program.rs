//! A program: what a host does with its manager, and how its plugins behave.

use proptest::{collection::vec, option, prelude::*};
use serde_json::{Value, json};

/// The hooks of every program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Collects.
    Gather,
    /// The first result.
    Choose,
    /// Collects, isolated.
    Survey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    First,
    Plain,
    Last,
}

/// What an impl does.
#[derive(Clone, Debug)]
pub enum Does {
    Value(u32),
    Nothing,
    Fails(u32),
    Panics,
    /// Takes a plugin out, then gives nothing.
    Unregisters(u8),
    /// Puts a plugin in that gives 77 in `Gather`, then gives nothing.
    Registers(u8),
}

/// What a wrapper does.
#[derive(Clone, Debug)]
pub enum Wraps {
    Passes,
    /// In place of whatever came out, errors included.
    Replaces(u32),
    /// After what came out; an error passes.
    Adds(u32),
    /// In place of an error.
    Recovers(u32),
    FailsBefore(u32),
    FailsAfter(u32),
    Panics,
    /// Without going on.
    Answers(u32),
}

#[derive(Clone, Debug)]
pub enum What {
    Impl(Does),
    Wrapper(Wraps),
}

#[derive(Clone, Debug)]
pub struct Imp {
    pub hook: Which,
    pub place: Place,
    /// Awaits something.
    pub later: bool,
    pub what: What,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
}

#[derive(Clone, Debug)]
pub enum Op {
    Register(u8, Vec<Imp>),
    Unregister(u8),
    Block(u8),
    Unblock(u8),
    Call(Which),
}

#[derive(Clone, Debug)]
pub struct Program(pub Vec<Op>);

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    Done(bool),
    Registered(&'static str),
    /// Who ran, in order; and what came out: values, or the plugin that failed and the number it gave.
    Called(Vec<String>, Result<Vec<u32>, (String, u32)>),
}

/// What a program may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everything,
    /// What pluggy has too.
    Pluggy,
}

/// The number of a panic.
pub const PANIC: u32 = 1_000;

pub fn name(plugin: u8) -> String {
    format!("p{plugin}")
}

pub fn any(scope: Scope) -> BoxedStrategy<Program> {
    vec(op(scope), 4..24).prop_map(Program).boxed()
}

fn plugin() -> impl Strategy<Value = u8> + Clone {
    0..6_u8
}

fn op(scope: Scope) -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (plugin(), vec(imp(scope), 0..4)).prop_map(|(plugin, impls)| Op::Register(plugin, impls)),
        1 => plugin().prop_map(Op::Unregister),
        1 => plugin().prop_map(Op::Block),
        1 => plugin().prop_map(Op::Unblock),
        5 => hook(scope).prop_map(Op::Call),
    ]
}

fn hook(scope: Scope) -> BoxedStrategy<Which> {
    match scope {
        Scope::Pluggy => prop_oneof![Just(Which::Gather), Just(Which::Choose)].boxed(),
        Scope::Everything => prop_oneof![Just(Which::Gather), Just(Which::Choose), Just(Which::Survey)].boxed(),
    }
}

fn imp(scope: Scope) -> impl Strategy<Value = Imp> {
    let place = prop_oneof![1 => Just(Place::First), 3 => Just(Place::Plain), 1 => Just(Place::Last)];
    let named = match scope {
        Scope::Pluggy => Just(Vec::new()).boxed(),
        // Most impls name nobody, or every program would be about cycles.
        Scope::Everything => option::weighted(0.2, plugin()).prop_map(|one| one.into_iter().collect()).boxed(),
    };
    let what = prop_oneof![3 => does(scope).prop_map(What::Impl), 1 => wraps(scope).prop_map(What::Wrapper)];
    (hook(scope), place, any_bool(), what, named.clone(), named)
        .prop_map(|(hook, place, later, what, before, after)| Imp { hook, place, later, what, before, after })
}

fn any_bool() -> impl Strategy<Value = bool> {
    proptest::bool::ANY
}

fn does(scope: Scope) -> BoxedStrategy<Does> {
    let number = 0..9_u32;
    let common = prop_oneof![
        5 => number.clone().prop_map(Does::Value),
        3 => Just(Does::Nothing),
        1 => number.prop_map(Does::Fails),
        1 => plugin().prop_map(Does::Unregisters),
        1 => plugin().prop_map(Does::Registers),
    ];
    match scope {
        Scope::Pluggy => common.boxed(),
        Scope::Everything => prop_oneof![9 => common, 1 => Just(Does::Panics)].boxed(),
    }
}

fn wraps(scope: Scope) -> BoxedStrategy<Wraps> {
    let number = 10..19_u32;
    let common = prop_oneof![
        3 => Just(Wraps::Passes),
        1 => number.clone().prop_map(Wraps::Replaces),
        1 => number.clone().prop_map(Wraps::Adds),
        2 => number.clone().prop_map(Wraps::Recovers),
        1 => number.clone().prop_map(Wraps::FailsBefore),
        1 => number.clone().prop_map(Wraps::FailsAfter),
    ];
    match scope {
        Scope::Pluggy => common.boxed(),
        Scope::Everything => {
            prop_oneof![8 => common, 1 => Just(Wraps::Panics), 1 => number.prop_map(Wraps::Answers)].boxed()
        }
    }
}

impl Program {
    /// For the Python side.
    pub fn to_json(&self) -> Value {
        self.0.iter().map(Op::to_json).collect()
    }
}

impl Op {
    fn to_json(&self) -> Value {
        match self {
            Self::Register(plugin, impls) => {
                json!(["register", name(*plugin), impls.iter().map(Imp::to_json).collect::<Vec<_>>()])
            }
            Self::Unregister(plugin) => json!(["unregister", name(*plugin)]),
            Self::Block(plugin) => json!(["block", name(*plugin)]),
            Self::Unblock(plugin) => json!(["unblock", name(*plugin)]),
            Self::Call(hook) => json!(["call", hook_name(*hook)]),
        }
    }
}

pub fn hook_name(hook: Which) -> &'static str {
    match hook {
        Which::Gather => "gather",
        Which::Choose => "choose",
        Which::Survey => "survey",
    }
}

impl Imp {
    fn to_json(&self) -> Value {
        let (wrapper, does, number) = match &self.what {
            What::Impl(Does::Value(number)) => (false, "value", *number),
            What::Impl(Does::Nothing) => (false, "nothing", 0),
            What::Impl(Does::Fails(number)) => (false, "fails", *number),
            What::Impl(Does::Unregisters(plugin)) => (false, "unregisters", u32::from(*plugin)),
            What::Impl(Does::Registers(plugin)) => (false, "registers", u32::from(*plugin)),
            What::Wrapper(Wraps::Passes) => (true, "passes", 0),
            What::Wrapper(Wraps::Replaces(number)) => (true, "replaces", *number),
            What::Wrapper(Wraps::Adds(number)) => (true, "adds", *number),
            What::Wrapper(Wraps::Recovers(number)) => (true, "recovers", *number),
            What::Wrapper(Wraps::FailsBefore(number)) => (true, "fails before", *number),
            What::Wrapper(Wraps::FailsAfter(number)) => (true, "fails after", *number),
            What::Impl(Does::Panics) | What::Wrapper(Wraps::Panics | Wraps::Answers(_)) => {
                unreachable!("pluggy has no such")
            }
        };
        json!({
            "hook": hook_name(self.hook),
            "tryfirst": self.place == Place::First,
            "trylast": self.place == Place::Last,
            "wrapper": wrapper,
            "does": does,
            "number": number,
        })
    }
}

/// In the form in which the Python side answers.
pub fn outcomes_to_json(outcomes: &[Came]) -> Value {
    let one = |came: &Came| match came {
        Came::Done(done) => json!(done),
        Came::Registered(how) => json!(how),
        Came::Called(ran, Ok(values)) => json!([ran, values]),
        Came::Called(ran, Err((plugin, number))) => json!([ran, plugin, number]),
    };
    outcomes.iter().map(one).collect()
}
