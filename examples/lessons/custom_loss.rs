//! Two losses of your own: a mean over numbers, and a mean over samples.
//!
//! `cargo run --release --example lesson_custom_loss`

use backstitch::ndarray::array;
use backstitch::prelude::*;

/// The pinball loss: it makes outputs the 0.9 quantile of the targets (Koenker and Bassett 1978).
const QUANTILE: Pointwise =
    Pointwise::new("quantile", |y, t| if t > y { (0.9 * (t - y), -0.9) } else { (0.1 * (y - t), 0.1) });

/// The Dice loss, for masks: 1 - (2 Σ y t + 1) / (Σ y + Σ t + 1) for each sample (Milletari, Navab and Ahmadi 2016).
#[derive(Debug)]
struct Dice;

impl<F: Scalar> Loss<F> for Dice {
    fn check(&self, output: &[usize], targets: &Targets<F>) -> Result<()> {
        targets.values_like(output).map(drop)
    }

    fn loss(&self, y: &Tensor<F>, targets: &Targets<F>, mut dy: Option<&mut Tensor<F>>) -> Result<Mean> {
        let t = targets.values_like(&y.shape()[1..])?;
        let (n, width) = (y.batch(), y.data().len() / y.batch());
        let (mut sum, one, two) = (0.0, F::one(), F::from_f64(2.0));
        for i in 0..n {
            let (y, t) = (&y.data()[i * width..][..width], &t.data()[i * width..][..width]);
            let above = y.iter().zip(t).fold(one, |sum, (&y, &t)| sum + two * y * t);
            let below = y.iter().chain(t).fold(one, |sum, &v| sum + v);
            sum += (one - above / below).as_f64();
            if let Some(dy) = &mut dy {
                for (d, &t) in dy.data_mut()[i * width..][..width].iter_mut().zip(t) {
                    *d = (above / below - two * t) / below / F::from_f64(n as f64);
                }
            }
        }
        Ok(Mean { sum, count: n as f64 })
    }
}

fn main() -> Result<()> {
    let y = Tensor::from_array(array![[0.2, 0.7, 0.1], [0.9, 0.4, 0.6]])?;
    let t = Tensor::from_array(array![[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])?;
    println!("Dice: {}", check_loss(&Dice, &y, &Targets::Values(&t))?.worst);
    println!("quantile: {}", check_loss(&QUANTILE, &y, &Targets::Values(&t))?.worst);
    Ok(())
}
