//! What can be chosen in a session: model, mode, title, options.

use super::Session;
use crate::answers::RunError;
use crate::event::{EventKind, Settings};
use crate::model::ModelId;
use crate::options::{ConfigOption, Mode, OptionChange, OptionValue};
use crate::state::now;
use crate::update::Update;

impl Session {
    /// The model it asks, if one is chosen.
    pub fn model(&self) -> Option<ModelId> {
        self.state(|state| state.model.clone())
    }

    /// The mode that is on; `None` if no plugin offers any.
    pub fn mode(&self) -> Option<String> {
        self.state(|state| {
            let offered = |mode: &&String| state.offers.modes.iter().any(|offer| offer.id == **mode);
            state
                .mode
                .as_ref()
                .filter(offered)
                .cloned()
                .or_else(|| state.offers.modes.first().map(|mode| mode.id.clone()))
        })
    }

    /// The title, once it has one.
    pub fn title(&self) -> Option<String> {
        self.state(|state| state.title.clone())
    }

    /// Sets the title; the client is told and the log keeps it.
    pub fn set_title(&self, title: &str) {
        let updated_at = now();
        self.state(|state| {
            state.title = Some(title.to_owned());
            state.updated_at = updated_at;
            state.pending.push(EventKind::Settings(Settings { title: Some(title.to_owned()), ..Settings::default() }));
        });
        self.update(Update::SessionInfo { title: Some(title.to_owned()), updated_at });
    }

    /// The modes plugins offer.
    pub fn modes(&self) -> Vec<Mode> {
        self.state(|state| state.offers.modes.clone())
    }

    /// All config options: model and mode first, then what plugins registered.
    pub fn config_options(&self) -> Vec<ConfigOption> {
        let mut options = Vec::new();
        let models = self.agent().map(|agent| agent.models()).unwrap_or_default();
        let current = self.model();
        let mut values: Vec<OptionValue> =
            models.iter().map(|model| OptionValue::new(model.id.to_string(), model.id.to_string())).collect();
        if let Some(current) = current.as_ref().map(ToString::to_string)
            && !values.iter().any(|value| value.id == current)
        {
            values.insert(0, OptionValue::new(current.clone(), current));
        }
        if let Some(first) = values.first() {
            let current = current.map_or_else(|| first.id.clone(), |model| model.to_string());
            options.push(ConfigOption::new("model", "Model", current, values).category("model"));
        }
        let modes = self.modes();
        if let Some(mode) = self.mode() {
            let values = modes
                .into_iter()
                .map(|mode| OptionValue { description: mode.description, ..OptionValue::new(mode.id, mode.name) })
                .collect();
            options.push(ConfigOption::new("mode", "Mode", mode, values).category("mode"));
        }
        self.state(|state| {
            options.extend(state.offers.options.iter().cloned().map(|mut option| {
                if let Some(chosen) = state.options.get(&option.id) {
                    option.current.clone_from(chosen);
                }
                option
            }));
        });
        options
    }

    /// The value of the option `id`, `model` and `mode` included.
    pub fn option(&self, id: &str) -> Option<String> {
        self.config_options().into_iter().find(|option| option.id == id).map(|option| option.current)
    }

    /// Chooses the model.
    ///
    /// # Errors
    /// No registered provider carries it, or a hook refused.
    pub async fn set_model(&self, model: &ModelId) -> Result<(), RunError> {
        self.set_option("model", &model.to_string()).await
    }

    /// Switches to a mode.
    ///
    /// # Errors
    /// No plugin offers it, or a hook refused.
    pub async fn set_mode(&self, mode: &str) -> Result<(), RunError> {
        self.set_option("mode", mode).await
    }

    /// Chooses a value of an option, `model` and `mode` included. The client is told and the log keeps it.
    ///
    /// # Errors
    /// There is no such option or value, or a hook refused.
    pub async fn set_option(&self, id: &str, value: &str) -> Result<(), RunError> {
        let Some(agent) = self.agent() else { return Ok(()) };
        let options = self.config_options();
        let Some(option) = options.iter().find(|option| option.id == id) else {
            let known: Vec<&str> = options.iter().map(|option| option.id.as_str()).collect();
            return Err(RunError::new(format!("there is no option `{id}`; the options are {}", known.join(", "))));
        };
        let listed = option.values.iter().any(|offer| offer.id == value);
        let carried = id == "model" && value.parse().is_ok_and(|model| agent.model(&model).is_some());
        if !listed && !carried {
            let known: Vec<&str> = option.values.iter().map(|value| value.id.as_str()).collect();
            return Err(RunError::new(format!("`{value}` is no value of `{id}`; the values are {}", known.join(", "))));
        }
        let change = OptionChange::new(id, Some(option.current.clone()), value);
        agent.hooks().on_option_change(&agent, self, &change).await?;
        let mut settings = Settings::default();
        self.state(|state| match id {
            "model" => {
                state.model = value.parse().ok();
                settings.model.clone_from(&state.model);
            }
            "mode" => {
                state.mode = Some(value.to_owned());
                settings.mode.clone_from(&state.mode);
            }
            _ => {
                state.options.insert(id.to_owned(), value.to_owned());
                settings.option = Some((id.to_owned(), value.to_owned()));
            }
        });
        if id == "mode" {
            self.update(Update::Mode(value.to_owned()));
        }
        self.update(Update::ConfigOptions(self.config_options()));
        self.record(EventKind::Settings(settings)).await?;
        Ok(())
    }
}
