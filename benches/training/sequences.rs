//! The workloads over sequences: `samples` are tokens.

use std::time::Duration;

use backstitch::metrics::argmax;
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::train;
use backstitch::zoo::Gpt;
use ndarray::array;
use rand::Rng;

use super::median;

const IDS: usize = 65;
/// Ids of a sequence.
pub const TIME: usize = 64;

/// Embedding 65 -> 128, two LSTM layers of 256, dense 65.
pub fn lstm_net() -> Net {
    chain![embedding(IDS, 128), lstm(256).layers(2), dense(IDS)]
}

/// nanoGPT's settings for a CPU, with biases.
pub fn gpt() -> Net {
    Gpt { vocabulary: IDS, longest: TIME, width: 128, layers: 4, heads: 4, tanh_gelu: false, bias: true }
        .net()
}

/// Training steps with Adam, on random ids with random next ids.
pub fn training(net: Net, batch: usize, seconds: f64) -> Result<Duration, backstitch::Error> {
    let mut model: Model = Model::new(net, &[TIME], 0)?;
    let rules = train::StepSettings::new(Adam::new(1e-3), CrossEntropy::new());
    let mut rng = stream(1, Purpose::GradientCheck, 0, 0);
    let mut x = Tensor::zeros(&[batch, TIME])?;
    x.data_mut().iter_mut().for_each(|id| *id = rng.random_range(0..IDS) as f32);
    let labels: Vec<usize> = (0..batch * TIME).map(|_| rng.random_range(0..IDS)).collect();
    let mut workspace = train::Workspace::new(&model);
    median(seconds, |step| {
        let targets = Targets::Classes(&labels);
        let examples = train::BatchView { inputs: &x, named: &[], targets, weights: None };
        train::step(&mut model, &rules, examples, 1.0, &mut workspace, &Context::train(0, step)).map(drop)
    })
}

/// One token at a time, with kept keys and values: a sequence of [`TIME`] - 1.
pub fn generation(seconds: f64) -> Result<Duration, backstitch::Error> {
    let model: Model = Model::new(gpt(), &[TIME], 0)?;
    let mut stream = model.stream();
    median(seconds, |_| {
        stream.restart();
        let mut id = 1;
        for _ in 1..TIME {
            let logits = stream.next(array![[id as f32]])?.data();
            id = argmax(logits.iter().copied()).unwrap_or(0);
        }
        Ok(())
    })
}
