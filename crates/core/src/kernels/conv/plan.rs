//! How the three products of a convolution are computed.
//!
//! A [`ConvPlan`] is made once for a shape and a batch size, and kept from step to step. This is the one place where algorithms are chosen;
//! `products.rs` carries a plan out.

use crate::kernels::conv::rotated::rotated;
use crate::kernels::conv::{taps, winograd};
use crate::kernels::windows::{Pair, Windows};

/// Which algorithm computes a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// The fastest for the shapes, as measured.
    #[default]
    Fastest,
    /// A product of windows and kernel. The reference.
    Im2col,
    /// Winograd's, with fewer multiplications: for kernels 3x3 and 5x5, stride 1, no dilation. In `f32` its sums are
    /// exact to 1e-5 of the largest output.
    Winograd,
}

/// What computes a product. Each is a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// In tiles, with fewer multiplications (`winograd.rs`).
    Winograd,
    /// Tap by tap, where many taps lie in the padding (`taps.rs`).
    Taps,
    /// The map itself is the matrix of windows (`pointwise.rs`): 1x1, stride 1, no padding.
    Pointwise,
    /// All windows are copied (`im2col.rs`). For few windows, where reading the kernel takes most of the time.
    Im2col,
    /// Windows are read where they lie, some rows of output at a time (`in_place.rs`).
    InPlace,
}

/// What computes the gradient with respect to the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputMethod {
    /// `pointwise.rs`.
    Pointwise,
    /// `taps.rs`.
    Taps,
    /// A convolution of dz with the rotated kernel (`rotated.rs`), over these windows and by this method.
    Rotated(Windows, Method),
    /// The gradients of all windows are computed, and added where the windows lie (`im2col.rs`).
    Col2im,
}

/// How the products of a convolution are computed for these windows, a number of maps and a number of filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvPlan {
    pub(crate) windows: Windows,
    pub(crate) filters: usize,
    maps: usize,
    pub(crate) forward: Method,
    pub(crate) weight_gradient: Method,
    pub(crate) input_gradient: InputMethod,
    /// Whether gradients may be summed over the numbers of dz that are not 0 alone (`sparse.rs`).
    pub(crate) may_be_sparse: bool,
}

impl ConvPlan {
    /// For training, and for prediction with a kernel of which no other form is kept.
    pub fn new(windows: Windows, maps: usize, filters: usize, algorithm: Algorithm) -> Self {
        let choice = Choice { maps, algorithm, kernel_kept: false };
        let method = choice.method(&windows, filters);
        Self {
            windows,
            filters,
            maps,
            forward: method,
            weight_gradient: method,
            input_gradient: choice.input_method(&windows, filters, method),
            may_be_sparse: algorithm == Algorithm::Fastest,
        }
    }

    /// For prediction with a kernel whose form in Winograd's tiles is kept
    /// ([`PreparedKernel`](super::kernel::PreparedKernel)).
    pub fn with_kept_tiles(windows: Windows, maps: usize, filters: usize, algorithm: Algorithm) -> Self {
        let forward = Choice { maps, algorithm, kernel_kept: true }.method(&windows, filters);
        Self { forward, ..Self::new(windows, maps, filters, algorithm) }
    }

    /// Whether the plan is one for a batch `[maps, height, width, channels]`.
    pub fn is_for(&self, batch: &[usize]) -> bool {
        let Windows { height, width, channels, .. } = self.windows;
        batch == [self.maps, height, width, channels]
    }

    /// Multiply-adds that the weight gradient takes for a number of dz. A tile of Winograd's algorithm has 36 multiplications where
    /// the plain product has 144 (3x3) and 100 (5x5).
    pub(crate) fn work_for_a_number(&self) -> usize {
        let window = self.windows.window();
        match (self.weight_gradient, self.windows.kernel.height) {
            (Method::Winograd, 3) => window / 4,
            (Method::Winograd, _) => window / 3,
            _ => window,
        }
    }
}

/// Whether [`Algorithm::Winograd`] can compute this.
pub fn can_use_winograd(windows: &Windows) -> bool {
    winograd::fits(windows)
}

/// Fewer windows than this are few.
const FEW_WINDOWS: usize = 48;
/// Maps, channels and filters from which on the products of single taps are large enough.
const MAPS_IN_ROWS: usize = 16;

/// What a number of a tile takes to make, in multiply-adds; what a number of a kernel in tile form takes to make; and what it takes
/// where that form is kept, and only read.
const TILE_NUMBER: usize = 16;
const KERNEL_NUMBER: usize = 48;
const KEPT_KERNEL_NUMBER: usize = 16;

/// What a choice depends on beside the windows and the number of filters.
#[derive(Clone, Copy)]
struct Choice {
    maps: usize,
    algorithm: Algorithm,
    /// Whether the kernel is kept in the form of Winograd's tiles.
    kernel_kept: bool,
}

impl Choice {
    fn method(self, windows: &Windows, filters: usize) -> Method {
        let one = Pair::from(1);
        let (by_taps, by_tiles) = match self.algorithm {
            Algorithm::Im2col => (false, false),
            Algorithm::Winograd => (false, winograd::fits(windows)),
            Algorithm::Fastest => {
                // Multiply-adds for each map, channel and filter.
                let of_windows = windows.positions() * windows.kernel.height * windows.kernel.width;
                let large = self.maps >= MAPS_IN_ROWS && windows.channels.min(filters) >= MAPS_IN_ROWS;
                // Counting takes some microseconds, which a prediction of a single map would notice.
                let of_taps = if large { taps::meetings(windows) } else { of_windows };
                let by_taps = large && 4 * of_taps <= 3 * of_windows;
                let plain = if by_taps { of_taps } else { of_windows };
                (by_taps, winograd::fits(windows) && self.tiles_are_faster(windows, filters, plain))
            }
        };
        if by_tiles && self.maps > 0 {
            Method::Winograd
        } else if by_taps {
            Method::Taps
        } else if windows.kernel == one && windows.stride == one && windows.all_inside() {
            Method::Pointwise
        } else if self.maps * windows.positions() < FEW_WINDOWS {
            Method::Im2col
        } else {
            Method::InPlace
        }
    }

    /// The method of the input gradient, where that of the weight gradient is `method`. Rotating the kernel takes time, which few
    /// windows are not worth.
    fn input_method(self, windows: &Windows, filters: usize, method: Method) -> InputMethod {
        match method {
            Method::Pointwise => return InputMethod::Pointwise,
            Method::Taps => return InputMethod::Taps,
            _ => {}
        }
        let worth_rotating = method == Method::Winograd || self.maps * windows.positions() > 2 * filters;
        match rotated(windows, filters).filter(|_| worth_rotating) {
            Some(rotated) => InputMethod::Rotated(rotated, self.method(&rotated, windows.channels)),
            None => InputMethod::Col2im,
        }
    }

    /// Whether fewer multiplications are worth making tiles of maps and kernel for, where the other method takes `plain` multiply-adds for
    /// each map, channel and filter. The constants were fitted to `cargo bench --features bench-internals --bench kernels`.
    fn tiles_are_faster(self, windows: &Windows, filters: usize, plain: usize) -> bool {
        let kernel_number = if self.kernel_kept { KEPT_KERNEL_NUMBER } else { KERNEL_NUMBER };
        let side = winograd::outputs(windows);
        let tiles = self.maps * windows.out_height.div_ceil(side) * windows.out_width.div_ceil(side);
        let channels = windows.channels;
        let products = winograd::PLACES * tiles * channels * filters;
        let transforms = winograd::PLACES
            * (tiles * (channels + filters) * TILE_NUMBER + channels * filters * kernel_number);
        products + transforms < self.maps * plain * channels * filters
    }
}
