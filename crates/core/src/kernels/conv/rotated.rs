//! With stride 1 the input gradient of a convolution is a convolution too: of dz, padded, with the kernel rotated by 180 degrees, its channels and
//! filters exchanged (`docs/derivations/conv2d.md`).

use crate::kernels::Accumulate;
use crate::kernels::gemm::transpose::transpose;
use crate::kernels::parts::in_pieces;
use crate::kernels::windows::{Pair, Windows};
use crate::tensor::scalar::Scalar;

/// The windows over dz; none where the stride is not 1, or the padding is wider than a kernel reaches.
pub(crate) fn rotated(windows: &Windows, filters: usize) -> Option<Windows> {
    let Windows { height, width, out_height, out_width, kernel, stride, dilation, before, .. } = *windows;
    if stride != Pair::from(1) {
        return None;
    }
    let above = ((kernel.height - 1) * dilation.height).checked_sub(before.height)?;
    let left = ((kernel.width - 1) * dilation.width).checked_sub(before.width)?;
    Some(Windows {
        height: out_height,
        width: out_width,
        channels: filters,
        out_height: height,
        out_width: width,
        before: Pair { height: above, width: left },
        ..*windows
    })
}

/// The kernel rotated by 180 degrees, its channels and filters exchanged.
pub(crate) fn rotate<F: Scalar>(kernel: &[F], windows: &Windows, filters: usize, to: &mut [F]) {
    let channels = windows.channels;
    let tap = channels * filters;
    let taps = kernel.len() / tap;
    in_pieces(to, tap, &|i, to| {
        let from = &kernel[(taps - 1 - i) * tap..][..tap];
        transpose(from, filters, Accumulate::Overwrite, to, channels);
    });
}
