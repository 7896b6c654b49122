//! The parametric rectified linear unit.

use crate::error::ShapeError;
use crate::kernels::buffers::Buffer;
use crate::kernels::elementwise::{combine, update_with};
use crate::kernels::parts::in_pieces;
use crate::kernels::scratch::Scratch;
use crate::kernels::simd::vectorised;
use crate::kernels::sums::{add_columns, add_to};
use crate::layer::weights::{Declare, Weights};
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Numbers in a piece of a pass.
const PIECE: usize = 16 * 1024;

/// Parametric rectified linear unit: a leaky ReLU whose slope below 0 is learned (K. He et al. 2015, "Delving deep into rectifiers",
/// equation 1).
///
/// It is a layer of its own, because its derivatives need x: dy/dx the sign of x, which y does not tell where a slope is below 0, and
/// dy/da x itself.
///
/// # Shapes
/// x `[n, features]`, `[n, height, width, channels]`, or any other axes before the last; y the same. The parameter `weight` is one slope a for
/// everything, or with [`per_channel`](Self::per_channel) one for each of the last axis. They start at 0.25, as in PyTorch's `nn.PReLU`.
///
/// # Forward
/// y = x where x > 0, else a x.
///
/// # Backward
/// dL/dx = dL/dy where x > 0, else dL/dy · a. dL/da = Σ dL/dy · min(x, 0), over all numbers with this slope.
///
/// ```
/// use backstitch::{Model, Net, layers::{conv2d, prelu}};
/// let net = Net::new().push(conv2d(16, 3).same()).push(prelu().per_channel());
/// let model: Model = Model::new(net, &[8, 8, 3], 0)?;
/// assert!(model.state()["prelu1.weight"].data() == [0.25; 16]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Prelu {
    per_channel: bool,
}

/// Parametric rectified linear unit with one slope.
pub fn prelu() -> Prelu {
    Prelu { per_channel: false }
}

impl Prelu {
    /// Learns a slope for each channel (each feature, if there are no other axes).
    #[must_use]
    pub fn per_channel(mut self) -> Self {
        self.per_channel = true;
        self
    }
}

/// `to` is `from` where x > 0, else `from` times the slope: y of x itself, and dL/dx of dL/dy.
fn with_slopes<F: Scalar>(slopes: &[F], x: &[F], from: &[F], to: &mut [F]) {
    let number = |x: F, from: F, slope: F| if x > F::zero() { from } else { from * slope };
    if let [slope] = *slopes {
        return combine(x, from, to, |x, from| number(x, from, slope));
    }
    let width = slopes.len();
    let piece = (PIECE / width).max(1) * width;
    in_pieces(to, piece, &|i, to| {
        let (x, from) = (&x[i * piece..], &from[i * piece..]);
        vectorised(
            #[inline(always)]
            || {
                let rows =
                    to.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(from.chunks_exact(width));
                for ((to, x), from) in rows {
                    for (((to, &x), &from), &slope) in to.iter_mut().zip(x).zip(from).zip(slopes) {
                        *to = number(x, from, slope);
                    }
                }
            },
        );
    });
}

impl<F: Scalar> Layer<F> for Prelu {
    type Cache = ();

    fn describe(&self) -> String {
        if self.per_channel { "Prelu per channel" } else { "Prelu" }.to_owned()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        if self.per_channel && input.last().is_none_or(|&channels| channels == 0) {
            let expected = "[.., channels] with at least 1 channel";
            return Err(ShapeError::new(Layer::<F>::describe(self), expected, format!("{input:?}")));
        }
        Shape::new(input)
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let slopes = if self.per_channel { &input[input.len() - 1..] } else { &[1] };
        declare.learned_from("weight", slopes, 0.25);
    }

    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        with_slopes(w["weight"].data(), x.data(), x.data(), y.data_mut());
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        let Backward { x, dy, dx, mut grads, .. } = pass;
        if let Some(dx) = dx {
            with_slopes(w["weight"].data(), x.data(), dy.data(), dx.data_mut());
        }
        let Some(gradient) = grads.add("weight") else { return };
        let width = x.width();
        update_with(dy.data_mut(), x.data(), |dy, x| *dy = if x > F::zero() { F::zero() } else { *dy * x });
        let mut scratch = Scratch::<f64>::take(Buffer::Sums);
        let sums = scratch.first(width);
        sums.fill(0.0);
        add_columns(dy.data(), sums);
        match self.per_channel {
            true => add_to(Some(gradient), sums),
            false => add_to(Some(gradient), &[sums.iter().sum()]),
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Net;
    use crate::net::model::Model;

    #[test]
    fn slopes_start_at_a_quarter_and_can_be_learned() {
        let model: Model =
            Model::new(Net::new().push(prelu().per_channel()).push(prelu()), &[2, 3], 0).unwrap();
        let slopes: Vec<_> =
            model.slots().iter().map(|slot| (slot.value().data(), slot.is_trainable())).collect();
        assert_eq!(slopes, [(&[0.25; 3][..], true), (&[0.25], true)]);
    }

    #[test]
    fn an_input_without_channels_is_refused() {
        let error = Layer::<f32>::output_shape(&prelu().per_channel(), &[2, 0]).unwrap_err().within("prelu1");
        assert_eq!(
            error.to_string(),
            "prelu1 (Prelu per channel): expected [.., channels] with at least 1 channel, got [2, 0]"
        );
    }
}
