//! Trains the network of `tests/test_same_bits.py` from Rust and writes its weights to a file.

use backstitch::layers::{batch_norm, conv2d, dense, dropout, flatten, max_pool};
use backstitch::ndarray::Array4;
use backstitch::optim::Adam;
use backstitch::{Dataset, Error, Model, Save, Trainer, chain};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "same_bits.safetensors".to_owned());
    let pixel = |n: usize, i: usize, j: usize| ((n * 37 + i * 11 + j * 5) % 17) as f32 / 16.0;
    let images = Array4::from_shape_fn((200, 12, 12, 1), |(n, i, j, _)| pixel(n, i, j));
    let labels: Vec<usize> = (0..200).map(|n| n % 4).collect();
    let data = Dataset::classes(images, &labels)?;
    let net = chain![
        conv2d(6, 3).same().without_bias(),
        batch_norm().relu(),
        max_pool(2),
        flatten(),
        dropout(0.25),
        dense(16).relu(),
        dense(4)
    ];
    let mut model = Model::new(net, &[12, 12, 1], 7)?;
    Trainer::new(Adam::new(1e-3)).epochs(3).batch_size(32).seed(5).fit(&mut model, &data)?;
    model.save(path)
}
