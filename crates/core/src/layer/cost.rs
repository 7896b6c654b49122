//! The work and memory of a pass, computed from shapes alone. Sums saturate, because they are computed before it is known whether the
//! model fits into memory.

/// The work and memory of one sample's pass through a layer, besides its input, its output and their gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Multiplications followed by an addition, in the forward pass.
    pub multiply_adds: u64,
    /// Bytes of the layer's cache for each sample, in training.
    pub sample_bytes: usize,
    /// Bytes of the layer's cache whatever the batch, in training.
    pub fixed_bytes: usize,
    /// Samples that a training pass needs at least: 2 where there is no variance over one. A layer whose statistics
    /// are frozen needs 1.
    pub least_samples: usize,
    /// The most bytes that a kernel needs besides those, whatever the batch. They are free again after each layer, so only the largest
    /// one counts.
    pub scratch_bytes: usize,
}

impl Default for Cost {
    fn default() -> Self {
        Self { multiply_adds: 0, sample_bytes: 0, fixed_bytes: 0, least_samples: 1, scratch_bytes: 0 }
    }
}
