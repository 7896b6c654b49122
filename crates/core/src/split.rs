//! Which samples are for training, and which for judging.

use rand::seq::SliceRandom;

use crate::error::Error;
use crate::rng::{Purpose, stream};

/// Deals the samples `0..samples` out at random into parts of the given shares, which sum to 1.
/// Every sample is in exactly one part; what rounding leaves goes to the first.
///
/// ```
/// let parts = backstitch_core::split::hold_out(70_000, &[0.8, 0.1, 0.1], 0)?;
/// assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [56_000, 7_000, 7_000]);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
///
/// # Errors
/// If the shares do not sum to 1, or one of them is not above 0, or comes to no sample at all.
pub fn hold_out(samples: usize, shares: &[f64], seed: u64) -> Result<Vec<Vec<usize>>, Error> {
    let sum: f64 = shares.iter().sum();
    if shares.iter().any(|&share| share.is_nan() || share <= 0.0) || (sum - 1.0).abs() > 1e-9 {
        return Err(Error::argument("shares", "numbers above 0 that sum to 1", format!("{shares:?}")));
    }
    let mut counts: Vec<usize> =
        shares.iter().map(|share| (share * samples as f64 + 1e-9) as usize).collect();
    counts[0] += samples - counts.iter().sum::<usize>();
    if counts.contains(&0) {
        return Err(Error::argument("samples", format!("enough for parts of {shares:?}"), samples));
    }
    let mut order: Vec<usize> = (0..samples).collect();
    order.shuffle(&mut stream(seed, Purpose::Split, 0, 0));
    let mut parts = Vec::new();
    for count in counts {
        let rest = order.split_off(count);
        parts.push(std::mem::replace(&mut order, rest));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_in_exactly_one_part() {
        let parts = hold_out(103, &[0.8, 0.1, 0.1], 5).unwrap();
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [83, 10, 10]);
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        assert_ne!(parts, hold_out(103, &[0.8, 0.1, 0.1], 6).unwrap());
        assert_eq!(parts, hold_out(103, &[0.8, 0.1, 0.1], 5).unwrap());
    }

    #[test]
    fn impossible_shares_are_refused() {
        assert!(hold_out(10, &[0.8, 0.3], 0).is_err());
        assert!(hold_out(10, &[1.5, -0.5], 0).is_err());
        assert!(hold_out(10, &[f64::NAN, 0.5], 0).is_err());
        assert!(hold_out(5, &[0.8, 0.1, 0.1], 0).is_err());
    }
}
