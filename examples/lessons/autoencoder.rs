//! An autoencoder: its target is its input, and its middle layer has eight numbers.
//!
//! `cargo run --release --example lesson_autoencoder`

use backstitch::prelude::*;

fn main() -> Result<()> {
    let pictures = FashionMnist::sample("a lesson")?.train.take(2000).inputs()?;
    let rows = pictures.to_array().into_shape_with_order((2000, 784))?;
    let [train, test] = Dataset::autoencoding(rows)?.split([0.9, 0.1], 0)?;

    let encoder = chain![dense(64).relu(), "code" => dense(8)];
    let net = chain!["encoder" => encoder, "decoder" => chain![dense(64).relu(), dense(784)]];
    let mut model = Model::new(net, &train.input_shape(), 1)?;
    let trainer = Trainer::new(Adam::new(2e-3)).loss(BceWithLogits::new()).epochs(10).validation(&test);
    println!("{}", trainer.fit(&mut model, &train)?);

    let trace = model.trace(test.inputs()?)?;
    let (codes, _) = trace.get("encoder.code")?;
    println!("codes {}, the first: {:.2?}", codes.shape(), &codes.data()[..8]);
    Ok(())
}
