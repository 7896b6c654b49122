//! Transfer learning: a trained base is frozen, and a new head is trained on it.
//!
//! `cargo run --release --example lesson_transfer`

use backstitch::prelude::*;

fn base() -> Net {
    let conv = |filters| conv2d(filters, 3).same().relu();
    chain![conv(8), max_pool(2), conv(16), max_pool(2), flatten()]
}

fn network(classes: usize) -> Net {
    chain!["base" => base(), "head" => dense(classes)]
}

fn main() -> Result<()> {
    let garments = FashionMnist::sample("a lesson")?.train.take(2000);
    let mut first = Model::new(network(10), &garments.input_shape(), 1)?;
    Trainer::new(Adam::new(2e-3)).epochs(3).fit(&mut first, &garments)?;

    // Another task with few pictures: is it a shoe (sandal, sneaker, boot) or not?
    let few = garments.take(400);
    let labels = few.labels().unwrap_or_default();
    let shoes: Vec<usize> = labels.iter().map(|label| usize::from([5, 7, 9].contains(label))).collect();
    let [train, test] = Dataset::classes(few.inputs()?, &shoes)?.split([0.25, 0.75], 0)?;
    let mut model = Model::new(network(2), &[28, 28, 1], 2)?;
    model.copy_part("base.*", &first)?;
    println!("frozen: {} parameters", model.freeze("base.*")?);
    Trainer::new(Adam::new(5e-3)).epochs(10).fit(&mut model, &train)?;
    println!("test: {}", evaluate(&model, &test)?);
    Ok(())
}
