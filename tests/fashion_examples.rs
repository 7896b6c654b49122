//! Runs the examples for the assignments with Fashion-MNIST on little data.

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::path::Path;

use example::{example, run, summary};
use serde_json::Value;

/// Runs an example with `--quick` and returns its summary and report.
fn quick(name: &str, flags: &[&str], folder: &Path) -> (Value, String) {
    let (ok, output) = run(example(name).arg("--quick").args(flags).arg("--out").arg(folder));
    assert!(ok, "{output}");
    let report = fs::read_to_string(folder.join("report.html")).unwrap();
    (summary(folder), report)
}

#[test]
fn cnn_vs_fcnn_compares_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("cnn_vs_fcnn", &["--model-number", "2", "--tune"], folder.path());
    let runs = summary["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["parameters"], 61_514);
    assert_eq!(runs[0]["tuned"].as_array().unwrap().len(), 3);
    for figure in ["train_loss", "validation_accuracy", "test_loss", "test_accuracy", "test_f1_macro"] {
        assert!(runs[0][figure].is_f64(), "{figure}: {}", runs[0]);
    }
    assert!(report.contains("61514") && report.contains("the fixed 0.001 costs it"), "{report}");
    let (ok, output) = run(example("cnn_vs_fcnn").args(["--quick", "--model-number", "5"]));
    assert!(!ok && output.contains("5 is not in 1..=4"), "{output}");
}

#[test]
fn architecture_comparison_submits_pictures_without_labels() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<String> = (1..=784).map(|i| format!("pixel{i}")).collect();
    let csv = folder.path().join("test.csv");
    fs::write(&csv, format!("{}\n{}\n{}\n", pixels.join(","), ["0"; 784].join(","), ["200"; 784].join(",")))
        .unwrap();
    let flags = ["--part", "optimizers", "--submit", csv.to_str().unwrap()];
    let (summary, report) = quick("architecture_comparison", &flags, &folder.path().join("out"));
    let names: Vec<_> = summary["runs"].as_array().unwrap().iter().map(|run| run["name"].clone()).collect();
    assert_eq!(names, ["traditional CNN", "RMSprop", "SGD"]);
    assert!(report.contains("(1.0896)"), "the text's figure stands beside ours");
    let submission = fs::read_to_string(folder.path().join("out/submission.csv")).unwrap();
    let lines: Vec<&str> = submission.lines().collect();
    assert_eq!(lines[0], "id,label");
    assert!(lines[1].starts_with("0,") && lines[2].starts_with("1,") && lines.len() == 3);
    // An error in the file is found before training begins.
    fs::write(&csv, format!("{}\n{}\n", pixels.join(","), ["300"; 784].join(","))).unwrap();
    let (ok, output) = run(example("architecture_comparison").arg("--quick").args(flags));
    assert!(!ok && output.contains("line 2: expected a number from 0 to 255 in column pixel1"), "{output}");
    assert!(!output.contains("epoch 1"), "{output}");
}

#[test]
fn lenet_fashion_chooses_by_cross_validation() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("lenet_fashion", &["--folds", "2", "--epochs", "1"], folder.path());
    assert_eq!(summary["runs"].as_array().unwrap().len(), 2);
    assert_eq!(summary["runs"][0]["parameters"], 61_706);
    assert!(report.contains("mean accuracy") && report.contains("data:image/png;base64,"));
    for file in ["confusion.png", "filters.png", "loss.svg", "history.csv"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
    let (ok, output) =
        run(example("lenet_fashion").args(["--quick", "--folds", "1"]).arg("--out").arg(folder.path()));
    assert!(!ok && output.contains("folds: expected from 2 to"), "{output}");
}

#[test]
fn edge_filters_respond_to_their_own_edges() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, _) = quick("edge_filters", &[], folder.path());
    // A square has as many horizontal as vertical edges.
    assert_eq!(summary["runs"][1]["vertical"], summary["runs"][1]["horizontal"]);
    assert!(folder.path().join("garment.png").exists());
    let (ok, output) =
        run(example("edge_filters").args(["--picture", "10000"]).arg("--out").arg(folder.path()));
    assert!(!ok && output.contains("--picture: expected below"), "{output}");
}

#[test]
fn cnn_arithmetic_has_the_right_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("cnn_arithmetic", &[], folder.path());
    let runs = &summary["runs"];
    assert_eq!(runs[0]["output"], "[28, 28, 3]");
    assert_eq!((&runs[0]["padding_same"], &runs[0]["parameters"]), (&2.into(), &78.into()));
    assert_eq!(runs[1]["parameters"], 903_400);
    assert_eq!(runs[2]["multiply_adds"], serde_json::json!([120_422_400, 12_443_648]));
    assert_eq!(runs[2]["counted"], serde_json::json!([120_422_400, 2_408_448, 10_035_200]));
    assert!(report.contains("as in the table") && !report.contains("NOT as in"));
}

#[test]
fn kl_cross_entropy_shows_the_identity() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, _) = quick("kl_cross_entropy", &[], folder.path());
    for run in summary["runs"].as_array().unwrap() {
        let [ce, h, kl, gap] =
            ["cross_entropy", "entropy", "kl", "gradient_gap"].map(|name| run[name].as_f64().unwrap());
        assert!((ce - h - kl).abs() < 1e-12 * (1.0 + ce) && gap < 1e-7, "{run}");
    }
    assert_eq!(summary["runs"][0]["entropy"], 0.0);
}

#[test]
fn grad_cam_shows_where_and_what() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("grad_cam", &[], folder.path());
    assert_eq!(summary["runs"].as_array().unwrap().len(), 2);
    assert!(report.contains("Right predictions") && report.contains("reaches"), "{report}");
    for file in ["right.png", "wrong.png", "neurons.png", "weights.safetensors"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
    // Its own weights, loaded again, give the same network. Weights of another network are an error that lists every
    // name.
    let weights = folder.path().join("weights.safetensors");
    let (again, _) =
        quick("grad_cam", &["--weights", weights.to_str().unwrap()], &folder.path().join("again"));
    assert_eq!(again["runs"][0]["test_accuracy"], summary["runs"][0]["test_accuracy"]);
    let flags = ["--quick", "--model", "cnn4", "--weights", weights.to_str().unwrap()];
    let (ok, output) = run(example("grad_cam").args(flags).arg("--out").arg(folder.path()));
    assert!(!ok && output.contains("state does not fit the model"), "{output}");
}
