//! Scratch memory: a thread takes one of its buffers, and gives it back when it is done. So it allocates once.

use std::thread::LocalKey;

use crate::kernels::buffers::{Buffer, Buffers};
use crate::tensor::scalar::Scalar;

const CACHE_LINE: usize = 64;

/// A buffer of this thread, given back when it is dropped.
pub(crate) struct Scratch<F: Scalar> {
    which: Buffer,
    numbers: Vec<F>,
}

impl<F: Scalar> Scratch<F> {
    /// Takes the thread's buffer.
    pub(crate) fn take(which: Buffer) -> Self {
        let buffers: &'static LocalKey<Buffers<F>> = F::scratch();
        Self { which, numbers: buffers.with(|buffers| buffers[which as usize].take()) }
    }

    /// The first `length` numbers, with unspecified content, to write. They begin at the edge of a
    /// cache line, so that no vector of them lies across two lines.
    pub(crate) fn first(&mut self, length: usize) -> &mut [F] {
        let line = CACHE_LINE / size_of::<F>();
        if self.numbers.len() < length + line {
            self.numbers.resize(length + line, F::zero());
        }
        let edge = self.numbers.as_ptr().align_offset(CACHE_LINE).min(line);
        &mut self.numbers[edge..][..length]
    }
}

impl<F: Scalar> Drop for Scratch<F> {
    fn drop(&mut self) {
        let numbers = std::mem::take(&mut self.numbers);
        F::scratch().with(|buffers| buffers[self.which as usize].set(numbers));
    }
}

/// Makes room for these lengths in the buffers of every thread of the pool, if this thread's are shorter. Which thread takes which
/// part of a later step is not known, and none of them shall allocate then.
pub(crate) fn ready<F: Scalar>(needs: &[(Buffer, usize)]) {
    let missing = |&(which, length): &(Buffer, usize)| {
        let scratch = Scratch::<F>::take(which);
        scratch.numbers.len() < length
    };
    if needs.iter().any(missing) {
        on_every_thread(|| {
            for &(which, length) in needs {
                Scratch::<F>::take(which).first(length);
            }
        });
    }
}

/// Runs `work` on every thread of the pool and on this one.
pub(crate) fn on_every_thread(work: impl Fn() + Sync) {
    rayon::broadcast(|_| work());
    work();
}
