//! Greets everybody named on the command line in every way that its plugins know. It names none of them: what
//! `Cargo.toml` depends on and exports a `plugin()` is registered.
#![forbid(unsafe_code)]

use crow_hooks::PluginManager;
use greeter::Greeter;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plugins = PluginManager::<dyn Greeter>::new();
    let found = crow_hooks::plugins!(plugins)?;
    println!("{} plugins", found.len());
    for name in std::env::args().skip(1) {
        for greeting in plugins.hooks().greet(&name)? {
            println!("{greeting}");
        }
    }
    Ok(())
}
