//! The position of the largest of some values.

use crate::tensor::scalar::Scalar;

/// The position of the largest value; of equal ones, the first. `None` if there is no value, or if one is NaN.
///
/// ```
/// use backstitch::metrics::argmax;
/// assert_eq!(argmax([1.0, 3.0, 3.0]), Some(1));
/// assert_eq!(argmax([1.0, f32::NAN, 3.0]), None);
/// ```
pub fn argmax<F: Scalar>(values: impl IntoIterator<Item = F>) -> Option<usize> {
    let mut best: Option<(usize, F)> = None;
    for (i, value) in values.into_iter().enumerate() {
        if value.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, most)| value > most) {
            best = Some((i, value));
        }
    }
    best.map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_the_largest_and_nan_never() {
        assert_eq!(argmax([1.0, 3.0, 3.0]), Some(1));
        assert_eq!(argmax([f32::NEG_INFINITY; 2]), Some(0));
        assert_eq!(argmax([2.0, f32::INFINITY]), Some(1));
        for with_nan in [[f32::NAN, -1.0], [-1.0, f32::NAN], [f32::NAN; 2]] {
            assert_eq!(argmax(with_nan), None);
        }
        assert_eq!(argmax::<f32>([]), None);
    }
}
