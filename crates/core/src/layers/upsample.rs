//! Enlarging of maps.

use crate::error::ShapeError;
use crate::kernels::gather::Gather;
use crate::kernels::interpolate::Enlarged;
use crate::kernels::windows::Pair;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Maps enlarged by a whole factor: with the nearest number, or bilinearly. As PyTorch's `interpolate` with `align_corners=False`.
///
/// # Shapes
/// x `[n, height, width, channels]`, y `[n, factor · height, factor · width, channels]`.
///
/// # Forward
/// * Nearest: y\[n, i, j\] = x\[n, floor(i / factor), floor(j / factor)\].
/// * Bilinear: row i of y lies at (i + 1/2) / factor - 1/2 in x, and columns likewise. y is the mean of the four numbers around that place. Each counts as
///   much as the place is near to it. Beyond the edge lies the edge's own number.
///
/// # Backward
/// * Nearest: dL/dx\[n, k, l\] = the sum of dL/dy over the places that were taken from (k, l).
/// * Bilinear: dL/dy goes to the same four numbers, with the same shares.
///
/// ```
/// use backstitch::{Model, Net, layers::{conv2d, upsample}};
/// let net = Net::new().push(upsample(2).bilinear()).push(conv2d(32, 3).same().relu());
/// let model: Model = Model::new(net, &[7, 7, 64], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[14, 14, 32]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Upsample {
    factor: Pair,
    bilinear: bool,
}

/// Maps enlarged by this factor, with the nearest number: `2`, or `[2, 3]` for height and width.
pub fn upsample(factor: impl Into<Pair>) -> Upsample {
    Upsample { factor: factor.into(), bilinear: false }
}

/// The largest side of an enlarged map.
const MOST_ALONG: usize = 1 << 24;

impl Upsample {
    /// Interpolates between the four nearest numbers.
    #[must_use]
    pub fn bilinear(mut self) -> Self {
        self.bilinear = true;
        self
    }

    fn name(&self) -> String {
        let how = if self.bilinear { "bilinear" } else { "nearest" };
        format!("Upsample {}, {how}", self.factor)
    }

    fn enlarged(&self, batch: &[usize]) -> Enlarged {
        let &[_, height, width, channels] = batch else { unreachable!("checked when the model was built") };
        Enlarged { height, width, channels, factors: [self.factor.height, self.factor.width] }
    }
}

/// Calls `work` with the places that the nearest numbers are taken from.
fn nearest(maps: Enlarged, work: impl FnOnce(Gather<'_>)) {
    let Enlarged { height, width, channels, factors: [down, across] } = maps;
    work(Gather {
        from: [height, width],
        to: [height * down, width * across],
        channels,
        row: &|i| Some(i / down),
        column: &|j| Some(j / across),
    });
}

impl<F: Scalar> Layer<F> for Upsample {
    type Cache = ();

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(self.name(), expected, got);
        if self.factor.height.min(self.factor.width) == 0 {
            return Err(error("a factor of at least 1x1", self.factor.to_string()));
        }
        let &[height, width, channels] = input else {
            return Err(error("[height, width, channels]", format!("{input:?}")));
        };
        let sides = [height.saturating_mul(self.factor.height), width.saturating_mul(self.factor.width)];
        if sides[0].max(sides[1]) > MOST_ALONG {
            let expected = format!("an enlarged map of at most {}", Pair::from(MOST_ALONG));
            return Err(error(&expected, Pair::from(sides).to_string()));
        }
        Shape::new(&[sides[0], sides[1], channels])
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        let maps = self.enlarged(&x.shape());
        match self.bilinear {
            true => maps.forward(x.data(), y.data_mut()),
            false => nearest(maps, |maps| maps.forward(x.data(), F::zero(), y.data_mut())),
        }
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        let Some(dx) = pass.dx else { return };
        let maps = self.enlarged(&dx.shape());
        match self.bilinear {
            true => maps.backward(pass.dy.data(), dx.data_mut()),
            false => nearest(maps, |maps| maps.backward(pass.dy.data(), dx.data_mut())),
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_with_the_layer_named() {
        let message = |layer: Upsample, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("up").to_string()
        };
        assert_eq!(
            message(upsample([2, 0]), &[4, 4, 3]),
            "up (Upsample 2x0, nearest): expected a factor of at least 1x1, got 2x0"
        );
        assert_eq!(
            message(upsample(2).bilinear(), &[784]),
            "up (Upsample 2x2, bilinear): expected [height, width, channels], got [784]"
        );
        assert_eq!(
            message(upsample(1 << 23), &[4, 2, 3]),
            "up (Upsample 8388608x8388608, nearest): expected an enlarged map of at most 16777216x16777216, got 33554432x16777216"
        );
    }
}
