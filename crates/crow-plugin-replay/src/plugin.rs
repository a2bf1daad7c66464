//! The hookimpls.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crow_acp::crow_hooks::{Next, Outcome};
use crow_acp::{
    Agent, CallLlm, CallLlmArgs, Config, ConfigError, CrowHooks, Deltas, Model, ModelId, Notice, ProviderDescriptor,
    ProviderError, Session, Severity, hookimpls,
};
use serde::{Deserialize, Deserializer};

use crate::player::{Places, Player};
use crate::recorder::{Tape, Tee, append, portable};

/// The provider's name.
const PROVIDER: &str = "replay";

/// `[plugins.replay]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Recordings by name; relative paths start at `CROW_HOME`.
    recordings: BTreeMap<String, PathBuf>,
    /// Milliseconds between words, 0 for none at all; the recording's own if not given.
    #[serde(deserialize_with = "milliseconds")]
    pace_ms: Option<Duration>,
    /// Where to record what models say; a relative path starts at `CROW_HOME`.
    record: Option<PathBuf>,
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    u64::deserialize(deserializer).map(|pace| Some(Duration::from_millis(pace)))
}

/// Plays recorded conversations and records them.
#[derive(Debug, Default)]
pub struct Replay {
    embedded: BTreeMap<String, Cow<'static, str>>,
    places: Arc<Places>,
}

/// The plugin, ready to be registered.
pub fn plugin() -> Replay {
    Replay::new()
}

impl Replay {
    /// The plugin, with no recordings of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the recording `text`, played by the model `replay/NAME`, which no list of models shows. A mistake in it is
    /// told when it is first played.
    pub fn embedded(mut self, name: impl Into<String>, text: impl Into<Cow<'static, str>>) -> Self {
        self.embedded.insert(name.into(), text.into());
        self
    }
}

#[hookimpls(name = "replay")]
impl CrowHooks for Replay {
    /// Bad values are said at the start.
    fn configure(&self, config: &mut Config) -> Result<(), ConfigError> {
        config.plugin::<Settings>(PROVIDER).map(drop)
    }

    fn register_providers(&self, agent: &Agent) -> Result<Vec<ProviderDescriptor>, ConfigError> {
        let config = agent.config();
        let settings: Settings = config.plugin(PROVIDER)?;
        // What came with the program is played by those who know its name, and offered to nobody in place of a model.
        let models = settings.recordings.keys().map(|name| Model::new(ModelId::new(PROVIDER, name))).collect();
        let player = Player {
            embedded: self.embedded.clone(),
            files: settings.recordings.into_iter().map(|(name, path)| (name, config.home().join(path))).collect(),
            pace: settings.pace_ms,
            places: Arc::clone(&self.places),
        };
        Ok(vec![ProviderDescriptor::new(PROVIDER, models, player)])
    }

    fn on_session_start(&self, session: &Session) {
        self.places.enter(session.id(), session.cwd());
    }

    fn on_session_end(&self, session: &Session) {
        self.places.forget(session.id());
    }

    #[hookimpl(wrapper)]
    async fn call_llm(&self, mut next: Next<'_, CallLlm>) -> Outcome<CallLlm> {
        let (agent, session) = (next.args.agent.clone(), next.args.session.clone());
        let config = agent.config();
        let Some(file) = config.plugin::<Settings>(PROVIDER)?.record else { return next.run().await };
        let model = next.args.request.model.id.to_string();
        let tape = Tape::default();
        let mut tee = None;
        let outcome = next
            .with(|args| {
                let tee = tee.insert(Tee { tape: &tape, inner: args.deltas });
                CallLlmArgs { deltas: Deltas::new(tee), ..args }
            })
            .await;
        let ended = match &outcome {
            Ok(Some(completion)) => Ok(completion),
            Ok(None) => return outcome,
            // Failures that are no provider's say nothing about a model.
            Err(error) => match find_provider_error(error.as_ref()) {
                Some(error) => Err(error),
                None => return outcome,
            },
        };
        let lines = tape.into_lines(ended);
        let path = config.home().join(file);
        let written = match portable(&lines, session.cwd()) {
            Ok(text) => {
                let text = agent.secrets().scrub(&text).into_owned();
                let path = path.clone();
                let done = tokio::task::spawn_blocking(move || append(&path, model, &text)).await;
                done.map_err(|error| error.to_string()).and_then(|done| done.map_err(|error| error.to_string()))
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = written {
            let title = format!("this answer was not recorded: {}: {error}", path.display());
            session.notify(Notice::new(Severity::Warning, title));
        }
        outcome
    }
}

/// The provider's error behind what a hook failed with.
fn find_provider_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a ProviderError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
