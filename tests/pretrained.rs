//! Networks trained on ImageNet give PyTorch's outputs. The tests run if `BACKSTITCH_DATA` has the files.

use std::fs;
use std::path::PathBuf;

use backstitch::prelude::*;
use backstitch::zoo;
use backstitch::{images, pytorch};
use ndarray::{Array, Array4};
use serde_json::Value;

/// SqueezeNet with its weights, and their folder; `None` if there is no such folder.
fn squeezenet() -> Option<(Model, PathBuf)> {
    let Some(data) = std::env::var_os("BACKSTITCH_DATA").map(PathBuf::from) else {
        println!("BACKSTITCH_DATA is not set: nothing to load");
        return None;
    };
    let mut model: Model = Model::new(zoo::squeezenet(1000), &[227, 227, 3], 0).unwrap();
    let weights = data.join("pretrained/squeezenet1_0.safetensors");
    pytorch::load(&weights, &mut model, zoo::squeezenet_published_name).unwrap();
    Some((model, data))
}

/// The means that are subtracted from blue, green and red.
const MEANS: [f32; 3] = [104.0, 117.0, 123.0];

#[test]
fn squeezenet_gives_the_outputs_of_pytorch() {
    let Some((model, _)) = squeezenet() else { return };
    // The picture of fixtures/pretrained/squeezenet.py: blue, green, red, minus the means.
    let x = Array::from_shape_fn((1, 227, 227, 3), |(_, i, j, c)| {
        ((i * 7 + j * 3 + c * 50 + i * j / 40) % 256) as f32 - MEANS[c]
    });
    let logits = model.predict(x.view().into_dyn()).unwrap();
    let stored = fs::read_to_string("fixtures/pretrained/squeezenet.json").unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    let classes = stored["classes"].as_array().unwrap().iter().zip(stored["logits"].as_array().unwrap());
    for (class, expected) in classes {
        let (class, expected) = (class.as_u64().unwrap() as usize, expected.as_f64().unwrap() as f32);
        let got = logits[[0, class]];
        assert!((got - expected).abs() < 1e-4 * expected, "class {class}: {got}, PyTorch {expected}");
    }
    let mean = stored["mean"].as_f64().unwrap() as f32;
    assert!((logits.mean().unwrap() - mean).abs() < 1e-4 * mean);
}

/// From a JPEG file to a probability. The expected numbers are those of Pillow and PyTorch. JPEG decoders differ in how
/// they enlarge colours with half the samples. This changes probabilities that are not near 0 or 1 by up to a
/// hundredth.
#[test]
fn squeezenet_knows_six_photographs() {
    let Some((model, data)) = squeezenet() else { return };
    for (folder, class, expected) in [
        ("accordion", 401, 0.999),
        ("panda", 388, 1.000),
        ("revolver", 763, 1.000),
        ("pizza", 963, 0.988),
        ("dalmatian", 251, 0.866),
        ("camera", 759, 0.708),
    ] {
        let path = data.join("caltech101-original").join(folder).join("image_0001.jpg");
        let picture = images::resize(images::read(&path).unwrap().view(), 227, 227).unwrap();
        let x = Array4::from_shape_fn((1, 227, 227, 3), |(_, i, j, c)| {
            f32::from(picture[[i, j, 2 - c]]) - MEANS[c]
        });
        let got = model.predict_proba(x.view().into_dyn()).unwrap()[[0, class]];
        println!("{folder}: {got:.4}, PyTorch {expected}");
        assert!((got - expected).abs() < 0.01, "{folder}: {got}, PyTorch {expected}");
    }
}
