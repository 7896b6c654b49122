//! Worker threads that stay awake between pieces of work a few microseconds apart.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::Yield;

/// Runs `work` inside the thread pool, while the pool's other threads look for parts of it to do
/// without ever going to sleep.
///
/// A training step of a small network forks every few microseconds. A worker that finds nothing to
/// do in between falls asleep, and waking it takes longer than the piece of work it is woken for.
/// (Measured with benches/training.rs: without this, mlp_b32 gains nothing from a second thread.)
pub fn keep_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    let helpers = rayon::current_num_threads() - 1;
    rayon::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| help_until(&done));
        }
        // Also where `work` panics, or the scope would wait for its helpers for ever.
        let _raise = RaiseOnDrop(&done);
        work()
    })
}

/// Does whatever work there is in the pool until the flag goes up.
fn help_until(done: &AtomicBool) {
    while !done.load(Ordering::Acquire) {
        if rayon::yield_now() != Some(Yield::Executed) {
            std::hint::spin_loop();
        }
    }
}

struct RaiseOnDrop<'a>(&'a AtomicBool);

impl Drop for RaiseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
