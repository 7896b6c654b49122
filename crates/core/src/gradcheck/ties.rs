//! Derivatives at kinks: at inputs where many numbers are 0 or equal to each other.
//!
//! One number at a time does not show everything: a max pooling that gives its gradient to all of several equal numbers
//! is right for each of them, and wrong for all together. So derivatives along directions are compared too.

use rand::Rng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use crate::gradcheck::alone::Alone;
use crate::gradcheck::compare::{Gradient, Subject, along};
use crate::gradcheck::differences::{Numeric, judge};
use crate::gradcheck::point::Point;
use crate::gradcheck::report::{Comparison, GradientError};
use crate::layer::Context;
use crate::tensor::Tensor;
use crate::tensor::rng::{Purpose, stream};

/// The number of inputs that are changed one by one.
const NUMBERS: usize = 64;
/// The number of outputs that are checked one by one.
const OUTPUTS: usize = 8;
/// The name of the input in messages.
const INPUT: &str = "input, many of whose numbers are equal,";

/// Compares derivatives with respect to such an input. Returns the kinks that were met. If the outputs of the layer
/// are not finite for such inputs, there is nothing to compare.
pub(super) fn check(
    alone: &mut Alone,
    x: &Tensor<f64>,
    ctx: &Context,
    seed: u64,
) -> Result<Vec<Comparison>, GradientError> {
    let mut rng = stream(seed, Purpose::GradientCheck, 7, 0);
    let x = with_ties(x, &mut rng);
    let layer = alone.name.clone();
    let mut point = Point::new(alone, x, ctx);
    let outputs = point.outputs()?;
    let weights: Vec<f64> = outputs.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
    let gradient = point.gradients(&weights, INPUT)?.swap_remove(0);
    if !outputs.iter().chain(gradient.by_hand.data()).all(|v| v.is_finite()) {
        return Ok(Vec::new());
    }
    let mut seen = Seen { layer, seed, compared: 0, wrong: Vec::new(), kinks: Vec::new() };
    let length = gradient.by_hand.data().len();
    for position in index::sample(&mut rng, length, length.min(NUMBERS)) {
        let by_hand = gradient.by_hand.data()[position];
        let numeric = along(&mut point, 0, position, by_hand, &weights)?;
        seen.add(numeric.settled, gradient.comparison(position, &numeric));
    }
    let ones = vec![1.0; length];
    seen.along(&mut point, &gradient, &ones, &weights)?;
    for least in [0.0, -1.0, -1.0] {
        let direction: Vec<f64> = (0..length).map(|_| rng.random_range(least..1.0)).collect();
        seen.along(&mut point, &gradient, &direction, &weights)?;
    }
    for output in index::sample(&mut rng, outputs.len(), outputs.len().min(OUTPUTS)) {
        let mut only = vec![0.0; outputs.len()];
        only[output] = 1.0;
        let gradient = point.gradients(&only, INPUT)?.swap_remove(0);
        seen.along(&mut point, &gradient, &ones, &only)?;
    }
    seen.verdict()
}

/// Rounds three of four numbers to one of a few values.
fn with_ties(x: &Tensor<f64>, rng: &mut ChaCha8Rng) -> Tensor<f64> {
    let mut x = x.clone();
    let most = x.data().iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    // A power of 2 near half of the largest: kinks are at round numbers.
    let unit = if most > 0.0 { (most / 2.0).log2().round().exp2() } else { 1.0 };
    for v in x.data_mut() {
        if rng.random_range(0..4) > 0 {
            *v = (*v / unit).round() * unit;
        }
    }
    x
}

/// The comparisons so far.
struct Seen {
    layer: String,
    seed: u64,
    compared: usize,
    wrong: Vec<Comparison>,
    kinks: Vec<Comparison>,
}

impl Seen {
    /// If differences with two steps do not agree, they are not used.
    fn add(&mut self, settled: bool, comparison: Comparison) {
        let agrees = comparison.agrees();
        if !agrees && !settled {
            return;
        }
        self.compared += 1;
        if !agrees {
            self.wrong.push(comparison);
        } else if comparison.sides.is_some() {
            self.kinks.push(comparison);
        }
    }

    fn along(
        &mut self,
        point: &mut Point<'_>,
        gradient: &Gradient,
        direction: &[f64],
        weights: &[f64],
    ) -> Result<(), GradientError> {
        let by_hand: f64 = gradient.by_hand.data().iter().zip(direction).map(|(g, d)| g * d).sum();
        let at = point.x.clone();
        let numeric = judge(by_hand, weights, &mut |distance| {
            let moved = at.data().iter().zip(direction).map(|(x, d)| x + distance * d);
            point.x.data_mut().iter_mut().zip(moved).for_each(|(x, moved)| *x = moved);
            point.outputs()
        });
        point.x = at;
        let numeric = numeric?;
        let of = format!("{} along a direction", gradient.of);
        let Numeric { value, sides, floor, .. } = numeric;
        let comparison =
            Comparison { of, index: Vec::new(), analytic: by_hand, numeric: value, sides, floor };
        self.add(numeric.settled, comparison);
        Ok(())
    }

    fn verdict(self) -> Result<Vec<Comparison>, GradientError> {
        let Self { layer, seed, compared, wrong, kinks } = self;
        let count = wrong.len();
        match wrong.into_iter().max_by(|a, b| a.relative_error().total_cmp(&b.relative_error())) {
            None => Ok(kinks),
            Some(worst) => {
                let worst = Box::new(worst);
                Err(GradientError::Wrong { layer, wrong: count, compared, total: compared, seed, worst })
            }
        }
    }
}
