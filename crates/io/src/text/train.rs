//! Learns byte pairs from a text.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use backstitch_core::Error;

use super::MAX_IDS;
use super::pairs::{BYTES, BytePairs, merge};
use super::pieces::pieces;

type Pair = (u32, u32);

/// A piece as ids, and how often the text has it.
type Piece = (Vec<u32>, i64);

/// The pairs of all pieces.
#[derive(Default)]
struct Pairs {
    /// How often each is in the text, and the pieces that have had it.
    of: HashMap<Pair, (i64, Vec<usize>)>,
    /// The most frequent first, and of equally frequent ones that of the smaller ids. A count may be that of before a merge.
    queue: BinaryHeap<(i64, Reverse<Pair>)>,
}

impl Pairs {
    fn new(pieces: &[Piece]) -> Self {
        let mut pairs = Self::default();
        for (i, (ids, count)) in pieces.iter().enumerate() {
            pairs.count(ids, *count);
            pairs.note(i, ids, |_| true);
        }
        pairs.queue = pairs.of.iter().map(|(&pair, &(count, _))| (count, Reverse(pair))).collect();
        pairs
    }

    /// Adds to the counts of the pairs of a piece.
    fn count(&mut self, ids: &[u32], times: i64) {
        for pair in ids.windows(2) {
            self.of.entry((pair[0], pair[1])).or_default().0 += times;
        }
    }

    /// Notes that a piece has these pairs.
    fn note(&mut self, piece: usize, ids: &[u32], wanted: impl Fn(&[u32]) -> bool) {
        for pair in ids.windows(2).filter(|pair| wanted(pair)) {
            let (_, pieces) = self.of.entry((pair[0], pair[1])).or_default();
            if pieces.last() != Some(&piece) {
                pieces.push(piece);
            }
        }
    }

    /// The most frequent pair and the pieces that have had it, if it occurs at least twice.
    fn most_frequent(&mut self) -> Option<(Pair, Vec<usize>)> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            let Some((now, pieces)) = self.of.get_mut(&pair) else { continue };
            if *now == count && count > 1 {
                return Some((pair, std::mem::take(pieces)));
            }
            // Counts of pairs that there were before only fall.
            if 1 < *now && *now < count {
                self.queue.push((*now, Reverse(pair)));
            }
        }
        None
    }

    /// Joins a pair in the pieces that have had it.
    fn join(&mut self, pair: Pair, new: u32, of: &[usize], pieces: &mut [Piece]) {
        let mut made = BTreeSet::new();
        for &i in of {
            let (ids, count) = &mut pieces[i];
            self.count(ids, -*count);
            merge(ids, pair, new);
            self.count(ids, *count);
            self.note(i, ids, |pair| pair.contains(&new));
            made.extend(ids.windows(2).filter(|pair| pair.contains(&new)).map(|pair| (pair[0], pair[1])));
        }
        self.queue.extend(made.into_iter().map(|pair| (self.of[&pair].0, Reverse(pair))));
    }
}

impl BytePairs {
    /// Learns the pairs of a text: the most frequent pair becomes an id, again and again, until there are `size` ids. Of equally frequent pairs it is that of
    /// the smaller ids, so the same text gives the same pairs.
    ///
    /// # Errors
    /// If the text is empty, `size` is below 256 or above [`MAX_IDS`], or there are fewer ids to learn, because no further pair occurs twice.
    pub fn train(text: &str, size: usize) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::argument("text", "at least one character", "an empty text"));
        }
        if !(BYTES..=MAX_IDS).contains(&size) {
            return Err(Error::argument("size", format!("from {BYTES}, the bytes, to {MAX_IDS}"), size));
        }
        let mut counts = BTreeMap::<&[u8], i64>::new();
        pieces(text).for_each(|piece| *counts.entry(piece).or_default() += 1);
        let ids = |piece: &[u8]| piece.iter().map(|&byte| u32::from(byte)).collect();
        let mut all: Vec<Piece> = counts.into_iter().map(|(piece, count)| (ids(piece), count)).collect();
        let mut pairs = Pairs::new(&all);
        let mut merges = Vec::new();
        while BYTES + merges.len() < size {
            let Some((pair, of)) = pairs.most_frequent() else {
                let most = BYTES + merges.len();
                let expected = format!("from {BYTES} to {most}: no further pair of this text occurs twice");
                return Err(Error::argument("size", expected, size));
            };
            let new = (BYTES + merges.len()) as u32;
            pairs.join(pair, new, &of, &mut all);
            merges.push(pair);
        }
        Self::of(merges).map_err(|got| Error::argument("text", "pairs of bytes", got))
    }
}
