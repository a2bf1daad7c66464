//! The official clients and the schema, as `cargo xtask setup` installed them below `target/test-deps`.

use std::{env, path::PathBuf};

const SETUP: &str = "run `cargo xtask setup` (or `cargo xtask test`, which does)";

/// The folder with this package's sources.
pub fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where the dependencies are: `CROW_TEST_DEPS`, or `target/test-deps` of this workspace.
fn folder() -> PathBuf {
    let given = env::var_os("CROW_TEST_DEPS").map(PathBuf::from);
    given.unwrap_or_else(|| {
        // The target directory may have been moved: look above the running program first.
        let running = env::current_exe().unwrap_or_default();
        let above = running.ancestors().map(|folder| folder.join("test-deps")).find(|folder| folder.is_dir());
        above.unwrap_or_else(|| package().join("../target/test-deps"))
    })
}

fn expect(path: PathBuf, what: &str) -> PathBuf {
    assert!(path.exists(), "{what} is not installed: {SETUP}");
    path
}

/// The `node_modules` folder of the clients in `tests/clients`.
///
/// # Panics
/// With one line that says what to do, when it is not there. The same holds for the others here.
pub fn node_modules() -> PathBuf {
    expect(folder().join("node/node_modules"), "the official TypeScript client")
}

/// The JSON Schema of the protocol, version 1, stable part.
pub fn schema() -> PathBuf {
    expect(node_modules().join("@agentclientprotocol/sdk/schema/v1/schema.json"), "the official JSON Schema")
}

/// The same with what is not stable yet.
pub fn unstable_schema() -> PathBuf {
    expect(schema().with_file_name("schema.unstable.json"), "the official JSON Schema with its unstable parts")
}

/// The Python interpreter that has the official Python client.
pub fn python() -> PathBuf {
    expect(folder().join("python/bin/python"), "the official Python client")
}

/// The script of the MCP server `everything`, for `node`.
pub fn mcp_everything() -> PathBuf {
    let script = "mcp-node/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    expect(folder().join(script), "the MCP server from npm")
}

/// The Python interpreter that has the MCP servers `mcp_server_time` and `mcp_server_git`.
pub fn mcp_python() -> PathBuf {
    expect(folder().join("mcp-python/bin/python"), "the MCP servers from PyPI")
}

/// The program that drives an agent with one of the official clients: `drive.mjs` or `drive.py`.
pub fn driver(name: &str) -> PathBuf {
    package().join("clients").join(name)
}

/// The `acpx` command-line client's script, for `node`.
pub fn acpx() -> PathBuf {
    expect(node_modules().join("acpx/dist/cli.js"), "acpx")
}
