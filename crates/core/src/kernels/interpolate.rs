//! Bilinear enlarging of maps, and its adjoint.

use crate::kernels::parts::in_pieces;
use crate::kernels::simd::vectorised;
use crate::tensor::bilinear::{between, blend};
use crate::tensor::scalar::Scalar;

/// The sizes of a map, and by how much it is enlarged.
#[derive(Clone, Copy)]
pub(crate) struct Enlarged {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    /// Down and across.
    pub(crate) factors: [usize; 2],
}

/// The two numbers of a side that number i of the enlarged side lies between, and how far it is from the first.
fn place(i: usize, factor: usize, side: usize) -> (usize, usize, f64) {
    between((i as f64 + 0.5) / factor as f64 - 0.5, side)
}

impl Enlarged {
    fn line(&self) -> usize {
        self.width * self.channels
    }

    /// y: every number lies between four numbers of x.
    pub(crate) fn forward<F: Scalar>(&self, x: &[F], y: &mut [F]) {
        let Self { height, width, channels, factors: [down, across] } = *self;
        in_pieces(y, self.line() * across, &|i, y| {
            let (map, row) = (i / (height * down), i % (height * down));
            let (upper, below, share) = place(row, down, height);
            let rows = [upper, below].map(|row| &x[(map * height + row) * self.line()..][..self.line()]);
            let down = F::from_f64(share);
            vectorised(
                #[inline(always)]
                || {
                    for (column, y) in y.chunks_exact_mut(channels).enumerate() {
                        let (left, right, share) = place(column, across, width);
                        let share = F::from_f64(share);
                        let at = |row: &'_ [F], column: usize, c: usize| row[column * channels + c];
                        for (c, y) in y.iter_mut().enumerate() {
                            let four = rows.map(|row| [at(row, left, c), at(row, right, c)]);
                            *y = blend(four, down, share);
                        }
                    }
                },
            );
        });
    }

    /// dx: each number of dy goes to the four numbers of x that it lies between, with the same shares.
    pub(crate) fn backward<F: Scalar>(&self, dy: &[F], dx: &mut [F]) {
        let Self { height, width, channels, factors: [down, across] } = *self;
        let (line, of_map) = (self.line() * across, self.line() * across * height * down);
        in_pieces(dx, height * self.line(), &|map, dx| {
            dx.fill(F::zero());
            for (row, dy) in dy[map * of_map..][..of_map].chunks_exact(line).enumerate() {
                let (upper, below, share) = place(row, down, height);
                for (row, of_row) in [(upper, 1.0 - share), (below, share)] {
                    let dx = &mut dx[row * self.line()..][..self.line()];
                    vectorised(
                        #[inline(always)]
                        || {
                            for (column, dy) in dy.chunks_exact(channels).enumerate() {
                                let (left, right, share) = place(column, across, width);
                                for (column, of_column) in [(left, 1.0 - share), (right, share)] {
                                    let share = F::from_f64(of_row * of_column);
                                    let dx = dx[column * channels..][..channels].iter_mut();
                                    dx.zip(dy).for_each(|(dx, &dy)| *dx += share * dy);
                                }
                            }
                        },
                    );
                }
            }
        });
    }
}
