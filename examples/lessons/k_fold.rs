//! Cross-validation: which learning rate is best? Making the folds copies no data.
//!
//! `cargo run --release --example lesson_k_fold`

use backstitch::prelude::*;

fn main() -> Result<()> {
    let spirals: Dataset = spirals(600, 3, 0.1, 0)?;
    let net = chain![dense(32).relu(), dense(32).relu(), dense(3)];
    for rate in [0.001, 0.01, 0.1] {
        let mut accuracies = Vec::new();
        for (train, validation) in spirals.k_fold(5, 0)? {
            let mut model = Model::new(net.clone(), &spirals.input_shape(), 1)?;
            let trainer = Trainer::new(Adam::new(rate)).epochs(20).validation(&validation);
            accuracies.extend(trainer.fit(&mut model, &train)?.last("validation_accuracy"));
        }
        let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
        println!("learning rate {rate}: {mean:.3} of {accuracies:.3?}");
    }
    Ok(())
}
