//! Whole training steps, comparable with those of other libraries.
//!
//! `cargo bench --bench training -- [--json] [--threads N] [--seconds N] [WORKLOAD ...]`
//!
//! A step is: forward, mean softmax cross-entropy, backward, optimizer update, on random inputs in
//! [0, 1) and random labels in f32. The figure is the median step of some seconds.

use std::time::{Duration, Instant};

use backstitch::core::kernels::keep_awake;
use backstitch::core::rng::{Purpose, stream};
use backstitch::core::train;
use backstitch::prelude::*;
use clap::Parser;
use rand::Rng;

/// Times whole training steps.
#[derive(Parser)]
struct Options {
    /// Print one JSON line a workload.
    #[arg(long)]
    json: bool,
    /// Threads to use.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Seconds to measure each workload for.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
    /// Workloads to run; all of them where none is named.
    workloads: Vec<String>,
}

/// A model, the samples of a step, and how it is trained.
struct Workload {
    name: &'static str,
    batch: usize,
    build: fn() -> Result<Model, backstitch::core::Error>,
}

const WORKLOADS: [Workload; 2] = [
    Workload { name: "mlp_b32", batch: 32, build: mlp },
    Workload { name: "mlp_b1024", batch: 1024, build: mlp },
];

fn mlp() -> Result<Model, backstitch::core::Error> {
    let net = Sequential::new()
        .push(dense(256, Activation::Relu))
        .push(dense(128, Activation::Relu))
        .push(dense(64, Activation::Relu))
        .push(dense(10, Activation::Linear));
    Model::new(net, &[784], 0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let unknown = options.workloads.iter().find(|name| WORKLOADS.iter().all(|w| w.name != **name));
    if let Some(name) = unknown {
        let known = WORKLOADS.map(|w| w.name).join(", ");
        return Err(format!("workload {name:?}: expected one of {known}").into());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    for workload in &WORKLOADS {
        if options.workloads.is_empty() || options.workloads.iter().any(|name| name == workload.name) {
            let median = pool.install(|| keep_awake(|| time(workload, options.seconds)))?;
            report(workload, median, &options);
        }
    }
    Ok(())
}

/// The median time of a step.
fn time(workload: &Workload, seconds: f64) -> Result<Duration, backstitch::core::Error> {
    let mut model = (workload.build)()?;
    let mut optimizer = Sgd::new(0.01)?;
    let mut rng = stream(1, Purpose::GradientCheck, 0, 0);
    let mut x = Tensor::zeros(&model.input_shape().batched(workload.batch));
    x.data_mut().iter_mut().for_each(|v| *v = rng.random_range(0.0..1.0));
    let classes = model.output_shape()[0];
    let labels: Vec<usize> = (0..workload.batch).map(|_| rng.random_range(0..classes)).collect();
    let mut trace = Trace::new(Keep::ForBackward);
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || times.len() < 8 {
        let ctx = Context::train(0, times.len() as u64);
        let begin = Instant::now();
        train::step(&mut model, &mut optimizer, &x, Targets::Classes(&labels), &mut trace, &ctx)?;
        times.push(begin.elapsed());
    }
    let mut times = times.split_off(3);
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn report(workload: &Workload, median: Duration, options: &Options) {
    let ms = median.as_secs_f64() * 1e3;
    let samples = workload.batch as f64 / median.as_secs_f64();
    let Options { json, threads, .. } = options;
    if *json {
        let line = serde_json::json!({
            "peer": "backstitch", "v": env!("CARGO_PKG_VERSION"), "threads": threads, "name": workload.name,
            "ms": (ms * 1e4).round() / 1e4, "samples_s": samples.round(),
        });
        println!("{line}");
    } else {
        println!("{:12} {threads} threads  {ms:9.4} ms  {samples:10.0} samples/s", workload.name);
    }
}
