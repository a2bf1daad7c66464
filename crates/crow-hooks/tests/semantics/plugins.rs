//! Forms that a plugin may have.

use crow_hooks::hookimpls;

use crate::contract::{Kinds, manager};

/// Generic plugins, and imports under another name.
struct Generic<T>(T);

#[hookimpls(name = "generic")]
impl<T> crate::contract::Kinds for Generic<T>
where
    T: Copy + Into<u32> + Send + Sync + 'static,
{
    fn gather(&self) -> u32 {
        self.0.into()
    }

    #[cfg(any())]
    fn no_such_hook(&self) {}
}

/// Implements hooks that this contract lacks.
struct Foresighted;

#[hookimpls]
impl Kinds for Foresighted {
    #[hookimpl(optionalhook)]
    fn gather(&self, word: &str) -> u32 {
        word.len() as u32
    }

    #[hookimpl(optionalhook, tryfirst, before = "x")]
    async fn from_the_future(&self, word: &str, news: &mut Vec<String>) -> Option<u32> {
        news.push(word.to_owned());
        None
    }

    #[hookimpl(optionalhook)]
    fn also_from_the_future(&self) {}
}

#[tokio::test]
async fn generic_plugins_work() {
    let plugins = manager();
    plugins.register(Generic(7_u8)).unwrap();
    assert_eq!(plugins.hooks().gather("", &mut Vec::new()).await.unwrap(), [7]);
}

#[tokio::test]
async fn an_optional_impl_of_a_hook_that_is_there_counts_and_of_one_that_is_not_does_no_harm() {
    let plugins = manager();
    plugins.register(Foresighted).unwrap();
    assert_eq!(plugins.hooks().gather("four", &mut Vec::new()).await.unwrap(), [4]);
    assert_eq!(plugins.list()[0].hooks, ["gather"]);
}
