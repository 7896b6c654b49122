//! Buffers of a thread, for the intermediate results of kernels: taken once, used again.

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
    /// A kernel, or its gradient, in that form.
    Kernel,
    /// A kernel turned round, or partial sums: what several threads read or write.
    Shared,
    /// Partial sums in `f64`.
    Sums,
    /// Those of a bias.
    BiasSums,
    /// A number for each column, near which the column's numbers are.
    Centres,
}

/// How many purposes there are.
pub(crate) const PURPOSES: usize = 14;

/// One buffer for each [`Purpose`].
pub type Buffers<F> = [std::cell::Cell<Vec<F>>; PURPOSES];

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

/// Lets every thread of the pool take buffers of these lengths now, if this one has not yet: which thread
/// does what later on is chance, and none of them shall have to allocate then.
pub(crate) fn ready<F: Scalar>(needs: &[(Purpose, usize)]) {
    let missing = |&(purpose, length): &(Purpose, usize)| {
        let scratch = Scratch::<F>::take(purpose);
        scratch.buffer.len() < length
    };
    if needs.iter().any(missing) {
        on_every_thread(|| {
            for &(purpose, length) in needs {
                Scratch::<F>::take(purpose).first(length);
            }
        });
    }
}

/// Runs `work` on every thread of the pool and on this one.
pub(crate) fn on_every_thread(work: impl Fn() + Sync) {
    rayon::broadcast(|_| work());
    work();
}
