//! A kitchen that makes soup. It lets anybody add ingredients, taste, and season: those are its hooks.
//!
//! Everything is in one file here; the contract, the host and each plugin could be crates of their own.
#![forbid(unsafe_code)]

use crow_hooks::{HookError, Outcome, PluginManager, RegisterError, SyncNext, hookimpls, hookspecs};

/// What the kitchen lets others do.
#[hookspecs(project = "kitchen")]
pub trait Kitchen {
    /// Ingredients to add to what is in the pot. All answers are used.
    fn ingredients(pot: &[String]) -> Vec<String>;
    /// How much salt, in grams. The first answer is used.
    #[hookspec(firstresult)]
    fn salt(pot: &[String]) -> u32;
    /// The soup is done: change what is in the pot, or refuse to serve it with an error.
    fn before_serving(pot: &mut Vec<String>);
}

/// The kitchen's own answers: a plugin like any other, which answers last.
struct House;

#[hookimpls]
impl Kitchen for House {
    fn ingredients(&self) -> Vec<String> {
        vec!["water".into(), "carrots".into()]
    }

    #[hookimpl(trylast)]
    fn salt(&self, pot: &[String]) -> u32 {
        pot.len() as u32
    }
}

/// A guest who likes it hot. Takes only the arguments it needs.
struct Spicy;

#[hookimpls]
impl Kitchen for Spicy {
    fn ingredients(&self, pot: &[String]) -> Option<Vec<String>> {
        (!pot.iter().any(|ingredient| ingredient == "chili")).then(|| vec!["chili".into()])
    }

    fn before_serving(&self, pot: &mut Vec<String>) {
        pot.push("more chili".into());
    }
}

/// A guest with an eye on everybody's salt: a wrapper, around all answers.
struct Doctor {
    limit: u32,
}

#[hookimpls]
impl Kitchen for Doctor {
    #[hookimpl(wrapper)]
    fn salt(&self, mut next: SyncNext<'_, Salt>) -> Outcome<Salt> {
        Ok(next.run()?.map(|grams| grams.min(self.limit)))
    }
}

/// Makes a soup: the host calls its hooks where others may have a say.
fn cook(hooks: &KitchenRelay) -> Result<(Vec<String>, u32), HookError> {
    let mut pot: Vec<String> = hooks.ingredients(&[])?.concat();
    let salt = hooks.salt(&pot)?.unwrap_or_default();
    hooks.before_serving(&mut pot)?;
    Ok((pot, salt))
}

fn kitchen() -> Result<PluginManager<dyn Kitchen>, RegisterError> {
    let plugins = PluginManager::new();
    plugins.register(House)?;
    plugins.register(Spicy)?;
    plugins.register(Doctor { limit: 2 })?;
    Ok(plugins)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plugins = kitchen()?;
    let (pot, salt) = cook(&plugins.hooks())?;
    println!("{} with {salt} g of salt", pot.join(", "));

    plugins.unregister("spicy");
    let (pot, salt) = cook(&plugins.hooks())?;
    println!("{} with {salt} g of salt", pot.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_interfere() -> Result<(), Box<dyn std::error::Error>> {
        let plugins = kitchen()?;
        assert_eq!(
            cook(&plugins.hooks())?,
            (vec!["chili".into(), "water".into(), "carrots".into(), "more chili".into()], 2)
        );
        plugins.unregister("doctor");
        assert_eq!(cook(&plugins.hooks())?.1, 3);
        Ok(())
    }
}
