//! The plugin `retry`: asks a model again when that may help, and says so while it waits.
//!
//! It answers `on_llm_error` last, so that anybody else's answer goes before its own.
#![forbid(unsafe_code)]

mod policy;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crow_acp::{
    Agent, Compact, Config, ConfigError, CrowHooks, Notice, ProviderError, Recovery, Session, Severity, hookimpls,
};

use policy::{Decision, Policy};

/// Retries what failed for reasons that pass; sends a conversation that is too long to compaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retry;

/// The plugin, ready to be registered.
pub fn plugin() -> Retry {
    Retry
}

/// How long a session has waited for the answer it is waiting for.
#[derive(Debug, Default)]
struct Waited(Mutex<Duration>);

#[hookimpls(name = "retry")]
impl CrowHooks for Retry {
    /// Bad values are said at the start, not when something has failed already.
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        config.plugin::<Policy>("retry").map(drop)
    }

    #[hookimpl(trylast)]
    fn on_llm_error(
        &self,
        agent: &Agent,
        session: &Session,
        error: &ProviderError,
        attempt: u32,
    ) -> Result<Recovery, ConfigError> {
        let policy: Policy = session.config().plugin("retry")?;
        let waited = session.get::<Waited>().unwrap_or_else(|| {
            session.insert(Waited::default());
            session.get().unwrap_or_default()
        });
        let mut waited = waited.0.lock().unwrap_or_else(PoisonError::into_inner);
        if attempt == 1 {
            *waited = Duration::ZERO;
        }
        Ok(match policy.decide(error, attempt, *waited, chance()) {
            Decision::Retry { after, notice } => {
                *waited += after;
                Recovery::Retry { after, notice }
            }
            Decision::GiveUp { notice } => {
                session.notify(Notice::new(Severity::Warning, notice));
                Recovery::Fail
            }
            // Without anybody who can shorten it the user had better read what the provider said.
            Decision::Shorten if agent.hooks().has_impls(Compact) => Recovery::Compact,
            Decision::Shorten | Decision::Fail => Recovery::Fail,
        })
    }
}

/// A random number from 0 to 1. Hash maps are seeded with good ones: no need for a generator of our own.
fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    random as f64 / u64::MAX as f64
}
