//! Makes the forms of a kernel that inference keeps.

use crate::kernels::conv::kernel::PreparedKernel;
use crate::kernels::conv::plan::{Algorithm, ConvPlan, Method};
use crate::kernels::conv::winograd;
use crate::kernels::gemm::{filter_panels, stream};
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

/// The number of maps for which a kernel is prepared: all that is known of a batch is that it is not small.
const MANY_MAPS: usize = 64;

impl<F: Scalar> PreparedKernel<F> {
    /// The forms of a kernel that convolutions of these windows use.
    pub fn new(windows: Windows, algorithm: Algorithm, weights: &[F]) -> Self {
        let filters = weights.len() / windows.window();
        let method = |maps| ConvPlan::with_kept_tiles(windows, maps, filters, algorithm).forward;
        let by_panels = method(1) == Method::Im2col
            && windows.positions() <= stream::MOST_LEFT_ROWS
            && weights.len() >= stream::LARGE;
        Self {
            tiles: (method(MANY_MAPS) == Method::Winograd)
                .then(|| winograd::kernel_in_tiles(&windows, weights)),
            panels: by_panels.then(|| filter_panels::lay_out(weights, filters)),
        }
    }
}
