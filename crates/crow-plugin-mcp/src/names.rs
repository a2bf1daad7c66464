//! Names of tools: models accept letters, digits, `_` and `-`, and 64 of them. The name of a tool must not depend on which
//! other servers there are or on the order in which they answered: prompt caches key on it.

use std::collections::HashSet;

/// The longest name that models accept.
const LONGEST: usize = 64;

/// What the model calls the tool `tool` of `server`: `mcp__SERVER__TOOL`, as other agents do, so that hooks written for
/// them match. What had to be changed ends with a few letters that tell it from others. A name that is in `taken` is
/// avoided, and the new one is put there.
pub(crate) fn for_model(server: &str, tool: &str, taken: &mut HashSet<String>) -> String {
    let plain = format!("mcp__{}__{}", allowed(server), allowed(tool));
    let is_unchanged = plain.len() <= LONGEST && allowed(server) == server && allowed(tool) == tool;
    // Where the server ends and the tool begins must be plain, too.
    if is_unchanged && !server.contains("__") && taken.insert(plain.clone()) {
        return plain;
    }
    let mut round: u32 = 0;
    loop {
        let tail = format!("_{:06x}", fingerprint(server, tool, round) & 0x00ff_ffff);
        let kept = plain.len().min(LONGEST - tail.len());
        let name = format!("{}{tail}", &plain[..kept]);
        if taken.insert(name.clone()) {
            return name;
        }
        round += 1;
    }
}

/// What the user types for the prompt `prompt` of `server`, behind the slash.
pub(crate) fn for_user(server: &str, prompt: &str) -> String {
    format!("{}:{}", allowed(server), allowed(prompt))
}

/// The name with `_` in the place of every character that models do not accept.
fn allowed(name: &str) -> String {
    let allowed: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect();
    if allowed.is_empty() { "_".to_owned() } else { allowed }
}

/// FNV-1a: the same on every machine and in every version.
fn fingerprint(server: &str, tool: &str, round: u32) -> u64 {
    let bytes = server.bytes().chain([0]).chain(tool.bytes()).chain(round.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(server: &str, tool: &str) -> String {
        for_model(server, tool, &mut HashSet::new())
    }

    #[test]
    fn a_name_that_fits_is_kept() {
        assert_eq!(name("git", "git_status"), "mcp__git__git_status");
        assert_eq!(for_user("my server", "code-review"), "my_server:code-review");
    }

    #[test]
    fn every_name_fits_the_model_and_no_two_are_the_same() {
        let long = "x".repeat(80);
        let tools = ["a.b", "a/b", "a b", "a_b", "ü", "", &long, &format!("{long}y"), "日本語の道具"];
        let mut taken = HashSet::new();
        for server in ["s", "s.", "s/", "", &long] {
            for tool in tools {
                let name = for_model(server, tool, &mut taken);
                assert!(name.len() <= LONGEST, "{name}");
                assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{name}");
            }
        }
        assert_eq!(taken.len(), 5 * tools.len());
    }

    #[test]
    fn what_was_changed_is_called_the_same_wherever_it_stands() {
        let alone = name("s", "a.b");
        let mut taken = HashSet::new();
        for_model("s", "a/b", &mut taken);
        assert_eq!(for_model("s", "a.b", &mut taken), alone);
        // Two servers whose names would run together.
        assert_ne!(name("a__b", "c"), name("a", "b__c"));
    }
}
