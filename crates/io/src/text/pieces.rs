//! Where texts are cut: into words and marks, and into the pieces within which bytes are joined.

/// The most bytes of a piece, so that a text without spaces takes no longer than another.
pub(super) const MAX_PIECE: usize = 256;

/// Words and punctuation marks, without the white space between them. A word is a run of letters, digits, `_` and accents, with single apostrophes
/// inside; every other character is one of its own. Each comes with its place in the text.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text.trim_start();
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = if in_word(first) { end_of_word(rest) } else { first.len_utf8() };
        let (at, (word, after)) = (text.len() - rest.len(), rest.split_at(end));
        rest = after.trim_start();
        Some((at, word))
    })
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || ('\u{300}'..='\u{36f}').contains(&c)
}

fn end_of_word(text: &str) -> usize {
    let mut letters = text.char_indices().peekable();
    while let Some((at, c)) = letters.next() {
        let next_in_word = letters.peek().is_some_and(|&(_, next)| in_word(next));
        if !(in_word(c) || matches!(c, '\'' | '’') && next_in_word) {
            return at;
        }
    }
    text.len()
}

/// What a character is, for the pieces of byte pairs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Digit,
    Space,
    Other,
}

fn kind(c: char) -> Kind {
    if c.is_alphabetic() {
        Kind::Letter
    } else if c.is_numeric() {
        Kind::Digit
    } else if c.is_whitespace() {
        Kind::Space
    } else {
        Kind::Other
    }
}

/// Pieces of a text, which together are the text: runs of letters, of digits and of other characters, each with the one space before it; and runs of
/// white space. (As GPT-2, Radford et al. 2019, section 2.2, without its rule for English contractions.) Long runs are cut.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    let runs = std::iter::from_fn(move || {
        let (run, after) = rest.split_at(end_of_run(rest)?);
        rest = after;
        Some(run.as_bytes())
    });
    runs.flat_map(|run| run.chunks(MAX_PIECE))
}

fn end_of_run(text: &str) -> Option<usize> {
    let mut letters = text.chars();
    let first = letters.next()?;
    let own = match (first, letters.next()) {
        (' ', Some(next)) => kind(next),
        _ => kind(first),
    };
    let from = first.len_utf8();
    let end = text[from..].find(|c| kind(c) != own).map_or(text.len(), |end| from + end);
    // The last space of a run belongs to what comes after it.
    let spare = own == Kind::Space && end < text.len() && text[from..end].ends_with(' ');
    Some(end - usize::from(spare))
}
