//! Data sets of sequences of unequal lengths.

use std::sync::Arc;

use crate::data::order::{Lengths, Order};
use crate::data::source::{Sample, Source, SourceError, TargetKind};
use crate::data::text::largest;
use crate::data::{Dataset, Ids};
use crate::error::Error;
use crate::losses::IGNORED;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The id at filled positions: one that every embedding has.
const FILL: u32 = 0;

/// Sequences one after the other.
#[derive(Debug)]
struct Sequences {
    ids: Vec<u32>,
    /// Where each begins, and at last where all end.
    begins: Vec<usize>,
    longest: usize,
    /// One for each sequence; none if the next id is the class at each position.
    labels: Option<Vec<usize>>,
}

impl Sequences {
    fn of(&self, sample: usize) -> &[u32] {
        &self.ids[self.begins[sample]..self.begins[sample + 1]]
    }
}

impl<F: Scalar> Source<F> for Sequences {
    fn len(&self) -> usize {
        self.begins.len() - 1
    }

    fn input_shape(&self) -> Shape {
        Shape::from([self.longest])
    }

    fn targets(&self) -> TargetKind {
        TargetKind::Classes(match self.labels {
            Some(_) => Shape::from([]),
            None => Shape::from([self.longest]),
        })
    }

    fn read(&self, sample: usize, to: &mut Sample<'_, F>) -> Result<(), SourceError> {
        let (ids, number) = (self.of(sample), |&id: &u32| F::from_f64(f64::from(id)));
        to.input.fill(number(&FILL));
        match &self.labels {
            Some(labels) => {
                let from = to.input.len() - ids.len();
                to.input[from..].iter_mut().zip(ids).for_each(|(to, id)| *to = number(id));
                to.classes[0] = labels[sample];
            }
            None => {
                let (before, after) = (&ids[..ids.len() - 1], &ids[1..]);
                to.input.iter_mut().zip(before).for_each(|(to, id)| *to = number(id));
                to.classes.fill(IGNORED);
                to.classes.iter_mut().zip(after).for_each(|(to, &id)| *to = id as usize);
            }
        }
        Ok(())
    }

    fn class(&self, sample: usize) -> Option<usize> {
        self.labels.as_ref().map(|labels| labels[sample])
    }
}

impl<F: Scalar> Dataset<F> {
    /// Sequences of ids of unequal lengths, with a class for each. Inputs are `[longest]`; shorter sequences are filled up with the id 0 *in front*, so that
    /// [`last_position`](crate::layers::last_position) is the last of each. The input `"mask"` has 1 where there is an id and 0 where it is filled up, and
    /// the model must read it: without it, filled positions would count.
    ///
    /// Batches of training are sequences of similar length, in random order, and each is cut to its longest. An input of another name
    /// ([`with_input`](Self::with_input)) is not cut.
    ///
    /// ```
    /// use backstitch::{Dataset, Model, Trainer, chain, input, layers::{dense, embedding, gru, last_position}, optim::Adam};
    /// let data: Dataset = Dataset::sequences(&[vec![1, 2, 3], vec![4], vec![2, 2], vec![3]], &[0, 1, 0, 1])?;
    /// let net = chain![embedding(5, 4), gru(8).mask("mask"), last_position(), dense(2)];
    /// let mut model = Model::with_inputs(net, &data.input_shape(), &[("mask", &data.input_shape())], 0)?;
    /// Trainer::new(Adam::new(0.01)).batch_size(2).fit(&mut model, &data)?;
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there are no sequences, one is empty, there is not one class for each, or an id is above 2^24.
    pub fn sequences(sequences: &[impl AsRef<[usize]>], labels: &[usize]) -> Result<Self, Error> {
        if labels.len() != sequences.len() {
            let expected = format!("{}, one for each sequence", sequences.len());
            return Err(Error::argument("labels", expected, labels.len()));
        }
        Self::of_lengths(sequences, Some(labels.to_vec()))
    }

    /// Sequences of ids of unequal lengths, with the next id as the class at each position: of n ids, the first n - 1 are the input. Inputs are
    /// `[longest - 1]`; shorter sequences are filled up at their *ends*, where no position of a causal model sees it. Filled positions have the class
    /// [`IGNORED`], which the default loss ignores; a loss of your own does with `CrossEntropy::ignore_index(IGNORED)`. The
    /// input `"mask"` is as in [`sequences`](Self::sequences), but the model need not read it. Batches are as there.
    ///
    /// # Errors
    /// If there are no sequences, one has fewer than 2 ids, or an id is above 2^24.
    pub fn next_ids(sequences: &[impl AsRef<[usize]>]) -> Result<Self, Error> {
        Self::of_lengths(sequences, None)
    }

    fn of_lengths(sequences: &[impl AsRef<[usize]>], labels: Option<Vec<usize>>) -> Result<Self, Error> {
        // The last id is a class alone.
        let classes = usize::from(labels.is_none());
        let all = || sequences.iter().map(AsRef::as_ref);
        if let Some(short) = all().position(|ids| ids.len() <= classes) {
            let what = format!("ids of sequence {short}");
            return Err(Error::argument(
                what,
                format!("at least {}", classes + 1),
                all().nth(short).map_or(0, <[usize]>::len),
            ));
        }
        let (mut ids, mut begins) = (Vec::new(), vec![0]);
        for sequence in all() {
            ids.extend(sequence.iter().map(|&id| id as u32));
            begins.push(ids.len());
        }
        let largest_input = largest(all().flatten().copied())?;
        let largest_class =
            labels.as_ref().map_or(largest_input, |labels| labels.iter().copied().max().unwrap_or(0));
        let of: Vec<usize> = all().map(|ids| ids.len() - classes).collect();
        let longest = of.iter().copied().max().unwrap_or(0);
        let order = Lengths { of, in_front: labels.is_some(), each_position: labels.is_none() };
        let source = Self::from_source(Sequences { ids, begins, longest, labels })?;
        let facts = Ids { largest_input, largest_class };
        Ok(Self { order: Order::Lengths(Arc::new(order)), ids: Some(facts), ..source })
    }
}
