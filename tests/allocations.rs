//! A training step allocates no memory after the first step with its batch size.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch::prelude::*;
use backstitch::train::{self, keep_awake};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of the same function.
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

/// Allocations during 20 steps, after `warm_up` steps with the same batch sizes.
fn allocations_after(warm_up: usize, threads: usize, net: &Case, batches: &[usize]) -> usize {
    let mut workers = Vec::new();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = pool.spawn_handler(|worker| {
        workers.push(std::thread::spawn(|| worker.run()));
        Ok(())
    });
    let pool = pool.build().unwrap();
    let allocations = pool.install(|| keep_awake(|| count(warm_up, net, batches)));
    // A thread that ends hands over its memory, and allocates for that. This must not happen while the next steps are
    // counted.
    drop(pool);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    allocations
}

/// A network and the shape of its input.
type Case = (fn() -> Net, &'static [usize]);

fn dense_net() -> Net {
    Net::new()
        .push(dense(256).relu())
        .push(dense(128).activation(Activation::Tanh))
        .push(dense(64).activation(Activation::Sigmoid))
        .push(dense(10))
}

/// Every kind of layer, and every algorithm of a convolution.
fn convolutional_net() -> Net {
    let main = Net::new().push(conv2d(24, 3).padding(1)).push(batch_norm());
    let branch = |kernel: usize| Net::new().push(conv2d(8, kernel).relu().same());
    Net::new()
        .push(conv2d(24, 5).relu().same())
        .push(max_pool(2))
        .push(residual(main, Net::new()).relu())
        .push(concat([branch(1), branch(3)]))
        .push(conv2d(24, 3).relu().stride(2))
        .push(avg_pool(2))
        .push(dropout(0.2))
        .push(flatten())
        .push(dense(10))
}

fn count(warm_up: usize, (net, input): &Case, batches: &[usize]) -> usize {
    let mut model = Model::new(net(), input, 0).unwrap();
    let mut workspace = train::Workspace::new(&model);
    let batch = |&n: &usize| {
        let x: Tensor = Tensor::zeros(&model.input_shape().batched(n).unwrap()).unwrap();
        (x, (0..n).map(|i| i % 10).collect::<Vec<_>>())
    };
    let inputs: Vec<(Tensor, Vec<usize>)> = batches.iter().map(batch).collect();
    let rules = train::StepSettings {
        clip_norm: Some(1.0),
        ..train::StepSettings::new(Adam::new(0.01), CrossEntropy::new())
    };
    let mut step = |i: u64| {
        for (x, labels) in &inputs {
            let examples =
                train::BatchView { inputs: x, named: &[], targets: Targets::Classes(labels), weights: None };
            train::step(&mut model, &rules, examples, 1.0, &mut workspace, &Context::train(0, i)).unwrap();
        }
    };
    (0..warm_up).for_each(|i| step(i as u64));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..20).for_each(|i| step(i as u64));
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

// One test only, so that nothing else allocates at the same time.
#[test]
fn steps_allocate_nothing_after_the_first() {
    let dense: Case = (dense_net, &[784]);
    let convolutional: Case = (convolutional_net, &[20, 20, 3]);
    assert!(allocations_after(0, 1, &dense, &[32]) > 0, "the counter counts");
    for (net, batches) in [
        (&dense, &[32][..]),
        (&dense, &[1024]),
        (&dense, &[32, 17, 32]),
        (&dense, &[1]),
        (&convolutional, &[16]),
        (&convolutional, &[16, 5]),
        (&convolutional, &[2]),
    ] {
        assert_eq!(allocations_after(1, 1, net, batches), 0, "{batches:?}, one thread");
        // A second thread allocates its buffers when it does each kind of work for the first time.
        assert_eq!(allocations_after(100, 2, net, batches), 0, "{batches:?}, two threads");
    }
}
