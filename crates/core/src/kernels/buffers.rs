//! The buffers that each thread keeps for the intermediate results of kernels. How they are used stands in `scratch.rs`.

use std::cell::Cell;

/// A buffer of a thread. Kernels that run inside each other must not share one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Buffer {
    /// The second half of a product.
    Half,
    /// The transpose of a result.
    Transposed,
    /// A part of the left factor, in the order in which it is read.
    Left,
    /// A part of the right factor, in the order in which it is read.
    Right,
    /// The whole right factor, in the order in which it is read.
    Whole,
    /// Rows of maps with their padding.
    Strips,
    /// Windows, one a row.
    Columns,
    /// Tiles of maps in Winograd's form.
    Tiles,
    /// Products of those with filters, or tiles of a gradient in that form.
    Products,
    /// A kernel, or its gradient, in that form; or a part of a kernel.
    Kernel,
    /// What several threads read or write: a rotated kernel, or partial sums.
    Shared,
    /// Partial sums in `f64`.
    Sums,
    /// Partial sums of a bias gradient, in `f64`.
    BiasSums,
    /// Scores of attention, or its weights.
    Scores,
    /// The gradients of scores.
    ScoreGradients,
    /// Outputs of one head, or the gradients of its queries.
    Head,
    /// Gradients of keys and values of one head.
    KeyGradients,
    /// The input of a group of channels.
    GroupInput,
    /// The output of a group of filters.
    GroupOutput,
    /// The kernel of a group, or its gradient.
    GroupKernel,
    /// A number for each column, near which the column's numbers are.
    Centres,
}

/// The number of buffers: the last of them is `Centres`.
pub(crate) const BUFFERS: usize = Buffer::Centres as usize + 1;

/// All buffers of a thread, for one type of numbers.
pub type Buffers<F> = [Cell<Vec<F>>; BUFFERS];
