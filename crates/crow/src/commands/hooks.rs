//! `crow hooks`: every hook, who implements it, in the order of the call.

use std::time::Duration;

use crow_acp::CrowHooks;
use crow_acp::crow_hooks::{Budget, Contract, HookSpec, ImplInfo, Kind, Tier};
use serde_json::{Value, json};

use crate::args::{Cli, nearest};
use crate::dialog::say;
use crate::exit::{Exit, Failure};
use crate::host::{self, Host};
use crate::render::{Palette, Style};

/// Runs the command.
///
/// # Errors
/// The configuration cannot be used, or there is no such hook.
pub(crate) async fn run(cli: &Cli, name: Option<&str>) -> Result<Exit, Failure> {
    let host = Host::new(host::config(cli.overrides.clone())?, cli.plugins, None).await?;
    let mut order = host.agent.hooks().order();
    if let Some(name) = name {
        order.retain(|(spec, _)| spec.name == name);
        if order.is_empty() {
            let names = <dyn CrowHooks as Contract>::SPECS.iter().map(|spec| spec.name);
            let hint = nearest(name, names).map(|near| format!("Did you mean `{near}`?"));
            return Err(Failure::usage(format!("there is no hook `{name}`"))
                .next(hint.unwrap_or_else(|| "`crow hooks` lists them all.".to_owned())));
        }
    }
    if cli.json {
        let hooks: Vec<Value> = order.iter().map(|(spec, impls)| as_json(spec, impls)).collect();
        say(&json!({ "hooks": hooks }).to_string())?;
        return Ok(Exit::Done);
    }
    let palette = Palette::of(&std::io::stdout());
    if name.is_some() {
        for (spec, impls) in &order {
            page(spec, impls, palette)?;
        }
        return Ok(Exit::Done);
    }
    for (spec, impls) in &order {
        let plugins: Vec<String> = impls.iter().map(|one| with_options(one)).collect();
        let plugins = if plugins.is_empty() { palette.paint(Style::Dim, "–") } else { plugins.join(", ") };
        say(&format!("{:<24}{}{plugins}", spec.name, palette.paint(Style::Dim, &format!("{:<9}", kind(spec)))))?;
    }
    say(&palette.paint(
        Style::Dim,
        "\nIn call order, wrappers first. One hook with its arguments and meaning: crow hooks NAME",
    ))?;
    Ok(Exit::Done)
}

fn page(spec: &HookSpec, impls: &[std::sync::Arc<ImplInfo>], palette: Palette) -> Result<(), Failure> {
    say(&palette.paint(Style::Bold, &spec.to_string()))?;
    for line in spec.doc.trim().lines() {
        say(&format!("  {}", line.trim()))?;
    }
    say(&format!("  {}", palette.paint(Style::Dim, &meaning(spec))))?;
    say(if impls.is_empty() { "\nNobody implements it." } else { "\nIn call order:" })?;
    for one in impls {
        let args = if one.args.is_empty() { String::new() } else { format!("  takes {}", one.args.join(", ")) };
        say(&format!("  {}{}", with_options(one), palette.paint(Style::Dim, &args)))?;
    }
    Ok(())
}

/// The kind of a hook in a word.
pub(crate) fn kind(spec: &HookSpec) -> &'static str {
    match spec.kind {
        Kind::FirstResult => "first",
        Kind::Historic => "historic",
        _ if spec.isolate => "isolate",
        _ => "collect",
    }
}

/// What the kind of a hook means, in sentences.
fn meaning(spec: &HookSpec) -> String {
    let kind = match spec.kind {
        Kind::FirstResult => "The first impl that gives a value ends the call.",
        _ if spec.isolate => "Every impl runs; one that fails is reported and the others still run.",
        _ if spec.output == "()" => "Every impl runs; an error ends the call.",
        _ => "Every impl runs and the values come back as a list; an error ends the call.",
    };
    let sync = if spec.sync { " Impls are plain functions." } else { "" };
    let time = match spec.budget {
        Some(Budget::Unbounded) => " An impl may take as long as it likes.".to_owned(),
        Some(Budget::Limited(time)) => format!(" An impl may take {}.", seconds(time)),
        None => " An impl may take 10 s.".to_owned(),
    };
    format!("{kind}{sync}{}", if spec.sync { "" } else { &time })
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// A plugin, and the place it asked for in brackets.
fn with_options(one: &ImplInfo) -> String {
    let options = options(one);
    if options.is_empty() { one.plugin.to_string() } else { format!("{} ({})", one.plugin, options.join(", ")) }
}

fn options(one: &ImplInfo) -> Vec<String> {
    let mut options = Vec::new();
    if one.wrapper {
        options.push("wrapper".to_owned());
    }
    match one.tier {
        Tier::First => options.push("tryfirst".to_owned()),
        Tier::Last => options.push("trylast".to_owned()),
        Tier::Plain => {}
    }
    options.extend(one.before.iter().map(|name| format!("before {name}")));
    options.extend(one.after.iter().map(|name| format!("after {name}")));
    if let Some(Budget::Limited(time)) = one.budget {
        options.push(seconds(time));
    }
    options
}

fn as_json(spec: &HookSpec, impls: &[std::sync::Arc<ImplInfo>]) -> Value {
    let args: Vec<Value> = spec.args.iter().map(|arg| json!({ "name": arg.name, "type": arg.ty })).collect();
    let impls: Vec<Value> = impls
        .iter()
        .map(|one| json!({ "plugin": &*one.plugin, "wrapper": one.wrapper, "options": options(one), "args": one.args }))
        .collect();
    let budget = match spec.budget {
        Some(Budget::Unbounded) => Value::Null,
        Some(Budget::Limited(time)) => json!(time.as_secs_f64()),
        None => json!(10.0),
    };
    json!({
        "name": spec.name, "kind": kind(spec), "sync": spec.sync, "doc": spec.doc.trim(), "args": args, "output": spec.output,
        "budgetSeconds": budget, "impls": impls,
    })
}
