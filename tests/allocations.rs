//! A training step takes no memory once a step at its batch size has run.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch::core::{kernels::keep_awake, train};
use backstitch::prelude::*;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of this same function.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations during 20 steps that follow so many at the same batch sizes.
fn allocations_after(warm_up: usize, threads: usize, batches: &[usize]) -> usize {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| keep_awake(|| count(warm_up, batches)))
}

fn count(warm_up: usize, batches: &[usize]) -> usize {
    let net = Sequential::new()
        .push(dense(256, Activation::Relu))
        .push(dense(128, Activation::Tanh))
        .push(dense(64, Activation::Sigmoid))
        .push(dense(10, Activation::Linear));
    let mut model = Model::new(net, &[784], 0).unwrap();
    let mut optimizer = Sgd::new(0.01).unwrap().momentum(0.9).unwrap();
    let mut trace = Trace::new(Keep::ForBackward);
    let inputs: Vec<(Tensor, Vec<usize>)> =
        batches.iter().map(|&n| (Tensor::zeros(&[n, 784]), (0..n).map(|i| i % 10).collect())).collect();
    let rules = train::Rules::default();
    let mut step = |i: u64| {
        for (x, labels) in &inputs {
            let ctx = Context::train(0, i);
            train::step(&mut model, &mut optimizer, x, Targets::Classes(labels), &rules, &mut trace, &ctx)
                .unwrap();
        }
    };
    (0..warm_up).for_each(|i| step(i as u64));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..20).for_each(|i| step(i as u64));
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

// One test, so that nothing else allocates meanwhile.
#[test]
fn steps_allocate_nothing_after_the_first() {
    assert!(allocations_after(0, 1, &[32]) > 0, "the counter counts");
    for batches in [&[32][..], &[1024], &[32, 17, 32], &[1]] {
        assert_eq!(allocations_after(1, 1, batches), 0, "{batches:?}, one thread");
        // A second thread takes its buffers when it first takes part in each kind of work.
        assert_eq!(allocations_after(200, 2, batches), 0, "{batches:?}, two threads");
    }
}
