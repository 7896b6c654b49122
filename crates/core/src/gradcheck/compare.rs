//! Selects the derivatives to compare, compares them one by one, and gives the result.

use rand::seq::index;

use crate::error::Error;
use crate::gradcheck::differences::{Numeric, judge};
use crate::gradcheck::report::{Comparison, GradientError, Passed};
use crate::tensor::Tensor;
use crate::tensor::finite;
use crate::tensor::rng::{Purpose, stream};

/// All derivatives are compared up to this number; if there are more, a random sample of about this number.
pub(super) const MAX_NUMBERS: usize = 4000;
/// Of each tensor, a sample has this number at least.
const LEAST: usize = 32;

/// A function whose derivatives can be compared: it has numbers to change, and outputs.
pub(super) trait Subject {
    /// A number of one of its tensors.
    fn number(&mut self, tensor: usize, position: usize) -> &mut f64;
    /// The outputs for the numbers as they are.
    fn outputs(&mut self) -> Result<Vec<f64>, GradientError>;
}

/// The gradient by hand with respect to one of the tensors.
pub(super) struct Gradient {
    pub(super) of: String,
    pub(super) by_hand: Tensor<f64>,
}

/// Compares the gradients of Σ_k weight_k · output_k with differences.
pub(super) fn compare(
    layer: &str,
    subject: &mut dyn Subject,
    gradients: &[Gradient],
    weights: &[f64],
    seed: u64,
) -> Result<Passed, GradientError> {
    let total = gradients.iter().map(|gradient| gradient.by_hand.data().len()).sum();
    let mut comparisons = Vec::new();
    for (tensor, gradient) in gradients.iter().enumerate() {
        for position in chosen(gradient.by_hand.data().len(), total, seed, tensor) {
            let numeric = along(subject, tensor, position, gradient.by_hand.data()[position], weights)?;
            comparisons.push(gradient.comparison(position, &numeric));
        }
    }
    verdict(layer, comparisons, total, seed)
}

/// The derivative by one number, with the number as it was afterwards.
pub(super) fn along(
    subject: &mut dyn Subject,
    tensor: usize,
    position: usize,
    by_hand: f64,
    weights: &[f64],
) -> Result<Numeric, GradientError> {
    let at = *subject.number(tensor, position);
    let numeric = judge(by_hand, weights, &mut |distance| {
        *subject.number(tensor, position) = at + distance;
        subject.outputs()
    });
    *subject.number(tensor, position) = at;
    numeric
}

impl Gradient {
    pub(super) fn comparison(&self, position: usize, numeric: &Numeric) -> Comparison {
        Comparison {
            of: self.of.clone(),
            index: finite::index(position, &self.by_hand.shape()),
            analytic: self.by_hand.data()[position],
            numeric: numeric.value,
            sides: numeric.sides,
            floor: numeric.floor,
        }
    }
}

/// The positions to compare of a tensor of this length: all, or this tensor's share of the sample.
fn chosen(length: usize, total: usize, seed: u64, tensor: usize) -> Vec<usize> {
    if total <= MAX_NUMBERS {
        return (0..length).collect();
    }
    let share = (length as f64 / total as f64 * MAX_NUMBERS as f64).ceil() as usize;
    let count = share.max(LEAST).min(length);
    let mut rng = stream(seed, Purpose::GradientCheck, 2, tensor as u64);
    let mut positions = index::sample(&mut rng, length, count).into_vec();
    positions.sort_unstable();
    positions
}

fn verdict(
    layer: &str,
    comparisons: Vec<Comparison>,
    total: usize,
    seed: u64,
) -> Result<Passed, GradientError> {
    let compared = comparisons.len();
    let wrong = comparisons.iter().filter(|c| !c.agrees()).count();
    let kinks = comparisons.iter().filter(|c| c.sides.is_some()).cloned().collect();
    let worst = comparisons.into_iter().max_by(|a, b| a.relative_error().total_cmp(&b.relative_error()));
    let Some(worst) = worst else {
        return Err(Error::argument("gradient check", "at least one derivative", 0).into());
    };
    if wrong > 0 {
        let (layer, worst) = (layer.to_owned(), Box::new(worst));
        return Err(GradientError::Wrong { layer, wrong, compared, total, seed, worst });
    }
    Ok(Passed { compared, total, seed, worst, kinks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_derivatives_every_tensor_has_its_share_in_the_sample() {
        let lengths = [1_000_000, 3, 100, 200_000];
        let total = lengths.iter().sum();
        let counts: Vec<usize> = (0..4).map(|i| chosen(lengths[i], total, 7, i).len()).collect();
        assert_eq!(counts[1..3], [3, 32]);
        assert!(counts[0] > 3000 && counts[3] > 600 && counts.iter().sum::<usize>() < 4100, "{counts:?}");
        let positions = chosen(lengths[0], total, 7, 0);
        assert!(positions.windows(2).all(|pair| pair[0] < pair[1]) && positions[counts[0] - 1] > 990_000);
        assert_ne!(positions, chosen(lengths[0], total, 8, 0));
        assert_eq!(chosen(4000, 4000, 7, 0).len(), 4000);
    }
}
