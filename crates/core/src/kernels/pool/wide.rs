//! Sums of gradients in `f64`, for windows that overlap so much that sums in `f32` would lose digits.

use crate::kernels::buffers::Buffer;
use crate::kernels::parts::in_pieces;
use crate::kernels::scratch::{Scratch, ready};
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// Where a number of the map lies in more windows than this, the sum of their gradients is computed in `f64`.
const MANY_WINDOWS: usize = 64;

/// Whether sums of gradients are computed in `f64` though the numbers are of another type.
pub(crate) fn sums_are_wider<F>(windows: &Windows) -> bool {
    size_of::<F>() < size_of::<f64>() && windows.most_over_a_number() > MANY_WINDOWS
}

/// `backward` in `f64`, map by map.
pub(crate) fn in_f64<F: Scalar>(
    dy: &[F],
    windows: &Windows,
    dx: &mut [F],
    backward: impl Fn(usize, &[f64], &mut [f64]) + Sync,
) {
    let of_map = windows.positions() * windows.channels;
    ready::<f64>(&[(Buffer::Columns, of_map), (Buffer::Sums, windows.map())]);
    in_pieces(dx, windows.map(), &|map, dx| {
        let dy = &dy[map * of_map..][..of_map];
        let (mut of_dy, mut of_dx) = (Scratch::take(Buffer::Columns), Scratch::take(Buffer::Sums));
        let (wide_dy, wide_dx) = (of_dy.first(of_map), of_dx.first(windows.map()));
        wide_dy.iter_mut().zip(dy).for_each(|(wide, dy)| *wide = dy.as_f64());
        backward(map, wide_dy, wide_dx);
        dx.iter_mut().zip(&*wide_dx).for_each(|(dx, &wide)| *dx = F::from_f64(wide));
    });
}
