//! Networks that were really trained on ImageNet give PyTorch's outputs. Runs where `BACKSTITCH_DATA` has them.

use std::fs;
use std::path::Path;

use backstitch::core::zoo;
use backstitch::io::pytorch;
use backstitch::prelude::*;
use ndarray::Array;
use serde_json::Value;

#[test]
fn squeezenet_gives_the_outputs_of_pytorch() {
    let Some(data) = std::env::var_os("BACKSTITCH_DATA") else {
        println!("BACKSTITCH_DATA is not set: nothing to load");
        return;
    };
    let weights = Path::new(&data).join("pretrained/squeezenet1_0.safetensors");
    let mut model: Model = Model::new(zoo::squeezenet(1000), &[227, 227, 3], 0).unwrap();
    pytorch::load_safetensors(&weights, &mut model, zoo::squeezenet_published_name).unwrap();
    // The picture of fixtures/pretrained/squeezenet.py: blue, green, red, less the means.
    let means = [104.0, 117.0, 123.0];
    let x = Array::from_shape_fn((1, 227, 227, 3), |(_, i, j, c)| {
        ((i * 7 + j * 3 + c * 50 + i * j / 40) % 256) as f32 - means[c]
    });
    let logits = model.predict(&x.view().into_dyn()).unwrap();
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
