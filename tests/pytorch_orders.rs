//! Weights of PyTorch after a flatten, in every form of file; and our weights for PyTorch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backstitch::layers::{Conv2d, Dense};
use backstitch::prelude::*;
use backstitch::{npz, pytorch, safetensors};
use ndarray::ArrayD;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pytorch").join(name)
}

fn form(name: &str) -> PathBuf {
    fixture("forms").join(name)
}

fn numbers(path: &Path, name: &str) -> ArrayD<f32> {
    npz::Archive::open(path).unwrap().read(name).unwrap()
}

fn recorded(name: &str) -> ArrayD<f32> {
    numbers(&fixture("orders.npz"), name)
}

fn seq() -> Net {
    Net::new()
}

fn conv(filters: usize, kernel: impl Into<Pair>) -> Conv2d {
    conv2d(filters, kernel)
}

fn linear(units: usize) -> Dense {
    dense(units)
}

/// The networks of fixtures/pytorch/orders.py, with the same names.
fn nets() -> Vec<(&'static str, Net)> {
    let (relu, tanh) = (Activation::Relu, Activation::Tanh);
    vec![
        ("norm", norm()),
        (
            "branches",
            seq()
                .push(conv(3, 2))
                .push(concat([
                    seq().push(global_avg_pool()),
                    seq().push(conv(2, 1)).push(flatten()).push(dense(5).activation(tanh)),
                    seq().push(max_pool([1, 2])).push(flatten()),
                ]))
                .push(batch_norm())
                .push(linear(4)),
        ),
        (
            "residual",
            seq()
                .push(flatten())
                .push(residual(seq().push(dense(24).activation(relu)).push(batch_norm()), seq()))
                .push(batch_norm())
                .push(linear(3)),
        ),
        (
            "projection",
            seq()
                .push(flatten())
                .push(residual(seq().push(linear(6)), seq().push(linear(6))))
                .push(linear(3)),
        ),
        (
            "shortcut",
            seq()
                .push(residual(
                    seq().push(conv(3, 2)).push(flatten()).push(linear(24)),
                    seq().push(flatten()),
                ))
                .push(linear(3)),
        ),
        ("nested_residual", {
            let inner = residual(seq().push(linear(7)).push(linear(24)), seq());
            let main = seq().push(linear(24)).push(inner);
            seq().push(flatten()).push(residual(main, seq())).push(linear(3))
        }),
        (
            "heads",
            seq().push(conv(3, 2)).push(concat([
                seq().push(flatten()).push(linear(2)),
                seq().push(flatten()).push(dense(4).activation(tanh)).push(linear(3)),
            ])),
        ),
        (
            "nested",
            seq()
                .named(
                    "features",
                    seq().push(conv(3, 2)).push(seq().push(max_pool([1, 2]).stride(1)).push(flatten())),
                )
                .push(dropout(0.5))
                .push(activation(relu))
                .push(linear(4)),
        ),
        (
            "flattened",
            seq()
                .push(concat([
                    seq().push(conv(2, 2)).push(flatten()),
                    seq().push(conv(3, [3, 2])).push(flatten()),
                ]))
                .push(batch_norm())
                .push(linear(3)),
        ),
        (
            "residual_of_concat",
            seq()
                .push(concat([seq().push(conv(2, 2)).push(flatten()), seq().push(flatten())]))
                .push(residual(seq().push(linear(36)), seq()))
                .push(linear(3)),
        ),
        ("pooled", seq().push(conv(5, 2)).push(global_avg_pool()).push(batch_norm()).push(linear(3))),
        ("one_place", seq().push(conv(5, [3, 4])).push(flatten()).push(batch_norm()).push(linear(3))),
        (
            "without_bias",
            seq().push(conv(3, 2).without_bias()).push(flatten()).push(linear(3).without_bias()),
        ),
        ("lines", seq().push(flatten()).push(batch_norm()).push(linear(3))),
    ]
}

fn norm() -> Net {
    seq().push(conv(3, [2, 3])).push(flatten()).push(batch_norm().relu()).push(linear(4))
}

fn build(name: &str, net: Net, seed: u64) -> Model {
    let input: &[usize] = if name == "lines" { &[3, 4] } else { &[3, 4, 2] };
    Model::new(net, input, seed).unwrap()
}

fn compare(name: &str, model: &Model, x: &ArrayD<f32>, expected: &ArrayD<f32>) {
    let y = model.predict(x.view()).unwrap();
    assert_eq!(y.shape(), expected.shape(), "{name}");
    let error = y.iter().zip(expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(error < 2e-6, "{name}: {error}, {y} {expected}");
}

#[test]
fn behind_a_flatten_every_layer_gets_its_features_in_order() {
    for (name, net) in nets() {
        let mut model = build(name, net, 1);
        pytorch::load_part(fixture("orders.safetensors"), &mut model, "*", |own| format!("{name}.{own}"))
            .unwrap();
        compare(name, &model, &recorded(&format!("{name}/x")), &recorded(&format!("{name}/y")));
    }
}

fn same(a: &Model, b: &Model) -> bool {
    a.state() == b.state()
}

/// A different number in every place, with variances above 0.
fn disturb(model: &mut Model) {
    let mut i = 0.0;
    for mut slot in model.slots_mut() {
        for value in slot.data_mut() {
            i += 1.0_f32;
            *value = 0.55 + 0.4 * (i * 1.7).sin();
        }
    }
}

#[test]
fn what_is_saved_for_pytorch_comes_back_and_is_loaded_there_by_its_own_names() {
    let folder = tempfile::tempdir().unwrap();
    for ((name, net), (_, other)) in nets().into_iter().zip(nets()) {
        let (mut model, mut loaded) = (build(name, net, 1), build(name, other, 2));
        disturb(&mut model);
        let path = folder.path().join(format!("{name}.safetensors"));
        pytorch::save(&path, &model, str::to_owned).unwrap();
        pytorch::load(&path, &mut loaded, str::to_owned).unwrap();
        assert!(same(&model, &loaded), "{name}");
    }
    let Some(python) = std::env::var_os("BACKSTITCH_PYTHON") else { return };
    let installed = Command::new(&python).args(["-c", "import torch, safetensors"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        println!("torch is not installed: nothing to compare with");
        return;
    }
    let made = Command::new(&python).arg(fixture("orders.py")).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for (name, net) in nets() {
        let mut model = build(name, net, 1);
        disturb(&mut model);
        let expected = numbers(&folder.path().join("outputs.npz"), name);
        let y = model.predict(recorded(&format!("{name}/x")).view()).unwrap();
        let largest = expected.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
        let close = y.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5 * largest);
        assert!(close, "{name}: {y} {expected}");
    }
}

#[test]
fn a_name_for_two_tensors_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let model = build("norm", norm(), 1);
    for name in ["one", "__metadata__"] {
        let error = pytorch::save(&path, &model, |_| name.to_owned()).unwrap_err().to_string();
        assert!(error.contains("a different name for every tensor") && !path.exists(), "{error}");
    }
}

#[test]
fn every_form_of_weights_is_read() {
    let x = recorded("norm/x");
    for (file, expected) in [
        ("weights_of_21_letters.pth", "norm/y"),
        ("legacy.pth", "norm/y"),
        ("wrapped.pth", "norm/y"),
        ("compiled.safetensors", "norm/y"),
        ("f16.safetensors", "f16/y"),
        ("f16.pth", "f16/y"),
        ("bf16.safetensors", "bf16/y"),
        ("bf16.pth", "bf16/y"),
    ] {
        let mut model = build("norm", norm(), 1);
        pytorch::load(form(file), &mut model, str::to_owned).unwrap();
        compare(file, &model, &x, &recorded(expected));
    }
    for file in ["tied.pth", "tied.safetensors"] {
        let mut model: Model = Model::new(seq().push(linear(3)).push(linear(3)), &[3], 1).unwrap();
        pytorch::load(form(file), &mut model, str::to_owned).unwrap();
        assert_eq!(model.state()["dense1.weight"], model.state()["dense2.weight"]);
        compare(file, &model, &recorded("tied/x"), &recorded("tied/y"));
    }
}

#[test]
fn what_cannot_be_read_is_named_in_a_line_and_changes_nothing() {
    for (file, expected) in [
        ("seven_axes.pth", "expected tensors with at most 6 axes, got dense1.weight with 7"),
        ("integers.pth", "expected numbers of f16, bf16, f32 or f64, got dense1.weight of I32"),
        ("float8.safetensors", "expected numbers of f16, bf16, f32 or f64, got dense1.weight of F8_E4M3"),
        ("float8.pth", "torch.float8_e4m3fn"),
        ("generator.pth", "got them with the prefix \"generator.\": let name_in_file add it"),
        ("two_of_them.pth", "got them with each of the prefixes [\"model.\", \"state_dict.\"]"),
        ("tied.pth", "state does not fit the model: missing [\"batchnorm1.bias\""),
    ] {
        let mut model = build("norm", norm(), 1);
        let error = pytorch::load(form(file), &mut model, str::to_owned).unwrap_err().to_string();
        assert!(error.contains(expected), "{file}: {error}");
        assert!(error.len() < 600, "{error}");
        assert!(same(&model, &build("norm", norm(), 1)), "{file}");
    }
}

#[test]
fn many_names_that_are_missing_make_a_short_message() {
    let mut model: Model = Model::new(backstitch::zoo::resnet18(10), &[32, 32, 3], 1).unwrap();
    let error = pytorch::load(fixture("weights.pth"), &mut model, str::to_owned).unwrap_err().to_string();
    assert!(error.contains("and 94 more") && error.len() < 900, "{error}");
    let error = model.freeze("no.such").unwrap_err().to_string();
    assert!(error.contains("and 93 more") && error.len() < 400, "{error}");
}

/// A square matrix: shapes do not show who wrote the file.
fn square(seed: u64) -> Model {
    Model::new(seq().push(linear(3)), &[3], seed).unwrap()
}

/// A file of tensors, with metadata if there are any.
fn write_tensors(path: &Path, text: &str, tensors: &[(&str, &str, Vec<f32>)]) {
    let (mut header, mut bytes) = (vec![text.to_owned()], Vec::new());
    header.retain(|text| !text.is_empty());
    for (name, shape, values) in tensors {
        let start = bytes.len();
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let end = bytes.len();
        header.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#));
    }
    let header = format!("{{{}}}", header.join(","));
    fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes].concat()).unwrap();
}

/// The tensors of a model as older versions wrote them, without saying who wrote the file.
fn write_unmarked(path: &Path, model: &Model, text: &str) {
    let state = model.state();
    let shapes: Vec<String> = state.values().map(|tensor| tensor.shape().to_string()).collect();
    let tensors =
        state.iter().zip(&shapes).map(|((name, tensor), shape)| (*name, &**shape, tensor.data().to_vec()));
    write_tensors(path, text, &tensors.collect::<Vec<_>>());
}

#[test]
fn whose_a_file_is_decides_who_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let refused = |result: Result<(), backstitch::FileError>, model: &Model, expected: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected) && error.len() < 400, "{error}");
        assert!(same(model, &square(2)));
    };
    let mut other = square(2);
    safetensors::save(&path, &square(1)).unwrap();
    let error = pytorch::load(&path, &mut other, str::to_owned);
    refused(error, &other, "backstitch::safetensors::load reads it");
    pytorch::save(&path, &square(1), str::to_owned).unwrap();
    let error = safetensors::load(&path, &mut other);
    refused(error, &other, "backstitch::pytorch::load reads it");
    let error = safetensors::read::<f32>(&path).map(drop);
    refused(error, &other, "backstitch::pytorch::load reads it");
    let error = safetensors::load(form("tied.pth"), &mut other);
    refused(
        error,
        &other,
        "what torch.save wrote, with the axes in another order: backstitch::pytorch::load reads it",
    );
    let error = safetensors::load(form("legacy.pth"), &mut other);
    refused(error, &other, "what torch.save wrote");
    // Without metadata, the shapes do not show who wrote the file.
    write_unmarked(&path, &square(1), "");
    let error = safetensors::load(&path, &mut other);
    refused(error, &other, "safetensors::read and Model::load_state");
    let state: BTreeMap<_, _> = safetensors::read(&path).unwrap();
    other.load_state(&state).unwrap();
    assert!(same(&other, &square(1)));
    // Only this library writes names of classes.
    write_unmarked(&path, &square(3), r#""__metadata__":{"classes":"[\"a\"]"}"#);
    safetensors::load(&path, &mut other).unwrap();
    assert!(same(&other, &square(3)));
}

#[test]
fn an_older_file_is_read_where_its_shapes_are_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let mut model = build("norm", norm(), 2);
    write_unmarked(&path, &build("norm", norm(), 1), "");
    safetensors::load(&path, &mut model).unwrap();
    assert!(same(&model, &build("norm", norm(), 1)));
    // Files of PyTorch, with shapes of PyTorch, or with its counters.
    let error = safetensors::load(fixture("weights.safetensors"), &mut model).unwrap_err().to_string();
    assert!(
        error.contains("one of PyTorch, with the axes in another order: backstitch::pytorch::load reads it"),
        "{error}"
    );
    let mut model: Model = Model::new(seq().push(linear(5)), &[4], 2).unwrap();
    let tensors: [(&str, &str, Vec<f32>); 2] =
        [("dense1.bias", "[5]", vec![0.5; 5]), ("dense1.weight", "[5,4]", vec![0.25; 20])];
    write_tensors(&path, "", &tensors);
    let error = safetensors::load(&path, &mut model).unwrap_err().to_string();
    assert!(
        error.contains("shapes of PyTorch, with the axes in another order: backstitch::pytorch::load"),
        "{error}"
    );
    pytorch::load(&path, &mut model, str::to_owned).unwrap();
}

#[test]
fn seven_axes_are_an_error_that_names_the_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let seven = "[1,1,1,1,1,1,1]";
    write_tensors(&path, "", &[("dense1.bias", "[3]", vec![0.0; 3]), ("dense1.weight", seven, vec![1.0])]);
    let expected = "expected tensors with at most 6 axes, got dense1.weight with 7";
    let error = safetensors::load(&path, &mut square(1)).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    let error = pytorch::load(&path, &mut square(1), str::to_owned).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_number_that_the_model_s_type_has_not_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let mut large: Model<f64> = Model::new(Net::new().push(dense(3)), &[2], 1).unwrap();
    large.slots_mut().for_each(|mut slot| slot.data_mut()[0] = 1e300);
    let mut model: Model = Model::new(seq().push(linear(3)), &[2], 2).unwrap();
    let before = model.state()["dense1.weight"].to_array();
    safetensors::save(&path, &large).unwrap();
    let error = safetensors::load(&path, &mut model).unwrap_err().to_string();
    assert!(error.contains("expected numbers that f32 can hold, got 1e300 in dense1."), "{error}");
    pytorch::save(&path, &large, str::to_owned).unwrap();
    let error = pytorch::load(&path, &mut model, str::to_owned).unwrap_err().to_string();
    assert!(error.contains("expected numbers that f32 can hold, got 1e300 in dense1."), "{error}");
    assert_eq!(model.state()["dense1.weight"].to_array(), before);
}
