//! The plain loops: what the fast kernels compute, in the fewest lines. Tests hold the fast ones
//! against these; read these first.

use crate::kernels::gemm::Matrix;
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
