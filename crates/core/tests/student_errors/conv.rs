//! A convolution over maps `[height, width, channels]`, weight `[kernel, kernel, channels, filters]`.

use backstitch_core::{
    Backward, Context, Declare, Fan, Init, Layer, Scalar, Shape, ShapeError, Tensor, Weights,
};

use crate::{Case, case};

const FILTERS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Right,
    Scattered,
    WithoutBias,
    // Wrong.
    FlippedInDx,
    PaddingForgottenInDx,
    PaddingForgottenInWeight,
    StrideForgottenInDx,
    BiasOfOnePlace,
    ChannelsSwapped,
    WindowOffByOne,
    OtherFilter,
    FirstSampleOnly,
}
use Mistake::*;

#[derive(Debug, Clone, Copy)]
struct Conv {
    how: Mistake,
    kernel: usize,
    stride: usize,
    padding: usize,
}

/// One product of the sum: its index in y, in x and in the weight.
struct Term {
    n: usize,
    y: usize,
    x: usize,
    w: usize,
}

impl Conv {
    fn out(&self, length: usize) -> usize {
        (length + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Calls f with every product of the convolution; `how` may make an index wrong.
    fn each(&self, how: Mistake, shape: &[usize], mut f: impl FnMut(Term)) {
        let [samples, height, width, channels] = [shape[0], shape[1], shape[2], shape[3]];
        let (rows, columns, k) = (self.out(height), self.out(width), self.kernel);
        let padding =
            if matches!(how, PaddingForgottenInDx | PaddingForgottenInWeight) { 0 } else { self.padding };
        let stride = if how == StrideForgottenInDx { 1 } else { self.stride };
        let taps = if how == WindowOffByOne { k - 1 } else { k };
        for n in 0..samples {
            for at in 0..rows * columns {
                let (row, column) = (at / columns, at % columns);
                for tap in 0..taps * taps {
                    let (i, j) = (tap / taps, tap % taps);
                    let Some(y) = (row * stride + i).checked_sub(padding).filter(|&y| y < height) else {
                        continue;
                    };
                    let Some(x) = (column * stride + j).checked_sub(padding).filter(|&x| x < width) else {
                        continue;
                    };
                    let (i, j) = if how == FlippedInDx { (k - 1 - i, k - 1 - j) } else { (i, j) };
                    for c in 0..channels {
                        for filter in 0..FILTERS {
                            let channel = if how == ChannelsSwapped { channels - 1 - c } else { c };
                            let of = if how == OtherFilter { FILTERS - 1 - filter } else { filter };
                            f(Term {
                                n,
                                y: (n * rows * columns + at) * FILTERS + of,
                                x: ((n * height + y) * width + x) * channels + c,
                                w: ((i * k + j) * channels + channel) * FILTERS + filter,
                            });
                        }
                    }
                }
            }
        }
    }
}

impl<F: Scalar> Layer<F> for Conv {
    type Cache = ();

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(&[self.out(input[0]), self.out(input[1]), FILTERS])
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let fan = Fan { inputs: self.kernel * self.kernel * input[2], outputs: FILTERS };
        declare.learned("weight", &[self.kernel, self.kernel, input[2], FILTERS], Init::GlorotUniform, fan);
        if self.how != WithoutBias {
            declare.learned("bias", &[FILTERS], Init::Zero, fan);
        }
    }

    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        for (i, y) in y.data_mut().iter_mut().enumerate() {
            *y = if self.how == WithoutBias { F::zero() } else { w["bias"].data()[i % FILTERS] };
        }
        let y = y.data_mut();
        self.each(Right, &x.shape(), |at| y[at.y] += x.data()[at.x] * w["weight"].data()[at.w]);
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        let Backward { x, dy, dx, mut grads, .. } = pass;
        let shape = x.shape();
        if self.how != WithoutBias
            && let Some(grad) = grads.add("bias")
        {
            let places = if self.how == BiasOfOnePlace { FILTERS } else { dy.data().len() };
            for (i, &dy) in dy.data().iter().take(places).enumerate() {
                grad[i % FILTERS] += dy;
            }
        }
        if let Some(grad) = grads.add("weight") {
            let how = match self.how {
                how @ (PaddingForgottenInWeight | WindowOffByOne | OtherFilter) => how,
                _ => Right,
            };
            self.each(how, &shape, |at| {
                if self.how != FirstSampleOnly || at.n == 0 {
                    grad[at.w] += x.data()[at.x] * dy.data()[at.y];
                }
            });
        }
        let Some(dx) = dx else { return };
        let how = match self.how {
            how @ (FlippedInDx | PaddingForgottenInDx | StrideForgottenInDx | ChannelsSwapped) => how,
            _ => Right,
        };
        if self.how == Scattered {
            // Into a separate buffer, which is then copied.
            let mut sums = vec![F::zero(); dx.data().len()];
            self.each(how, &shape, |at| sums[at.x] = dy.data()[at.y] * w["weight"].data()[at.w] + sums[at.x]);
            dx.data_mut().copy_from_slice(&sums);
            return;
        }
        dx.fill(F::zero());
        let dx = dx.data_mut();
        self.each(how, &shape, |at| dx[at.x] += dy.data()[at.y] * w["weight"].data()[at.w]);
    }
}

fn conv(how: Mistake, kernel: usize, stride: usize, padding: usize) -> Case {
    case(Conv { how, kernel, stride, padding }, &[5, 4, 3], 2)
}

pub fn right() -> Vec<Case> {
    vec![
        conv(Right, 3, 1, 0),
        conv(Right, 3, 2, 1),
        conv(Right, 2, 1, 1),
        conv(Right, 1, 1, 0),
        conv(Right, 1, 2, 0),
        conv(Scattered, 3, 2, 1),
        conv(WithoutBias, 3, 1, 1),
    ]
}

pub fn wrong() -> Vec<Case> {
    [
        FlippedInDx,
        PaddingForgottenInDx,
        PaddingForgottenInWeight,
        StrideForgottenInDx,
        BiasOfOnePlace,
        ChannelsSwapped,
        WindowOffByOne,
        OtherFilter,
        FirstSampleOnly,
    ]
    .map(|how| conv(how, 3, 2, 1))
    .into()
}
