//! The two parts of a variational autoencoder that the library does not have: the random code, and the loss.

use std::sync::Arc;

use backstitch::Cost;
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch_examples::noise::fill_normal;

/// A number of N(μ, σ²) for each code, in a way that has a derivative (Kingma and Welling 2014, section 2.4).
///
/// # Shapes
/// x `[n, 2k]`: k means μ, then k logarithms s = log σ². y `[n, k]`.
///
/// # Forward
/// y = μ + σ ε with σ = e^(s/2). In training ε is N(0, 1); it depends on the seed, the layer and the step alone. In evaluation ε = 0.
///
/// # Backward
/// For a given ε, y is a plain function of μ and s:
/// * dL/dμ = dL/dy;
/// * dL/ds = dL/dy · dσ/ds · ε, with dσ/ds = σ / 2.
///
/// The cache holds dy/ds = σ ε / 2 for each y.
#[derive(Debug)]
pub struct Reparametrize;

impl<F: Scalar> Layer<F> for Reparametrize {
    type Cache = Tensor<F>;

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        match input {
            [width] if *width > 0 && width % 2 == 0 => Shape::new(&[width / 2]),
            _ => {
                let expected = "[2k]: means, then logarithms of variances";
                Err(ShapeError::new("Reparametrize".to_owned(), expected, format!("{input:?}")))
            }
        }
    }

    fn forward(
        &self,
        w: &Weights<F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        slope: &mut Tensor<F>,
        ctx: &Context,
    ) {
        match ctx.mode {
            Mode::Train => {
                let mut rng = stream(ctx.seed, Purpose::Noise, w.key(), ctx.step);
                fill_normal(y.data_mut(), &mut rng);
            }
            Mode::Evaluate => y.fill(F::zero()),
        }
        slope.copy_from(y);
        let (k, half) = (y.width(), F::from_f64(0.5));
        let rows = y.data_mut().chunks_exact_mut(k).zip(slope.data_mut().chunks_exact_mut(k));
        for ((y, slope), x) in rows.zip(x.data().chunks_exact(2 * k)) {
            let (mean, s) = x.split_at(k);
            for i in 0..k {
                slope[i] = half * (half * s[i]).exp() * slope[i];
                y[i] = mean[i] + slope[i] + slope[i];
            }
        }
    }

    fn backward(&self, _: &Weights<F>, pass: Backward<F>, slope: &mut Tensor<F>, _: &Context) {
        let Backward { dy, dx: Some(dx), .. } = pass else { return };
        let k = dy.width();
        let rows = dy.data().chunks_exact(k).zip(slope.data().chunks_exact(k));
        for ((dy, slope), dx) in rows.zip(dx.data_mut().chunks_exact_mut(2 * k)) {
            let (dmean, ds) = dx.split_at_mut(k);
            dmean.copy_from_slice(dy);
            ds.iter_mut().zip(dy).zip(slope).for_each(|((ds, &dy), &slope)| *ds = dy * slope);
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        Cost { sample_bytes: input[0] / 2 * size_of::<F>(), ..Cost::default() }
    }
}

/// The negative evidence lower bound, in nats a picture: a mean over samples (Kingma and Welling 2014, equation 10 and appendix B).
///
/// An output is the logits l of all pixels, then the means μ and the logarithms s = log σ² of the code. Targets are the pixels t, from 0
/// to 1.
///
/// # Reconstruction
/// -log p(t | z), with p = σ(l) the probability that a pixel is white:
/// R = Σ -t log p - (1 - t) log(1 - p) = Σ log(1 + e^l) - t l, and dR/dl = p - t.
///
/// # KL divergence
/// Of the code's distribution q = N(μ, σ²) from N(0, 1), for each number of the code:
///
/// KL = E_q\[log q(z) - log p(z)\] = E_q\[-½ s - ½ (z - μ)² / σ² + ½ z²\].
///
/// With E (z - μ)² = σ² and E z² = μ² + σ² it is ½ (μ² + σ² - 1 - s). With σ² = e^s: dKL/dμ = μ, dKL/ds = ½ (e^s - 1).
#[derive(Debug, Clone, Copy)]
pub struct Elbo {
    /// The numbers of a code, k.
    pub code: usize,
}

impl Elbo {
    /// The pixels of an output of this shape.
    fn pixels(self, output: &[usize]) -> Result<usize> {
        let pixels = output.first().and_then(|width| width.checked_sub(2 * self.code));
        match pixels {
            Some(pixels) if pixels > 0 && output.len() == 1 => Ok(pixels),
            _ => {
                let expected = format!("pixels and {} numbers of the code", 2 * self.code);
                Err(Error::argument("model output", expected, format!("{output:?}")))
            }
        }
    }
}

impl<F: Scalar> Loss<F> for Elbo {
    fn check(&self, output: &[usize], targets: &Targets<F>) -> Result<()> {
        let t = targets.values_like(&[self.pixels(output)?])?;
        match t.data().iter().find(|t| !(F::zero()..=F::one()).contains(t)) {
            None => Ok(()),
            Some(t) => Err(Error::argument("targets", "pixels from 0 to 1", t)),
        }
    }

    fn loss(&self, y: &Tensor<F>, targets: &Targets<F>, mut dy: Option<&mut Tensor<F>>) -> Result<Mean> {
        let (n, width) = (y.batch(), y.width());
        let pixels = self.pixels(&y.shape()[1..])?;
        let t = targets.values_like(&[pixels])?;
        let mut mean = Mean { sum: 0.0, count: n as f64 };
        for (i, (y, t)) in y.data().chunks_exact(width).zip(t.data().chunks_exact(pixels)).enumerate() {
            let (logits, code) = y.split_at(pixels);
            mean.sum += reconstruction(logits, t) + divergence(code);
            let Some(dy) = &mut dy else { continue };
            let (dlogits, dcode) = dy.data_mut()[i * width..][..width].split_at_mut(pixels);
            for ((d, l), t) in dlogits.iter_mut().zip(logits).zip(t) {
                let p = 1.0 / (1.0 + (-l.as_f64()).exp());
                *d = F::from_f64((p - t.as_f64()) / n as f64);
            }
            let (dmean, ds) = dcode.split_at_mut(self.code);
            let (means, s) = code.split_at(self.code);
            for ((dmean, ds), (mean, s)) in dmean.iter_mut().zip(ds).zip(means.iter().zip(s)) {
                *dmean = F::from_f64(mean.as_f64() / n as f64);
                *ds = F::from_f64(0.5 * (s.as_f64().exp() - 1.0) / n as f64);
            }
        }
        Ok(mean)
    }

    fn metrics(&self) -> Vec<Arc<dyn Metric<F>>> {
        vec![Arc::new(*self)]
    }
}

/// The KL divergence alone. The loss less this is the reconstruction.
impl<F: Scalar> Metric<F> for Elbo {
    fn name(&self) -> String {
        "kl".to_owned()
    }

    fn check(&self, output: &[usize], _: &Targets<F>) -> Result<()> {
        self.pixels(output).map(drop)
    }

    fn add(&self, y: &Tensor<F>, _: &Targets<F>, sums: &mut Vec<f64>) {
        sums.resize(2, 0.0);
        for y in y.data().chunks_exact(y.width()) {
            sums[0] += divergence(&y[y.len() - 2 * self.code..]);
            sums[1] += 1.0;
        }
    }

    fn value(&self, sums: &[f64]) -> f64 {
        sums[0] / sums[1]
    }
}

/// Σ log(1 + e^l) - t l. The logarithm is that of 1 + e^-|l|, so that a large logit loses no digits.
fn reconstruction<F: Scalar>(logits: &[F], t: &[F]) -> f64 {
    let term = |(l, t): (&F, &F)| {
        let (l, t) = (l.as_f64(), t.as_f64());
        l.max(0.0) - t * l + (-l.abs()).exp().ln_1p()
    };
    logits.iter().zip(t).map(term).sum()
}

/// Σ ½ (μ² + e^s - 1 - s).
fn divergence<F: Scalar>(code: &[F]) -> f64 {
    let (means, s) = code.split_at(code.len() / 2);
    let term = |(mean, s): (&F, &F)| {
        let (mean, s) = (mean.as_f64(), s.as_f64());
        0.5 * (mean * mean + s.exp() - 1.0 - s)
    };
    means.iter().zip(s).map(term).sum()
}
