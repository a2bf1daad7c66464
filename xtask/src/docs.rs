//! The documentation.

use crate::step::{Failed, cargo, command, has, root, step};

pub(crate) const HELP: &str = "\
usage: cargo xtask docs

Builds the API documentation of every crate; a warning is an error. Builds the book in docs/ too when `mdbook` is installed.";

pub(crate) fn run(_args: &[String]) -> Result<(), Failed> {
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    step("cargo doc, warnings denied", &mut doc)?;
    if root().join("docs/book.toml").is_file() && has("mdbook", "--version") {
        step("mdbook build", command("mdbook").args(["build", "docs"]))?;
    }
    Ok(())
}
