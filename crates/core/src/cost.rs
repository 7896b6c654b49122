//! What a pass takes, from shapes alone.

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
}

impl Default for Cost {
    fn default() -> Self {
        Self { multiply_adds: 0, kept: 0, indices: 0, least_samples: 1 }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.multiply_adds += other.multiply_adds;
        self.kept += other.kept;
        self.indices += other.indices;
        self.least_samples = self.least_samples.max(other.least_samples);
    }
}
