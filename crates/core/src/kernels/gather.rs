//! Maps whose places are taken from places of another map: padding, and enlarging with the nearest number.

use crate::kernels::parts::in_pieces;
use crate::kernels::simd::vectorised;
use crate::tensor::scalar::Scalar;

/// The row or column of the input that one of the output is taken from; none where there is none.
pub(crate) type Source<'a> = &'a (dyn Fn(usize) -> Option<usize> + Sync);

/// The sizes of both maps, and where the places of the larger one come from.
#[derive(Clone, Copy)]
pub(crate) struct Gather<'a> {
    /// Height and width of x.
    pub(crate) from: [usize; 2],
    /// Height and width of y.
    pub(crate) to: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) row: Source<'a>,
    pub(crate) column: Source<'a>,
}

impl Gather<'_> {
    /// y\[n, i, j\] = x\[n, row(i), column(j)\], all channels, or `elsewhere`.
    pub(crate) fn forward<F: Scalar>(&self, x: &[F], elsewhere: F, y: &mut [F]) {
        let Self { from: [height, width], to: [out_height, out_width], channels, row, column } = *self;
        in_pieces(y, out_width * channels, &|i, y| {
            let Some(row) = row(i % out_height) else { return y.fill(elsewhere) };
            let x = &x[(i / out_height * height + row) * width * channels..][..width * channels];
            for (j, y) in y.chunks_exact_mut(channels).enumerate() {
                match column(j) {
                    Some(column) => y.copy_from_slice(&x[column * channels..][..channels]),
                    None => y.fill(elsewhere),
                }
            }
        });
    }

    /// Each number of dx is the sum of dy over the places that were taken from it.
    pub(crate) fn backward<F: Scalar>(&self, dy: &[F], dx: &mut [F]) {
        let Self { from: [height, width], to: [out_height, out_width], channels, row, column } = *self;
        in_pieces(dx, height * width * channels, &|map, dx| {
            dx.fill(F::zero());
            let dy = &dy[map * out_height * out_width * channels..][..out_height * out_width * channels];
            for (i, dy) in dy.chunks_exact(out_width * channels).enumerate() {
                let Some(row) = row(i) else { continue };
                let dx = &mut dx[row * width * channels..][..width * channels];
                vectorised(
                    #[inline(always)]
                    || {
                        for (j, dy) in dy.chunks_exact(channels).enumerate() {
                            let Some(column) = column(j) else { continue };
                            let dx = dx[column * channels..][..channels].iter_mut();
                            dx.zip(dy).for_each(|(dx, &dy)| *dx += dy);
                        }
                    },
                );
            }
        });
    }
}
