//! The largest of every window, over maps `[height, width, channels]`.

use backstitch_core::{Backward, Context, Cost, Layer, Reads, Scalar, Shape, ShapeError, Tensor, Weights};

use crate::{Case, case};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    First,
    Last,
    Shared,
    Remembered,
    // Wrong.
    ToAll,
    ToAllNumbers,
    OverlapOverwritten,
    OtherChannel,
    OffByOne,
    Averaged,
    StrideForgotten,
}
use Mistake::*;

#[derive(Debug, Clone, Copy)]
struct MaxPool {
    how: Mistake,
    window: usize,
    stride: usize,
}

impl MaxPool {
    fn out(&self, length: usize) -> usize {
        (length - self.window) / self.stride + 1
    }

    /// The indices in x of every window, in the order of y.
    fn windows(&self, shape: &[usize], stride: usize) -> Vec<Vec<usize>> {
        let [samples, height, width, channels] = [shape[0], shape[1], shape[2], shape[3]];
        let mut windows = Vec::new();
        for n in 0..samples {
            for at in 0..self.out(height) * self.out(width) {
                let (row, column) = (at / self.out(width) * stride, at % self.out(width) * stride);
                for c in 0..channels {
                    let place = |tap: usize| {
                        let (y, x) = (row + tap / self.window, column + tap % self.window);
                        ((n * height + y) * width + x) * channels + c
                    };
                    windows.push((0..self.window * self.window).map(place).collect());
                }
            }
        }
        windows
    }
}

fn largest<F: Scalar>(x: &[F], window: &[usize]) -> F {
    window.iter().fold(F::neg_infinity(), |most, &at| most.max(x[at]))
}

impl<F: Scalar> Layer<F> for MaxPool {
    /// The indices of the largest numbers, if they are kept.
    type Cache = Vec<u32>;

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(&[self.out(input[0]), self.out(input[1]), input[2]])
    }

    fn forward(
        &self,
        _: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        cache: &mut Vec<u32>,
        _: &Context,
    ) {
        cache.clear();
        cache.reserve_exact(if self.how == Remembered { y.data().len() } else { 0 });
        for (y, window) in y.data_mut().iter_mut().zip(self.windows(&x.shape(), self.stride)) {
            *y = largest(x.data(), &window);
            if self.how == Remembered {
                cache.extend(window.iter().find(|&&at| x.data()[at] == *y).map(|&at| at as u32));
            }
        }
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, cache: &mut Vec<u32>, _: &Context) {
        let Backward { x, dy, dx: Some(dx), .. } = pass else { return };
        dx.fill(F::zero());
        if self.how == Remembered {
            for (&at, &dy) in cache.iter().zip(dy.data()) {
                dx.data_mut()[at as usize] += dy;
            }
            return;
        }
        let stride = if self.how == StrideForgotten { 1 } else { self.stride };
        let (channels, dx) = (x.width(), dx.data_mut());
        for (window, &dy) in self.windows(&x.shape(), stride).iter().zip(dy.data()) {
            let most = largest(x.data(), window);
            let equal: Vec<usize> = window.iter().copied().filter(|&at| x.data()[at] == most).collect();
            let (first, last) = (equal[0], equal[equal.len() - 1]);
            let share = |count: usize| dy * F::from_f64(1.0 / count as f64);
            match self.how {
                Last => dx[last] += dy,
                Shared => equal.iter().for_each(|&at| dx[at] += share(equal.len())),
                ToAll => equal.iter().for_each(|&at| dx[at] += dy),
                ToAllNumbers => window.iter().for_each(|&at| dx[at] += dy),
                Averaged => window.iter().for_each(|&at| dx[at] += share(window.len())),
                OverlapOverwritten => dx[first] = dy,
                OtherChannel => dx[first / channels * channels + (first + 1) % channels] += dy,
                OffByOne => dx[if first >= channels { first - channels } else { first }] += dy,
                _ => dx[first] += dy,
            }
        }
    }

    fn reads(&self) -> Reads {
        // Not needed if the indices are kept.
        Reads { x: self.how != Remembered, y: false }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let places = self.out(input[0]) * self.out(input[1]) * input[2];
        let sample_bytes = if self.how == Remembered { places * size_of::<u32>() } else { 0 };
        Cost { sample_bytes, ..Cost::default() }
    }
}

fn pool(how: Mistake, window: usize, stride: usize) -> Case {
    case(MaxPool { how, window, stride }, &[5, 4, 2], 2)
}

pub fn right() -> Vec<Case> {
    let mut all: Vec<Case> = [First, Last, Shared, Remembered].map(|how| pool(how, 2, 2)).into();
    all.extend([First, Last, Shared, Remembered].map(|how| pool(how, 3, 1)));
    all
}

pub fn wrong() -> Vec<Case> {
    [ToAll, ToAllNumbers, OtherChannel, OffByOne, Averaged, StrideForgotten]
        .map(|how| pool(how, 2, 2))
        .into_iter()
        .chain([pool(OverlapOverwritten, 3, 1)])
        .collect()
}
