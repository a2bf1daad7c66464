//! The `crow` command.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    crow::main()
}
