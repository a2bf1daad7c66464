//! Embeddings for whoever needs them, by whichever plugin offers them.

use super::Agent;
use crate::answers::RunError;
use crate::budget;

/// Most texts of one call of `embed`.
const TEXTS: usize = 64;

/// Most bytes of one call of `embed`, unless a single text has more.
const BYTES: usize = 128 * 1024;

impl Agent {
    /// One vector for each text, by the plugin that answers `embed`. `None`: none does. The hook is called with at most
    /// 64 texts and 128 KiB at a time, one call after the other; texts are never split.
    ///
    /// # Errors
    /// The embedder failed, or gave something else than one vector of finite numbers for each text, all of one length.
    pub async fn embed(&self, texts: &[String]) -> Result<Option<Vec<Vec<f32>>>, RunError> {
        let _unhurried = budget::Pause::begin();
        let hooks = self.hooks();
        let mut vectors: Vec<Vec<f32>> = Vec::with_capacity(texts.len());
        for batch in batches(texts) {
            let Some(embedded) = hooks.embed(self, batch).await? else {
                return if vectors.is_empty() { Ok(None) } else { Err(RunError::new("the embedder is gone")) };
            };
            if embedded.len() != batch.len() {
                let message = format!("the embedder gave {} vectors for {} texts", embedded.len(), batch.len());
                return Err(RunError::new(message));
            }
            vectors.extend(embedded);
        }
        let length = vectors.first().map_or(0, Vec::len);
        let fits = |vector: &Vec<f32>| vector.len() == length && vector.iter().all(|number| number.is_finite());
        if (length == 0 && !vectors.is_empty()) || !vectors.iter().all(fits) {
            return Err(RunError::new("the embedder gave vectors that do not fit together"));
        }
        Ok(Some(vectors))
    }
}

/// The texts, in runs that are small enough for one call.
fn batches(texts: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = texts;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take(TEXTS).take_while(|text| {
            bytes += text.len();
            bytes <= BYTES
        });
        let count = fitting.count().max(1);
        let (batch, after) = rest.split_at_checked(count)?;
        rest = after;
        Some(batch)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::config::Config;
    use crate::hooks::{CrowHooks, PluginManager};
    use crow_hooks::hookimpls;

    struct Lengths {
        calls: Mutex<Vec<usize>>,
        lost: usize,
    }

    #[hookimpls]
    impl CrowHooks for Lengths {
        fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
            self.calls.lock().unwrap().push(texts.len());
            let failing = texts.iter().any(|text| text == "fail");
            let vectors = texts.iter().skip(self.lost).map(|text| vec![text.len() as f32, 1.0]).collect();
            if failing { Err("no".into()) } else { Ok(vectors) }
        }
    }

    async fn agent(lost: Option<usize>) -> Agent {
        let plugins = PluginManager::new();
        if let Some(lost) = lost {
            plugins.register(Lengths { calls: Mutex::default(), lost }).unwrap();
        }
        Agent::new(Config::from_toml("/home/me/.crow", "").unwrap(), plugins).await.unwrap()
    }

    fn texts(count: usize) -> Vec<String> {
        (0..count).map(|number| "x".repeat(number % 7)).collect()
    }

    #[tokio::test]
    async fn texts_are_embedded_in_bounded_batches_and_in_order() {
        let agent = agent(Some(0)).await;
        let texts = texts(150);
        let vectors = agent.embed(&texts).await.unwrap().unwrap();
        assert!(texts.iter().zip(&vectors).all(|(text, vector)| vector[0] as usize == text.len()));
        assert_eq!(vectors.len(), 150);
        let plugin = agent.plugins().find_plugin::<Lengths>().unwrap();
        assert_eq!(*plugin.1.calls.lock().unwrap(), [64, 64, 22]);
        assert_eq!(agent.embed(&[]).await.unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_too() {
        let texts = ["a".repeat(BYTES - 1), "b".into(), "c".into(), "d".repeat(2 * BYTES), "e".into()];
        let sizes: Vec<usize> = batches(&texts).map(<[String]>::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
    }

    #[tokio::test]
    async fn nobody_embeds_or_badly() {
        assert_eq!(agent(None).await.embed(&texts(3)).await.unwrap(), None);
        let error = agent(Some(1)).await.embed(&texts(3)).await.unwrap_err();
        assert!(error.message.contains("2 vectors for 3 texts"), "{error}");
        let error = agent(Some(0)).await.embed(&["fail".to_owned()]).await.unwrap_err();
        assert!(error.message.contains("no"), "{error}");
    }
}
