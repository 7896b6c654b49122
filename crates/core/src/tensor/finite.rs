//! Finds NaN and infinite numbers, in passes that cost no more than reading the memory.

use crate::error::Error;
use crate::kernels::simd::vectorised;
use crate::tensor::scalar::Scalar;

/// The number of values that are combined before the result is tested.
const PIECE: usize = 4096;

/// The position of the first number that is not finite.
pub(crate) fn first_wrong<F: Scalar>(values: &[F]) -> Option<usize> {
    let fine = |piece: &[F]| {
        vectorised(
            #[inline(always)]
            || piece.iter().fold(true, |fine, v| fine & v.is_finite()),
        )
    };
    let piece = values.chunks(PIECE).position(|piece| !fine(piece))?;
    let rest = &values[piece * PIECE..];
    rest.iter().position(|v| !v.is_finite()).map(|at| piece * PIECE + at)
}

/// Checks that all numbers of an array of this shape are finite.
pub(crate) fn check<F: Scalar>(
    what: impl FnOnce() -> String,
    values: &[F],
    shape: &[usize],
) -> Result<(), Error> {
    match first_wrong(values) {
        None => Ok(()),
        Some(at) => Err(Error::NotFinite { what: what(), got: place(values[at], at, shape) }),
    }
}

/// As [`check`], but the message names the sample: the index in the first axis.
pub(crate) fn check_samples<F: Scalar>(what: &str, values: &[F], shape: &[usize]) -> Result<(), Error> {
    let Some(at) = first_wrong(values) else { return Ok(()) };
    let sample_shape = shape.get(1..).unwrap_or_default();
    let width = sample_shape.iter().product::<usize>().max(1);
    Err(Error::NotFinite {
        what: format!("{what} of sample {}", at / width),
        got: place(values[at], at % width, sample_shape),
    })
}

/// `NaN at [3, 4]`, or `NaN` of a single number.
pub(crate) fn place<F: Scalar>(value: F, position: usize, shape: &[usize]) -> String {
    if shape.is_empty() { value.to_string() } else { format!("{value} at {:?}", index(position, shape)) }
}

/// The index of a number in an array of this shape, row by row.
pub(crate) fn index(position: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = position;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&length| {
            let at = rest % length;
            rest /= length;
            at
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_that_is_not_finite_is_found_wherever_it_is() {
        for length in [1, 7, PIECE, PIECE + 1, 3 * PIECE + 5] {
            let mut values = vec![f32::MAX; length];
            assert_eq!(first_wrong(&values), None);
            for at in [length - 1, length / 2, 0] {
                values[at] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][at % 3];
                assert_eq!(first_wrong(&values), Some(at), "of {length}");
            }
        }
    }

    #[test]
    fn the_place_is_said_with_the_sample() {
        let values = [0.0, 0.0, 0.0, 0.0, f64::INFINITY, 0.0];
        let error = check_samples("inputs", &values, &[2, 1, 3]).unwrap_err().to_string();
        assert_eq!(error, "inputs of sample 1: expected finite numbers, got inf at [0, 1]");
        let error = check(|| "w".to_owned(), &values, &[2, 3]).unwrap_err().to_string();
        assert_eq!(error, "w: expected finite numbers, got inf at [1, 1]");
    }
}
