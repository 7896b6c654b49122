//! e^x and tanh x in `f32`, as polynomials that the compiler can vectorise.

/// e^x within 2 units in the last place, without a branch.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial of degree 6 gives e^r (coefficients: S. Moshier,
/// Cephes, `expf.c`), and adding n to the exponent bits multiplies by 2^n.
#[inline(always)]
pub fn exp_f32(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to an integer, left in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // Below this the result would be subnormal, and is 0.
    const SMALLEST: f32 = -86.9;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Comparisons that are false for NaN, so that a NaN stays one.
    let bounded = if x > 89.0 { 89.0 } else { x };
    let bounded = if bounded < SMALLEST { SMALLEST } else { bounded };
    let shifted = bounded.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, bounded));
    let mut p = 1.987_569_1e-4_f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 0.5);
    p = p.mul_add(r * r, r + 1.0);
    // 2^(n-1), and twice that below: 2^128 has no exponent of its own, and must become infinity.
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(126) << 23;
    let y = p * f32::from_bits(exponent) * 2.0;
    if x < SMALLEST { 0.0 } else { y }
}

/// tanh x. Below 0.625 an odd polynomial (Cephes, `tanhf.c`), which keeps small values exact to
/// the last places; above, 1 - 2 / (e^2x + 1).
#[inline(always)]
pub fn tanh_f32(x: f32) -> f32 {
    let z = x.abs();
    let large = 1.0 - 2.0 / (exp_f32(z + z) + 1.0);
    let s = x * x;
    let mut p = -5.704_988_7e-3_f32;
    p = p.mul_add(s, 2.063_909e-2);
    p = p.mul_add(s, -5.373_971_6e-2);
    p = p.mul_add(s, 1.333_144_2e-1);
    p = p.mul_add(s, -3.333_328e-1);
    let small = p.mul_add(s * x, x);
    if z < 0.625 { small } else { large.copysign(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units_in_last_place(got: f32, exact: f64) -> f64 {
        let nearest = (exact as f32).abs();
        let spacing = f64::from(nearest.next_up()) - f64::from(nearest);
        (f64::from(got) - exact).abs() / spacing
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut worst = 0.0_f64;
        for i in -869_000..=887_000 {
            let x = i as f32 * 1e-4;
            worst = worst.max(units_in_last_place(exp_f32(x), f64::from(x).exp()));
        }
        assert!(worst < 2.0, "{worst}");
    }

    #[test]
    fn exp_ends_in_zero_and_infinity_and_passes_nan_on() {
        assert_eq!(exp_f32(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_f32(-1000.0), 0.0);
        assert_eq!(exp_f32(89.0), f32::INFINITY);
        assert_eq!(exp_f32(f32::INFINITY), f32::INFINITY);
        assert!(exp_f32(f32::NAN).is_nan());
        assert_eq!(exp_f32(0.0), 1.0);
    }

    #[test]
    fn tanh_is_within_three_units_in_the_last_place() {
        let mut worst = 0.0_f64;
        for i in -200_000..=200_000 {
            let x = i as f32 * 5e-5;
            worst = worst.max(units_in_last_place(tanh_f32(x), f64::from(x).tanh()));
        }
        assert!(worst < 3.0, "{worst}");
        assert_eq!(tanh_f32(-50.0), -1.0);
        assert!(tanh_f32(f32::NAN).is_nan());
    }
}
