//! The products of a convolution with a kernel of 1x1 and stride 1, without padding: the map itself is the matrix of windows, one position a row.

use crate::kernels::Accumulate;
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::gemm::multiply::multiply;
use crate::tensor::scalar::Scalar;

/// y = x K, with x `[positions, channels]`.
pub(crate) fn forward<F: Scalar>(
    x: Matrix<'_, F>,
    kernel: Matrix<'_, F>,
    y: &mut [F],
    finish: &(impl Fn(&mut [F]) + Sync),
) {
    multiply(x, kernel, Accumulate::Overwrite, y);
    finish(y);
}

/// dK = xᵀ dz.
pub(crate) fn weight_gradient<F: Scalar>(
    x: Matrix<'_, F>,
    dz: Matrix<'_, F>,
    how: Accumulate,
    gradient: &mut [F],
) {
    multiply(x.t(), dz, how, gradient);
}

/// dx = dz Kᵀ.
pub(crate) fn input_gradient<F: Scalar>(dz: Matrix<'_, F>, kernel: Matrix<'_, F>, dx: &mut [F]) {
    multiply(dz, kernel.t(), Accumulate::Overwrite, dx);
}
