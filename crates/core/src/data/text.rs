//! Data sets of one long text: windows, and streams that go on from batch to batch.

use std::sync::Arc;

use crate::data::order::Order;
use crate::data::source::{Sample, Source, SourceError, TargetKind};
use crate::data::{Dataset, Ids};
use crate::error::Error;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Pieces of one text. Sample i begins at id (i mod `streams`) `apart` + ⌊i / `streams`⌋ `step`.
#[derive(Debug)]
struct Text {
    ids: Arc<[u32]>,
    time: usize,
    samples: usize,
    streams: usize,
    apart: usize,
    step: usize,
}

impl<F: Scalar> Source<F> for Text {
    fn len(&self) -> usize {
        self.samples
    }

    fn input_shape(&self) -> Shape {
        Shape::from([self.time])
    }

    fn targets(&self) -> TargetKind {
        TargetKind::Classes(Shape::from([self.time]))
    }

    fn read(&self, sample: usize, to: &mut Sample<'_, F>) -> Result<(), SourceError> {
        let from = (sample % self.streams) * self.apart + sample / self.streams * self.step;
        let piece = &self.ids[from..=from + self.time];
        to.input.iter_mut().zip(piece).for_each(|(to, &id)| *to = F::from_f64(f64::from(id)));
        to.classes.iter_mut().zip(&piece[1..]).for_each(|(to, &id)| *to = id as usize);
        Ok(())
    }
}

impl<F: Scalar> Dataset<F> {
    /// Every window of `time` ids of a text, `[time]`, with the next id as the class at each position. All windows share one copy of the text. There are
    /// as many as ids less `time`, and neighbours differ by one id: an epoch reads every id `time` times. For a long text, see [`streams`](Self::streams).
    ///
    /// ```
    /// use backstitch::Dataset;
    /// let data: Dataset = Dataset::windows(&[0, 1, 2, 3, 4], 3)?;
    /// // [0, 1, 2] with the classes [1, 2, 3], and [1, 2, 3] with [2, 3, 4].
    /// assert_eq!(data.to_string(), "2 samples: inputs [3], classes [3]");
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    ///
    /// # Errors
    /// If `time` is 0, the text has fewer than `time + 1` ids, or an id is above 2^24, beyond which `f32` does not have every whole number.
    pub fn windows(ids: &[usize], time: usize) -> Result<Self, Error> {
        let samples = windows_in(ids, 1, time)?;
        Self::text(ids, Order::Any, |ids| Text { ids, time, samples, streams: 1, apart: 0, step: 1 })
    }

    /// A text as `streams` sequences of equal length beside each other, in pieces of `time` ids, with the next id as the class at each position. The ids at
    /// the end that do not fill a piece of every stream are left out: fewer than `streams · time` of them.
    ///
    /// Training and evaluation take one piece of every stream as a batch, in order and without shuffling. Layers with a state begin an epoch with
    /// [`Memory::Fresh`](crate::Memory) and go on from piece to piece with `Memory::Continue` (truncated back-propagation through time). So `Trainer::batch_size`
    /// is `streams`, and another one is an error. Parts of the data ([`split`](Self::split), [`take`](Self::take), [`shuffled`](Self::shuffled) and the
    /// others) are plain samples: single pieces in any order, each of which begins with zeros. To hold out a part of a text, split the ids.
    ///
    /// ```
    /// use backstitch::Dataset;
    /// let ids: Vec<usize> = (0..101).collect();
    /// // Stream 0 has ids 0 to 49, and stream 1 has ids 50 to 99.
    /// let data: Dataset = Dataset::streams(&ids, 2, 10)?;
    /// assert_eq!(data.to_string(), "10 samples: inputs [10], classes [10], in 2 streams");
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    ///
    /// # Errors
    /// If `streams` or `time` is 0, the text has fewer than `streams · time + 1` ids, or an id is above 2^24.
    pub fn streams(ids: &[usize], streams: usize, time: usize) -> Result<Self, Error> {
        if streams == 0 {
            return Err(Error::argument("streams", "at least 1", 0));
        }
        windows_in(ids, streams, time)?;
        let pieces = (ids.len() - 1) / (streams * time);
        let (samples, apart) = (pieces * streams, pieces * time);
        Self::text(ids, Order::Streams(streams), |ids| Text {
            ids,
            time,
            samples,
            streams,
            apart,
            step: time,
        })
    }

    fn text(ids: &[usize], order: Order, source: impl FnOnce(Arc<[u32]>) -> Text) -> Result<Self, Error> {
        let largest = largest(ids.iter().copied())?;
        let source = source(ids.iter().map(|&id| id as u32).collect());
        let facts = Ids { largest_input: largest, largest_class: largest };
        Ok(Self { order, ids: Some(facts), ..Self::from_source(source)? })
    }
}

/// The number of windows in a text that has at least one piece of each stream.
fn windows_in(ids: &[usize], streams: usize, time: usize) -> Result<usize, Error> {
    if time == 0 {
        return Err(Error::argument("time", "at least 1", 0));
    }
    // The last position needs a next id.
    let least = streams.saturating_mul(time).saturating_add(1);
    if ids.len() < least {
        let each = if streams == 1 { String::new() } else { format!("{streams} streams of ") };
        let expected = format!("at least {least}, for {each}{time} positions and the id after them");
        return Err(Error::argument("ids", expected, ids.len()));
    }
    Ok(ids.len() - time)
}

/// The most that an id can be: `f32` has every whole number up to this.
const LARGEST_ID: usize = 1 << 24;

/// The largest of some ids.
///
/// # Errors
/// If it is too large.
pub(super) fn largest(ids: impl Iterator<Item = usize>) -> Result<usize, Error> {
    let largest = ids.max().unwrap_or(0);
    match largest > LARGEST_ID {
        true => Err(Error::argument("ids", format!("at most {LARGEST_ID}"), largest)),
        false => Ok(largest),
    }
}
