//! Derivatives from the function alone, along one line: central differences, and one-sided ones at a kink.

use crate::gradcheck::report::{FLOOR, GradientError, TOLERANCE, relative_error};

/// h: small enough for the neglected h² terms, large enough for rounding.
const STEP: f64 = 1e-5;
/// A second step, to tell a kink from curvature: a kink looks the same at both.
const FINE: f64 = 1e-6;
/// Units of rounding by which an output may be wrong.
const ROUNDING: f64 = 64.0 * f64::EPSILON;
/// Derivatives of two sides that differ by more than this, relative to them, are those of a kink.
const JUMP: f64 = 1e-5;
/// If estimates with both steps differ by more than this, relative to them, they are not usable.
const SETTLED: f64 = 1e-3;

/// The result of comparing a derivative by hand with differences.
pub(super) struct Numeric {
    /// The derivative by differences that is nearest to the one by hand.
    pub(super) value: f64,
    /// The least and the greatest derivative that a kink allows.
    pub(super) sides: Option<[f64; 2]>,
    /// Whether differences with two steps agree. If not, the function is too steep to be checked here.
    pub(super) settled: bool,
    /// [`Comparison::floor`](super::report::Comparison::floor).
    pub(super) floor: f64,
}

/// The outputs of a function when its argument has moved by a distance along a line.
pub(super) type Line<'a> = dyn FnMut(f64) -> Result<Vec<f64>, GradientError> + 'a;

/// Compares the derivative by hand of Σ_k weight_k · output_k along a line with differences.
pub(super) fn judge(by_hand: f64, weights: &[f64], line: &mut Line<'_>) -> Result<Numeric, GradientError> {
    let (first, size) = central(STEP, weights, line)?;
    // Not less than for outputs around 1; and what is not finite is no scale.
    let floor = FLOOR * if size.is_finite() { size.max(1.0) } else { 1.0 };
    let agree = |numeric: f64| relative_error(by_hand, numeric, floor) < TOLERANCE;
    if agree(first) {
        return Ok(Numeric { value: first, sides: None, settled: true, floor });
    }
    // The fault may be that of the neglected term in h²: five points neglect h⁴. Those ten times as far apart also round less.
    let mut at = |steps: f64| central(steps * STEP, weights, line).map(|(slope, _)| slope);
    let (ten, twenty, two) = (at(10.0)?, at(20.0)?, at(2.0)?);
    let (wide, near) = ((4.0 * ten - twenty) / 3.0, (4.0 * first - two) / 3.0);
    let settled = |value: f64| Numeric { value, sides: None, settled: true, floor };
    if let Some(value) = [wide, near].into_iter().find(|&numeric| agree(numeric)) {
        return Ok(settled(value));
    }
    // Where the second derivative jumps, as that of x |x| at 0, central differences are wrong by a term in h. These three neglect h³.
    let without_h = |a: f64, b: f64, c: f64| (8.0 * a - 6.0 * b + c) / 3.0;
    let jumps = [without_h(ten, twenty, at(40.0)?), without_h(first, two, at(4.0)?)];
    if let Some(value) = jumps.into_iter().find(|&numeric| agree(numeric)) {
        return Ok(settled(value));
    }
    Ok(Numeric { floor, ..at_a_kink(by_hand, near, weights, line)? })
}

/// Σ_k weight_k (output_k(h) - output_k(-h)) / 2h, in which outputs that stay cancel exactly; and Σ_k |weight_k output_k|, which says how
/// much rounding there is.
fn central(h: f64, weights: &[f64], line: &mut Line<'_>) -> Result<(f64, f64), GradientError> {
    let (ahead, behind) = (line(h)?, line(-h)?);
    let moved = ahead.iter().zip(&behind).map(|(ahead, behind)| (ahead - behind) / (2.0 * h));
    let slope = moved.zip(weights).map(|(moved, weight)| moved * weight).sum();
    Ok((slope, ahead.iter().zip(weights).map(|(y, weight)| (y * weight).abs()).sum()))
}

/// The derivatives of one output to the left and to the right, by three points on each side, and what rounding may
/// add to them.
struct Sides {
    left: f64,
    right: f64,
    rounding: f64,
}

impl Sides {
    fn scale(&self) -> f64 {
        self.left.abs().max(self.right.abs()).max(FLOOR)
    }

    fn jump(&self) -> f64 {
        (self.right - self.left).abs()
    }

    fn differ(&self) -> bool {
        self.jump() > (JUMP * self.scale()).max(4.0 * self.rounding)
    }

    fn is_near(&self, other: &Self) -> bool {
        let most = SETTLED * self.scale().max(other.scale()) + 4.0 * (self.rounding + other.rounding);
        (self.left - other.left).abs() <= most && (self.right - other.right).abs() <= most
    }
}

fn sides(h: f64, line: &mut Line<'_>) -> Result<Vec<Sides>, GradientError> {
    let [far_left, left, here, right, far_right] = [-2.0 * h, -h, 0.0, h, 2.0 * h].map(line);
    let (far_left, left, here, right, far_right) = (far_left?, left?, here?, right?, far_right?);
    let of = |k: usize| {
        let y = here[k];
        Sides {
            left: (3.0 * y - 4.0 * left[k] + far_left[k]) / (2.0 * h),
            right: (4.0 * right[k] - 3.0 * y - far_right[k]) / (2.0 * h),
            rounding: ROUNDING * y.abs().max(1.0) / h,
        }
    };
    Ok((0..here.len()).map(of).collect())
}

/// Looks at both sides of every output. Where they differ with both steps, there is a kink, and the output's derivative may be
/// that of either side or between them. Where they differ with the larger step alone, the kink is beside the line's
/// origin, and the smaller step says what the derivative is.
fn at_a_kink(
    by_hand: f64,
    numeric: f64,
    weights: &[f64],
    line: &mut Line<'_>,
) -> Result<Numeric, GradientError> {
    let (coarse, fine) = (sides(STEP, line)?, sides(FINE, line)?);
    let (mut least, mut greatest, mut rounding) = (0.0, 0.0, 0.0);
    let (mut kinks, mut beside, mut settled) = (false, false, true);
    for ((coarse, fine), weight) in coarse.iter().zip(&fine).zip(weights) {
        let same = coarse.is_near(fine);
        settled &= same;
        // A difference with the smaller step alone is rounding.
        let kink = fine.differ() && coarse.differ();
        let sides = match (kink, coarse.differ()) {
            (true, _) if same => [coarse.left, coarse.right],
            (true, _) => [fine.left, fine.right],
            (false, true) => [(fine.left + fine.right) / 2.0; 2],
            (false, false) => [(coarse.left + coarse.right) / 2.0; 2],
        };
        kinks |= kink;
        beside |= coarse.differ();
        if coarse.differ() && !(kink && same) {
            rounding += fine.rounding * weight.abs();
        }
        let [a, b] = sides.map(|side| side * weight);
        least += a.min(b);
        greatest += a.max(b);
    }
    if !(kinks || beside) || !(least.is_finite() && greatest.is_finite()) {
        return Ok(Numeric { value: numeric, sides: None, settled, floor: FLOOR });
    }
    let value = by_hand.clamp(least - rounding, greatest + rounding);
    Ok(Numeric { value, sides: kinks.then_some([least, greatest]), settled, floor: FLOOR })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(by_hand: f64, f: impl Fn(f64) -> f64) -> (bool, bool) {
        let numeric = judge(by_hand, &[1.0], &mut |t| Ok(vec![f(t)])).ok().unwrap();
        let error = relative_error(by_hand, numeric.value, numeric.floor);
        (error < TOLERANCE, numeric.sides.is_some())
    }

    #[test]
    fn at_a_kink_what_lies_between_the_sides_is_right_and_nothing_else() {
        let relu = |t: f64| 3.0 * t.max(0.0) + t.sin();
        for (by_hand, right) in
            [(1.0, true), (4.0, true), (2.0, true), (0.99, false), (4.01, false), (-1.0, false)]
        {
            assert_eq!(verdict(by_hand, relu), (right, true), "{by_hand}");
        }
        assert!(!verdict(f64::NAN, relu).0);
    }

    #[test]
    fn beside_a_kink_only_the_derivative_is_right() {
        for beside in [3e-6, -3e-6, 8e-6, 1.5e-5, 9e-5] {
            let f = |t: f64| (t + beside).abs() + t * t;
            let sign = beside.signum();
            assert_eq!(verdict(sign, f), (true, false), "{beside}");
            for wrong in [-sign, 0.0, 0.999 * sign] {
                assert!(!verdict(wrong, f).0, "{wrong} at {beside}");
            }
        }
    }

    #[test]
    fn a_jump_of_the_second_derivative_is_no_kink() {
        let square_of_relu = |t: f64| t.max(0.0).powi(2);
        let elu = |t: f64| if t > 0.0 { t } else { t.exp_m1() };
        let huber = |t: f64| if (1.0 + t).abs() <= 1.0 { (1.0 + t).powi(2) / 2.0 } else { 0.5 + t };
        for beside in [0.0, 2e-5, -1.5e-4] {
            let functions: [(&dyn Fn(f64) -> f64, f64); 5] = [
                (&|t| (t + beside) * (t + beside).abs(), 2.0 * beside.abs()),
                (&|t| square_of_relu(t + beside) + t, 1.0 + 2.0 * beside.max(0.0)),
                (&|t| elu(t + beside), if beside > 0.0 { 1.0 } else { beside.exp() }),
                (&|t| (t + beside) / (1.0 + (t + beside).abs()), (1.0 + beside.abs()).powi(-2)),
                (&|t| huber(t + beside), (1.0 + beside).clamp(-1.0, 1.0)),
            ];
            for (i, (f, slope)) in functions.into_iter().enumerate() {
                assert!(verdict(slope, f).0, "function {i}, {beside} beside");
                for wrong in [slope + 3e-5, slope - 1e-3, -slope - 0.1, 2.0 * slope + 0.1] {
                    assert!(!verdict(wrong, f).0, "function {i}, {beside} beside: {wrong} for {slope}");
                }
            }
        }
    }

    #[test]
    fn curvature_and_rounding_are_no_kink() {
        for wrong in [1.0 + 3e-6, 1.001, 0.0, 5.0] {
            assert_eq!(verdict(wrong, |t| (1.0 + t).ln() + 50.0 * t * t), (false, false), "{wrong}");
            assert_eq!(verdict(wrong, |t| 1e3 + t), (false, false), "{wrong}");
        }
        assert_eq!(verdict(1.0, |t| (1.0 + t).ln() + 50.0 * t * t), (true, false));
        // Steep: a batch normalization whose variance is 0.
        let slope = 1.0 / 1e-5_f64.sqrt();
        assert!(verdict(slope, |t| t / (t * t + 1e-5).sqrt()).0);
        assert!(!verdict(1.001 * slope, |t| t / (t * t + 1e-5).sqrt()).0);
    }
}
