//! A command's file: front matter between lines of `---`, then the prompt.

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct File {
    pub(crate) description: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) model: Option<String>,
    /// The tools that may change something while the command runs; `None`: all.
    pub(crate) tools: Option<Vec<String>>,
    pub(crate) prompt: String,
}

impl File {
    /// Reads a file. What is not understood of the front matter is left out; without front matter all is prompt.
    pub(crate) fn read(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let mut file = Self::default();
        let Some((matter, prompt)) = text.strip_prefix("---\n").and_then(split) else {
            text.trim().clone_into(&mut file.prompt);
            return file;
        };
        prompt.trim().clone_into(&mut file.prompt);
        let mut lines = matter.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((key, value)) = line.split_once(':').filter(|(key, _)| !key.starts_with([' ', '#', '-'])) else {
                continue;
            };
            let (key, value) = (key.trim().to_ascii_lowercase(), plain(value));
            // A list may follow on lines of its own.
            let mut items = Vec::new();
            while let Some(item) = lines.peek().and_then(|line| line.trim_start().strip_prefix("- ")) {
                items.push(plain(item));
                lines.next();
            }
            let text = (!value.is_empty()).then(|| value.clone());
            match key.as_str() {
                "description" => file.description = text,
                "argument-hint" => file.hint = text,
                "model" => file.model = text.filter(|model| model != "inherit"),
                "allowed-tools" => {
                    items.extend(listed(&value));
                    file.tools = Some(items);
                }
                _ => {}
            }
        }
        file
    }

    /// One line about it.
    pub(crate) fn about(&self) -> String {
        let first = self.prompt.lines().map(|line| line.trim_start_matches('#').trim()).find(|line| !line.is_empty());
        self.description.clone().or_else(|| first.map(str::to_owned)).unwrap_or_else(|| "An empty command".to_owned())
    }
}

/// The front matter and what follows it.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some((&text[..at], &text[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

/// A value without quotes.
fn plain(value: &str) -> String {
    let value = value.trim();
    let quoted = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(value).to_owned()
}

/// `a, b`, `[a, b]`, or `Bash(git add:*), Edit`: commas in parentheses part nothing.
fn listed(value: &str) -> Vec<String> {
    let value = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value);
    let (mut items, mut depth) = (vec![String::new()], 0u32);
    for c in value.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(item) = items.last_mut() {
            item.push(c);
        }
    }
    items.iter().map(|item| plain(item)).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_is_read_as_others_write_it() {
        let file = File::read(
            "---\ndescription: \"Makes a commit\"\nargument-hint: [message]\nallowed-tools: Bash(git add:*, x), Edit\n\
             model: local/qwen\nsomething: else\n---\n\nCommit $ARGUMENTS\n",
        );
        let wanted = File {
            description: Some("Makes a commit".into()),
            hint: Some("[message]".into()),
            model: Some("local/qwen".into()),
            tools: Some(vec!["Bash(git add:*, x)".into(), "Edit".into()]),
            prompt: "Commit $ARGUMENTS".into(),
        };
        assert_eq!(file, wanted);
        let list = File::read("---\r\nallowed-tools:\r\n  - Edit\r\n  - 'Bash'\r\ndescription: x\r\n---\r\ny");
        assert_eq!((list.tools, list.prompt.as_str()), (Some(vec!["Edit".into(), "Bash".into()]), "y"));
        assert_eq!(list.description.as_deref(), Some("x"));
    }

    #[test]
    fn without_front_matter_all_is_prompt() {
        let file = File::read("# Review\n\nLook at it.");
        assert_eq!((file.about().as_str(), file.prompt.as_str()), ("Review", "# Review\n\nLook at it."));
        assert_eq!(File::read("---\nnever: closed").prompt, "---\nnever: closed");
        assert_eq!(File::read("").about(), "An empty command");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(---|[a-z-]{1,8}: ?|\n|- |\\[|\\]|[\"'(),:$]|é|\\PC){0,40}") {
            let _ = File::read(&format!("---\n{text}")).about();
        }
    }
}
