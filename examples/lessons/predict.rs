//! Save a binary classifier, load it, predict classes and probabilities. `cargo run --release --example lesson_predict`

use backstitch::ndarray::{Array2, array};
use backstitch::prelude::*;

fn main() -> Result<()> {
    // One output, the logit of class 1. So the targets are values `[n, 1]`, 0 or 1.
    let moons: Dataset = moons(400, 0.1, 0)?;
    let labels = moons.labels().unwrap_or_default();
    let y = Array2::from_shape_fn((moons.len(), 1), |(i, _)| labels[i] as f32);
    let data = Dataset::values(moons.inputs()?, y)?;

    let net = || chain![dense(32).relu(), dense(32).relu(), dense(1)];
    let mut model = Model::new(net(), &[2], 1)?;
    let history =
        Trainer::new(Adam::new(0.01)).loss(BceWithLogits::new()).epochs(40).fit(&mut model, &data)?;
    println!("{}", history.epochs[39]);
    let file = std::env::temp_dir().join(format!("backstitch-moons-{}.safetensors", std::process::id()));
    model.save(&file)?;

    // In another program: build the same network and load the weights of the file.
    let mut loaded: Model = Model::new(net(), &[2], 0)?;
    loaded.load(&file)?;
    let points = array![[0.0, 1.0], [1.0, -0.5], [-1.0, 0.0], [2.0, 0.5]];
    let logits = loaded.predict(&points)?;
    for (point, &logit) in points.rows().into_iter().zip(&logits) {
        let probability = 1.0 / (1.0 + (-logit).exp());
        let class = usize::from(probability > 0.5);
        println!("{point}: class {class}, probability of class 1: {probability:.3}");
    }
    assert!(logits[[0, 0]] < 0.0 && logits[[1, 0]] > 0.0);
    std::fs::remove_file(file)?;
    Ok(())
}
