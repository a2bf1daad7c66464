//! What people miss in agents of this kind most: another model for a request or after a failure, and plugins that come
//! while a session is open.

use std::sync::{Arc, Mutex};

use crow_acp::*;

use crate::support::{Fixture, agent, text};

/// A second provider, which says who was asked.
struct Other {
    asked: Arc<Mutex<Vec<String>>>,
    fails: bool,
}

struct Voice {
    asked: Arc<Mutex<Vec<String>>>,
    fails: bool,
}

impl Provider for Voice {
    fn stream<'a>(
        &'a self,
        request: &'a Request,
        deltas: &'a mut Deltas<'_>,
    ) -> BoxFuture<'a, Result<Completion, ProviderError>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(request.model.id.to_string());
            if self.fails {
                return Err(ProviderError::new(ProviderErrorKind::Overloaded, "no room"));
            }
            let pushed = deltas.push(Delta::text("from the other")).await;
            pushed.map_err(|error| ProviderError::new(ProviderErrorKind::Protocol, error.to_string()))?;
            Ok(Completion::new(Finish::Stop, Some(Usage::new(1000, 100))))
        })
    }
}

#[hookimpls]
impl CrowHooks for Other {
    fn register_providers(&self) -> Vec<ProviderDescriptor> {
        let mut model = Model::new(ModelId::new("other", "m"));
        model.price = Some(Price { input: 1.0, cached_input: None, output: 10.0 });
        let voice = Voice { asked: self.asked.clone(), fails: self.fails };
        vec![ProviderDescriptor::new("other", vec![model], voice)]
    }
}

/// Sends requests that speak of weather to the other model.
struct Router;

#[hookimpls]
impl CrowHooks for Router {
    fn select_model(&self, request: &Request) -> Option<ModelId> {
        let last = request.messages.last()?;
        last.text().contains("weather").then(|| ModelId::new("other", "m"))
    }
}

#[tokio::test]
async fn a_request_can_go_to_another_model_and_costs_what_that_one_costs() {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let fixture = Fixture::with(vec![text("from the usual")], |plugins| {
        plugins.register(Other { asked: asked.clone(), fails: false }).unwrap();
        plugins.register(Router).unwrap();
    })
    .await;
    fixture.prompt("how is the weather?").await;
    assert_eq!(*asked.lock().unwrap(), ["other/m"]);
    assert_eq!(fixture.session.cost(), Some(0.002));
    assert_eq!(fixture.session.model(), Some(ModelId::new("test", "scripted")), "the session keeps its own");
    fixture.prompt("and the news?").await;
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert_eq!(fixture.screen.said(), "from the otherfrom the usual");
    assert_eq!(fixture.session.cost(), None, "the usual one's price is not known");
}

/// Knows a price that no registry has.
struct Knows;

#[hookimpls]
impl CrowHooks for Knows {
    fn prepare_request(&self, request: &mut Request) {
        request.model.price = Some(Price { input: 1e6, cached_input: None, output: 0.0 });
    }
}

#[tokio::test]
async fn a_plugin_may_know_the_price() {
    let fixture = Fixture::with(vec![text("hi")], |plugins| {
        plugins.register(Knows).unwrap();
    })
    .await;
    fixture.prompt("hello").await;
    let read = fixture.session.usage().input_tokens;
    assert_eq!(fixture.session.cost(), Some(read as f64));
}

/// Falls back.
struct Fallback;

#[hookimpls]
impl CrowHooks for Fallback {
    fn select_model(&self) -> ModelId {
        ModelId::new("other", "m")
    }

    fn on_llm_error(&self) -> Recovery {
        Recovery::SwitchModel(ModelId::new("test", "scripted"))
    }
}

#[tokio::test]
async fn a_model_that_fails_gives_way_to_another_and_the_user_is_told() {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let fixture = Fixture::with(vec![text("from the fallback")], |plugins| {
        plugins.register(Other { asked: asked.clone(), fails: true }).unwrap();
        plugins.register(Fallback).unwrap();
    })
    .await;
    let outcome = fixture.prompt("hello").await;
    assert!(outcome.error.is_none(), "{outcome:?}");
    assert_eq!((asked.lock().unwrap().len(), fixture.screen.said().as_str()), (1, "from the fallback"));
    assert!(fixture.screen.notices().contains("asking test/scripted instead"), "{}", fixture.screen.notices());
}

struct Late;

struct Hi;

impl CommandHandler for Hi {
    fn run<'a>(
        &'a self,
        _: &'a Agent,
        _: &'a Session,
        _: &'a CommandCall,
    ) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async { Ok(CommandReply::Text("hi from late".into())) })
    }
}

#[hookimpls]
impl CrowHooks for Late {
    fn register_commands(&self) -> Vec<Command> {
        vec![Command::new("hi", "says hi", Hi)]
    }
}

#[tokio::test]
async fn a_plugin_that_comes_or_goes_while_a_session_is_open_counts_and_the_client_is_told() {
    let fixture = Fixture::new(vec![text("that is no command")]).await;
    let commands = || {
        let updates = fixture.screen.0.lock().unwrap();
        let last = updates.iter().rev().find_map(|update| match update {
            Update::Commands(commands) => Some(commands.iter().map(|command| command.name.clone()).collect::<Vec<_>>()),
            _ => None,
        });
        last.unwrap_or_default()
    };
    fixture.agent.plugins().register(Late).unwrap();
    fixture.agent.refresh().await;
    assert_eq!(commands(), ["hello", "hi"]);
    fixture.prompt("/hi").await;
    assert_eq!(fixture.screen.said(), "hi from late");
    assert!(fixture.agent.plugins().unregister("late"));
    fixture.agent.refresh().await;
    assert_eq!(commands(), ["hello"]);
    fixture.prompt("/hi").await;
    assert!(fixture.screen.said().ends_with("that is no command"), "an unknown command goes to the model");
}

/// A notice from before there is a session waits for the first, once.
#[tokio::test]
async fn what_is_told_before_there_is_a_session_is_told_in_the_first() {
    let (agent, _, screen) = agent(vec![]).await;
    agent.notify(Notice::new(Severity::Warning, "the key `modle` is unknown"));
    assert_eq!(screen.notices(), "");
    agent.new_session(NewSession::new(std::env::temp_dir())).await.unwrap();
    assert_eq!(screen.notices(), "the key `modle` is unknown");
    agent.notify(Notice::new(Severity::Info, "later"));
    agent.new_session(NewSession::new(std::env::temp_dir())).await.unwrap();
    assert_eq!(screen.notices(), "the key `modle` is unknown\nlater");
}
