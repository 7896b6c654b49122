//! Regression: two inputs, one output, evaluated with R². `cargo run --release --example lesson_regression`

use backstitch::ndarray::Array2;
use backstitch::prelude::*;

fn main() -> Result<()> {
    let x = Array2::from_shape_fn((1000, 2), |(i, j)| ((i * (7 + j * 6)) % 100) as f32 / 50.0 - 1.0);
    let y = Array2::from_shape_fn((1000, 1), |(i, _)| (3.0 * x[[i, 0]]).sin() + x[[i, 1]] * x[[i, 1]]);
    let [train, test] = Dataset::values(x, y)?.split([0.8, 0.2], 0)?;

    let tanh = |units| dense(units).activation(Activation::Tanh);
    let mut model = Model::new(chain![tanh(32), tanh(32), dense(1)], &[2], 1)?;
    // The targets are values, so the loss is the mean squared error. Other losses: `.loss(MAE)`,
    // `.loss(Huber::new(1.0)?)`.
    let history = Trainer::new(Adam::new(5e-3)).epochs(60).validation(&test).fit(&mut model, &train)?;
    println!("{}", history.epochs[59]);
    assert!(history.last("validation_r2") > Some(0.98));
    Ok(())
}
