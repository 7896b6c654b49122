//! What a pass takes, from shapes alone.

use std::ops::AddAssign;

/// What one sample's pass through a layer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Multiplications followed by an addition, in the forward pass.
    pub multiply_adds: u64,
    /// Numbers a training pass keeps for this sample inside the layer, beyond its input, its
    /// output and the output's gradient.
    pub kept: usize,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.multiply_adds += other.multiply_adds;
        self.kept += other.kept;
    }
}
