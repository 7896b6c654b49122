//! Forward values, gradients and optimizer steps agree with PyTorch's, stored in fixtures/pytorch
//! by the scripts beside them.

use std::collections::BTreeMap;
use std::path::Path;

use backstitch::npz;
use backstitch::prelude::*;
use backstitch::train::{self, StepSettings};
use ndarray::ArrayD;

#[path = "common/pytorch_cases.rs"]
mod cases;

/// The largest relative difference that passes.
const TOLERANCE: f32 = 1e-4;

struct Fixture(npz::Archive);

impl Fixture {
    fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pytorch").join(name);
        Self(npz::Archive::open(&path).unwrap())
    }

    fn array(&mut self, name: &str) -> ArrayD<f32> {
        self.0.read(name).unwrap()
    }

    /// The arrays whose names have this prefix, by the rest of their names.
    fn under(&mut self, prefix: &str) -> BTreeMap<String, Tensor> {
        let rest = |name: &str| Some(name.strip_prefix(prefix)?.to_owned());
        let found: Vec<String> = self.0.names().filter_map(rest).collect();
        found
            .into_iter()
            .map(|name| {
                let value = self.array(&format!("{prefix}{name}"));
                (name, Tensor::from_array(&value).unwrap())
            })
            .collect()
    }

    fn labels(&mut self, name: &str) -> Vec<usize> {
        let labels = self.0.read::<i64>(name).unwrap();
        labels.iter().map(|&label| label as usize).collect()
    }
}

/// Checks that every element is within the tolerance times the largest element of its tensor. Prints the worst.
fn assert_close(what: &str, got: &Tensor, expected: &ArrayD<f32>) {
    assert_eq!(&*got.shape(), expected.shape(), "{what}");
    let scale = expected.iter().fold(1e-6_f32, |a, b| a.max(b.abs()));
    let differences = got.data().iter().zip(expected).map(|(got, expected)| (got - expected).abs() / scale);
    let (at, worst) = differences.enumerate().fold((0, 0.0), |a, b| if b.1 > a.1 { b } else { a });
    assert!(
        worst < TOLERANCE,
        "{what}, element {at}: {} here, {} in PyTorch",
        got.data()[at],
        expected.iter().nth(at).unwrap()
    );
}

fn model(activation: Activation, fixture: &mut Fixture, name: &str) -> Model {
    let net =
        Net::new().push(dense(9).activation(activation)).push(dense(7).activation(activation)).push(dense(4));
    let mut model = Model::new(net, &[12], 0).unwrap();
    let names: Vec<String> = model.state().keys().map(|&parameter| parameter.to_owned()).collect();
    let state = names.into_iter().map(|parameter| {
        let value = fixture.array(&format!("{name}/start/{parameter}"));
        (parameter, Tensor::from_array(&value).unwrap())
    });
    model.load_state(&state.collect()).unwrap();
    model
}

#[test]
fn dense_nets_agree_in_forward_loss_gradients_and_three_steps() {
    let mut fixture = Fixture::open("dense.npz");
    for activation in [Activation::Relu, Activation::Sigmoid, Activation::Linear, Activation::Tanh] {
        let name = activation.name();
        let mut model = model(activation, &mut fixture, name);
        let x = Tensor::from_array(fixture.array(&format!("{name}/x"))).unwrap();
        let labels = fixture.labels(&format!("{name}/labels"));
        let losses = fixture.array(&format!("{name}/losses"));
        let mut trace = Trace::new(Keep::ForBackward);

        let ctx = Context::train(0, 0);
        model.forward(&x, &mut trace, &ctx).unwrap();
        assert_close(&format!("{name} logits"), trace.output(), &fixture.array(&format!("{name}/logits")));
        let (y, dy) = trace.output_and_gradient();
        let loss =
            backstitch::CrossEntropy::new().loss(y, &Targets::Classes(&labels), Some(dy)).unwrap().value();
        assert!((loss as f32 / losses[0] - 1.0).abs() < TOLERANCE, "{name} loss {loss} {}", losses[0]);
        let mut dx = Tensor::default();
        let mut grads = model.grads();
        model.backward(&x, &mut trace, Some(&mut dx), Some(&mut grads), &ctx).unwrap();
        assert_close(&format!("{name} dx"), &dx, &fixture.array(&format!("{name}/input_gradient")));
        for (at, slot) in model.slots().iter().enumerate() {
            let expected = fixture.array(&format!("{name}/gradient/{}", slot.name()));
            assert_close(&format!("{name} gradient of {}", slot.name()), grads.get(at).unwrap(), &expected);
        }
        let mut workspace = train::Workspace::new(&model);

        let rules = StepSettings::new(Sgd::new(0.1).momentum(0.9).weight_decay(0.01), CrossEntropy::new());
        for (step, &expected) in losses.iter().enumerate() {
            let ctx = Context::train(0, step as u64);
            let examples = train::BatchView {
                inputs: &x,
                named: &[],
                targets: Targets::Classes(&labels),
                weights: None,
            };
            let loss = train::step(&mut model, &rules, examples, 1.0, &mut workspace, &ctx);
            let loss = loss.unwrap().data.value();
            assert!(
                (loss as f32 / expected - 1.0).abs() < TOLERANCE,
                "{name} step {step}: {loss} {expected}"
            );
        }
        for (parameter, value) in model.state() {
            let expected = fixture.array(&format!("{name}/after/{parameter}"));
            assert_close(&format!("{name} after three steps, {parameter}"), value, &expected);
        }
    }
}

#[test]
fn softmax_as_a_layer_agrees() {
    let mut fixture = Fixture::open("dense.npz");
    let net = Net::new().push(backstitch::layers::activation(Activation::Softmax));
    let model: Model = Model::new(net, &[6], 0).unwrap();
    let x = Tensor::from_array(fixture.array("softmax/x")).unwrap();
    let mut trace = Trace::new(Keep::ForBackward);
    model.forward(&x, &mut trace, &Context::evaluate()).unwrap();
    assert_close("softmax", trace.output(), &fixture.array("softmax/y"));
    let dy = Tensor::from_array(fixture.array("softmax/dy")).unwrap();
    trace.output_and_gradient().1.copy_from(&dy);
    let mut dx = Tensor::default();
    model.backward(&x, &mut trace, Some(&mut dx), None, &Context::evaluate()).unwrap();
    assert_close("softmax dx", &dx, &fixture.array("softmax/dx"));
}

/// One pass of a case in one mode: outputs, input gradient, every parameter gradient.
fn check_pass(name: &str, regime: &str, ctx: &Context, model: &Model, fixture: &mut Fixture) -> Trace {
    let what = format!("{name}, {regime}");
    let x = Tensor::from_array(fixture.array(&format!("{name}/x"))).unwrap();
    let mut trace = Trace::new(Keep::ForBackward);
    let (mut dx, mut grads) = (Tensor::default(), model.grads());
    model.forward(&x, &mut trace, ctx).unwrap();
    assert_close(&format!("{what}: y"), trace.output(), &fixture.array(&format!("{name}/{regime}/y")));
    let dy = Tensor::from_array(fixture.array(&format!("{name}/dy"))).unwrap();
    trace.output_and_gradient().1.copy_from(&dy);
    model.backward(&x, &mut trace, Some(&mut dx), Some(&mut grads), ctx).unwrap();
    assert_close(&format!("{what}: dx"), &dx, &fixture.array(&format!("{name}/{regime}/dx")));
    let mut compared = 0;
    for (at, slot) in model.slots().iter().enumerate().filter(|(_, slot)| slot.is_learned()) {
        let expected = fixture.array(&format!("{name}/{regime}/gradient/{}", slot.name()));
        assert_close(&format!("{what}: gradient of {}", slot.name()), grads.get(at).unwrap(), &expected);
        compared += 1;
    }
    assert_eq!(compared, fixture.under(&format!("{name}/{regime}/gradient/")).len(), "{what}");
    trace
}

#[test]
fn every_layer_and_block_agrees_in_every_regime() {
    for (file, cases) in cases::files() {
        let mut fixture = Fixture::open(file);
        let mut stored: Vec<String> =
            fixture.0.names().filter_map(|n| Some(n.split_once('/')?.0.to_owned())).collect();
        stored.sort();
        stored.dedup();
        let mut known: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
        known.sort_unstable();
        assert_eq!(known, stored, "every case in {file} is compared");
        cases.into_iter().for_each(|(name, net)| check_case(name, net, &mut fixture));
    }
}

/// All passes of a case.
fn check_case(name: &str, net: Net, fixture: &mut Fixture) {
    let input = fixture.array(&format!("{name}/x")).shape()[1..].to_vec();
    let mut model: Model = Model::new(net, &input, 0).unwrap_or_else(|error| panic!("{name}: {error}"));
    let state = fixture.under(&format!("{name}/state/"));
    model.load_state(&state).unwrap_or_else(|error| panic!("{name}: {error}"));
    let training = Context::train(0, 0);
    let after = fixture.under(&format!("{name}/after/"));
    if !after.is_empty() {
        let evaluation = Context { mode: Mode::Evaluate, ..training };
        check_pass(name, "evaluation", &evaluation, &model, fixture);
        // Training with frozen statistics computes the same as evaluation.
        model.freeze("*running*").unwrap();
        check_pass(name, "evaluation", &training, &model, fixture);
        model.unfreeze("*running*").unwrap();
    }
    let trace = check_pass(name, "training", &training, &model, fixture);
    model.commit(&trace).unwrap();
    let state = model.state();
    for (buffer, expected) in after {
        assert_close(&format!("{name}: {buffer} after a step"), state[&*buffer], &expected.to_array());
    }
}

#[test]
fn five_steps_of_every_optimizer_agree() {
    let mut fixture = Fixture::open("optimizers.npz");
    let x = Tensor::from_array(fixture.array("x")).unwrap();
    let labels = fixture.labels("labels");
    for (name, rules) in cases::optimizers() {
        let net = Net::new().push(dense(5).activation(Activation::Tanh)).push(dense(3));
        let mut model: Model = Model::new(net, &[6], 0).unwrap();
        model.load_state(&fixture.under("start/")).unwrap();
        let mut workspace = train::Workspace::new(&model);
        for (i, &expected) in fixture.array(&format!("{name}/losses")).iter().enumerate() {
            let examples = train::BatchView {
                inputs: &x,
                named: &[],
                targets: Targets::Classes(&labels),
                weights: None,
            };
            let ctx = Context::train(0, i as u64);
            let loss = train::step(&mut model, &rules, examples, 1.0, &mut workspace, &ctx);
            let loss = loss.unwrap().data.value() as f32;
            assert!((loss / expected - 1.0).abs() < TOLERANCE, "{name}, step {i}: {loss} {expected}");
        }
        let expected = fixture.under(&format!("{name}/"));
        for (parameter, value) in model.state() {
            assert_close(&format!("{name}: {parameter}"), value, &expected[parameter].to_array());
        }
    }
}
