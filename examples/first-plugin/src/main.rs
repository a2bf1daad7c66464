//! A `crow` with a plugin of one's own: it refuses prompts that hold a secret, before anything is stored or sent.

use crow_acp::{CrowHooks, Message, hookimpls};

struct NoSecrets;

#[hookimpls]
impl CrowHooks for NoSecrets {
    #[hookimpl(tryfirst)]
    fn before_prompt(&self, prompt: &mut Message) -> Result<(), &'static str> {
        if prompt.text().contains("sk-") { Err("that looks like a secret key") } else { Ok(()) }
    }
}

fn main() -> std::process::ExitCode {
    crow::main_with(|plugins| plugins.register(NoSecrets).map(drop))
}
