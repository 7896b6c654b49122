//! Weights files of PyTorch: loaded weights give PyTorch's outputs, and a damaged file is an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backstitch::prelude::*;
use backstitch::zoo;
use backstitch::{npz, pytorch};
use ndarray::{Array4, ArrayD};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pytorch").join(name)
}

fn numbers(name: &str) -> ArrayD<f32> {
    npz::Archive::open(fixture("weights.npz")).unwrap().read(name).unwrap()
}

/// The network of fixtures/pytorch/weights.py.
fn small(units: usize) -> Model {
    let net = Net::new()
        .push(conv2d(4, [3, 2]).padding(1))
        .push(batch_norm().relu())
        .push(max_pool(2))
        .push(flatten())
        .push(dense(units).relu())
        .push(dense(3));
    Model::new(net, &[6, 4, 2], 0).unwrap()
}

fn there(name: &str) -> String {
    let names = [
        ("conv1", "features.0"),
        ("batchnorm1", "features.1"),
        ("dense1", "classifier.0"),
        ("dense2", "classifier.2"),
    ];
    names.iter().fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs))
}

#[test]
fn both_formats_give_the_outputs_of_pytorch() {
    for file in ["weights.pth", "weights.safetensors"] {
        let mut model = small(5);
        pytorch::load(fixture(file), &mut model, there).unwrap();
        let y = model.predict(numbers("x").view()).unwrap();
        let expected = numbers("y");
        assert!(y.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{file}: {y} {expected}");
    }
}

#[test]
fn what_does_not_fit_is_listed_and_nothing_is_changed() {
    for file in ["weights.pth", "weights.safetensors"] {
        let mut model = small(7);
        let before: BTreeMap<String, ArrayD<f32>> =
            model.state().into_iter().map(|(name, value)| (name.to_owned(), value.to_array())).collect();
        let error = pytorch::load(fixture(file), &mut model, there).unwrap_err().to_string();
        assert!(error.contains("dense1.weight: expected [24, 7], got [24, 5]"), "{error}");
        let error = pytorch::load(fixture(file), &mut model, str::to_owned).unwrap_err().to_string();
        assert!(
            error.contains("missing [\"batchnorm1.bias\"") && error.contains("classifier.0.bias"),
            "{error}"
        );
        assert!(model.state().into_iter().all(|(name, value)| before[name] == value.to_array()));
        // A counter of batches is an integer, not a weight.
        let counter = |name: &str| match name {
            "dense2.bias" => "features.1.num_batches".to_owned() + "_tracked",
            _ => there(name),
        };
        assert!(pytorch::load(fixture(file), &mut small(5), counter).is_err());
    }
}

#[test]
fn damaged_files_are_errors_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        pytorch::load(&path, &mut small(5), there).map_err(|error| error.to_string())
    };
    let good = fs::read(fixture("weights.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for i in 0..header {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[i] ^= flip;
            if let Err(error) = load(&bytes) {
                assert!(error.starts_with(&path.display().to_string()), "{error}");
            }
        }
    }
    // Cut at any place, and longer than the header says.
    for length in (0..good.len()).step_by(7).chain([good.len() - 1]) {
        assert!(load(&good[..length]).is_err(), "{length} of {} bytes", good.len());
    }
    let error = load(&[&good[..], b"more"].concat()).unwrap_err();
    assert!(error.contains("bytes where its header describes"), "{error}");

    let good = fs::read(fixture("weights.pth")).unwrap();
    for i in 0..good.len() {
        let mut bytes = good.clone();
        bytes[i] ^= 0xff;
        // Not every byte of an archive matters. Checksums protect those that do.
        let _ = load(&bytes);
    }
    for length in (0..good.len()).step_by(13).chain([good.len() - 1]) {
        assert!(load(&good[..length]).is_err(), "{length} of {} bytes", good.len());
    }
    assert!(load(b"").is_err() && load(b"no weights at all").is_err());
}

#[test]
fn a_pickle_that_would_run_code_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    // os.system("touch ...") as pickle.dumps writes it, protocol 0.
    let pickle = format!("cposix\nsystem\n(S'touch {}'\ntR.", ran.display());
    let path = folder.path().join("evil.pth");
    fs::write(&path, pickle).unwrap();
    let error = pytorch::load(&path, &mut small(5), there).unwrap_err().to_string();
    assert!(error.contains("evil.pth") && !ran.exists(), "{error}");
}

#[test]
fn an_archive_with_an_entry_too_many_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("more.pth");
    // The last entry of the directory under another name: same length, in the directory and before the entry.
    let mut bytes = fs::read(fixture("weights.pth")).unwrap();
    let name = b"weights/byteorder";
    let places: Vec<usize> =
        (0..bytes.len() - name.len()).filter(|&i| bytes[i..].starts_with(name)).collect();
    assert_eq!(places.len(), 2);
    for place in places {
        bytes[place..place + name.len()].copy_from_slice(b"weights/startup.p");
    }
    fs::write(&path, bytes).unwrap();
    let error = pytorch::load(&path, &mut small(5), there).unwrap_err().to_string();
    assert!(error.contains("an archive with the entry \"weights/startup.p\""), "{error}");
}

/// torchvision's own networks with random weights, if torchvision is installed.
#[test]
fn torchvisions_networks_give_the_same_outputs_here() {
    let Some(python) = std::env::var_os("BACKSTITCH_PYTHON") else { return };
    let installed = Command::new(&python).args(["-c", "import torchvision, safetensors"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        println!("torchvision is not installed: nothing to compare with");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(&python).arg(fixture("weights.py")).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let vgg16 = (Model::new(zoo::vgg16(1000), &[224, 224, 3], 1).unwrap(), 224);
    let names: fn(&str) -> String = zoo::vgg16_torchvision_name;
    compare(folder.path(), "vgg16", "vgg16.pth", vgg16, names);
    for file in ["resnet18.pth", "resnet18.safetensors"] {
        let resnet18 = (Model::new(zoo::resnet18(1000), &[64, 64, 3], 1).unwrap(), 64);
        compare(folder.path(), "resnet18", file, resnet18, zoo::resnet18_torchvision_name);
    }
}

fn compare(
    folder: &Path,
    name: &str,
    file: &str,
    (mut model, side): (Model, usize),
    names: fn(&str) -> String,
) {
    pytorch::load(folder.join(file), &mut model, names).unwrap();
    let x = Array4::from_shape_fn((1, side, side, 3), |(_, i, j, c)| {
        ((i * 7 + j * 3 + c * 50 + i * j / 40) % 256) as f32 / 255.0 - 0.5
    });
    let y = model.predict(x.view().into_dyn()).unwrap();
    let text = fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let expected: Vec<f32> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(expected.len(), y.len());
    let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let error = y.iter().zip(&expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(error < 1e-4 * largest, "{file}: {error} of {largest}");
    println!("{file}: largest difference {error:.2e} of {largest:.3}");
}
