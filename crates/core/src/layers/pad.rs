//! Padding of maps.

use std::fmt;

use crate::error::ShapeError;
use crate::kernels::gather::Gather;
use crate::kernels::windows::Pair;
use crate::layer::weights::Weights;
use crate::layer::{Backward, Context, Layer, Reads};
use crate::tensor::Tensor;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// The numbers of rows and columns that a padding adds to a map. `2.into()` is 2 on every side, `[1, 2].into()` is 1 above and below and 2 left and right,
/// and `[[1, 0], [2, 3]].into()` is 1 above, 2 left and 3 right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    /// Above and left.
    pub before: Pair,
    /// Below and right.
    pub after: Pair,
}

impl From<usize> for Sides {
    fn from(each: usize) -> Self {
        Self { before: each.into(), after: each.into() }
    }
}

impl From<[usize; 2]> for Sides {
    fn from(both: [usize; 2]) -> Self {
        Self { before: both.into(), after: both.into() }
    }
}

impl From<[[usize; 2]; 2]> for Sides {
    fn from([[above, below], [left, right]]: [[usize; 2]; 2]) -> Self {
        Self { before: [above, left].into(), after: [below, right].into() }
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after } = self;
        match before == after {
            true => before.fmt(f),
            false => {
                write!(f, "[[{}, {}], [{}, {}]]", before.height, after.height, before.width, after.width)
            }
        }
    }
}

/// What lies around the map.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Around {
    Constant(f64),
    Reflection,
    Edge,
}

/// Rows and columns around every map: zeros, another constant, the map's reflection, or its edge repeated. As PyTorch's `pad`.
///
/// # Shapes
/// x `[n, height, width, channels]`, y `[n, above + height + below, left + width + right, channels]`.
///
/// # Forward
/// y\[n, i, j\] = x\[n, r(i - above), r(j - left)\]. Inside the map r(k) = k. Outside:
/// * constant (the default, 0): y is that constant;
/// * [`reflect`](Self::reflect): r(-k) = k, r(height - 1 + k) = height - 1 - k: the edge itself is not repeated;
/// * [`replicate`](Self::replicate): r is the nearest number of the edge.
///
/// # Backward
/// dL/dx\[n, k, l\] = the sum of dL/dy over the places that were taken from (k, l).
///
/// ```
/// use backstitch::{Model, Net, layers::{conv2d, pad}};
/// let net = Net::new().push(pad(1).reflect()).push(conv2d(8, 3).relu());
/// let model: Model = Model::new(net, &[28, 28, 1], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[28, 28, 8]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pad {
    sides: Sides,
    around: Around,
}

/// Zeros around every map: `1` on every side, `[1, 2]` above and below, and left and right, or `[[above, below], [left, right]]`.
pub fn pad(sides: impl Into<Sides>) -> Pad {
    Pad { sides: sides.into(), around: Around::Constant(0.0) }
}

/// The most rows or columns on one side.
const MOST_ALONG: usize = 1 << 24;

impl Pad {
    /// Sets the number that lies around the map; the default is 0.
    #[must_use]
    pub fn constant(mut self, value: f64) -> Self {
        self.around = Around::Constant(value);
        self
    }

    /// Reflects the map at its outer rows and columns: `c b | a b c | b a`. It is an error if there are as many rows or columns to add as
    /// the map has.
    #[must_use]
    pub fn reflect(mut self) -> Self {
        self.around = Around::Reflection;
        self
    }

    /// Repeats the outer rows and columns: `a a | a b c | c c`.
    #[must_use]
    pub fn replicate(mut self) -> Self {
        self.around = Around::Edge;
        self
    }

    fn name(&self) -> String {
        let around = match self.around {
            Around::Constant(value) => format!("constant {value}"),
            Around::Reflection => "reflect".to_owned(),
            Around::Edge => "replicate".to_owned(),
        };
        format!("Pad {}, {around}", self.sides)
    }

    /// The place along a side of the map that place i of the padded side is taken from.
    fn source(&self, i: usize, before: usize, side: usize) -> Option<usize> {
        let last = side - 1;
        match self.around {
            _ if (before..before + side).contains(&i) => Some(i - before),
            Around::Constant(_) => None,
            Around::Reflection if i < before => Some(before - i),
            Around::Reflection => Some(last - (i - before - last)),
            Around::Edge => Some(i.saturating_sub(before).min(last)),
        }
    }

    /// Calls `work` with the places that the numbers of a batch are taken from.
    fn over(&self, batch: &[usize], work: impl FnOnce(Gather<'_>)) {
        let &[_, height, width, channels] = batch else { unreachable!("checked when the model was built") };
        let Sides { before, after } = self.sides;
        work(Gather {
            from: [height, width],
            to: [before.height + height + after.height, before.width + width + after.width],
            channels,
            row: &|i| self.source(i, before.height, height),
            column: &|j| self.source(j, before.width, width),
        });
    }
}

impl<F: Scalar> Layer<F> for Pad {
    type Cache = ();

    fn describe(&self) -> String {
        self.name()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        let error = |expected: &str, got: String| ShapeError::new(self.name(), expected, got);
        let Sides { before, after } = self.sides;
        let widest = Pair { height: before.height.max(after.height), width: before.width.max(after.width) };
        if widest.height.max(widest.width) > MOST_ALONG {
            return Err(error(
                &format!("a padding of at most {MOST_ALONG} on each side"),
                self.sides.to_string(),
            ));
        }
        if let Around::Constant(value) = self.around
            && !value.is_finite()
        {
            return Err(error("a finite constant", value.to_string()));
        }
        let &[height, width, channels] = input else {
            return Err(error("[height, width, channels]", format!("{input:?}")));
        };
        if height.max(width) > MOST_ALONG {
            return Err(error(&format!("a map of at most {}", Pair::from(MOST_ALONG)), format!("{input:?}")));
        }
        if self.around == Around::Reflection && (widest.height >= height || widest.width >= width) {
            let expected = "a padding below the height and the width of the map, which it reflects";
            return Err(error(expected, format!("{} around {input:?}", self.sides)));
        }
        let sides = [before.height + height + after.height, before.width + width + after.width];
        Shape::new(&[sides[0], sides[1], channels])
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _ctx: &Context) {
        let elsewhere =
            if let Around::Constant(value) = self.around { F::from_f64(value) } else { F::zero() };
        self.over(&x.shape(), |places| places.forward(x.data(), elsewhere, y.data_mut()));
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _ctx: &Context) {
        if let Some(dx) = pass.dx {
            self.over(&dx.shape(), |places| places.backward(pass.dy.data(), dx.data_mut()));
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
        let message = |layer: Pad, input: &[usize]| {
            Layer::<f32>::output_shape(&layer, input).unwrap_err().within("pad1").to_string()
        };
        assert_eq!(
            message(pad([[0, 1], [2, 4]]).reflect(), &[5, 4, 3]),
            "pad1 (Pad [[0, 1], [2, 4]], reflect): expected a padding below the height and the width of the map, which it \
             reflects, got [[0, 1], [2, 4]] around [5, 4, 3]"
        );
        assert_eq!(
            message(pad([1, 2]).replicate(), &[784]),
            "pad1 (Pad 1x2, replicate): expected [height, width, channels], got [784]"
        );
        assert_eq!(
            message(pad(1).constant(f64::NAN), &[5, 4, 3]),
            "pad1 (Pad 1x1, constant NaN): expected a finite constant, got NaN"
        );
        assert_eq!(
            message(pad(usize::MAX), &[5, 4, 3]),
            format!(
                "pad1 (Pad {0}x{0}, constant 0): expected a padding of at most 16777216 on each side, got {0}x{0}",
                usize::MAX
            )
        );
    }
}
