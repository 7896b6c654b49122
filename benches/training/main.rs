//! Whole training steps, comparable with those of other libraries.
//!
//! `cargo bench --bench training -- [--json | --peers] [--threads N] [--seconds N] [WORKLOAD ...]`
//!
//! A step is: forward, mean softmax cross-entropy, backward, optimizer update, in f32, on random inputs in [0, 1) and
//! random labels. Some workloads differ, by a word in their name. `unet`: binary cross-entropy of every pixel. `infer`: only the forward pass of the fused model.
//! `frozen`: a step that trains only the head. `forward`: the forward pass of that network. `grad_cam`: one map.
//! `epoch`: a share of an epoch of the trainer, with augmentation. Over sequences (`lstm`, `gpt`) samples are tokens; `generate`: one token at a time. The result is the median step over some seconds.
//!
//! With `--peers`, the scripts of this folder run the same workloads in PyTorch, Keras and NumPy, in turns with
//! backstitch. Each workload runs in processes of its own. `BACKSTITCH_PYTHON` names the Python that has these
//! libraries.

mod peers;
mod sequences;

use std::time::{Duration, Instant};

use backstitch::augment::Augment;
use backstitch::explain::{Cam, grad_cam};
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::train::{self, keep_awake};
use backstitch::zoo;
use backstitch_examples::architecture_comparison::traditional_cnn;
use backstitch_examples::cnn_vs_fcnn::{model2, model4};
use backstitch_examples::memory::peak_memory;
use clap::Parser;
use ndarray::{Axis, concatenate};
use rand::Rng;

/// Times whole training steps.
#[derive(Parser)]
struct Options {
    /// Print one JSON line a workload.
    #[arg(long)]
    json: bool,
    /// Compare with PyTorch, Keras and NumPy.
    #[arg(long, conflicts_with = "json")]
    peers: bool,
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

/// The work that is timed.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sgd,
    Adam,
    /// Adam, with binary cross-entropy of every output.
    Pixels,
    Inference,
    /// SGD, with every convolution frozen.
    Frozen,
    /// The forward pass of a training step: the least that a frozen base costs.
    Forward,
    /// Grad-CAM at the last convolution.
    GradCam,
    /// Adam, over sequences of ids.
    Ids,
    /// One id at a time, with kept keys and values.
    Generate,
    /// Adam, in an epoch of `Trainer::fit` with shuffling, flips and crops. The result is the time of one step.
    Epoch,
}

/// A model, the samples of a step, and the kind of work.
struct Workload {
    name: &'static str,
    batch: usize,
    input: &'static [usize],
    net: fn() -> Net,
    kind: Kind,
}

const fn workload(
    name: &'static str,
    batch: usize,
    input: &'static [usize],
    net: fn() -> Net,
    kind: Kind,
) -> Workload {
    Workload { name, batch, input, net, kind }
}

const GREY: &[usize] = &[28, 28, 1];
const COLOUR: &[usize] = &[64, 64, 3];

const WORKLOADS: [Workload; 19] = [
    workload("mlp_b32", 32, &[784], mlp, Kind::Sgd),
    workload("mlp_b1024", 1024, &[784], mlp, Kind::Sgd),
    workload("cnn2_b64", 64, GREY, model2, Kind::Adam),
    workload("cnn4_b64", 64, GREY, model4, Kind::Adam),
    workload("trad_b1024", 1024, GREY, || traditional_cnn(Activation::Relu), Kind::Adam),
    workload("lenet64_b64", 64, COLOUR, || zoo::lenet5(101), Kind::Adam),
    workload("lenet64_epoch_b64", 64, COLOUR, || zoo::lenet5(101), Kind::Epoch),
    workload("resnet18_b32", 32, COLOUR, || zoo::resnet18(101), Kind::Adam),
    workload("depthwise_b64", 64, &[28, 28, 64], depthwise, Kind::Adam),
    workload("unet_b16", 16, GREY, unet, Kind::Pixels),
    workload("lstm_b64", 64, &[sequences::TIME], sequences::lstm_net, Kind::Ids),
    workload("gpt_b12", 12, &[sequences::TIME], sequences::gpt, Kind::Ids),
    workload("gpt_generate_b1", 1, &[sequences::TIME], sequences::gpt, Kind::Generate),
    workload("vgg16_infer_b32", 32, &[32, 32, 3], zoo::vgg16_features, Kind::Inference),
    workload("cnn2_infer_b1", 1, GREY, model2, Kind::Inference),
    workload("resnet18_infer_b1", 1, COLOUR, || zoo::resnet18(101), Kind::Inference),
    workload("vgg16_frozen_b32", 32, &[32, 32, 3], vgg16_with_head, Kind::Frozen),
    workload("vgg16_forward_b32", 32, &[32, 32, 3], vgg16_with_head, Kind::Forward),
    workload("cnn4_grad_cam_b1", 1, GREY, model4, Kind::GradCam),
];

fn vgg16_with_head() -> Net {
    zoo::vgg16_features().push(flatten()).push(dense(256).relu()).push(dense(10))
}

fn mlp() -> Net {
    Net::new().push(dense(256).relu()).push(dense(128).relu()).push(dense(64).relu()).push(dense(10))
}

/// A block of MobileNet, and a head.
fn depthwise() -> Net {
    chain![
        depthwise_conv2d(3).same(),
        batch_norm().relu(),
        conv2d(64, 1),
        batch_norm().relu(),
        global_avg_pool(),
        dense(10)
    ]
}

/// A U-Net of three levels. Each level is beside the levels below it, and their outputs are concatenated.
fn unet() -> Net {
    let level = |filters| chain![conv2d(filters, 3).same().relu(), conv2d(filters, 3).same().relu()];
    let lowest = chain![max_pool(2), level(64), transposed_conv2d(32, 2).stride(2)];
    let middle = concat([chain![], lowest]);
    let below = chain![max_pool(2), level(32), middle, level(32), transposed_conv2d(16, 2).stride(2)];
    chain![level(16), concat([chain![], below]), level(16), conv2d(1, 1)]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let unknown = options.workloads.iter().find(|name| WORKLOADS.iter().all(|w| w.name != **name));
    if let Some(name) = unknown {
        let known = WORKLOADS.map(|w| w.name).join(", ");
        return Err(format!("workload {name:?}: expected one of {known}").into());
    }
    let named = |name: &str| options.workloads.iter().any(|other| other == name);
    let chosen: Vec<&Workload> =
        WORKLOADS.iter().filter(|w| options.workloads.is_empty() || named(w.name)).collect();
    if options.peers {
        let names: Vec<&str> = chosen.iter().map(|workload| workload.name).collect();
        return peers::compare(&names, options.threads, options.seconds);
    }
    let before = peak_memory();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    for workload in chosen {
        let median = pool.install(|| keep_awake(|| time(workload, options.seconds)))?;
        let memory = before.and_then(|before| Some(peak_memory()?.saturating_sub(before)));
        report(workload, median, memory, &options);
    }
    Ok(())
}

/// The median time of a step.
fn time(workload: &Workload, seconds: f64) -> Result<Duration, backstitch::Error> {
    match workload.kind {
        Kind::Ids => return sequences::training((workload.net)(), workload.batch, seconds),
        Kind::Generate => return sequences::generation(seconds),
        _ => {}
    }
    let mut model: Model = Model::new((workload.net)(), workload.input, 0)?;
    let rules = match workload.kind {
        Kind::Adam | Kind::Epoch => train::StepSettings::new(Adam::new(1e-3), CrossEntropy::new()),
        Kind::Pixels => train::StepSettings::new(Adam::new(1e-3), BceWithLogits::new()),
        _ => train::StepSettings::new(Sgd::new(0.01), CrossEntropy::new()),
    };
    if workload.kind == Kind::Frozen {
        model.freeze("conv*")?;
    }
    let mut rng = stream(1, Purpose::GradientCheck, 0, 0);
    let mut x = Tensor::zeros(&model.input_shape().batched(workload.batch)?)?;
    x.data_mut().iter_mut().for_each(|v| *v = rng.random_range(0.0..1.0));
    let classes = model.output_shape()[0];
    let labels: Vec<usize> = (0..workload.batch).map(|_| rng.random_range(0..classes)).collect();
    let mut pixels = Tensor::zeros(&model.output_shape().batched(workload.batch)?)?;
    pixels.data_mut().iter_mut().for_each(|v| *v = rng.random_range(0_u8..2).into());
    let targets = match workload.kind {
        Kind::Pixels => Targets::Values(&pixels),
        _ => Targets::Classes(&labels),
    };
    if workload.kind == Kind::Inference {
        let (model, mut trace) = (model.fuse(), Trace::new(Keep::Last));
        return median(seconds, |_| model.forward(&x, &mut trace));
    }
    if workload.kind == Kind::Epoch {
        return epochs(&mut model, &x, &labels, seconds);
    }
    let mut workspace = train::Workspace::new(&model);
    if workload.kind == Kind::Forward {
        return median(seconds, |step| model.forward(&x, &mut workspace.trace, &Context::train(0, step)));
    }
    median(seconds, |step| {
        if workload.kind == Kind::GradCam {
            return grad_cam(&model, x.view(), &labels, "conv5", Cam::GradCam).map(drop);
        }
        let examples = train::BatchView { inputs: &x, named: &[], targets, weights: None };
        train::step(&mut model, &rules, examples, 1.0, &mut workspace, &Context::train(0, step)).map(drop)
    })
}

/// Steps of an epoch.
const STEPS: usize = 10;

/// The median time of an epoch over [`STEPS`] times these samples, divided by the number of steps.
fn epochs(
    model: &mut Model,
    x: &Tensor,
    labels: &[usize],
    seconds: f64,
) -> Result<Duration, backstitch::Error> {
    let samples = concatenate(Axis(0), &vec![x.view(); STEPS]).expect("arrays of one shape");
    let labels = labels.repeat(STEPS);
    let data = Dataset::classes(&samples, &labels)?;
    let augment = Augment::new().horizontal_flip().random_crop_reflected(6);
    let epoch = median(seconds, |_| {
        let trainer = Trainer::new(Adam::new(1e-3)).epochs(1).batch_size(x.batch());
        trainer.augment(augment.clone()).fit(model, &data).map(drop)
    })?;
    Ok(epoch / STEPS as u32)
}

/// The median time of some work that is repeated for some seconds, after three repetitions that are not counted.
fn median(
    seconds: f64,
    mut step: impl FnMut(u64) -> Result<(), backstitch::Error>,
) -> Result<Duration, backstitch::Error> {
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || times.len() < 8 {
        let begin = Instant::now();
        step(times.len() as u64)?;
        times.push(begin.elapsed());
    }
    let mut times = times.split_off(3);
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// The memory is the peak so far, above the memory at the start of the program, in MB.
fn report(workload: &Workload, median: Duration, memory: Option<u64>, options: &Options) {
    let ms = median.as_secs_f64() * 1e3;
    let each = match workload.kind {
        Kind::Ids => sequences::TIME,
        Kind::Generate => sequences::TIME - 1,
        _ => 1,
    };
    let samples = (workload.batch * each) as f64 / median.as_secs_f64();
    let Options { json, threads, .. } = options;
    if *json {
        let line = serde_json::json!({
            "peer": "backstitch", "v": env!("CARGO_PKG_VERSION"), "threads": threads, "name": workload.name,
            "ms": (ms * 1e4).round() / 1e4, "samples_s": samples.round(), "memory_mb": memory,
        });
        println!("{line}");
    } else {
        println!("{:12} {threads} threads  {ms:9.4} ms  {samples:10.0} samples/s", workload.name);
    }
}
