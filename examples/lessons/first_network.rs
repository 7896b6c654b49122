//! A first network: 28x28 pictures of garments, ten classes. `cargo run --release --example lesson_first_network`

use backstitch::fashion_mnist;
use backstitch::prelude::*;

fn main() -> Result<()> {
    // Drawn garments, so that the lesson needs no network; `fashion_mnist::open` finds or fetches the real ones.
    let all = fashion_mnist::generate_sample("a lesson");
    let (pixels, labels) = all.rows(&(0..3000).collect::<Vec<_>>());
    let [train, validation, test] = Dataset::classes(pixels, &labels)?.split([0.8, 0.1, 0.1], 0)?;

    let net = chain![dense(64).relu(), dense(32).relu(), dense(10)];
    let mut model = Model::new(net, &train.input_shape(), 1)?;
    println!("{}", model.summary());

    let trainer = Trainer::new(Adam::new(1e-3)).epochs(5).batch_size(32).validation(&validation);
    let history = trainer.early_stopping(3).fit(&mut model, &train)?;
    println!("{history}");
    println!("test: {}", evaluate(&model, &test)?);
    Ok(())
}
