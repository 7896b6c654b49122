//! Streams of random numbers. They are computed from their purpose and never stored.
//!
//! A stream is named by a seed, a purpose and two counters, and is the same whenever and wherever
//! it is made. So nothing depends on the order of work or on the number of threads, and a resumed
//! run needs no saved generator: the epoch and the step are enough.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is used for: streams of different purposes never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Initial values of a layer's parameters. Counters: the layer, the parameter within it.
    Initialize = 1,
    /// Order of the samples. Counters: the epoch, 0.
    Shuffle = 2,
    /// Which samples go to which part. Counters: 0, 0.
    Split = 3,
    /// The elements that a dropout layer drops. Counters: the layer, the step and the part of its input.
    Dropout = 6,
    /// How a map is shifted and mirrored. Counters: the epoch, the sample.
    Augment = 7,
    /// Drawn pictures. Counters: the set, the picture.
    Sample = 5,
    /// Noise on a picture, for interpretability methods. Counters: the sample or step, and 0, or 1 for its shift.
    Noise = 8,
    /// Random directions of a gradient check. Counters: chosen by the check.
    GradientCheck = 4,
}

/// The stream for `(seed, purpose, first, second)`: ChaCha with 8 rounds, whose output is the
/// same on every machine and in every version of its crate.
///
/// ```
/// use backstitch::rng::{Purpose, stream};
/// use rand::RngCore;
/// let mut once = stream(7, Purpose::Shuffle, 3, 0);
/// let mut again = stream(7, Purpose::Shuffle, 3, 0);
/// assert_eq!(once.next_u64(), again.next_u64());
/// ```
pub fn stream(seed: u64, purpose: Purpose, first: u64, second: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    let words = [seed, purpose as u64, first, second];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
