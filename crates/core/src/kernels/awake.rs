//! Worker threads that stay awake between pieces of work a few microseconds apart.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::Yield;

/// A helper ends after it has looked for work this many times and found none, which takes some milliseconds. Between two pieces of work of
/// a small network it looks a few hundred times.
const PATIENCE: u32 = 100_000;

thread_local! {
    /// Whether this thread is doing the work that others wait for.
    static WORKING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` inside the thread pool, while the pool's other threads look for parts of it to do
/// without going to sleep.
///
/// A training step of a small network forks every few microseconds. A worker that finds nothing to
/// do in between falls asleep, and waking it takes longer than the piece of work it is woken for.
/// (Measured with benches/training.rs: without this, mlp_b32 gains nothing from a second thread.)
///
/// While a thread waits for a part of its work, rayon may give it a helper's job. In that job it must not wait for the same work to end. So
/// a thread that works never helps, and a helper that finds nothing to do for some milliseconds ends.
pub fn keep_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    let helpers = rayon::current_num_threads() - 1;
    rayon::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| help_until(&done));
        }
        // Also where `work` panics. Else the scope would wait for its helpers.
        let _raise = RaiseOnDrop { done: &done, before: WORKING.replace(true) };
        work()
    })
}

/// Does the work that is in the pool, until the flag is set.
fn help_until(done: &AtomicBool) {
    let mut in_vain = 0;
    while !WORKING.get() && !done.load(Ordering::Acquire) && in_vain < PATIENCE {
        if rayon::yield_now() == Some(Yield::Executed) {
            in_vain = 0;
        } else {
            in_vain += 1;
            std::hint::spin_loop();
        }
    }
}

struct RaiseOnDrop<'a> {
    done: &'a AtomicBool,
    before: bool,
}

impl Drop for RaiseOnDrop<'_> {
    fn drop(&mut self) {
        WORKING.set(self.before);
        self.done.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_in_one_pool_all_end() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let sum = |from: u64| {
            let halves =
                || rayon::join(|| (from..from + 500).sum::<u64>(), || (from..from + 500).sum::<u64>());
            keep_awake(|| {
                (0..200).map(|_| halves()).map(|(a, b)| a + b).sum::<u64>()
                    + rayon::broadcast(|_| 1).len() as u64
            })
        };
        std::thread::scope(|threads| {
            for from in 0..4 {
                let (pool, sum) = (&pool, &sum);
                threads.spawn(move || {
                    for _ in 0..5 {
                        let one: u64 = (from..from + 500).sum();
                        assert_eq!(pool.install(|| sum(from)), 400 * one + 2);
                    }
                });
            }
        });
    }
}
