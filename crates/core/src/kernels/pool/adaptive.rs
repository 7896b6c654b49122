//! Adaptive average pooling: the means of bins that a map is cut into, channel by channel.

use std::ops::Range;

use crate::kernels::buffers::Buffer;
use crate::kernels::parts::in_pieces;
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::simd::vectorised;
use crate::tensor::scalar::Scalar;

/// The sizes of the map, and the numbers of bins.
#[derive(Clone, Copy)]
pub(crate) struct Bins {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    /// Below each other, and side by side.
    pub(crate) bins: [usize; 2],
}

/// Bin i of a side. Neighbours overlap where the side is no multiple of the number of bins.
fn bin(i: usize, bins: usize, side: usize) -> Range<usize> {
    i * side / bins..((i + 1) * side).div_ceil(bins)
}

impl Bins {
    /// Calls `work` for every bin of a map: with its number, its size, and its rows, each a range of numbers of the map.
    #[inline(always)]
    fn for_each(&self, mut work: impl FnMut(usize, usize, &mut dyn Iterator<Item = Range<usize>>)) {
        let Self { height, width, channels, bins: [down, across] } = *self;
        for i in 0..down {
            let rows = bin(i, down, height);
            for j in 0..across {
                let columns = bin(j, across, width);
                let line = |row: usize| {
                    (row * width + columns.start) * channels..(row * width + columns.end) * channels
                };
                work(i * across + j, rows.len() * columns.len(), &mut rows.clone().map(line));
            }
        }
    }

    /// The mean of every bin, from sums in `f64`.
    pub(crate) fn forward<F: Scalar>(&self, x: &[F], y: &mut [F]) {
        let Self { height, width, channels, bins: [down, across] } = *self;
        ready::<f64>(&[(Buffer::Sums, channels)]);
        in_pieces(y, down * across * channels, &|map, y| {
            let x = &x[map * height * width * channels..][..height * width * channels];
            let mut scratch = Scratch::<f64>::take(Buffer::Sums);
            let sums = scratch.first(channels);
            self.for_each(|at, size, lines| {
                sums.fill(0.0);
                for line in lines {
                    vectorised(
                        #[inline(always)]
                        || {
                            for x in x[line].chunks_exact(channels) {
                                sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x.as_f64());
                            }
                        },
                    );
                }
                let y = y[at * channels..][..channels].iter_mut();
                y.zip(&*sums).for_each(|(y, sum)| *y = F::from_f64(sum / size as f64));
            });
        });
    }

    /// Every number of a bin gets an equal share of the bin's gradient. Shares are added where bins overlap.
    pub(crate) fn backward<F: Scalar>(&self, dy: &[F], dx: &mut [F]) {
        let Self { height, width, channels, bins: [down, across] } = *self;
        in_pieces(dx, height * width * channels, &|map, dx| {
            dx.fill(F::zero());
            let dy = &dy[map * down * across * channels..][..down * across * channels];
            self.for_each(|at, size, lines| {
                let (dy, share) = (&dy[at * channels..][..channels], F::from_f64(1.0 / size as f64));
                for line in lines {
                    for dx in dx[line].chunks_exact_mut(channels) {
                        dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += share * dy);
                    }
                }
            });
        });
    }
}
