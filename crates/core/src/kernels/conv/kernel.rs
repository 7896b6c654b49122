//! The kernel of a convolution, and the forms of it that inference keeps.

/// A kernel `[kernel height, kernel width, channels, filters]`, with its other forms where they are kept from pass to pass.
#[derive(Debug, Clone, Copy)]
pub struct ConvKernel<'a, F> {
    /// The kernel.
    pub weights: &'a [F],
    /// Its other forms.
    pub prepared: Option<&'a PreparedKernel<F>>,
}

impl<'a, F> ConvKernel<'a, F> {
    /// A kernel without other forms.
    pub fn new(weights: &'a [F]) -> Self {
        Self { weights, prepared: None }
    }

    pub(crate) fn tiles(&self) -> Option<&'a [F]> {
        self.prepared?.tiles.as_deref()
    }

    pub(crate) fn panels(&self) -> Option<&'a [F]> {
        self.prepared?.panels.as_deref()
    }
}

/// Other forms of a kernel, for inference, where they are of use. `prepare.rs` makes them.
#[derive(Debug, Default)]
pub struct PreparedKernel<F> {
    /// In the tiles of Winograd's algorithm, for batches of many maps. It takes four times the memory of a 3x3 kernel.
    pub(crate) tiles: Option<Vec<F>>,
    /// In panels of filters, for single maps with few windows, where reading the kernel takes most of the time.
    pub(crate) panels: Option<Vec<F>>,
}

impl<F> PreparedKernel<F> {
    /// Whether the form in Winograd's tiles is kept.
    pub fn has_tiles(&self) -> bool {
        self.tiles.is_some()
    }
}
