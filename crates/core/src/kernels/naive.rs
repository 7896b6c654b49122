//! The plain loops: what the fast kernels compute, in the fewest lines. Tests hold the fast ones
//! against these; read these first.

use crate::kernels::gemm::Matrix;
use crate::kernels::window::Windows;
use crate::scalar::Scalar;

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

/// `y[n, y, x, f] = sum over u, v, c of x[n, i, j, c] kernel[u, v, c, f]`, with (i, j) where tap (u, v) of
/// window (y, x) falls. Returns y and the number of multiplications, those with zeros of the padding left
/// out.
pub fn convolve<F: Scalar>(x: &[F], windows: &Windows, kernel: &[F], filters: usize) -> (Vec<F>, u64) {
    let w = windows;
    let maps = x.len() / w.map();
    let mut out = Vec::new();
    let mut multiplications = 0;
    for n in 0..maps {
        for (row, column) in
            (0..w.out_height).flat_map(|row| (0..w.out_width).map(move |column| (row, column)))
        {
            for f in 0..filters {
                let mut sum = F::zero();
                for (u, v) in (0..w.kernel.height).flat_map(|u| (0..w.kernel.width).map(move |v| (u, v))) {
                    let (Some(i), Some(j)) = (w.row(row, u), w.column(column, v)) else { continue };
                    for c in 0..w.channels {
                        let number = x[((n * w.height + i) * w.width + j) * w.channels + c];
                        sum += number * kernel[((u * w.kernel.width + v) * w.channels + c) * filters + f];
                        multiplications += 1;
                    }
                }
                out.push(sum);
            }
        }
    }
    (out, multiplications)
}
