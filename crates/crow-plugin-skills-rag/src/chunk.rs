//! Cutting documents into pieces that are found and shown by themselves.

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its first line, from 1.
    pub(crate) first: u32,
    /// Its last line.
    pub(crate) last: u32,
    /// The headings it stands under, with `>` between.
    pub(crate) heading: String,
    /// Its text.
    pub(crate) text: String,
}

/// A paragraph, a heading or a fenced block: what is not cut unless it is too large by itself.
struct Block<'a> {
    line: u32,
    lines: Vec<&'a str>,
    heading: Option<usize>,
    path: String,
}

impl Block<'_> {
    fn len(&self) -> usize {
        self.lines.iter().map(|line| line.len() + 1).sum()
    }

    fn last(&self) -> u32 {
        self.line + self.lines.len() as u32 - 1
    }

    fn is_blank(&self) -> bool {
        self.lines.iter().all(|line| line.trim().is_empty())
    }
}

/// Cuts `text` into pieces of about `most` bytes, in order: between sections if it is Markdown, else between
/// paragraphs, lines or words, whichever is coarsest.
pub(crate) fn cut(text: &str, markdown: bool, most: usize) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut open: Option<Chunk> = None;
    for block in blocks(text, markdown) {
        if let Some(chunk) = &open {
            let full = chunk.text.len() + block.len() > most;
            // A large enough section ends where the next begins; small ones share a piece with what follows.
            let section = block.heading.is_some_and(|level| level <= 2 || chunk.text.len() >= most / 4);
            if full || section {
                chunks.extend(open.take());
            }
        }
        if block.len() > most {
            chunks.extend(open.take());
            chunks.extend(pieces(&block, most));
            continue;
        }
        if open.is_none() && block.is_blank() {
            continue;
        }
        let chunk = open.get_or_insert_with(|| Chunk {
            first: block.line,
            last: block.line,
            heading: block.path.clone(),
            text: String::new(),
        });
        for line in &block.lines {
            chunk.text.push_str(line);
            chunk.text.push('\n');
        }
        chunk.last = block.last();
    }
    chunks.extend(open);
    for chunk in &mut chunks {
        let kept = chunk.text.trim_end().len();
        // A line that gave nothing but space to the piece is none of its lines.
        let gone = &chunk.text[kept..];
        let beyond = gone.matches('\n').count() - usize::from(gone.ends_with('\n'));
        chunk.last -= (beyond as u32).min(chunk.last - chunk.first);
        chunk.text.truncate(kept);
    }
    chunks.retain(|chunk| chunk.text.chars().any(char::is_alphanumeric));
    chunks
}

fn blocks(text: &str, markdown: bool) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut headings: Vec<(usize, &str)> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut fresh = true;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let level = if markdown && fence.is_none() { heading(line) } else { None };
        if let Some(level) = level {
            headings.retain(|(above, _)| *above < level);
            headings.push((level, line.trim_start_matches('#').trim().trim_end_matches('#').trim_end()));
        }
        let opens = markdown && fence.is_none() && (trimmed.starts_with("```") || trimmed.starts_with("~~~"));
        if fresh || level.is_some() {
            let path: Vec<&str> = headings.iter().map(|(_, heading)| *heading).collect();
            let path = path.join(" > ");
            blocks.push(Block { line: number as u32 + 1, lines: Vec::new(), heading: level, path });
        }
        if let Some(block) = blocks.last_mut() {
            block.lines.push(line);
        }
        match fence {
            Some(mark) if trimmed.starts_with(mark) && trimmed.trim_end().chars().all(|c| mark.starts_with(c)) => {
                fence = None;
            }
            None if opens => fence = Some(&trimmed[..3]),
            _ => {}
        }
        // A heading stays with the paragraph below it.
        fresh = fence.is_none() && line.trim().is_empty() && blocks.last().is_some_and(|block| !only_heading(block));
    }
    blocks
}

fn only_heading(block: &Block<'_>) -> bool {
    block.heading.is_some() && block.lines[1..].iter().all(|line| line.trim().is_empty())
}

/// The level of a Markdown heading.
fn heading(line: &str) -> Option<usize> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    ((1..=6).contains(&level) && line[level..].starts_with(' ')).then_some(level)
}

/// A block that is too large: by lines, and lines that are too long by words.
fn pieces(block: &Block<'_>, most: usize) -> Vec<Chunk> {
    let mut pieces: Vec<Chunk> = Vec::new();
    let mut full = true;
    for (line, text) in (block.line..).zip(&block.lines) {
        let mut rest = *text;
        loop {
            let end = end_of_piece(rest, most);
            let (part, after) = rest.split_at(end);
            match pieces.last_mut().filter(|piece| !full && piece.text.len() + part.len() <= most) {
                Some(piece) => {
                    piece.text.push_str(part);
                    piece.last = line;
                }
                None => {
                    let heading = block.path.clone();
                    pieces.push(Chunk { first: line, last: line, heading, text: part.to_owned() });
                }
            }
            full = !after.is_empty();
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        if let Some(piece) = pieces.last_mut() {
            piece.text.push('\n');
        }
    }
    pieces
}

/// Where to cut a line: the whole of it if it fits, else behind a space, else between characters.
fn end_of_piece(line: &str, most: usize) -> usize {
    if line.len() <= most {
        return line.len();
    }
    let most = line.floor_char_boundary(most.max(4));
    line[..most].rfind(' ').map_or(most, |space| space + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = "# Guide\n\nHello.\n\n## Install\n\nRun this:\n\n```sh\n# not a heading\n\nmake\n```\n\n### Linux\n\nUse apt.\n\n## Use\nRun it.\n";

    #[test]
    fn sections_are_pieces_with_their_lines_and_headings() {
        let chunks = cut(GUIDE, true, 200);
        let seen: Vec<(u32, u32, &str)> =
            chunks.iter().map(|chunk| (chunk.first, chunk.last, chunk.heading.as_str())).collect();
        assert_eq!(
            seen,
            [(1, 3, "Guide"), (5, 13, "Guide > Install"), (15, 17, "Guide > Install > Linux"), (19, 20, "Guide > Use")]
        );
        assert!(chunks[1].text.contains("# not a heading\n\nmake\n```"));
        assert_eq!(chunks[3].text, "## Use\nRun it.");
    }

    #[test]
    fn what_is_no_markdown_is_cut_between_paragraphs() {
        let text = "# one\ntwo\n\nthree\n\n\nfour\n";
        let chunks = cut(text, false, 14);
        let seen: Vec<(u32, u32, &str)> =
            chunks.iter().map(|chunk| (chunk.first, chunk.last, chunk.text.as_str())).collect();
        assert_eq!(seen, [(1, 2, "# one\ntwo"), (4, 7, "three\n\n\nfour")]);
    }

    #[test]
    fn a_long_line_is_cut_between_words() {
        let text = format!("{}\nend", "word ".repeat(100));
        let chunks = cut(&text, true, 52);
        assert!(chunks.len() >= 10);
        assert!(chunks.iter().all(|chunk| chunk.text.len() <= 52 && !chunk.text.starts_with("ord")));
        assert_eq!(chunks.last().unwrap().last, 2);
    }

    #[test]
    fn a_line_that_gave_only_space_is_not_counted() {
        let chunks = cut("\u{e9}\u{e9} \u{e9}\u{e9}a \u{e9}\n```\n a\u{e9}aaaa\u{e9}\u{e9}  ", false, 11);
        let seen: Vec<(u32, u32, &str)> =
            chunks.iter().map(|chunk| (chunk.first, chunk.last, chunk.text.as_str())).collect();
        assert!(seen.contains(&(1, 2, "\u{e9}\n```")), "{seen:?}");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_lines_are_right(
            text in "([a-z\u{e9}]{0,9}[ \n]|#{1,3} [a-z]{1,9}\n|```\n|\n){0,60}", most in 8_usize..200, markdown in proptest::bool::ANY
        ) {
            let chunks = cut(&text, markdown, most);
            let lines: Vec<&str> = text.lines().collect();
            let mut last = 0;
            for chunk in &chunks {
                assert!(chunk.first >= last && chunk.last >= chunk.first && chunk.last as usize <= lines.len());
                assert!(chunk.text.len() <= most.max(16) * 2, "{} {most}", chunk.text.len());
                let begin = chunk.text.lines().next().unwrap().trim();
                assert!(lines[chunk.first as usize - 1].contains(begin));
                let end = chunk.text.lines().last().unwrap().trim();
                assert!(lines[chunk.last as usize - 1].contains(end), "{chunk:?}");
                last = chunk.last;
            }
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            let all: String = chunks.iter().map(|chunk| letters(&chunk.text)).collect();
            assert_eq!(all, letters(&text));
        }
    }
}
