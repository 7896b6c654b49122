//! Runs the examples on little data.

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::path::Path;

use example::{example, run, summary};

#[test]
fn fashion_mlp_leaves_everything_it_promises() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--quick", "--epochs", "4", "--activation", "relu,tanh"];
    let (ok, output) = run(example("fashion_mlp").args(flags).arg("--out").arg(folder.path()));
    assert!(ok, "{output}");
    assert!(output.starts_with("data: "), "{output}");
    for name in ["relu", "tanh"] {
        for epoch in [2, 4] {
            for what in ["weights", "biases"] {
                assert!(folder.path().join(format!("{epoch}_{name}_{what}.pkl")).exists());
            }
        }
        for picture in [format!("{name}_loss.png"), format!("{name}_loss.svg")] {
            assert!(folder.path().join(picture).exists());
        }
    }
    let summary = summary(folder.path());
    assert_eq!(summary["example"], "fashion_mlp");
    assert_eq!(summary["quick"], true);
    let runs = summary["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert_eq!(run["parameters"], 242_762);
        assert_eq!(run["epochs"], 4);
        assert_eq!(run["saved"].as_array().unwrap().len(), 2);
        for figure in ["train_loss", "validation_accuracy", "test_loss", "test_accuracy", "seconds_per_epoch"]
        {
            assert!(run[figure].is_f64(), "{figure}: {run}");
        }
    }
    let lines = fs::read_to_string(folder.path().join("history.csv")).unwrap();
    assert_eq!(lines.lines().count(), 1 + 2 * 4);
    let report = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(report.contains("A quick run (--quick)") && report.contains("<svg"));
    // A second run with --resume has nothing left to do.
    let (ok, output) =
        run(example("fashion_mlp").args(flags).arg("--resume").arg("--out").arg(folder.path()));
    assert!(ok && output.contains("relu: going on after epoch 4"), "{output}");
}

#[test]
fn the_drawn_sample_is_never_mistaken_for_the_real_set() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--quick", "--epochs", "1", "--activation", "relu"];
    let mut command = example("fashion_mlp");
    let (ok, output) = run(command.args(flags).arg("--out").arg(folder.path()).env_remove("BACKSTITCH_DATA"));
    assert!(ok, "{output}");
    assert!(output.starts_with("data: GENERATED SAMPLE of drawn garments, not Fashion-MNIST"), "{output}");
    let report = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(report.contains("Not the real data: GENERATED SAMPLE"));
    let name = summary(folder.path())["dataset"]["name"].to_string();
    assert!(name.contains("GENERATED SAMPLE"), "{name}");
}

#[test]
fn bad_flags_and_folders_are_errors_before_any_training() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let fails = |flags: &[&str], out: &Path, expected: &str| {
        let (ok, output) = run(example("fashion_mlp").arg("--out").arg(out).args(flags));
        assert!(!ok && output.contains(expected) && !output.contains("epoch 1/"), "{output}");
    };
    fails(&["--quick"], &file.join("runs"), "could not create the folder");
    let nowhere = folder.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    fails(
        &["--quick", "--data", nowhere],
        folder.path(),
        "train-images.idx3-ubyte, with .gz or without, got no such file",
    );
    fails(
        &["--activation", "swish"],
        folder.path(),
        "expected one of relu, sigmoid, linear, tanh, softmax, leaky_relu, elu, selu, softplus, hard_sigmoid, hard_tanh, relu6, log_softmax, got swish",
    );
    fails(&["--epochs", "0"], folder.path(), "expected at least 1, got 0");
}

#[test]
fn sklearn_comparison_shows_a_recorded_run_where_scikit_learn_is_not_installed() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = example("sklearn_comparison");
    command.args(["--quick", "--epochs", "2"]).arg("--out").arg(folder.path());
    let (ok, output) = run(command.env("BACKSTITCH_PYTHON", "no-such-python"));
    assert!(ok, "{output}");
    let report = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(report.contains("from a recorded run of scikit-learn 1."), "says so, with the version");
    let runs = summary(folder.path())["runs"].clone();
    for run in runs.as_array().unwrap() {
        assert_eq!(run["sklearn"]["recorded"], true);
        assert!(folder.path().join(format!("{}_comparison.png", run["name"].as_str().unwrap())).exists());
    }
}

#[test]
fn the_autograder_ends_with_the_worst_code_of_all_layers() {
    let grade = |names: &[&str]| {
        let output = example("lesson_autograder").args(names).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (output.status.code(), lines)
    };
    let (code, lines) = grade(&[]);
    assert_eq!((code, lines.len(), lines[0]["outcome"].as_str()), (Some(0), 1, Some("right")));
    let (code, lines) = grade(&["ben", "ada"]);
    assert_eq!((code, lines.len(), lines[0]["outcome"].as_str()), (Some(1), 2, Some("wrong")));
    assert!(lines[0]["message"].as_str().unwrap().contains("the worst is input["), "{}", lines[0]);
    let (code, lines) = grade(&["cleo", "ben"]);
    assert_eq!((code, lines[0]["outcome"].as_str()), (Some(2), Some("not checked")));
    assert!(lines[0]["message"].as_str().unwrap().contains("expected 2 axes, got [5]"), "{}", lines[0]);
    assert_eq!(grade(&["nobody"]).0, Some(2));
}
