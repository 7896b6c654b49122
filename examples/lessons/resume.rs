//! Training is interrupted and resumed, and gives the same bits as without the interruption.
//!
//! `cargo run --release --example lesson_resume`

use backstitch::prelude::*;

fn main() -> Result<()> {
    let [train, validation] = moons::<f32>(400, 0.2, 0)?.split([0.5, 0.5], 0)?;
    let net = chain![dense(32).relu(), dropout(0.2), dense(2)];
    let new = || Model::new(net.clone(), &train.input_shape(), 1);
    let trainer = || Trainer::new(Adam::new(0.02)).epochs(30).validation(&validation).early_stopping(5);

    let mut whole = new()?;
    let history = trainer().fit(&mut whole, &train)?;
    println!("best epoch {:?} of {}", history.restored, history.epochs.len());

    let folder = std::env::temp_dir().join(format!("backstitch-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("run.checkpoint");
    let stop = |run: &Run| {
        Ok(if run.history().epochs.len() == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    trainer().callback(SaveCheckpoints::new(&file)).each_epoch(stop).fit(&mut new()?, &train)?;

    // In another program, another day.
    let mut resumed = new()?;
    let again = trainer().resume(checkpoint::load(&file)?).fit(&mut resumed, &train)?;
    assert_eq!(again, history);
    assert_eq!(resumed.state(), whole.state());
    println!("the same bits");
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
