//! How samples are put into batches: in any order, as streams that go on from batch to batch, or as sequences of similar length.

use std::sync::Arc;

use rand::seq::SliceRandom;

use crate::data::Dataset;
use crate::error::Error;
use crate::layer::Memory;
use crate::tensor::rng::{Purpose, stream};
use crate::tensor::scalar::Scalar;

/// Batches from which those of similar length are taken: enough for little padding, few enough for chance.
const BATCHES_SORTED: usize = 50;

/// The name of the input with the mask of sequences of unequal lengths.
pub(super) const MASK: &str = "mask";

/// How the samples of a data set are put into batches.
#[derive(Debug, Clone, Default)]
pub(super) enum Order {
    #[default]
    Any,
    /// Batches of this many samples, each of which goes on where the one before it in the last batch ended.
    Streams(usize),
    /// Sequences of unequal lengths, cut to the longest of their batch.
    Lengths(Arc<Lengths>),
}

/// Sequences of unequal lengths.
#[derive(Debug)]
pub(super) struct Lengths {
    /// The positions of each sample of the source.
    pub(super) of: Vec<usize>,
    /// Sequences are filled up in front, so that the last position is the last of each; otherwise at their ends.
    pub(super) in_front: bool,
    /// There is a class for each position, which is cut as the inputs are.
    pub(super) each_position: bool,
}

impl<F: Scalar> Dataset<F> {
    /// The number of streams, for data by [`streams`](Self::streams).
    pub fn stream_count(&self) -> Option<usize> {
        match self.order {
            Order::Streams(streams) => Some(streams),
            _ => None,
        }
    }

    /// The lengths of the sequences, and the length of a sample, where they are of unequal lengths.
    pub(super) fn length(&self, sample: usize) -> Option<(&Lengths, usize)> {
        match &self.order {
            Order::Lengths(lengths) => Some((lengths, lengths.of[self.samples[sample]])),
            _ => None,
        }
    }

    /// The number of samples in a batch, where the data decide it.
    ///
    /// # Errors
    /// If another number is wanted.
    pub(crate) fn own_batch_size(&self, wanted: Option<usize>) -> Result<Option<usize>, Error> {
        let own = self.stream_count();
        match (own, wanted) {
            (Some(streams), Some(wanted)) if streams != wanted => {
                let expected = format!("{streams}, the streams of the data, or none");
                Err(Error::argument("batch_size", expected, wanted))
            }
            _ => Ok(own),
        }
    }

    /// The samples of an epoch of training in their order, of which every `batch_size` are a batch.
    pub(crate) fn training_order(&self, seed: u64, epoch: u64, batch_size: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        let mut random = stream(seed, Purpose::Shuffle, epoch, 0);
        match &self.order {
            Order::Streams(_) => return order,
            Order::Any => order.shuffle(&mut random),
            Order::Lengths(lengths) => {
                order.shuffle(&mut random);
                // The batch that is not full stays as it is: what is left out of an epoch is not always the longest.
                let full = order.len() / batch_size * batch_size;
                for samples in order[..full].chunks_mut(BATCHES_SORTED * batch_size) {
                    samples.sort_by_key(|&i| lengths.of[self.samples[i]]);
                }
                let mut batches: Vec<&[usize]> = order[..full].chunks(batch_size).collect();
                batches.shuffle(&mut random);
                batches.push(&order[full..]);
                return batches.concat();
            }
        }
        order
    }

    /// What layers with a state begin a batch from, counted from 0 in its epoch.
    pub(crate) fn memory(&self, batch: usize) -> Memory {
        match self.order {
            Order::Streams(_) if batch > 0 => Memory::Continue,
            _ => Memory::Fresh,
        }
    }
}
