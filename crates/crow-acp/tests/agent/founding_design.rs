//! The example that Crow started from: a check that goes first, an addition that goes last, a wrapper that logs.

use std::sync::{Arc, Mutex};

use crow_acp::crow_hooks::{Next, Outcome};
use crow_acp::*;

use crate::support::{Fixture, text};

struct Secrets;

#[hookimpls]
impl CrowHooks for Secrets {
    #[hookimpl(tryfirst)]
    fn before_llm_request(&self, messages: &mut Vec<Message>) -> Result<Option<Vec<Message>>, String> {
        let leaks = messages.iter().any(|message| message.text().contains("sk-live-"));
        if leaks { Err("the prompt holds a secret key".into()) } else { Ok(None) }
    }
}

struct Helpful;

#[hookimpls]
impl CrowHooks for Helpful {
    #[hookimpl(trylast)]
    async fn before_llm_request(&self, messages: &mut Vec<Message>) -> Option<Vec<Message>> {
        messages.insert(0, Message::system("Be helpful."));
        None
    }
}

#[derive(Clone, Default)]
struct Logging(Arc<Mutex<Vec<String>>>);

#[hookimpls]
impl CrowHooks for Logging {
    #[hookimpl(wrapper)]
    async fn after_turn(&self, mut next: Next<'_, AfterTurn>) -> Outcome<AfterTurn> {
        let title = next.args.session.title().unwrap_or_default();
        self.0.lock().unwrap().push(format!("turn ends in {title}"));
        let outcome = next.run().await;
        self.0.lock().unwrap().push(format!("turn ended, usage {}", next.args.usage.total()));
        outcome
    }
}

async fn fixture(log: &Logging) -> Fixture {
    let log = log.clone();
    Fixture::with(vec![text("hi")], |plugins| {
        plugins.register(Secrets).unwrap();
        plugins.register(Helpful).unwrap();
        plugins.register(log).unwrap();
    })
    .await
}

#[tokio::test]
async fn a_secret_never_leaves_and_the_user_reads_why() {
    let fixture = fixture(&Logging::default()).await;
    let outcome = fixture.prompt("my key is sk-live-123").await;
    assert_eq!(outcome.stop_reason, StopReason::Refusal);
    assert!(fixture.requests.lock().unwrap().is_empty(), "nothing is sent");
    let said = fixture.screen.said();
    assert_eq!(said, "refused by plugin `secrets` in `before_llm_request`: the prompt holds a secret key");
}

#[tokio::test]
async fn the_last_one_adds_and_the_wrapper_logs() {
    let log = Logging::default();
    let fixture = fixture(&log).await;
    fixture.prompt("hello").await;
    let requests = fixture.requests.lock().unwrap();
    assert_eq!(requests[0].system.text(), "Be helpful.");
    assert_eq!(requests[0].messages.len(), 1, "and the session's own messages stay as they were");
    assert_eq!(*log.0.lock().unwrap(), ["turn ends in hello", "turn ended, usage 15"]);
}
