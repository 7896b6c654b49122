//! Samples of the next batch are read while this one is worked on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::data::{Dataset, Sample, Source, SourceError, TargetKind};
use crate::error::Error;
use crate::layers::dense;
use crate::losses::{CrossEntropy, Loss, Mean, Targets};
use crate::net::model::Model;
use crate::optim::Sgd;
use crate::tensor::Tensor;
use crate::tensor::shape::Shape;
use crate::train::{Trainer, evaluate_with};

/// Samples of which those from a number on are counted when they are read.
#[derive(Debug)]
struct Counted {
    len: usize,
    from: usize,
    reads: Arc<AtomicUsize>,
}

impl Source<f32> for Counted {
    fn len(&self) -> usize {
        self.len
    }
    fn input_shape(&self) -> Shape {
        Shape::from([1])
    }
    fn targets(&self) -> TargetKind {
        TargetKind::Classes(Shape::from([]))
    }
    fn read(&self, sample: usize, to: &mut Sample<'_, f32>) -> Result<(), SourceError> {
        to.input[0] = sample as f32 / 1000.0;
        to.classes[0] = sample % 2;
        self.reads.fetch_add(usize::from(sample >= self.from), Ordering::Release);
        Ok(())
    }
}

/// A loss that waits until n samples were read.
#[derive(Debug)]
struct Waiting {
    reads: Arc<AtomicUsize>,
    least: usize,
}

impl Loss<f32> for Waiting {
    fn check(&self, output: &[usize], targets: &Targets<'_, f32>) -> Result<(), Error> {
        CrossEntropy::new().check(output, targets)
    }
    fn loss(&self, y: &Tensor, targets: &Targets<'_, f32>, dy: Option<&mut Tensor>) -> Result<Mean, Error> {
        let start = Instant::now();
        while self.reads.load(Ordering::Acquire) < self.least {
            assert!(start.elapsed() < Duration::from_secs(20), "the next batch is not read meanwhile");
            std::thread::yield_now();
        }
        CrossEntropy::new().loss(y, targets, dy)
    }
}

/// Evaluates two batches, the first not before the second, which is one sample, is read.
fn judge() {
    let reads = Arc::new(AtomicUsize::new(0));
    let data = Dataset::from_source(Counted { len: 257, from: 256, reads: Arc::clone(&reads) }).unwrap();
    let model = Model::new(dense(2), &[1], 0).unwrap();
    evaluate_with(&model, &data, Waiting { reads, least: 1 }).unwrap();
}

/// Trains on two batches of one sample, on the first not before the second is read.
fn train() {
    let reads = Arc::new(AtomicUsize::new(0));
    let data = Dataset::from_source(Counted { len: 2, from: 0, reads: Arc::clone(&reads) }).unwrap();
    let mut model = Model::new(dense(2), &[1], 0).unwrap();
    let trainer = Trainer::new(Sgd::new(0.1)).batch_size(1);
    let mut run =
        trainer.loss(Waiting { reads: Arc::clone(&reads), least: 2 }).start(&mut model, &data).unwrap();
    // What was read to check the settings does not count.
    reads.store(0, Ordering::Release);
    run.epoch().unwrap();
}

#[test]
fn the_next_batch_is_read_meanwhile_inside_the_pool_and_outside() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.install(judge);
    pool.install(train);
    judge();
}
