//! Buffers of a thread, for the intermediate results of kernels: taken once, used again.

use std::cell::Cell;
use std::thread::LocalKey;

use crate::scalar::Scalar;

const CACHE_LINE: usize = 64;

/// What a buffer is for: kernels that run inside each other must not share one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The second half of a product.
    Half,
    /// The transpose of a result.
    Turned,
    /// A part of the left factor, in the order in which it is read.
    Left,
    /// A part of the right factor, in the order in which it is read.
    Right,
}

/// One buffer for each [`Purpose`].
pub type Buffers<F> = [Cell<Vec<F>>; 4];

/// A buffer of this thread, given back when it is dropped.
pub(crate) struct Scratch<F: Scalar> {
    purpose: Purpose,
    buffer: Vec<F>,
}

impl<F: Scalar> Scratch<F> {
    /// The thread's buffer for this purpose.
    pub(crate) fn take(purpose: Purpose) -> Self {
        let buffers: &'static LocalKey<Buffers<F>> = F::scratch();
        Self { purpose, buffer: buffers.with(|buffers| buffers[purpose as usize].take()) }
    }

    /// The first `length` numbers, with unspecified content, to write. They begin at the edge of a
    /// cache line, so that no vector of them lies across two lines.
    pub(crate) fn first(&mut self, length: usize) -> &mut [F] {
        let line = CACHE_LINE / size_of::<F>();
        if self.buffer.len() < length + line {
            self.buffer.resize(length + line, F::zero());
        }
        let edge = self.buffer.as_ptr().align_offset(CACHE_LINE).min(line);
        &mut self.buffer[edge..][..length]
    }
}

impl<F: Scalar> Drop for Scratch<F> {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        F::scratch().with(|buffers| buffers[self.purpose as usize].set(buffer));
    }
}
