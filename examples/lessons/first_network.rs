//! A first network: 28x28 pictures of garments, ten classes. `cargo run --release --example lesson_first_network`

use backstitch::prelude::*;

fn main() -> Result<()> {
    // From $BACKSTITCH_DATA, the cache or the network. If it is not available, this is a generated sample of garments, and
    // the next line says so.
    let data = FashionMnist::load()?;
    println!("{data}");
    let [train, validation] = data.train.split([0.9, 0.1], 0)?;

    let net = chain![flatten(), dense(64).relu(), dense(10)];
    let mut model = Model::new(net, &train.input_shape(), 0)?;
    println!("{}", model.summary());

    let trainer = Trainer::new(Adam::new(1e-3)).epochs(5).batch_size(64).validation(&validation);
    let history = trainer.early_stopping(3).progress().fit(&mut model, &train)?;
    println!("test: {}", evaluate(&model, &data.test)?);

    let folder = std::env::temp_dir();
    history.chart().save(folder.join("curves.svg"))?;
    model.save(folder.join("fashion.safetensors"))
}
