//! Byte-pair encoding.

use std::collections::HashMap;

use backstitch_core::Error;

use super::pieces::{MAX_PIECE, pieces};
use super::vocabulary::no_id;

/// The ids of single bytes.
pub(super) const BYTES: usize = 256;

/// Byte-pair encoding: ids 0 to 255 are the bytes, and each further one joins two ids that often stand side by side. Every text has ids, and they give
/// it back exactly. (R. Sennrich, B. Haddow and A. Birch 2016, "Neural machine translation of rare words with subword units"; over bytes as in
/// A. Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.2.)
///
/// Pairs are joined inside pieces alone: runs of letters, of digits and of other characters, each with the one space before it, and runs of white
/// space. GPT-2 also cuts English contractions; its merges of other vocabularies do not fit here.
///
/// ```
/// use backstitch::text::BytePairs;
/// let text = "the cat and the hat and the mat";
/// let pairs = BytePairs::train(text, 262)?;
/// let ids = pairs.encode("the hat 🎩");
/// assert_eq!(pairs.decode(&ids)?, "the hat 🎩");
/// assert!(ids.len() < "the hat 🎩".len());
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BytePairs {
    /// The two ids that each further id joins.
    pub(super) merges: Vec<(u32, u32)>,
    /// The rank of each pair.
    ranks: HashMap<(u32, u32), u32>,
    /// The bytes of each id.
    bytes: Vec<Vec<u8>>,
}

impl BytePairs {
    /// Merges as they were learned.
    ///
    /// # Errors
    /// Says what is wrong with them: an id that there is not yet, a pair that is there twice, or more bytes than a piece has.
    pub(super) fn of(merges: Vec<(u32, u32)>) -> Result<Self, String> {
        let mut bytes: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        let mut ranks = HashMap::new();
        for (rank, &(a, b)) in merges.iter().enumerate() {
            let (Some(first), Some(second)) = (bytes.get(a as usize), bytes.get(b as usize)) else {
                return Err(format!("merge {rank} of {a} and {b}, of which one comes later"));
            };
            let joined = [&first[..], second].concat();
            if joined.len() > MAX_PIECE {
                return Err(format!("merge {rank} of {} bytes, more than {MAX_PIECE}", joined.len()));
            }
            bytes.push(joined);
            if ranks.insert((a, b), rank as u32).is_some() {
                return Err(format!("merge {rank} of {a} and {b} for the second time"));
            }
        }
        Ok(Self { merges, ranks, bytes })
    }

    /// The number of ids: 256, and one for each merge.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of an id, if there is such an id. They may be a part of a character.
    pub fn bytes(&self, id: usize) -> Option<&[u8]> {
        self.bytes.get(id).map(Vec::as_slice)
    }

    /// The ids of a text.
    pub fn encode(&self, text: &str) -> Vec<usize> {
        let mut known = HashMap::<&[u8], Vec<u32>>::new();
        let mut ids = Vec::new();
        for piece in pieces(text) {
            let of_piece = known.entry(piece).or_insert_with(|| self.encode_piece(piece));
            ids.extend(of_piece.iter().map(|&id| id as usize));
        }
        ids
    }

    /// Joins the pair that was learned first, until none is left.
    fn encode_piece(&self, piece: &[u8]) -> Vec<u32> {
        let mut ids: Vec<u32> = piece.iter().map(|&byte| u32::from(byte)).collect();
        while let Some(rank) = ids.windows(2).filter_map(|pair| self.ranks.get(&(pair[0], pair[1]))).min() {
            merge(&mut ids, self.merges[*rank as usize], BYTES as u32 + rank);
        }
        ids
    }

    /// The text of ids. Ids that a model made up may have parts of characters: each such part becomes `�` (U+FFFD).
    ///
    /// # Errors
    /// If one is not below [`size`](Self::size).
    pub fn decode(&self, ids: &[usize]) -> Result<String, Error> {
        let mut all = Vec::new();
        for &id in ids {
            all.extend(self.bytes(id).ok_or_else(|| no_id(self.size(), id))?);
        }
        Ok(String::from_utf8_lossy(&all).into_owned())
    }
}

/// Replaces a pair by one id, wherever it is, from the left.
pub(super) fn merge(ids: &mut Vec<u32>, (a, b): (u32, u32), joined: u32) {
    let (mut from, mut to) = (0, 0);
    while from < ids.len() {
        let is_pair = ids[from] == a && ids.get(from + 1) == Some(&b);
        ids[to] = if is_pair { joined } else { ids[from] };
        from += 1 + usize::from(is_pair);
        to += 1;
    }
    ids.truncate(to);
}
