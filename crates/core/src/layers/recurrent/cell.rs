//! What the recurrent layers differ in: one step of one sample.

use std::fmt::Debug;

use crate::tensor::scalar::Scalar;

/// One step of a recurrent layer with H units, for one sample. A gate is a function of z = x W_ih + h W_hh + biases; the gates of a unit lie H numbers
/// apart.
pub trait Cell: Debug + Clone + Copy + Send + Sync + 'static {
    /// The layer's kind: `Lstm`.
    const NAME: &'static str;
    /// Gates of a unit.
    const GATES: usize;
    /// States of a unit: 1 is h alone, 2 are h and a cell state c.
    const STATES: usize;
    /// Whether h W_hh + bias_hh takes part in a gate as a whole, so that its derivative is not that of x W_ih.
    const SPLIT: bool;

    /// One step. `z` has x W_ih + bias_ih, and gets the gates. `p` has h W_hh + bias_hh. h and c are those before the step, and get those after it. Without
    /// a cell state `c` is empty.
    fn forward<F: Scalar>(self, z: &mut [F], p: &mut [F], h: &mut [F], c: &mut [F]);

    /// The derivative of a step. `z` has the gates, and gets dL/dz. `p` is as forward left it, and gets dL/dp; it is empty unless [`SPLIT`](Self::SPLIT).
    /// `before` has h and c before the step. `dh` and `dc` have the gradients of those after the step, and get those of the states before it, as far as
    /// they do not go through p.
    fn backward<F: Scalar>(self, z: &mut [F], p: &mut [F], before: [&[F]; 2], dh: &mut [F], dc: &mut [F]);
}
