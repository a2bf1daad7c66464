//! Command lines, as far as rules may be about them: one program and its arguments, and nothing for a shell to act on.

/// Programs that run another one which their arguments name, and words that change the shell itself: what the first
/// argument says of them is nothing.
const PASS_ON: [&str; 70] = [
    ".", "alias", "at", "batch", "bind", "builtin", "busybox", "case", "chroot", "command", "coproc", "crontab",
    "declare", "do", "doas", "done", "elif", "else", "enable", "entr", "env", "esac", "eval", "exec", "export", "fi",
    "find", "flock", "for", "function", "gdb", "hash", "if", "ionice", "let", "local", "ltrace", "nice", "nohup",
    "nsenter", "parallel", "pkexec", "readonly", "runuser", "screen", "script", "select", "set", "setsid", "shopt",
    "source", "ssh", "stdbuf", "strace", "su", "sudo", "then", "time", "timeout", "tmux", "trap", "typeset", "unalias",
    "unset", "unshare", "until", "watch", "while", "xargs", "in",
];

/// Programs that run code: with a file as the first argument a rule has a meaning, without one it has none.
const INTERPRETERS: [&str; 18] = [
    "awk", "bash", "bun", "csh", "dash", "deno", "fish", "gawk", "ksh", "lua", "node", "perl", "php", "pwsh", "python",
    "ruby", "sh", "zsh",
];

/// What a rule may be made of: the program, and the first argument if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) program: String,
    pub(crate) argument: Option<String>,
}

/// Reads a command line as one that a rule may cover. `None` for whatever a shell would do more with than start one
/// program, and for programs of which the first argument does not say what they will do.
pub(crate) fn program(command: &str) -> Option<Program> {
    let mut words = words(command)?.into_iter();
    let program = words.next()?;
    let argument = words.next();
    let starts_well = program.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/'));
    if !starts_well || program.contains('=') {
        return None;
    }
    let name = program.rsplit('/').next().unwrap_or_default();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let plain = if name.is_empty() { program.as_str() } else { name };
    if PASS_ON.contains(&plain) || (INTERPRETERS.contains(&plain) && argument.is_none()) {
        return None;
    }
    // An option says nothing about what will be done: `git -c …`, `make -f …`, `python -c …`.
    if argument.as_ref().is_some_and(|argument| argument.starts_with('-') || argument.is_empty()) {
        return None;
    }
    Some(Program { program, argument })
}

/// The words of a command line in which nothing but words and plain quotes occurs. Every other character is refused,
/// known operators and unknown ones alike.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = command.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        end if end == c => break,
                        inner if inner.is_control() => return None,
                        '$' | '`' | '\\' | '!' if c == '"' => return None,
                        inner => word.push(inner),
                    }
                }
            }
            // Some shells take `=program` for the program's path.
            '=' if word.is_none() => return None,
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '/' | ':' | '=' | '@' | '%' | '+' | ',' | '-' => {
                word.get_or_insert_default().push(c);
            }
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn read(command: &str) -> Option<(String, Option<String>)> {
        program(command).map(|read| (read.program, read.argument))
    }

    #[test]
    fn plain_commands_are_a_program_and_its_first_argument() {
        let some = |program: &str, argument: Option<&str>| Some((program.to_owned(), argument.map(str::to_owned)));
        assert_eq!(read("cargo test"), some("cargo", Some("test")));
        assert_eq!(read("  cargo   test --all-targets "), some("cargo", Some("test")));
        assert_eq!(read("make"), some("make", None));
        assert_eq!(read("git commit -m 'a; b | c'"), some("git", Some("commit")));
        assert_eq!(read("./run.sh \"some thing\""), some("./run.sh", Some("some thing")));
        assert_eq!(read("python3 manage.py test"), some("python3", Some("manage.py")));
    }

    #[test]
    fn whatever_a_shell_acts_on_is_refused() {
        for command in [
            "cargo test; rm -rf /",
            "cargo test && rm x",
            "cargo test & rm x",
            "cargo test | sh",
            "cargo test > x",
            "cargo test < x",
            "cargo test `rm x`",
            "cargo test $(rm x)",
            "cargo test $X",
            "cargo test \"$(rm x)\"",
            "cargo test \"`rm x`\"",
            "cargo test\nrm x",
            "cargo test\rrm x",
            "(rm x)",
            "{ rm x",
            "cargo test \\\nrm",
            "X=1 cargo test",
            "cargo test 'open",
            "cargo test \"open",
            "cargo t*t",
            "cargo t?t",
            "cargo t[e]st",
            "cargo {a,b}",
            "cargo ~/x",
            "cargo # test",
            "! cargo test",
            "cargo test\u{0}",
            "cargo\u{a0}test",
            "cargo tést",
            "=cargo test",
            "cargo !!",
            "\"cargo!x\" test",
            "%1",
            "'' test",
            "",
            "  ",
        ] {
            assert_eq!(read(command), None, "{command:?}");
        }
    }

    #[test]
    fn programs_whose_first_argument_says_nothing_are_refused() {
        for command in [
            "sudo ls",
            "env ls",
            "/usr/bin/env ls",
            "xargs rm",
            "find . -delete",
            "bash -c 'rm x'",
            "python -c 'x'",
            "python3.12 -c 'x'",
            "python",
            "sh",
            "git -c core.pager=x log",
            "make -f x",
            "if true",
            "eval ls",
            ". x",
            "source x",
            "export PATH=x",
            "npm --prefix x test",
            "git ''",
        ] {
            assert_eq!(read(command), None, "{command:?}");
        }
    }

    /// The words as a real shell reads them; nothing but its own `printf` can be found there.
    fn as_the_shell_reads(command: &str) -> String {
        let script = format!("printf '%s\\n' {command}");
        let output = Command::new("/bin/sh").arg("-c").arg(script).env_clear().env("PATH", "").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_shell_reads_the_same_words(command in "[a-z]{1,3}( |[a-c./=:-]|'[a-d \"|;$]{0,3}'|\"[a-d '|;&]{0,3}\"){0,12}") {
            if let Some(words) = words(&command) {
                let expected = words.join("\n") + "\n";
                prop_assert_eq!(as_the_shell_reads(&command), expected, "{:?}", command);
            }
        }

        #[test]
        fn an_operator_outside_of_quotes_is_never_covered(
            words in prop::collection::vec("[a-z]{1,5}", 1..5),
            operator in prop::sample::select(vec![
                ";", "&", "&&", "|", "||", "|&", ">", ">>", "<", "<<", "<(", ">(", "$(", "`", "$", "(", ")", "{", "}", "\n",
                "\r", "\\", "*", "?", "[", "~", "#", "!", "^", "&>", "2>&1", "\u{0}", "\u{2028}",
            ]),
            at in any::<prop::sample::Index>(),
            spaced in any::<bool>(),
        ) {
            let mut command = words.join(" ");
            let at = at.index(command.len() + 1);
            let operator = if spaced { format!(" {operator} ") } else { operator.to_owned() };
            command.insert_str(at, &operator);
            prop_assert_eq!(read(&command), None, "{:?}", command);
        }

        #[test]
        fn no_command_panics(command in ".*") {
            let _ = program(&command);
        }
    }
}
