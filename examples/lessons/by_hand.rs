//! Training by hand: forward, loss, backward, update. `cargo run --release --example lesson_by_hand`

use backstitch::prelude::*;

fn main() -> Result<()> {
    let data: Dataset = blobs(300, 3, 0.3, 0)?;
    let mut model = Model::new(chain![dense(16).relu(), dense(3)], &data.input_shape(), 1)?;

    let (adam, loss) = (Adam::new(0.01), CrossEntropy::new());
    // Memory that every step uses again: values and their gradients, gradients of parameters, Adam's moments, a batch.
    let (mut trace, mut grads) = (Trace::new(Keep::ForBackward), model.grads());
    let (mut memory, mut batch) = (OptimizerMemory::new(), Batch::default());
    for epoch in 0..10 {
        let mut total = Mean::default();
        let shuffled = data.shuffled(epoch);
        for step in 0..data.len() / 30 {
            let samples: Vec<usize> = (step * 30..(step + 1) * 30).collect();
            shuffled.gather(&samples, &mut batch)?;
            let ctx = Context::train(0, epoch * 10 + step as u64);
            model.forward(&batch.inputs, &mut trace, &ctx)?;
            let (y, dy) = trace.output_and_gradient();
            dy.set_shape(&y.shape())?;
            total += loss.loss(y, &batch.targets(), Some(dy))?;
            grads.clear();
            model.backward(&batch.inputs, &mut trace, None, Some(&mut grads), &ctx)?;
            model.commit(&trace)?;
            memory.step(&adam, 0.01, &mut model, &grads)?;
        }
        println!("epoch {}: loss {:.4}", epoch + 1, total.value());
    }
    println!("{}", evaluate(&model, &data)?);
    Ok(())
}
