//! The three products of a convolution, by the methods of its plan.

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::conv::kernel::ConvKernel;
use crate::kernels::conv::plan::{ConvPlan, InputMethod, Method};
use crate::kernels::conv::rotated::rotate;
use crate::kernels::conv::{im2col, in_place, pointwise, taps, winograd};
use crate::kernels::gemm::matrix::Matrix;
use crate::kernels::scratch::Scratch;
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

impl ConvPlan {
    /// y = X K, where the rows of X are the windows of x; `finish` is applied to rows of y while they are in the cache.
    #[inline(never)]
    pub fn forward<F: Scalar>(
        &self,
        x: &[F],
        kernel: ConvKernel<'_, F>,
        y: &mut [F],
        finish: impl Fn(&mut [F]) + Sync,
    ) {
        convolve(self.forward, &self.windows, x, kernel, y, &finish);
    }

    /// dK = Xᵀ dz, which overwrites `gradient` or is added to it.
    #[inline(never)]
    pub fn weight_gradient<F: Scalar>(&self, x: &[F], dz: &[F], how: Accumulate, gradient: &mut [F]) {
        let windows = &self.windows;
        let rows = Matrix::new(dz, dz.len() / self.filters, self.filters);
        match self.weight_gradient {
            Method::Winograd => winograd::weight_gradient(x, windows, dz, how, gradient),
            Method::Taps => taps::weight_gradient(x, windows, dz, how, gradient),
            Method::Pointwise => {
                let x = Matrix::new(x, rows.rows, windows.channels);
                pointwise::weight_gradient(x, rows, how, gradient);
            }
            Method::Im2col => im2col::weight_gradient(x, windows, rows, how, gradient),
            Method::InPlace => in_place::weight_gradient(x, windows, rows, how, gradient),
        }
    }

    /// Overwrites `dx` with the gradient with respect to the input, from all numbers of dz.
    #[inline(never)]
    pub fn input_gradient<F: Scalar>(&self, dz: &[F], kernel: &[F], dx: &mut [F]) {
        if dx.is_empty() {
            return;
        }
        let (windows, filters) = (&self.windows, self.filters);
        let rows = Matrix::new(dz, dz.len() / filters, filters);
        let weights = Matrix::new(kernel, windows.window(), filters);
        match &self.input_gradient {
            InputMethod::Pointwise => pointwise::input_gradient(rows, weights, dx),
            InputMethod::Taps => taps::input_gradient(dz, windows, kernel, dx),
            InputMethod::Rotated(rotated, method) => {
                let mut scratch = Scratch::take(Buffer::Shared);
                let rotated_kernel = scratch.first(kernel.len());
                rotate(kernel, windows, filters, rotated_kernel);
                convolve(*method, rotated, dz, ConvKernel::new(rotated_kernel), dx, &|_: &mut [F]| {});
            }
            InputMethod::Col2im => im2col::input_gradient(rows, windows, weights, dx),
        }
    }
}

/// The forward product by a method.
fn convolve<F: Scalar>(
    method: Method,
    windows: &Windows,
    x: &[F],
    kernel: ConvKernel<'_, F>,
    y: &mut [F],
    finish: &(impl Fn(&mut [F]) + Sync),
) {
    let weights = Matrix::new(kernel.weights, windows.window(), kernel.weights.len() / windows.window());
    match method {
        Method::Winograd => winograd::forward(x, windows, kernel, y, finish),
        Method::Taps => taps::forward(x, windows, kernel, y, finish),
        Method::Pointwise => {
            let x = Matrix::new(x, x.len() / windows.channels, windows.channels);
            pointwise::forward(x, weights, y, finish);
        }
        Method::Im2col => im2col::forward(x, windows, kernel, y, finish),
        Method::InPlace => in_place::forward(x, windows, weights, y, finish),
    }
}
