//! Every loss has PyTorch's value and gradient, in f64 and f32, with and without weights of samples; and passes the
//! gradient check. The cases are made by fixtures/pytorch/losses.py.

use std::sync::Arc;

use backstitch::gradcheck::check_loss;
use backstitch::prelude::*;
use serde_json::Value;

fn cases() -> Vec<Value> {
    let path = format!("{}/fixtures/pytorch/losses.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn tensor<F: Scalar>(shape: &[usize], values: &[f64]) -> Tensor<F> {
    let mut tensor = Tensor::zeros(shape).unwrap();
    tensor.data_mut().iter_mut().zip(values).for_each(|(to, &v)| *to = F::from_f64(v));
    tensor
}

fn loss_of<F: Scalar>(case: &Value) -> Arc<dyn Loss<F>> {
    match case["name"].as_str().unwrap() {
        "mse" => Arc::new(MSE),
        "mae" => Arc::new(MAE),
        "huber" => Arc::new(Huber::new(1.5).unwrap()),
        "bce" | "bce_large" => Arc::new(BceWithLogits::new()),
        "bce_weights" => Arc::new(BceWithLogits::positive_weights(&numbers(&case["weights"])).unwrap()),
        "hinge" => Arc::new(HINGE),
        "multi_class_hinge" => Arc::new(MultiClassHinge),
        "kl" => Arc::new(KlDivergence),
        "gaussian_nll" => Arc::new(GaussianNll),
        "positions" => Arc::new(CrossEntropy::new()),
        other => panic!("no loss is called {other}"),
    }
}

/// Outputs, and calls `f` with the targets.
fn with<F: Scalar, T>(case: &Value, f: impl FnOnce(&Tensor<F>, &Targets<'_, F>) -> T) -> T {
    let shape: Vec<usize> = numbers(&case["shape"]).iter().map(|&v| v as usize).collect();
    let (y, targets) = (tensor(&shape, &numbers(&case["y"])), numbers(&case["targets"]));
    if ["multi_class_hinge", "positions"].contains(&case["name"].as_str().unwrap()) {
        let classes: Vec<usize> = targets.iter().map(|&v| v as usize).collect();
        return f(&y, &Targets::Classes(&classes));
    }
    let width = targets.len() / shape[0];
    f(&y, &Targets::Values(&tensor(&[shape[0], width], &targets)))
}

fn is_pytorchs<F: Scalar>(case: &Value, tolerance: f64) {
    let (name, loss) = (&case["name"], loss_of::<F>(case));
    with(case, |y: &Tensor<F>, targets| {
        let mut dy = tensor(&y.shape(), &vec![f64::NAN; y.data().len()]);
        let mean = loss.loss(y, targets, Some(&mut dy)).unwrap();
        let expected = case["loss"].as_f64().unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= tolerance * b.abs().max(1e-3);
        assert!(close(mean.value(), expected), "{name}: {} {expected}", mean.value());
        for (i, (dy, expected)) in dy.data().iter().zip(numbers(&case["gradient"])).enumerate() {
            assert!(close(dy.as_f64(), expected), "{name} at {i}: {dy} {expected}");
        }
        assert_eq!(loss.loss(y, targets, None).unwrap(), mean, "{name} without a gradient");
        // Equal weights change nothing, and a sample with weight 3 counts as three samples.
        let same = loss.weighted(y, targets, &vec![2.0; y.batch()], None).unwrap();
        assert!(close(same.value(), mean.value()), "{name}");
    });
}

#[test]
fn every_loss_is_that_of_pytorch() {
    let cases = cases();
    assert_eq!(cases.len(), 11);
    for case in &cases {
        is_pytorchs::<f64>(case, 1e-12);
        is_pytorchs::<f32>(case, 2e-6);
    }
}

#[test]
fn every_loss_is_proved() {
    for case in cases().iter().filter(|case| case["name"] != "bce_large") {
        let loss = loss_of::<f64>(case);
        let passed = with(case, |y, targets| check_loss(&*loss, y, targets)).unwrap();
        assert_eq!(passed.compared, numbers(&case["y"]).len(), "{}", case["name"]);
    }
}

#[test]
fn a_sample_of_weight_three_counts_as_three_samples() {
    let (y, t) = (tensor(&[2, 2], &[0.3, -1.0, 2.0, 0.5]), tensor(&[2, 2], &[1.0, 0.0, 0.0, 1.0]));
    let (many_y, many_t) = (
        tensor(&[4, 2], &[0.3, -1.0, 2.0, 0.5, 2.0, 0.5, 2.0, 0.5]),
        tensor(&[4, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]),
    );
    let losses: [Arc<dyn Loss<f64>>; 4] = [
        Arc::new(MSE),
        Arc::new(BceWithLogits::new()),
        Arc::new(CrossEntropy::new()),
        Arc::new(KlDivergence),
    ];
    for loss in losses {
        let (mut one, mut many) = (y.clone(), many_y.clone());
        let weighted = loss.weighted(&y, &Targets::Values(&t), &[1.0, 3.0], Some(&mut one)).unwrap();
        let repeated = loss.loss(&many_y, &Targets::Values(&many_t), Some(&mut many)).unwrap();
        assert!((weighted.value() - repeated.value()).abs() < 1e-12, "{loss:?}");
        let three = |i: usize| (0..3).map(|k| many.data()[2 + 2 * k + i]).sum::<f64>();
        for i in 0..2 {
            assert!((one.data()[i] - many.data()[i]).abs() < 1e-12, "{loss:?}");
            assert!((one.data()[2 + i] - three(i)).abs() < 1e-12, "{loss:?}");
        }
        assert!(loss.weighted(&y, &Targets::Values(&t), &[1.0], None).is_err());
        assert!(loss.weighted(&y, &Targets::Values(&t), &[1.0, 0.0], None).is_err());
    }
}

#[test]
fn targets_that_do_not_fit_are_refused_before_training() {
    let shape = |loss: &dyn Loss<f64>, output: &[usize], targets: Targets<'_, f64>| {
        loss.check(output, &targets).unwrap_err().to_string()
    };
    let three = Tensor::zeros(&[4, 3]).unwrap();
    let got = shape(&MSE, &[10], Targets::Values(&three));
    assert_eq!(got, "targets: expected values of shape [10], as the outputs, got [3]");
    assert!(shape(&MSE, &[3], Targets::Classes(&[0, 1])).contains("got classes"));
    assert!(shape(&CrossEntropy::new(), &[3], Targets::Classes(&[0, 3])).contains("from 0 to 2, got 3"));
    assert!(shape(&CrossEntropy::new(), &[10], Targets::Values(&three)).contains("[10]"));
    assert!(shape(&MultiClassHinge, &[3], Targets::Values(&three)).contains("expected classes"));
    assert!(shape(&GaussianNll, &[3], Targets::Values(&three)).contains("an even last axis"));
    let wrong = tensor(&[1, 2], &[0.5, 1.5]);
    assert!(shape(&BceWithLogits::new(), &[2], Targets::Values(&wrong)).contains("from 0 to 1, got 1.5"));
    // And in fit, where the message gives the shape of the model's output.
    let data: Dataset =
        Dataset::values(ndarray::Array2::zeros((4, 2)), ndarray::Array2::zeros((4, 3))).unwrap();
    let mut model = Model::new(dense(10), &[2], 0).unwrap();
    let error = Trainer::new(Sgd::new(0.1)).batch_size(2).fit(&mut model, &data).unwrap_err().to_string();
    assert!(error.contains("expected values of shape [10]") && error.contains("got [3]"), "{error}");
}
