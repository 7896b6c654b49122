//! Weights of a recurrent network from PyTorch, and for PyTorch.

use std::path::{Path, PathBuf};
use std::process::Command;

use backstitch::prelude::*;
use backstitch::pytorch::recurrent_name;
use backstitch::{npz, pytorch};
use ndarray::ArrayD;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pytorch").join(name)
}

fn numbers(path: &Path, name: &str) -> ArrayD<f32> {
    npz::Archive::open(path).unwrap().read(name).unwrap()
}

/// The network of fixtures/pytorch/text_models.py.
fn characters(seed: u64) -> Model {
    let net = chain![
        "embedding" => embedding(11, 5),
        "lstm" => lstm(4).layers(2).bidirectional(),
        "fc" => dense(11),
    ];
    Model::new(net, &[7], seed).unwrap()
}

fn compare(model: &Model, expected: &ArrayD<f32>) {
    let y = model.predict(numbers(&fixture("text_models.npz"), "ids").view()).unwrap();
    assert_eq!(y.shape(), expected.shape());
    let error = y.iter().zip(expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(error < 1e-5, "{error}: {y} {expected}");
}

#[test]
fn both_forms_of_file_give_pytorchs_logits() {
    let expected = numbers(&fixture("text_models.npz"), "logits");
    for file in ["characters.pth", "characters.safetensors"] {
        let mut model = characters(1);
        pytorch::load(fixture(file), &mut model, recurrent_name).unwrap();
        compare(&model, &expected);
    }
}

#[test]
fn without_the_names_of_pytorch_nothing_changes() {
    let mut model = characters(1);
    let error = pytorch::load(fixture("characters.pth"), &mut model, str::to_owned).unwrap_err().to_string();
    assert!(error.contains("lstm.l0.forward.bias_hh") && error.contains("lstm.bias_hh_l0"), "{error}");
    assert_eq!(model.state(), characters(1).state());
}

#[test]
fn what_is_saved_comes_back_and_is_loaded_by_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("characters.safetensors");
    let (model, mut loaded) = (characters(3), characters(4));
    pytorch::save(&path, &model, recurrent_name).unwrap();
    pytorch::load(&path, &mut loaded, recurrent_name).unwrap();
    assert_eq!(loaded.state(), model.state());
    let Some(python) = std::env::var_os("BACKSTITCH_PYTHON") else { return };
    let installed = Command::new(&python).args(["-c", "import torch, safetensors"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        println!("torch is not installed: nothing to compare with");
        return;
    }
    let made = Command::new(&python).arg(fixture("text_models.py")).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    compare(&model, &numbers(&folder.path().join("logits.npz"), "logits"));
}
