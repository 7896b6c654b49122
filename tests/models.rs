//! Whole models: the same bits with any number of threads and after saving and loading, and their memory.

use backstitch::penalty::Penalty;
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::safetensors;
use backstitch::{augment::Augment, train};
use backstitch_examples::cnn_vs_fcnn::model2;
use ndarray::{Array, ArrayD};
use rand::Rng;

#[path = "common/rows.rs"]
mod rows;

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = stream(seed, Purpose::GradientCheck, 0, 0);
    let mut tensor = Tensor::zeros(shape).unwrap();
    tensor.data_mut().iter_mut().for_each(|v| *v = rng.random_range(0.0..1.0));
    tensor
}

fn state(model: &Model) -> Vec<(String, Vec<u32>)> {
    let bits = |t: &Tensor| t.data().iter().map(|v| v.to_bits()).collect();
    model.state().into_iter().map(|(name, value)| (name.to_owned(), bits(value))).collect()
}

/// Trains for some steps on random maps with n threads.
fn trained(net: fn() -> Net, input: &[usize], steps: u64, threads: usize) -> Vec<(String, Vec<u32>)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut model: Model = Model::new(net(), input, 3).unwrap();
        let mut workspace = train::Workspace::new(&model);
        let (x, labels) = (
            random(&model.input_shape().batched(33).unwrap(), 4),
            (0..33).map(|i| i % 10).collect::<Vec<_>>(),
        );
        for step in 0..steps {
            let examples = train::BatchView {
                inputs: &x,
                named: &[],
                targets: Targets::Classes(&labels),
                weights: None,
            };
            let (rules, ctx) =
                (train::StepSettings::new(Adam::new(1e-3), CrossEntropy::new()), Context::train(7, step));
            train::step(&mut model, &rules, examples, 1.0, &mut workspace, &ctx).unwrap();
        }
        state(&model)
    })
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    fn small() -> Net {
        let main = Net::new().push(conv2d(24, 3).padding(1)).push(batch_norm());
        Net::new()
            .push(conv2d(24, 5).relu().stride(2))
            .push(dropout(0.3))
            .push(residual(main, Net::new()).relu())
            .push(conv2d(40, 3).relu().algorithm(Algorithm::Winograd))
            .push(avg_pool(2))
            .push(flatten())
            .push(dense(10))
    }
    for (net, input, steps) in
        [(model2 as fn() -> Net, &[28, 28, 1][..], 20), (small as fn() -> Net, &[20, 18, 3], 5)]
    {
        let once = trained(net, input, steps, 1);
        for threads in [2, 3] {
            assert!(trained(net, input, steps, threads) == once, "{threads} threads");
        }
    }
}

#[test]
fn a_saved_model_evaluates_to_the_same_bits() {
    let net = || {
        Net::new()
            .push(conv2d(6, 3).padding(1).without_bias())
            .push(batch_norm().relu())
            .push(flatten())
            .push(dense(10))
    };
    let mut model: Model = Model::new(net(), &[8, 8, 2], 1).unwrap();
    let x = random(&[16, 8, 8, 2], 2);
    let labels: Vec<usize> = (0..16).map(|i| i % 10).collect();
    let data = Dataset::classes(&x, &labels).unwrap();
    Trainer::new(Sgd::new(0.1)).epochs(3).batch_size(5).fit(&mut model, &data).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    safetensors::save(&path, &model).unwrap();
    let mut loaded: Model = Model::new(net(), &[8, 8, 2], 99).unwrap();
    safetensors::load(&path, &mut loaded).unwrap();
    assert_eq!(state(&model), state(&loaded));
    assert_eq!(model.predict(x.view()).unwrap(), loaded.predict(x.view()).unwrap());
    assert!(state(&model).iter().any(|(name, _)| name == "batchnorm1.running_var"));
}

#[test]
fn the_summary_s_bytes_are_those_of_the_trace() {
    for row in rows::all() {
        let model: Model<f64> = row.model(1);
        let batch = 64;
        let mut x = Tensor::zeros(&model.input_shape().batched(batch).unwrap()).unwrap();
        x.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = ((i * 7) % 13) as f64);
        let mut trace = Trace::new(Keep::ForBackward);
        let ctx = Context::train(0, 0);
        model.forward(&x, &mut trace, &ctx).unwrap();
        let (y, dy) = trace.output_and_gradient();
        dy.set_shape(&y.shape()).unwrap();
        model.backward(&x, &mut trace, None, Some(&mut model.grads()), &ctx).unwrap();
        assert_eq!(trace.bytes(), model.training_bytes(batch), "{}", row.name);
    }
}

/// The outputs of a row's model, or None where it refuses the input (numbers that have to be ids).
fn outputs<F: Scalar>(row: &rows::Row, ctx: &Context, mut fill: impl FnMut() -> f64) -> Option<Vec<f64>> {
    let model: Model<F> = row.model(1);
    let mut x = Tensor::zeros(&model.input_shape().batched(3).unwrap()).unwrap();
    x.data_mut().iter_mut().for_each(|v| *v = F::from_f64(fill()));
    let mut trace = Trace::new(Keep::ForBackward);
    model.forward(&x, &mut trace, ctx).ok()?;
    Some(trace.output_and_gradient().0.data().iter().map(|v| v.as_f64()).collect())
}

#[test]
fn no_layer_turns_nan_into_a_number() {
    fn check<F: Scalar>(row: &rows::Row, ctx: &Context) -> bool {
        let Some(of_nan) = outputs::<F>(row, ctx, || f64::NAN) else { return false };
        let mut rng = stream(5, Purpose::GradientCheck, 0, 0);
        let mut random = || outputs::<F>(row, ctx, || rng.random_range(-1.0..1.0)).unwrap();
        let others = [random(), random(), random()];
        for (at, y) in of_nan.iter().enumerate() {
            // Only a number that no input has a say in, as on a border of zeros, is still one.
            let constant = others.iter().all(|of| of[at].to_bits() == others[0][at].to_bits());
            assert!(y.is_nan() || constant, "{}, {ctx:?}: {y} at {at} of NaN everywhere", row.name);
        }
        true
    }
    let rows = rows::all();
    for ctx in [Context::evaluate(), Context::train(0, 0)] {
        let refused = rows.iter().filter(|row| !(check::<f32>(row, &ctx) && check::<f64>(row, &ctx)));
        let refused: Vec<_> = refused.map(|row| row.name.as_str()).collect();
        assert_eq!(refused, ["embedding", "gpt"], "their inputs are ids");
    }
}

fn noisy(count: usize) -> (ArrayD<f32>, Vec<usize>) {
    let labels: Vec<usize> = (0..count).map(|i| i % 3).collect();
    let x = random(&[count, 6, 6, 1], 8);
    let shifted = Array::from_shape_fn((count, 6, 6, 1), |(n, i, j, _)| {
        x.data()[(n * 6 + i) * 6 + j] + if labels[n] * 2 == i { 0.4 } else { 0.0 }
    });
    (shifted.into_dyn(), labels)
}

fn small_model(seed: u64) -> Model {
    let net = Net::new().push(flatten()).push(dense(32).relu()).push(dense(3));
    Model::new(net, &[6, 6, 1], seed).unwrap()
}

#[test]
fn early_stopping_gives_back_the_best_weights() {
    let (x, labels) = noisy(60);
    let (more, more_labels) = noisy(90);
    let data = Dataset::classes(&x, &labels).unwrap();
    let held_out = more.slice(ndarray::s![60.., .., .., ..]).into_dyn();
    let validation = Dataset::classes(held_out, &more_labels[60..]).unwrap();
    let mut model = small_model(1);
    let trainer = || Trainer::new(Sgd::new(0.3)).epochs(200).batch_size(10).seed(1).early_stopping(4);
    let history = trainer().validation(&validation).fit(&mut model, &data).unwrap();
    let best = history.restored.unwrap();
    assert_eq!(history.epochs.len(), best + 4, "stopped four epochs after the best");
    let losses: Vec<f64> = history.series("validation_loss");
    assert!(losses.iter().all(|&loss| loss >= losses[best - 1]));
    let loss = evaluate(&model, &validation).unwrap().get("loss").unwrap();
    assert_eq!(loss, losses[best - 1], "the weights of the best epoch");
    let error = trainer().fit(&mut model, &data).unwrap_err().to_string();
    assert_eq!(error, "validation: expected samples to stop early by, got none");
}

#[test]
fn penalties_are_reported_apart_and_shrink_weights() {
    let (x, labels) = noisy(60);
    let data = Dataset::classes(&x, &labels).unwrap();
    let norm = |model: &Model| model.state()["dense1.weight"].data().iter().map(|w| w.abs()).sum::<f32>();
    let run = |penalty: Penalty| {
        let mut model = small_model(1);
        let trainer = Trainer::new(Sgd::new(0.1)).epochs(20).batch_size(10).seed(1).penalty(penalty);
        let history = trainer.fit(&mut model, &data).unwrap();
        (history.last("penalty").unwrap_or(0.0), norm(&model))
    };
    let (none, plain) = run(Penalty::default());
    assert_eq!(none, 0.0);
    for penalty in [Penalty::new(0.003, 0.0).unwrap(), Penalty::new(0.0, 0.02).unwrap()] {
        let (reported, shrunk) = run(penalty);
        assert!(reported > 0.0 && shrunk < 0.8 * plain, "{penalty:?}: {reported}, {shrunk} of {plain}");
    }
}

#[test]
fn the_derivative_of_a_penalty_is_right() {
    let penalty = Penalty::new(0.3, 0.2).unwrap();
    let model: Model<f64> = Model::new(Net::new().push(dense(2)), &[3], 5).unwrap();
    let weights = model.state()["dense1.weight"].data().to_vec();
    // A gradient of zero for the output gives gradients of zero.
    let mut workspace = train::Workspace::new(&model);
    let (x, ctx) = (Tensor::zeros(&[1, 3]).unwrap(), Context::evaluate());
    model.forward(&x, &mut workspace.trace, &ctx).unwrap();
    workspace.trace.output_and_gradient().1.copy_from(&Tensor::zeros(&[1, 2]).unwrap());
    let train::Workspace { trace, grads, .. } = &mut workspace;
    model.backward(&x, trace, None, Some(grads), &ctx).unwrap();
    penalty.add_gradients(&model, grads).unwrap();
    let (of_weights, of_bias) = (grads.get(0).unwrap().data(), grads.get(1).unwrap().data());
    let value = |w: &[f64]| w.iter().map(|w| 0.3 * w.abs() + 0.2 * w * w).sum();
    backstitch::gradcheck::check_function(value, &weights, of_weights).unwrap();
    assert_eq!(of_bias, [0.0, 0.0]);
    assert!((penalty.value(&model) - value(&weights)).abs() < 1e-12);
}

#[test]
fn augmented_training_is_seeded_and_normalizes_validation_too() {
    let (x, labels) = noisy(60);
    let data = Dataset::classes(&x, &labels).unwrap();
    let run = |seed: u64, augment: &Augment| {
        let mut model = small_model(1);
        let trainer =
            Trainer::new(Sgd::new(0.1)).epochs(3).batch_size(10).seed(seed).augment(augment.clone());
        let history = trainer.validation(&data).fit(&mut model, &data).unwrap();
        (state(&model), history)
    };
    let augment = Augment::new().horizontal_flip().random_crop(1).normalize(&[0.5], &[0.3]).unwrap();
    let (once, history) = run(1, &augment);
    assert!(once == run(1, &augment).0 && once != run(2, &augment).0 && once != run(1, &Augment::new()).0);
    // Validation inputs are normalized as in training, so the losses are similar.
    let last = history.epochs.last().unwrap();
    assert!(last.get("validation_loss").unwrap() < 1.5 * last.get("train_loss").unwrap());
    let mut rows: Model = Model::new(Net::new().push(dense(3)), &[36], 0).unwrap();
    let flat = x.to_shape((60, 36)).unwrap().to_owned().into_dyn();
    let flat = Dataset::classes(&flat, &labels).unwrap();
    let trainer = Trainer::new(Sgd::new(0.1)).epochs(1).batch_size(10).augment(augment);
    let error = trainer.fit(&mut rows, &flat).unwrap_err();
    assert_eq!(error.to_string(), "samples to augment: expected [height, width, channels], got [36]");
}

#[test]
fn a_schedule_sets_the_rate_of_every_step() {
    let (x, labels) = noisy(60);
    let data = Dataset::classes(&x, &labels).unwrap();
    let mut model = small_model(1);
    let before = state(&model);
    // A rate of almost 0 changes nothing. This shows that the schedule sets the rate.
    let trainer = Trainer::new(Sgd::new(0.1)).epochs(3).batch_size(10).seed(1);
    let trainer = trainer.schedule(Schedule::step(1, 1e-30).unwrap());
    let mut run = trainer.start(&mut model, &data).unwrap();
    run.epoch().unwrap();
    let first = state(run.model());
    assert_ne!(first, before);
    while run.epoch().unwrap().is_some() {}
    assert_eq!(state(run.model()), first);
}

#[test]
fn batch_norm_over_features_refuses_a_last_batch_of_one() {
    let x = random(&[11, 4], 1);
    let labels = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1];
    let data = Dataset::classes(&x, &labels).unwrap();
    let net = Net::new().push(dense(3)).push(batch_norm());
    let mut model: Model = Model::new(net, &[4], 1).unwrap();
    let trainer = Trainer::new(Sgd::new(0.1)).epochs(1).batch_size(5).seed(1);
    let error = trainer.fit(&mut model, &data);
    assert_eq!(
        error.unwrap_err().to_string(),
        "batch_size: expected batches of at least 2 samples, which batchnorm1 (BatchNorm) needs in training: `Trainer::drop_last` leaves \
         the rest of an epoch out, or take another size, got one sample in the last batch (11 samples in batches of 5)"
    );
}

#[test]
fn constants_that_a_file_brings_predict_the_same_bits() {
    let data: Dataset = Dataset::values(
        Array::from_shape_fn((300, 3), |(i, j)| 1000.0 + (i * (j + 2) % 17) as f32 / 3.0),
        Array::from_shape_fn((300, 1), |(i, _)| 5000.0 * (i % 7) as f32),
    )
    .unwrap();
    let net = |first: Standardize, last: Standardize| {
        Net::new().push(first).push(dense(8).relu()).push(batch_norm()).push(dense(1)).push(last)
    };
    let known = || net(standardize(&data).unwrap(), unstandardize(&data).unwrap());
    let mut model: Model = Model::new(known(), &[3], 1).unwrap();
    let before = model.state()["standardize1.mean"].clone();
    Trainer::new(Adam::new(1e-2)).epochs(2).fit(&mut model, &data).unwrap();
    assert_eq!(model.state()["standardize1.mean"], &before);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    safetensors::save(&path, &model).unwrap();
    let others = Standardize::new(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).unwrap();
    let unset = Standardize::unfitted;
    let x = data.inputs().unwrap().to_array();
    let bits = |model: &Model| model.predict(x.view()).unwrap().mapv(f32::to_bits);
    for net in [net(others, unset().inverse()), net(unset(), unset().inverse()), known()] {
        let mut loaded: Model = Model::new(net, &[3], 9).unwrap();
        safetensors::load(&path, &mut loaded).unwrap();
        assert_eq!(bits(&loaded), bits(&model));
        // And the model for inference.
        let fused = loaded.fuse().predict(x.view()).unwrap();
        assert_eq!(fused.mapv(f32::to_bits), bits(&model));
    }
    // No file has set the constants: training and prediction give an error.
    let mut forgot: Model = Model::new(net(unset(), unset().inverse()), &[3], 1).unwrap();
    let error = Trainer::new(Adam::new(1e-2)).fit(&mut forgot, &data).unwrap_err().to_string();
    let help = "it comes with saved weights: load them into the model first";
    assert_eq!(error, format!("standardize1.mean: expected finite numbers, got NaN at [0]; {help}"));
    for error in [forgot.predict(x.view()).unwrap_err(), forgot.fuse().predict(x.view()).unwrap_err()] {
        assert!(
            error.to_string().ends_with(&format!("because standardize1.mean holds NaN; {help}")),
            "{error}"
        );
    }
}
