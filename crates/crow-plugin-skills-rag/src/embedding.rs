//! Embeddings without a server: a directory with a static embedding model (one vector for each token, and their mean for a
//! text), as `model2vec` and `sentence-transformers` write it.

mod model;
mod normalize;
mod safetensors;
mod split;
mod tokenizer;
mod unigram;
mod wordpiece;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use self::model::StaticModel;

/// Why a model directory cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ModelError(pub(crate) String);

impl ModelError {
    pub(crate) fn new(text: impl std::fmt::Display) -> Self {
        Self(text.to_string())
    }
}

/// The model of this process, read when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Embedder {
    model: Arc<Mutex<Option<Loaded>>>,
}

/// A model, and the directory it was read from.
#[derive(Debug)]
struct Loaded {
    from: PathBuf,
    model: Arc<StaticModel>,
}

impl Embedder {
    /// One vector for each text, by the model in `directory`.
    pub(crate) async fn embed(&self, directory: PathBuf, texts: Vec<String>) -> Result<Vec<Vec<f32>>, ModelError> {
        let slot = Arc::clone(&self.model);
        let work = move || {
            let model = {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                match slot.as_ref().filter(|loaded| loaded.from == directory) {
                    Some(loaded) => Arc::clone(&loaded.model),
                    None => {
                        let told = |error| ModelError(format!("the model in {}: {error}", directory.display()));
                        let model = Arc::new(StaticModel::read(&directory).map_err(told)?);
                        *slot = Some(Loaded { from: directory, model: Arc::clone(&model) });
                        model
                    }
                }
            };
            Ok(texts.iter().map(|text| model.embed(text)).collect())
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(ModelError::new(error)))
    }
}
