//! Prediction: what a model gives for arrays.

use ndarray::{Array2, ArrayD, ArrayViewD, Axis, IxDyn, Slice};

use crate::error::Error;
use crate::kernels::elementwise::softmax_rows;
use crate::layer::Context;
use crate::net::logits;
use crate::net::model::Model;
use crate::net::not_finite;
use crate::net::plan::Keep;
use crate::net::trace::Trace;
use crate::tensor::argmax::argmax;
use crate::tensor::arrays::IntoTensor;
use crate::tensor::memory;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::{Shape, product};
use crate::tensor::{Tensor, finite};

/// Samples in a batch of a prediction: enough for full speed, few enough for the cache.
const PREDICTION_BATCH: usize = 256;

impl<F: Scalar> Model<F> {
    /// The outputs for a batch of inputs of any size, as at evaluation. Inputs are any array or tensor `[n, ..]`.
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs, if there is no memory for the outputs or for a pass, or if an output is NaN or
    /// infinite: the message says of which sample, and whether inputs or weights are the reason. [`trace`](Self::trace) gives such
    /// outputs as they are.
    pub fn predict(&self, x: impl IntoTensor<F>) -> Result<ArrayD<F>, Error> {
        self.predict_with(x, &[] as &[(&str, Tensor<F>)])
    }

    /// As [`predict`](Self::predict), for a model with named inputs ([`input`](crate::input)): the name of each, and an array `[n, ..]`.
    ///
    /// ```
    /// use backstitch::{Model, Net, chain, concat, input, layers::dense};
    /// use backstitch::ndarray::array;
    /// let net = chain![concat([Net::new(), input("age")]), dense(2)];
    /// let model: Model = Model::with_inputs(net, &[3], &[("age", &[1])], 0)?;
    /// let y = model.predict_with(array![[1.0, 0.0, 0.0]], &[("age", array![[0.5]])])?;
    /// assert_eq!(y.shape(), [1, 2]);
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`predict`](Self::predict); and if an input of the model is missing, has another shape, or one is given that the model does not have.
    pub fn predict_with(
        &self,
        x: impl IntoTensor<F>,
        named: &[(&str, impl IntoTensor<F>)],
    ) -> Result<ArrayD<F>, Error> {
        let x = x.as_view();
        let views: Vec<_> = named.iter().map(|(name, array)| (*name, array.as_view())).collect();
        let outputs = self.predict_view(&x, &views)?;
        self.check_predicted(&x, outputs.as_slice().expect("made row by row"), outputs.shape())?;
        Ok(outputs)
    }

    fn predict_view(
        &self,
        x: &ArrayViewD<'_, F>,
        named: &[(&str, ArrayViewD<'_, F>)],
    ) -> Result<ArrayD<F>, Error> {
        self.check_input(x.shape())?;
        self.check_all_named(named, x.shape()[0])?;
        let samples = x.shape()[0];
        let mut trace = Trace::new(Keep::Last);
        trace.check_memory(self, samples.min(PREDICTION_BATCH))?;
        let shape_of = |name: &str| {
            let found = named.iter().find(|(own, _)| *own == name);
            found.map_or(Shape::default(), |(_, array)| Shape::of(&array.shape()[1..]))
        };
        let shape = self.output_shape_for(Shape::of(&x.shape()[1..]), shape_of)?.batched(samples)?;
        memory::check_tensor::<F>("outputs", &shape)?;
        let mut outputs = ArrayD::zeros(IxDyn(&shape));
        for from in (0..samples).step_by(PREDICTION_BATCH) {
            let rows = Slice::from(from..samples.min(from + PREDICTION_BATCH));
            let batch = Tensor::from_array(x.slice_axis(Axis(0), rows))?;
            for (name, array) in named {
                trace.set_input(name, &Tensor::from_array(array.slice_axis(Axis(0), rows))?);
            }
            self.run(&batch, &mut trace, &Context::evaluate())?;
            outputs.slice_axis_mut(Axis(0), rows).assign(&trace.output().view());
        }
        Ok(outputs)
    }

    /// Checks that these are the named inputs of the model, for this number of samples.
    fn check_all_named(&self, named: &[(&str, ArrayViewD<'_, F>)], samples: usize) -> Result<(), Error> {
        let own = self.named_inputs();
        for (name, shape) in &own {
            let Some((_, array)) = named.iter().find(|(given, _)| given == name) else {
                let expected = format!("an array [n, ..] of {shape} for each sample, in Model::predict_with");
                return Err(Error::argument(format!("input {name:?}"), expected, "none"));
            };
            self.check_named(name, shape, array.shape(), samples)?;
        }
        match named.iter().find(|(name, _)| own.iter().all(|(own, _)| own != name)) {
            None => Ok(()),
            Some((name, _)) => Err(Error::unknown("input", name, own.iter().map(|(own, _)| *own))),
        }
    }

    /// A forward pass over a batch of inputs `[n, ..]`, as at evaluation, that keeps everything: [`Trace::get`] gives the output of any layer.
    ///
    /// ```
    /// use backstitch::{Model, chain, layers::dense};
    /// let model: Model = Model::new(chain!["code" => dense(2).relu(), dense(4)], &[4], 0)?;
    /// let trace = model.trace(&backstitch::ndarray::Array::ones((3, 4)))?;
    /// assert_eq!(trace.get("code")?.0.shape().to_string(), "[3, 2]");
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn trace(&self, x: impl IntoTensor<F>) -> Result<Trace<F>, Error> {
        let mut trace = Trace::new(Keep::All);
        self.forward(&x.into_tensor()?, &mut trace, &Context::evaluate())?;
        Ok(trace)
    }

    /// The probability of each class, `[n, classes]`, for a model whose outputs are logits: the softmax of
    /// [`predict`](Self::predict).
    ///
    /// # Errors
    /// If `x` is not a batch of this model's inputs, its outputs are not `[classes]`, two or more, or already those of a softmax, or a
    /// probability is NaN: the message says of which sample, and whether inputs or weights are the reason.
    pub fn predict_proba(&self, x: impl IntoTensor<F>) -> Result<Array2<F>, Error> {
        let (classes, x) = (logits::classes_to_predict(self)?, x.as_view());
        let outputs = self.predict_view(&x, &[])?;
        let samples = outputs.shape()[0];
        let mut rows = outputs.into_raw_vec_and_offset().0;
        softmax_rows(&mut rows, classes);
        self.check_predicted(&x, &rows, &[samples, classes])?;
        Ok(Array2::from_shape_vec((samples, classes), rows).expect("as many as predicted"))
    }

    /// The most probable class of each sample: the argmax of its outputs `[classes]`.
    ///
    /// ```
    /// use backstitch::{Model, layers::dense};
    /// let model: Model = Model::new(dense(3), &[4], 0)?;
    /// let classes: Vec<usize> = model.predict_classes(&backstitch::ndarray::Array::ones((5, 4)))?;
    /// assert_eq!(classes.len(), 5);
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`predict_proba`](Self::predict_proba), except that the model may end in a softmax.
    #[doc(alias = "argmax")]
    pub fn predict_classes(&self, x: impl IntoTensor<F>) -> Result<Vec<usize>, Error> {
        let (classes, x) = (logits::classes(self)?, x.as_view());
        let outputs = self.predict_view(&x, &[])?;
        self.check_predicted(&x, outputs.as_slice().expect("made row by row"), outputs.shape())?;
        let rows = outputs.into_raw_vec_and_offset().0;
        let class = |row: &[F]| argmax(row.iter().copied()).expect("a row of at least two finite numbers");
        Ok(rows.chunks_exact(classes).map(class).collect())
    }

    /// Checks what was predicted for these inputs: where it is not finite, the error says whether inputs or weights are the reason.
    fn check_predicted(&self, x: &ArrayViewD<'_, F>, rows: &[F], shape: &[usize]) -> Result<(), Error> {
        let Some(at) = finite::first_wrong(rows) else { return Ok(()) };
        let sample = at / product(&shape[1..]).max(1);
        let input = Tensor::from_array(x.index_axis(Axis(0), sample))?;
        finite::check(|| format!("inputs of sample {sample}"), input.data(), &input.shape())?;
        not_finite::check_outputs(self, rows, shape, 0)
    }
}
