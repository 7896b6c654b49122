//! Training with errors, callbacks and weights of samples.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use ndarray::{Array2, ArrayD};

use super::*;
use crate::data::Dataset;
use crate::error::Error;
use crate::layer::Context;
use crate::layers::{Activation, activation, batch_norm, conv2d, dense, dropout, flatten, global_avg_pool};
use crate::losses::{CrossEntropy, MSE, Targets};
use crate::net::model::Model;
use crate::net::{Net, residual};
use crate::optim::{Optimizer, Schedule, Sgd};
use crate::tensor::Tensor;

/// Rows whose class, of two, is plain from the first number.
pub(super) fn rows(samples: usize) -> (ArrayD<f32>, Vec<usize>) {
    let x =
        Array2::from_shape_fn(
            (samples, 3),
            |(i, j)| if j == 0 { (i % 2) as f32 } else { (i * j % 5) as f32 / 5.0 },
        );
    (x.into_dyn(), (0..samples).map(|i| i % 2).collect())
}

pub(super) fn net() -> Net {
    Net::new().push(dense(4).relu()).push(dense(2))
}

pub(super) fn model(net: Net) -> Model<f32> {
    Model::new(net, &[3], 1).unwrap()
}

fn set(model: &mut Model<f32>, name: &str, at: usize, value: f32) {
    let slot = model.slots_mut().find(|slot| slot.name() == name);
    slot.unwrap().data_mut()[at] = value;
}

pub(super) fn state(model: &Model<f32>) -> Vec<ArrayD<f32>> {
    model.state().values().map(|value| value.to_array()).collect()
}

/// Plain gradient descent that spoils a number of the parameter of this size after some of its steps, and remembers the rates it was given.
#[derive(Debug, Clone)]
struct Spoiler {
    rate: f64,
    /// Step, size of the parameter, value.
    spoilt: Option<(u64, usize, f32)>,
    rates: Arc<Mutex<Vec<f64>>>,
}

/// Parameters of [`net`] by their sizes.
const DENSE1_WEIGHT: usize = 12;
const DENSE1_BIAS: usize = 4;
const DENSE2_BIAS: usize = 2;

impl Spoiler {
    fn new(rate: f64, spoilt: Option<(u64, usize, f32)>) -> Self {
        Self { rate, spoilt, rates: Arc::default() }
    }
}

impl Optimizer<f32> for Spoiler {
    fn kind(&self) -> &'static str {
        "spoiler"
    }

    fn learning_rate(&self) -> f64 {
        self.rate
    }

    fn update(&self, rate: f64, step: u64, value: &mut [f32], gradient: &[f32], memory: &mut [Vec<f32>]) {
        Sgd::new(rate).update(rate, step, value, gradient, memory);
        if value.len() == DENSE2_BIAS {
            self.rates.lock().unwrap().push(rate);
        }
        if let Some((at, size, spoilt)) = self.spoilt
            && (at, size) == (step, value.len())
        {
            value[1] = spoilt;
        }
    }
}

/// Remembers the weights after each epoch and the losses of steps, stops after a step, fails after an epoch.
#[derive(Default)]
struct Watcher {
    states: Vec<Vec<ArrayD<f32>>>,
    losses: Vec<f64>,
    steps: Vec<usize>,
    stop_after: Option<usize>,
    fail_after: Option<usize>,
}

impl Callback<f32> for Watcher {
    fn step(&mut self, at: &StepEnd) -> ControlFlow<()> {
        self.losses.push(at.loss);
        self.steps.push(at.steps);
        if self.stop_after == Some(self.losses.len()) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn epoch(&mut self, run: &Run<'_, f32>) -> Result<ControlFlow<()>, CallbackError> {
        self.states.push(state(run.model()));
        if self.fail_after == Some(run.history().epochs.len()) {
            Err("the disk is full".into())
        } else {
            Ok(ControlFlow::Continue(()))
        }
    }
}

/// Plain gradient descent in batches of 3.
fn trainer<'c>(epochs: usize, rate: f64) -> Trainer<'c> {
    with(epochs, Sgd::new(rate))
}

fn with<'c>(epochs: usize, optimizer: impl Optimizer<f32>) -> Trainer<'c> {
    Trainer::new(optimizer).epochs(epochs).batch_size(3)
}

fn rules() -> StepSettings {
    StepSettings::new(Sgd::new(0.1), CrossEntropy::new())
}

#[test]
fn a_model_of_nan_is_not_judged() {
    let (x, labels) = rows(6);
    for wrong in [f32::NAN, f32::INFINITY] {
        let mut model = model(net());
        set(&mut model, "dense2.bias", 1, wrong);
        // All of class 0, the first of equals.
        let data = Dataset::classes(&x, &[0; 6]).unwrap();
        let error = evaluate(&model, &data).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "outputs for sample 0: expected finite numbers, got {wrong} at [1], because dense2.bias holds {wrong}"
            )
        );
        let data = Dataset::classes(&x, &labels).unwrap();
        let error = trainer(1, 0.1).fit(&mut model, &data).unwrap_err();
        assert_eq!(error.to_string(), format!("dense2.bias: expected finite numbers, got {wrong} at [1]"));
    }
    // The second batch of an evaluation counts on from the first.
    let mut many = Array2::<f32>::zeros((300, 3));
    many.row_mut(299).fill(f32::MAX);
    let mut model = model(net());
    model.slots_mut().for_each(|mut slot| slot.data_mut().fill(2.0));
    let data = Dataset::classes(&many, &[0; 300]).unwrap();
    let error = evaluate(&model, &data).unwrap_err().to_string();
    assert!(error.starts_with("outputs for sample 299: expected finite numbers, got inf at [0]"), "{error}");
    assert!(error.ends_with("while inputs and weights are finite"), "{error}");
}

#[test]
fn what_an_update_made_infinite_is_named_though_no_loss_shows_it() {
    let (x, labels) = rows(6);
    let data = Dataset::classes(&x, &labels).unwrap();
    // A unit with a bias of minus infinity is 0 behind ReLU, and its outputs are as finite as ever.
    for (step, said) in [(2, "epoch 1, step 2"), (18, "epoch 9, step 2")] {
        let optimizer = Spoiler::new(0.1, Some((step, DENSE1_BIAS, f32::NEG_INFINITY)));
        let error = with(9, optimizer).fit(&mut model(net()), &data).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
        assert!(
            error.contains("expected a finite dense1.bias, got -inf at [1]; training stopped"),
            "{error}"
        );
    }
    // Also where a callback stops training just after it.
    let optimizer = Spoiler::new(0.1, Some((1, DENSE1_BIAS, f32::NEG_INFINITY)));
    let watcher = Watcher { stop_after: Some(1), ..Watcher::default() };
    assert!(with(9, optimizer).callback(watcher).fit(&mut model(net()), &data).is_err());
    // And where a later loss shows it, the weight is still what is named.
    let optimizer = Spoiler::new(0.1, Some((1, DENSE2_BIAS, f32::NAN)));
    let error = with(9, optimizer).fit(&mut model(net()), &data).unwrap_err().to_string();
    assert!(error.starts_with("epoch 1, step 1: expected a finite dense2.bias, got NaN at [1]"), "{error}");
}

#[test]
fn running_statistics_that_became_infinite_are_named() {
    // Squares of such numbers have no place in f32; normalized, the outputs are finite.
    let x =
        Array2::from_shape_fn((8, 3), |(i, j)| if (i + j) % 2 == 0 { 1e30_f32 } else { -1e30 }).into_dyn();
    let data = Dataset::classes(&x, &[0, 1, 0, 1, 0, 1, 0, 1]).unwrap();
    let mut model = model(Net::new().push(batch_norm()).push(dense(2)));
    let error = trainer(1, 0.1).batch_size(4).fit(&mut model, &data).unwrap_err();
    assert!(
        error.to_string().contains("expected a finite batchnorm1.running_var, got inf at [0]"),
        "{error}"
    );
}

#[test]
fn a_step_whose_loss_is_not_finite_changes_nothing() {
    let (x, labels) = rows(4);
    let mut model = model(net());
    set(&mut model, "dense2.bias", 0, f32::NAN);
    set(&mut model, "dense2.bias", 1, f32::NAN);
    let before = format!("{:?}", state(&model));
    let (x, mut workspace) = (Tensor::from_array(&x).unwrap(), Workspace::new(&model));
    let examples = BatchView { inputs: &x, named: &[], targets: Targets::Classes(&labels), weights: None };
    let loss = step(&mut model, &rules(), examples, 1.0, &mut workspace, &Context::train(0, 0)).unwrap();
    assert!(loss.data.value().is_nan());
    assert_eq!(format!("{:?}", state(&model)), before);
}

#[test]
fn the_best_weights_come_back_whatever_ends_training() {
    let (x, labels) = rows(6);
    let data = Dataset::classes(&x, &labels).unwrap();
    let far = Dataset::classes(x.mapv(|v| v * 1e30), &labels).unwrap();
    let spoil = |size, value| Spoiler::new(0.3, Some((7, size, value)));
    let failing = |epoch| Watcher { fail_after: Some(epoch), ..Watcher::default() };
    let early = |optimizer, validation, watcher: &mut Watcher, model: &mut Model| {
        with(9, optimizer).validation(validation).early_stopping(50).callback(watcher).fit(model, &data)
    };
    for (name, optimizer, mut watcher) in [
        ("a weight that no loss shows", spoil(DENSE1_BIAS, f32::NEG_INFINITY), Watcher::default()),
        ("a loss", spoil(DENSE2_BIAS, f32::NAN), Watcher::default()),
        ("a callback", Spoiler::new(0.3, None), failing(3)),
    ] {
        let mut model = model(net());
        let error = early(optimizer, &data, &mut watcher, &mut model).unwrap_err();
        assert_eq!(watcher.states.len(), 3, "{name}: {error}");
        assert!(state(&model) == watcher.states[2], "{name}");
    }
    // A callback that fails at once loses nothing either: what the first epoch learned is the best there is.
    let (mut learned, mut watcher) = (model(net()), failing(1));
    let first = state(&learned);
    early(Spoiler::new(0.3, None), &data, &mut watcher, &mut learned).unwrap_err();
    assert!(state(&learned) == watcher.states[0] && watcher.states[0] != first);
    // Validation outputs overflow where those of training do not: the third epoch's weights are so large.
    let (mut large, mut watcher) = (model(net()), Watcher::default());
    let optimizer = Spoiler::new(1e-30, Some((5, DENSE1_WEIGHT, 1e30)));
    let error = early(optimizer, &far, &mut watcher, &mut large).unwrap_err();
    assert!(
        error.to_string().starts_with("epoch 3, step 2: expected a finite validation loss, got outputs for"),
        "{error}"
    );
    assert_eq!(watcher.states.len(), 2);
    assert!(watcher.states.contains(&state(&large)));
}

#[test]
fn a_softmax_before_the_loss_is_refused_with_what_to_write_instead() {
    let (x, labels) = rows(6);
    let data = Dataset::classes(&x, &labels).unwrap();
    let softmax = || activation(Activation::Softmax);
    let inside = || Net::new().push(dense(2).activation(Activation::Softmax)).push(dropout(0.1));
    let refused: [(&str, Net); 6] = [
        (
            "dense2 (Dense 2, softmax)",
            Net::new().push(dense(4).relu()).push(dense(2).activation(Activation::Softmax)),
        ),
        ("activation1 (Activation softmax)", net().push(softmax())),
        (
            "activation1 (Activation softmax)",
            net().push(softmax()).push(activation(Activation::Linear)).push(dropout(0.5)),
        ),
        ("head.dense1 (Dense 2, softmax)", net().named("head", inside()).push(Net::new())),
        (
            "batchnorm1 (BatchNorm, softmax)",
            net().push(batch_norm().activation(Activation::Softmax)).push(flatten()),
        ),
        (
            "residual1 (Residual",
            net().push(residual(Net::new().push(dense(2)), Net::new()).activation(Activation::Softmax)),
        ),
    ];
    for (which, net) in refused {
        let mut model = model(net);
        let before = state(&model);
        let fit = trainer(1, 0.1).fit(&mut model, &data).unwrap_err();
        let evaluated = evaluate(&model, &data).unwrap_err();
        let (batch, mut workspace) = (Tensor::from_array(&x).unwrap(), Workspace::new(&model));
        let examples =
            BatchView { inputs: &batch, named: &[], targets: Targets::Classes(&labels), weights: None };
        let ctx = Context::train(0, 0);
        let stepped = step(&mut model, &rules(), examples, 1.0, &mut workspace, &ctx).unwrap_err();
        for error in [fit, evaluated, stepped].map(|error| error.to_string()) {
            assert!(
                error.contains("drop the softmax: the loss takes logits, and `predict_proba`"),
                "{error}"
            );
            assert!(error.contains(&format!("got the softmax of {which}")), "{error}");
        }
        // Its probabilities are there all the same, and are not put through a second softmax.
        let sums = model.predict(x.view()).unwrap().into_dimensionality::<ndarray::Ix2>().unwrap();
        if !which.starts_with("residual") {
            assert!(sums.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-6), "{which}");
        }
        let error = model.predict_proba(x.view()).unwrap_err().to_string();
        assert!(error.contains("`predict` gives the probabilities") && error.contains(which), "{error}");
        assert!(state(&model) == before, "{which}");
    }
    // The softmax of a convolution's channels, behind which the only place is pooled.
    let conv = conv2d(2, 3).activation(Activation::Softmax).same();
    let maps: Model = Model::new(Net::new().push(conv).push(global_avg_pool()), &[4, 4, 1], 0).unwrap();
    let x = ArrayD::<f32>::zeros(vec![2, 4, 4, 1]);
    let data = Dataset::classes(&x, &[0, 1]).unwrap();
    assert!(evaluate(&maps, &data).is_err() && maps.fuse().predict_proba(x.view()).is_err());
    let (x, labels) = rows(6);
    let data = Dataset::classes(&x, &labels).unwrap();
    // A sigmoid before the loss's softmax is refused too; it is the right end where outputs are compared with values. A ReLU is not.
    let end = |activation| model(Net::new().push(dense(2).activation(activation)));
    let error = trainer(1, 0.1).fit(&mut end(Activation::Sigmoid), &data).unwrap_err().to_string();
    assert!(error.contains("drop the sigmoid") && error.contains("got the sigmoid of dense1"), "{error}");
    let error = trainer(1, 0.1).fit(&mut end(Activation::HardSigmoid), &data).unwrap_err().to_string();
    assert!(error.contains("drop the hard_sigmoid"), "{error}");
    trainer(1, 0.1).fit(&mut end(Activation::Relu), &data).unwrap();
    // The log-softmax of a log-softmax is the same: the same loss, the same probabilities.
    let (plain, logarithms) = (end(Activation::Linear), end(Activation::LogSoftmax));
    let loss = |model: &Model| evaluate(model, &data).unwrap().get("loss").unwrap();
    assert!((loss(&plain) - loss(&logarithms)).abs() < 1e-6);
    let (plain, logarithms) =
        (plain.predict_proba(x.view()).unwrap(), logarithms.predict_proba(x.view()).unwrap());
    assert!(plain.iter().zip(&logarithms).all(|(a, b)| (a - b).abs() < 1e-6));
    trainer(1, 0.1).fit(&mut end(Activation::LogSoftmax), &data).unwrap();
    let values = Dataset::values(&x, ndarray::Array2::zeros((6, 2))).unwrap();
    trainer(1, 0.1).loss(MSE).fit(&mut end(Activation::Sigmoid), &values).unwrap();
    // An activation that is not the last is allowed.
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        let hidden = Net::new().push(dense(4).activation(activation)).push(dense(2));
        trainer(1, 0.1).fit(&mut model(hidden), &data).unwrap();
    }
}

#[test]
fn sums_over_an_epoch_that_overflow_are_an_error() {
    let (x, labels) = rows(8);
    let data = Dataset::classes(&x, &labels).unwrap();
    let loss = CrossEntropy::new().class_weights(vec![f64::MAX, 1.0]).unwrap();
    let trainer = Trainer::new(Sgd::new(0.01)).epochs(1).batch_size(1).loss(loss);
    let error = trainer.fit(&mut model(net()), &data).unwrap_err().to_string();
    assert!(error.contains("training loss of all steps together"), "{error}");
    let weighted = data.weights(&[f64::MAX / 1024.0; 8]).unwrap();
    let many = weighted.subset(&(0..4096).map(|i| i % 8).collect::<Vec<_>>()).unwrap();
    let error = evaluate(&model(net()), &many).unwrap_err().to_string();
    assert!(error.contains("loss of all samples together"), "{error}");
}

#[test]
fn one_sample_that_remains_is_named_and_can_be_left_out() {
    let (x, labels) = rows(97);
    let data = Dataset::classes(&x, &labels).unwrap();
    let net = || Net::new().named("norm", batch_norm()).push(dense(2));
    let fit = |batch: usize, drop_last: bool| {
        let (mut model, mut watcher) = (model(net()), Watcher::default());
        let optimizer = Spoiler::new(0.5, None);
        let trainer = with(2, optimizer.clone()).batch_size(batch).schedule(Schedule::cosine(6).unwrap());
        let trainer = if drop_last { trainer.drop_last() } else { trainer };
        let history = trainer.callback(&mut watcher).fit(&mut model, &data)?;
        let rates = optimizer.rates.lock().unwrap().clone();
        Ok::<_, Error>((history, watcher, rates))
    };
    let error = fit(32, false).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        error,
        "batch_size: expected batches of at least 2 samples, which norm (BatchNorm) needs in training: `Trainer::drop_last` leaves \
         the rest of an epoch out, or take another size, got one sample in the last batch (97 samples in batches of 32)"
    );
    let error = fit(1, false).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("more than one value for each channel"), "{error}");
    let (history, watcher, rates) = fit(32, true).unwrap();
    assert_eq!(watcher.steps, [3; 6]);
    let schedule = Schedule::cosine(6).unwrap();
    let expected: Vec<f64> = (0..6).map(|step| 0.5 * schedule.factor(step, 1, &history)).collect();
    assert_eq!(rates, expected);
    for (epoch, losses) in history.epochs.iter().zip(watcher.losses.chunks(3)) {
        assert!((epoch.get("train_loss").unwrap() - losses.iter().sum::<f64>() / 3.0).abs() < 1e-12);
        let right = epoch.get("train_accuracy").unwrap() * 96.0;
        assert!((right - right.round()).abs() < 1e-9 && right <= 96.0, "{right}");
    }
    // Where nothing remains, nothing is left out; and it is other samples each time.
    let (_, watcher, _) = fit(97, true).unwrap();
    assert_eq!(watcher.steps, [1, 1]);
    assert!(fit(98, true).is_err());
    // Without it the means are over all 97.
    let (history, watcher, _) = fit(48, true).unwrap();
    assert_eq!((watcher.steps.len(), history.epochs.len()), (4, 2));
    let (history, watcher, _) = fit(50, false).unwrap();
    let mean = (50.0 * watcher.losses[0] + 47.0 * watcher.losses[1]) / 97.0;
    assert!((history.epochs[0].get("train_loss").unwrap() - mean).abs() < 1e-12);
}

#[test]
fn ignored_samples_count_in_no_figure() {
    let (x, labels) = rows(12);
    let every = |every: usize| -> Vec<usize> {
        labels.iter().enumerate().map(|(i, &label)| if i % every == 0 { 255 } else { label }).collect()
    };
    let few = every(3);
    let data = Dataset::classes(&x, &few).unwrap();
    let fit = |(epochs, batch), loss: CrossEntropy, data: &Dataset, validation: Option<&Dataset>| {
        let (mut model, mut watcher) = (model(net()), Watcher::default());
        let trainer = trainer(epochs, 1.0).batch_size(batch).loss(loss).callback(&mut watcher);
        let trainer = validation.into_iter().fold(trainer, Trainer::validation);
        let history = trainer.fit(&mut model, data)?;
        Ok::<_, Error>((history, model, watcher.losses))
    };
    let error = fit((1, 4), CrossEntropy::new(), &data, None).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "label of sample 0: expected a class from 0 to 1, got 255");
    let ignoring = || CrossEntropy::new().ignore_index(255);
    let (history, learned, _) = fit((80, 12), ignoring(), &data, Some(&data)).unwrap();
    let last = history.epochs.last().unwrap();
    assert_eq!(
        (last.get("train_accuracy"), last.get("validation_accuracy")),
        (Some(1.0), Some(1.0)),
        "{last:?}"
    );
    // The validation loss is that of the other samples alone.
    let kept: Vec<usize> = (0..12).filter(|i| i % 3 != 0).collect();
    let others = x.select(ndarray::Axis(0), &kept);
    let names: Vec<usize> = kept.iter().map(|&i| labels[i]).collect();
    let alone = evaluate(&learned, &Dataset::classes(&others, &names).unwrap()).unwrap();
    assert!((alone.get("loss").unwrap() - last.get("validation_loss").unwrap()).abs() < 1e-9);
    // Batches in which different numbers count are weighed by those.
    let halves: Vec<usize> = (0..12).map(|i| if i < 5 { 255 } else { labels[i] }).collect();
    let halved = Dataset::classes(&x, &halves).unwrap();
    let (history, _, losses) = fit((1, 6), ignoring(), &halved, None).unwrap();
    let share = |counted: f64| (counted * losses[0] + (7.0 - counted) * losses[1]) / 7.0;
    let close = |counted: u32| {
        (share(f64::from(counted)) - history.epochs[0].get("train_loss").unwrap()).abs() < 1e-12
    };
    assert_eq!((1..=6).filter(|&counted| close(counted)).count(), 1, "{losses:?} {history:?}");
    // Nothing to judge by, or to learn from.
    let none = Dataset::classes(&x, &[255; 12]).unwrap();
    for (data, validation) in [(&data, Some(&none)), (&none, None)] {
        let error = fit((1, 4), ignoring(), data, validation).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("targets: expected at least one"), "{error}");
    }
}

#[test]
fn targets_and_rules_that_do_not_fit_are_errors_and_change_nothing() {
    let (x, _) = rows(4);
    let x = Tensor::from_array(&x).unwrap();
    let mut model = model(net());
    let before = state(&model);
    let mut try_step = |x: &Tensor<f32>, labels: &[usize], rules: StepSettings| {
        let (mut workspace, ctx) = (Workspace::new(&model), Context::train(0, 0));
        let examples = BatchView { inputs: x, named: &[], targets: Targets::Classes(labels), weights: None };
        let result = step(&mut model, &rules, examples, 1.0, &mut workspace, &ctx);
        (result.map(|_| ()), state(&model))
    };
    for labels in [&[][..], &[0], &[0, 1, 0, 1, 0], &[0, 1, 0, 2], &[0, 1, 0, usize::MAX]] {
        let (result, after) = try_step(&x, labels, rules());
        assert!(result.is_err() && after == before, "{labels:?}");
    }
    for rate in [f64::NAN, f64::INFINITY, -0.1] {
        let (result, after) =
            try_step(&x, &[0, 1, 0, 1], StepSettings::new(Sgd::new(rate), CrossEntropy::new()));
        assert!(result.unwrap_err().to_string().starts_with("learning_rate: expected") && after == before);
    }
    for norm in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        let (result, after) = try_step(&x, &[0, 1, 0, 1], StepSettings { clip_norm: Some(norm), ..rules() });
        assert!(result.unwrap_err().to_string().starts_with("clip_norm: expected") && after == before);
    }
    let (result, after) = try_step(&Tensor::zeros(&[0, 3]).unwrap(), &[], rules());
    assert!(result.is_err() && after == before);
}

#[test]
fn a_default_that_is_too_large_is_called_the_default() {
    let (x, labels) = rows(3);
    let data = Dataset::classes(&x, &labels).unwrap();
    let message = |trainer: Trainer<'_>| trainer.fit(&mut model(net()), &data).unwrap_err().to_string();
    let expected = "batch_size: expected from 1 to 3, the number of samples, got 32";
    assert_eq!(message(Trainer::new(Sgd::new(0.1)).batch_size(32)), expected);
    assert_eq!(message(Trainer::new(Sgd::new(0.1))), format!("{expected} (the default)"));
}
