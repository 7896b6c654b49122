//! Gradient checks: a layer's derivatives are compared with differences, and the other rules for a layer are tested.
//!
//! A derivative is right when it agrees with (L(w + h) - L(w - h)) / 2h, computed from the forward
//! pass alone, for every number w. All of it is computed in `f64`, where a step of h = 1e-5 leaves
//! about ten correct digits. A relative error of 1e-6 passes ([`TOLERANCE`]).
//!
//! | function | what is checked |
//! |---|---|
//! | [`check_layer`] | one layer: its derivatives, and its whole contract |
//! | [`check_net`] | a net: the same for each of its layers, and the derivatives of the whole |
//! | [`check_outputs`], [`check_model`] | a model: the derivatives of its outputs, or of its cross-entropy |
//! | [`check_loss`] | a loss, and the rules for it |
//! | [`check_function`] | a function of a few numbers, and the gradient that you derived |
//!
//! ```
//! use backstitch::gradcheck::check_layer;
//! use backstitch::{Backward, Context, Layer, Scalar, Shape, ShapeError, Tensor, Weights};
//!
//! /// y = x³, number by number, with a mistake: the derivative is 3 x².
//! #[derive(Debug)]
//! struct Cube;
//! impl<F: Scalar> Layer<F> for Cube {
//!     type Cache = ();
//!     fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
//!         Shape::new(input)
//!     }
//!     fn forward(&self, _: &Weights<F>, x: &Tensor<F>, y: &mut Tensor<F>, _: &mut (), _: &Context) {
//!         y.data_mut().iter_mut().zip(x.data()).for_each(|(y, &x)| *y = x * x * x);
//!     }
//!     fn backward(&self, _: &Weights<F>, pass: Backward<F>, _: &mut (), _: &Context) {
//!         let Backward { x, dy, dx: Some(dx), .. } = pass else { return };
//!         for ((dx, &dy), &x) in dx.data_mut().iter_mut().zip(dy.data()).zip(x.data()) {
//!             *dx = dy * x * x;
//!         }
//!     }
//! }
//! let error = check_layer(Cube, &[2], 3, &Context::train(0, 0), 1).unwrap_err().to_string();
//! assert!(error.starts_with("Cube: expected derivatives to agree within 1e-6, got 6 of 6 that do not; the worst is input["));
//! ```
//!
//! # What is checked besides derivatives, and what to do
//! A message names the layer, what was expected, what it got, and what would help. It is about one of these rules:
//!
//! | rule for a layer | what to do if it is broken |
//! |---|---|
//! | `forward` writes every number of `y`, and keeps its shape | `y` holds unspecified numbers: set each, do not add to it |
//! | equal passes give equal outputs, with a new cache or a used one | draw from [`rng::stream`](crate::tensor::rng::stream); set all of the cache in `forward` |
//! | outputs of -1..1 are finite, in `f32` as in `f64` | check such a layer in a net, behind one that gives it what it takes |
//! | `backward` overwrites every number of `dx`, and keeps its shape | as for `y` |
//! | `backward` *adds* the gradient of each declared parameter | `+=` on what [`LayerGrads::add`](crate::LayerGrads::add) hands out |
//! | it gives the same gradients where only some are wanted | do not return before the others are done |
//! | it is linear in `dy` | leave clipping to the training loop |
//! | it does not need the tensors that [`reads`](crate::Layer::reads) says is not read | correct `reads`, or do not use that tensor |
//! | only what [`params`](crate::Layer::params) declares is asked for, and all of it is used | correct `params`, or the name |
//! | [`commit`](crate::Layer::commit) leaves parameters as they are | declare a statistic with `declare.remembered` |
//! | the cache takes what [`cost`](crate::Layer::cost) says, and `least_samples` is true | count the cache's bytes |
//! | evaluation takes a batch of 0, and treats each sample for itself | batch statistics are for training |
//!
//! A panic of a layer under check becomes an error too. (The program's panic hook prints its message first, as for any panic.)
//!
//! # Kinks
//! Where a function has a kink, such as a ReLU at 0 or equal numbers in a max pooling, every derivative between those of the
//! two sides is right (a subgradient), and central differences show only the middle. There, one-sided differences with two
//! steps are compared. [`Passed::kinks`] lists them. [`check_layer`] and [`check_net`] also look at inputs of which many
//! numbers are 0 or equal to each other, one number at a time and along directions.
//!
//! # Large layers
//! If there are more than 4,000 derivatives, a random sample is compared, drawn from the seed, with a share of each tensor.
//! [`Passed`] and the message give both numbers and the seed.
//!
//! # Which layer is wrong
//! A wrong derivative makes all gradients before it wrong. So if a net fails, each of its layers is checked alone on its values in
//! the net, from the output back, and the message names the first one that fails. If none fails, the message says so.

mod alone;
mod compare;
mod contract;
mod differences;
mod function;
mod layer;
mod net;
mod passes;
mod point;
mod promises;
mod report;
mod ties;

pub use function::{check_function, check_loss};
pub use layer::check_layer;
pub use net::{check_model, check_net, check_net_with, check_outputs};
pub use report::{Comparison, GradientError, Passed, TOLERANCE};

#[cfg(test)]
mod tests {
    use ndarray::ArrayD;

    use super::*;
    use crate::layers::dense;
    use crate::{Context, Model, Net, Targets};

    #[test]
    fn what_does_not_fit_is_an_error() {
        let net = || Net::new().push(dense(2));
        let mut model = Model::new(net(), &[3], 0).unwrap();
        let x = ArrayD::from_elem(vec![4, 3], 0.5);
        let ctx = Context::train(0, 0);
        for labels in [&[][..], &[0, 1], &[0, 1, 0, 1, 0], &[0, 1, 0, 2], &[0, 1, 0, usize::MAX]] {
            assert!(check_model(&mut model, &x, &Targets::Classes(labels), &ctx).is_err(), "{labels:?}");
        }
        check_model(&mut model, &x, &Targets::Classes(&[0, 1, 0, 1]), &ctx).unwrap();
        let none = ArrayD::zeros(vec![0, 3]);
        assert!(check_model(&mut model, &none, &Targets::Classes(&[]), &ctx).is_err());
        assert!(check_outputs(&mut model, 0, &ctx, 0).is_err());
    }
}
