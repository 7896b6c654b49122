//! What a pass takes, from shapes alone. Figures saturate: they are computed before it is known whether a model can be at all.

/// What one sample's pass through a layer takes, beside its input, its output and their gradients.
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
    /// The most bytes that a kernel needs beside those, whatever the batch. They are given back after each layer, and so the largest
    /// counts.
    pub scratch_bytes: usize,
}

impl Default for Cost {
    fn default() -> Self {
        Self { multiply_adds: 0, sample_bytes: 0, fixed_bytes: 0, least_samples: 1, scratch_bytes: 0 }
    }
}
