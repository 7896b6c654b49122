//! Forward values, gradients and optimizer steps agree with PyTorch's, stored in fixtures/pytorch
//! by the scripts beside them.

use std::fs::File;

use backstitch::core::train::{self, Rules};
use backstitch::prelude::*;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;

/// The largest relative difference that passes.
const TOLERANCE: f32 = 1e-4;

struct Fixture(NpzReader<File>);

impl Fixture {
    fn open(name: &str) -> Self {
        let path = format!("{}/fixtures/pytorch/{name}", env!("CARGO_MANIFEST_DIR"));
        Self(NpzReader::new(File::open(path).unwrap()).unwrap())
    }

    fn array(&mut self, name: &str) -> ArrayD<f32> {
        self.0.by_name::<OwnedRepr<f32>, IxDyn>(&format!("{name}.npy")).unwrap()
    }

    fn labels(&mut self, name: &str) -> Vec<usize> {
        let labels = self.0.by_name::<OwnedRepr<i64>, IxDyn>(&format!("{name}.npy")).unwrap();
        labels.iter().map(|&label| label as usize).collect()
    }
}

/// Every element within the tolerance of the largest of its tensor; prints the worst.
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
    let net = Sequential::new()
        .push(dense(9, activation))
        .push(dense(7, activation))
        .push(dense(4, Activation::Linear));
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
        let x = Tensor::from_array(&fixture.array(&format!("{name}/x"))).unwrap();
        let labels = fixture.labels(&format!("{name}/labels"));
        let losses = fixture.array(&format!("{name}/losses"));
        let mut trace = Trace::new(Keep::ForBackward);

        let ctx = Context::train(0, 0);
        model.forward(&x, &mut trace, &ctx).unwrap();
        assert_close(&format!("{name} logits"), &trace.y, &fixture.array(&format!("{name}/logits")));
        let Trace { y, dy, .. } = &mut trace;
        let loss = backstitch::core::CrossEntropy::new().loss(y, Targets::Classes(&labels), Some(dy));
        assert!((loss as f32 / losses[0] - 1.0).abs() < TOLERANCE, "{name} loss {loss} {}", losses[0]);
        let mut dx = Tensor::default();
        model.backward(&x, &mut trace, Some(&mut dx), &ctx).unwrap();
        assert_close(&format!("{name} dx"), &dx, &fixture.array(&format!("{name}/input_gradient")));
        model.visit(&mut |slot| {
            if let backstitch::core::Slot::Param(param) = slot {
                let expected = fixture.array(&format!("{name}/gradient/{}", param.name()));
                assert_close(
                    &format!("{name} gradient of {}", param.name()),
                    param.grad().unwrap(),
                    &expected,
                );
            }
        });

        let mut optimizer = Sgd::new(0.1).unwrap().momentum(0.9).unwrap().weight_decay(0.01).unwrap();
        for (step, &expected) in losses.iter().enumerate() {
            let ctx = Context::train(0, step as u64);
            let targets = Targets::Classes(&labels);
            let loss =
                train::step(&mut model, &mut optimizer, &x, targets, &Rules::default(), &mut trace, &ctx);
            let loss = loss.unwrap().data;
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
    let net = Sequential::new().push(backstitch::core::layers::activation(Activation::Softmax));
    let mut model: Model = Model::new(net, &[6], 0).unwrap();
    let x = Tensor::from_array(&fixture.array("softmax/x")).unwrap();
    let mut trace = Trace::new(Keep::ForBackward);
    model.forward(&x, &mut trace, &Context::evaluate()).unwrap();
    assert_close("softmax", &trace.y, &fixture.array("softmax/y"));
    trace.dy.copy_from(&Tensor::from_array(&fixture.array("softmax/dy")).unwrap());
    let mut dx = Tensor::default();
    model.backward(&x, &mut trace, Some(&mut dx), &Context::evaluate()).unwrap();
    assert_close("softmax dx", &dx, &fixture.array("softmax/dx"));
}
