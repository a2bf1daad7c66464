//! Running the benchmark on a release build.

use crate::step::{Failed, cargo, command, step, target};

pub(crate) const HELP: &str = "\
usage: cargo xtask bench [--quick] [--json] [--only NAME]... [--plugins] [--binary PATH]

Builds `crow` and a bare relay for release and measures both, run by run in turn, against a scripted model server:
start-up, first chunk, CPU, streaming, a tool round, many sessions, memory, size, exit.
Each figure is printed beside the relay's and its goal.
  --quick        fewer runs, for CI: shows gross regressions only, and never fails for a figure
  --json         one JSON object instead of the table
  --only NAME    only the figures whose name contains NAME
  --plugins      instead: what each plugin costs, as Crow with all of them less Crow without it
  --binary PATH  measure this executable instead of the release build (started as `PATH acp`)
Exit status 1 when a figure misses its goal (not with --quick).";

pub(crate) fn run(args: &[String]) -> Result<(), Failed> {
    // With --json, stdout belongs to the result.
    let quiet = args.iter().any(|arg| arg == "--json");
    let mut relay = cargo(["build", "--release", "--package", "crow-tests", "--no-default-features", "--bins"]);
    let mut crow = cargo(["build", "--release", "--package", "crow"]);
    let given = args.iter().any(|arg| arg == "--binary");
    if quiet {
        for build in [&mut relay, &mut crow] {
            build.arg("--quiet");
        }
        status(&mut relay)?;
        if !given {
            status(&mut crow)?;
        }
    } else {
        step("build the benchmark and the bare relay (release)", &mut relay)?;
        if !given {
            step("build crow (release)", &mut crow)?;
        }
    }
    status(command(target().join("release/crow-bench")).args(args))
}

fn status(command: &mut std::process::Command) -> Result<(), Failed> {
    let name = command.get_program().display().to_string();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failed(format!("{name}: {status}"))),
        Err(error) => Err(Failed(format!("{name}: {error}"))),
    }
}
