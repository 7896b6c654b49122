//! The norm of an array. No number is too small or too large for it.

use crate::kernels::simd::vectorised;
use crate::tensor::scalar::Scalar;

/// Sums of squares that are computed side by side.
const SQUARES: usize = 32;

/// The square root of the sum of all squares, computed in `f64`. It is not finite where a number is not.
#[inline(never)]
pub(crate) fn norm<F: Scalar>(x: &[F]) -> f64 {
    let squares = sum_of_squares(x, |v| v);
    // Only in a network of `f64` can squares be too large or too small for an `f64`.
    if (1e-280..1e280).contains(&squares) {
        return squares.sqrt();
    }
    let largest = x.iter().fold(0.0, |most: f64, v| most.max(v.as_f64().abs()));
    if squares.is_nan() || largest == 0.0 || largest.is_infinite() {
        return if squares.is_nan() { squares } else { largest };
    }
    largest * sum_of_squares(x, |v| v / largest).sqrt()
}

/// The sum of f(x) over all numbers x.
fn sum_of_squares<F: Scalar>(x: &[F], f: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; SQUARES];
    vectorised(
        #[inline(always)]
        || {
            let pieces = x.chunks_exact(SQUARES);
            let rest = pieces.remainder();
            for piece in pieces {
                for (sum, v) in sums.iter_mut().zip(piece) {
                    let v = f(v.as_f64());
                    *sum += v * v;
                }
            }
            for (sum, v) in sums.iter_mut().zip(rest) {
                let v = f(v.as_f64());
                *sum += v * v;
            }
        },
    );
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_is_right_from_the_smallest_to_the_largest() {
        for scale in [1e-45, 1e-30, 1.0, 1e20, 3e38] {
            let x: Vec<f32> = (0..100).map(|i| if i % 2 == 0 { scale } else { -scale }).collect();
            assert!((norm(&x) / (10.0 * f64::from(scale)) - 1.0).abs() < 1e-12, "{scale}");
        }
        for scale in [1e-310, 1e-200, 1e150, 1e300] {
            assert!((norm(&vec![scale; 100]) / (10.0 * scale) - 1.0).abs() < 1e-12, "{scale}");
        }
        assert_eq!(norm::<f64>(&[]), 0.0);
        assert_eq!(norm(&[0.0_f32; 50]), 0.0);
        assert!(norm(&[1.0, f32::NAN]).is_nan());
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
    }
}
