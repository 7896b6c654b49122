//! The plain loops: what the fast kernels compute, in the fewest lines. Read these first. Tests compare the fast kernels with them.

use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// `c[i, j] = sum over k of a[i, k] b[k, j]`, for a row-major `c` of `a.rows` times `b.columns`.
pub fn matmul<F: Scalar>(a: Matrix<'_, F>, b: Matrix<'_, F>, c: &mut [F]) {
    for i in 0..a.rows {
        for j in 0..b.columns {
            let mut sum = F::zero();
            for k in 0..a.columns {
                sum += a.at(i, k) * b.at(k, j);
            }
            c[i * b.columns + j] = sum;
        }
    }
}

/// `y[n, y, x, f] = sum over u, v, c of x[n, i, j, c] K[u, v, c, f]`, where (i, j) is the place that tap (u, v) of window (y, x) falls on, and c
/// runs over the channels of the group of f. Returns y and the number of multiplications: taps in the padding have none.
pub fn convolve<F: Scalar>(
    x: &[F],
    windows: &Windows,
    kernel: &[F],
    (filters, groups): (usize, usize),
) -> (Vec<F>, u64) {
    let maps = x.len() / windows.map();
    let mut y = vec![F::zero(); maps * windows.positions() * filters];
    let mut multiplications = 0;
    for_each_product(windows, maps, (filters, groups), |x_at, y_at, k_at| {
        y[y_at] += x[x_at] * kernel[k_at];
        multiplications += 1;
    });
    (y, multiplications)
}

/// `dK[u, v, c, f] = sum over n, y, x of x[n, i, j, c] dz[n, y, x, f]`.
pub fn weight_gradient<F: Scalar>(
    x: &[F],
    windows: &Windows,
    dz: &[F],
    (filters, groups): (usize, usize),
) -> Vec<F> {
    let mut gradient = vec![F::zero(); windows.window() / groups * filters];
    for_each_product(windows, x.len() / windows.map(), (filters, groups), |x_at, y_at, k_at| {
        gradient[k_at] += x[x_at] * dz[y_at];
    });
    gradient
}

/// `dx[n, i, j, c] = sum over f, and over all y, x, u, v where tap (u, v) of window (y, x) falls on (i, j), of K[u, v, c, f] dz[n, y, x, f]`.
pub fn input_gradient<F: Scalar>(
    dz: &[F],
    windows: &Windows,
    kernel: &[F],
    (filters, groups): (usize, usize),
) -> Vec<F> {
    let maps = dz.len() / (windows.positions() * filters);
    let mut dx = vec![F::zero(); maps * windows.map()];
    for_each_product(windows, maps, (filters, groups), |x_at, y_at, k_at| {
        dx[x_at] += kernel[k_at] * dz[y_at];
    });
    dx
}

/// Calls `f` for every product of a number of x and a weight: with the places of x, of y and of the weight. A filter reads the channels of its
/// group; the kernel is `[kernel height, kernel width, channels / groups, filters]`.
fn for_each_product(
    windows: &Windows,
    maps: usize,
    (filters, groups): (usize, usize),
    mut f: impl FnMut(usize, usize, usize),
) {
    let channels = windows.channels / groups;
    for_each_meeting(windows, maps, |x_at, position, tap| {
        for c in 0..channels {
            for filter in 0..filters {
                let group = filter / (filters / groups);
                let weight = (tap * channels + c) * filters + filter;
                f(x_at + group * channels + c, position * filters + filter, weight);
            }
        }
    });
}

/// Calls `f` wherever a tap of a window falls on the map: with the first channel's place in x, the window's number in the batch, and the tap's in
/// the kernel.
fn for_each_meeting(windows: &Windows, maps: usize, mut f: impl FnMut(usize, usize, usize)) {
    let w = windows;
    for n in 0..maps {
        for position in 0..w.positions() {
            for tap in 0..w.kernel.height * w.kernel.width {
                let row = w.row(position / w.out_width, tap / w.kernel.width);
                let column = w.column(position % w.out_width, tap % w.kernel.width);
                if let (Some(i), Some(j)) = (row, column) {
                    f(((n * w.height + i) * w.width + j) * w.channels, n * w.positions() + position, tap);
                }
            }
        }
    }
}
