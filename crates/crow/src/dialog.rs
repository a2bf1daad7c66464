//! Asking the person at the terminal, line by line.

use std::io::{BufRead, Write};

use crate::exit::{Exit, Failure};

/// Asks for a line; an empty one means `default`.
///
/// # Errors
/// The input ended: the person left.
pub(crate) fn ask(question: &str, default: Option<&str>) -> Result<String, Failure> {
    let mut out = std::io::stdout().lock();
    let hint = default.map(|default| format!(" [{default}]")).unwrap_or_default();
    write!(out, "{question}{hint}: ").and_then(|()| out.flush())?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(Failure { exit: Exit::Cancelled, what: "cancelled: nothing was changed".into(), next: None });
    }
    let line = line.trim();
    Ok(if line.is_empty() { default.unwrap_or_default().to_owned() } else { line.to_owned() })
}

/// Lets the person choose one of `choices` by its number; the first is the default.
///
/// # Errors
/// As for [`ask`].
pub(crate) fn choose(title: &str, choices: &[String]) -> Result<usize, Failure> {
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{title}")?;
        for (at, choice) in choices.iter().enumerate() {
            writeln!(out, "  {:>2}  {choice}", at + 1)?;
        }
    }
    loop {
        let answer = ask("Number", Some("1"))?;
        match answer.parse::<usize>() {
            Ok(number) if (1..=choices.len()).contains(&number) => return Ok(number - 1),
            _ => say(&format!("Please answer with a number from 1 to {}.", choices.len()))?,
        }
    }
}

/// Writes a line to standard output.
///
/// # Errors
/// Nobody reads.
pub(crate) fn say(line: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
