//! Compares cross-entropy with PyTorch's in f64 and in f32, stored in fixtures/pytorch/loss.npz by the script beside
//! it.

use std::path::Path;

use backstitch::Scalar;
use backstitch::prelude::*;
use backstitch::{Number, npz};
use ndarray::{Array1, Array2, Array3};

const LOGITS: [&str; 6] = ["ordinary", "one_wins", "far", "equal", "many", "a_single_class"];

struct Fixture(npz::Archive);

impl Fixture {
    fn one<T: Number>(&mut self, name: &str) -> Array1<T> {
        self.0.read(name).unwrap().into_dimensionality().unwrap()
    }

    fn two<T: Number>(&mut self, name: &str) -> Array2<T> {
        self.0.read(name).unwrap().into_dimensionality().unwrap()
    }

    fn three(&mut self, name: &str) -> Array3<f64> {
        self.0.read(name).unwrap().into_dimensionality().unwrap()
    }
}

/// A stored case: its targets and its settings of the loss.
struct Case {
    logits: Array2<f32>,
    labels: Option<Vec<usize>>,
    rows: Array2<f64>,
    loss: CrossEntropy,
}

impl Case {
    fn run<F: Scalar>(&self) -> (f64, Vec<f64>) {
        let logits = Tensor::from_array(self.logits.mapv(|z| F::from_f64(f64::from(z))).into_dyn()).unwrap();
        let rows = Tensor::from_array(self.rows.mapv(F::from_f64).into_dyn()).unwrap();
        let targets = match &self.labels {
            Some(labels) => Targets::Classes(labels),
            None => Targets::Values(&rows),
        };
        let mut gradient = Tensor::default();
        let value = self.loss.loss(&logits, &targets, Some(&mut gradient)).unwrap().value();
        assert_eq!(
            self.loss.loss(&logits, &targets, None).unwrap().value(),
            value,
            "with a gradient and without"
        );
        (value, gradient.data().iter().map(|g| g.as_f64()).collect())
    }
}

/// The largest difference of two rows of numbers, and the largest number of the second.
fn apart(a: &[f64], b: &[f64]) -> (f64, f64) {
    assert_eq!(a.len(), b.len());
    let most = |values: &mut dyn Iterator<Item = f64>| {
        values.fold(0.0_f64, |most, v| if v > most || v.is_nan() { v } else { most })
    };
    (most(&mut a.iter().zip(b).map(|(a, b)| (a - b).abs())), most(&mut b.iter().map(|b| b.abs())))
}

#[test]
fn every_kind_of_cross_entropy_is_that_of_pytorch() {
    let path = format!("{}/fixtures/pytorch/loss.npz", env!("CARGO_MANIFEST_DIR"));
    let mut fixture = Fixture(npz::Archive::open(Path::new(&path)).unwrap());
    let mut compared = 0;
    for logits in LOGITS {
        let weights = fixture.one::<f64>(&format!("{logits}/weights")).to_vec();
        for kind in ["labels_at_largest", "labels", "soft", "one_hot"] {
            let at = |name: &str| format!("{logits}/{kind}/{name}");
            let labels = kind.starts_with("labels").then(|| {
                fixture.one::<i64>(&at("target")).iter().map(|&label| label as usize).collect::<Vec<_>>()
            });
            let rows = if labels.is_some() { Array2::zeros((0, 0)) } else { fixture.two(&at("target")) };
            let variants: Array2<f64> = fixture.two(&at("variants"));
            let [exact, theirs] = ["loss_f64", "loss_f32"].map(|name| fixture.one::<f64>(&at(name)));
            let [exact_gradient, their_gradient] =
                ["gradient_f64", "gradient_f32"].map(|name| fixture.three(&at(name)));
            for (i, variant) in variants.outer_iter().enumerate() {
                let mut loss = CrossEntropy::label_smoothing(variant[1]).unwrap();
                if variant[0] != 0.0 {
                    loss = loss.class_weights(weights.clone()).unwrap();
                }
                if variant[2] != 0.0 {
                    loss = loss.ignore_index(1);
                }
                let logits = fixture.two(&format!("{logits}/logits"));
                let case = Case { logits, labels: labels.clone(), rows: rows.clone(), loss };
                let what = format!("{} {variant}", at(""));
                let flat = |all: &Array3<f64>| {
                    all.index_axis(ndarray::Axis(0), i).iter().copied().collect::<Vec<_>>()
                };
                let (exact_gradient, their_gradient) = (flat(&exact_gradient), flat(&their_gradient));

                // In f64 both differ in the last digits only. PyTorch subtracts 1 from a number near 1, which loses
                // 1e-15.
                let (value, gradient) = case.run::<f64>();
                let error = (value - exact[i]).abs();
                assert!(error <= 1e-14 * exact[i] + 1e-15, "{what}: {value} {}", exact[i]);
                let (error, largest) = apart(&gradient, &exact_gradient);
                assert!(error <= 1e-14 * largest + 1e-15, "{what}: {gradient:?} {exact_gradient:?}");

                // In f32 the error is not larger than PyTorch's, except in the last digits.
                let rounding = 4.0 * f64::from(f32::EPSILON);
                let (value, gradient) = case.run::<f32>();
                let error = (value - exact[i]).abs();
                let allowed = (theirs[i] - exact[i]).abs() + rounding * exact[i] + 1e-15;
                assert!(error <= allowed, "{what}: {value} {} {}", exact[i], theirs[i]);
                let (error, largest) = apart(&gradient, &exact_gradient);
                let (their_error, _) = apart(&their_gradient, &exact_gradient);
                assert!(
                    error <= their_error + rounding * largest + 1e-15,
                    "{what}: {gradient:?} {exact_gradient:?}"
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 144);
}
