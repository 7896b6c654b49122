//! Named inputs of samples.

use std::sync::Arc;

use crate::data::order::MASK;
use crate::data::{Batch, Dataset, checked};
use crate::error::{Error, listed};
use crate::net::model::Model;
use crate::tensor::Tensor;
use crate::tensor::arrays::IntoTensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// A named input of every sample.
#[derive(Debug, Clone)]
pub(super) struct NamedInput<F: Scalar> {
    name: Arc<str>,
    values: Arc<Tensor<F>>,
    /// The row of each sample.
    rows: Arc<[usize]>,
}

impl<F: Scalar> NamedInput<F> {
    /// That of some of the samples.
    pub(super) fn part(&self, samples: &[usize]) -> Self {
        Self { rows: samples.iter().map(|&i| self.rows[i]).collect(), ..self.clone() }
    }

    fn shape(&self) -> Shape {
        Shape::of(&self.values.shape()[1..])
    }
}

impl<F: Scalar> Dataset<F> {
    /// Adds a named input ([`input`](crate::input)), `[n, ..]`: one for each sample, in their order. Parts of the data have their part of it.
    ///
    /// ```
    /// use backstitch::{Dataset, Model, Net, chain, concat, input, layers::dense, train::evaluate};
    /// use backstitch::ndarray::array;
    /// let data: Dataset = Dataset::classes(array![[0.0, 1.0], [1.0, 0.0]], &[0, 1])?.with_input("age", array![[0.3], [0.7]])?;
    /// let net = chain![concat([Net::new(), input("age")]), dense(2)];
    /// let model = Model::with_inputs(net, &[2], &[("age", &[1])], 0)?;
    /// evaluate(&model, &data)?;
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is an input of this name, there are not as many as samples, or a number is NaN or infinite.
    pub fn with_input(mut self, name: &str, values: impl IntoTensor<F>) -> Result<Self, Error> {
        let what = format!("input {name:?}");
        if self.named_shapes().iter().any(|(own, _)| own == name) {
            return Err(Error::argument(what, "a name that no other input of the data has", "it twice"));
        }
        let values = checked(&what, values)?;
        if values.batch() != self.len() {
            let expected = format!("{}, one for each sample", self.len());
            return Err(Error::argument(what, expected, values.batch()));
        }
        let rows = (0..self.len()).collect();
        self.named.push(NamedInput { name: name.into(), values: Arc::new(values), rows });
        Ok(self)
    }

    /// The names of all named inputs, and the shape of each, of one sample. The mask of sequences is that of the longest.
    pub fn named_shapes(&self) -> Vec<(String, Shape)> {
        let mut all: Vec<_> =
            self.named.iter().map(|named| (named.name.to_string(), named.shape())).collect();
        if self.length(0).is_some() {
            all.push((MASK.to_owned(), self.input_shape()));
        }
        all
    }

    /// Writes the named inputs of these samples to a batch, whose inputs have their shape already.
    pub(super) fn gather_named(&self, samples: &[usize], batch: &mut Batch<F>) -> Result<(), Error> {
        let count = self.named.len() + usize::from(self.length(0).is_some());
        batch.named.resize_with(count, Default::default);
        for (named, (name, to)) in self.named.iter().zip(&mut batch.named) {
            set_name(name, &named.name);
            to.set_shape(&named.shape().batched(samples.len())?)?;
            let width = named.shape().elements();
            for (&i, to) in samples.iter().zip(to.data_mut().chunks_exact_mut(width.max(1))) {
                to.copy_from_slice(&named.values.data()[named.rows[i] * width..][..width]);
            }
        }
        if let (Some((lengths, _)), Some((name, mask))) = (self.length(0), batch.named.last_mut()) {
            set_name(name, MASK);
            mask.set_shape(&batch.inputs.shape())?;
            let time = mask.width();
            for (&i, mask) in samples.iter().zip(mask.data_mut().chunks_exact_mut(time.max(1))) {
                let length = self.length(i).map_or(0, |(_, length)| length);
                let from = if lengths.in_front { time - length } else { 0 };
                mask.fill(F::zero());
                mask[from..][..length].fill(F::one());
            }
        }
        Ok(())
    }

    /// Checks that the data have the named inputs of a model, and no others.
    pub(super) fn check_named(&self, model: &Model<F>) -> Result<(), Error> {
        let (needed, own) = (model.named_inputs(), self.named_shapes());
        for (name, shape) in &needed {
            let what = format!("input {name:?}");
            match own.iter().find(|(own, _)| own == name) {
                None => {
                    let expected = format!("{shape} for each sample, from Dataset::with_input");
                    return Err(Error::argument(what, expected, "none"));
                }
                Some((_, got)) if !model.takes(shape, got) => {
                    return Err(Error::argument(what, format!("samples of {shape}"), got));
                }
                Some(_) => {}
            }
        }
        // A model of next ids need not read the mask.
        let optional =
            |name: &str| name == MASK && self.length(0).is_some_and(|(lengths, _)| lengths.each_position);
        match own.iter().find(|(own, _)| !optional(own) && needed.iter().all(|(name, _)| name != own)) {
            None => Ok(()),
            Some((name, shape)) => {
                let names = listed(needed.iter().map(|(name, _)| *name));
                let expected = match names.as_str() {
                    "" => "a model that reads it, made by Model::with_inputs".to_owned(),
                    names => format!("one of the inputs of the model, {names}"),
                };
                Err(Error::argument(
                    format!("input {name:?}"),
                    expected,
                    format!("{shape} that the model does not read"),
                ))
            }
        }
    }
}

fn set_name(to: &mut String, name: &str) {
    if to != name {
        name.clone_into(to);
    }
}
