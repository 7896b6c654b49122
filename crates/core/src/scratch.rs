//! Buffers of a thread, for the intermediate results of kernels: taken once, used again.

use std::cell::Cell;
use std::thread::LocalKey;

use crate::scalar::Scalar;

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

    /// The first `length` numbers, with unspecified content, to write.
    pub(crate) fn first(&mut self, length: usize) -> &mut [F] {
        if self.buffer.len() < length {
            self.buffer.resize(length, F::zero());
        }
        &mut self.buffer[..length]
    }
}

impl<F: Scalar> Drop for Scratch<F> {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        F::scratch().with(|buffers| buffers[self.purpose as usize].set(buffer));
    }
}
