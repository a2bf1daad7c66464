//! What the agent says of itself.

use serde_json::json;

use super::params::TerminalLogin;
use super::port::ProtocolVersion;
use super::port::schema::{
    AgentCapabilities, AuthMethod, AuthMethodAgent, AuthMethodTerminal, Implementation, InitializeResponse,
    McpCapabilities, Meta, PromptCapabilities, SessionAdditionalDirectoriesCapabilities, SessionCapabilities,
    SessionCloseCapabilities, SessionDeleteCapabilities, SessionForkCapabilities, SessionListCapabilities,
    SessionResumeCapabilities,
};

/// The login that needs no terminal: use what is configured.
pub(super) const CONFIGURED: &str = "configured-provider";

/// The login in a terminal.
pub(super) const SETUP: &str = "crow-init";

/// The arguments that make `crow` set itself up in a terminal.
const SETUP_ARGUMENTS: [&str; 1] = ["init"];

/// The answer to `initialize`; `mcp_http`: MCP servers may be given by their address. The version is ours, whichever the client asked for: there is but one that we speak, and
/// a client that cannot speak it says so by hanging up.
pub(super) fn introduction(login: TerminalLogin, mcp_http: bool) -> InitializeResponse {
    let prompts = PromptCapabilities::new().image(true).embedded_context(true);
    let sessions = SessionCapabilities::new()
        .list(SessionListCapabilities::new())
        .delete(SessionDeleteCapabilities::new())
        .close(SessionCloseCapabilities::new())
        .resume(SessionResumeCapabilities::new())
        .fork(SessionForkCapabilities::new())
        .additional_directories(SessionAdditionalDirectoriesCapabilities::new());
    let capabilities = AgentCapabilities::new()
        .load_session(true)
        .prompt_capabilities(prompts)
        .mcp_capabilities(McpCapabilities::new().http(mcp_http))
        .session_capabilities(sessions);
    InitializeResponse::new(ProtocolVersion::V1)
        .agent_capabilities(capabilities)
        .agent_info(Implementation::new("crow", env!("CARGO_PKG_VERSION")).title("Crow".to_owned()))
        .auth_methods(logins(login))
}

/// One login that every client can use, and the one in a terminal for clients that have terminals for it.
fn logins(login: TerminalLogin) -> Vec<AuthMethod> {
    let configured = AuthMethodAgent::new(CONFIGURED, "Use the configured provider")
        .description("Uses the model provider of the configuration file or of the environment".to_owned());
    let mut logins = vec![AuthMethod::Agent(configured)];
    match login {
        TerminalLogin::Typed => logins.push(AuthMethod::Terminal(terminal_login())),
        TerminalLogin::Meta => {
            let setup = AuthMethodAgent::new(SETUP, "Set up Crow").description(WHAT_SETUP_DOES.to_owned());
            logins.push(AuthMethod::Agent(setup.meta(older_form())));
        }
        TerminalLogin::None => {}
    }
    logins
}

const WHAT_SETUP_DOES: &str = "Asks for a provider and a key, in a terminal";

fn terminal_login() -> AuthMethodTerminal {
    let arguments = SETUP_ARGUMENTS.map(str::to_owned).to_vec();
    AuthMethodTerminal::new(SETUP, "Set up Crow")
        .description(WHAT_SETUP_DOES.to_owned())
        .args(arguments)
        .meta(older_form())
}

fn older_form() -> Option<Meta> {
    let command = std::env::current_exe().ok()?;
    let login = json!({ "label": "Set up Crow", "command": command, "args": SETUP_ARGUMENTS, "env": {} });
    Some(Meta::from_iter([("terminal-auth".to_owned(), login)]))
}
