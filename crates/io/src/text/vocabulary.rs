//! Characters or words with an id each.

use std::collections::{BTreeSet, HashMap};

use backstitch_core::Error;
use serde::{Deserialize, Serialize};

use super::MAX_IDS;
use super::pieces::words;

/// What has an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    Characters,
    Words,
}

/// The entry for words without an id of their own. No text has it: its words have no `<`.
pub(super) const UNKNOWN: &str = "<unknown>";

/// The characters or the words of a text, with an id each, counted from 0. Keep it together with the model.
///
/// ```
/// use backstitch::text::Vocabulary;
/// let letters = Vocabulary::characters("abba c")?;
/// assert_eq!(letters.encode("cab")?, [3, 1, 2]);
/// assert_eq!(letters.decode(&[3, 1, 2])?, "cab");
/// let error = letters.encode("cad").unwrap_err().to_string();
/// assert_eq!(error, "text: expected characters of the vocabulary, got 'd' at byte 2");
///
/// // Words that occur twice or more have an id of their own; the others share the id 0.
/// let words = Vocabulary::words("the cat, the dog, the end", 2)?;
/// assert_eq!(words.entries(), ["<unknown>", "the", ","]);
/// assert_eq!(words.encode("the mouse,")?, [1, 0, 2]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    pub(super) unit: Unit,
    pub(super) entries: Vec<String>,
    ids: HashMap<String, usize>,
}

impl Vocabulary {
    /// The characters (Unicode scalar values) of a text, in the order of their code points. A text with another character is an error later. For a
    /// letter with an accent, a text may have one character or two.
    ///
    /// # Errors
    /// If the text is empty.
    pub fn characters(text: &str) -> Result<Self, Error> {
        let all: BTreeSet<char> = text.chars().collect();
        if all.is_empty() {
            return Err(Error::argument("text", "at least one character", "an empty text"));
        }
        Ok(Self::of(Unit::Characters, all.into_iter().map(String::from).collect()))
    }

    /// The words and punctuation marks that occur at least `least` times, the most frequent first. If `least` is 2 or more, all others are the entry
    /// `"<unknown>"` with the id 0, also in other texts; with 1, a word that the text does not have is an error later.
    ///
    /// A word is a run of letters, digits, `_` and accents, with single apostrophes inside. Every other character is an entry alone, except for white
    /// space, which is left out. Upper and lower case are different.
    ///
    /// # Errors
    /// If `least` is 0, or no word occurs so often.
    pub fn words(text: &str, least: usize) -> Result<Self, Error> {
        if least == 0 {
            return Err(Error::argument("least", "at least 1", 0));
        }
        let mut counts = HashMap::<&str, usize>::new();
        words(text).for_each(|(_, word)| *counts.entry(word).or_default() += 1);
        let mut kept: Vec<(&str, usize)> = counts.into_iter().filter(|&(_, count)| count >= least).collect();
        kept.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
        if kept.is_empty() || kept.len() >= MAX_IDS {
            let expected = format!("from 1 to {MAX_IDS} words that occur {least} times or more");
            return Err(Error::argument("text", expected, kept.len()));
        }
        let unknown = (least > 1).then(|| UNKNOWN.to_owned());
        let entries = unknown.into_iter().chain(kept.into_iter().map(|(word, _)| word.to_owned()));
        Ok(Self::of(Unit::Words, entries.collect()))
    }

    /// Entries that are already checked.
    pub(super) fn of(unit: Unit, entries: Vec<String>) -> Self {
        let ids = entries.iter().enumerate().map(|(id, entry)| (entry.clone(), id)).collect();
        Self { unit, entries, ids }
    }

    /// The number of ids.
    pub fn size(&self) -> usize {
        self.entries.len()
    }

    /// The characters or words, in the order of their ids.
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// The id of a character or a word, if it has one of its own.
    pub fn id(&self, entry: &str) -> Option<usize> {
        self.ids.get(entry).copied()
    }

    /// The ids of a text.
    ///
    /// # Errors
    /// If it has a character or word that is not in the vocabulary, and there is no id for unknown ones: the message names it and its place.
    pub fn encode(&self, text: &str) -> Result<Vec<usize>, Error> {
        let known = |entry: &str, at: usize| {
            let unknown = || self.ids.get(UNKNOWN).copied();
            self.id(entry).or_else(unknown).ok_or_else(|| {
                let (expected, shown) = match self.unit {
                    Unit::Characters => {
                        ("characters of the vocabulary", format!("'{}'", entry.escape_debug()))
                    }
                    Unit::Words => ("words of the vocabulary", format!("{entry:?}")),
                };
                Error::argument("text", expected, format!("{shown} at byte {at}"))
            })
        };
        match self.unit {
            Unit::Characters => {
                text.char_indices().map(|(at, c)| known(c.encode_utf8(&mut [0; 4]), at)).collect()
            }
            Unit::Words => words(text).map(|(at, word)| known(word, at)).collect(),
        }
    }

    /// The text of ids. Between words there is a space, but none before `. , ; : ! ?`; the text that was encoded may have had other white space.
    ///
    /// # Errors
    /// If one is not below [`size`](Self::size).
    pub fn decode(&self, ids: &[usize]) -> Result<String, Error> {
        let mut text = String::new();
        for &id in ids {
            let entry = self.entries.get(id).ok_or_else(|| no_id(self.size(), id))?;
            let joined = matches!(entry.as_str(), "." | "," | ";" | ":" | "!" | "?");
            if self.unit == Unit::Words && !text.is_empty() && !joined {
                text.push(' ');
            }
            text.push_str(entry);
        }
        Ok(text)
    }
}

/// An id that a vocabulary of this size does not have.
pub(super) fn no_id(size: usize, id: usize) -> Error {
    Error::argument("ids", format!("below {size}, the size of the vocabulary"), id)
}
