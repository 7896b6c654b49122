//! Whether a result replaces the old content of a buffer.

/// Whether a result replaces what is in the buffer or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accumulate {
    /// The buffer's old content does not matter.
    Overwrite,
    /// The result is added.
    Add,
}
