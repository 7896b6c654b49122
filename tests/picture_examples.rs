//! Runs the examples that draw or label pictures on little data, and checks the derivatives of their own layers and losses.

#[path = "common/example.rs"]
mod example;

#[path = "../examples/vae/elbo.rs"]
mod elbo;

use std::fs;
use std::path::Path;

use backstitch::ndarray::{Array2, array};
use backstitch::prelude::*;
use elbo::{Elbo, Reparametrize};
use example::{example, run, summary};
use serde_json::Value;

/// Runs an example with `--quick`, looks for its files, and returns its summary and report.
fn quick(name: &str, flags: &[&str], files: &[&str], folder: &Path) -> (Value, String) {
    let (ok, output) = run(example(name).arg("--quick").args(flags).arg("--out").arg(folder));
    assert!(ok, "{output}");
    for file in files.iter().chain(&["history.csv"]) {
        assert!(folder.join(file).exists(), "{file}");
    }
    let report = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(report.contains("A quick run (--quick)") && report.contains("data:image/png;base64,"));
    assert_eq!(summary(folder)["example"], name);
    (summary(folder), report)
}

#[test]
fn the_derivatives_of_the_variational_autoencoder_are_right() {
    for ctx in [Context::train(3, 1), Context::evaluate()] {
        check_layer(Reparametrize, &[6], 4, &ctx, 1).unwrap();
    }
    let y = Array2::from_shape_fn((3, 9), |(i, j)| 0.37 * ((5 * i + 3 * j) % 11) as f64 - 1.7);
    let t = array![[0.0, 1.0, 0.3, 0.5, 0.9], [1.0, 0.0, 0.2, 0.7, 0.1], [0.4, 0.4, 0.0, 1.0, 1.0]];
    let (y, t) = (Tensor::from_array(y).unwrap(), Tensor::from_array(t).unwrap());
    check_loss(&Elbo { code: 2 }, &y, &Targets::Values(&t)).unwrap();
}

#[test]
fn the_bound_has_the_value_of_its_formula() {
    // A code of N(1, 1) is 1/2 nat from N(0, 1). A logit of 0 costs log 2 for every pixel, whatever its target.
    let y = Tensor::from_array(array![[0.0_f64, 0.0, 1.0, 0.0]]).unwrap();
    let t = Tensor::from_array(array![[0.3, 1.0]]).unwrap();
    let mean = Elbo { code: 1 }.loss(&y, &Targets::Values(&t), None).unwrap();
    assert!((mean.value() - (0.5 + 2.0 * 2.0_f64.ln())).abs() < 1e-12, "{mean:?}");
    let wrong = Loss::<f64>::check(&Elbo { code: 2 }, &[4], &Targets::Values(&t)).unwrap_err().to_string();
    assert_eq!(wrong, "model output: expected pixels and 4 numbers of the code, got [4]");
    let error = Layer::<f64>::output_shape(&Reparametrize, &[3]).unwrap_err().to_string();
    assert!(error.contains("[2k]: means, then logarithms of variances, got [3]"), "{error}");
}

#[test]
fn vae_draws_the_plane_of_codes() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["plane.png", "samples_2.png", "samples_20.png", "reconstructions.png", "code_2.safetensors"];
    let (summary, report) = quick("vae", &["--epochs", "2"], &files, folder.path());
    let runs = summary["runs"].as_array().unwrap();
    assert_eq!((&runs[0]["code"], &runs[1]["code"]), (&2.into(), &20.into()));
    for run in runs {
        let [loss, kl] = ["test_loss", "test_kl"].map(|name| run[name].as_f64().unwrap());
        assert!(kl > 0.0 && loss > kl, "{run}");
    }
    assert!(report.contains("Evidence lower bound on the test set"));
}

#[test]
fn segmentation_labels_pixels_of_generated_scenes() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["scenes.png", "mean_iou.svg", "U-Net.safetensors"];
    let (summary, report) = quick("segmentation", &["--epochs", "1"], &files, folder.path());
    let runs = summary["runs"].as_array().unwrap();
    assert_eq!(
        runs.iter().map(|run| run["name"].clone()).collect::<Vec<_>>(),
        ["U-Net", "without skip connections"]
    );
    // The skip connections only make the convolutions wider that read them.
    assert!(runs[0]["parameters"].as_u64() > runs[1]["parameters"].as_u64());
    for run in runs {
        let iou = run["test_mean_iou"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&iou) && run["test_iou"].as_array().unwrap().len() == 6, "{run}");
    }
    assert!(report.contains("IoU on the test scenes"));
}

#[test]
fn gan_trains_two_networks_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["by_epoch.png", "samples.png", "nearest.png", "losses.svg", "generator.safetensors"];
    let (summary, report) = quick("gan", &["--epochs", "2"], &files, folder.path());
    let run = &summary["runs"][0];
    for figure in ["discriminator_loss", "generator_loss"] {
        assert!(run[figure].as_f64().unwrap() > 0.0, "{run}");
    }
    let lines = fs::read_to_string(folder.path().join("history.csv")).unwrap();
    assert_eq!(lines.lines().count(), 3);
    assert!(report.contains("The same 16 noises after each epoch"));
}

#[test]
fn autoencoder_compares_sizes_of_codes() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["reconstructions.png", "error_by_code.svg", "convolutional_8.safetensors"];
    let (summary, report) = quick("autoencoder", &["--epochs", "1"], &files, folder.path());
    let runs = summary["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 9);
    // More directions never make the error of principal component analysis larger on its own kind of pictures.
    let error = |i: usize| runs[i]["test_loss"].as_f64().unwrap();
    assert!(error(0) > error(1) && error(1) > error(2) && error(2) > 0.0, "{runs:?}");
    assert!(report.contains("Mean squared error of a pixel on the test set"));
}
