//! Web pages as text a model can read: headings, lists, links and code keep their shape, everything else goes.

/// What stands within these is not for reading.
const HIDDEN: [&str; 8] = ["script", "style", "noscript", "template", "svg", "iframe", "head", "select"];

/// What these enclose stands on lines of its own.
const BLOCKS: [&str; 32] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hr",
    "html",
    "li",
    "main",
    "nav",
    "ol",
    "option",
    "section",
    "summary",
    "table",
    "tbody",
    "tr",
    "ul",
    "caption",
    "thead",
];

/// A `<` without a `>` in so many bytes is no tag: pages made to be slow to read must not be.
const LONGEST_TAG: usize = 16 << 10;

/// The text of a page, its title first. Takes anything and never fails: what is not HTML comes out much as it went in.
pub(crate) fn to_text(html: &str) -> String {
    let mut page = Page::default();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        page.text(&rest[..at]);
        rest = &rest[at..];
        rest = if let Some(comment) = rest.strip_prefix("<!--") {
            comment.find("-->").map_or("", |end| &comment[end + 3..])
        } else if let Some((tag, after)) = Tag::parse(rest) {
            page.tag(&tag, after)
        } else {
            page.text("<");
            &rest[1..]
        };
    }
    page.text(rest);
    page.finish()
}

/// A start or end tag.
struct Tag<'a> {
    name: String,
    is_end: bool,
    attributes: &'a str,
}

impl<'a> Tag<'a> {
    /// The tag at the start of `html` and what follows it; `None` if this `<` is only a character.
    fn parse(html: &'a str) -> Option<(Self, &'a str)> {
        let inner = html.strip_prefix('<')?;
        let is_end = inner.starts_with('/');
        let inner = inner.strip_prefix(['/', '!', '?']).unwrap_or(inner);
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let mut quote = None;
        let near = &inner[..crate::text::floor(inner, LONGEST_TAG)];
        let end = near.find(|c: char| {
            match quote {
                Some(open) if c == open => quote = None,
                None if c == '"' || c == '\'' => quote = Some(c),
                None => return c == '>',
                Some(_) => {}
            }
            false
        });
        // A quote that never closes: the next `>` must do.
        let end = end.or_else(|| near.find('>'))?;
        let (inside, after) = (&inner[..end], &inner[end + 1..]);
        let name_end = inside.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(inside.len());
        Some((Self { name: inside[..name_end].to_ascii_lowercase(), is_end, attributes: &inside[name_end..] }, after))
    }

    fn attribute(&self, name: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            let name_end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
            if rest.is_empty() {
                return None;
            }
            let found = rest[..name_end].eq_ignore_ascii_case(name);
            rest = rest[name_end..].trim_start();
            let Some(value) = rest.strip_prefix('=') else {
                if name_end == 0 {
                    return None;
                }
                continue;
            };
            let value = value.trim_start();
            let (value, after) = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
                _ => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
            };
            if found {
                return Some(entities(value));
            }
            rest = after;
        }
    }
}

#[derive(Default)]
struct Page {
    text: String,
    /// Newlines due before the next text: blocks that follow each other make one gap, not many.
    gap: usize,
    space: bool,
    preformatted: usize,
    lists: Vec<Option<usize>>,
    link: Option<(String, usize)>,
}

impl Page {
    fn text(&mut self, html: &str) {
        let text = entities(html);
        if self.preformatted > 0 {
            self.settle();
            self.text.push_str(&text);
            return;
        }
        for (index, word) in text.split(|c: char| c.is_whitespace()).enumerate() {
            self.space |= index > 0;
            if !word.is_empty() {
                self.settle();
                self.text.push_str(word);
            }
        }
    }

    /// Writes the whitespace that is due.
    fn settle(&mut self) {
        if self.text.is_empty() {
            self.gap = 0;
        } else if self.gap > 0 {
            let there = self.text.len() - self.text.trim_end_matches('\n').len();
            self.text.extend(std::iter::repeat_n('\n', self.gap.saturating_sub(there)));
        } else if self.space && !self.text.ends_with(char::is_whitespace) {
            self.text.push(' ');
        }
        self.gap = 0;
        self.space = false;
    }

    fn mark(&mut self, mark: &str) {
        self.settle();
        self.text.push_str(mark);
    }

    /// Takes a tag in; gives back what of `after` is still to be read.
    fn tag<'a>(&mut self, tag: &Tag<'_>, after: &'a str) -> &'a str {
        let name = tag.name.as_str();
        if HIDDEN.contains(&name) && !tag.is_end {
            let (inside, after) = until_end(after, name);
            if name == "head" {
                let title = find_ignoring_case(inside, "<title").and_then(|at| Tag::parse(&inside[at..]));
                if let Some((_, title)) = title {
                    self.mark("# ");
                    self.text(until_end(title, "title").0);
                    self.gap = 2;
                }
            }
            return after;
        }
        match name {
            "p" => self.gap = 2,
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.gap = 2;
                if !tag.is_end {
                    self.mark(&"######"[..name.as_bytes().get(1).map_or(1, |digit| usize::from(digit - b'0')).min(6)]);
                    self.space = true;
                }
            }
            "pre" => self.pre(tag.is_end),
            "code" if self.preformatted == 0 => {
                if tag.is_end {
                    self.text.push('`');
                } else {
                    self.mark("`");
                }
            }
            "ul" | "ol" => {
                if tag.is_end {
                    self.lists.pop();
                } else {
                    self.lists.push((name == "ol").then_some(0));
                }
                self.gap = self.gap.max(if self.lists.is_empty() { 2 } else { 1 });
            }
            "li" if !tag.is_end => {
                self.gap = self.gap.max(1);
                let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(8));
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{indent}{number}. ")
                    }
                    _ => format!("{indent}- "),
                };
                self.mark(&mark);
            }
            "td" | "th" if tag.is_end => self.text.push_str(" | "),
            "a" => self.anchor(tag),
            "img" => {
                if let Some(alt) = tag.attribute("alt").filter(|alt| !alt.trim().is_empty()) {
                    self.mark(&format!("[image: {}]", alt.trim()));
                }
            }
            "textarea" | "button" => self.space = true,
            _ if BLOCKS.contains(&name) => self.gap = self.gap.max(1),
            _ => {}
        }
        after
    }

    fn pre(&mut self, is_end: bool) {
        if is_end && self.preformatted > 0 {
            self.preformatted -= 1;
            if !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            self.text.push_str("```");
        } else if !is_end {
            self.gap = 2;
            self.mark("```\n");
            self.preformatted += 1;
        }
        self.gap = if is_end { 2 } else { 0 };
    }

    fn anchor(&mut self, tag: &Tag<'_>) {
        if let Some((target, start)) = self.link.take() {
            // Addresses that lead nowhere else are noise, and so are links around nothing.
            let label = self.text.get(start..).unwrap_or_default();
            if !label.trim().is_empty() && label.trim() != target {
                self.text.extend([" <", &target, ">"]);
            }
        }
        let target = tag.attribute("href").filter(|target| !tag.is_end && target.starts_with("http"));
        if let Some(target) = target {
            self.link = Some((target, self.text.len()));
        }
    }

    fn finish(self) -> String {
        let mut text = String::with_capacity(self.text.len());
        for line in self.text.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.trim().to_owned()
    }
}

/// What stands before the end tag `name`, and what after it.
fn until_end<'a>(html: &'a str, name: &str) -> (&'a str, &'a str) {
    let end = find_ignoring_case(html, &format!("</{name}")).unwrap_or(html.len());
    let after = html[end..].find('>').map_or("", |close| &html[end + close + 1..]);
    (&html[..end], after)
}

fn find_ignoring_case(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len()).position(|window| window.eq_ignore_ascii_case(what.as_bytes()))
}

/// Resolves character references.
fn entities(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest[1..].find(';').filter(|end| *end <= 10).map(|end| &rest[1..=end]);
        if let Some((name, c)) = reference.and_then(|name| Some((name, character(name)?))) {
            plain.push_str(c.encode_utf8(&mut [0; 4]));
            rest = &rest[name.len() + 2..];
        } else {
            plain.push('&');
            rest = &rest[1..];
        }
    }
    plain + rest
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| *c != '\0');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "laquo" => '«',
        "raquo" => '»',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "times" => '×',
        "middot" => '·',
        "bull" => '•',
        "rarr" => '→',
        "larr" => '←',
        "deg" => '°',
        "euro" => '€',
        "sect" => '§',
        "para" => '¶',
        "shy" | "zwj" | "zwnj" => '\u{200b}',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_keeps_its_shape() {
        let page = r#"<!DOCTYPE html><html><head><meta charset=utf-8><title>The &amp; Page</title><style>p{}</style></head>
<body><nav><a href="/">Home</a></nav><h2 class="x">Part <em>one</em></h2>
<p>Some   text with <code>a &lt; b</code> and a <a href='https://example.com/x?a=1&amp;b=2'>link</a>.</p>
<ul><li>first</li><li>second<ol><li>inner</li></ol></li></ul>
<pre><code>fn main() {
    x();
}</code></pre>
<script>if (a < b) { document.write("<p>no</p>") }</script><!-- no > no -->
<table><tr><th>k</th><th>v</th></tr><tr><td>1</td><td>2</td></tr></table><img src=x alt="A picture"></body></html>"#;
        let expected = "# The & Page

Home

## Part one

Some text with `a < b` and a link <https://example.com/x?a=1&b=2>.

- first
- second
  1. inner

```
fn main() {
    x();
}
```

k | v |
1 | 2 |
[image: A picture]";
        assert_eq!(to_text(page), expected);
    }

    #[test]
    fn broken_pages_give_what_they_have() {
        assert_eq!(to_text("a < b and <b>bold"), "a < b and bold");
        assert_eq!(to_text("<p title=\"never closed>text</p>"), "text");
        assert_eq!(to_text("<script>never closed"), "");
        assert_eq!(to_text("x &unknown; &#0; &#x41; &"), "x &unknown; &#0; A &");
        assert_eq!(to_text(""), "");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(html in r#"(<|>|/|!--|-->|"|'|=|&|;|#|p|a href|pre|script|head|title|li|ol|é| |\n){0,40}"#) {
            to_text(&html);
        }
    }
}
