//! e^x, e^x - 1, ln(1 + x) and tanh x in `f32`, as polynomials that the compiler can vectorise.

/// Below this e^x would be subnormal, and is 0.
const SMALLEST: f32 = -86.9;

/// What e^x consists of.
struct Parts {
    /// r of x = n ln 2 + r, |r| <= ln 2 / 2.
    r: f32,
    /// (e^r - 1 - r) / r².
    p: f32,
    /// 2^(n-1): 2^128 has no exponent of its own, and must become infinity.
    half: f32,
}

/// A polynomial of degree 6 gives e^r (coefficients: S. Moshier, Cephes, `expf.c`), and adding n to the exponent bits multiplies by 2^n.
#[inline(always)]
fn parts(x: f32) -> Parts {
    // Adding and subtracting 1.5 * 2^23 rounds to an integer, left in the low bits.
    const ROUND: f32 = 12_582_912.0;
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
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(126) << 23;
    Parts { r, p, half: f32::from_bits(exponent) }
}

/// e^x within 2 units in the last place, without a branch.
#[inline(always)]
pub fn exp_f32(x: f32) -> f32 {
    let Parts { r, p, half } = parts(x);
    let y = p.mul_add(r * r, r + 1.0) * half * 2.0;
    if x < SMALLEST { 0.0 } else { y }
}

/// e^x - 1 within 2 units in the last place, also near 0, where a difference of e^x and 1 would lose its digits: with q = e^r - 1 it is
/// 2^n q + (2^n - 1).
#[inline(always)]
pub fn exp_m1_f32(x: f32) -> f32 {
    let Parts { r, p, half } = parts(x);
    let q = p.mul_add(r * r, r);
    q.mul_add(half, half - 0.5) * 2.0
}

/// ln(1 + x) for x in [0, 1], within 2 units in the last place: with s = x / (2 + x), at most 1/3, it is
/// 2 artanh s = 2 (s + s³/3 + s⁵/5 + ...). The terms from s¹⁹ on are less than 2e-10 of the first.
#[inline(always)]
pub fn ln_1p_f32(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let square = s * s;
    let mut p = 1.0 / 17.0;
    for odd in [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        p = square.mul_add(p, 1.0 / odd);
    }
    let twice = s + s;
    (twice * square).mul_add(p, twice)
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
    fn exp_minus_1_and_ln_of_1_plus_keep_their_digits_near_zero() {
        let (mut worst, mut worst_ln) = (0.0_f64, 0.0_f64);
        for i in 1..=400_000 {
            for x in [i as f32 * 5e-5, i as f32 * -5e-5, (-i as f32 * 2e-4).exp(), -(-i as f32 * 2e-4).exp()]
            {
                worst = worst.max(units_in_last_place(exp_m1_f32(x), f64::from(x).exp_m1()));
                if (0.0..=1.0).contains(&x) {
                    worst_ln = worst_ln.max(units_in_last_place(ln_1p_f32(x), f64::from(x).ln_1p()));
                }
            }
        }
        assert!(worst < 2.0 && worst_ln < 2.0, "{worst} {worst_ln}");
        assert_eq!(exp_m1_f32(-1000.0), -1.0);
        assert_eq!(exp_m1_f32(f32::INFINITY), f32::INFINITY);
        assert!(exp_m1_f32(f32::NAN).is_nan() && ln_1p_f32(f32::NAN).is_nan());
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
