//! Kinks, random samples of large layers, and wrong nets whose layers are each right.

use std::sync::{Arc, Mutex};

use backstitch_core::gradcheck::{
    GradientError, check_function, check_layer, check_loss, check_net, check_outputs,
};
use backstitch_core::layers::{activation, dense, max_pool};
use backstitch_core::losses::{Huber, Targets};
use backstitch_core::{
    Activation, Backward, Context, Declare, Fan, Init, Layer, Model, Net, Scalar, Shape, ShapeError, Tensor,
    Weights, layer,
};

/// A function of each number with kinks, and a derivative by hand.
#[derive(Debug, Clone, Copy)]
struct Elementwise {
    f: fn(f64) -> f64,
    derivative: fn(f64) -> f64,
}

impl<F: Scalar> Layer<F> for Elementwise {
    type Cache = ();
    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }
    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        y.data_mut().iter_mut().zip(x.data()).for_each(|(y, x)| *y = F::from_f64((self.f)(x.as_f64())));
    }
    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        let Backward { x, dy, dx: Some(dx), .. } = pass else { return };
        for ((dx, &dy), x) in dx.data_mut().iter_mut().zip(dy.data()).zip(x.data()) {
            *dx = dy * F::from_f64((self.derivative)(x.as_f64()));
        }
    }
}

fn check(f: fn(f64) -> f64, derivative: fn(f64) -> f64) -> Result<usize, GradientError> {
    let layer = Elementwise { f, derivative };
    Ok(check_layer(layer, &[12], 3, &Context::train(0, 0), 4)?.kinks.len())
}

fn step(x: f64, below: f64, at: f64, above: f64) -> f64 {
    if x < 0.0 {
        below
    } else if x > 0.0 {
        above
    } else {
        at
    }
}

#[test]
fn at_a_kink_every_derivative_between_the_sides_is_right_and_no_other() {
    let relu = |x: f64| x.max(0.0);
    let leaky = |x: f64| if x > 0.0 { x } else { 0.1 * x };
    // Convex at -0.5 and concave at 0.5, where rounded inputs lie.
    let clip = |x: f64| x.clamp(-0.5, 0.5);
    let hinge = |x: f64| (0.5 - x).max(0.0);
    // If the derivative is the one in the middle, central differences agree with it, and it counts as any other.
    for (name, kinks) in [
        ("relu, 0", check(relu, |x| step(x, 0.0, 0.0, 1.0))),
        ("relu, 1", check(relu, |x| step(x, 0.0, 1.0, 1.0))),
        ("relu, 0.3", check(relu, |x| step(x, 0.0, 0.3, 1.0))),
        ("leaky, below", check(leaky, |x| step(x, 0.1, 0.1, 1.0))),
        ("leaky, above", check(leaky, |x| step(x, 0.1, 1.0, 1.0))),
        ("abs, 1", check(f64::abs, |x| step(x, -1.0, 1.0, 1.0))),
        ("abs, -1", check(f64::abs, |x| step(x, -1.0, -1.0, 1.0))),
        ("clip", check(clip, |x| if x.abs() <= 0.5 { 1.0 } else { 0.0 })),
        ("clip, inside", check(clip, |x| if x.abs() < 0.5 { 1.0 } else { 0.0 })),
        ("hinge", check(hinge, |x| if x < 0.5 { -1.0 } else { 0.0 })),
    ] {
        assert!(kinks.unwrap_or_else(|error| panic!("{name}: {error}")) > 0, "{name}: no kink met");
    }
    check(f64::abs, |x| step(x, -1.0, 0.0, 1.0)).unwrap();
    for (name, result) in [
        ("relu, 1.01", check(relu, |x| step(x, 0.0, 1.01, 1.0))),
        ("relu, -0.01", check(relu, |x| step(x, 0.0, -0.01, 1.0))),
        ("relu, infinite", check(relu, |x| step(x, 0.0, 1e6, 1.0))),
        ("leaky, 0", check(leaky, |x| step(x, 0.1, 0.0, 1.0))),
        ("leaky, elsewhere", check(leaky, |x| step(x, 0.0, 0.5, 1.0))),
        ("abs, 2", check(f64::abs, |x| step(x, -1.0, 2.0, 1.0))),
        ("clip, 1.5", check(clip, |x| if x.abs() == 0.5 { 1.5 } else { f64::from(x.abs() < 0.5) })),
        ("hinge, sign", check(hinge, |x| if x < 0.5 { -1.0 } else { 0.0 } * step(x - 0.5, 1.0, -1.0, 1.0) + step(x - 0.5, 0.0, 0.1, 0.0))),
        ("smooth, at 0", check(|x| x * x, |x| step(x, 2.0 * x, 0.1, 2.0 * x))),
    ] {
        assert!(matches!(result, Err(GradientError::Wrong { .. })), "{name}: {result:?}");
    }
}

#[test]
fn the_librarys_own_kinks_are_met_and_have_a_place() {
    for a in [
        Activation::Relu,
        Activation::LeakyRelu(0.2),
        Activation::Relu6,
        Activation::HardTanh,
        Activation::Elu(0.5),
    ] {
        let kinks = check_layer(activation(a), &[10], 3, &Context::train(0, 0), 2).unwrap().kinks;
        assert!(!kinks.is_empty() && kinks.iter().any(|kink| kink.index.len() == 2), "{a}");
    }
    let kinks = check_layer(max_pool(2), &[6, 6, 2], 2, &Context::train(0, 0), 2).unwrap().kinks;
    assert!(kinks.iter().any(|kink| kink.index.len() == 4), "{kinks:?}");
    let kinks =
        check_function(|x| x[0].abs() + x[1].max(x[2]), &[0.0, 1.0, 1.0], &[-1.0, 0.25, 0.75]).unwrap().kinks;
    assert_eq!(kinks.iter().map(|kink| kink.index[0]).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(kinks[0].to_string().contains("for there is a kink"), "{}", kinks[0]);
}

/// A dense layer with a wrong bias gradient.
#[derive(Debug, Clone, Copy)]
struct Wide {
    bias: f64,
}

const UNITS: usize = 90;

impl<F: Scalar> Layer<F> for Wide {
    type Cache = ();
    fn output_shape(&self, _: &[usize]) -> Result<Shape, ShapeError> {
        Ok(Shape::from([UNITS]))
    }
    fn params(&self, input: &[usize], declare: &mut Declare) {
        let fan = Fan { inputs: input[0], outputs: UNITS };
        declare.learned("weight", &[input[0], UNITS], Init::GlorotUniform, fan);
        declare.learned("bias", &[UNITS], Init::Zero, fan);
    }
    fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        for (y, x) in y.data_mut().chunks_exact_mut(UNITS).zip(x.data().chunks_exact(x.width())) {
            y.copy_from_slice(w["bias"].data());
            for (row, &x) in w["weight"].data().chunks_exact(UNITS).zip(x) {
                y.iter_mut().zip(row).for_each(|(y, &w)| *y += w * x);
            }
        }
    }
    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        let Backward { x, dy, mut dx, mut grads, .. } = pass;
        let width = x.width();
        for name in ["weight", "bias"] {
            grads.add(name);
        }
        for (n, (dy, x)) in dy.data().chunks_exact(UNITS).zip(x.data().chunks_exact(width)).enumerate() {
            if let Some(grad) = grads.add("weight") {
                for (row, &x) in grad.chunks_exact_mut(UNITS).zip(x) {
                    row.iter_mut().zip(dy).for_each(|(grad, &dy)| *grad += dy * x);
                }
            }
            if let Some(grad) = grads.add("bias") {
                grad.iter_mut().zip(dy).for_each(|(grad, &dy)| *grad += dy * F::from_f64(self.bias));
            }
            if let Some(dx) = &mut dx {
                for (dx, row) in
                    dx.data_mut()[n * width..][..width].iter_mut().zip(w["weight"].data().chunks_exact(UNITS))
                {
                    *dx = row.iter().zip(dy).fold(F::zero(), |sum, (&w, &dy)| sum + w * dy);
                }
            }
        }
    }
}

#[test]
fn of_a_large_layer_a_sample_is_compared_and_the_message_says_so() {
    let check = |bias, seed| check_layer(Wide { bias }, &[100], 2, &Context::train(0, 0), seed);
    let passed = check(1.0, 11).unwrap();
    assert_eq!((passed.total, passed.seed), (2 * 100 + 100 * UNITS + UNITS, 11));
    assert!((3900..4200).contains(&passed.compared), "{}", passed.compared);
    // The bias is one number of a hundred, and it is compared.
    let error = check(1.001, 11).unwrap_err();
    let GradientError::Wrong { wrong, worst, .. } = &error else { panic!("{error}") };
    assert!(*wrong > 30 && worst.of == "layer.bias", "{error}");
    assert!(
        error
            .to_string()
            .contains("(a sample of the 9290 there are, seed 11) that do not; the worst is layer.bias["),
        "{error}"
    );
    let net = Net::new().push(dense(100)).push(layer(Wide { bias: 1.001 })).push(dense(2));
    let error = check_net(net, &[3], 2, &Context::train(0, 0), 12).unwrap_err().to_string();
    assert!(error.starts_with("wide1 (Wide): ") && error.contains("seed 12"), "{error}");
}

/// Two layers that share data outside of the net: the first stores its input, and the second adds it.
#[derive(Debug, Clone)]
struct BackDoor {
    shared: Arc<Mutex<Vec<f64>>>,
    adds: bool,
}

impl<F: Scalar> Layer<F> for BackDoor {
    type Cache = ();
    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }
    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        y.copy_from(x);
        let mut shared = self.shared.lock().unwrap();
        match self.adds {
            true => y.data_mut().iter_mut().zip(&*shared).for_each(|(y, &x)| *y += F::from_f64(x)),
            false => *shared = x.data().iter().map(|x| x.as_f64()).collect(),
        }
    }
    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        if let Some(dx) = pass.dx {
            dx.copy_from(pass.dy);
        }
    }
}

#[test]
fn where_each_layer_is_right_and_the_net_is_not_the_message_says_so() {
    let shared = Arc::new(Mutex::new(Vec::new()));
    let door = |adds| layer(BackDoor { shared: Arc::clone(&shared), adds });
    let net = Net::new().push(door(false)).push(dense(3)).push(door(true));
    let mut model = Model::new(net, &[3], 0).unwrap();
    let error = check_outputs(&mut model, 2, &Context::train(0, 0), 1).unwrap_err();
    assert!(matches!(error, GradientError::Together { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.starts_with("the net as a whole: expected derivatives to agree within 1e-6, got 6 of 18"),
        "{message}"
    );
    assert!(message.contains("each layer alone is right"), "{message}");
}

/// A function of a number, or its derivative.
type Function = fn(f64) -> f64;

/// Where the second derivative jumps, central differences are wrong by a term in h.
#[test]
fn right_derivatives_where_the_second_derivative_jumps_are_not_called_wrong() {
    let functions: [[Function; 2]; 4] = [
        [|x| x * x.abs(), |x| 2.0 * x.abs()],
        [|x| x.max(0.0).powi(2), |x| 2.0 * x.max(0.0)],
        [|x| if x > 0.0 { x } else { x.exp_m1() }, |x| if x > 0.0 { 1.0 } else { x.exp() }],
        [|x| x / (1.0 + x.abs()), |x| (1.0 + x.abs()).powi(-2)],
    ];
    for (i, [f, derivative]) in functions.into_iter().enumerate() {
        check(f, derivative).unwrap_or_else(|error| panic!("function {i}: {error}"));
        let at_zero = [f(0.0), derivative(0.0)];
        check_function(move |x: &[f64]| f(x[0]), &[0.0], &[at_zero[1]]).unwrap();
        for wrong in [at_zero[1] + 1e-3, at_zero[1] - 1e-3] {
            assert!(check_function(move |x: &[f64]| f(x[0]), &[0.0], &[wrong]).is_err(), "function {i}");
        }
    }
    assert!(check(|x| x * x.abs(), |x| 2.0 * x).is_err());
    // Huber exactly at its threshold.
    let [y, targets] = [[1.5, 0.5, -0.5], [0.5; 3]].map(|values| {
        let mut tensor = Tensor::zeros(&[3, 1]).unwrap();
        tensor.data_mut().copy_from_slice(&values);
        tensor
    });
    check_loss(&Huber::new(1.0).unwrap(), &y, &Targets::Values(&targets)).unwrap();
}
