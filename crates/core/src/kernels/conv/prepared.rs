//! The kernel of a convolution, and what is kept of it for inference.

use crate::kernels::conv::{Algorithm, MANY_MAPS, Way, choose};
use crate::kernels::windows::Windows;
use crate::kernels::{panels, stream, winograd};
use crate::scalar::Scalar;

/// A kernel `[kernel height, kernel width, channels, filters]`, and its other forms where those are kept from pass to pass.
#[derive(Debug, Clone, Copy)]
pub struct Kernel<'a, F> {
    /// The kernel.
    pub weights: &'a [F],
    /// What was made of it.
    pub kept: Option<&'a Kept<F>>,
}

impl<'a, F> Kernel<'a, F> {
    /// Without other forms.
    pub fn new(weights: &'a [F]) -> Self {
        Self { weights, kept: None }
    }

    pub(crate) fn tiles(&self) -> Option<&'a [F]> {
        self.kept?.tiles.as_deref()
    }

    pub(crate) fn panels(&self) -> Option<&'a [F]> {
        self.kept?.panels.as_deref()
    }
}

/// Other forms of a kernel, for inference, where they are of use.
#[derive(Debug)]
pub struct Kept<F> {
    /// For Winograd's algorithm, in batches of many maps. It takes four times the memory of a kernel of 3x3.
    tiles: Option<Vec<F>>,
    /// For single maps with few windows, where the kernel is most of what is read.
    panels: Option<Vec<F>>,
}

impl<F: Scalar> Kept<F> {
    /// The forms of a kernel that these windows can use.
    pub fn new(windows: &Windows, algorithm: Algorithm, weights: &[F]) -> Self {
        let filters = weights.len() / windows.window();
        let by_tiles = choose(windows, MANY_MAPS, filters, algorithm, true) == Way::Tiles;
        let by_panels = choose(windows, 1, filters, algorithm, true) == Way::FewWindows
            && windows.positions() <= stream::MOST_ROWS
            && weights.len() >= stream::LARGE;
        Self {
            tiles: by_tiles.then(|| winograd::kernel_in_tiles(windows, weights)),
            panels: by_panels.then(|| panels::lay_out(weights, filters)),
        }
    }

    /// In panels, wherever that may be of use.
    #[cfg(test)]
    pub(crate) fn with_panels(weights: &[F], filters: usize) -> Self {
        Self { tiles: None, panels: Some(panels::lay_out(weights, filters)) }
    }
}
