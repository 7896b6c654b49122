//! What a pass takes, from shapes alone. Figures saturate: they are computed before it is known whether a model can be at all.

use std::ops::AddAssign;

/// What one sample's pass through a layer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Multiplications followed by an addition, in the forward pass.
    pub multiply_adds: u64,
    /// Numbers a training pass keeps for this sample inside the layer, beyond its input, its
    /// output and the output's gradient.
    pub kept: usize,
    /// Positions it keeps, 4 bytes each (the winners of a max pooling).
    pub indices: usize,
    /// Samples that a training pass needs at least: 2 where there is no variance over one.
    pub least_samples: usize,
    /// Numbers that building the layer makes room for, learned and remembered.
    pub parameters: usize,
    /// The most numbers that a kernel needs room for beside those, whatever the batch. It is given back after each layer, and so the
    /// largest counts.
    pub scratch: usize,
}

impl Default for Cost {
    fn default() -> Self {
        Self { multiply_adds: 0, kept: 0, indices: 0, least_samples: 1, parameters: 0, scratch: 0 }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.multiply_adds = self.multiply_adds.saturating_add(other.multiply_adds);
        self.kept = self.kept.saturating_add(other.kept);
        self.indices = self.indices.saturating_add(other.indices);
        self.least_samples = self.least_samples.max(other.least_samples);
        self.parameters = self.parameters.saturating_add(other.parameters);
        self.scratch = self.scratch.max(other.scratch);
    }
}

impl Cost {
    /// Counts numbers that are kept for a sample.
    pub(crate) fn keep(&mut self, numbers: usize) {
        self.kept = self.kept.saturating_add(numbers);
    }
}
