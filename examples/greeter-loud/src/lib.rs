//! Greets loudly.
#![forbid(unsafe_code)]

use greeter::{Greeter, hookimpls};

/// The plugin.
#[derive(Debug, Default)]
pub struct Loud;

#[hookimpls]
impl Greeter for Loud {
    fn greet(&self, name: &str) -> String {
        format!("HELLO {}!", name.to_uppercase())
    }
}

/// What the host looks for.
pub fn plugin() -> impl Greeter {
    Loud
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_loud() {
        assert_eq!(Loud.greet("Ada"), "HELLO ADA!");
    }
}
