//! The range of an axis, and its marks.

/// An axis from one finite number to a larger one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
}

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// Where it is: 0 at the low end, 1 at the high one.
    pub(crate) share: f64,
    /// The exact number there, with as many digits as are needed to tell it from its neighbours.
    pub(crate) label: String,
}

/// A number of the form `units * 10^exponent`. Marks are such numbers, so their labels are exact.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    units: i64,
    exponent: i32,
}

impl Decimal {
    fn value(self) -> f64 {
        // What the standard library reads is rounded right; powers of ten are not.
        format!("{}e{}", self.units, self.exponent).parse().unwrap_or(f64::INFINITY)
    }

    /// Its digits, with a point.
    fn digits(self) -> String {
        let mut digits = self.units.unsigned_abs().to_string();
        if self.exponent >= 0 {
            digits.push_str(&"0".repeat(if self.units == 0 { 0 } else { self.exponent as usize }));
        } else {
            let behind = self.exponent.unsigned_abs() as usize;
            digits = format!("{digits:0>width$}", width = behind + 1);
            digits.insert(digits.len() - behind, '.');
        }
        if self.units < 0 { format!("-{digits}") } else { digits }
    }
}

impl Axis {
    /// From one finite number to another. Where they are too close for marks between them, the axis is a little longer.
    pub(crate) fn new(low: f64, high: f64) -> Self {
        let largest = low.abs().max(high.abs());
        // An f64 holds 16 digits: 13 of them are shared at most, and three tell the marks apart.
        let least = (1e-13 * largest).max(1e-300);
        if high - low >= least {
            return Self { low, high };
        }
        Self { low: low - least, high: high + least }.inside()
    }

    /// From the least to the largest number, with a share of what is between them as room at both ends; around a single
    /// number with a tenth of it.
    pub(crate) fn around(low: f64, high: f64, share: f64) -> Self {
        let room = match (high > low, low == 0.0) {
            // Divided first, for the difference may be beyond all numbers.
            (true, _) => share * high - share * low,
            (false, true) => 0.5,
            (false, false) => 0.1 * low.abs(),
        };
        let Self { low, high } = Self { low: low - room, high: high + room }.inside();
        Self::new(low, high)
    }

    fn inside(self) -> Self {
        Self { low: self.low.max(f64::MIN), high: self.high.min(f64::MAX) }
    }

    /// Where a number is: 0 at the low end, 1 at the high one.
    pub(crate) fn share(&self, value: f64) -> f64 {
        // Halves, for the difference may be beyond all numbers.
        ((0.5 * value - 0.5 * self.low) / (0.5 * self.high - 0.5 * self.low)).clamp(0.0, 1.0)
    }

    /// Marks at the multiples of 1, 2 or 5 times a power of ten, at most `most` of them, which are three or more;
    /// at whole numbers only, if so asked.
    pub(crate) fn ticks(&self, most: usize, whole: bool) -> Vec<Tick> {
        let exponent =
            ((0.5 * self.high - 0.5 * self.low).log10() - (0.5 * most as f64).log10()).floor() as i32;
        let steps =
            (exponent..exponent + 3).flat_map(|e| [1, 2, 5].map(|units| Decimal { units, exponent: e }));
        let steps = steps.filter(|step| !whole || step.exponent >= 0);
        let one = Decimal { units: 1, exponent: 0 };
        let step = steps.chain([one]).find(|&step| self.multiples(step).count() <= most).unwrap_or(one);
        let marks = self.multiples(step).take(most);
        let marks: Vec<_> =
            marks.map(|i| Decimal { units: i * step.units, exponent: step.exponent }).collect();
        let power = power_of_ten(&marks);
        marks
            .iter()
            .map(|mark| Tick { share: self.share(mark.value()), label: label(*mark, power) })
            .collect()
    }

    /// Which multiples of a step lie on the axis.
    fn multiples(&self, step: Decimal) -> impl Iterator<Item = i64> + use<> {
        let step = step.value();
        // A little more, so that rounding leaves no mark out at an end.
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        first..=last
    }
}

/// The power of ten that labels have in common: `None` where they read well without one.
fn power_of_ten(marks: &[Decimal]) -> Option<i32> {
    let largest = marks.iter().max_by_key(|mark| mark.units.unsigned_abs()).filter(|mark| mark.units != 0)?;
    let power = largest.exponent + largest.units.unsigned_abs().ilog10() as i32;
    (!(-3..6).contains(&power)).then_some(power)
}

fn label(mark: Decimal, power: Option<i32>) -> String {
    match power {
        None => mark.digits(),
        Some(_) if mark.units == 0 => "0".to_owned(),
        Some(power) => {
            format!("{}e{power}", Decimal { exponent: mark.exponent - power, ..mark }.digits())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(low: f64, high: f64) -> Vec<String> {
        Axis::new(low, high).ticks(5, false).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn labels_have_the_digits_that_tell_them_apart() {
        for (low, high, expected) in [
            (0.0, 1.0, &["0.0", "0.5", "1.0"][..]),
            (0.0, 4.0, &["0", "1", "2", "3", "4"]),
            (-0.07, 0.11, &["-0.05", "0.00", "0.05", "0.10"]),
            (1.8e-5, 3.1e-5, &["2.0e-5", "2.5e-5", "3.0e-5"]),
            (0.0, 3.1e-9, &["0", "1e-9", "2e-9", "3e-9"]),
            (0.0, 410_000.0, &["0", "100000", "200000", "300000", "400000"]),
            (9e5, 1.1e6, &["0.90e6", "0.95e6", "1.00e6", "1.05e6", "1.10e6"]),
            (
                1e12,
                1e12 + 3.0,
                &["1.000000000000e12", "1.000000000001e12", "1.000000000002e12", "1.000000000003e12"],
            ),
            (-1.7e308, 1.7e308, &["-1e308", "0", "1e308"]),
            (-6e5, -1e5, &["-600000", "-400000", "-200000"]),
            (0.9995, 1.0, &["0.9995", "0.9996", "0.9997", "0.9998", "0.9999", "1.0000"]),
        ] {
            let most = expected.len().max(5);
            let ticks = Axis::new(low, high).ticks(most, false);
            assert_eq!(
                ticks.into_iter().map(|tick| tick.label).collect::<Vec<_>>(),
                expected,
                "{low} to {high}"
            );
        }
    }

    #[test]
    fn whole_numbers_are_marked_at_whole_numbers_only() {
        let marks = |low, high| Axis::new(low, high).ticks(11, true).into_iter().map(|tick| tick.label);
        assert_eq!(marks(0.5, 1.5).collect::<Vec<_>>(), ["1"]);
        assert_eq!(marks(1.0, 3.0).collect::<Vec<_>>(), ["1", "2", "3"]);
        assert_eq!(
            marks(1.0, 50.0).collect::<Vec<_>>(),
            ["5", "10", "15", "20", "25", "30", "35", "40", "45", "50"]
        );
    }

    #[test]
    fn equal_and_tiny_numbers_are_an_axis_too() {
        let middle = |value: f64| Axis::around(value, value, 0.04).share(value);
        for value in [0.0, 1.0, -3.0, 1e-9, 1e16, -1e-300, 5e-324] {
            assert!((middle(value) - 0.5).abs() < 1e-3, "{value}: {}", middle(value));
        }
        assert_eq!(labels(5e-324, 5e-324), ["-1.0e-300", "-0.5e-300", "0", "0.5e-300", "1.0e-300"]);
        // Between neighbours there is nothing to mark.
        let next = f64::from_bits(1e16_f64.to_bits() + 1);
        assert!(labels(1e16, next).len() >= 2, "{:?}", labels(1e16, next));
        Axis::around(f64::MAX, f64::MAX, 0.04).ticks(9, false);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn any_axis_has_a_few_marks_in_order_that_say_where_they_are(a: u64, b: u64, near: bool, most in 3_usize..12, whole: bool) {
            let a = f64::from_bits(a);
            let b = if near { f64::from_bits(a.to_bits().wrapping_add(b % 1000)) } else { f64::from_bits(b) };
            prop_assume!(a.is_finite() && b.is_finite());
            let axis = Axis::around(a.min(b), a.max(b), 0.04);
            prop_assert!(axis.low.is_finite() && axis.high.is_finite() && axis.low < axis.high, "{axis:?}");
            let ticks = axis.ticks(most, whole);
            prop_assert!(ticks.len() <= most, "{ticks:?}");
            prop_assert!(whole || !ticks.is_empty(), "{axis:?}");
            for pair in ticks.windows(2) {
                prop_assert!(pair[0].share < pair[1].share, "{axis:?} {ticks:?}");
                prop_assert!(pair[0].label != pair[1].label, "{axis:?} {ticks:?}");
            }
            for tick in &ticks {
                let value: f64 = tick.label.parse().unwrap();
                prop_assert!((axis.share(value) - tick.share).abs() < 1e-9, "{axis:?} {tick:?}");
                prop_assert!(tick.label.len() < 26, "{tick:?}");
                prop_assert!(!whole || value.fract() == 0.0, "{axis:?} {tick:?}");
            }
        }
    }
}
