//! A hash that tells numbers from others.

/// FNV-1a over words of 64 bits, with their upper halves folded in: those of an `f64` that was an `f32` end in zeros.
pub(crate) fn hash(words: impl Iterator<Item = u64>) -> u64 {
    words
        .fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word ^ (word >> 32)).wrapping_mul(0x0100_0000_01b3))
}
