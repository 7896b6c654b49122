//! Weights written for Python and read from Python.

use std::path::Path;
use std::process::Command;

use backstitch::prelude::*;
use backstitch::{npz, pickle};
use ndarray::{Array1, Array2, array};

fn model(seed: u64) -> Model {
    let net = Net::new().push(dense(5).relu()).push(dense(3));
    Model::new(net, &[4], seed).unwrap()
}

#[test]
fn saved_weights_come_back_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (saved, mut loaded) = (model(1), model(2));
    pickle::save_model(folder.path(), 50, "relu", &saved).unwrap();
    assert!(folder.path().join("50_relu_weights.pkl").exists());
    assert!(folder.path().join("50_relu_biases.pkl").exists());
    pickle::load_model(folder.path(), 50, "relu", &mut loaded).unwrap();
    assert_eq!(saved.state(), loaded.state());
}

#[test]
fn weights_of_another_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    pickle::save_model(folder.path(), 50, "relu", &model(1)).unwrap();
    let mut other = Model::new(Net::new().push(dense(3)), &[4], 0).unwrap();
    let error = pickle::load_model(folder.path(), 50, "relu", &mut other).unwrap_err().to_string();
    assert!(
        error.ends_with("50_relu_weights.pkl: expected arrays of [[4, 3]], got [[4, 5], [5, 3]]"),
        "{error}"
    );
}

#[test]
fn pickles_that_numpy_made_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pickle");
    let expected = [array![[-0.5, -0.25, 0.0], [0.25, 0.5, 0.75]].into_dyn(), array![0.25, -8.0].into_dyn()];
    let names = [
        "protocol0",
        "protocol1",
        "protocol2",
        "protocol3",
        "protocol4",
        "protocol5",
        "python2_protocol0",
        "python2_protocol1",
        "python2_protocol2",
        "float64",
        "float64_protocol0",
        "float16",
        "big_endian",
        "fortran",
        "fortran_protocol5",
        "strided_protocol5",
        "tuple",
        "tuple_protocol0",
    ];
    for name in names {
        let arrays = pickle::read(folder.join(format!("{name}.pkl"))).unwrap();
        assert_eq!(arrays, expected, "{name}");
    }
    for protocol in [0, 2, 5] {
        let single = pickle::read(folder.join(format!("single_protocol{protocol}.pkl"))).unwrap();
        assert_eq!(single, expected[..1], "protocol {protocol}");
        // Every byte, and integers of 8 bytes; and an array without rows.
        let bytes = pickle::read(folder.join(format!("bytes_protocol{protocol}.pkl"))).unwrap();
        let every = Array1::range(0.0_f32, 256.0, 1.0);
        let expected =
            [Array2::zeros((0, 3)).into_dyn(), every.clone().into_dyn(), (every - 128.0).into_dyn()];
        assert_eq!(bytes, expected, "protocol {protocol}");
    }
}

const SCRIPT: &str = r#"
import pickle, sys
import numpy as np
folder = sys.argv[1]
archive = np.load(f"{folder}/model.npz")
for what in ("weights", "biases"):
    with open(f"{folder}/100_tanh_{what}.pkl", "rb") as file:
        arrays = pickle.load(file)
    assert type(arrays) is list and all(type(a) is np.ndarray for a in arrays)
    for i, a in enumerate(arrays, 1):
        name = f"dense{i}.{'weight' if what == 'weights' else 'bias'}"
        assert a.dtype == np.float32 and np.array_equal(a, archive[name]), name
        a *= 2.0
    with open(f"{folder}/200_tanh_{what}.pkl", "wb") as file:
        pickle.dump(arrays, file)
"#;

/// Runs Python if it has NumPy. Continuous integration sets `BACKSTITCH_REQUIRE_PYTHON`, so that the test cannot be
/// skipped there.
#[test]
fn python_reads_them_with_nothing_but_numpy_and_writes_them_back() {
    let python = std::env::var_os("BACKSTITCH_PYTHON").unwrap_or_else(|| "python3".into());
    let numpy = Command::new(&python).args(["-c", "import numpy"]).output();
    if !numpy.is_ok_and(|output| output.status.success()) {
        let required = std::env::var_os("BACKSTITCH_REQUIRE_PYTHON").is_some();
        assert!(!required, "BACKSTITCH_REQUIRE_PYTHON is set, and {python:?} has no NumPy");
        eprintln!("{python:?} has no NumPy: the pickles were not given to Python");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (saved, mut doubled) = (model(1), model(2));
    pickle::save_model(folder.path(), 100, "tanh", &saved).unwrap();
    npz::save(folder.path().join("model.npz"), &saved).unwrap();
    // Warnings are errors, so that a deprecated way of making arrays is noticed.
    let output =
        Command::new(&python).args(["-W", "error", "-c", SCRIPT]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    pickle::load_model(folder.path(), 200, "tanh", &mut doubled).unwrap();
    for (name, value) in saved.state() {
        assert_eq!(value.view().mapv(|v| v * 2.0), doubled.state()[name].view(), "{name}");
    }
}
