//! Texts as ids: characters, words, or byte pairs.
//!
//! A [`Vocabulary`] has an id for each character or word of a text. [`BytePairs`] has one for each byte and for frequent sequences of bytes, so it encodes
//! any text. Both are learned from the *training* text. Save one beside the weights of its model: with another, ids mean other things.
//! The ids go into [`Dataset::windows`](backstitch_core::Dataset::windows), [`streams`](backstitch_core::Dataset::streams),
//! [`sequences`](backstitch_core::Dataset::sequences) or [`next_ids`](backstitch_core::Dataset::next_ids).
//!
//! ```
//! use backstitch::{Dataset, Model, chain, layers::{dense, embedding, gru}, text::Vocabulary};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("letters.json");
//! let text = "the cat and the hat";
//! let letters = Vocabulary::characters(text)?;
//! let data: Dataset = Dataset::windows(&letters.encode(text)?, 8)?;
//! let net = chain![embedding(letters.size(), 8), gru(16), dense(letters.size())];
//! let model: Model = Model::new(net, &data.input_shape(), 0)?;
//! letters.save(&path)?;
//! // In another program: an error if the model has another number of ids.
//! let letters = Vocabulary::load_for(&path, &model)?;
//! assert_eq!(letters.decode(&letters.encode("that cat")?)?, "that cat");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod pairs;
mod pieces;
mod saved;
#[cfg(test)]
mod tests;
mod train;
mod vocabulary;

pub use pairs::BytePairs;
pub use vocabulary::Vocabulary;

/// The largest number of ids of a vocabulary: `f32` has every whole number up to this.
pub const MAX_IDS: usize = 1 << 24;
