//! Checks every derivative against central differences in f64: layers, activations, losses, whole models. And checks
//! the check itself with wrong derivatives.

use backstitch::gradcheck::{GradientError, TOLERANCE, check_layer, check_model, check_outputs};
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::zoo;
use backstitch_examples::architecture_comparison::{dense_ann, inception, resnet, traditional_cnn};
use backstitch_examples::cnn_vs_fcnn::{model1, model2, model4};
use ndarray::ArrayD;
use rand::Rng;

#[path = "common/rows.rs"]
mod rows;

/// The mode of a pass: training, training with frozen batch norm, evaluation.
#[derive(Debug, Clone, Copy)]
enum Regime {
    Training,
    Frozen,
    Evaluation,
}

const REGIMES: [Regime; 3] = [Regime::Training, Regime::Frozen, Regime::Evaluation];

fn context(regime: Regime) -> Context {
    let mode = if matches!(regime, Regime::Evaluation) { Mode::Evaluate } else { Mode::Train };
    Context { mode, ..Context::train(3, 5) }
}

fn random(shape: &[usize], seed: u64) -> ArrayD<f64> {
    let mut rng = stream(seed, Purpose::GradientCheck, 9, 9);
    ArrayD::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
}

/// Every layer in all modes and with several batch sizes. A failure names the row and the seed.
#[test]
fn every_layer() {
    for row in rows::all() {
        for (batch, seed) in [(1, 1), (2, 2), (3, 3)] {
            for regime in REGIMES {
                let needs_two = row.name.contains("over features");
                if batch == 1 && needs_two && matches!(regime, Regime::Training) {
                    continue;
                }
                let mut model: Model<f64> = row.model(seed);
                // Rows without buffers have nothing to freeze.
                if matches!(regime, Regime::Frozen) && model.freeze("*running*").is_err() {
                    continue;
                }
                let passed = check_outputs(&mut model, batch, &context(regime), seed);
                let what = format!("{}, {regime:?}, batch {batch}, seed {seed}", row.name);
                let worst = passed.unwrap_or_else(|error| panic!("{what}: {error}")).worst;
                assert!(worst.relative_error() < TOLERANCE, "{what}: {worst}");
            }
        }
    }
}

/// Convolutions and poolings with random settings.
#[test]
fn random_configurations() {
    let mut rng = stream(2024, Purpose::GradientCheck, 1, 1);
    let mut checked = 0;
    for seed in 0..60 {
        let mut pair = |most: usize| [rng.random_range(1..=most), rng.random_range(1..=most)];
        let (kernel, stride, dilation) = (pair(4), pair(3), pair(2));
        let input = [pair(7)[0], pair(7)[0], pair(3)[0]];
        let padding = [Padding::Valid, Padding::Same, Padding::from(pair(2))][seed as usize % 3];
        let conv = conv2d(pair(3)[0], kernel)
            .activation(Activation::Tanh)
            .stride(stride)
            .dilation(dilation)
            .padding(padding);
        let max = max_pool(kernel).stride(stride);
        let mean = avg_pool(kernel).stride(stride).ceil();
        let nets = [Net::new().push(conv), Net::new().push(max), Net::new().push(mean)];
        for net in nets {
            let what = format!("seed {seed}: {net:?} over {input:?}");
            // Settings that do not fit are errors. The tests of the layers check those.
            let Ok(mut model) = Model::new(net, &input, seed) else { continue };
            check_outputs(&mut model, 2, &context(Regime::Training), seed)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} configurations fit");
}

fn network(hidden: Activation, last: Activation) -> Model<f64> {
    let net = Net::new()
        .push(dense(8).activation(hidden))
        .push(dense(6).activation(hidden))
        .push(dense(4).activation(last));
    Model::new(net, &[5], 11).unwrap()
}

#[test]
fn whole_networks_with_cross_entropy_from_classes_and_from_rows() {
    let x = random(&[7, 5], 4);
    let classes = [0, 1, 2, 3, 0, 1, 2];
    let mut soft = random(&[7, 4], 5).mapv(f64::abs).into_dimensionality::<ndarray::Ix2>().unwrap();
    soft.outer_iter_mut().for_each(|mut row| row /= row.sum());
    let one_hot = backstitch::losses::one_hot(&classes, 4).unwrap();
    let [one_hot, soft] = [one_hot, soft].map(|rows| Tensor::from_array(rows.into_dyn()).unwrap());
    for (_, activation) in Activation::NAMES {
        for regime in REGIMES {
            let mut model = network(activation, Activation::Linear);
            for targets in [Targets::Classes(&classes), Targets::Values(&one_hot), Targets::Values(&soft)] {
                check_model(&mut model, &x, &targets, &context(regime)).unwrap();
            }
        }
    }
}

#[test]
fn convolutions_behind_which_a_pooling_leaves_few_numbers() {
    let (x, classes) = (random(&[3, 14, 13, 2], 6), [0, 2, 1]);
    for padding in [Padding::Valid, Padding::Same] {
        for regime in REGIMES {
            let conv = |filters| conv2d(filters, [3, 5]).activation(Activation::Tanh).padding(padding);
            let net = Net::new().push(conv(5)).push(conv(4)).push(max_pool(5)).push(flatten()).push(dense(3));
            let mut model: Model<f64> = Model::new(net, &[14, 13, 2], 2).unwrap();
            check_model(&mut model, &x, &Targets::Classes(&classes), &context(regime)).unwrap();
        }
    }
}

#[test]
fn one_hot_rows_and_classes_are_the_same_loss() {
    let logits = Tensor::from_array(random(&[7, 4], 6)).unwrap();
    let classes = [3, 1, 2, 3, 0, 1, 2];
    let one_hot = backstitch::losses::one_hot(&classes, 4).unwrap();
    let one_hot = Tensor::from_array(one_hot.into_dyn()).unwrap();
    let (mut a, mut b) = (Tensor::default(), Tensor::default());
    let loss = backstitch::CrossEntropy::new();
    let from_classes = loss.loss(&logits, &Targets::Classes(&classes), Some(&mut a)).unwrap().value();
    let from_rows = loss.loss(&logits, &Targets::Values(&one_hot), Some(&mut b)).unwrap().value();
    assert!((from_classes - from_rows).abs() < 1e-15);
    assert!(a.data().iter().zip(b.data()).all(|(a, b)| (a - b).abs() < 1e-15));
    assert_eq!(from_classes, loss.loss(&logits, &Targets::Classes(&classes), None).unwrap().value());
}

#[test]
fn large_logits_are_no_trouble() {
    let logits =
        Tensor::from_array(ndarray::array![[1e4_f32, -1e4, 0.0], [-1e4, 1e4, 3e38]].into_dyn()).unwrap();
    let mut gradient = Tensor::default();
    let loss = backstitch::CrossEntropy::new();
    let loss = loss.loss(&logits, &Targets::Classes(&[1, 2]), Some(&mut gradient)).unwrap().value();
    assert_eq!(loss, 1e4);
    assert_eq!(gradient.data(), [0.5, -0.5, 0.0, 0.0, 0.0, 0.0]);
}

/// A dense layer with tanh whose derivative or parameter gradient can be made wrong.
#[derive(Debug, Clone, Copy)]
struct Spoilt {
    input: fn(f64) -> f64,
    parameter: fn(usize, f64) -> f64,
}

const UNITS: usize = 3;

fn spoilt(input: fn(f64) -> f64, parameter: fn(usize, f64) -> f64) -> Spoilt {
    Spoilt { input, parameter }
}

impl<F: Scalar> Layer<F> for Spoilt {
    type Cache = ();
    fn output_shape(&self, _input: &[usize]) -> Result<Shape, ShapeError> {
        Ok(Shape::from([UNITS]))
    }
    fn params(&self, input: &[usize], declare: &mut Declare) {
        let fan = Fan { inputs: input[0], outputs: UNITS };
        declare.learned("weight", &[input[0], UNITS], Init::GlorotUniform, fan);
        declare.learned("bias", &[UNITS], Init::Zero, fan);
    }
    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        let rows = y.data_mut().chunks_exact_mut(UNITS).zip(x.data().chunks_exact(x.width()));
        for (y, x) in rows {
            for (j, y) in y.iter_mut().enumerate() {
                let sum = x
                    .iter()
                    .enumerate()
                    .fold(w["bias"].data()[j], |sum, (i, &x)| sum + x * w["weight"].data()[i * UNITS + j]);
                *y = sum.tanh();
            }
        }
    }
    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        let Backward { x, y, dy, dx, mut grads, .. } = pass;
        dy.data_mut().iter_mut().zip(y.data()).for_each(|(dz, &y)| *dz *= F::one() - y * y);
        let width = x.width();
        let spoil = |i: usize, g: F| F::from_f64((self.parameter)(i, g.as_f64()));
        if let Some(grad) = grads.add("weight") {
            for (dz, x) in dy.data().chunks_exact(UNITS).zip(x.data().chunks_exact(width)) {
                for (i, grad) in grad.iter_mut().enumerate() {
                    *grad += dz[i % UNITS] * x[i / UNITS];
                }
            }
            grad.iter_mut().enumerate().for_each(|(i, g)| *g = spoil(i, *g));
        }
        if let Some(grad) = grads.add("bias") {
            for dz in dy.data().chunks_exact(UNITS) {
                grad.iter_mut().zip(dz).for_each(|(grad, &dz)| *grad += dz);
            }
            grad.iter_mut().enumerate().for_each(|(i, g)| *g = spoil(i, *g));
        }
        let Some(dx) = dx else { return };
        for (dx, dz) in dx.data_mut().chunks_exact_mut(width).zip(dy.data().chunks_exact(UNITS)) {
            for (i, dx) in dx.iter_mut().enumerate() {
                let row = &w["weight"].data()[i * UNITS..][..UNITS];
                let sum = row.iter().zip(dz).fold(F::zero(), |sum, (&w, &dz)| sum + w * dz);
                *dx = F::from_f64((self.input)(sum.as_f64()));
            }
        }
    }
}

#[test]
fn a_wrong_derivative_is_caught_and_named() {
    let check = |layer: Spoilt| check_layer(layer, &[4], 2, &Context::train(0, 0), 1);
    check(spoilt(|d| d, |_, g| g)).expect("nothing spoilt");
    for wrong in [|d: f64| -d, |d: f64| d * 1.00001, |d: f64| d + 1e-5, |_: f64| 0.0, |_: f64| f64::NAN] {
        let error = check(spoilt(wrong, |_, g| g)).unwrap_err();
        assert!(matches!(&error, GradientError::Wrong { worst, .. } if worst.of == "input"), "{error}");
    }
    let error = check(spoilt(|d| d, |i, g| if i == 7 { g * 1.01 } else { g })).unwrap_err();
    let GradientError::Wrong { wrong, worst, .. } = error else { panic!("{error}") };
    assert_eq!((wrong, worst.of.as_str(), worst.index.as_slice()), (1, "layer.weight", &[2, 1][..]));
}

#[test]
fn a_gradient_taken_to_look_at_changes_nothing() {
    let model = network(Activation::Tanh, Activation::Linear);
    let x = Tensor::from_array(random(&[3, 5], 8)).unwrap();
    let mut trace = Trace::new(Keep::All);
    let mut dx = Tensor::default();
    let ctx = Context::evaluate();
    model.forward(&x, &mut trace, &ctx).unwrap();
    trace.output_and_gradient().1.copy_from(&Tensor::from_array(random(&[3, 4], 1)).unwrap());
    model.backward(&x, &mut trace, Some(&mut dx), None, &ctx).unwrap();
    assert!(dx.data().iter().any(|&d| d != 0.0));
    // With everything kept, the gradient of each activation is the original one, not the one that a layer has
    // overwritten.
    let (y, dy) = trace.get("dense3").unwrap();
    assert_eq!(y, trace.output());
    assert_eq!(dy.unwrap().to_array(), random(&[3, 4], 1));
    let (_, dy) = trace.get("dense1").unwrap();
    assert_eq!(dy.unwrap().shape().to_vec(), [3, 8]);
    let message = trace.get("dense9").unwrap_err().to_string();
    assert_eq!(message, "layer \"dense9\": expected one of dense1, dense2, dense3, got no match");
}

#[test]
fn gradients_of_a_layer_used_twice_add_up() {
    let model = network(Activation::Tanh, Activation::Linear);
    let x = Tensor::from_array(random(&[3, 5], 8)).unwrap();
    let mut trace = Trace::new(Keep::ForBackward);
    let ctx = Context::train(0, 0);
    let (mut grads, mut added) = (Vec::new(), model.grads());
    for _ in 0..2 {
        model.forward(&x, &mut trace, &ctx).unwrap();
        trace.output_and_gradient().1.copy_from(&Tensor::from_array(random(&[3, 4], 1)).unwrap());
        model.backward(&x, &mut trace, None, Some(&mut added), &ctx).unwrap();
        grads.extend((0..model.slots().len()).map(|at| added.get(at).unwrap().to_array()));
    }
    let (once, twice) = grads.split_at(grads.len() / 2);
    for (once, twice) in once.iter().zip(twice) {
        assert!((once * 2.0 - twice).iter().all(|d| d.abs() < 1e-12));
    }
}

/// All parameters of a model, one after the other.
fn parameters(model: &mut Model<f64>, mut f: impl FnMut(usize, &mut f64)) {
    let slots = model.slots_mut().filter(|slot| slot.is_learned());
    let mut i = 0;
    for mut slot in slots {
        for value in slot.data_mut() {
            f(i, value);
            i += 1;
        }
    }
}

/// The architectures of the assignments are too large to change each parameter alone. All parameters are changed at
/// once, each by a random amount. The change of the loss is compared with the sum of the derivatives times the amounts,
/// within 1e-4, because some of a hundred thousand ReLUs pass their kink on the way.
#[test]
fn every_architecture_along_a_random_direction() {
    const STEP: f64 = 1e-7;
    let relu = Activation::Relu;
    let nets: [(&str, Net, &[usize]); 10] = [
        ("model 1", model1(), &[28, 28, 1]),
        ("model 2", model2(), &[28, 28, 1]),
        ("model 4", model4(), &[28, 28, 1]),
        ("dense ann", dense_ann(10), &[28, 28, 1]),
        ("traditional cnn", traditional_cnn(relu), &[28, 28, 1]),
        ("resnet", resnet(), &[28, 28, 1]),
        ("inception", inception(), &[28, 28, 1]),
        ("lenet on fashion", zoo::lenet_fashion(10), &[28, 28, 1]),
        ("lenet5", zoo::lenet5(10), &[64, 64, 3]),
        ("resnet18", zoo::resnet18(10), &[33, 40, 3]),
    ];
    let loss = backstitch::CrossEntropy::new();
    for (name, net, input) in nets {
        let mut model: Model<f64> = Model::new(net, input, 1).unwrap();
        let x = Tensor::from_array(random(&model.input_shape().batched(2).unwrap(), 3)).unwrap();
        let (ctx, targets) = (context(Regime::Training), Targets::Classes(&[3, 7]));
        let mut trace = Trace::new(Keep::ForBackward);
        model.forward(&x, &mut trace, &ctx).unwrap();
        let (y, dy) = trace.output_and_gradient();
        dy.copy_from(y);
        loss.loss(y, &targets, Some(dy)).unwrap();
        let mut grads = model.grads();
        model.backward(&x, &mut trace, None, Some(&mut grads), &ctx).unwrap();
        let direction = random(&[model.parameter_count()], 4);
        let direction = direction.as_slice().unwrap();
        let gradients = (0..model.slots().len()).filter_map(|at| grads.get(at)).flat_map(Tensor::data);
        let by_hand: f64 = gradients.zip(direction).map(|(grad, by)| grad * by).sum();
        let mut at = |step: f64| {
            parameters(&mut model, |i, value| *value += step * direction[i]);
            model.forward(&x, &mut trace, &ctx).unwrap();
            loss.loss(trace.output(), &targets, None).unwrap().value()
        };
        let ahead = at(STEP);
        let behind = at(-2.0 * STEP);
        let numeric = (ahead - behind) / (2.0 * STEP);
        let error = (by_hand - numeric).abs() / numeric.abs().max(1.0);
        assert!(error < 1e-4, "{name}: by hand {by_hand}, by differences {numeric}");
    }
}
