//! Runs the examples for photographs and interpretability methods on little data.

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
    (summary(folder), fs::read_to_string(folder.join("report.html")).unwrap())
}

#[test]
fn caltech_lenet5_leaves_weights_that_activations_looks_into() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("caltech_lenet5", &["--only", "dropout", "--class-weights"], folder.path());
    let run_of = &summary["runs"][0];
    assert_eq!(run_of["name"], "dropout");
    for figure in ["train_loss", "validation_accuracy", "seconds_per_epoch"] {
        assert!(run_of[figure].is_f64(), "{figure}: {run_of}");
    }
    assert!(run_of["test_accuracy"].is_null(), "there is no test set");
    assert!(report.contains("balanced accuracy") && report.contains("Every class, the weakest first"));
    for file in ["confusion.svg", "confusion.png", "best_loss.svg", "history.csv"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
    let weights = folder.path().join("weights.safetensors");
    let seen = folder.path().join("seen");
    let (summary, _) = quick("activations", &["--weights", weights.to_str().unwrap()], &seen);
    let maps: Vec<_> = summary["runs"].as_array().unwrap().iter().map(|run| run["maps"].clone()).collect();
    assert_eq!(maps, [32, 64, 32, 64]);
    assert!(seen.join("filters.png").exists());
}

#[test]
fn what_cannot_be_trained_is_said_before_training() {
    let (ok, output) = run(example("caltech_lenet5").args(["--quick", "--only", "everything"]));
    assert!(!ok && output.contains("--only: expected one of the text's, same padding"), "{output}");
    let root = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        let class = root.path().join("caltech101-64").join(part).join("a");
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join("1.jpg"), b"no picture").unwrap();
    }
    let with = |flags: &[&str]| {
        let out = root.path().join("out");
        run(example("caltech_resnet18")
            .args(["--quick", "--data"])
            .arg(root.path())
            .args(flags)
            .arg("--out")
            .arg(out))
    };
    let (ok, output) = with(&[]);
    assert!(
        !ok && output.contains("1.jpg: expected a PNG or JPEG picture, got a file that begins with"),
        "{output}"
    );
    let (ok, output) = with(&["--skip-broken"]);
    assert!(!ok && output.contains("a: expected a class with pictures, got only broken files"), "{output}");
}

#[test]
fn caltech_resnet18_stands_beside_lenet5() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("caltech_resnet18", &[], folder.path());
    let names: Vec<_> = summary["runs"].as_array().unwrap().iter().map(|run| run["name"].clone()).collect();
    assert_eq!(names, ["LeNet5", "ResNet-18"]);
    assert!(report.contains("points gained") && report.contains(" over LeNet5"));
}

#[test]
fn class_visualization_shows_classes_and_layers() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--model", "lenet", "--layer", "conv2", "--filter", "5", "--iterations", "15"];
    let (summary, report) = quick("class_visualization", &flags, folder.path());
    let runs = summary["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 10);
    let grown = runs.iter().filter(|run| run["logit"].as_f64() > run["start"].as_f64()).count();
    assert!(grown >= 9, "logits grow: {runs:?}");
    assert!(report.contains("Zeros among each layer"));
    for file in ["classes.png", "saliency.png", "layers.png", "filter.png", "weights.safetensors"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
    let weights = folder.path().join("weights.safetensors");
    let wrong = |flags: &[&str]| {
        let mut command = example("class_visualization");
        let output = folder.path().join("wrong");
        let (ok, output) = run(command
            .args(["--quick", "--iterations", "1", "--weights"])
            .arg(&weights)
            .args(flags)
            .arg("--out")
            .arg(output));
        assert!(!ok, "{output}");
        output
    };
    let error = wrong(&["--layer", "conv9"]);
    assert!(error.contains("conv9") && error.contains("conv1, avgpool1"), "{error}");
    let error = wrong(&["--layer", "conv1", "--filter", "6"]);
    assert!(error.contains("channel: expected from 0 to 5"), "{error}");
    assert!(wrong(&["--model", "cnn4"]).contains("missing"), "another network's weights");
}

#[test]
fn pretrained_networks_are_looked_into_where_their_weights_are() {
    for name in ["class_visualization", "grad_cam"] {
        let mut command = example(name);
        let (ok, output) =
            run(command.env_remove("BACKSTITCH_DATA").args(["--quick", "--model", "squeezenet"]));
        assert!(!ok && output.contains("expected the folder of its weights"), "{output}");
    }
    if std::env::var_os("BACKSTITCH_DATA").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (summary, report) = quick("grad_cam", &["--model", "squeezenet"], folder.path());
    for photograph in summary["runs"].as_array().unwrap() {
        assert!(photograph["probability"].as_f64() > Some(0.99), "{photograph}");
        assert!(photograph["highest_fifth_covered"].as_f64() < photograph["lowest_fifth_covered"].as_f64());
    }
    assert!(report.contains("giant panda"));
    for (network, file) in [("squeezenet", "classes.png"), ("vgg16", "weights.safetensors")] {
        let folder = folder.path().join(network);
        quick("class_visualization", &["--model", network], &folder);
        assert!(folder.join(file).exists());
    }
}

#[test]
fn what_was_pretrained_here_is_a_base_for_garments() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, _) = quick("pretrain_vgg16", &[], folder.path());
    assert_eq!(summary["runs"][0]["name"], "VGG16");
    let weights = folder.path().join("vgg16.safetensors");
    let out = folder.path().join("transfer");
    let (summary, report) = quick("vgg16_transfer", &["--backbone", weights.to_str().unwrap()], &out);
    let names: Vec<_> = summary["runs"].as_array().unwrap().iter().map(|run| run["name"].clone()).collect();
    assert_eq!(names, ["pretrained, frozen", "random, frozen", "from scratch, in the same time"]);
    assert!(report.contains("points of test accuracy over random ones"));
    for file in ["pretrained_loss.svg", "pretrained_confusion.png", "history.csv"] {
        assert!(out.join(file).exists(), "{file}");
    }
    let events = fs::read_dir(out.join("tensorboard/pretrained_frozen")).unwrap();
    assert_eq!(events.count(), 1);
    // A file of another network, and a missing file, are errors before anything is computed.
    let wrong = |backbone: &str, message: &str| {
        let mut command = example("vgg16_transfer");
        let (ok, output) =
            run(command.args(["--quick", "--backbone", backbone]).arg("--out").arg(folder.path().join("x")));
        assert!(!ok && output.contains(message), "{output}");
    };
    let other = folder.path().join("other.safetensors");
    let net = backstitch::prelude::Net::new().push(backstitch::prelude::flatten());
    let model: backstitch::prelude::Model = backstitch::prelude::Model::new(net, &[2, 2, 1], 0).unwrap();
    backstitch::safetensors::save(&other, &model).unwrap();
    wrong(other.to_str().unwrap(), "missing [\"bn1-1.bias\"");
    wrong("no/such/file", "could not open");
    wrong("vgg16", "name torchvision's file by --weights");
}
